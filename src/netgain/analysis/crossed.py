"""Runs crossed with problems: intervals and tests of a mean over both, from an array of seeds by problems.

Every seed is a whole run (its own outer loop, edits, order), every problem is met by all of them, and both are samples:
the conclusion shall hold for the next run on the next problem. Resampling cannot do that here: three runs have ten
distinct resamples, and a run's luck that is met three times is covered far too seldom by any percentile. So the margin
comes from the mean squares of the two-way table (runs ``S``, problems ``P``, rest ``E``; ``s`` runs, ``p`` problems)::

    margin^2 = (t(s - 1)^2 S w  +  t(p - 1)^2 P) / (s p),    w = S/E - 1, but at least 0 and at most 1

Student's margins of either sample added in squares (in the manner of Graybill and Wang 1980); runs count as far as they
differ by more than the rest explains, wholly from twice the rest on. Satterthwaite's degrees of freedom were tried and
cover less where runs differ. Over simulated trials of 3 or 5 runs and 24 or 48 problems this covers 96 to 97 % without
luck and 94 to 96 % with much (``benchmarks/simulated_runs.py``), down to 92 % for 3 runs where arms hardly differ from
problem to problem: a little too wide where runs do not differ, which three runs cannot show.
With one run only the problems are a sample: then
whole problems are resampled as everywhere else, and the luck of the run is not covered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import optimize, special

from netgain.analysis import intervals
from netgain.analysis.intervals import FEWEST_TO_RESAMPLE, LEVEL, Floats, Interval

SEVERAL = "Student's margins of seeds and of problems added in squares (seeds crossed with problems)"
SINGLE = f"{intervals.METHOD}; a single seed, so the luck of a run is not covered"
LEAST, MOST = 1e-12, 0.5


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

    @property
    def luck(self) -> float:
        """How far runs count: 0 where they differ no more than the rest explains, 1 from twice that on."""
        if self.between_seeds <= self.rest:
            return 0.0
        return min(1.0, self.between_seeds / self.rest - 1.0) if self.rest > 0 else 1.0

    def seed_deviation(self) -> float:
        """Standard deviation of a run's own luck: of its true mean about the mean of all runs."""
        return float(np.sqrt(max(0.0, self.between_seeds - self.rest) / self.problems))

    def margin(self, tail: float) -> float:
        """How far the mean lies from the truth with probability 1 - ``tail``, to one side."""
        of_problems = _student(tail, self.problems) ** 2 * self.between_problems
        of_seeds = _student(tail, self.seeds) ** 2 * self.between_seeds * self.luck
        return float(np.sqrt((of_problems + of_seeds) / (self.seeds * self.problems)))

    def tail(self, distance: float) -> float:
        """The one-sided p at which the margin is as wide as ``distance``."""
        if distance <= 0:
            return 1.0 - self.tail(-distance) if distance < 0 else MOST
        if self.margin(LEAST) <= distance:
            return LEAST
        return float(optimize.brentq(lambda tail: self.margin(tail) - distance, LEAST, MOST))


def _student(tail: float, units: int) -> float:
    """How many standard errors of a mean of ``units`` values are exceeded with probability ``tail``, to one side."""
    return -float(special.stdtrit(units - 1, tail))


def crossed(values: Floats) -> bool:
    """Whether there are several runs of several problems, and some spread to speak of."""
    return min(values.shape) > 1 and not intervals.constant(values.ravel()) and Squares.of(values).margin(0.025) > 0


def estimate(values: Floats, weights: Floats, bounds: tuple[float, float] = (-1.0, 1.0)) -> Interval:
    """The mean of ``values`` (seeds by problems) with its 95 % interval; ``weights`` resample problems for one seed."""
    if not crossed(values):
        return intervals.estimate(values.mean(axis=0), weights, bounds=bounds)
    value, margin = float(values.mean()), Squares.of(values).margin((1 - LEVEL) / 2)
    return Interval(value, max(value - margin, bounds[0]), min(value + margin, bounds[1]))


def p_value(values: Floats, rng: np.random.Generator) -> float:
    """Two-sided p of a zero mean; by sign flips of problems for a single run."""
    if not crossed(values):
        return intervals.sign_flip_p(values.mean(axis=0), rng)
    return 2 * Squares.of(values).tail(abs(float(values.mean())))


def equivalence_p(values: Floats, margin: float) -> float:
    """Two one-sided tests: p of the claim that the true mean lies within +- ``margin``."""
    if not crossed(values):
        return intervals.equivalence_p(values.mean(axis=0), margin)
    return Squares.of(values).tail(margin - abs(float(values.mean())))


def smallest_detectable(values: Floats) -> float | None:
    """The true mean that as many runs and problems would find in about 80 % of cases."""
    if not crossed(values):
        return intervals.smallest_detectable(values.mean(axis=0))
    squares = Squares.of(values)
    return squares.margin((1 - LEVEL) / 2) + squares.margin(0.2)


def ratio(upper: Floats, lower: Floats, weights: Floats) -> Interval | None:
    """Mean of ``upper`` over mean of ``lower``, by asking which ratios the data do not exclude (Fieller 1954).

    None where ``lower`` is not distinguishable from zero, so that nothing bounds the ratio.
    """
    if not estimate(lower, weights, bounds=(-np.inf, np.inf)).excludes_zero:
        return None
    value = float(upper.mean() / lower.mean())

    if not crossed(lower):  # a single run: the resamples' own ratios
        means = weights @ lower.mean(axis=0)
        if not means.all() or lower.shape[1] < FEWEST_TO_RESAMPLE:
            return None
        return intervals.from_resamples(value, (weights @ upper.mean(axis=0)) / means, lower.shape[1])

    def excluded(at: float) -> bool:
        return estimate(upper - at * lower, weights, bounds=(-np.inf, np.inf)).excludes_zero

    ends = [_edge(excluded, value, direction) for direction in (-1.0, 1.0)]
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
