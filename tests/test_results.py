"""Every record that the project keeps can be verified by anybody who has a copy of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from netgain.api import verify_run
from netgain.trials.resolve import resolve

RESULTS = Path(__file__).parents[1] / "results"
RECORDS = sorted(path for path in RESULTS.iterdir() if path.is_dir())
# Stopped before the tasks of its curve, whose names have an @; results/README.md and its verdict say so.
STOPPED = "people-narrative-faithful"


def is_record(folder: Path) -> bool:
    """A trial that is only registered so far has nothing to verify but its registration."""
    return any(folder.glob("samples.jsonl*"))


def verified(folder: Path) -> Any:
    """The record as a parameter; one with so many charges that verifying takes a minute and more is slow."""
    journals = folder / "journals.xz"
    large = journals.is_file() and journals.stat().st_size > 4_000_000
    return pytest.param(folder, id=folder.name, marks=[pytest.mark.slow] * large)


@pytest.mark.parametrize("folder", [verified(path) for path in RECORDS if is_record(path)])
def test_a_record_verifies_with_its_journals(folder: Path) -> None:
    assert (folder / "journals.xz").is_file(), "a record without its journals proves nothing"
    problems = verify_run(folder)
    if folder.name == STOPPED:
        assert "Unfinished" in (folder / "verdict.json").read_text(encoding="utf-8")
        assert all("is missing" in problem or "is not finished" in problem for problem in problems)
        problems = [problem for problem in problems if "@" not in problem.partition(":")[0]]
    assert problems == []


@pytest.mark.parametrize("lock", sorted((RESULTS / "registered").glob("*.lock.yaml")), ids=lambda path: path.name)
def test_a_record_is_of_the_trial_that_was_registered_under_its_name(lock: Path) -> None:
    kept = RESULTS / lock.name.removesuffix(".lock.yaml") / "spec.lock.yaml"
    if kept.is_file():
        assert kept.read_bytes() == lock.read_bytes()


def test_the_settings_of_a_recorded_trial_are_recorded_as_they_were() -> None:
    """A setting that came later is in no older lock: whoever resumes such a trial asks the same."""
    locked = yaml.safe_load((RESULTS / "hostile-rivals" / "spec.lock.yaml").read_text(encoding="utf-8"))
    arms = resolve(RESULTS.parent / "examples" / "hostile-rivals.yaml").arms
    assert {name: arm.settings.recorded() for name, arm in arms.items()} == {
        name: arm["settings"] for name, arm in locked["arms"].items()
    }
