"""How many workers fit, how long they take together, and what a measurement on this machine is kept by."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from netgain.errors import InputError
from netgain.metering import estimate
from netgain.metering.shape import find_shape
from netgain.trials import calibration
from netgain.trials.calibration import Machine, Sizes, calibrate, find_machine
from netgain.trials.tasks import Task
from netgain.trials.workers import is_planned, makespan, most_workers

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
    monkeypatch.delenv("HF_HOME", raising=False)
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
    for damaged in (tmp_path / "cache" / "netgain").iterdir():
        damaged.write_text("{}")
    calibrate(tmp_path, "float32", "auto", MACHINE, 2, SIZES)
    assert measured == [2, 1, 2, 2, 2]


@pytest.mark.parametrize("cache", ["a file", "no home"])
def test_without_a_cache_folder_a_measurement_is_used_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    memory = {"base": 1.0, "copy": 1.0, "row": 1.0, "token": 1.0, "entry": 1.0, "weight": 4}
    found = {"pace": {"train": 2.0, "read": 3.0, "write": 1.0, "load": 4.0}, "memory": memory}

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if cache == "a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(calibration, "_measure", lambda asked, workers: found)
    got = calibrate(tmp_path, "float32", "auto", MACHINE, 2, SIZES)
    assert got is not None
    assert got[0].train == 2.0


def test_a_measurement_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(calibration, "PATIENCE", 0.1)
    monkeypatch.setattr(calibration.subprocess, "Popen", lambda command, **how: real(["sleep", "60"], **how))
    assert calibration._measure({}, 2) is None


def test_free_memory_counts_the_page_cache_and_a_containers_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(estimate, "GROUP", tuple(map(str, files)))
    files[0].write_text("3000000\n")
    files[1].write_text("951424\n")
    assert estimate.free_memory() == 2_048_576
    assert estimate.memory_left().startswith("2 MiB of the machine's memory are free")


@pytest.mark.parametrize("device", ["cuda:x", "cuda:9", "cuda:-1"])
def test_a_gpu_of_a_number_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    gpu = pytest.importorskip("netgain.model.device")
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="torch sees no such GPU here, but cuda:0"):
        gpu.find_gpu(device)


def test_sizes_in_words_are_no_powers_of_ten() -> None:
    assert [estimate.gigabytes(size) for size in (5.12e8, 1.23e10, 9.996e11)] == ["0.512 GB", "12.3 GB", "1,000 GB"]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_gpu", lambda device: None)
    assert find_machine("auto").kind == "cpu"
    with pytest.raises(InputError, match="torch sees no GPU here"):
        find_machine("cuda")


@pytest.mark.parametrize(("family", "planned"), [("llama", True), ("gemma3_text", False)])
def test_what_trains_and_answers_a_model_is_known_from_its_configuration(
    tmp_path: Path, family: str, planned: bool
) -> None:
    shape = replace(find_shape("Qwen2.5-7B"), source=str(tmp_path / "config.json"))
    assert is_planned(shape)  # nothing else is known
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    assert is_planned(shape) is planned
