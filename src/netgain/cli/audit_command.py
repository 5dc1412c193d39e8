"""``netgain audit``: what a published comparison supports at equal compute."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, final

import typer
from typer.core import TyperCommand

from netgain.cli.app import Quiet, VerdictJson, compact_json, console, save, save_page, show_verdict
from netgain.errors import InputError
from netgain.records.identity import plain_name

if TYPE_CHECKING:
    from netgain.records.claim import Claim

DEFAULT_CARD = Path("claim.yaml")
LIBRARY_PAGE = Path("netgain-library.html")
PATHS = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Folder of published results, claim card (.yaml) or claim (.json). Without it: SEAL, packaged. "
        "Several are joined into one claim, an arm each; NAME=FOLDER,FOLDER is an arm of two.",
        show_default=False,
    ),
]
TREATED = Annotated[
    str | None, typer.Option(metavar="ARM", help="Whose gain is claimed: a folder or an arm.", show_default=False)
]
BASELINE = Annotated[
    str | None, typer.Option(metavar="ARM", help="The arm that it is held against.", show_default=False)
]
FROZEN = Annotated[str | None, typer.Option(metavar="ARM", help="The arm that was not trained.", show_default=False)]
PROVENANCE = Annotated[
    str,
    typer.Option(
        metavar="TEXT", help="Where and when the results were obtained; kept in the saved claim.", show_default=False
    ),
]
TOKENIZER = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Hugging Face folder whose tokenizer.json counts tokens exactly.", show_default=False
    ),
]


@final
class ArmPair(NamedTuple):
    """Two arms to compare."""

    a: str
    b: str


@final
class AuditCommand(TyperCommand):
    """``--compare A B`` can be repeated: an annotation can ask for many values or for two at a time, not for both."""

    def __init__(self, *args: Any, params: list[Any], **more: Any) -> None:
        super().__init__(*args, params=params, **more)
        for param in self.params:
            if param.name == "compare":
                param.nargs = len(ArmPair._fields)


def audit(
    paths: PATHS = None,
    treated: TREATED = None,
    baseline: BASELINE = None,
    frozen: FROZEN = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the page (default netgain-audit-CLAIM.html; with --json only if given).",
            show_default=False,
        ),
    ] = None,
    json: VerdictJson = False,
    compare: Annotated[
        list[ArmPair] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Add a comparison of two arms, by name or label. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who reads the folder: a name of `netgain list formats`, or your own FILE.py:CLASS.",
            show_default=False,
        ),
    ] = None,
    tokenizer: TOKENIZER = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    save_claim: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the distilled claim (figures only) as JSON.", show_default=False),
    ] = None,
    provenance: PROVENANCE = "",
    new_card: Annotated[
        bool,
        typer.Option("--new-card", help=f"Write a commented claim card to PATH (default {DEFAULT_CARD}) and stop."),
    ] = False,
    library: Annotated[
        bool, typer.Option("--library", help="Judge every claim that ships, and print one table of them all.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Say in one page what a published comparison supports at equal compute."""
    if library:
        _show_library(paths, html or (None if json else LIBRARY_PAGE), json=json, quiet=quiet)
        return
    if new_card:
        _write_card(Path(paths[0]) if paths else DEFAULT_CARD)
        return
    from netgain.audit import audit as auditing
    from netgain.tokens import ExactTokens

    counter = ExactTokens(tokenizer) if tokenizer else None
    if not paths and (treated or baseline or frozen):
        raise InputError("--treated, --baseline, --frozen", "need folders to choose from", "name them first")
    who = {"treated": treated, "baseline": baseline, "frozen": frozen}
    claim = auditing.read_joined(paths, counter, reader, **who) if paths else auditing.read_claim(None, counter, reader)
    if save_claim:
        _save_claim(save_claim, claim, provenance)
    verdict = auditing.audit(claim, seed=seed, asked=[_checked(pair) for pair in compare or []])
    if json:
        typer.echo(verdict.model_dump_json(by_alias=True, indent=2))
    page = html or _page_of(claim.name)
    if html or not json:
        from netgain.report.page import render

        save_page(page, render(verdict))
    if not json and not quiet:
        show_verdict(verdict, page)


def _show_library(paths: list[str] | None, html: Path | None, *, json: bool, quiet: bool) -> None:
    from netgain.audit.library import library, library_rows, library_summary

    if paths:
        raise InputError("--library", f"reads the claims that ship, not {paths[0]}", "leave one of the two out")
    rows = library_rows(library())
    summary = library_summary(rows)
    if json:
        typer.echo(compact_json({"rows": [row.dump() for row in rows], "summary": summary.lines}))
    if html:
        from netgain.report.library_view import library_page

        save_page(html, library_page(rows, summary))
    if not json and not quiet:
        from netgain.report.library_view import library_table

        screen = console()
        screen.print(library_table(rows))
        for line in summary.lines:
            screen.print(line, markup=False, highlight=False)
        screen.print(f"\npage: {html}", markup=False)


def _save_claim(path: Path, claim: "Claim", provenance: str) -> None:
    kept = claim.model_copy(update={"retrieved": provenance or claim.retrieved})
    save(path, compact_json(kept.dump()) + "\n")


def _page_of(claim: str) -> Path:
    """A page of its own for each claim, whatever characters are in its name."""
    return Path(f"netgain-audit-{plain_name(claim).strip('-.')[:80] or 'claim'}.html")


def _checked(pair: ArmPair) -> ArmPair:
    """A forgotten second arm would take the next option for its name."""
    if any(name.startswith("-") for name in pair):
        raise InputError("--compare", "takes two arms", "for example --compare iter2 base")
    return pair


def _write_card(path: Path) -> None:
    from netgain.audit.card import NEW_CARD

    if path.exists():
        raise InputError(str(path), "exists already", "name another file for the new card")
    save(path, NEW_CARD)
    typer.echo(f"wrote {path}; fill it in, then: netgain audit {path}")
