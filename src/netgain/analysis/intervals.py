"""Intervals by resampling problems, and tests of a difference. Generators are passed in, never made here.

The estimand is a mean over problems of a problem's mean over questions; problems are the independent units, so whole
problems are resampled, with all their questions and for both arms of a pair at once. Intervals are *expanded
percentile* intervals: the percentile levels are widened so that a mean of few problems is covered as by Student's t
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 3.3).

At the border (all answers right, nothing broken) a sample has no spread to resample. So an interval always reaches at
least as far as the *no-spread bound*: what so many answers of which none differs cannot exclude. It is always there,
so that one answer more or less never makes an interval jump, and it binds at the border only.

A one-sided p (:func:`tail`) is the level at which the interval's end lies at the value that is tested: p < 0.05 where
the 95 % interval excludes it, and nowhere else.

Tests: exact McNemar by question, sign flips by problem, Holm over many; and power.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]
RESAMPLES = 10_000
FEWEST_RESAMPLES, MOST_WEIGHTS = 2_000, 40_000_000
AT_ONCE = 1_000
FEWEST_TO_RESAMPLE = 10
ROUNDING = 1e-9
LEVEL = 0.95
MOST = 0.5  # no one-sided p is larger: from there on the other side is asked
EQUAL = 1e-12  # relative; values that differ by less are one value
WITHIN = 0.2  # assumed correlation of the answers to two questions of one problem, where a sample cannot show it
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
    """How much each unit weighs in each resample: an array of resamples by units, rows summing to 1.

    Of more than 4,000 units fewer resamples, 2,000 at least: the array would take gigabytes, and the mean of so many is
    as good as normal.
    """
    if units * resamples > MOST_WEIGHTS:
        weights = np.empty((max(FEWEST_RESAMPLES, MOST_WEIGHTS // units), units))
        for row in weights:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units) / units
        return weights
    weights = np.empty((resamples, units))
    for first in range(0, resamples, AT_ONCE):  # drawn all at once they would be in memory twice, as counts as well
        part = weights[first : first + AT_ONCE]
        part[:] = rng.multinomial(units, np.full(units, 1 / units), size=len(part)) / units
    return weights


def expanded_levels(units: int, level: float = LEVEL) -> tuple[float, float]:
    """Percentile levels (fractions) that give a bootstrap mean of ``units`` values Student's coverage."""
    if units < 2:
        return 0.0, 1.0
    tail = (1 - level) / 2
    lower = float(special.ndtr(np.sqrt(units / (units - 1)) * special.stdtrit(units - 1, tail)))
    return lower, 1 - lower


def estimate(
    values: Floats,
    weights: Floats,
    level: float = LEVEL,
    bounds: tuple[float, float] = (-1.0, 1.0),
    questions: float | None = None,
) -> Interval:
    """Mean of one value a unit, with its interval; ``weights`` as from :func:`resample_weights`.

    With fewer than ten units a bootstrap has too few distinct resamples and Student's interval is taken. ``bounds`` are
    the values that a unit can take at most, ``questions`` how many each value is a mean of; where that is not known,
    the no-spread bound counts units and is given only where nothing differs.
    """
    value = float(values.mean()) if len(values) else 0.0
    least = no_spread(value, independent_answers(values, questions), level, bounds)
    if constant(values):
        return least
    if len(values) < FEWEST_TO_RESAMPLE:
        found = student(values, level)
    else:
        found = from_resamples(value, weights @ values, len(values), level)
    low, high = min(found.low, least.low), max(found.high, least.high)
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]))


def tail(
    values: Floats,
    weights: Floats,
    above: float = 0.0,
    bounds: tuple[float, float] = (-1.0, 1.0),
    questions: float | None = None,
) -> float:
    """One-sided p of a mean of at most ``above``: the tail at which the interval of :func:`estimate` ends there.

    At most 0.5. A resampled p is never below about 1 / resamples, a little more with few units.
    """
    value = float(values.mean()) if len(values) else 0.0
    if value <= above:
        return MOST
    least = no_spread_tail(value, above, independent_answers(values, questions), bounds)
    if constant(values):
        return least
    if len(values) < FEWEST_TO_RESAMPLE:
        error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
        return max(least, float(special.stdtr(len(values) - 1, (above - value) / error)))
    return min(MOST, max(least, _resampled_tail(weights @ values - above, len(values))))


def _resampled_tail(samples: Floats, units: int) -> float:
    """The tail at which the expanded percentile of these resamples is zero."""
    ordered = np.sort(_exact_zeros(samples))
    below = int(np.searchsorted(ordered, 0.0, side="right"))
    if below == len(ordered):
        return MOST
    level = 0.0
    if below:  # linear between two resamples, as numpy's quantiles are
        last, following = float(ordered[below - 1]), float(ordered[below])
        level = (below - 1 - last / (following - last)) / (len(ordered) - 1)
    level = max(level, 1 / (len(ordered) + 1))
    return float(special.stdtr(units - 1, special.ndtri(level) * np.sqrt((units - 1) / units)))


def _exact_zeros(samples: Floats) -> Floats:
    """Resampled means with zero where only rounding made it something else, so that "excludes zero" means it."""
    return np.where(np.abs(samples) < EQUAL, 0.0, samples)


def independent_answers(values: Floats, questions: float | None) -> float:
    """How many independent answers the values of all units are worth, each a mean of so many questions.

    Answers of a unit are taken to correlate by ``WITHIN`` (Kish's design effect). Where the number is not known: one
    for each unit if nothing differs, so that the no-spread bound is cautious, else infinitely many, so that it is void.
    ``values`` may be seeds by units: the answers of several runs to a question are not counted as several.
    """
    units = values.shape[-1]
    if questions is None:
        return float(units) if constant(values.ravel()) else np.inf
    asked = max(1.0, questions)
    return float(units * asked / (1 + WITHIN * (asked - 1)))


def no_spread(value: float, answers: float, level: float, bounds: tuple[float, float]) -> Interval:
    """The least interval of a mean of so many independent answers: what holds where none of them differs.

    At most a share ``1 - tail^(1 / answers)`` of the population can differ from all that were met without one being
    among them (Clopper and Pearson's bound, of which the "rule of three" is an approximation), and each of those by no
    more than the bounds allow. ``tail`` is the half of what the level leaves.
    """
    differing = 1 - ((1 - level) / 2) ** (1 / answers) if answers else 1.0
    return Interval(value, value - differing * (value - bounds[0]), value + differing * (bounds[1] - value))


def no_spread_tail(value: float, above: float, answers: float, bounds: tuple[float, float]) -> float:
    """The tail at which the lower end of :func:`no_spread` is ``above``, which is below the value."""
    reached = (value - above) / (value - bounds[0]) if value > bounds[0] else 1.0
    return float(min(MOST, max(0.0, 1 - reached) ** answers))


def from_resamples(value: float, samples: Floats, units: int, level: float = LEVEL) -> Interval:
    """An interval from a statistic's resampled values; ``units`` is the number of resampled units."""
    low, high = np.quantile(_exact_zeros(samples), expanded_levels(units, level))
    return Interval(value, float(low), float(high))


def wilson(right: float, asked: int) -> Interval:
    """Wilson's interval for a proportion (questions taken as independent). ``right`` is rounded to whole answers."""
    result = stats.binomtest(round(right), asked)
    interval = result.proportion_ci(confidence_level=LEVEL, method="wilson")
    return Interval(right / asked, float(interval.low), float(interval.high))


def wilson_over(share: float, units: int) -> Interval:
    """Wilson's interval for a share that so many independent units have in the mean, each unit of several answers.

    It is the widest that the units' agreement can make it: as if all answers of one unit were the same.
    """
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    middle = (share + z * z / (2 * units)) / (1 + z * z / units)
    half = z * float(np.sqrt(share * (1 - share) / units + (z / (2 * units)) ** 2)) / (1 + z * z / units)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


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
