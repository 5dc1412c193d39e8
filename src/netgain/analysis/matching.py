"""Which rivals an arm may be held against: those that cost no more, in a stated currency."""

from collections.abc import Mapping

import numpy as np

from netgain.analysis.table import Floats

TOLERANCE = 0.01
FOLDS = 10
REPEATS = 20


def affordable(costs: Mapping[str, float | None], budget: float) -> list[str]:
    """The names whose cost is known and at most ``budget`` (1 % over is still counted as equal)."""
    return [name for name, cost in costs.items() if cost is not None and cost <= budget * (1 + TOLERANCE)]


def best(accuracies: Mapping[str, float], names: list[str]) -> str | None:
    """The most accurate of these names; the first in order among equals."""
    return max(names, key=lambda name: accuracies[name], default=None)


def cross_fitted(arm: Floats, rivals: Floats, rng: np.random.Generator, folds: int = FOLDS) -> Floats:
    """Per-problem differences to the best rival, where each problem's rival was chosen on the other folds.

    Choosing the best of several rivals on the very problems that it is then compared on favours the rivals; this
    does not. Averaged over 20 random divisions into folds. ``rivals`` is an array of rivals by problems. Returns one
    difference a problem.
    """
    units = len(arm)
    differences = np.zeros(units)
    for _ in range(REPEATS):
        fold = rng.permutation(units) % min(folds, units)
        for index in range(int(fold.max()) + 1):
            held_out = fold == index
            chosen = int(rivals[:, ~held_out].mean(axis=1).argmax()) if (~held_out).any() else 0
            differences[held_out] += arm[held_out] - rivals[chosen, held_out]
    result: Floats = differences / REPEATS
    return result
