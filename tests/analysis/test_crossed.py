"""Runs crossed with problems: one rule for intervals, tests, equivalence, power and ratios; hand-worked cases."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from netgain.analysis import crossed, intervals
from netgain.streams import stream


def rng(*names: str) -> np.random.Generator:
    return stream(0, "test-crossed", *names)


@cache
def weights(problems: int) -> np.ndarray:
    return intervals.resample_weights(problems, rng("weights"))


def test_mean_squares_are_those_of_a_two_way_table() -> None:
    found = crossed.Squares.of(np.array([[0.0, 1.0], [1.0, 4.0]]))
    assert (found.between_seeds, found.between_problems, found.rest) == (4.0, 4.0, 1.0)


def test_the_margin_of_a_hand_worked_table() -> None:
    squares = crossed.Squares(seeds=3, problems=4, between_seeds=0.5, between_problems=0.3, rest=0.1)
    of_runs, of_problems = stats.t.ppf(1 - 0.0125, 2) ** 2 * 0.5, stats.t.ppf(0.975, 3) ** 2 * 0.2
    assert squares.margin(0.025) == pytest.approx(np.sqrt((of_runs + of_problems) / 12))
    assert squares.tail(squares.margin(0.01)) == pytest.approx(0.01)


def test_runs_that_agree_by_chance_still_count() -> None:
    agree = crossed.Squares(seeds=5, problems=48, between_seeds=0.05, between_problems=0.3, rest=0.05)
    assert agree.seed_deviation() == 0.0
    without = crossed.Squares(seeds=5, problems=48, between_seeds=0.0, between_problems=0.3, rest=0.05)
    assert agree.margin(0.025) > 1.1 * without.margin(0.025)


def test_runs_that_do_not_differ_leave_students_interval_over_problems() -> None:
    values = np.tile(rng("tile").normal(0.1, 0.3, 40), (3, 1)) + rng("noise").normal(0, 0.001, (3, 40)).round(4) * 0
    found, expected = crossed.estimate(values, weights(40)), intervals.student(values[0])
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_luck_of_runs_widens_the_interval() -> None:
    values = rng("base").normal(0, 0.2, (3, 40))
    lucky = values + np.array([-0.2, 0.0, 0.2])[:, None]
    plain, wide = crossed.estimate(values, weights(40)), crossed.estimate(lucky, weights(40))
    assert wide.high - wide.low > 3 * (plain.high - plain.low)
    assert crossed.Squares.of(lucky).seed_deviation() == pytest.approx(0.2, abs=0.06)


def test_p_value_and_interval_agree() -> None:
    verdicts, resampled = [], weights(30)
    for shift in np.linspace(-0.3, 0.3, 61):
        values = rng("agree").normal(0, 0.2, (3, 30)) + np.array([-0.02, 0.0, 0.05])[:, None] + shift
        found = crossed.estimate(values, resampled, questions=3)
        assert (crossed.p_value(values, resampled, questions=3) < 0.05) == found.excludes_zero
        verdicts.append(found.excludes_zero)
    assert set(verdicts) == {True, False}


@pytest.mark.parametrize("seeds", [1, 3])
def test_equivalence_is_found_where_the_smaller_interval_lies_within_the_margin(seeds: int) -> None:
    values = rng("within", str(seeds)).normal(0.02, 0.1, (seeds, 60))
    at = [crossed.equivalence_p(values, weights(60), margin, questions=5) for margin in (0.005, 0.05, 0.2)]
    assert at[0] == crossed.MOST
    assert at[0] > at[1] > at[2]
    assert at[2] < 0.01
    level = 1 - 2 * at[1]
    if seeds > 1:
        margin = crossed.Squares.of(values).margin((1 - level) / 2)
        assert abs(values.mean()) + margin == pytest.approx(0.05)


def test_one_sided_p_is_half_the_two_sided_one_on_its_side() -> None:
    values = rng("side").normal(0.1, 0.2, (4, 30))
    one = crossed.one_sided_p(values, weights(30), questions=3)
    assert crossed.p_value(values, weights(30), questions=3) == 2 * one
    assert crossed.one_sided_p(-values, weights(30), questions=3) == crossed.MOST


def test_p_is_students_where_only_problems_vary() -> None:
    values = np.tile(rng("tile").normal(0.1, 0.3, 40), (3, 1))
    assert crossed.p_value(values, weights(40)) == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue)


def test_equivalence_needs_a_narrow_interval_around_zero() -> None:
    def p(name: str, mean: float, spread: float) -> float:
        return crossed.equivalence_p(rng(name).normal(mean, spread, (3, 48)), weights(48), 0.05)

    assert p("narrow", 0.0, 0.05) < 0.001
    assert p("wide", 0.0, 0.6) > 0.05
    assert p("off", 0.2, 0.05) == crossed.MOST
    assert crossed.equivalence_p(np.zeros((1, 500)), weights(500), 0.05) < 0.001
    assert crossed.equivalence_p(np.zeros((1, 5)), weights(5), 0.05) == crossed.MOST
    with pytest.raises(ValueError, match="margin"):
        crossed.equivalence_p(np.zeros((3, 5)), weights(5), 0.0)


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_runs_are_judged_over_their_problems_alone(seeds: int) -> None:
    values = rng("few").normal(0.1, 0.3, (seeds, 40))
    assert not crossed.crossed(values)
    assert crossed.estimate(values, weights(40)) == intervals.estimate(values.mean(axis=0), weights(40))
    assert 0 < crossed.p_value(values, weights(40)) <= 1
    assert "luck of a run is not covered" in crossed.method(seeds)
    assert crossed.method(crossed.FEWEST_RUNS) == crossed.SEVERAL


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 2), (3, 12)])
def test_values_without_spread_still_leave_room(shape: tuple[int, int]) -> None:
    found = crossed.estimate(np.zeros(shape), weights(shape[1]))
    assert found.low < 0 < found.high
    assert crossed.p_value(np.zeros(shape), weights(shape[1])) == 1.0


def test_the_border_is_reached_without_a_jump_under_several_runs() -> None:
    ends = []
    for wrong in range(6, -1, -1):
        right = np.ones((3, 24))
        right[np.arange(wrong) % 3, np.arange(wrong)] -= 1 / 6
        ends.append(crossed.estimate(right, weights(24), (0.0, 1.0), questions=6).low)
    assert ends == sorted(ends)
    assert max(np.diff(ends)) < 0.01


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_smallest_detectable_mean_is_found_four_times_in_five(seeds: int) -> None:
    expected = crossed.Squares.expected(seeds, 48, of_runs=0.066**2, of_problems=0.03, of_rest=0.04)
    effect, generator, found = expected.detectable(), rng("power", str(seeds)), 0
    for _ in range(1500):
        values = generator.normal(0, 0.2, (seeds, 48)) + generator.normal(0, np.sqrt(0.03), (1, 48))
        values += generator.normal(0, 0.066, (seeds, 1)) + effect
        found += crossed.Squares.of(values).margin(0.025) < values.mean()
    assert found / 1500 == pytest.approx(0.8, abs=0.05)
    assert crossed.smallest_detectable(np.zeros((seeds, 12))) is None


def test_a_ratio_is_bounded_by_the_ratios_that_are_not_excluded() -> None:
    gap = rng("gap").normal(0.5, 0.1, (3, 48))
    part = 0.4 * gap + rng("part").normal(0, 0.05, (3, 48))
    found = crossed.ratio(part, gap, weights(48))
    assert found is not None
    assert found.low < 0.4 < found.high
    assert found.high - found.low < 0.2
    assert crossed.ratio(part, gap - 0.5, weights(48)) is None
