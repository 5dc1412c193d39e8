"""Runs crossed with problems: intervals and tests of a mean over both, from an array of seeds by problems.

Every seed is a whole run (its own outer loop, edits, order), every problem is met by all of them, and both are samples:
the conclusion shall hold for the next run on the next problem. Resampling cannot do that here: three runs have ten
distinct resamples, and a run's luck that is met three times is covered far too seldom by any percentile. So the margin
comes from the mean squares of the two-way table (runs ``S``, problems ``P``, rest ``E``; ``s`` runs, ``p`` problems;
``t`` Student's quantile with one degree of freedom less than its sample, at a one-sided tail ``a``)::

    margin^2 = (t(s, a/2)^2 S  +  t(p, a)^2 (P - E)) / (s p),    but at least  t(p, a)^2 P / (s p)

Student's margins of either sample added in squares (in the manner of Graybill and Wang 1980, "Confidence Intervals on
Nonnegative Linear Combinations of Variances", JASA 75). The runs' part is always in: a test whether runs differ that
switches it off is wrong in just those trials in which the runs happened to agree.

*Why half the tail.* Few runs often agree by chance, and those trials hold nearly all of the errors of Student's
interval: of five runs with much luck it covers 95 % of the time, but 88 % in the third of trials whose runs differed
least. An interval that errs in a share ``e`` of all trials errs in at most ``3 e`` of any third of them. With half the
tail that is at most 7.5 %, whatever the luck is (if it is normal), and it need not be known beforehand.

What that gives (``benchmarks/simulated_verdicts.py``, table in its results): with three runs and more 92 % or more
in every third of trials by how much the runs differed (with five, 93 %), and 97 to 100 % over all: cautious rather than
exact, for the luck of the next run cannot be known from a few. Three runs pay for that with width: five halve it. Where
runs collapse now and then and none of those at hand did, no
width that is read from them suffices: see the table. Below three runs the interval is over the problems of those runs
alone, and no verdict may rest on it (:data:`FEWEST_RUNS`).

One rule decides everything here: a p is below 0.05 where the 95 % interval excludes zero, an equivalence where the 90 %
interval lies within the margin, a ratio is possible where the difference that it implies is not excluded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import optimize, special

from netgain.analysis import intervals
from netgain.analysis.intervals import FEWEST_TO_RESAMPLE, LEVEL, MOST, Floats, Interval

FEWEST_RUNS = 3  # below that the luck of a run is not in an interval, and no verdict rests on it
RUNS_SHARE = 0.5  # of the tail, at which the runs' part is taken
SEVERAL = "Student's margins of runs (at half the tail) and of problems added in squares (seeds crossed with problems)"
SINGLE = f"{intervals.METHOD}; over the problems of this one run, so the luck of a run is not covered"
FEW = f"{intervals.METHOD}; over the problems of these few runs, so the luck of a run is not covered"
SIDES = (-1.0, 1.0)
LEAST = 1e-12
POWER = 0.8


def method(seeds: int) -> str:
    """How an interval over so many runs was made, in words."""
    return SEVERAL if seeds >= FEWEST_RUNS else SINGLE if seeds == 1 else FEW


@final
@dataclass(frozen=True, slots=True)
class Squares:
    """The mean squares of a table of seeds by problems (one number in each cell), and its size."""

    seeds: int
    problems: int
    between_seeds: float
    between_problems: float
    rest: float

    @classmethod
    def of(cls, values: Floats) -> "Squares":
        """Needs two seeds and two problems or more."""
        seeds, problems = values.shape
        rows, columns, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
        left = values - rows[:, None] - columns[None, :] + mean
        return cls(
            seeds,
            problems,
            float(problems * np.square(rows - mean).sum() / (seeds - 1)),
            float(seeds * np.square(columns - mean).sum() / (problems - 1)),
            float(np.square(left).sum() / ((seeds - 1) * (problems - 1))),
        )

    @classmethod
    def expected(cls, seeds: int, problems: int, of_runs: float, of_problems: float, of_rest: float) -> "Squares":
        """The mean squares that these variances lead one to expect: of runs, of problems and of single cells."""
        return cls(seeds, problems, problems * of_runs + of_rest, seeds * of_problems + of_rest, of_rest)

    @property
    def variance(self) -> float:
        """That of the mean, as estimated."""
        squares = self.between_seeds + max(0.0, self.between_problems - self.rest)
        return max(squares, self.between_problems) / (self.seeds * self.problems)

    def seed_deviation(self) -> float:
        """Standard deviation of a run's own luck: of its true mean about the mean of all runs."""
        return float(np.sqrt(max(0.0, self.between_seeds - self.rest) / self.problems))

    def margin(self, tail: float) -> float:
        """How far the mean lies from the truth with probability 1 - ``tail``, to one side."""
        return float(self._margins(tail, np.array(self.between_seeds), np.array(self.between_problems)))

    def _margins(self, tail: float, between_seeds: Floats, between_problems: Floats) -> Floats:
        """The same for each of these mean squares, the rest as it is."""
        of_seeds = _student(tail * RUNS_SHARE, self.seeds) ** 2
        of_problems = _student(tail, self.problems) ** 2
        both = of_seeds * between_seeds + of_problems * np.maximum(0.0, between_problems - self.rest)
        result: Floats = np.sqrt(np.maximum(both, of_problems * between_problems) / (self.seeds * self.problems))
        return result

    def tail(self, distance: float) -> float:
        """The one-sided p at which the margin is as wide as ``distance``: between ``LEAST`` and ``MOST``."""
        if distance <= self.margin(MOST):
            return MOST
        if self.margin(LEAST) <= distance:
            return LEAST

        def short(logarithm: float) -> float:
            return self.margin(math.exp(logarithm)) - distance

        return math.exp(optimize.brentq(short, math.log(LEAST), math.log(MOST)))

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """The true mean that as many runs and problems find with this power, if these squares are the expected ones.

        Found means that the interval excludes zero. What is drawn anew in each trial is integrated over: the mean
        (normal), the runs' and the problems' mean squares (chi-squared); the rest's hardly varies.
        """
        freedom = np.array([self.seeds - 1, self.problems - 1])
        chances = (np.arange(48) + 0.5) / 48
        drawn = special.chdtri(freedom[:, None], chances[None, :]) / freedom[:, None]
        margins = self._margins(
            (1 - level) / 2, self.between_seeds * drawn[0][:, None], self.between_problems * drawn[1][None, :]
        )
        error = math.sqrt(self.variance)

        def shortfall(mean: float) -> float:
            return float(special.ndtr((mean - margins) / error).mean()) - power

        return float(optimize.brentq(shortfall, 0.0, float(margins.max()) + 8 * error))


def _student(tail: float, units: int) -> float:
    """How many standard errors of a mean of ``units`` values are exceeded with probability ``tail``, to one side."""
    return -float(special.stdtrit(units - 1, tail))


def crossed(values: Floats) -> bool:
    """Whether there are enough runs, of several problems, to let the interval hold for the next run."""
    seeds, problems = values.shape
    return bool(seeds >= FEWEST_RUNS and problems > 1)


def estimate(
    values: Floats, weights: Floats, bounds: tuple[float, float] = SIDES, questions: float | None = None
) -> Interval:
    """The mean of ``values`` (seeds by problems) with its 95 % interval.

    ``weights`` resample the problems where there are too few runs, ``bounds`` are the values that a cell can take at
    most, ``questions`` how many each cell is a mean of: see :func:`intervals.estimate`.
    """
    if not crossed(values):
        return intervals.estimate(values.mean(axis=0), weights, bounds=bounds, questions=questions)
    value, margin = float(values.mean()), Squares.of(values).margin((1 - LEVEL) / 2)
    answers = intervals.independent_answers(values, questions)
    least = intervals.no_spread(value, answers, LEVEL, bounds)
    low, high = min(value - margin, least.low), max(value + margin, least.high)
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]))


def one_sided_p(
    values: Floats,
    weights: Floats,
    above: float = 0.0,
    bounds: tuple[float, float] = SIDES,
    questions: float | None = None,
) -> float:
    """P of a true mean of at most ``above``, against one that is larger; 0.5 where the sample says the contrary.

    Below 0.025 where the interval of :func:`estimate` lies above it. The largest of several is the p of the claim that
    all of the means are larger (an intersection-union test).
    """
    if not crossed(values):
        return intervals.tail(values.mean(axis=0), weights, above, bounds, questions)
    value = float(values.mean())
    if value <= above:
        return MOST
    answers = intervals.independent_answers(values, questions)
    return max(intervals.no_spread_tail(value, above, answers, bounds), Squares.of(values).tail(value - above))


def p_value(
    values: Floats, weights: Floats, bounds: tuple[float, float] = SIDES, questions: float | None = None
) -> float:
    """Two-sided p of a zero mean: below 0.05 where the interval of :func:`estimate` excludes zero."""
    if values.mean() < 0:
        return p_value(-values, weights, (-bounds[1], -bounds[0]), questions)
    return 2 * one_sided_p(values, weights, 0.0, bounds, questions)


def equivalence_p(
    values: Floats,
    weights: Floats,
    margin: float,
    questions: float | None = None,
) -> float:
    """Two one-sided tests: p of the claim that the true mean lies within +- ``margin`` (Schuirmann 1987).

    Raises ValueError for a margin of zero or less.
    """
    if margin <= 0:
        raise ValueError(f"margin = {margin}: an equivalence margin is above 0")
    return max(one_sided_p(side, weights, -margin, questions=questions) for side in (values, -values))


def smallest_detectable(values: Floats) -> float | None:
    """The true mean that as many runs and problems would find in about 80 % of cases; None without spread."""
    if not crossed(values):
        return intervals.smallest_detectable(values.mean(axis=0))
    squares = Squares.of(values)
    return squares.detectable() if squares.variance > LEAST else None


def ratio(upper: Floats, lower: Floats, weights: Floats, questions: float | None = None) -> Interval | None:
    """Mean of ``upper`` over mean of ``lower``, by asking which ratios the data do not exclude (Fieller 1954).

    None where ``lower`` is not distinguishable from zero, so that nothing bounds the ratio.
    """
    if not estimate(lower, weights, questions=questions).excludes_zero:
        return None
    value = float(upper.mean() / lower.mean())

    if not crossed(lower):  # over problems only: the resamples' own ratios
        means = weights @ lower.mean(axis=0)
        if not means.all() or lower.shape[1] < FEWEST_TO_RESAMPLE:
            return None
        return intervals.from_resamples(value, (weights @ upper.mean(axis=0)) / means, lower.shape[1])

    def excluded(at: float) -> bool:
        most = 1 + abs(at)
        return estimate(upper - at * lower, weights, (-most, most), questions).excludes_zero

    ends = [_edge(excluded, value, direction) for direction in SIDES]
    return None if ends[0] is None or ends[1] is None else Interval(value, ends[0], ends[1])


def _edge(excluded: Callable[[float], bool], value: float, direction: float) -> float | None:
    """Where, going from ``value`` in one direction, ratios begin to be excluded; None if not within 1,000."""
    step = 1 / 64
    while not excluded(value + direction * step):
        step *= 2
        if step > 1000:
            return None
    inside, outside = step / 2 if step > 1 / 64 else 0.0, step
    for _ in range(30):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(value + direction * middle) else (middle, outside)
    return value + direction * outside
