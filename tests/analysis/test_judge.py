"""From a claim to its verdict, on claims small enough to check by hand."""

import random

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError
from netgain.records.claim import Arm, Charge, Claim, Exam, Problem, Purpose, RewardRun, Role
from netgain.records.cost import Cost
from netgain.records.provenance import Source

PROBLEMS = 40
EXAM = Exam(name="e", problems=tuple(Problem(id=f"p{i}", questions=("a", "b", "c")) for i in range(PROBLEMS)))


def arm(name: str, role: Role, right: int, **more: object) -> Arm:
    """An arm that answers the first ``right`` of every three questions, in a third of the problems one fewer."""
    fewer = random.Random(name)  # noqa: S311
    rights = [max(0, right - (fewer.random() < 0.3)) for _ in range(PROBLEMS)]
    rows = tuple("1" * r + "0" * (3 - r) for r in rights)
    frozen = tuple("100" if i % 2 else "000" for i in range(PROBLEMS))
    fields = {"name": name, "label": name.upper(), "setting": "s", "role": role, "exam": "e", "n_problems": PROBLEMS}
    return Arm.model_validate(fields | {"correct": rows, "frozen_correct": frozen} | more)


def charge(name: str, updates: float | None, purpose: Purpose = Purpose.ADAPT) -> Charge:
    return Charge(arm=name, purpose=purpose, operation="train", cost=Cost(updates=updates), source=Source(file="f"))


def verdict(*, rival_right: int, rival_updates: float | None, bill: float | None = 400.0) -> Verdict:
    arms = (arm("ours", Role.SELF_IMPROVING, 3, invests=("loop",)), arm("rival", Role.SYNTHETIC, rival_right))
    run = RewardRun(name="loop", prompt="", round=0, problems=2, edits=2, repeats=1, kept=2)
    charges = (charge("ours", 400), charge("rival", rival_updates), charge("loop", bill))
    claim = Claim(
        name="c",
        title="C",
        headline="ours",
        rival="rival",
        exams=(EXAM,),
        arms=arms,
        charges=charges,
        reward_runs=(run,),
    )
    return judge(claim)


def test_an_arm_ahead_of_an_equally_paid_rival_has_a_method() -> None:
    assert verdict(rival_right=2, rival_updates=800).headline.kind == "method"


def test_an_arm_ahead_of_a_starved_rival_proves_nothing() -> None:
    found = verdict(rival_right=2, rival_updates=400).headline
    assert found.kind == "unmatched"
    assert "50%" in found.sentence


def test_an_equal_rival_that_cost_less_leaves_nothing() -> None:
    assert verdict(rival_right=3, rival_updates=100).headline.kind == "nothing left"


def test_a_dearer_rival_cannot_be_matched() -> None:
    assert verdict(rival_right=2, rival_updates=5000).headline.kind == "cannot tell"


def test_unknown_costs_are_never_taken_for_zero() -> None:
    found = verdict(rival_right=2, rival_updates=None)
    assert found.headline.kind == "cannot tell"
    assert found.arm("rival").updates_per_problem is None


def test_an_outer_loop_is_charged_to_the_arm_that_stands_on_it() -> None:
    rows = {
        row.basis: row for row in verdict(rival_right=2, rival_updates=400).decomposition if row.currency == "updates"
    }
    assert rows["adapt only"].budget_per_problem == 10
    assert rows["with outer loop"].budget_per_problem == 20


def test_an_unknown_bill_makes_the_budget_a_lower_bound() -> None:
    row = next(
        r for r in verdict(rival_right=2, rival_updates=400, bill=None).decomposition if r.basis == "with outer loop"
    )
    assert row.budget_incomplete


def test_same_claim_and_seed_same_verdict_and_another_seed_other_intervals() -> None:
    claim = Claim(name="c", title="C", exams=(EXAM,), arms=(arm("a", Role.SYNTHETIC, 2), arm("b", Role.PASSAGE, 1)))
    assert judge(claim, seed=3) == judge(claim, seed=3)
    first, second = (judge(claim, seed=seed, asked=[("a", "b")]).comparisons for seed in (3, 4))
    assert [row.difference for row in first] == [row.difference for row in second]
    assert [(row.low, row.high, row.p) for row in first] != [(row.low, row.high, row.p) for row in second]


def test_a_question_asked_twice_counts_once_in_comparisons() -> None:
    exam = Exam(name="e", problems=(Problem(id="p", questions=("a", "a", "b")), Problem(id="q", questions=("a",))))
    arms = tuple(
        Arm(name=n, label=n, setting="s", role=Role.SYNTHETIC, exam="e", correct=rows)
        for n, rows in (("x", ("110", "1")), ("y", ("000", "1")))
    )
    found = judge(Claim(name="c", title="C", exams=(exam,), arms=arms), asked=[("x", "y")])
    row = next(row for row in found.comparisons if row.kind == "asked")
    assert row.difference == pytest.approx((0.5 + 0.0) / 2)
    assert row.n_questions == 3
    assert found.arm("x").accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert "asked twice" in found.notes[-1]


def test_arms_are_joined_by_question_not_by_position() -> None:
    other = Exam(name="f", problems=tuple(reversed(EXAM.problems)))
    mine = arm("a", Role.SYNTHETIC, 2)
    theirs = arm("b", Role.PASSAGE, 2).model_copy(update={"exam": "f", "correct": tuple(reversed(mine.correct or ()))})
    found = judge(Claim(name="c", title="C", exams=(EXAM, other), arms=(mine, theirs)), asked=[("a", "b")])
    row = next(row for row in found.comparisons if row.kind == "asked")
    assert (row.difference, row.only_a, row.only_b) == (0.0, 0, 0)


@pytest.mark.parametrize(("pair", "problem"), [(("a", "bb"), "no arm is called 'bb'"), (("a", "A"), "with itself")])
def test_a_comparison_with_an_arm_that_does_not_exist_is_refused(pair: tuple[str, str], problem: str) -> None:
    claim = Claim(name="c", title="C", exams=(EXAM,), arms=(arm("a", Role.SYNTHETIC, 2), arm("b", Role.PASSAGE, 1)))
    with pytest.raises(InputError, match=problem):
        judge(claim, asked=[pair])
