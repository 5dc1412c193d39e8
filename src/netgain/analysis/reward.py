"""How much of a reward is signal: reliability, and the winner's curse of keeping the best of several edits."""

from dataclasses import dataclass
from typing import final

import numpy as np

from netgain.analysis.table import Floats


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
