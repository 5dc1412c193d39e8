"""The library: cards that say where each figure was read, judged like any other claim, in one table that stays true."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit
from netgain.audit.library import LibraryRow, library, library_row, library_summary
from netgain.records.claim import Claim
from netgain.report.library_view import MARK, NOT_CHECKED, library_markdown, library_page

ROOT = Path(__file__).parents[2]
CARDS = sorted(Path(str(files("netgain.audit") / "published")).glob("*.yaml"))


@cache
def claims() -> dict[str, Claim]:
    return {claim.name: claim for claim in library()}


@cache
def judged(name: str) -> Verdict:
    return audit(claims()[name])


@cache
def rows() -> dict[str, LibraryRow]:
    return {name: library_row(claim, judged(name)) for name, claim in claims().items()}


def checks(name: str) -> dict[str, str]:
    return {finding.check: finding.message for finding in judged(name).findings}


def test_there_are_enough_cards_and_both_versions_of_seal() -> None:
    assert len(claims()) >= 27
    assert {"seal", "seal-v2"} <= set(claims())


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_every_arm_says_where_its_figures_were_read_and_how_sure_that_is(card: Path) -> None:
    claim = claims()[card.stem]
    assert claim.read in {"primary text", "primary text in part", "summary"}
    assert all(source.sure and source.file for arm in claim.arms for source in arm.sources)
    sure = {source.sure for arm in claim.arms for source in arm.sources}
    assert ("summary" in sure) == (claim.read != "primary text")


FACES = {
    "primary text": "# Read in the primary text.",
    "primary text in part": "# Some figures were read in the primary text, the others in summaries of it: `sure` says",
    "summary": "# Read in summaries of the paper, NOT checked against the primary text: check a figure there before",
}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_the_first_line_of_a_card_says_what_its_field_says_and_a_paper_has_the_shape_of_a_number(card: Path) -> None:
    claim, text = claims()[card.stem], card.read_text(encoding="utf-8")
    assert text.startswith(FACES[claim.read])
    assert re.fullmatch(r"(arXiv [0-9]{2}(0[1-9]|1[0-2])\.[0-9]{5})?", claim.paper)
    numbers = set(re.findall(r"\b[0-9]{4}\.[0-9]{4,5}\b", text))
    assert numbers <= {claim.paper.removeprefix("arXiv ")}  # one paper, one number: a card names no second one


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_card_that_was_not_checked_says_so_on_its_face_in_its_verdict_and_in_the_table(card: Path) -> None:
    unchecked = claims()[card.stem].read == "summary"
    assert ("NOT checked against the primary text" in card.read_text(encoding="utf-8").splitlines()[0]) == unchecked
    if unchecked:
        assert "not-checked-against-primary-text" in checks(card.stem)
        line = next(line for line in library_markdown([rows()[card.stem]], library_summary([])).splitlines()[-1:])
        assert NOT_CHECKED in line


def test_the_two_scores_that_no_count_of_right_answers_gives_are_found() -> None:
    assert "12.0 % of 30 answers is no count of right ones" in checks("aime25-readme")["unreachable-score"]
    told = checks("ttt-arc")["unreachable-score"]
    assert "47.1 % of 400 answers" in told
    assert "a macro-average, several seeds, partial credit or a slip" in told
    assert "5.6 is that of 3 of 30 (10.0 %)" in checks("aime25-readme")["standard-error-misfits"]
    assert "62.8 % in its table" in checks("ttt-arc")["places-disagree"]


@pytest.mark.parametrize("name", ["star", "rft", "lmsi", "s1", "rstar-math", "rasbt-grpo", "ttrl", "seal", "seal-v2"])
def test_scores_that_some_count_gives_are_left_alone(name: str) -> None:
    assert "unreachable-score" not in checks(name)


@pytest.mark.parametrize(
    ("name", "claimed", "left", "outcome", "decides"),
    [
        ("scol", 19.16, 0.36, "changes", "own control"),
        ("rest-em", 6.34, 1.6, "changes", "own control"),
        ("r-zero", 7.54, 3.81, "stands", "own control"),
        ("spurious-rewards", 29.1, 7.7, "changes", "own control"),
        ("b-star", 7.0, 7.0, "stands", "equal compute"),
        ("rft", 13.4, None, "cannot tell", "the baseline's updates"),
        ("entigraph", 18.07, None, "cannot tell", "what the arms were trained on"),
        ("v-star", 6.0, None, "cannot tell", "answers drawn at the exam"),
        ("rstar-math", 31.2, None, "cannot tell", "answers drawn at the exam"),
        ("aime25-readme", 8.7, None, "cannot tell", "text, table and log differ"),
        ("s1", 6.7, None, "cannot tell", "the interval of the claimed gain contains zero"),
        ("seal-v2", 26.2, None, "cannot tell", "where training starts"),
    ],
)
def test_what_is_left_of_a_claim_and_what_decides(
    name: str, claimed: float, left: float | None, outcome: str, decides: str
) -> None:
    row = rows()[name]
    assert row.claimed is not None
    assert 100 * row.claimed == pytest.approx(claimed, abs=0.01)
    assert (row.left_value is None) == (left is None)
    assert left is None or 100 * (row.left_value or 0.0) == pytest.approx(left, abs=0.01)
    assert (row.outcome, row.decides) == (outcome, decides)


def test_what_a_card_does_not_state_stays_unknown() -> None:
    sdft = judged("sdft")
    assert all(arm.accuracy is None and arm.updates is None for arm in sdft.arms)
    assert rows()["sdft"].claimed is None


def test_the_page_of_the_documentation_is_what_the_cards_say() -> None:
    told = library_markdown(list(rows().values()), library_summary(list(rows().values())))
    written = (ROOT / "docs" / "library.md").read_text(encoding="utf-8").partition(MARK)[2]
    assert written.strip() == told.strip(), "run scripts/library"


def test_the_page_holds_every_claim_and_opens_offline() -> None:
    page = library_page(list(rows().values()), library_summary(list(rows().values())))
    assert page.startswith("<!doctype html>")
    assert all(row.title.split(" (")[0].split("'")[0] in page for row in rows().values())
    assert "http-equiv" in page
    assert "src=" not in page


def test_a_summary_counts_each_claim_once() -> None:
    found = library_summary(list(rows().values()))
    assert found.comparable == found.stand + found.change
    assert found.claims == len(claims())


def test_a_claim_without_a_headline_has_a_row_that_cannot_tell() -> None:
    empty = Claim(name="c", title="C", arms=claims()["sdft"].arms)
    row = library_row(empty, audit(empty))
    assert (row.outcome, row.claimed, row.treated) == ("cannot tell", None, "not stated")
