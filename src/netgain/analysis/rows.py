"""The descriptive rows of a verdict: arms, the outer loop's bill, rewards, stability, retention."""

import numpy as np

from netgain.analysis import frontier, intervals, reward, stability
from netgain.analysis.costs import MATCHING_CURRENCIES
from netgain.analysis.evidence import Evidence
from netgain.analysis.table import Floats, frozen_row, published_mean
from netgain.analysis.verdict import ArmRow, Interval, OuterLoopRow, RetentionTable, RewardRow, StabilityRow
from netgain.metering import ledger
from netgain.records.claim import Arm, Continual, Purpose, RewardRun
from netgain.records.cost import Currency


def arm_rows(evidence: Evidence) -> list[ArmRow]:
    """One row an arm, in the claim's order."""
    return [_arm(evidence, arm, _undominated(evidence, arm)) for arm in evidence.claim.arms]


def _undominated(evidence: Evidence, arm: Arm) -> list[str]:
    found = []
    for currency in MATCHING_CURRENCIES:
        points = {
            other.name: (cost, accuracy)
            for other in evidence.arms_in(arm.setting)
            if (cost := evidence.costs[other.name].charged(currency)) is not None
            and (accuracy := evidence.accuracies[other.name]) is not None
        }
        if arm.name in frontier.undominated(points):
            found.append(currency.value)
    return found


def _arm(evidence: Evidence, arm: Arm, undominated: list[str]) -> ArmRow:
    cost = evidence.costs[arm.name]
    per_problem = {currency: cost.adapt_per_problem(currency) for currency in MATCHING_CURRENCIES}
    interval = _accuracy_interval(evidence, arm)
    unpadded = cost.adapt.flops_unpadded
    return ArmRow(
        name=arm.name,
        label=arm.label,
        setting=arm.setting,
        role=arm.role,
        prompt=arm.prompt,
        round=arm.round,
        headline=arm.name == evidence.claim.headline,
        accuracy=evidence.accuracies[arm.name],
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        accuracy_published=arm.accuracy,
        accuracy_paper=arm.paper_accuracy,
        frozen_accuracy=published_mean(arm.frozen_correct, arm.averaged) if arm.frozen_correct else arm.frozen_accuracy,
        frozen_group=arm.frozen_group,
        n_problems=arm.n_problems,
        n_questions=arm.n_questions,
        seeds=arm.seeds,
        updates=cost.adapt.exact(Currency.UPDATES),
        updates_per_problem=per_problem[Currency.UPDATES],
        tokens_real=cost.adapt.exact(Currency.TOKENS_REAL),
        tokens_real_per_problem=per_problem[Currency.TOKENS_REAL],
        tokens_padded=cost.adapt.exact(Currency.TOKENS_PADDED),
        tokens_padded_per_problem=per_problem[Currency.TOKENS_PADDED],
        flops_per_problem=per_problem[Currency.FLOPS],
        flops_unpadded_per_problem=unpadded / cost.problems if unpadded and cost.problems else None,
        tokens_estimated=Currency.TOKENS_REAL in cost.adapt.estimated,
        learning_rate=arm.training.learning_rate if arm.training else None,
        training=_settings(arm),
        invests=list(arm.invests),
        invests_unpublished=list(arm.invests_unpublished),
        charged_per_problem={currency.value: cost.charged(currency) for currency in MATCHING_CURRENCIES},
        charged_incomplete=[currency.value for currency in MATCHING_CURRENCIES if currency in cost.bill_incomplete],
        undominated=undominated,
        sources=list(arm.sources),
    )


def _settings(arm: Arm) -> dict[str, str]:
    if arm.training is None:
        return {}
    known = arm.training.model_dump(exclude_none=True)
    return {key: ", ".join(value) if isinstance(value, tuple) else str(value) for key, value in known.items()}


def _accuracy_interval(evidence: Evidence, arm: Arm) -> intervals.Estimate | None:
    if arm.name in evidence.answers:
        questions = evidence.answers.common(arm.name)
        if not questions.any():
            return None
        values = evidence.answers.problem_means((arm.name,), questions)[0]
        return intervals.estimate(values, evidence.weights(len(values)), bounds=(0.0, 1.0))
    return evidence.proportion(arm.accuracy, arm.n_questions)


def outer_loop_rows(evidence: Evidence) -> list[OuterLoopRow]:
    """The bill of each published round, folded from its charges."""
    return [_outer_loop(evidence, run) for run in evidence.claim.reward_runs]


def _outer_loop(evidence: Evidence, run: RewardRun) -> OuterLoopRow:
    charges = ledger.of(evidence.claim.charges, run.name)
    inner = ledger.sum_up(ledger.of(charges, run.name, Purpose.ADAPT))
    generated = ledger.sum_up(charges).at_least.tokens_generated
    by_purpose = {purpose: ledger.of(charges, run.name, purpose) for purpose in Purpose}
    calls = {charge.operation: charge.count for charge in charges}
    return OuterLoopRow(
        name=run.name,
        prompt=run.prompt,
        round=run.round,
        inner_loops=run.problems * run.edits * run.repeats,
        edits=run.problems * run.edits,
        kept=run.kept,
        discarded=run.problems * run.edits - run.kept,
        updates=inner.at_least.updates,
        tokens_real=inner.at_least.tokens_real,
        tokens_padded=inner.at_least.tokens_padded,
        tokens_generated=generated,
        flops=inner.at_least.flops,
        flops_unpadded=inner.flops_unpadded,
        answers=calls.get("answer a question"),
        grader_calls=next((count for name, count in calls.items() if name.startswith("grade")), None),
        verdicts_stored=run.verdicts_stored,
        tokens_estimated=Currency.TOKENS_REAL in inner.estimated,
        by_purpose={purpose: ledger.sum_up(rows).at_least.known() for purpose, rows in by_purpose.items() if rows},
        sources=list(run.sources),
    )


def reward_rows(evidence: Evidence) -> list[RewardRow]:
    """How far each round's reward can be trusted."""
    return [_reward(evidence, run) for run in evidence.claim.reward_runs]


def _reward(evidence: Evidence, run: RewardRun) -> RewardRow:
    rewards = _rewards(run)
    found, apparent, held_out = None, None, None
    if rewards is not None:
        found = reward.reliability(rewards)
        apparent = float(reward.apparent_gains(rewards.mean(axis=2)).mean())
        if run.repeats > 1:
            gains = reward.held_out_gains(rewards)
            held_out = Interval.of(intervals.estimate(gains, evidence.weights(len(gains))))
    elif run.means and len({len(row) for row in run.means}) == 1:
        means = np.array(run.means, dtype=np.float64)
        apparent = float(reward.apparent_gains(means).mean())
        if run.deviations is not None:
            deviations = np.array(run.deviations, dtype=np.float64)
            found = reward.reliability_from_moments(means, deviations, run.repeats)
    return RewardRow(
        arm=run.name,
        prompt=run.prompt,
        round=run.round,
        problems=run.problems,
        edits=run.edits,
        repeats=run.repeats,
        reliability=found.mean if found else None,
        reliability_single=found.single if found else None,
        apparent_gain=apparent,
        heldout_gain=held_out.value if held_out else None,
        heldout=held_out,
    )


def _rewards(run: RewardRun) -> Floats | None:
    """Accuracies as problems by edits by repeats, where every problem has as many edits and repeats as the others."""
    if run.correct is None or {len(rows) for rows in run.correct} != {run.edits}:
        return None
    counts = np.array(run.correct, dtype=np.float64)
    result: Floats = counts / np.array(run.questions, dtype=np.float64)[:, None, None]
    return result


def stability_rows(evidence: Evidence) -> list[StabilityRow]:
    """For every arm with a frozen model beside it: what training fixed and broke."""
    rows = []
    for arm in evidence.claim.arms:
        pair = (frozen_row(arm.name), arm.name)
        if evidence.share_questions(*pair):
            questions = evidence.answers.common(*pair)
            found = stability.fixed_broken(*(evidence.answers.answers(row)[questions] for row in pair))
            rows.append(
                StabilityRow(
                    arm=arm.name,
                    fixed=found.fixed,
                    broken=found.broken,
                    previously_correct=found.previously_correct,
                    questions=found.questions,
                )
            )
    return rows


def retention_table(continual: Continual) -> RetentionTable:
    """The retention matrix with its means, and the change within the runs that were published singly."""
    means = stability.retention(continual.mean)
    runs = [found for matrix in continual.runs if (found := stability.retention(matrix))]
    change = None
    if len(runs) > 1:
        change = Interval.of(intervals.student(np.array([run.after_all - run.untouched for run in runs])))
    return RetentionTable(
        name=continual.name,
        sequences=continual.sequences,
        matrix=[list(row) for row in continual.mean],
        untouched=means.untouched if means else None,
        right_after=means.right_after if means else None,
        after_all=means.after_all if means else None,
        runs=len(runs),
        change_in_runs=change,
        method=f"Student's interval over the {len(runs)} runs published singly" if change else "single runs missing",
        sources=list(continual.sources),
    )
