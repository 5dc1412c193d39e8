"""Whatever the machine does (a full disk, no rights, a clock that is set, a limit, a signal), each command says it in a
line, nothing is damaged, and the verdict is what it would have been."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain import api
from netgain.cli import trial_commands
from netgain.errors import FaultError, InputError
from netgain.records.chain import read
from netgain.records.journal import Journal, WriterLock
from netgain.trials import history, plan, schedule, store
from netgain.trials.history import HISTORY, OPENED, History, hold, notes
from netgain.trials.store import LOCK, SAMPLES
from tests.command_line import netgain
from tests.trials import world

RUN = ("run", "--jobs", "1", "-q", "--out")
LIKE_RUNNING = ("setup", "card", "compute")  # of a verdict: how and when it came about, and what cut attempts took


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line runs here, whatever it is asked to: the smallest trial, on the scripted model."""
    real_run, real_register = schedule.run_trial, schedule.register_trial
    monkeypatch.setattr(trial_commands, "_resolve", lambda *_: world.resolved(world.spec(**world.SMALL)))
    monkeypatch.setattr(plan, "suited", lambda *_: (1, ()))
    here: dict[str, Any] = {"load": world.load}
    monkeypatch.setattr(schedule, "run_trial", lambda *given, **how: real_run(*given, **(how | here)))
    monkeypatch.setattr(schedule, "register_trial", lambda *given, **how: real_register(*given, **(how | here)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run, verified, shown and packed: what each command imports late is imported after this."""
    place = tmp_path_factory.mktemp("whole")
    assert world.run(place / "out", world.spec(**world.SMALL)).complete
    api.judge_folder(place / "out")
    api.pack(place / "out", place / "packed")
    for words in (("verify", "packed"), ("status", "out"), ("board", "out", "--out", "board", "--no-library")):
        assert netgain(*words, cwd=place).returncode == 0
    return place / "out"


def said(place: Path, *words: object) -> tuple[int, str]:
    """A command's exit code and its only line on stderr, from a folder."""
    done = netgain(*map(str, words), cwd=place)
    assert done.stderr.count("\n") <= 1, done.stderr
    return done.returncode, done.stderr.rstrip("\n")


def judged(folder: Path) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_bytes())
    return {name: value for name, value in verdict.items() if name not in LIKE_RUNNING}


def require_same(folder: Path, whole: Path) -> None:
    assert api.verify_run(folder) == []
    for name in (SAMPLES, LOCK):
        if name == SAMPLES or b"registered" not in (folder / name).read_bytes():
            assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert judged(folder) == judged(whole)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- disks


@pytest.fixture
def disk() -> Iterator[Callable[[str], Path]]:
    """A file system in memory, made, changed and filled by its options; only root can have one."""
    with tempfile.TemporaryDirectory() as place:

        def mount(options: str) -> Path:
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
            if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("needs the right to mount a file system")
            return Path(place)

        try:
            yield mount
        finally:
            if os.path.ismount(place):
                subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("size", ["40k", "120k", "240k", "400k"])
def test_a_disk_that_is_full_before_or_in_the_middle(disk: Callable[[str], Path], whole: Path, size: str) -> None:
    place = disk(f"size={size}")
    code, line = said(place, *RUN, "out")
    before = f"{place / 'out'}: cannot hold records (No space left on device); give another folder with --out"
    if size == "40k":
        assert (code, line) == (2, "netgain: " + before.replace(f"{place}/", ""))
        assert list(place.iterdir()) == []
    else:
        assert (code, line.startswith("netgain: out: cannot be written any more (")) == (1, True)
        assert line.endswith("every task that was finished is kept: mend it, and the same command goes on from there")
        assert said(place, "report", "out")[0] == 2  # nothing can be judged yet
        assert netgain("verify", "out", cwd=place).returncode == 1
    disk("remount,size=8m")
    assert said(place, *RUN, "out") == (0, "")
    require_same(place / "out", whole)
    assert not list((place / "out").rglob(".*"))


def test_a_page_or_a_record_for_which_there_is_no_room(disk: Callable[[str], Path], whole: Path) -> None:
    place = disk("size=2m")
    shutil.copytree(whole, place / "out")
    before = everything(place / "out")
    with (place / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    kept = "its records are as they were: mend it, or report a copy of it"
    assert said(place, "report", "out") == (
        1,
        f"netgain: out: cannot be written any more (No space left on device); {kept}",
    )
    room = "make room, or give a folder where you may write; the run is as it was"
    code, line = said(place, "pack", "out", "--out", "kept")
    assert (code, line) == (2, f"netgain: kept: cannot be written (No space left on device); {room}")
    assert not list(place.glob("kept/*"))
    assert everything(place / "out") == before
    assert netgain("verify", "out", cwd=place).returncode == 0


def test_a_folder_that_can_only_be_read(disk: Callable[[str], Path], tmp_path: Path, whole: Path) -> None:
    place = disk("size=8m")
    shutil.copytree(whole, place / "out")
    shutil.copytree(whole.parent / "packed", place / "packed")
    before = everything(place)
    disk("remount,ro")
    refused = "cannot hold records (Read-only file system); give another folder with --out"
    assert said(place, *RUN, "out") == (2, f"netgain: out: {refused}")
    assert said(place, "register", "--out", "new") == (2, f"netgain: new: {refused}")
    for name in ("out", "packed"):
        page = "cannot be written, and its verdict and page go there; report a copy of it"
        assert said(place, "report", name) == (2, f"netgain: {name}: {page}")
        assert said(place, "verify", name) == said(place, "status", name) == (0, "")
    assert said(place, "pack", "out", "--out", "kept")[1].startswith("netgain: kept: cannot be written (Read-only")
    assert said(place, "pack", "out", "--out", tmp_path / "kept") == (0, "")
    assert netgain("verify", "kept", cwd=tmp_path).returncode == 0
    assert everything(place) == before


@pytest.mark.skipif(sys.platform != "linux", reason="disks that are full are of Linux")
def test_files_that_belong_together_are_all_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_text("before")

    def full(number: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as told:
        store.write_together(tmp_path, {"a": b"1", "b": b"2"})
    assert told.value.filename == str(tmp_path)
    assert everything(tmp_path) == {"b": b"before"}


# -- users


@pytest.fixture
def nobody(whole: Path) -> Iterator[Path]:
    """This process as another user, and a folder in which there are two runs: ``own`` is that user's, ``others`` not.
    Only root can become somebody else and come back."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who can become another user")
    user, groups = 65534, os.getgroups()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for made in ("own", "others"):
            shutil.copytree(whole, place / made)
        for path in (place / "own", *(place / "own").rglob("*")):
            os.chown(path, user, user)
        for path in (place, *place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.setgroups([])
        os.setresgid(user, user, 0)
        os.setresuid(user, user, 0)
        try:
            yield place
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(groups)


def as_root(work: Callable[[], None]) -> None:
    os.setresuid(0, 0, 65534)
    try:
        work()
    finally:
        os.setresuid(65534, 65534, 0)


def test_the_folder_of_another_user_is_read_and_never_touched(nobody: Path) -> None:
    before = everything(nobody)
    for words in ((*RUN, "others"), ("register", "--out", "others"), (*RUN, "new")):
        code, line = said(nobody, *words)
        assert (code, line.endswith("cannot hold records (Permission denied); give another folder with --out")) == (
            2,
            True,
        )
    assert said(nobody, "report", "others")[1].startswith("netgain: others: cannot be written, and its verdict")
    assert said(nobody, "verify", "others") == said(nobody, "status", "others") == (0, "")
    assert said(nobody, "pack", "others", "--out", "own/kept") == (0, "")
    shutil.rmtree(nobody / "own" / "kept")
    assert everything(nobody) == before


@pytest.mark.parametrize(
    "name",
    ["units", "units/run-towns-passage-0", "units/run-towns-passage-0/journal", "history", "history.lock", LOCK],
)
def test_a_part_that_is_another_users_is_named_before_anything_is_spent(nobody: Path, name: str) -> None:
    unit, part = nobody / "own" / "units" / "run-towns-passage-0", nobody / "own" / name
    (unit / "unit.json").unlink()
    as_root(lambda: os.chown(part, 0, 0))
    before = everything(nobody / "own")
    code, line = said(nobody, *RUN, "own")
    rule = "may not be written by this user; change its rights, or give another folder with --out"
    assert (code, line) == (2, f"netgain: own/{name}: {rule}")
    assert everything(nobody / "own") == before
    as_root(lambda: os.chown(part, 65534, 65534))
    assert said(nobody, *RUN, "own") == (0, "")
    assert (nobody / "own" / SAMPLES).read_bytes() == (nobody / "others" / SAMPLES).read_bytes()


def test_what_may_not_be_read_is_said_without_its_path_twice(nobody: Path) -> None:
    as_root(lambda: (nobody / "others" / LOCK).chmod(0o600))
    for command in ("verify", "status"):
        line = said(nobody, command, "others")
        assert line == (
            2,
            f"netgain: others/{LOCK}: cannot be read (Permission denied); give another folder with --out",
        )


# -- clocks

CLOCKS: dict[str, Callable[[float, int], float]] = {
    "ten years forwards": lambda now, asked: now + 3.2e8 * (asked > 20),
    "ten years backwards": lambda now, asked: now - 3.2e8 * (asked > 20),
    "to and fro": lambda now, asked: now + 1e9 * (-1) ** asked,
    "before 1970": lambda now, asked: asked - 1e8,
    "stands still": lambda now, asked: 1.7e9,
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the clock of the wall to one of :data:`CLOCKS`, for all that asks it."""
    real, asked = time.time, [0]

    def wrong(name: str) -> None:
        def now() -> float:
            asked[0] += 1
            return CLOCKS[name](real(), asked[0])

        monkeypatch.setattr(time, "time", now)
        monkeypatch.setitem(Journal.open.__func__.__kwdefaults__, "clock", now)  # type: ignore[attr-defined]

    return wrong


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_that_is_set_changes_nothing_but_dates(
    tmp_path: Path, whole: Path, clock: Callable[[str], None], name: str
) -> None:
    clock(name)
    schedule.run_trial(world.resolved(world.spec(**world.SMALL)), tmp_path / "fresh", device="cpu")
    for words in (("status", "fresh"), ("report", "fresh", "-q"), ("verify", "fresh")):
        assert said(tmp_path, *words) == (0, "")
    assert said(tmp_path, "pack", "fresh", "--out", "kept") == said(tmp_path, "verify", "kept") == (0, "")
    require_same(tmp_path / "fresh", whole)


def test_a_trial_that_will_only_be_registered_by_this_clock_is_not_begun(
    tmp_path: Path, whole: Path, clock: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(tmp_path, "register", "--out", "out") == (0, "")
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: 1.5e9)
        code, line = said(tmp_path, *RUN, "out")
    assert code == 2
    assert line.startswith(f"netgain: out/{LOCK}: says that it was registered 2")
    assert line.endswith(
        "this machine's clock says 2017-07-14T02:40:00Z; set the clock right, or bring the registered file back"
    )
    assert not (tmp_path / "out" / "units").exists()
    assert not (tmp_path / "out" / HISTORY).exists()
    clock("ten years backwards")  # after the work has begun
    assert said(tmp_path, *RUN, "out") == (0, "")
    require_same(tmp_path / "out", whole)


def test_a_registration_after_the_first_launch_is_found_and_so_is_one_without_a_date(tmp_path: Path) -> None:
    assert said(tmp_path, *RUN, "out") == (0, "")
    lock = tmp_path / "out" / LOCK
    spec, text = store.spec_hash(store.Store(tmp_path / "out").locked() or {}), lock.read_text()
    for at, told in (
        ("2099-01-01T00:00:00Z", "registered 2099-01-01T00:00:00Z, but work began 20"),
        ("soon", "registered 'soon', which is no date of a registration"),
    ):
        lock.write_text(f"registered: {{at: '{at}', hash: '{spec}'}}\n{text}")
        assert any(line.startswith(f"{LOCK}: says that it was {told}") for line in api.verify_run(tmp_path / "out"))


# -- two at once


def test_who_waits_for_one_that_ends_just_then_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, asked = WriterLock(tmp_path / HISTORY), list[Path]()

    def gone(path: Path) -> None:
        asked.append(path)
        first.release()

    monkeypatch.setattr(history, "writer_of", gone)
    hold(tmp_path).release()
    assert len(asked) == 1


# -- a launch that is cut off, and limits


class Cut(BaseException):
    """What a process that is killed comes to, as far as it goes."""


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_launch_that_is_cut_off_between_a_finished_task_and_its_note_is_made_up_for(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    real, ended = History.finished, list[str]()

    def cut(self: History, task: str, *given: Any) -> None:
        ended.append(task)
        if len(ended) == nth:
            raise Cut
        real(self, task, *given)

    with monkeypatch.context() as patched:
        patched.setattr(History, "finished", cut)
        with pytest.raises(Cut):
            world.run(tmp_path / "out", world.spec(**world.SMALL))
    told = api.verify_run(tmp_path / "out")
    assert f"{ended[-1]}: is not finished" in told
    assert not any("history noted" in line for line in told)
    with pytest.raises(InputError, match=r"not finished|holds no samples"):
        api.pack(tmp_path / "out", tmp_path / "kept")
    again = world.run(tmp_path / "out", world.spec(**world.SMALL))
    assert again.repeated >= nth
    api.judge_folder(tmp_path / "out")
    require_same(tmp_path / "out", whole)
    rows = notes(read(tmp_path / "out" / HISTORY).records)
    assert sum(note.text == OPENED for note in rows) == 4  # nothing was done again


def test_a_finished_task_that_no_launch_began_is_not_made_up_for(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    for name in (HISTORY, "units/run-towns-passage-0"):
        path = tmp_path / "out" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with History.open(tmp_path / "out"):
        pass
    shutil.copytree(whole / "units" / "run-towns-passage-0", tmp_path / "out" / "units" / "run-towns-passage-0")
    world.run(tmp_path / "out", world.spec(**world.SMALL))
    assert any("is not what the history noted" in line for line in api.verify_run(tmp_path / "out"))


def test_what_a_killed_command_left_half_written_goes_with_the_next_run(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout.decode().strip()
    (tmp_path / "out" / f".report.html.{ended}@{os.uname().nodename}").write_text("half")
    assert said(tmp_path, *RUN, "out") == (0, "")
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_a_task_that_hits_the_limit_of_memory_is_done_again_without_it(tmp_path: Path, whole: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    def answer(request: Any) -> str:
        bytearray(1 << 30)
        return world.answer(request)

    def load(*_: Any) -> Any:
        return world.scripted_model(answer, name="scripted")

    resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), hard))
    try:
        done = world.run(tmp_path / "out", world.spec(**world.SMALL), load=load)
        told = api.judge_folder(tmp_path / "out", answers=False) if done.finished else None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert done.failed
    assert set(done.failed.values()) == {"MemoryError"} | {v for v in done.failed.values() if "its tuning failed" in v}
    assert told is None or told.headline.kind == "cannot tell"
    assert said(tmp_path, *RUN, "out") == (0, "")
    require_same(tmp_path / "out", whole)


def test_a_limit_on_the_size_of_files_is_a_fault_of_the_machine(tmp_path: Path, whole: Path) -> None:
    """Python ignores SIGXFSZ, so that writing beyond the limit is an error like that of a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, limits[1]))  # a journal has more; what is written to probe, less
    try:
        with pytest.raises((FaultError, InputError), match=r"cannot (be written any more|hold records) \("):
            world.run(tmp_path / "out", world.spec(**world.SMALL))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert said(tmp_path, *RUN, "out") == (0, "")
    require_same(tmp_path / "out", whole)
