"""The disk below a run: asked before anything is spent whether it can hold the records, and met when it changes.

Nothing here decides anything about a trial. What a folder lacks at the start is the user's to mend (InputError, exit
code 2); what goes wrong later is the machine's (FaultError, exit code 1), and the same command goes on from there.
"""

import contextlib
import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from netgain.errors import FaultError, InputError, JournalError
from netgain.records.journal import WriterLock, lock_of
from netgain.trials.history import HISTORY
from netgain.trials.store import LOCK, SAMPLES, SETUP, UNITS, own_name

PROBE = 1 << 16  # bytes that are written and forced to the disk, to see whether that can be done
TASK_BYTES, ADAPTATION_BYTES = 16_384, 1_024  # less than any was seen to leave: a journal with its pages, a row
LONGEST = 200  # letters of a path that is shown
ELSEWHERE = "give another folder with --out"
KEPT_TASKS = "every task that was finished is kept: mend it, and the same command goes on from there"
_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)(?:@(?P<host>.+))?")


def check_folder(folder: Path, tasks: int = 0, adaptations: int = 0) -> None:
    """Raise InputError where ``folder`` cannot hold the records of so much work: it (or what it would lie in) is no
    folder, cannot be written or locked, or has less room than the least that they take. Nothing is left behind."""
    made: list[Path] = []
    try:
        for one in reversed(missing_in(folder)):
            one.mkdir()
            made.append(one)
        if not folder.is_dir():
            kind = "a link that leads nowhere" if not folder.exists() else "a file"
            raise InputError(str(folder), f"is {kind}, and records go into a folder", ELSEWHERE)
        _probe(folder)
        _probe_lock(folder)
        _check_inside(folder)
        least, free = tasks * TASK_BYTES + adaptations * ADAPTATION_BYTES, shutil.disk_usage(folder).free
        if free < least:
            problem = f"has {free / 2**20:,.1f} MiB free, and the records take {least / 2**20:,.1f} MiB at least"
            raise InputError(str(folder), problem, f"make room, or {ELSEWHERE}")
    except (OSError, JournalError) as problem:
        why = problem.problem if isinstance(problem, JournalError) else problem.strerror or problem
        raise InputError(_short(folder), f"cannot hold records ({why})", ELSEWHERE) from None
    finally:
        for one in reversed(made):
            with contextlib.suppress(OSError):
                one.rmdir()


def missing_in(folder: Path) -> list[Path]:
    """The folders of this path that are not there, the deepest first."""
    return [one for one in (folder, *folder.parents) if not os.path.lexists(one)]


def leave(folder: Path, held: Path, made: Sequence[Path]) -> None:
    """Where nothing was begun in a folder, leave it as it was: the folders that were ``made`` go, the deepest first,
    and so does the lock of the one that is ``held``, it or one inside it. Whoever waits for that finds it gone
    (:func:`~netgain.trials.history.hold`)."""
    if (folder / LOCK).exists():
        return
    with contextlib.suppress(OSError):
        lock_of(held / HISTORY).unlink(missing_ok=True)
        for one in made:
            one.rmdir()


def _check_inside(folder: Path) -> None:
    for name in (LOCK, SAMPLES, SETUP, HISTORY, lock_of(Path(HISTORY)).name):
        if (folder / name).is_dir():
            raise InputError(str(folder / name), "is a folder where a file of the run belongs", ELSEWHERE)
    units = folder / UNITS
    if os.path.lexists(units) and not units.is_dir():
        raise InputError(str(units), "is a file where the folder of the tasks belongs", ELSEWHERE)
    inside = [units, *units.iterdir(), *units.glob("*/journal*"), *units.glob("*/kept*")] if units.is_dir() else []
    for path in (*inside, folder / LOCK, *folder.glob(f"{HISTORY}*")):
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(str(path), "may not be written by this user", f"change its rights, or {ELSEWHERE}")


def _probe(folder: Path) -> None:
    """Write, force to the disk and rename, as a run does. Raises OSError."""
    first, second = own_name(folder / "probe"), own_name(folder / "probed")
    try:
        with first.open("wb") as opened:
            opened.write(bytes(PROBE))
            opened.flush()
            os.fsync(opened.fileno())
        first.replace(second)
    finally:
        for path in (first, second):
            with contextlib.suppress(OSError):
                path.unlink()


def _probe_lock(folder: Path) -> None:
    """Take a lock as a journal's writer does, and let go. Raises JournalError."""
    probed = own_name(folder / "probe")
    try:
        WriterLock(probed).release()
    finally:
        for path in folder.glob(f"{probed.name}.lock*"):
            with contextlib.suppress(OSError):
                path.unlink()


def _short(folder: Path) -> str:
    text = str(folder)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def clean(folder: Path) -> None:
    """Remove files that killed processes were writing beside what they would have become, and never finished."""
    for path in (*folder.glob(".*.*"), *folder.glob(f"{UNITS}/*/.*.*")):
        left = _LEFT.fullmatch(path.name)
        here = left is not None and left["host"] in (None, socket.gethostname())
        if left is not None and here and path.is_file() and not _lives(int(left["pid"])):
            with contextlib.suppress(OSError):
                path.unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def recording(folder: Path, remedy: str = KEPT_TASKS) -> Iterator[None]:
    """Whatever keeps the records in ``folder`` from being written in here is raised as FaultError: one line that says
    where, why, what is kept and how to go on (``remedy``)."""
    try:
        yield
    except JournalError as problem:
        if not problem.problem.startswith("it cannot be written"):
            raise
        why = problem.problem.removeprefix("it cannot be written (").replace(")", "", 1)
        raise gone_wrong(folder, why, remedy) from problem
    except OSError as problem:
        named = Path(os.fsdecode(problem.filename)) if problem.filename else None
        if problem.errno == errno.ENOENT or (named is not None and not named.is_relative_to(folder)):
            raise
        raise gone_wrong(folder, problem.strerror or str(problem), remedy) from problem


def gone_wrong(folder: Path, why: str, remedy: str = KEPT_TASKS) -> FaultError:
    """What is said where a folder that could be written no longer can."""
    return FaultError(str(folder), f"cannot be written any more ({why})", remedy)


def why_unwritable(folder: Path) -> str:
    """Why nothing can be written to the folder any more; empty where it can."""
    try:
        _probe(folder)
    except OSError as problem:
        return problem.strerror or str(problem)
    return ""
