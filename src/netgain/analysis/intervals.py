"""Intervals by resampling problems, and tests of a difference. Generators are passed in, never made here.

The estimand is a mean over problems of a problem's mean over questions; problems are the independent units, so whole
problems are resampled, with all their questions and for both arms of a pair at once. Intervals are *expanded
percentile* intervals: the percentile levels are widened so that a mean of few problems is covered as by Student's t
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 3.3).

Tests: sign flips by problem, exact McNemar by question, Holm over many, equivalence; and power.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
RESAMPLES = 10_000
FLIPS = 10_000
FEWEST_TO_RESAMPLE = 10
ROUNDING = 1e-9
LEVEL = 0.95
EQUAL = 1e-12  # relative; values that differ by less are one value
METHOD = "paired cluster bootstrap over problems, 10,000 resamples, expanded percentile (Student below ten problems)"


def constant(values: Floats) -> bool:
    """Whether all values are equal up to rounding, so that there is no spread to speak of."""
    return len(values) == 0 or float(np.ptp(values)) < ROUNDING


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval; all fractions, not per cent."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.low > 0 or self.high < 0


def resample_weights(units: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """How much each unit weighs in each resample: an array of resamples by units, rows summing to 1."""
    counts: NDArray[np.int64] = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    return counts / units


def expanded_levels(units: int, level: float = LEVEL) -> tuple[float, float]:
    """Percentile levels (fractions) that give a bootstrap mean of ``units`` values Student's coverage."""
    if units < 2:
        return 0.0, 1.0
    tail = (1 - level) / 2
    lower = float(stats.norm.cdf(np.sqrt(units / (units - 1)) * stats.t.ppf(tail, units - 1)))
    return lower, 1 - lower


def estimate(
    values: Floats, weights: Floats, level: float = LEVEL, bounds: tuple[float, float] = (-1.0, 1.0)
) -> Interval:
    """Mean of one value a unit, with its interval; ``weights`` as from :func:`resample_weights`.

    With fewer than ten units a bootstrap has too few distinct resamples and Student's interval is given. Where all
    values are equal the sample says nothing about their spread: see :func:`no_spread`. ``bounds`` are the values that a
    unit can take at most.
    """
    if constant(values):
        return no_spread(float(values.mean()) if len(values) else 0.0, len(values), level, bounds)
    if len(values) < FEWEST_TO_RESAMPLE:
        found = student(values, level)
        return Interval(found.value, max(found.low, bounds[0]), min(found.high, bounds[1]))
    return from_resamples(float(values.mean()), weights @ values, len(values), level)


def no_spread(value: float, units: int, level: float, bounds: tuple[float, float]) -> Interval:
    """The interval of a mean when all ``units`` sampled units had this same value.

    At most a share ``1 - (1 - level)^(1/units)`` of the population can differ from it without the sample having met
    one (the exact form of the "rule of three"), and each of those by no more than the bounds allow.
    """
    differing = 1 - (1 - level) ** (1 / units) if units else 1.0
    return Interval(value, value - differing * (value - bounds[0]), value + differing * (bounds[1] - value))


def from_resamples(value: float, samples: Floats, units: int, level: float = LEVEL) -> Interval:
    """An interval from a statistic's resampled values; ``units`` is the number of resampled units."""
    low, high = np.quantile(samples, expanded_levels(units, level))
    return Interval(value, float(low), float(high))


def wilson(right: float, asked: int, level: float = LEVEL) -> Interval:
    """Wilson's interval for a proportion (questions taken as independent). ``right`` is rounded to whole answers."""
    result = stats.binomtest(round(right), asked)
    interval = result.proportion_ci(confidence_level=level, method="wilson")
    return Interval(right / asked, float(interval.low), float(interval.high))


def newcombe(left: Interval, right: Interval) -> Interval:
    """Difference of two independent proportions from their Wilson intervals (Newcombe 1998, method 10)."""
    difference = left.value - right.value
    low = difference - float(np.hypot(left.value - left.low, right.high - right.value))
    high = difference + float(np.hypot(left.high - left.value, right.value - right.low))
    return Interval(difference, low, high)


def student(values: Floats, level: float = LEVEL) -> Interval:
    """Mean of a few independent values with Student's interval: a point where all are equal but for rounding.

    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("an interval needs at least two values")
    mean = float(values.mean())
    if float(np.ptp(values)) <= EQUAL * abs(mean):
        return Interval(mean, mean, mean)
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    return Interval(mean, float(interval.low), float(interval.high))


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
    """The level at which :func:`no_spread` lies just inside the margin."""
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
