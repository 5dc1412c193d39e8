"""From a claim to its verdict, on claims small enough to check by hand."""

import random

import pytest

from netgain.analysis.intervals import FEWEST_TO_RESAMPLE
from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError
from netgain.records.claim import Arm, Charge, Claim, Exam, ExamProblem, Purpose, RewardRun, Role
from netgain.records.cost import Cost
from netgain.records.provenance import Source

PROBLEMS = 40
EXAM = Exam(name="e", problems=tuple(ExamProblem(id=f"p{i}", questions=("a", "b", "c")) for i in range(PROBLEMS)))


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


def verdict(*, rival_right: int, rival_updates: float | None, bill: float | None = 400.0, **more: object) -> Verdict:
    arms = (arm("ours", Role.SELF_IMPROVING, 3, invests=("loop",)), arm("rival", Role.SYNTHETIC, rival_right, **more))
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


def test_the_number_of_problems_need_not_be_stated_beside_the_verdicts() -> None:
    """A reader may leave it out: it is how many problems were answered."""
    unsaid = verdict(rival_right=2, rival_updates=800, n_problems=None)
    assert unsaid.headline == verdict(rival_right=2, rival_updates=800).headline
    assert arm("x", Role.PASSAGE, 1, correct=("1-0", *("---",) * (PROBLEMS - 1)), n_problems=None).n_problems == 1


def test_an_outer_loop_is_charged_to_the_arm_that_stands_on_it() -> None:
    rows = {
        row.basis: row for row in verdict(rival_right=2, rival_updates=400).decomposition if row.currency == "updates"
    }
    assert rows["adapt only"].budget_per_problem == 10
    assert rows["with outer loop"].budget_per_problem == 20


def test_an_unknown_bill_is_a_lower_bound_and_rules_out_a_method() -> None:
    found = verdict(rival_right=2, rival_updates=400, bill=None)
    assert next(row for row in found.decomposition if row.basis == "with outer loop").budget_incomplete
    assert found.headline.kind == "unmatched"


def test_a_dearer_and_better_rival_is_named_where_the_budget_is_a_lower_bound() -> None:
    arms = (
        arm("ours", Role.SELF_IMPROVING, 2, invests_unpublished=("a round",)),
        arm("cheap", Role.PASSAGE, 1),
        arm("dear", Role.TEACHER, 3),
    )
    charges = (charge("ours", 400), charge("cheap", 40), charge("dear", 800))
    claim = Claim(name="c", title="C", headline="ours", exams=(EXAM,), arms=arms, charges=charges)
    found = judge(claim).headline
    assert found.kind == "unmatched"
    assert "over arms that cost more: DEAR \u2212" in found.sentence


def test_without_a_gain_there_is_nothing_to_take_apart() -> None:
    flat = Charge(arm="rival", purpose=Purpose.ADAPT, operation="t", cost=Cost(updates=400), source=Source(file="f"))
    arms = (arm("ours", Role.SELF_IMPROVING, 0), arm("rival", Role.PASSAGE, 0))
    charges = (charge("ours", 400), flat)
    claim = Claim(name="c", title="C", headline="ours", exams=(EXAM,), arms=arms, charges=charges)
    assert judge(claim).headline.kind == "no gain"


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_the_parts_of_a_gap_add_up_and_a_share_needs_a_gap_and_enough_problems(seed: int) -> None:
    generator, units = random.Random(seed), 4 + 6 * seed  # noqa: S311
    exam = Exam(name="r", problems=tuple(ExamProblem(id=f"p{i}", questions=("a", "b", "c")) for i in range(units)))

    def answers(chance: float) -> tuple[str, ...]:
        return tuple("".join("01"[generator.random() < chance] for _ in range(3)) for _ in range(units))

    arms = tuple(
        Arm(name=n, label=n, setting="s", role=role, exam="r", correct=answers(chance), n_problems=units)
        for n, role, chance in (
            ("f", Role.FROZEN, 0.2),
            ("ours", Role.SELF_IMPROVING, 0.6),
            ("rival", Role.PASSAGE, 0.5),
        )
    )
    charges = (charge("ours", 400), charge("rival", 400))
    found = judge(Claim(name="c", title="C", headline="ours", exams=(exam,), arms=arms, charges=charges))
    row = next(row for row in found.decomposition if row.currency == "updates")
    assert row.gap
    assert row.compute_part
    assert row.method_part
    assert row.compute_part.value + row.method_part.value == pytest.approx(row.gap.value, abs=1e-12)
    assert (row.share is not None) == ((row.gap.low > 0 or row.gap.high < 0) and units >= FEWEST_TO_RESAMPLE)


def test_a_frozen_model_that_is_an_arm_of_its_own_is_held_against_like_one_measured_beside_each_arm() -> None:
    """A reader may give the frozen model as an arm; the verdict is the same as with its answers beside every arm."""
    ours, rival = arm("ours", Role.SELF_IMPROVING, 3), arm("rival", Role.SYNTHETIC, 2)
    base = ours.model_copy(update={"name": "base", "role": Role.FROZEN, "correct": ours.frozen_correct})
    alone = [one.model_copy(update={"frozen_correct": None}) for one in (base, ours, rival)]
    charges = (charge("ours", 400), charge("rival", 400), charge("base", 0))
    found, beside = (
        judge(Claim(name="c", title="C", headline="ours", rival="rival", exams=(EXAM,), arms=arms, charges=charges))
        for arms in (tuple(alone), (ours, rival))
    )
    assert (found.headline.kind, found.headline.sentence) == ("method", beside.headline.sentence)
    assert found.decomposition == beside.decomposition
    assert [row.model_copy(update={"divergence": None}) for row in found.stability] == beside.stability
    assert found.arm("ours").frozen_accuracy == beside.arm("ours").frozen_accuracy
    frozen = [row for row in found.comparisons if row.kind == "frozen"]
    assert [(row.a, row.b) for row in frozen] == [("ours", "base"), ("rival", "base")]


def test_what_training_fixed_and_broke_is_counted_by_question() -> None:
    exam = Exam(name="e", problems=(ExamProblem(id="p", questions=tuple("abcde")),))
    one = Arm(
        name="x", label="x", setting="s", role=Role.PASSAGE, exam="e", correct=("10110",), frozen_correct=("11000",)
    )
    (row,) = judge(Claim(name="c", title="C", exams=(exam,), arms=(one,))).stability
    assert (row.fixed, row.broken, row.previously_correct, row.questions) == (2, 1, 2, 5)


def test_an_arm_is_never_its_own_rival() -> None:
    claim = Claim(
        name="c",
        title="C",
        headline="a",
        exams=(EXAM,),
        arms=(arm("a", Role.PASSAGE, 2), arm("b", Role.PASSAGE, 1)),
        charges=(charge("a", 400), charge("b", 400)),
    )
    assert {row.rival for row in judge(claim).decomposition} <= {"b", None}


def test_a_rival_that_answered_few_of_the_questions_is_left_out() -> None:
    short = Exam(name="short", problems=EXAM.problems[:3])
    rows = ("111", "111", "111")
    arms = (
        arm("ours", Role.SELF_IMPROVING, 2),
        arm("few", Role.PASSAGE, 1, exam="short", correct=rows, frozen_correct=None),
        arm("all", Role.PASSAGE, 1),
    )
    charges = tuple(charge(name, 400) for name in ("ours", "few", "all"))
    claim = Claim(name="c", title="C", headline="ours", exams=(EXAM, short), arms=arms, charges=charges)
    row = next(row for row in judge(claim).decomposition if row.currency == "updates")
    assert (row.rival, row.n_problems) == ("all", PROBLEMS)


def test_a_comparison_asked_the_other_way_round_does_not_widen_the_family() -> None:
    arms = (arm("a", Role.SYNTHETIC, 2), arm("b", Role.PASSAGE, 1), arm("c", Role.TEACHER, 2))
    claim = Claim(name="c", title="C", headline="a", rival="b", exams=(EXAM,), arms=arms)
    plain, asked = judge(claim), judge(claim, asked=[("c", "a")])
    adjusted = {(row.a, row.b): row.p_adjusted for row in asked.comparisons}
    assert {(row.a, row.b): row.p_adjusted for row in plain.comparisons}.items() <= adjusted.items()
    assert adjusted["c", "a"] == adjusted["a", "c"]


def test_no_name_can_be_taken_for_the_frozen_model() -> None:
    with pytest.raises(ValueError, match="kept for an arm of role frozen"):
        Claim(name="c", title="C", exams=(EXAM,), arms=(arm("frozen", Role.PASSAGE, 2),))
    with pytest.raises(ValueError, match="name"):
        arm("\0frozen\0a", Role.PASSAGE, 2)


def test_same_claim_and_seed_same_verdict_and_another_seed_other_intervals() -> None:
    claim = Claim(name="c", title="C", exams=(EXAM,), arms=(arm("a", Role.SYNTHETIC, 2), arm("b", Role.PASSAGE, 1)))
    assert judge(claim, seed=3) == judge(claim, seed=3)
    first, second = (judge(claim, seed=seed, asked=[("a", "b")]).comparisons for seed in (3, 4))
    assert [row.difference for row in first] == [row.difference for row in second]
    assert [(row.low, row.high, row.p) for row in first] != [(row.low, row.high, row.p) for row in second]


def test_a_question_asked_twice_counts_once_in_comparisons() -> None:
    exam = Exam(
        name="e", problems=(ExamProblem(id="p", questions=("a", "a", "b")), ExamProblem(id="q", questions=("a",)))
    )
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
