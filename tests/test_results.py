"""Every record that the project keeps can be verified by anybody who has a copy of it."""

from pathlib import Path

import pytest

from netgain.api import verify_run

RESULTS = Path(__file__).parents[1] / "results"
RECORDS = sorted(path for path in RESULTS.iterdir() if path.is_dir())


def is_record(folder: Path) -> bool:
    """A trial that is only registered so far has nothing to verify but its registration."""
    return any(folder.glob("samples.jsonl*"))


@pytest.mark.parametrize("folder", [path for path in RECORDS if is_record(path)], ids=lambda path: path.name)
def test_a_record_verifies_with_its_journals(folder: Path) -> None:
    assert (folder / "journals.xz").is_file(), "a record without its journals proves nothing"
    assert verify_run(folder) == []


@pytest.mark.parametrize("lock", sorted((RESULTS / "registered").glob("*.lock.yaml")), ids=lambda path: path.name)
def test_a_record_is_of_the_trial_that_was_registered_under_its_name(lock: Path) -> None:
    kept = RESULTS / lock.name.removesuffix(".lock.yaml") / "spec.lock.yaml"
    if kept.is_file():
        assert kept.read_bytes() == lock.read_bytes()
