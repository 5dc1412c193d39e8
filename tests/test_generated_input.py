"""Generated hostile input: whatever is spoiled in what netgain reads, a right result or one line, in no time.

A few of each kind here; ``scripts/fuzz N`` tries as many as are wanted, of the same generator.
"""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import KINDS, PATIENCE, READERS, Tally, fault, run_one, try_case

SLOW = {"again": 3, "model": 3, "records": 2, "seal": 4, "spec": 6}
OFTEN = 8


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def sound(home: Path) -> Path:
    return home / "base"


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in {f"reader-{one}" for one in READERS[4:]}])
def test_what_is_sound_is_read(kind: str, sound: Path) -> None:
    if kind == "model":
        pytest.importorskip("transformers")
    sound.mkdir(exist_ok=True)
    if not (sound / kind).is_dir():
        KINDS[kind].make(sound / kind)
    for way in KINDS[kind].ways(sound / kind):
        assert run_one(way, sound / kind)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spoiled_ends_in_a_result_or_in_one_line(kind: str, home: Path) -> None:
    if kind == "model":
        pytest.importorskip("transformers")
    examples = SLOW.get(kind, 2 if kind.startswith("reader") else OFTEN)

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(seed=st.integers(0, 2**32))
    def spoiled(seed: int) -> None:
        tally = Tally()
        try_case(kind, random.Random(seed), home / "base" / kind, home / "work", tally)  # noqa: S311
        assert tally.faults == []
        assert tally.longest[0] < PATIENCE

    spoiled()


def test_a_fault_is_noticed(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("x")

    assert fault(*run_one(fails, tmp_path)).startswith("traceback")
    assert fault(2, "one\ntwo\n")
    assert fault(2, "netgain: \x1b[31m\n")
    assert fault(0, "") == fault(1, "") == fault(2, "netgain: a: b\n") == ""
