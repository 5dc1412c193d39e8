"""Runs crossed with problems: the interval against hand-worked cases and against simulated truth."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from netgain.analysis import crossed, intervals
from netgain.streams import stream

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def rng(*names: str) -> np.random.Generator:
    return stream(0, "test-crossed", *names)


def weights(problems: int) -> np.ndarray:
    return intervals.resample_weights(problems, rng("weights"))


def test_mean_squares_are_those_of_a_two_way_table() -> None:
    found = crossed.Squares.of(np.array([[0.0, 1.0], [1.0, 4.0]]))
    assert (found.between_seeds, found.between_problems, found.rest) == (4.0, 4.0, 1.0)


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
    for shift in (0.0, 0.05, 0.1, 0.2):
        values = rng("agree").normal(0, 0.2, (3, 30)) + np.array([-0.02, 0.0, 0.05])[:, None] + shift
        found = crossed.estimate(values, weights(30))
        assert (crossed.p_value(values, rng("p")) < 0.05) == found.excludes_zero


def test_p_is_students_where_only_problems_vary() -> None:
    values = np.tile(rng("tile").normal(0.1, 0.3, 40), (3, 1))
    assert crossed.p_value(values, rng("p")) == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue)


def test_equivalence_needs_a_narrow_interval_around_zero() -> None:
    assert crossed.equivalence_p(rng("narrow").normal(0, 0.05, (3, 48)), 0.05) < 0.001
    assert crossed.equivalence_p(rng("wide").normal(0, 0.6, (3, 48)), 0.05) > 0.05
    assert crossed.equivalence_p(rng("off").normal(0.2, 0.05, (3, 48)), 0.05) > 0.99


def test_a_single_run_is_judged_over_problems() -> None:
    values = rng("single").normal(0.1, 0.3, (1, 40))
    assert crossed.estimate(values, weights(40)) == intervals.estimate(values[0], weights(40))
    assert 0 < crossed.p_value(values, rng("p")) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 2), (3, 12)])
def test_values_without_spread_still_leave_room(shape: tuple[int, int]) -> None:
    found = crossed.estimate(np.zeros(shape), weights(shape[1]))
    assert found.low < 0 < found.high
    assert crossed.p_value(np.zeros(shape), rng("p")) == 1.0


def test_a_ratio_is_bounded_by_the_ratios_that_are_not_excluded() -> None:
    gap = rng("gap").normal(0.5, 0.1, (3, 48))
    part = 0.4 * gap + rng("part").normal(0, 0.05, (3, 48))
    found = crossed.ratio(part, gap, weights(48))
    assert found is not None
    assert found.low < 0.4 < found.high
    assert found.high - found.low < 0.2
    assert crossed.ratio(part, gap - 0.5, weights(48)) is None


@pytest.fixture(scope="module")
def runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("netgain_benchmark_runs", BENCHMARKS / "simulated_runs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("luck", ["none", "large"])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("problems", [24, 48])
def test_intervals_cover_the_next_run_on_the_next_problem(
    runs: ModuleType, luck: str, seeds: int, problems: int
) -> None:
    assert 0.935 <= runs.simulate(luck, seeds, problems, 0.0, 3000, seed=1).covered <= 0.975


def test_a_short_simulation_is_not_far_off(runs: ModuleType) -> None:
    found = runs.simulate("large", 3, 24, 0.0, 300)
    assert found.covered >= 0.91
    assert found.bootstrap_covered < 0.7  # the runs' luck taken for none


def test_the_recorded_simulation_keeps_its_promise() -> None:
    rows = json.loads((BENCHMARKS / "results" / "simulated_runs.json").read_text(encoding="utf-8"))
    assert {(row["luck"], row["seeds"], row["problems"]) for row in rows} >= {
        (luck, seeds, problems) for luck in ("none", "large") for seeds in (3, 5) for problems in (24, 48)
    }
    for row in rows:
        assert row["trials"] >= 2000
        assert 0.92 <= row["covered"] <= 0.975
        assert row["effect"] != 0 or row["rejected"] <= 0.075
