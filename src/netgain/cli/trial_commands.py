"""``netgain plan`` and ``netgain run``: a trial before and while it runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from netgain.cli.app import Limit, Methods, Quiet, Seed, Settings, TrialFile, compact_json, console, judge_folder
from netgain.cli.live import Live


def plan(
    trial: TrialFile = None,
    method: Methods = None,
    settings: Settings = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="H200, H100, A100, L40S, RTX 4090, or cpu for this machine.", show_default=False
        ),
    ] = None,
    dollars_per_hour: Annotated[
        float | None, typer.Option(min=0, help="What an hour of the device costs you.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Say what a trial would take and what it could see. No weights are needed, and nothing is spent."""
    from netgain.trials.plan import make_plan

    found = make_plan(_resolve(trial, method, settings, limit, seed), device, dollars_per_hour)
    if json:
        typer.echo(compact_json(found.dump()))
        return
    from netgain.report.trial import plan_page

    console().print(plan_page(found))


def run(
    trial: TrialFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where records go (default runs/NAME). Run again to go on.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a core; one on a GPU).", show_default=False)
    ] = None,
    method: Methods = None,
    settings: Settings = None,
    limit: Limit = None,
    seed: Seed = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    dollars_per_hour: Annotated[float, typer.Option(min=0, help="What an hour of the device costs you.")] = 0.0,
    quiet: Quiet = False,
) -> None:
    """Run a trial at equal compute, or go on with it, and judge it."""
    from netgain.trials.executor import suited
    from netgain.trials.schedule import run_trial

    resolved = _resolve(trial, method, settings, limit, seed)
    limited = "" if resolved.spec.limited_from is None else f"-limit-{resolved.spec.problems.test}"
    folder = out or Path("runs") / f"{resolved.spec.name}{limited}"
    with Live(quiet=quiet, dollars_per_hour=dollars_per_hour) as live:
        result = run_trial(resolved, folder, device=device, jobs=jobs or suited(device), show=live.show)
    for reason in result.reasons():
        typer.echo(f"netgain: {reason}", err=True)
    if result.finished:
        judge_folder(folder, quiet=quiet)
    if not result.complete:
        raise typer.Exit(1)


def _resolve(
    trial: Path | None, methods: list[str] | None, settings: list[str] | None, limit: int | None, seed: int | None
) -> Any:
    from netgain.trials.resolve import resolve

    options = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    return resolve(trial, methods or [], options, limit)
