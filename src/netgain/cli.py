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
    from netgain.tokens import Exact

    claim = read_claim(path, Exact(tokenizer) if tokenizer else None)
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


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A journal that netgain wrote.", show_default=False)],
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Hash of the last row as it was published before.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Re-derive every number, hash and total of a journal and name the first row that lies."""
    from netgain.metering.verification import verify as verify_journal

    if not path.is_file():
        raise InputError(str(path), "there is no such file", "give the journal of a run")
    try:
        found = verify_journal(path, head=head)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    typer.echo(_dump(found.summary()).rstrip() if json else str(found))
    raise typer.Exit(0 if found.ok else 1)


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    pairs = [name.split(_BETWEEN) for name in names]
    if any(len(pair) != 2 for pair in pairs):
        raise _two_arms()
    return [(pair[0], pair[1]) for pair in pairs]


def _two_arms() -> InputError:
    return InputError("--compare", "takes two arms", "for example --compare iter2 base")


def _show(verdict: Any, page: Path) -> None:
    from rich.console import Console

    from netgain.report.terminal import show

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    show(verdict, console)
    console.print(f"\npage: {page}", markup=False)


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
