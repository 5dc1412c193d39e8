"""Intervals and tests examined by simulation; `benchmarks/simulated_verdicts.py` makes the whole table."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netgain.analysis import crossed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "simulated_verdicts.json"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    name = "netgain_benchmark_simulated_verdicts"
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / "simulated_verdicts.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its data classes look themselves up there
    spec.loader.exec_module(module)
    return module


def design(simulation: ModuleType, name: str, seeds: int, problems: int) -> Any:
    found = [d for d in simulation.DESIGNS if (d.name, d.seeds, d.problems) == (name, seeds, problems)]
    assert found, f"no design {name} with {seeds} seeds and {problems} problems"
    return found[0]


def test_a_short_simulation_is_not_far_off(simulation: ModuleType) -> None:
    found = simulation.simulate(design(simulation, "luck in both arms", 5, 48), 400)
    assert found.all.covered >= 0.95
    assert min(third.covered for third in found.thirds) >= 0.89
    assert found.all.rejected_001 <= 0.01
    assert found.problems_alone < 0.9  # the runs' luck taken for none


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def test_the_recorded_simulation_is_of_the_designs_that_the_file_has(
    simulation: ModuleType, rows: list[dict[str, Any]]
) -> None:
    recorded = [json.dumps(row["design"]) for row in rows]
    assert recorded == [json.dumps(simulation.asdict(design)) for design in simulation.DESIGNS]
    assert len(rows) >= 12
    assert all(row["trials"] >= 2000 for row in rows)


def test_the_recorded_intervals_cover_whatever_luck_the_analysis_saw(rows: list[dict[str, Any]]) -> None:
    verdicts = [row for row in rows if row["design"]["seeds"] >= crossed.FEWEST_RUNS]
    assert len(verdicts) >= 12
    for row in verdicts:
        if max(row["design"]["collapse"]) > 0:  # what did not happen in any run cannot be read from them
            continue
        assert row["all"]["covered"] >= 0.96
        # 92.5 by construction where luck is all; a third of 4,000 trials is known to 0.7
        assert min(third["covered"] for third in row["thirds"]) >= 0.915
        assert row["all"]["rejected_001"] <= 0.001
        assert row["thirds"][0]["rejected_001"] <= 0.0031


def test_what_is_only_figures_is_recorded_as_such(rows: list[dict[str, Any]]) -> None:
    lucky = [r for r in rows if r["design"]["seeds"] < crossed.FEWEST_RUNS and max(r["design"]["luck"]) > 0]
    assert lucky
    assert all(row["all"]["covered"] < 0.9 for row in lucky)
