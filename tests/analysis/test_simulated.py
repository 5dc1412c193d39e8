"""The machinery examined by simulation; `benchmarks/simulated_trials.py` prints the whole table."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def statistics() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "netgain_benchmark_simulated_trials", BENCHMARKS / "simulated_trials.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("problems", [40, 200])
def test_a_a_trials_reject_one_in_twenty_and_intervals_cover(statistics: ModuleType, problems: int) -> None:
    found = statistics.simulate(problems, 0.0, trials=3000)
    assert 0.04 <= found.rejected <= 0.06
    assert 0.94 <= found.covered <= 0.96


def test_a_short_simulation_is_not_far_off(statistics: ModuleType) -> None:
    found = statistics.simulate(40, 0.4, trials=300)
    assert found.covered >= 0.91
    assert found.naive_covered < found.covered


def test_the_recorded_simulation_keeps_its_promise() -> None:
    for row in json.loads((BENCHMARKS / "results" / "simulated_trials.json").read_text(encoding="utf-8")):
        assert row["trials"] >= 2000
        assert 0.94 <= row["covered"] <= 0.96
        assert row["effect"] != 0 or row["rejected"] <= 0.06
        # with a dozen problems the sign-flip distribution is coarse and the test conservative
        assert row["effect"] != 0 or row["problems"] < 40 or row["rejected"] >= 0.04
