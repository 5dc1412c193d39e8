"""``netgain audit``: what a published comparison supports at equal compute."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple, final

import typer
from typer.core import TyperCommand

from netgain.cli.app import Quiet, compact_json, save, show_verdict
from netgain.errors import InputError

DEFAULT_PAGE = Path("netgain-audit.html")
DEFAULT_CARD = Path("claim.yaml")


@final
class Pair(NamedTuple):
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
                param.nargs = len(Pair._fields)


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
        list[Pair] | None,
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
    quiet: Quiet = False,
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
        kept = claim.model_copy(update={"retrieved": provenance or claim.retrieved})
        save(save_claim, compact_json(kept.dump()) + "\n")
    verdict = judge_claim(claim, seed=seed, asked=[_checked(pair) for pair in compare or []])
    if json:
        typer.echo(verdict.model_dump_json(by_alias=True, indent=2))
    if html or not json:
        from netgain.report.page import render

        save(html or DEFAULT_PAGE, render(verdict))
    if not json and not quiet:
        show_verdict(verdict, html or DEFAULT_PAGE)


def _checked(pair: Pair) -> Pair:
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
