"""``netgain status``, ``report`` and ``verify``: a run's records, looked at, judged again and checked."""

from pathlib import Path
from typing import Annotated

import typer

from netgain.cli.app import Quiet, compact_json, judge_folder
from netgain.errors import InputError


def status(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say how far a run is, what failed and why, what is spent and how long it will take; also while it is running."""
    from netgain.trials.progress import status_of

    found = status_of(folder)
    if json:
        typer.echo(compact_json(found.dump()))
        return
    from netgain.report.plan_view import status_text

    typer.echo(status_text(found))


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON (schema: docs/verdict.schema.json).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Judge a run again from its records, and write its page."""
    if not (folder / "samples.jsonl").is_file():
        raise InputError(str(folder), "holds no samples.jsonl", "give the folder of a run")
    judge_folder(folder, quiet=quiet, json=json)


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
    """Re-derive every number, hash and total of a journal or of a whole run, and name the first row that lies."""
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
        typer.echo(compact_json(found.summary()) if json else str(found))
        ok = ok and found.ok
    raise typer.Exit(0 if ok else 1)
