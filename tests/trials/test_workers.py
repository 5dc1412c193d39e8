"""How many workers fit, how long they take together, and what a measurement on this machine is kept by."""

import json
from pathlib import Path

import pytest

from netgain.errors import InputError
from netgain.trials import calibration
from netgain.trials.calibration import Machine, Sizes, calibrate, find_machine
from netgain.trials.tasks import Task
from netgain.trials.workers import makespan, most_workers

MACHINE = Machine(kind="cpu", name="this test", free=10e9, cores=4)
SIZES = Sizes(rank=8, targets=("q_proj",), passage=64, jobs=4, question=16, asked=8, new=4)


def test_no_more_workers_begin_than_memory_cores_and_tasks_allow() -> None:
    assert most_workers(MACHINE, 1e9, None, 100) == 4
    assert most_workers(MACHINE, 4e9, None, 100) == 2
    assert most_workers(MACHINE, 1e9, None, 3) == 3
    assert most_workers(MACHINE, 1e9, 8, 100) == 8
    assert most_workers(MACHINE, 20e9, None, 100) == 1


def test_a_run_waits_for_its_tuning_and_workers_share_the_rest() -> None:
    tune, first, second = Task("tune", "d", "a"), Task("run", "d", "a", 0), Task("run", "d", "a", 1)
    seconds = {tune: 10.0, first: 4.0, second: 4.0}
    assert makespan(seconds, 1) == 18
    assert makespan(seconds, 2) == 14
    assert makespan(seconds, 2, load=3.0) == 17
    assert makespan({**seconds, Task("tune", "d", "b"): 10.0}, 2) == 14


def test_a_measurement_is_made_once_for_a_machine_a_model_and_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = {"base": 1.0, "copy": 1.0, "row": 1.0, "token": 1.0, "entry": 1.0, "weight": 4}
    found = {"pace": {"train": 2.0, "read": 3.0, "write": 1.0, "load": 4.0}, "memory": memory}
    measured: list[int] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(calibration, "_measure", lambda asked, workers: measured.append(workers) or found)
    (tmp_path / "config.json").write_text(json.dumps({}))
    assert calibrate(tmp_path, "float32", "auto", MACHINE, 2, SIZES, measure=False) is None
    for workers, dtype in ((2, "float32"), (2, "float32"), (1, "float32"), (2, "bfloat16")):
        got = calibrate(tmp_path, dtype, "auto", MACHINE, workers, SIZES)
        assert got is not None
        pace, held = got
        assert (pace.train, pace.load, held.weight) == (2.0, 4.0, 4)
    assert measured == [2, 1, 2]
    (tmp_path / "config.json").write_text(json.dumps({"changed": 1}))
    calibrate(tmp_path, "float32", "auto", MACHINE, 2, SIZES)
    assert measured == [2, 1, 2, 2]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_gpu", lambda device: None)
    assert find_machine("auto").kind == "cpu"
    with pytest.raises(InputError, match="torch sees no GPU here"):
        find_machine("cuda")
