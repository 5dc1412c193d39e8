"""Ahead of every conventional arm at once, and at every number of deployments that was run, on claims made here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netgain.analysis import matching
from netgain.analysis.decomposition import LEVEL, intersection
from netgain.analysis.deployments import ahead_from
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Interval, resample_weights
from netgain.analysis.judge import judge
from netgain.analysis.rows import BreakEvenRow, DeploymentsPoint, RivalRow
from netgain.analysis.verdict import DecompositionRow, Verdict
from netgain.records.claim import Arm, Charge, Claim, Exam, ExamProblem, Purpose, Role, SeedRun, Terms, TrialArm
from netgain.records.cost import Cost, Currency
from netgain.records.provenance import Source
from netgain.streams import stream

PROBLEMS, QUESTIONS, SEEDS, N = 48, 8, 5, 48
BUDGET = 1e12
EXAM = Exam(
    name="plain",
    problems=tuple(
        ExamProblem(id=f"p{i}", questions=tuple(f"q{j}" for j in range(QUESTIONS)), kinds=("knowledge",) * QUESTIONS)
        for i in range(PROBLEMS)
    ),
)
HARD = stream(0, "rivals").normal(0, 0.1, PROBLEMS)
SELF, TEXT, OTHER = Role.SELF_IMPROVING, Role.SYNTHETIC, Role.OTHER


def arm(
    method: str, role: Role, right: float, *, deployments: int | None = None, own: bool = True, **trial: Any
) -> Arm:
    """An arm at one times the budget; one that learned has half of that for a problem, and half invested."""
    rung = trial.pop("rung", 1.0)
    name = f"plain/{method}@{rung:g}" + ("" if own or deployments is None else f"/{deployments}")
    rng = stream(1, name)
    runs = []
    for seed in range(trial.pop("seeds", SEEDS)):
        chance = np.clip(right + HARD[:, None], 0, 1)
        bits = rng.random((PROBLEMS, QUESTIONS)) < chance
        runs.append(SeedRun(seed=seed, correct=tuple("".join("01"[int(bit)] for bit in row) for row in bits)))
    learns = deployments is not None
    known = TrialArm(
        method=method, rung=rung, own=own, learns=learns, deployments=deployments, runs=tuple(runs), **trial
    )
    return Arm(
        name=name,
        label=f"{method} at {rung:g}" if rung != 1 else method,
        setting="plain",
        role=role,
        exam="plain",
        n_problems=PROBLEMS,
        invests=(f"{name} investment",) if learns else (),
        trial=known,
    )


def charges(of: Arm, share: float = 1.0) -> list[Charge]:
    """The same total for every arm at the same level, an investment's share included."""
    assert of.trial
    level = of.trial.rung * share
    if of.role is Role.FROZEN:
        return [_charge(of.name, 0.0, PROBLEMS)]
    if of.trial.deployments is None:
        return [_charge(of.name, level * PROBLEMS, PROBLEMS)]
    half = level / 2
    return [_charge(of.name, half * PROBLEMS, PROBLEMS), _charge(of.invests[0], half * of.trial.deployments, 1)]


def _charge(name: str, budgets: float, count: int) -> Charge:
    cost = Cost(flops=budgets * BUDGET)
    return Charge(
        arm=name, purpose=Purpose.ADAPT, operation="t", count=count, problems=count, cost=cost, source=Source(file="f")
    )


def claim(*arms: Arm, shares: Mapping[str, float] | None = None, **terms: Any) -> Claim:
    fields = {
        "currency": Currency.FLOPS,
        "per_problem": BUDGET,
        "ladder": (1.0,),
        "learn": 0.0,
        "deployments": N,
        "compare": "seal",
        "against": "best conventional",
        "exam": "knowledge",
        "setting": "plain",
        "worlds": {"plain": "people"},
        "seeds": SEEDS,
        "test_problems": PROBLEMS,
        "tuning_trials": 1,
        "runs_planned": 1,
        "runs_done": 1,
    }
    every = (arm("frozen", Role.FROZEN, 0.05), *arms)
    made = [found for one in every for found in charges(one, (shares or {}).get(one.name, 1.0))]
    return Claim(
        name="c",
        title="C",
        headline="plain/seal@1",
        exams=(EXAM,),
        arms=every,
        charges=tuple(made),
        terms=Terms.model_validate(fields | terms),
    )


def row_of(verdict: Verdict) -> DecompositionRow:
    return next(row for row in verdict.decomposition if (row.currency, row.basis) == ("flops", "with outer loop"))


def curve_of(verdict: Verdict) -> BreakEvenRow:
    return next(row for row in verdict.break_even if row.currency == "flops")


# -- every conventional arm at once


def test_an_arm_ahead_of_the_chosen_rival_but_not_of_another_adds_nothing() -> None:
    """The rival that development problems chose is a weak one; another conventional arm is as good as the arm."""
    found = judge(
        claim(
            arm("seal", SELF, 0.7, deployments=N),
            arm("weak", TEXT, 0.5, development=0.9),
            arm("strong", TEXT, 0.7, development=0.6),
        )
    )
    row = row_of(found)
    assert (row.rival, row.worst_case.rival) == ("plain/weak@1", "plain/strong@1")
    assert row.method_part.low > 0
    assert found.headline.kind == "nothing left"
    assert "seal is not distinguishable from strong at equal compute" in found.headline.sentence
    assert row.worst_case.p == max(one.p for one in row.worst_case.all) > LEVEL


def test_between_arms_that_do_equally_well_in_development_no_lot_is_drawn() -> None:
    """Where no arm solves a development problem, the first by name is no more a rival than the weakest of them."""
    rivals = {"a weak one": 0.2, "b the best": 0.7, "c another": 0.4}
    arms = [arm(name, Role.PASSAGE, right, development=0.0) for name, right in rivals.items()]
    found = judge(claim(arm("seal", SELF, 0.5, deployments=N), *arms, arm("worse", TEXT, 0.9, development=None)))
    assert row_of(found).rival == "plain/b the best@1"
    (said,) = [one for one in found.findings if one.check == "rival-chosen-on-test"]
    assert list(said.evidence) == ["plain: 3 arms reach 0.0% on the development problems, and none more"]
    trained = [row.arm for row in found.regimes if row.regime == "no teacher"]
    assert trained == ["plain/b the best@1"]
    assert [row.chosen_on for row in found.domains] == ["test"]
    sure = [arm("a weak one", TEXT, 0.2, development=0.1), *arms[1:]]
    assert row_of(judge(claim(arm("seal", SELF, 0.5, deployments=N), *sure))).rival == "plain/a weak one@1"


def test_a_domain_that_shows_examples_is_not_asked_whether_reading_them_is_enough() -> None:
    arms = (arm("seal", SELF, 0.5, deployments=N), arm("votes", Role.IN_CONTEXT, 0.03), arm("text", Role.PASSAGE, 0.5))
    told = [judge(claim(*arms, few_shot=few_shot)).findings for few_shot in ((), ("plain",))]
    assert [any(one.check == "world-is-no-test" for one in found) for found in told] == [True, False]


def test_an_arm_ahead_of_all_adds_something_and_says_by_how_much_at_least() -> None:
    found = judge(
        claim(arm("seal", SELF, 0.8, deployments=N), *(arm(f"r{i}", TEXT, 0.6, development=0.5) for i in range(4)))
    )
    worst = row_of(found).worst_case
    assert found.headline.kind == "method"
    assert (worst.ahead, len(worst.all), worst.behind) == (True, 4, [])
    assert worst.difference.value == min(one.difference.value for one in worst.all)


def test_an_arm_clearly_below_one_of_many_falls_behind_it() -> None:
    rivals = [arm(f"r{i}", TEXT, 0.5, development=0.9) for i in range(3)]
    found = judge(claim(arm("seal", SELF, 0.6, deployments=N), *rivals, arm("best", TEXT, 0.75, development=0.1)))
    assert found.headline.kind == "rival ahead"
    assert row_of(found).worst_case.behind == ["plain/best@1"]
    assert "seal is behind best at equal compute" in found.headline.sentence


def test_equal_means_equal_to_the_best_of_all() -> None:
    """Equal to the chosen rival, but clearly behind none and ahead of none: with a better one beside it, it is not."""
    same = (arm("seal", SELF, 0.7, deployments=N, seeds=12), arm("same", TEXT, 0.7, development=0.9, seeds=12))
    assert judge(claim(*same)).headline.kind == "no difference"
    better = arm("better", TEXT, 0.73, development=0.1, seeds=12)
    assert judge(claim(*same, better)).headline.kind != "no difference"


def test_a_rival_that_learns_is_matched_at_the_same_total() -> None:
    found = judge(
        claim(
            arm("seal", SELF, 0.7, deployments=N),
            arm("plain-text", TEXT, 0.4, development=0.5),
            arm("supervised", OTHER, 0.85, deployments=N, development=0.4),
        )
    )
    worst = row_of(found).worst_case
    assert found.headline.kind == "rival ahead"
    assert worst.rival == "plain/supervised@1"
    assert {one.cost_per_problem for one in worst.all} == {BUDGET}


def test_a_rival_that_cannot_be_compared_at_equal_cost_is_named_and_nothing_is_claimed_over_all() -> None:
    arms = (arm("seal", SELF, 0.8, deployments=N), arm("a", TEXT, 0.5, development=0.9), arm("dear", TEXT, 0.5))
    found = judge(claim(*arms, shares={"plain/dear@1": 3.0}))
    assert row_of(found).worst_case.left_out == ["plain/dear@1"]
    assert found.headline.kind == "unmatched"
    assert judge(claim(*arms)).headline.kind == "method"


def test_a_rival_that_a_trial_fixed_is_not_the_only_one_that_has_to_be_beaten() -> None:
    arms = (arm("seal", SELF, 0.7, deployments=N), arm("weak", TEXT, 0.5), arm("strong", TEXT, 0.7))
    found = judge(claim(*arms, against="weak"))
    assert found.domains[0].rival == "plain/weak@1"
    assert found.headline.kind == "nothing left"


def rival(name: str, value: float, p: float, **more: Any) -> RivalRow:
    fields: dict[str, Any] = {
        "rival": name,
        "difference": Interval(value, value - 0.05, value + 0.05),
        "p": p,
        "p_behind": 1 - p,
        "p_not_worse": p / 2,
        "p_not_better": 0.5,
        "cost_per_problem": 1.0,
        "underspent": False,
        "n_seeds": 3,
        "n_problems": 48,
    }
    return RivalRow.model_validate(fields | more)


def test_the_p_of_all_is_the_largest_and_that_of_falling_behind_is_adjusted() -> None:
    found = intersection([rival("a", 0.1, 0.01), rival("b", 0.07, 0.02), rival("c", -0.1, 0.99)], "a")
    assert found is not None
    assert (found.rival, found.p, found.ahead) == ("c", 0.99, False)
    assert found.all[0].p_behind == pytest.approx(3 * 0.01)
    assert found.behind == []
    assert intersection([rival("c", -0.1, 0.99)], "c").behind == ["c"]  # type: ignore[union-attr]


def test_being_equal_to_the_best_takes_the_largest_p_over_all_rivals() -> None:
    rows = [rival("a", 0.0, 0.5, p_not_worse=0.01, p_not_better=0.02), rival("b", 0.0, 0.5, p_not_worse=0.3)]
    assert intersection(rows, "a").p_equivalent == 0.3  # type: ignore[union-attr]
    assert intersection(rows, "a", fixed=True).p_equivalent == 0.02  # type: ignore[union-attr]


# -- the rival chosen elsewhere


def table(rivals: int, seeds: int = 3, problems: int = 48, luck: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    rng = stream(rivals, "table")
    values = 0.6 + rng.normal(0, 0.1, problems) + rng.normal(0, 0.15, (rivals + 1, seeds, problems))
    values += rng.normal(0, luck, (rivals + 1, seeds, 1))
    return values[0], values[1:]


def fitted(arm: np.ndarray, rivals: np.ndarray, development: list[float | None]) -> tuple[Interval, np.ndarray]:
    return matching.cross_fitted(
        arm, rivals, development, stream(0, "folds"), resample_weights(arm.shape[1], stream(0, "weights"))
    )


def test_with_a_single_rival_there_is_nothing_to_choose() -> None:
    arm, rivals = table(1)
    found, shares = fitted(arm, rivals, [None])
    assert found.value == pytest.approx((arm - rivals[0]).mean())
    assert list(shares) == [1.0]


def test_the_interval_contains_the_choice() -> None:
    """Two rivals that are told apart badly: the interval is wider than over either of them."""
    arm, rivals = table(2)
    rivals[1] = rivals[0][:, ::-1] + 0.01
    found, shares = fitted(arm, rivals, [None, None])
    assert min(shares) > 0.1
    single, _ = fitted(arm, rivals[:1], [None])
    rivals[1] = rivals[0] - 0.3
    clear, shares = fitted(arm, rivals, [None, None])
    assert list(shares) == [1.0, 0.0]
    assert (clear.low, clear.high) == (pytest.approx(single.low), pytest.approx(single.high))
    assert found.high - found.low > single.high - single.low


def test_development_problems_weigh_as_one_fold_where_they_are_known_of_all() -> None:
    arm, rivals = table(2)
    rivals[1] = rivals[0]
    assert fitted(arm, rivals, [0.1, 0.9])[1][1] == 1.0
    assert fitted(arm, rivals, [None, 0.9])[1][1] == 0.0  # equal: the first


def test_the_runs_that_choose_are_not_the_runs_that_are_compared() -> None:
    """A rival whose one run was lucky is not held against the arm by that very run."""
    arm, rivals = np.full((3, 40), 0.5), np.full((2, 3, 40), 0.5)
    rivals[1, 0] += 0.3
    found, _ = fitted(arm, rivals, [None, None])
    # in the lucky run's own cells the choice is between equals (the first wins); in others the lucky arm is as good
    assert found.value == 0.0


def test_the_last_bits_of_a_processor_choose_no_rival() -> None:
    """Equals in every cell, one of them with what another order of adding leaves: the first of equals is chosen."""
    arm, rivals = table(2)
    rivals[1] = rivals[0] * (1 + 2e-16) + 1e-15
    found, shares = fitted(arm, rivals, [None, None])
    alone, _ = fitted(arm, rivals[:1], [None])
    assert list(shares) == [1.0, 0.0]
    assert (found.low, found.high) == (pytest.approx(alone.low, abs=1e-12), pytest.approx(alone.high, abs=1e-12))


# -- at each number of deployments


def learners(**right: float) -> list[Arm]:
    """SEAL at 48, and at 100 and 400 as given, beside a conventional arm at 0.6."""
    runs = [arm("seal", SELF, right["at48"], deployments=N)]
    runs += [arm("seal", SELF, right[f"at{n}"], deployments=n, own=False) for n in (100, 400) if f"at{n}" in right]
    return [*runs, arm("text", TEXT, 0.6, development=0.6)]


def test_an_arm_is_ahead_from_where_it_stays_ahead_at_every_larger_number_that_was_run() -> None:
    found = judge(claim(*learners(at48=0.5, at100=0.75, at400=0.8)))
    row = curve_of(found)
    assert [point.deployments for point in row.points] == [48, 100, 400]
    assert [point.arm for point in row.points] == ["plain/seal@1", "plain/seal@1/100", "plain/seal@1/400"]
    assert [point.cost_per_problem for point in row.points] == [BUDGET] * 3
    assert (row.ahead_from, row.reason) == (100, "")
    assert any("from 100 deployments on" in detail for detail in found.headline.details)
    assert found.headline.kind == "rival ahead"  # the verdict is that at its own number


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ({"at48": 0.8}, "one number of deployments"),
        ({"at48": 0.5, "at100": 0.55, "at400": 0.8}, "ahead at 400 alone"),
        ({"at48": 0.8, "at100": 0.8, "at400": 0.6}, "at 400, the largest number, it is not ahead"),
    ],
)
def test_without_a_number_the_reason_is_given(right: dict[str, float], told: str) -> None:
    row = curve_of(judge(claim(*learners(**right))))
    assert row.ahead_from is None
    assert told in row.reason


def test_a_learner_that_was_not_run_for_a_number_is_a_lower_bound_and_blocks_being_ahead() -> None:
    arms = learners(at48=0.8, at100=0.8, at400=0.8)
    both = [*arms, arm("supervised", OTHER, 0.5, deployments=N, development=0.1)]
    row = curve_of(judge(claim(*both)))
    assert [point.stand_ins for point in row.points] == [{}, *[{"plain/supervised@1": "plain/supervised@1"}] * 2]
    assert [len(point.worst_case.all) for point in row.points] == [2, 2, 2]
    assert row.ahead_from is None
    assert "a rival that learns was not run for 400" in row.reason
    ran = [arm("supervised", OTHER, 0.5, deployments=n, own=False) for n in (100, 400)]
    assert curve_of(judge(claim(*both, *ran))).ahead_from == 48


def test_runs_of_other_numbers_of_deployments_are_no_levels_of_a_ladder() -> None:
    made = claim(*learners(at48=0.5, at100=0.75, at400=0.8))
    evidence = Evidence.of(made, 0)
    assert evidence.ladder("plain/seal@1") == ["plain/seal@1"]
    assert evidence.ladder("plain/seal@1/400") == ["plain/seal@1/400"]
    assert evidence.own("plain", SELF) == ["plain/seal@1"]
    assert evidence.costs["plain/seal@1/400"].deployments == 400
    assert evidence.costs["plain/seal@1/400"].charged(Currency.FLOPS) == pytest.approx(BUDGET)
    (card,) = (row for row in judge(made).card if row.method == "seal")
    assert card.adaptations == 3 * PROBLEMS
    assert card.spent["investments"]["flops"] == pytest.approx(0.5 * BUDGET * (48 + 100 + 400))


def test_where_a_rivals_ladder_ends_is_not_where_an_arm_gets_ahead() -> None:
    """At the smallest number the rival was run with less than the arm's total: nothing is known there."""
    arms = learners(at48=0.8, at100=0.8, at400=0.8)
    row = curve_of(judge(claim(*arms, shares={"plain/seal@1": 1.5})))
    assert row.ahead_from is None
    assert "where that begins is not known" in row.reason


def test_below_three_seeds_no_number_is_given() -> None:
    arms = [
        *(arm("seal", SELF, 0.8, deployments=n, own=n == N, seeds=2) for n in (N, 100, 400)),
        arm("text", TEXT, 0.5, development=0.5, seeds=2),
    ]
    row = curve_of(judge(claim(*arms)))
    assert (row.ahead_from, row.reason) == (None, "fewer than 3 seeds were run")


def test_every_number_between_the_first_that_holds_and_the_last_has_to_hold() -> None:
    def point(n: int, low: float) -> DeploymentsPoint:
        worst = intersection([rival("a", low + 0.05, 0.001 if low > 0 else 0.3)], "a")
        return DeploymentsPoint(
            deployments=n, arm="s", cost_per_problem=1.0, worst_case=worst, stand_ins={}, missing=[]
        )

    assert ahead_from([point(10, 0.1), point(20, -0.1), point(30, 0.1), point(40, 0.1)])[0] == 30
    assert ahead_from([point(10, 0.1), point(20, 0.1)])[0] == 10
    assert ahead_from([point(10, 0.1), point(20, 0.1), point(30, -0.1)])[0] is None


def test_the_recorded_simulation_keeps_its_promise() -> None:
    """In every design the arm is as good as the best rival: to call it ahead of all is an error."""
    file = Path(__file__).parents[2] / "benchmarks" / "results" / "simulated_rivals.json"
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert {row["luck"] for row in rows} == {0.0, 0.047}
    assert max(row["chosen_ahead"] for row in rows) > 0.05  # what the test over all rivals is for
    for row in rows:
        assert row["trials"] >= 2000
        assert row["ahead"] <= 0.025
        assert row["covered"] >= 0.93
        assert abs(row["fitted_bias"]) <= max(0.3, 0.65 * row["chosen_bias"])
