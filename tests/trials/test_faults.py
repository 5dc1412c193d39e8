"""A fault of the machine or of a server is no wrong answer, no free ride, no other verdict: its task is done again."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netgain import api
from netgain.engine.jobs import Failure
from netgain.errors import FaultError, InputError
from netgain.methods.taught import Taught
from netgain.model import scripted
from netgain.model.metered import Model
from netgain.model.requests import Generate, Train
from netgain.model.scripted import scripted_model
from netgain.records.journal import WriterLock, lock_of, writer_of
from netgain.records.samples import Adaptation, read_rows
from netgain.trials import disk, executor, store
from netgain.trials.disk import check_folder, clean
from netgain.trials.executor import TaskUpdate
from netgain.trials.history import HISTORY, hold
from netgain.trials.processes import ProcessExecutor
from netgain.trials.resolve import Trial
from netgain.trials.schedule import TrialResult
from netgain.trials.store import LOCK, SAMPLES
from netgain.trials.tasks import Task
from tests.trials import world

Load = Callable[[Trial, str], Model]
SMALL = world.SMALL


def run(folder: Path, load: Load = world.load, **changes: Any) -> TrialResult:
    return world.run(folder, world.spec(**(SMALL | changes)), load=load)


LAST = 10  # a call in the last of the four tasks


def failing(raised: BaseException, after: int) -> Load:
    """The world's model, whose machine fails once, at the call of this number."""
    calls = 0

    def answer(request: Generate) -> str:
        nonlocal calls
        calls += 1
        if calls == after:
            raise raised
        return world.answer(request)

    return lambda trial, device: scripted_model(answer)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in (SAMPLES, LOCK))


# -- of the machine


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        OSError(errno.EIO, "Input/output error"),
        SystemExit(0),
    ],
    ids=lambda raised: type(raised).__name__,
)
def test_a_fault_of_the_machine_fails_its_task_and_the_rest_goes_on(
    tmp_path: Path, whole: Path, raised: BaseException
) -> None:
    done = run(tmp_path, failing(raised, after=LAST))
    assert len(done.failed) == 1
    assert not done.complete
    assert len(done.finished) > 0
    assert not [row for row in read_rows(tmp_path / SAMPLES) if isinstance(row, Adaptation) and row.status == "failed"]
    again = run(tmp_path)
    assert (again.failed, again.repeated) == ({}, len(done.finished))
    assert same(tmp_path, whole)


def test_what_a_run_lacks_is_said_with_the_reason_and_survivors_give_no_verdict(tmp_path: Path) -> None:
    done = run(tmp_path, failing(MemoryError(), after=LAST + 8), seeds=3)
    verdict = api.judge_folder(tmp_path)
    assert verdict.headline.kind == "cannot tell"
    assert verdict.headline.sentence.startswith("Unfinished: ")
    assert "1 run that the comparison rests on is missing" in verdict.headline.sentence
    (name,) = done.failed
    (unfinished,) = (found for found in verdict.findings if found.check == "unfinished")
    assert any(line == f"{name} failed: MemoryError" for line in unfinished.evidence)


def test_an_adapter_that_gives_no_numbers_any_more_is_a_failed_adaptation_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = scripted._Scripted.run
    broken: list[str] = []

    def diverging(self: Any, requests: Any, attempt: int) -> Any:
        for done in real(self, requests, attempt):
            request = requests[done.request]
            if isinstance(request, Train) and "/run/" in request.job.key and not broken:
                broken.append(request.job.key)
                failure = Failure("not_finite", "the loss is nan", 3)
                yield type(done)(done.request, None, done.parts, failure)
            else:
                yield done

    monkeypatch.setattr(scripted._Scripted, "run", diverging)
    assert run(tmp_path).failed == {}
    rows = [row for row in read_rows(tmp_path / SAMPLES) if isinstance(row, Adaptation)]
    assert [("not_finite: the loss is nan" in row.error) for row in rows if row.status == "failed"] == [True]


# -- of a teacher's server


TAUGHT = {"frozen": {"method": "frozen"}, "taught": {"method": "taught"}}


def taught(folder: Path, monkeypatch: pytest.MonkeyPatch, writes: Callable[[Generate], str]) -> Any:
    monkeypatch.setitem(world.METHODS, "taught", Taught)
    monkeypatch.setattr(executor, "load_teacher", lambda trial, device: scripted_model(writes, name="teacher"))
    fields = {"arms": TAUGHT, "teacher": {"model": "teacher", "url": "http://127.0.0.1:1/v1"}}
    return run(folder, **fields, compare={"arm": "taught", "against": "frozen"})


def test_a_dead_teacher_fails_its_arm_and_nobody_trains_on_the_passage_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(request: Generate) -> str:
        raise ConnectionError("HTTP 503: overloaded")

    done = taught(tmp_path, monkeypatch, dead)
    told = "model teacher: gave no answer in 1 attempt (server: HTTP 503: overloaded); run it again once that is mended"
    assert list(done.failed.values()) == [told, f"its tuning failed: {told}"]
    assert {row.arm for row in read_rows(tmp_path / SAMPLES)} == {"frozen"}
    findings = {found.check: found for found in api.judge_folder(tmp_path).findings}
    assert findings["missing"].evidence == ("towns/taught",)
    assert f"tune-towns-taught failed: {told}" in findings["unfinished"].evidence
    again = taught(tmp_path, monkeypatch, lambda request: "It is certain.")
    assert (again.failed, again.repeated) == ({}, 2)
    assert "missing" not in {found.check for found in api.judge_folder(tmp_path).findings}


def test_a_teacher_that_refuses_a_request_is_a_failed_adaptation_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(request: Generate) -> str:
        if "n1" in str(request.prompt):
            raise ValueError("HTTP 400: content filter")
        return "It is certain."

    assert taught(tmp_path, monkeypatch, picky).failed == {}
    rows = [row for row in read_rows(tmp_path / SAMPLES) if isinstance(row, Adaptation) and row.arm == "taught"]
    failed = [row for row in rows if row.status == "failed"]
    assert {row.problem.endswith("n1") for row in failed} == {True}
    assert all("refused every request (HTTP 400: content filter)" in row.error for row in failed)
    assert len(failed) == 1


# -- of the disk


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("rows.jsonl", errno.ENOSPC),
        ("unit.json", errno.EROFS),
        ("samples.jsonl", errno.EACCES),
        ("setup.json", errno.EIO),
    ],
)
def test_a_disk_that_fails_in_the_middle_is_one_line_and_the_next_run_ends_in_the_same_bytes(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    real, written = store.write, list[str]()

    def write(path: Path, text: str) -> None:
        written.append(path.name)
        if path.name == name and written.count(name) > (name in ("rows.jsonl", "unit.json")):
            raise OSError(number, os.strerror(number), str(path))
        real(path, text)

    def probe(folder: Path) -> None:
        if written:
            raise OSError(number, os.strerror(number), str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", write)
        patched.setattr(disk, "_probe", probe)
        with pytest.raises(FaultError) as told:
            run(tmp_path)
    said = f"{tmp_path}: cannot be written any more ({os.strerror(number)}); every task that was finished is kept"
    assert str(told.value).startswith(said)
    assert run(tmp_path).failed == {}
    assert same(tmp_path, whole)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda at: at.write_text(""), "is a file, and records go into a folder"),
        (lambda at: at.symlink_to("nowhere"), "is a link that leads nowhere"),
        (lambda at: (at.mkdir(), (at / "units").write_text("")), "is a file where the folder of the tasks belongs"),
        (lambda at: (at / LOCK).mkdir(parents=True), "is a folder where a file of the run belongs"),
        (lambda at: (at / "history.lock").mkdir(parents=True), "is a folder where a file of the run belongs"),
    ],
)
def test_a_folder_that_cannot_hold_records_is_refused_before_anything_is_loaded(
    tmp_path: Path, make: Callable[[Path], Any], told: str
) -> None:
    def never(trial: Trial, device: str) -> Model:
        raise AssertionError("the model was loaded")

    make(tmp_path / "out")
    with pytest.raises(InputError, match=told):
        run(tmp_path / "out", never)


def test_a_folder_below_a_file_too_long_or_too_small_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot hold records"):
        check_folder(tmp_path / "file" / "out")
    with pytest.raises(InputError, match=r"n\.\.\.: cannot hold records \(File name too long\)"):
        check_folder(tmp_path / "new" / ("n" * 300))
    with pytest.raises(InputError, match=r"MiB free, and the records take [\d,.]+ MiB at least; make room"):
        check_folder(tmp_path / "new" / "out", tasks=10**12)
    check_folder(tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: test_machines.py has root become another user")
def test_a_folder_without_rights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o500)
    with pytest.raises(InputError, match="Permission denied"):
        check_folder(tmp_path / "mine" / "out")


def test_files_that_killed_processes_left_half_written_are_cleaned_and_no_others(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = ended.stdout.decode().strip()
    unit = tmp_path / "units" / "run-a"
    unit.mkdir(parents=True)
    left = [unit / f".rows.jsonl.{pid}", tmp_path / f".verdict.json.{pid}"]
    kept = [unit / "rows.jsonl", unit / f".unit.json.{os.getpid()}", tmp_path / ".gitignore", tmp_path / ".a.b"]
    for path in (*left, *kept):
        path.write_text("")
    clean(tmp_path)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)


# -- of a worker


class Fake:
    """Stands for what a worker makes itself: it has nothing to load and ends every task at once."""

    def digests(self) -> dict[str, str]:
        return {}

    def price_check(self) -> tuple[dict[str, str], str]:
        return {}, ""

    def perform(self, request: Any, send: Any) -> TaskUpdate:
        return TaskUpdate(request[0], error=f"done by {os.getpid()}")


def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced() -> None:
    first, second = (Task("run", "towns", arm, 0) for arm in ("a", "b"))
    pool, told = ProcessExecutor(Fake, 1), list[TaskUpdate]()  # type: ignore[arg-type]
    try:
        pool.submit((first, "", None))
        while pool.busy:
            pool.wait(told.append)
        pid = int(told[0].error.rpartition(" ")[2])
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        pool.submit((second, "", None))
        while pool.busy:
            pool.wait(told.append)
    finally:
        pool.close()
    assert [update.task.arm for update in told] == ["a", "b"]
    assert told[1].error.startswith("done by ")
    assert not told[1].error.endswith(str(pid))


# -- how a command ends

RUN = """\
import os, signal, sys, time
import netgain.trials.schedule as module
from netgain.cli import main

def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)

def run(*_, **__):
    {body}

module.run_trial = run
main(["run", "--out", "out", "--jobs", "1", "-q"])
"""
SAVED = "nothing was begun; the same command goes on from there\n"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 143, f"netgain: terminated: {SAVED}"),
        ("press()", 130, f"netgain: interrupted: {SAVED}"),
        ("raise SystemExit(0)", 1, "netgain: something that it was given ended it in the middle (SystemExit); "),
        (
            "try:\n        press()\n    except KeyboardInterrupt:\n        press()",
            130,
            "netgain: interrupted again: left at once\n",
        ),
        (
            "try:\n        os.kill(os.getpid(), signal.SIGTERM)\n    finally:\n        press()",
            130,
            "netgain: interrupted again: left at once\n",
        ),
        (
            "try:\n        press()\n    finally:\n        os.kill(os.getpid(), signal.SIGTERM)",
            130,
            f"netgain: interrupted: {SAVED}",
        ),
    ],
    ids=["TERM", "INT", "exit 0", "INT twice", "TERM, INT", "INT, TERM"],
)
def test_however_a_run_ends_it_says_so_and_never_with_0_without_a_verdict(
    tmp_path: Path, body: str, code: int, said: str
) -> None:
    command = [sys.executable, "-c", RUN.format(body=body)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def unloadable(*_: Any) -> Model:
    raise InputError("model", "cannot be loaded")


@pytest.mark.parametrize("there", [True, False])
def test_where_nothing_was_begun_the_folders_are_as_they_were(tmp_path: Path, there: bool) -> None:
    """A folder that somebody made stays, empty; those that the run made go, down to the first that was there."""
    folder = tmp_path / "a" / "b"
    if there:
        folder.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be loaded"):
        world.run(folder, load=unloadable)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == (["a", "b"] if there else [])


def test_a_lock_whose_file_was_taken_along_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits may get the lock of a file that is gone from the folder, which nobody else would see."""
    file, taken = lock_of(tmp_path / HISTORY), list[WriterLock]()

    class Late(WriterLock):  # type: ignore[misc]
        def __init__(self, journal: Path) -> None:
            super().__init__(journal)
            taken.append(self)
            if len(taken) == 1:
                file.unlink()

    monkeypatch.setattr("netgain.trials.history.WriterLock", Late)
    lock = hold(tmp_path)
    assert lock is taken[1]
    assert writer_of(tmp_path / HISTORY) is not None
    lock.release()
