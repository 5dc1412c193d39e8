"""``netgain status``, ``report``, ``board``, ``pack``, ``unpack``, ``export`` and ``verify``: commands on records."""

from pathlib import Path
from typing import Annotated, Any

import typer

from netgain.cli.app import Json, Quiet, ReportTo, VerdictJson, compact_json, complain, judge_folder, save
from netgain.errors import InputError


def status(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    json: Json = False,
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
    json: VerdictJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a run's records and judge it again from them, and write its page.

    Ends with exit code 1 where the records do not verify; the page then says so above everything else.
    """
    for line in judge_folder(folder, quiet=quiet, json=json).doubts[:1]:
        complain(f"{folder}: does not verify: {line} (netgain verify {folder} says all of it)")
        raise typer.Exit(1)


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


def pack(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the record is kept, such as results/NAME.", show_default=False)
    ],
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Keep a run that was stopped, as it is.")] = False,
) -> None:
    """Keep a finished run small enough for a repository: its rows and every journal, compressed; verify takes it."""
    from netgain import api

    kept = api.pack(folder, out, unfinished=unfinished)
    sizes = {path.name: path.stat().st_size for path in sorted(kept.iterdir()) if path.is_file()}
    typer.echo(
        f"{kept}: {sum(sizes.values()):,} bytes ({', '.join(f'{name} {size:,}' for name, size in sizes.items())})"
    )


def unpack(
    folder: Annotated[Path, typer.Argument(help="A packed record.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder of the run.", show_default=False)],
) -> None:
    """Make the folder of a run from its packed record, so that run goes on with it, here or on another machine."""
    from netgain.trials.kept import KeptRun, unpack_run

    made = unpack_run(KeptRun(folder), out)
    typer.echo(f"{made}: goes on with netgain run TRIAL.yaml --out {made}")


def export(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files are written.", show_default=False)],
    arm: Annotated[
        str, typer.Option(metavar="NAME", help="Whose figures a model's .eval_results give (default: under test).")
    ] = "",
    dataset: Annotated[
        str, typer.Option(metavar="ID", help="The hub's name of the exam's data, for .eval_results.")
    ] = "",
    trackers: ReportTo = None,
) -> None:
    """Write a run for other tools: Every Eval Ever, the compute card, a model card's section and .eval_results.

    The run's own folder stays as it is."""
    import json

    import yaml

    from netgain import api
    from netgain.report import exports
    from netgain.report import trackers as tracking
    from netgain.trials.kept import KeptRun

    tracking.require(trackers or [])
    run = KeptRun(folder)
    verdict = api.judge_run(run)
    results = exports.eval_results(verdict, arm, dataset)
    pages = api.answer_pages(run, verdict)
    (out / "every-eval-ever").mkdir(parents=True, exist_ok=True)
    records = exports.every_eval_ever(verdict)
    lines = exports.instances(pages.outcome, records, pages.examined)
    for number, (name, record) in enumerate(records.items(), start=1):
        save(out / "every-eval-ever" / f"{number:03d}.json", exports.as_json(record))
        answered = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines.get(name, []))
        save(out / "every-eval-ever" / f"{number:03d}_samples.jsonl", answered)
    save(out / "compute-card.json", exports.as_json({"methods": exports.compute_card(verdict)}))
    save(out / "compute-card.md", exports.compute_card_markdown(verdict))
    save(out / "model-card.md", exports.model_card(verdict))
    if results:
        (out / ".eval_results").mkdir(exist_ok=True)
        save(out / ".eval_results" / "netgain.yaml", yaml.safe_dump(results, sort_keys=False, allow_unicode=True))
    hub = ".eval_results" if results else "no .eval_results (--dataset names the exam's data on the hub)"
    files = "compute-card.md and compute-card.json, model-card.md"
    typer.echo(f"{out}: {len(records)} Every Eval Ever records with their samples, {files}, {hub}")
    if trackers:
        count = tracking.report(verdict, trackers, out)
        typer.echo(f"{count} arms reported to {', '.join(trackers)}")


def verify(
    path: Annotated[
        Path,
        typer.Argument(
            help="A journal that netgain wrote, the folder of a run, or a packed record.", show_default=False
        ),
    ],
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Hash of the last row as it was published before.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Root of a run or a record as it was published before.", show_default=False),
    ] = None,
    without_journals: Annotated[
        bool, typer.Option("--without-journals", help="Accept a record without its journals, as far as it tells.")
    ] = False,
    json: Json = False,
) -> None:
    """Re-derive every hash, number and total of a journal or of a whole run, its verdict too, and name what lies.

    Ends with exit code 1 where anything does. Of a run it prints the root, one hash over everything in it: publish it,
    and with --root not even a folder that was rewritten whole passes.
    """
    if path.is_dir():
        if head is not None:
            raise InputError("--head", "belongs to one journal", "give the journal itself, or --root")
        _verify_folder(path, root, json=json, without_journals=without_journals)
        return
    if root is not None or without_journals:
        name = "--without-journals" if root is None else "--root"
        raise InputError(name, "belongs to a run", "give the folder of a run, or a packed record")
    if not path.is_file():
        raise InputError(str(path), "there is no such file", "give the journal of a run, or the folder of a run")
    from netgain.metering.verification import verify as verify_journal

    try:
        found = verify_journal(path, head=head)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    typer.echo(compact_json(found.summary()) if json else str(found))
    raise typer.Exit(0 if found.ok else 1)


def _verify_folder(path: Path, published: str | None, *, json: bool, without_journals: bool) -> None:
    """The same for a run's folder or a packed record."""
    from netgain.api import check_run

    def show(found: Any) -> None:
        typer.echo(compact_json(found.summary()) if json else str(found))

    checked, root = check_run(path, show)
    lies, unknown = checked.found, list(checked.unknown)
    if published is not None and published.strip() != root:
        lies.insert(0, f"the root is {root}, not the published {published}: something was changed since")
    if not checked.journals and not without_journals:
        lies.append(f"{unknown.pop()} (--without-journals accepts that)")
    if json:
        typer.echo(
            compact_json({"path": str(path), "ok": not lies, "findings": lies, "unknown": unknown, "root": root})
        )
    else:
        for lie in lies:
            typer.echo(f"{path}: not verified: {lie}")
        for line in unknown:
            typer.echo(f"{path}: not told: {line}")
        agree = "journals, rows, verdict and what was asked" if checked.journals else "rows, verdict and what was asked"
        if not lies:
            typer.echo(f"{path}: verified: {agree} agree; root {root}")
    raise typer.Exit(1 if lies else 0)
