"""``netgain plan``, ``register`` and ``run``: a trial before and while it runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self, final

import typer

from netgain.cli.app import (
    INTERRUPTED,
    TERMINATED,
    Demo,
    Device,
    Json,
    Limit,
    Methods,
    Quiet,
    ReportTo,
    Seed,
    Settings,
    TrialFile,
    Trust,
    compact_json,
    complain,
    console,
    judge_folder,
)
from netgain.errors import InputError, Terminated, one_line

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Where records go (default runs/NAME). Run again to go on.", show_default=False
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Processes (default: one a core, as memory goes; one on a GPU).", show_default=False),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: its address, auto, or local for a fresh one.",
        show_default=False,
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N parts, from 1, beside other processes in the same folder; then run it without.",
        show_default=False,
    ),
]
Again = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Do a run again from its folder or packed record (in runs/NAME-again), and say what differs.",
        show_default=False,
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="With --from: where its paths start (default: here).", show_default=False),
]


def plan(
    trial: TrialFile = None,
    domain: Demo = None,
    method: Methods = None,
    settings: Settings = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="H200, H100, A100, L40S, RTX 4090; auto, cpu or cuda for this machine (default: auto).",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: as many as suit).", show_default=False)
    ] = None,
    dollars_per_hour: Annotated[
        float | None, typer.Option(min=0, help="What an hour of the device costs you.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Say what a trial would take and what it could see. No weights are needed, and nothing is spent.

    On this machine a few seconds of the trial's own kinds of work are measured, where the model is here (once: they are
    kept in the cache folder).
    """
    from netgain.trials.calibration import calibrate
    from netgain.trials.plan import make_plan

    asked = _resolve(trial, domain, method, settings, limit, seed)
    found = make_plan(asked, device, dollars_per_hour, jobs=jobs, calibrate=calibrate)
    if json:
        typer.echo(compact_json(found.dump()))
        return
    from netgain.report.plan_view import plan_page

    console().print(plan_page(found))


def register(
    trial: TrialFile = None,
    domain: Demo = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where it will run and records will go (default runs/NAME).", show_default=False
        ),
    ] = None,
    method: Methods = None,
    settings: Settings = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Device = "auto",
    trust_remote_code: Trust = False,
) -> None:
    """Write a trial down, hashed, before any of it runs, to be committed or published: what it asks can't change then.

    Nothing is spent. `netgain run` with the same folder refuses any other trial.
    """
    from netgain.api import default_folder
    from netgain.trials.resolve import with_data
    from netgain.trials.schedule import register_trial
    from netgain.trials.store import LOCK

    resolved = with_data(_resolve(trial, domain, method, settings, limit, seed, trust_remote_code))
    folder = out or default_folder(resolved.spec.name, resolved.spec.limited_to)
    stated = register_trial(resolved, folder, device=device)
    typer.echo(f"{resolved.spec.name}: registered {stated['at']}, hash {stated['hash']}")
    typer.echo(f"commit or publish {folder / LOCK} before you run the trial in {folder}")


def run(
    trial: TrialFile = None,
    domain: Demo = None,
    out: Out = None,
    jobs: Jobs = None,
    ray: Ray = None,
    shard: ShardOf = None,
    again: Again = None,
    base: Base = None,
    method: Methods = None,
    settings: Settings = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Device = "auto",
    trust_remote_code: Trust = False,
    dollars_per_hour: Annotated[float, typer.Option(min=0, help="What an hour of the device costs you.")] = 0.0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where another process works in the folder, wait for it to end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON, and progress on stderr.")] = False,
    trackers: ReportTo = None,
    quiet: Quiet = False,
) -> None:
    """Run a trial at equal compute, or go on with it, and judge it.

    Ends with exit code 1 where a task failed, or more than 5 % of an arm's adaptations did, or the disk or a server
    failed; the same command then goes on. With --from also where verdict, answers or
    ledger are not the record's. With 0 only where the whole trial was judged.
    """
    from netgain.api import default_folder
    from netgain.report import trackers as tracking
    from netgain.trials.plan import suited, unknown_words
    from netgain.trials.resolve import with_data

    tracking.require(trackers or [])
    part = None if shard is None else _shard(shard, ray)
    words = {"TRIAL": trial, "--domain": domain, "--method": method, "--set": settings, "--limit": limit}
    if again is None and base is not None:
        raise InputError("--base", "belongs to --from", "in a trial's file paths are relative to the file")
    if again is None:
        resolved = with_data(_resolve(trial, domain, method, settings, limit, seed, trust_remote_code))
        reproduction = None
    else:
        reproduction = _reproduction(again, base or Path(), words | {"--seed": seed}, to_stderr=json, quiet=quiet)
        resolved = reproduction.trial(trust_remote_code=trust_remote_code)
    spec = resolved.spec
    folder = out or default_folder(spec.name, spec.limited_to, again=reproduction is not None)
    workers, tight = suited(resolved, device, jobs) if ray is None else (jobs, ())
    for warning in () if quiet else (*unknown_words(resolved), *tight):
        complain(f"warning: {warning}")
    live = Live(folder, quiet=quiet, to_stderr=json, dollars_per_hour=dollars_per_hour)
    how: dict[str, Any] = {
        "device": device,
        "jobs": workers,
        "ray": ray,
        "wait": live.wait if wait else None,
        "shard": part,
    }
    if reproduction is not None:
        reproduction.begin(folder, device)
        how["before"] = reproduction.require_same
    with tracking.following(folder, trackers or [], complain) as tracked:
        done = _worked(resolved, folder, live, tracked.take, how)
    broken = False
    if shard is not None and not quiet:
        of = len(done.finished) + len(done.failed)
        typer.echo(
            f"shard {shard}: {len(done.finished)} of {of} tasks are finished; without --shard it is judged", err=json
        )
    if done.finished and shard is None:
        verdict = judge_folder(folder, quiet=quiet, json=json)
        broken = _tell_failures(verdict)
        if reproduction is not None:
            broken = not reproduction.compare(folder) or broken
        tracked.report(verdict)
    if broken or not done.complete:
        raise typer.Exit(1)


def _shard(text: str, ray: str | None) -> Any:
    from netgain.trials.shards import Shard

    if ray is not None:
        raise InputError("--shard", "stands beside --ray, which shares the work out by itself", "give one")
    return Shard.of(text)


def _reproduction(record: Path, base: Path, words: dict[str, Any], *, to_stderr: bool, quiet: bool) -> Any:
    """The run that is done again from ``record``, which alone says what is asked: none of the ``words`` may be given
    beside it. What differs is said unless ``quiet``."""
    from netgain.trials.reproduction import Reproduction

    for name, value in words.items():
        if value is not None:
            raise InputError(name, "stands beside --from, and a run that is done again asks what it asked", "give one")

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(one_line(line), err=to_stderr)

    return Reproduction(record, base, tell)


def _worked(trial: Any, folder: Path, live: "Live", tell: Callable[[Any], None], how: dict[str, Any]) -> Any:
    """Do what is left of a trial; ``tell`` is given the progress too. Whoever stops it is told what is saved."""
    from netgain.trials.schedule import run_trial

    def show(progress: Any) -> None:
        tell(progress)
        live.show(progress)

    try:
        with live:
            done = run_trial(trial, folder, show=show, **how)
    except (KeyboardInterrupt, Terminated) as stop:
        kind, code = ("terminated", TERMINATED) if isinstance(stop, Terminated) else ("interrupted", INTERRUPTED)
        complain(f"{kind}: {live.saved()}; the same command goes on from there")
        sys.exit(code)
    for name, error in done.failed.items():
        complain(f"task {name} failed: {error} (see {folder / 'units' / name / 'failed.txt'})")
    return done


def _tell_failures(verdict: Any) -> bool:
    """Say on stderr which arms failed and why; whether one failed so often that the run did not succeed."""
    failed = [finding for finding in verdict.findings if finding.check == "failed"]
    for finding in failed:
        complain(f"{finding.message}: {'; '.join(finding.evidence[:1])}")
    for line in verdict.doubts[:1]:
        complain(f"these records do not verify: {line}")
    return bool(verdict.doubts) or any(finding.severity == "high" for finding in failed)


def _resolve(
    trial: Path | None,
    domain: str | None,
    methods: list[str] | None,
    settings: list[str] | None,
    limit: int | None,
    seed: int | None,
    trust_remote_code: bool = False,
) -> Any:
    from netgain.trials.resolve import demo_file, resolve

    if trial is not None and domain is not None:
        raise InputError(f"--domain {domain}", f"stands beside {trial}", "name a file, or the domain of a demo")
    options = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    source = trial if domain is None else demo_file(domain)
    found = resolve(source, methods or [], options, limit, trust_remote_code=trust_remote_code)
    for note in found.notes:  # such as of an arm that this machine cannot run
        complain(f"note: {note}")
    return found


@final
class Live:
    """Shows the progress of a launch until it is left."""

    def __init__(self, folder: Path, *, quiet: bool, to_stderr: bool, dollars_per_hour: float) -> None:
        self._folder, self._quiet, self._to_stderr, self._rate = folder, quiet, to_stderr, dollars_per_hour
        self._finished = -1
        self._progress: Any = None
        self._drawn: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and (sys.stderr if self._to_stderr else sys.stdout).isatty():
            from rich.live import Live as Drawn

            # It asks for the table itself, several times a second: the clock goes on while the model computes.
            self._drawn = Drawn(
                console=console(stderr=self._to_stderr), refresh_per_second=4, get_renderable=self._table
            )
            self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn is not None:
            self._drawn.stop()

    def show(self, progress: Any) -> None:
        """Take in how far everything is."""
        self._progress = progress
        if self._drawn is None and not self._quiet and progress.finished != self._finished:
            from netgain.report.plan_view import progress_line

            self._finished = progress.finished
            typer.echo(progress_line(progress, self._rate), err=self._to_stderr)

    def wait(self, holder: str) -> None:
        """Say who is waited for."""
        if not self._quiet:
            complain(f"waiting for {holder}, who works in {self._folder}")

    def saved(self) -> str:
        """What is safe on the disk, in words."""
        if self._progress is None:
            return "nothing was begun"
        done, of = self._progress.finished, len(self._progress.tasks)
        return f"{done} of {of} tasks are finished and saved in {self._folder}"

    def _table(self) -> Any:
        from netgain.report.plan_view import progress_page

        return "loading the model ..." if self._progress is None else progress_page(self._progress, self._rate)
