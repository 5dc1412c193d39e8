"""Arms that learn by policy gradients in a trial: their steps are in the rows, the verdict and the page."""

from pathlib import Path
from typing import Any

from netgain.api import judge_folder
from netgain.extensions import find_method
from netgain.methods.method import Method
from netgain.records.samples import Investment, read_rows
from netgain.report.page import render
from netgain.strict_yaml import SourceLines
from netgain.trials.resolve import resolve_spec
from netgain.trials.schedule import run_trial
from netgain.trials.store import SAMPLES

from . import world

LOOP: dict[str, Any] = {"rounds": 2, "contexts": 1, "candidates": 2, "check_every": 1, "held_out": 1}
ARMS: dict[str, Any] = {
    "frozen": {"method": "frozen"},
    "passage": {"method": "passage"},
    "rl": {"method": "rl-conventional", "label": "RL", **LOOP},
}


def find(name: str, folder: Path | None = None) -> type[Method]:
    return find_method(name, folder) if name == "rl-conventional" else world.find_method(name, folder)


def test_every_step_is_in_the_rows_the_verdict_and_on_the_page(tmp_path: Path) -> None:
    budget = {"per_problem": 8, "ladder": [1], "currency": "updates"}
    asked = world.spec(ARMS, budget=budget, compare={"arm": "rl"}, tuning={"trials": 1}, seeds=1)
    trial = resolve_spec(asked, SourceLines("trial"), find, world.find_domain)
    assert run_trial(trial, tmp_path, load=world.load, device="cpu").failed == {}
    (invested,) = (row for row in read_rows(tmp_path / SAMPLES) if isinstance(row, Investment))
    assert [step.step for step in invested.policy] == [0, 1, 2]
    assert all(step.development is not None for step in invested.policy)
    assert invested.policy_kept == 2
    assert set(invested.spent) == {"learn", "tune"}
    verdict = judge_folder(tmp_path)
    assert [(run.seed, len(run.steps)) for run in verdict.policy] == [(asked.seed, 3)]
    assert "The course of policy gradients" in render(verdict)
