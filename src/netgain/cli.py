"""The command line: parse, call, print. Heavy modules are imported inside the commands, so that --help is instant."""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from netgain import __version__
from netgain.errors import InputError, NetgainError

app = typer.Typer(
    name="netgain",
    help="How much of a self-improving language model's gain is left once every method gets the same compute?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)
DEFAULT_PAGE = Path("netgain-audit.html")
DEFAULT_CARD = Path("claim.yaml")
_BETWEEN = "\x1f"


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"netgain {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def audit(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of published results, claim card (.yaml) or claim (.json). Without it: SEAL, packaged.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help=f"Where to write the page (default {DEFAULT_PAGE}; with --json only if given).", show_default=False
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON (schema: docs/verdict.schema.json).")
    ] = False,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Add a comparison of two arms, by name or label. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Hugging Face folder whose tokenizer.json counts tokens exactly.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    save_claim: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the distilled claim (figures only) as JSON.", show_default=False),
    ] = None,
    provenance: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Where and when the results were obtained; kept in the saved claim.",
            show_default=False,
        ),
    ] = "",
    new_card: Annotated[
        bool,
        typer.Option("--new-card", help=f"Write a commented claim card to PATH (default {DEFAULT_CARD}) and stop."),
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Say in one page what a published comparison supports at equal compute."""
    if new_card:
        _write_card(path or DEFAULT_CARD)
        return
    from netgain.audit.audit import audit as judge_claim
    from netgain.audit.audit import read_claim
    from netgain.tokens import ExactTokens

    claim = read_claim(path, ExactTokens(tokenizer) if tokenizer else None)
    if save_claim:
        _save(save_claim, _dump(claim.model_copy(update={"retrieved": provenance or claim.retrieved}).dump()))
    verdict = judge_claim(claim, seed=seed, asked=_pairs(compare or []))
    if json:
        typer.echo(verdict.model_dump_json(by_alias=True, indent=2))
    if html or not json:
        from netgain.report.page import render

        _save(html or DEFAULT_PAGE, render(verdict))
    if not json and not quiet:
        _show(verdict, html or DEFAULT_PAGE)


TRIAL = typer.Argument(help="The YAML file of a trial. Without it: the demo, packaged.", show_default=False)
METHOD = typer.Option(
    metavar="FILE.py:CLASS", help="Add an arm: a method of your own. Can be repeated.", show_default=False
)


@app.command()
def plan(
    trial: Annotated[Path | None, TRIAL] = None,
    method: Annotated[list[str] | None, METHOD] = None,
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
    from netgain.trials.prepare import make_plan

    found = make_plan(_ask(trial, method or []), device, dollars_per_hour)
    if json:
        typer.echo(_dump(found.dump()).rstrip())
        return
    from netgain.report.trial import plan_page

    _console().print(plan_page(found))


@app.command()
def run(
    trial: Annotated[Path | None, TRIAL] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where records go (default runs/NAME). Run again to go on.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a core; one on a GPU).", show_default=False)
    ] = None,
    method: Annotated[list[str] | None, METHOD] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    dollars_per_hour: Annotated[float, typer.Option(min=0, help="What an hour of the device costs you.")] = 0.0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Run a trial at equal compute, or go on with it, and judge it."""
    from netgain.trials.launch import Plant, launch, suited

    asked = _ask(trial, method or [])
    folder = out or Path("runs") / asked.spec.name
    plant = Plant(
        spec=asked.spec,
        folder=folder,
        find_method=asked.find_method,
        find_domain=asked.find_domain,
        device=device,
        places=asked.places,
    )
    with _Shown(quiet=quiet, dollars_per_hour=dollars_per_hour) as shown:
        done = launch(plant, jobs=jobs or suited(device), show=shown.show)
    for name, error in done.failed.items():
        typer.echo(f"netgain: unit {name} failed: {error} (see {folder / 'units' / name / 'failed.txt'})", err=True)
    if done.finished:
        _judge(folder, quiet=quiet)
    if not done.complete:
        raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Judge a run again from its records, and write its page."""
    if not (folder / "samples.jsonl").is_file():
        raise InputError(str(folder), "holds no samples.jsonl", "give the folder of a run")
    _judge(folder, quiet=quiet)


@app.command()
def verify(
    path: Annotated[
        Path, typer.Argument(help="A journal that netgain wrote, or the folder of a run.", show_default=False)
    ],
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Hash of the last row as it was published before.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Re-derive every number, hash and total of a journal (or of all journals of a run) and name the first row that lies."""
    from netgain.metering.verification import verify as verify_journal

    journals = sorted(path.glob("units/*/journal")) if path.is_dir() else [path]
    if not journals or not all(journal.is_file() for journal in journals):
        raise InputError(str(path), "there is no such file", "give the journal of a run, or the folder of a run")
    if head is not None and len(journals) > 1:
        raise InputError("--head", "belongs to one journal", "give the journal itself")
    ok = True
    for journal in journals:
        try:
            found = verify_journal(journal, head=head)
        except OSError as error:
            raise InputError(str(journal), f"cannot be read: {error.strerror}") from None
        typer.echo(_dump(found.summary()).rstrip() if json else str(found))
        ok = ok and found.ok
    raise typer.Exit(0 if ok else 1)


def _ask(trial: Path | None, methods: list[str]) -> Any:
    from netgain.extensions import find_domain, find_method
    from netgain.trials.prepare import ask

    return ask(trial, methods, find_method, find_domain)


def _judge(folder: Path, *, quiet: bool) -> None:
    """Verdict and page of a run, from its records alone."""
    from netgain.analysis.trial.judge import judge_run
    from netgain.records.samples import read_rows
    from netgain.report.page import render
    from netgain.trials.store import Store

    spec, roles = Store(folder).asked()
    verdict = judge_run(spec, read_rows(folder / "samples.jsonl"), roles=roles, seed=spec.seed)
    _save(folder / "verdict.json", verdict.model_dump_json(by_alias=True, indent=2) + "\n")
    _save(folder / "report.html", render(verdict))
    if not quiet:
        _show(verdict, folder / "report.html")


class _Shown:
    """Progress on the terminal: a table that is drawn anew, or a line for each unit where nobody watches."""

    def __init__(self, *, quiet: bool, dollars_per_hour: float) -> None:
        self._quiet, self._rate, self._units = quiet, dollars_per_hour, -1
        self._live: Any = None

    def __enter__(self) -> "_Shown":
        if not self._quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(console=_console(), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Any) -> None:
        """Take in how far everything is."""
        from netgain.report.trial import progress_line, progress_page

        if self._live is not None:
            self._live.update(progress_page(progress, self._rate))
        elif not self._quiet and progress.finished != self._units:
            self._units = progress.finished
            typer.echo(progress_line(progress, self._rate))


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    pairs = [name.split(_BETWEEN) for name in names]
    if any(len(pair) != 2 for pair in pairs):
        raise _two_arms()
    return [(pair[0], pair[1]) for pair in pairs]


def _two_arms() -> InputError:
    return InputError("--compare", "takes two arms", "for example --compare iter2 base")


def _show(verdict: Any, page: Path) -> None:
    from netgain.report.terminal import show

    console = _console()
    show(verdict, console)
    console.print(f"\npage: {page}", markup=False)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _dump(data: dict[str, Any]) -> str:
    import json

    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written: {error.strerror}", "name a file in a folder that exists"
        ) from None


def _write_card(path: Path) -> None:
    from netgain.audit.card import NEW_CARD

    if path.exists():
        raise InputError(str(path), "exists already", "name another file for the new card")
    _save(path, NEW_CARD)
    typer.echo(f"wrote {path}; fill it in, then: netgain audit {path}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = app(args=_joined(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except NetgainError as error:
        _fail(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except TyperException as error:
        # The usage errors carry their option and the nearest valid word in a method that their public base lacks.
        message = getattr(error, "format_message", error.__str__)()
        _fail(f"{message} (netgain --help lists what is valid)", 2)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _joined(arguments: list[str]) -> list[str]:
    """``--compare A B`` as one value each time it is given: the parser takes pairs only once."""
    if "--compare" not in arguments:
        return arguments
    at = arguments.index("--compare")
    pair = arguments[at + 1 : at + 3]
    if len(pair) < 2 or any(name.startswith("-") for name in pair):
        raise _two_arms()
    return [*arguments[:at], f"--compare={_BETWEEN.join(pair)}", *_joined(arguments[at + 3 :])]


def _fail(message: str, code: int) -> None:
    typer.echo("netgain: " + " ".join(message.split()), err=True)
    sys.exit(code)
