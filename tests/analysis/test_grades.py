"""The same answers by every grade: one decides, fixed before the run; the verdict says whether another would not."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from netgain.analysis.evidence import Evidence
from netgain.analysis.forgetting import stability_rows
from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Claim, GradeName
from netgain.records.samples import Adaptation, GradedAnswer, Row
from netgain.report.page import render
from netgain.trials.trial_claim import claim_of

Change = Callable[[str, GradedAnswer], dict[str, Any]]


@pytest.fixture(scope="module")
def design(simulated: ModuleType) -> Any:
    return simulated.Design(simulated.STANDARD, problems=6, ladder=(1.0,), controls=2)


@pytest.fixture(scope="module")
def rows(simulated: ModuleType, design: Any) -> list[Row]:
    return simulated.rows_of(design)  # type: ignore[no-any-return]


def graded(rows: Iterable[Row], change: Change) -> list[Row]:
    """The rows as they are recorded today: each answer with every grade, changed by arm."""
    found: list[Row] = []
    for row in rows:
        if isinstance(row, Adaptation):
            known = [a.model_copy(update={"contains": a.correct, "cut": False, "text": "x"}) for a in row.answers]
            answers = [answer.model_copy(update=change(row.arm, answer)) for answer in known]
            row = row.model_copy(update={"answers": tuple(answers)})
        found.append(row)
    return found


def claimed(simulated: ModuleType, design: Any, rows: list[Row], grade: GradeName = "exact") -> Claim:
    return claim_of(simulated.spec_of(design).model_copy(update={"grade": grade}), rows, simulated.ROLES)


def nothing(arm: str, answer: GradedAnswer) -> dict[str, Any]:
    return {}


def kinds(verdict: Verdict) -> dict[str, str]:
    return {row.grade: row.kind for row in verdict.grades}


def test_a_record_from_before_there_were_several_grades_says_nothing_of_them(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    verdict = judge(claimed(simulated, design, rows))
    assert (verdict.grades, verdict.answers) == ([], [])
    assert 'id="grades"' not in render(verdict)


def test_the_grade_that_decides_gives_the_verdict_and_the_others_stand_beside_it(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    """What every answer of SEAL contains, exact match does not see."""
    found = graded(rows, lambda arm, answer: {"contains": True} if arm == "seal" else {})
    verdict = judge(claimed(simulated, design, found))
    assert kinds(verdict)["exact"] == verdict.headline.kind
    assert kinds(verdict)["contains"] == "method"
    assert verdict.headline.kind != "method"
    seal = next(row for row in verdict.answers if verdict.arm(row.arm).method == "seal")
    assert seal.scores["contains"].value == 1.0
    assert seal.scores["exact"].value == pytest.approx(verdict.arm(seal.arm).accuracy)
    assert "grade-changes-the-answer" in {one.check for one in verdict.findings}
    page = render(verdict)
    assert 'id="grades"' in page
    assert "exact match (decides)" in page


def test_the_same_record_under_another_name_of_the_grade_is_the_other_verdict(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    """The page's figure beside a grade is what the trial would have said, had that one been fixed."""
    beside = judge(claimed(simulated, design, graded(rows, lambda arm, a: {"contains": not a.correct})))
    inside = graded(rows, lambda arm, a: {"contains": not a.correct, "correct": not a.correct, "exact": a.correct})
    decided = judge(claimed(simulated, design, inside, "contains"))
    (row,) = (row for row in beside.grades if row.grade == "contains")
    (primary,) = (found for found in decided.domains if found.primary)
    assert (row.kind, row.sentence) == (primary.kind, primary.sentence)
    assert kinds(beside) == kinds(decided)
    assert decided.terms
    assert decided.terms.grade == "contains"


def test_where_f1_decides_fractions_are_averaged_and_from_one_half_on_an_answer_is_right(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    def halves(arm: str, answer: GradedAnswer) -> dict[str, Any]:
        f1 = 0.6 if arm == "seal" else 0.5 if answer.correct else 0.4
        return {"f1": f1, "correct": f1 >= 0.5, "exact": False}

    claim = claimed(simulated, design, graded(rows, halves), "f1")
    verdict = judge(claim)
    (seal,) = (arm for arm in verdict.arms if arm.method == "seal" and arm.own)
    assert seal.accuracy == pytest.approx(0.6)
    assert all(arm.trial and arm.accuracy == pytest.approx(0.6) for arm in claim.arms if arm.name == seal.name)
    frozen = next(arm for arm in verdict.arms if arm.role == "frozen")
    assert frozen.accuracy == pytest.approx(0.4)  # of which none is right
    evidence = Evidence.of(claim, 0)
    assert set(np.unique(evidence.table.rows[seal.name].correct)) == {0.6}
    for row in (row for row in stability_rows(evidence) if row.arm == seal.name):
        assert (row.broken, row.fixed + row.previously_correct) == (0, row.questions)
        assert row.change
        assert row.change.value < 0.2
    assert "by F1" in render(verdict)


def test_the_shares_of_empty_and_of_cut_answers_are_counted_without_controls(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    def cut(arm: str, answer: GradedAnswer) -> dict[str, Any]:
        return {"cut": arm == "seal", "text": "" if answer.kind in ("seen", "skill") or not answer.correct else "x"}

    verdict = judge(claimed(simulated, design, graded(rows, cut)))
    for row in verdict.answers:
        arm = verdict.arm(row.arm)
        assert row.cut == (1.0 if arm.method == "seal" else 0.0)
        assert row.empty is not None
        assert 0 < row.empty < 1 or arm.role == "frozen"


def test_a_failed_adaptation_is_wrong_by_every_grade_and_no_empty_answer(
    simulated: ModuleType, design: Any, rows: list[Row]
) -> None:
    given = graded(rows, nothing)
    failed = [
        row.model_copy(update={"status": "failed", "error": "x", "answers": ()})
        if isinstance(row, Adaptation) and row.arm == "own"
        else row
        for row in given
    ]
    (own,) = (row for row in judge(claimed(simulated, design, failed)).answers if row.arm.startswith("plain/own"))
    assert {name: score.value for name, score in own.scores.items()} == {"exact": 0.0, "contains": 0.0, "f1": 0.0}
    assert (own.empty, own.cut) == (None, None)
