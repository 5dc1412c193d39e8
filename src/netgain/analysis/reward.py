"""How much of a reward is signal: reliability, and the winner's curse of keeping the best of several edits."""

from dataclasses import dataclass
from typing import final

import numpy as np

from netgain.analysis import intervals
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Floats
from netgain.analysis.verdict import OuterLoopRow, RewardRow
from netgain.metering import ledger
from netgain.records.claim import Purpose, RewardRun
from netgain.records.cost import Currency


@final
@dataclass(frozen=True, slots=True)
class Reliability:
    """Share of the variance between edits of one problem that is theirs: of the mean over repeats, and of a single one.

    One-way intraclass correlations ICC(1,k) and ICC(1,1) (Shrout and Fleiss 1979), edits within problems. They can
    come out below 0 where repeats differ more than edits do.
    """

    mean: float
    single: float


def reliability(rewards: Floats) -> Reliability | None:
    """From an array of problems by edits by repeats. None for fewer than two edits or repeats, or no variance."""
    _, edits, repeats = rewards.shape
    if edits < 2 or repeats < 2:
        return None
    within = float(rewards.var(axis=2, ddof=1).mean())
    return _from_squares(repeats * float(rewards.mean(axis=2).var(axis=1, ddof=1).mean()), within, repeats)


def reliability_from_moments(means: Floats, deviations: Floats, repeats: int) -> Reliability | None:
    """The same from each edit's mean and standard deviation over repeats, where single rewards were not kept."""
    if means.shape[1] < 2 or repeats < 2 or np.isnan(deviations).any():
        return None
    return _from_squares(
        repeats * float(means.var(axis=1, ddof=1).mean()), float(np.square(deviations).mean()), repeats
    )


def _from_squares(between: float, within: float, repeats: int) -> Reliability | None:
    if between <= 0 or between + (repeats - 1) * within <= 0:
        return None
    return Reliability((between - within) / between, (between - within) / (between + (repeats - 1) * within))


def apparent_gains(means: Floats) -> Floats:
    """Per problem, how far the best edit's reward lies above the mean edit's, on the rewards that chose it."""
    result: Floats = means.max(axis=1) - means.mean(axis=1)
    return result


def held_out_gains(rewards: Floats) -> Floats:
    """Per problem, the same on a repeat that did not choose: chosen on the others, averaged over the repeats held out.

    Edits that tie for the best are averaged, so that their order does not matter. Needs two repeats or more.
    """
    repeats = rewards.shape[2]
    if repeats < 2:
        raise ValueError("a held-out repeat needs at least two repeats")
    gains = []
    for index in range(repeats):
        chosen_by = np.delete(rewards, index, axis=2).mean(axis=2)
        best = np.isclose(chosen_by, chosen_by.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
        examined = rewards[:, :, index]
        gains.append((examined * best).sum(axis=1) / best.sum(axis=1) - examined.mean(axis=1))
    result: Floats = np.mean(gains, axis=0)
    return result


def reward_rows(evidence: Evidence) -> list[RewardRow]:
    """How far each round's reward can be trusted."""
    return [_reward(evidence, run) for run in evidence.claim.reward_runs]


def _reward(evidence: Evidence, run: RewardRun) -> RewardRow:
    rewards = _rewards(run)
    found, apparent, held_out = None, None, None
    if rewards is not None:
        found = reliability(rewards)
        apparent = float(apparent_gains(rewards.mean(axis=2)).mean())
        if run.repeats > 1:
            gains = held_out_gains(rewards)
            asked = float(np.mean(run.questions))
            held_out = intervals.estimate(gains, evidence.weights(len(gains)), questions=asked)
    elif run.means and len({len(row) for row in run.means}) == 1:
        means = np.array(run.means, dtype=np.float64)
        apparent = float(apparent_gains(means).mean())
        if run.deviations is not None:
            deviations = np.array(run.deviations, dtype=np.float64)
            found = reliability_from_moments(means, deviations, run.repeats)
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
        from_means=rewards is None and apparent is not None,
    )


def _rewards(run: RewardRun) -> Floats | None:
    """Accuracies as problems by edits by repeats, where every problem has as many edits and repeats as the others."""
    if run.correct is None or {len(rows) for rows in run.correct} != {run.edits}:
        return None
    counts = np.array(run.correct, dtype=np.float64)
    result: Floats = counts / np.array(run.questions, dtype=np.float64)[:, None, None]
    return result


def outer_loop_rows(evidence: Evidence) -> list[OuterLoopRow]:
    """The bill of each published round, folded from its charges. A trial's own bills stand in its compute card."""
    return [] if evidence.claim.terms else [_outer_loop(evidence, run) for run in evidence.claim.reward_runs]


def _outer_loop(evidence: Evidence, run: RewardRun) -> OuterLoopRow:
    charges = ledger.of(evidence.claim.charges, run.name)
    inner = ledger.sum_up(ledger.of(charges, run.name, Purpose.ADAPT))
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
        tokens_generated=ledger.sum_up(charges).at_least.tokens_generated,
        flops=inner.at_least.flops,
        flops_unpadded=inner.flops_unpadded,
        answers=calls.get("answer a question"),
        grader_calls=next((count for name, count in calls.items() if name.startswith("grade")), None),
        verdicts_stored=run.verdicts_stored,
        tokens_estimated=Currency.TOKENS_REAL in inner.estimated,
        by_purpose={purpose: ledger.sum_up(rows).at_least.known() for purpose, rows in by_purpose.items() if rows},
        sources=list(run.sources),
    )
