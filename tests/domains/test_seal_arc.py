"""SEAL's few-shot procedure, counted: which tasks its released commands reach, how much an edit trains, what the guard
lets through. The table on record is what the benchmark makes."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.arc import SEAL_TEST, SEAL_TRAIN, SEAL_UNUSED
from netgain.domains.grid import GridTask

from .test_augment import pairs

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "seal_arc.py"))
ALL = BENCHMARK["GROUPS"]


@pytest.fixture(scope="session")
def lists(real_arc: Path) -> Any:
    return BENCHMARK["read_lists"](real_arc)


def task(count: int, tests: int = 1) -> GridTask:
    return GridTask(f"t{count}", pairs(count), pairs(tests, seed=9))


def test_a_second_test_grid_takes_a_place_and_is_passed_over() -> None:
    tasks = [task(2, 2), task(3), task(4)]
    assert BENCHMARK["edited"](tasks, 3) == ("t2", "t3")
    assert BENCHMARK["edited"](tasks, 4) == ("t2", "t3", "t4")
    assert set(BENCHMARK["examined"](tasks, 4)) == {"t2", "t3", "t4"}


def test_of_12_and_10_listed_tasks_11_and_8_are_left(lists: Any) -> None:
    edited, examined = BENCHMARK["edited"], BENCHMARK["examined"]
    train, test = lists["train"], lists["test"]
    assert (len(train), len(test)) == (12, 10)
    assert edited(train, 12) == SEAL_TRAIN
    assert examined(test, 9) == SEAL_TEST
    assert set(SEAL_TRAIN) - set(examined(train, 11)) == {"5bd6f4ac"}
    assert set(SEAL_TEST) - set(edited(test, 10)) == {"ce8d95cc"}
    assert {one.id for one in (*train, *test)} - {*SEAL_TRAIN, *SEAL_TEST} == set(SEAL_UNUSED)


def test_the_eight_tasks_are_those_of_the_shipped_result(real_arc: Path) -> None:
    results = real_arc.parent / "seal-published" / "few-shot" / "final_results.json"
    if not results.is_file():
        pytest.skip("needs SEAL's published results, which the project does not ship")
    assert all(name in results.read_text() for name in SEAL_TEST)
    assert not any(name in results.read_text() for name in SEAL_UNUSED)


def test_sequences_updates_and_the_guard_as_counted_by_hand() -> None:
    whole = BENCHMARK["count"](task(4), ALL)
    assert (whole.uncapped, whole.sequences) == (16 * 24 * 2, 250)
    assert whole.updates(2) == 250
    assert whole.most_epochs == 3  # 3 x 250 // 2 = 375
    small = BENCHMARK["count"](task(2), ("size",))
    assert small.sequences == 4 * 4 * 2
    assert small.most_epochs == 23  # 23 x 32 // 2 = 368, 24 x 32 // 2 = 384
    assert BENCHMARK["count"](task(2), ()).updates(5) == 5 * 2


def test_all_sixteen_choices_of_tools_are_counted() -> None:
    assert len(set(BENCHMARK["choices"]())) == 16


def test_the_table_on_record_is_what_the_benchmark_makes(lists: Any) -> None:
    recorded = BENCHMARK["RESULTS"].read_text(encoding="utf-8")
    assert all(line in recorded for line in BENCHMARK["selection_lines"](lists))
    small = [one for one in (*lists["train"], *lists["test"]) if len(one.examples) == 2]
    assert len(small) == 4
    choices = [(), *((group,) for group in ALL), ALL]
    counts = {(one.id, groups): BENCHMARK["count"](one, groups) for one in small for groups in choices}
    assert all(line in recorded for line in BENCHMARK["task_lines"](small, counts))
