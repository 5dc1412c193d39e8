"""A trial's page and terminal: from the same template as an audit's, whole, inert, and also where little is known."""

from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.report.page import render
from netgain.report.terminal import show
from netgain.trials.trial_claim import claim_of

from .test_page import HOSTILE, Reader


def verdict_of(simulated: ModuleType, design: Any, rows: Any = None) -> Verdict:
    made = simulated.rows_of(design) if rows is None else rows
    return judge(claim_of(simulated.spec_of(design), made, simulated.ROLES, device="two cores"))


@pytest.fixture(scope="module")
def verdict(simulated: ModuleType) -> Verdict:
    domains = {"plain": 0.0, "narrative": -0.1}
    return verdict_of(simulated, simulated.Design(simulated.STANDARD, controls=2, domains=domains, problems=24))


@pytest.fixture(scope="module")
def page(verdict: Verdict) -> str:
    return render(verdict)


def printed(verdict: Verdict) -> str:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        show(verdict, console)
    return captured.get()


def test_the_page_of_a_trial_holds_its_sections_and_none_of_an_audits(page: str) -> None:
    found = Reader(page)
    sections = {
        *("gap", "regimes", "ladder", "deployments", "compute", "differences", "reward", "stability", "luck"),
        *("findings", "arms", "card", "sources"),
    }
    assert sections <= set(found.ids)
    assert not {"questions", "frontier", "bill"} & set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert not found.suspicious
    assert found.tags.count("script") == 1


def test_both_domains_are_on_one_page(verdict: Verdict, page: str) -> None:
    assert page.index("<h3>plain</h3>") < page.index("<h3>narrative</h3>")
    assert all(row.sentence.split(";")[0] in page for row in verdict.domains)


def test_the_page_says_how_its_intervals_were_made(page: str) -> None:
    assert "over 24 problems and 3 seeds" in page
    assert "chosen on development problems" in page


def test_a_single_seed_is_said_to_leave_luck_out(simulated: ModuleType) -> None:
    text = render(verdict_of(simulated, simulated.Design(simulated.STANDARD, seeds=1, problems=12)))
    assert "the luck of the outer loop is not covered" in text


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7])
def test_an_unfinished_trial_has_a_page_and_a_print(simulated: ModuleType, share: float) -> None:
    design = simulated.Design(simulated.STANDARD, problems=8, controls=1)
    rows = simulated.rows_of(design)
    found = verdict_of(simulated, design, rows[: int(share * len(rows))])
    assert "Unfinished: " in render(found)
    assert "Unfinished: " in printed(found)


@pytest.mark.parametrize(
    "left", [("frozen",), ("seal",), ("frozen", "seal"), ("passage", "seal"), ("frozen", "passage")]
)
def test_a_trial_of_few_arms_has_a_page_and_a_print(simulated: ModuleType, left: tuple[str, ...]) -> None:
    arms = {name: simulated.STANDARD[name] for name in left}
    compare = "seal" if "seal" in left else left[-1]
    found = verdict_of(simulated, simulated.Design(arms, compare=compare, problems=8))
    assert "<h1" in render(found)
    assert printed(found)


def test_outside_text_is_text_in_a_trial_too(simulated: ModuleType) -> None:
    arms = {
        name: simulated.Arm(a.method, a.right, a.slope, a.luck, a.learns, HOSTILE)
        for name, a in simulated.STANDARD.items()
    }
    found = Reader(render(verdict_of(simulated, simulated.Design(arms, controls=1, problems=8))))
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not found.suspicious


def test_the_terminal_shows_sentence_bars_and_matched_arms(verdict: Verdict) -> None:
    text = printed(verdict)
    assert "netgain trial" in text
    assert "the gap taken apart" in text
    assert "FLOPs a problem" in text
    assert "four questions" not in text
    assert text.index("plain") < text.index("narrative: the gap")


def test_same_verdict_same_bytes(verdict: Verdict, page: str) -> None:
    assert render(verdict) == page
    assert len(page.encode()) < 3_000_000
