"""Tests of a difference: sign flips by problem, exact McNemar by question, Holm over many, equivalence; and power."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import optimize, stats

from netgain.analysis.intervals import ROUNDING, Floats, constant

FLIPS = 10_000


def sign_flip_p(differences: Floats, rng: np.random.Generator, flips: int = FLIPS) -> float:
    """Two-sided p of a zero mean by flipping the signs of whole problems at random; never below 1 / (flips + 1).

    Valid where the two arms are exchangeable within a problem under the null hypothesis. Problems without a
    difference cannot change the statistic and are left out.
    """
    moved = differences[np.abs(differences) > ROUNDING]
    if not len(moved):
        return 1.0
    signs = rng.integers(0, 2, size=(flips, len(moved)), dtype=np.int8) * 2 - 1
    sums = np.abs(signs @ moved)
    return float((1 + np.count_nonzero(sums >= abs(moved.sum()) - 1e-12)) / (flips + 1))


@final
@dataclass(frozen=True, slots=True)
class Discordance:
    """Questions that one arm answered rightly and the other did not, and McNemar's exact p on them."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a: Floats, b: Floats) -> Discordance:
    """Exact McNemar test on paired verdicts (0 or 1). It takes questions as independent, which problems are not."""
    only_a, only_b = int(np.sum((a == 1) & (b == 0))), int(np.sum((a == 0) & (b == 1)))
    discordant = only_a + only_b
    p = float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0
    return Discordance(only_a, only_b, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p values (Holm 1979), in the order given."""
    count = len(p_values)
    order = sorted(range(count), key=lambda index: p_values[index])
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _without_spread(value: float, units: int, margin: float) -> float:
    """The level at which :func:`netgain.analysis.intervals.no_spread` lies just inside the margin."""
    if abs(value) >= margin:
        return 1.0
    above, below = (margin - value) / (1 - value), (margin + value) / (1 + value)
    return float((1 - min(1.0, above, below)) ** units)


def equivalence_p(differences: Floats, margin: float) -> float:
    """Two one-sided t tests over problems: p of the claim that the mean difference lies within +- ``margin``.

    Source: Schuirmann 1987. ``margin`` is a fraction above 0; fewer than two problems give 1.
    """
    if margin <= 0:
        raise ValueError(f"margin = {margin}: an equivalence margin is above 0")
    if len(differences) < 2:
        return 1.0
    if constant(differences):
        return _without_spread(float(differences[0]), len(differences), margin)
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def smallest_detectable(differences: Floats, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The true mean difference that a two-sided test at ``alpha`` over these problems finds with this ``power``.

    From the spread of the paired differences (one a problem), by the non-central t distribution. A fraction; None
    for fewer than three problems. Where all differences are equal there is no spread to plan with: None. Only the
    tail on the effect's side is counted; the other holds less than 1e-6 at usual powers.
    """
    units = len(differences)
    if units < 3 or constant(differences):
        return None
    error = float(np.std(differences, ddof=1) / np.sqrt(units))
    critical = float(stats.t.ppf(1 - alpha / 2, units - 1))

    def shortfall(shift: float) -> float:
        return float(stats.nct.sf(critical, units - 1, shift)) - power

    return float(optimize.brentq(shortfall, 0.1, critical + 3.0)) * error
