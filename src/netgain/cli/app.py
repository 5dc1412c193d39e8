"""The application object of the command line and what its commands share: options, the console, writing files.

Heavy modules are imported inside the commands, so that ``--help`` is instant.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from netgain import SOFTWARE
from netgain.errors import InputError, one_line

app = typer.Typer(
    name="netgain",
    help="How much of a self-improving language model's gain is left once every method gets the same compute?",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)

TrialFile = Annotated[
    Path | None, typer.Argument(help="The YAML file of a trial. Without it: the demo, packaged.", show_default=False)
]
Demo = Annotated[
    str | None,
    typer.Option(
        "--domain", metavar="NAME", help="Without a file: the demo of this domain, people or grids.", show_default=False
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="FILE.py:CLASS",
        help="Add an arm: a method of your own. Can be repeated.",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Set a field of the trial, in YAML: --set budget.per_problem=1e9. Can be repeated.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Examine at most N test problems, to try a trial out: the verdict says so, and its records go to a folder "
        "of their own (default runs/NAME-limit-N).",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="First seed, in place of the trial's `seed`.", show_default=False),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Run the Python code that the trial's models bring along: read it before."
    ),
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option(
        "--report-to",
        metavar="TRACKER",
        help="Hand curves while it runs, and every arm's figures at the end, to trackio, wandb, mlflow or tensorboard. "
        "Can be repeated; off unless given.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
VerdictJson = Annotated[
    bool, typer.Option("--json", help="Print the verdict as JSON (schema: docs/verdict.schema.json).")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(SOFTWARE)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def console(*, stderr: bool = False) -> Any:
    """The terminal, or 120 columns where the output goes to a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(highlight=False, stderr=stderr, width=None if stream.isatty() else 120)


INTERRUPTED, TERMINATED = 130, 143  # as shells count them: 128 and the number of the signal


def complain(message: str) -> None:
    """One line on stderr, of text that a terminal only prints."""
    typer.echo(f"netgain: {one_line(message)}", err=True)


def compact_json(data: dict[str, Any]) -> str:
    """One line of JSON without its newline."""
    import json

    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def save(path: Path, text: str) -> None:
    """Write a file that the user named. Raises InputError where that cannot be."""
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written: {error.strerror}", "name a file in a folder that exists"
        ) from None


def save_page(path: Path, page: str) -> None:
    """Write a page; an earlier one of ours is replaced. Raises InputError where the file there is not one of ours."""
    if path.is_file() and b"<title>netgain" not in path.read_bytes()[:4096]:
        raise InputError(str(path), "exists and was not written by netgain", "name another file with --html")
    save(path, page)


def judge_folder(folder: Path, *, quiet: bool, json: bool) -> Any:
    """The verdict on a run, from its records alone: written, with its page, and shown or printed as JSON."""
    from netgain import api

    verdict = api.judge_folder(folder)
    if json:
        typer.echo(verdict.model_dump_json(by_alias=True, indent=2))
    elif not quiet:
        show_verdict(verdict, folder / "report.html")
    return verdict


def show_verdict(verdict: Any, page: Path) -> None:
    """A verdict on the terminal, and where its page is."""
    from netgain.report.terminal import show

    screen = console()
    show(verdict, screen)
    screen.print(f"\npage: {page}", markup=False)
