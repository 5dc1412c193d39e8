"""Which edits to evaluate, how often, and which to keep: arithmetic on rewards alone, for runs and for replays.

A :class:`Tally` holds the rewards so far. A rule is an iterator over the edits to evaluate next, which reads the tally
between its steps; its driver evaluates them and adds their rewards. So the same rule runs on a model and on published
rewards.

SEAL evaluates 5 edits 3 times each and keeps the best mean (:func:`uniform`). Its reward has a reliability of 0.13 per
evaluation (ICC(1,1) on the published rewards): most of it is noise. :func:`halving` spends the same number of
evaluations on more edits at first and gives the later ones to those that still look good (successive halving: Karnin,
Koren and Somekh 2013), ranked by the mean shrunk towards the problem's (empirical Bayes: Efron and Morris 1975): one
lucky evaluation does not beat three good ones.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np

RELIABILITY = 0.13


@final
class Tally:
    """The rewards of the edits of one problem, in the order in which they came."""

    def __init__(self, edits: int) -> None:
        self.rewards: list[list[float]] = [[] for _ in range(edits)]

    def __len__(self) -> int:
        return len(self.rewards)

    def add(self, edit: int, reward: float) -> None:
        """Add one evaluation."""
        self.rewards[edit].append(reward)

    def counts(self) -> list[int]:
        """How often each edit was evaluated."""
        return [len(rewards) for rewards in self.rewards]

    def means(self) -> list[float]:
        """Each edit's mean reward; minus infinity for one that was never evaluated."""
        return [sum(rewards) / len(rewards) if rewards else float("-inf") for rewards in self.rewards]

    def scores(self, reliability: float | None = None) -> list[float]:
        """What edits are ranked by: their means, or the shrunken ones where a reliability is given."""
        return self.means() if reliability is None else self.shrunk(reliability)

    def shrunk(self, reliability: float) -> list[float]:
        """Each edit's mean, shrunk towards the problem's by how little its number of evaluations is worth.

        With ``n`` evaluations of reliability ``r`` each, the weight is ``n r / (1 + (n - 1) r)`` (Spearman-Brown), and
        the problem's mean is that of the edits with these weights.
        """
        weights = [count * reliability / (1 + (count - 1) * reliability) for count in self.counts()]
        known = [(weight, mean) for weight, mean in zip(weights, self.means(), strict=True) if weight]
        if not known:
            return self.means()
        centre = sum(weight * mean for weight, mean in known) / sum(weight for weight, _ in known)
        pairs = zip(weights, self.means(), strict=True)
        return [centre + weight * (mean - centre) if weight else float("-inf") for weight, mean in pairs]


Rule = Callable[[Tally], Iterator[list[int]]]


def uniform(repeats: int) -> Rule:
    """Every edit ``repeats`` times, all at once."""

    def rule(tally: Tally) -> Iterator[list[int]]:
        yield [edit for edit in range(len(tally)) for _ in range(repeats)]

    return rule


def halving(evaluations: int, reliability: float = RELIABILITY) -> Rule:
    """Every edit once; then the better half, once more, and so on, until ``evaluations`` are used.

    When two are left they get what remains in turn.
    """

    def rule(tally: Tally) -> Iterator[list[int]]:
        left, kept = evaluations, list(range(len(tally)))
        while left > 0 and kept:
            stage = kept[:left]
            yield stage
            left -= len(stage)
            kept = ranked(tally, kept, reliability)[: max(2, len(kept) // 2)]

    return rule


def ranked(tally: Tally, edits: Sequence[int], reliability: float) -> list[int]:
    """These edits, the best first by the shrunken mean; the first among equals."""
    scores = tally.shrunk(reliability)
    return sorted(edits, key=lambda edit: (-scores[edit], edit))


def best(tally: Tally, reliability: float | None = None, among: Sequence[int] | None = None) -> int:
    """The edit to keep (``among`` these, or all): by its mean, or by the shrunken one where a reliability is given; the
    first among equals."""
    scores = tally.scores(reliability)
    return max(range(len(tally)) if among is None else among, key=lambda edit: (scores[edit], -edit))


def advantages(tally: Tally) -> list[float]:
    """How far each edit's mean lies above the group's, in standard deviations of the group; 0 where all are equal."""
    means = np.array(tally.means())
    known = means[np.isfinite(means)]
    spread = float(known.std()) if len(known) else 0.0
    if spread < 1e-12:
        return [0.0] * len(tally)
    return [float((mean - known.mean()) / spread) if np.isfinite(mean) else 0.0 for mean in means]


def copies(weights: Sequence[float], rng: np.random.Generator) -> list[int]:
    """Whole numbers whose expectations are these weights, by systematic rounding of their running sum."""
    steps = np.floor(np.concatenate([[0.0], np.cumsum(weights)]) + rng.random())
    return [int(count) for count in np.diff(steps)]
