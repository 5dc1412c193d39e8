"""Trials made of random numbers are judged as their makers know they should be."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from netgain.analysis.evidence import Evidence
from netgain.analysis.judge import judge
from netgain.analysis.matching import choose_rival, meet
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Claim, Role
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, GradedAnswer, Investment, Tuning
from netgain.trials.trial_claim import claim_of, guess_role


def judged(simulated: ModuleType, design: Any, seed: int = 0, rows: Any = None) -> Verdict:
    made = simulated.rows_of(design, seed) if rows is None else rows
    return judge(claim_of(simulated.spec_of(design), made, simulated.ROLES))


def arms(simulated: ModuleType, **more: Any) -> dict[str, Any]:
    """The standard arms with the arm under test, or others, changed."""
    return simulated.STANDARD | {name.replace("_", "-"): arm for name, arm in more.items()}


def matched(verdict: Verdict) -> Any:
    rows = (
        r for r in verdict.decomposition if (r.setting, r.currency, r.basis) == ("plain", "flops", "with outer loop")
    )
    return next(rows)


def checks(verdict: Verdict) -> set[str]:
    return {finding.check for finding in verdict.findings}


def test_a_planted_method_is_found(simulated: ModuleType) -> None:
    seal = simulated.Arm("seal", 0.53, 0.02, 0.0, learns=True, label="SEAL")
    verdict = judged(simulated, simulated.Design(arms(simulated, seal=seal), problems=120, questions=6, seeds=5))
    row = matched(verdict)
    assert verdict.headline.kind == "method"
    assert row.method_part.low < 0.09 < row.method_part.high
    assert row.gap.value == pytest.approx(row.compute_part.value + row.method_part.value)
    assert row.share.low < row.method_part.value / row.gap.value < row.share.high


def test_five_planted_points_are_found_with_enough_problems(simulated: ModuleType) -> None:
    a = simulated.Arm("seal", 0.45, 0.0, 0.0, label="A")
    b = simulated.Arm("passage", 0.40, 0.0, 0.0, label="B")
    design = simulated.Design(
        {"frozen": simulated.STANDARD["frozen"], "a": a, "b": b},
        "a",
        "b",
        problems=300,
        questions=10,
        seeds=5,
        ladder=(1.0, 2.0),
    )
    assert judged(simulated, design).headline.kind == "method"


def test_an_a_a_trial_finds_no_difference(simulated: ModuleType) -> None:
    same = simulated.Arm("passage", 0.40, 0.02, 0.0, label="fine-tuning")
    arms = {"frozen": simulated.STANDARD["frozen"], "a": same, "b": replace(same, label="the same again")}
    verdict = judged(simulated, simulated.Design(arms, "a", "b", problems=200, questions=8, ladder=(1.0, 2.0)))
    assert verdict.headline.kind == "no difference"
    assert "(equivalent within 5 points" in verdict.headline.sentence


def test_what_compute_buys_is_no_method(simulated: ModuleType) -> None:
    """The arm gains what its rival gains from the same compute: the slope of a doubling, and nothing else."""
    seal = simulated.Arm("seal", 0.44, 0.04, 0.0, learns=True, label="SEAL")
    verdict = judged(simulated, simulated.Design(arms(simulated, seal=seal), problems=120, questions=6))
    assert verdict.headline.kind in {"nothing left", "no difference"}
    assert abs(matched(verdict).method_part.value) < 0.04


def test_choosing_the_rival_on_development_costs_no_bias(simulated: ModuleType) -> None:
    """Ten equal rivals: the best on the test problems looks better than it is, the one chosen beforehand does not."""
    rivals = {f"r{i}": simulated.Arm("passage", 0.40, label=f"rival {i}") for i in range(10)}
    seal = simulated.Arm("seal", 0.40, learns=True, label="SEAL")
    design = simulated.Design(
        {"frozen": simulated.STANDARD["frozen"], "seal": seal, **rivals}, problems=24, seeds=1, ladder=(1.0, 2.0)
    )
    fair, biased = [], []
    for seed in range(40):
        fair.append(left_over(simulated, design, seed, "development"))
        biased.append(left_over(simulated, replace(design, development=False), seed, "test"))
    assert abs(np.mean(fair)) < 0.025
    assert np.mean(biased) < np.mean(fair) - 0.03


def left_over(simulated: ModuleType, design: Any, seed: int, chosen_on: str) -> float:
    """The mean difference between the arm under test and the rival that was chosen."""
    claim = claim_of(simulated.spec_of(design), simulated.rows_of(design, seed), simulated.ROLES)
    assert claim.terms
    evidence = Evidence.of(claim, 0)
    rival, how = choose_rival(evidence, "plain", claim.terms)
    pair = evidence.table.means("plain/seal@1", rival or "", kind="knowledge")
    assert pair is not None
    assert how == chosen_on
    return float((pair[0] - pair[1]).mean())


def test_a_rival_chosen_on_test_problems_is_a_finding(simulated: ModuleType) -> None:
    assert "rival-chosen-on-test" in checks(judged(simulated, simulated.Design(simulated.STANDARD, development=False)))


def test_an_arm_that_falls_behind_is_said_to(simulated: ModuleType) -> None:
    seal = simulated.Arm("seal", 0.25, 0.0, 0.0, learns=True, label="SEAL")
    assert judged(simulated, simulated.Design(arms(simulated, seal=seal), seeds=5)).headline.kind == "rival ahead"


def test_one_investment_is_not_divided_by_numbers_that_it_was_not_made_for(simulated: ModuleType) -> None:
    """A trial that ran one number of deployments knows that one, and not from where on an investment would pay."""
    verdict = judged(simulated, simulated.Design(simulated.STANDARD))
    for row in verdict.break_even:
        assert [point.deployments for point in row.points] == [48]
        assert row.points[0].worst_case.difference == matched(verdict).worst_case.difference
        assert (row.ahead_from, row.reason) == (None, "it was run for one number of deployments")


def test_a_ladder_is_met_between_its_rungs_and_never_beyond() -> None:
    costs = {"a": 1.0, "b": 2.0, "c": 8.0}
    between = meet(costs, 4.0)
    assert between is not None
    assert between.mixture == pytest.approx({"b": 0.5, "c": 0.5})
    on_it, beyond, below = meet(costs, 2.01), meet(costs, 9.0), meet(costs, 0.5)
    assert on_it is not None
    assert on_it.mixture == {"b": 1.0}
    assert beyond is not None
    assert (beyond.mixture, beyond.short) == ({"c": 1.0}, True)
    assert below is None


def test_an_arm_that_left_its_budget_is_shown_as_underspent(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD, spends=0.97))
    assert verdict.arm("plain/passage@2").underspent
    assert "underspent" in checks(verdict)
    assert not judged(simulated, simulated.Design(simulated.STANDARD, spends=0.995)).arm("plain/passage@2").underspent


def test_an_investment_that_was_left_is_shown_as_underspent(simulated: ModuleType) -> None:
    """What an arm invested is as much of the matched budget as what it adapted with."""
    design = simulated.Design(simulated.STANDARD)
    rows = [
        row.model_copy(update={"spent": {Purpose.LEARN: row.spent[Purpose.LEARN]}})
        if isinstance(row, Investment)
        else row
        for row in simulated.rows_of(design)
    ]
    verdict = judge(claim_of(simulated.spec_of(design), rows, simulated.ROLES))
    seal = verdict.arm("plain/seal@1")
    assert seal.underspent
    assert seal.spent_share == pytest.approx(0.75)
    assert not judged(simulated, design).arm("plain/seal@1").underspent


def test_arms_that_could_try_less_are_named(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD)
    rows = [
        row.model_copy(update={"attempts": row.attempts[:1]}) if isinstance(row, Tuning) and row.arm == "own" else row
        for row in simulated.rows_of(design)
    ]
    verdict = judge(claim_of(simulated.spec_of(design), rows, simulated.ROLES))
    (found,) = (finding for finding in verdict.findings if finding.check == "tuned-less")
    assert found.evidence == ("plain, own text, unselected: 1 of 2",)
    assert "tuned-less" not in checks(judged(simulated, design))


def right(answer: GradedAnswer) -> GradedAnswer:
    return answer.model_copy(update={"correct": True})


def test_spending_above_the_budget_is_a_grave_finding(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD, spends=1.05))
    found = next(finding for finding in verdict.findings if finding.check == "above-budget")
    assert found.severity == "high"


def test_cheats_are_exposed(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD)
    rows = [
        row.model_copy(update={"exposed": ("q0-knowledge-0",), "unmetered": True})
        if isinstance(row, Adaptation) and row.arm == "seal" and row.problem == "p0"
        else row
        for row in simulated.rows_of(design)
    ]
    assert {"exposed", "unmetered"} <= checks(judged(simulated, design, rows=rows))


def test_a_failed_adaptation_is_paid_and_counts_as_wrong(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, seeds=1)
    rows = simulated.rows_of(design)
    broken = [
        row.model_copy(update={"status": "failed", "error": "a NaN step", "answers": ()})
        if isinstance(row, Adaptation) and (row.arm, row.rung) == ("seal", 1.0) and row.problem in {"p1", "p2"}
        else row
        for row in rows
    ]
    before, after = (judged(simulated, design, rows=found) for found in (rows, broken))
    name = "plain/seal@1"
    assert after.arm(name).accuracy < before.arm(name).accuracy
    assert after.arm(name).spent_per_problem == before.arm(name).spent_per_problem
    assert after.arm(name).failed == 2
    assert "failed" in checks(after)
    assert matched(after).n_problems == matched(before).n_problems


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5, 0.9, 0.98])
def test_an_unfinished_run_is_judged_on_what_is_there(simulated: ModuleType, share: float) -> None:
    design = simulated.Design(simulated.STANDARD, problems=8, domains={"plain": 0.0, "narrative": -0.1}, controls=1)
    rows = simulated.rows_of(design)
    verdict = judged(simulated, design, rows=rows[: int(share * len(rows))])
    assert "unfinished" in checks(verdict)
    assert verdict.headline.sentence.startswith("Unfinished: ")
    assert Verdict.model_validate_json(verdict.model_dump_json(by_alias=True)) == verdict


@pytest.mark.parametrize("shuffle", range(4))
def test_rows_in_any_order_and_with_any_missing_are_judged(simulated: ModuleType, shuffle: int) -> None:
    design = simulated.Design(simulated.STANDARD, problems=6, controls=1)
    rows = simulated.rows_of(design)
    rng = np.random.default_rng(shuffle)
    kept = [rows[index] for index in rng.permutation(len(rows))[: len(rows) * 2 // 3]]
    judged(simulated, design, rows=kept)


def test_the_order_of_rows_changes_nothing_that_is_concluded(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=12)
    rows = simulated.rows_of(design)
    assert judged(simulated, design, rows=rows).decomposition == judged(simulated, design, rows=rows).decomposition
    forwards, backwards = (judged(simulated, design, rows=found) for found in (rows, rows[::-1]))
    assert matched(forwards).method_part.value == pytest.approx(matched(backwards).method_part.value)


def test_one_seed_says_what_its_interval_leaves_out(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD, seeds=1))
    primary = next(row for row in verdict.comparisons if row.primary)
    assert "luck of a run is not covered" in primary.method
    assert primary.p_mcnemar is not None
    assert "single-seed" in checks(verdict)
    assert any("no interval covers the luck of its outer loop." in told for told in verdict.headline.details)
    untaught = judged(simulated, simulated.Design(simulated.STANDARD, "passage", seeds=1))
    assert any("no interval covers the luck of a run." in told for told in untaught.headline.details)
    several = judged(simulated, simulated.Design(simulated.STANDARD))
    assert all(row.p_mcnemar is None for row in several.comparisons if row.n_seeds and row.n_seeds > 1)


def test_a_missing_seed_leaves_the_others(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD)
    rows = [
        row for row in simulated.rows_of(design) if row.row == "tuning" or not (row.arm == "seal" and row.seed == 2)
    ]
    verdict = judged(simulated, design, rows=rows)
    assert matched(verdict).n_seeds == 2
    assert "unfinished" in checks(verdict)


def test_without_rivals_nothing_can_be_told(simulated: ModuleType) -> None:
    arms = {name: simulated.STANDARD[name] for name in ("frozen", "seal")}
    verdict = judged(simulated, simulated.Design(arms))
    assert verdict.headline.kind == "cannot tell"
    assert "no conventional arm" in verdict.headline.sentence


def test_frozen_alone_is_reported(simulated: ModuleType) -> None:
    arms = {"frozen": simulated.STANDARD["frozen"]}
    verdict = judged(simulated, simulated.Design(arms, compare="frozen"))
    assert verdict.headline.kind == "cannot tell"
    assert verdict.arm("plain/frozen@1").accuracy == pytest.approx(0.02, abs=0.03)


def test_arms_without_investments_are_compared_on_the_same_rung(simulated: ModuleType) -> None:
    seal = simulated.Arm("seal", 0.45, 0.02, 0.0, label="SEAL")
    design = simulated.Design(arms(simulated, seal=seal), ladder=(0.5, 1.0, 2.0))
    verdict = judged(simulated, design)
    assert next(iter(matched(verdict).mixture)).endswith("@1")
    assert not verdict.break_even


def test_two_domains_are_two_verdicts_the_primary_first(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, domains={"plain": 0.0, "narrative": -0.1})
    verdict = judged(simulated, design)
    assert [row.setting for row in verdict.domains] == ["plain", "narrative"]
    assert verdict.headline.details[0].startswith("In narrative: ")
    assert sum(row.primary for row in verdict.comparisons) == 1
    assert all(row.p_adjusted is not None for row in verdict.comparisons if not row.primary)


@pytest.mark.parametrize(
    ("arm", "change", "told"),
    [
        ("frozen", {"right": 0.6}, "already knows the answers"),
        ("context", {"right": 0.5}, "with the text at hand the model answers only"),
        ("passage", {"right": -0.5, "slope": 0.0}, "training on the passage adds"),
    ],
)
def test_a_world_that_is_no_test_is_called_one(
    simulated: ModuleType, arm: str, change: dict[str, float], told: str
) -> None:
    changed = arms(simulated, **{arm: replace(simulated.STANDARD[arm], **change)})
    verdict = judged(simulated, simulated.Design(changed))
    found = next(finding for finding in verdict.findings if finding.check == "world-is-no-test")
    assert any(told in line for line in found.evidence)
    assert "world-is-no-test" not in checks(judged(simulated, simulated.Design(simulated.STANDARD)))


def test_where_a_perfect_writer_wins_nothing_the_verdict_says_so(simulated: ModuleType) -> None:
    changed = arms(simulated, oracle=replace(simulated.STANDARD["oracle"], right=0.35))
    assert "no-room-to-win" in checks(judged(simulated, simulated.Design(changed)))
    assert "no-room-to-win" not in checks(judged(simulated, simulated.Design(simulated.STANDARD)))


def test_controls_tell_what_broke(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD, controls=4))
    row = next(row for row in verdict.stability if (row.arm, row.kind) == ("plain/seal@1", "seen"))
    assert row.accuracy is not None
    assert row.accuracy.value == pytest.approx(0.9, abs=0.05)
    assert row.broken + row.fixed > 0
    assert row.divergence == pytest.approx(0.1)
    assert verdict.terms is not None
    assert verdict.terms.controls == ("seen", "skill")
    assert "seen" not in verdict.arm("plain/seal@1").exams


def test_every_purpose_and_what_was_rejected_is_itemised(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD))
    mine = [row for row in verdict.compute if row.arm == "plain/seal@1"]
    assert {(row.purpose, row.before) for row in mine} == {
        ("propose", False),
        ("adapt", False),
        ("learn", True),
        ("score", True),
        ("propose", True),
    }
    total = sum(row.per_problem["flops"] for row in mine)
    assert total == pytest.approx(verdict.arm("plain/seal@1").charged_per_problem["flops"])
    assert total == pytest.approx(simulated.BUDGET)
    assert verdict.arm("plain/seal@1").rejected_per_problem["flops"] == pytest.approx(0.35 * simulated.BUDGET)
    card = next(row for row in verdict.card if row.method == "seal")
    assert set(card.spent) == {"adaptations", "investments", "tuning", "exams"}
    assert card.total["flops"] == pytest.approx(sum(stage["flops"] for stage in card.spent.values()))


def test_a_trials_claim_is_judged_from_file_as_from_rows(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=12)
    rows = simulated.rows_of(design)
    claim = claim_of(simulated.spec_of(design), rows, simulated.ROLES)
    again = Claim.model_validate_json(claim.model_dump_json(by_alias=True))
    assert judge(again) == judged(simulated, design, rows=rows)
    assert Claim.model_validate(claim.dump()) == claim


def test_rewards_of_all_seeds_are_one_round(simulated: ModuleType) -> None:
    verdict = judged(simulated, simulated.Design(simulated.STANDARD))
    assert [(row.arm, row.problems) for row in verdict.rewards] == [("plain/seal@1 round 1", 18)]


def test_a_failed_investment_is_a_finding(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD)
    rows = [
        row.model_copy(update={"status": "failed", "error": "out of memory"})
        if isinstance(row, Investment) and row.seed == 1
        else row
        for row in simulated.rows_of(design)
    ]
    found = [f for f in judged(simulated, design, rows=rows).findings if f.check == "failed"]
    assert any("out of memory" in line for line in found[0].evidence)


@pytest.mark.parametrize(
    ("name", "role"),
    [("frozen", Role.FROZEN), ("seal-v1", Role.SELF_IMPROVING), ("in_context", Role.IN_CONTEXT), ("x", Role.OTHER)],
)
def test_a_role_is_guessed_from_the_name(name: str, role: Role) -> None:
    assert guess_role(name) is role


def test_problems_that_were_adapted_to_at_once_are_one_unit(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=48)
    spec = simulated.spec_of(design)
    grouped = spec.model_copy(update={"problems": spec.problems.model_copy(update={"passages": 4})})
    rows = simulated.rows_of(design)
    single, fours = (judge(claim_of(one, rows, simulated.ROLES)) for one in (spec, grouped))
    assert (matched(single).n_problems, matched(fours).n_problems) == (48, 12)
    assert matched(single).method_part.value == pytest.approx(matched(fours).method_part.value)
