"""``netgain board``: a static site of trials, audits and the library."""

from pathlib import Path
from typing import Annotated

import typer

from netgain.cli.app import Quiet


def board(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Folders of runs, packed records, folders of these (runs/, results/), published results, claim cards.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the site is written; an earlier one there is replaced.")
    ] = Path("board"),
    library: Annotated[
        bool, typer.Option("--library/--no-library", help="Show the library of published claims too.")
    ] = True,
    answers: Annotated[
        bool, typer.Option("--answers/--no-answers", help="Let trials have pages of every single answer.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Write a static site of trials, audits and the library: one table, a page for each row, no server."""
    from netgain.board import board as write_board
    from netgain.report.numbers import clean

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(clean(line), err=True)

    rows = write_board(folders or [], out, with_library=library, answers=answers, show=tell)
    if not quiet:
        typer.echo(f"{out / 'index.html'}: {len(rows)} comparisons; open it in a browser, no server is needed")
