"""Intervals by resampling problems. Generators are passed in, never made here.

The estimand is a mean over problems of a problem's mean over questions; problems are the independent units, so whole
problems are resampled, with all their questions and for both arms of a pair at once. Intervals are *expanded
percentile* intervals: the percentile levels are widened so that a mean of few problems is covered as by Student's t
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 3.3).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
RESAMPLES = 10_000
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
class Estimate:
    """A value with its interval; all fractions, not per cent."""

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
) -> Estimate:
    """Mean of one value a unit, with its interval; ``weights`` as from :func:`resample_weights`.

    With fewer than ten units a bootstrap has too few distinct resamples and Student's interval is given. Where all
    values are equal the sample says nothing about their spread: see :func:`no_spread`. ``bounds`` are the values that a
    unit can take at most.
    """
    if constant(values):
        return no_spread(float(values.mean()) if len(values) else 0.0, len(values), level, bounds)
    if len(values) < FEWEST_TO_RESAMPLE:
        found = student(values, level)
        return Estimate(found.value, max(found.low, bounds[0]), min(found.high, bounds[1]))
    return from_resamples(float(values.mean()), weights @ values, len(values), level)


def no_spread(value: float, units: int, level: float, bounds: tuple[float, float]) -> Estimate:
    """The interval of a mean when all ``units`` sampled units had this same value.

    At most a share ``1 - (1 - level)^(1/units)`` of the population can differ from it without the sample having met
    one (the exact form of the "rule of three"), and each of those by no more than the bounds allow.
    """
    differing = 1 - (1 - level) ** (1 / units) if units else 1.0
    return Estimate(value, value - differing * (value - bounds[0]), value + differing * (bounds[1] - value))


def from_resamples(value: float, samples: Floats, units: int, level: float = LEVEL) -> Estimate:
    """An interval from a statistic's resampled values; ``units`` is the number of resampled units."""
    low, high = np.quantile(samples, expanded_levels(units, level))
    return Estimate(value, float(low), float(high))


def wilson(right: float, asked: int, level: float = LEVEL) -> Estimate:
    """Wilson's interval for a proportion (questions taken as independent). ``right`` is rounded to whole answers."""
    result = stats.binomtest(round(right), asked)
    interval = result.proportion_ci(confidence_level=level, method="wilson")
    return Estimate(right / asked, float(interval.low), float(interval.high))


def newcombe(left: Estimate, right: Estimate) -> Estimate:
    """Difference of two independent proportions from their Wilson intervals (Newcombe 1998, method 10)."""
    difference = left.value - right.value
    low = difference - float(np.hypot(left.value - left.low, right.high - right.value))
    high = difference + float(np.hypot(left.high - left.value, right.value - right.low))
    return Estimate(difference, low, high)


def student(values: Floats, level: float = LEVEL) -> Estimate:
    """Mean of a few independent values with Student's interval: a point where all are equal but for rounding.

    Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("an interval needs at least two values")
    mean = float(values.mean())
    if float(np.ptp(values)) <= EQUAL * abs(mean):
        return Estimate(mean, mean, mean)
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    return Estimate(mean, float(interval.low), float(interval.high))
