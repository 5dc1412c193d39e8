"""The history of a run: a journal of the folder as a whole, beside those of its tasks.

A task's own journal dies with its folder; what stands here does not. Each launch writes down what was asked where that
is new, and which tasks it began, finished and saw fail, with the heads of their journals. While one launch writes, the
operating system keeps a second one out of the folder.
"""

import calendar
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, final

from pydantic import Field, ValidationError, model_validator

from netgain import SOFTWARE
from netgain.errors import InputError, JournalError
from netgain.records.chain import JournalRow, scan
from netgain.records.events import Began, Noted
from netgain.records.journal import WRITING, Journal, WriterLock, lock_of, writer_of
from netgain.records.provenance import Count, StrictModel

HISTORY = "history"
ASKED, BEGUN, FINISHED, FAILED, STOPPED, DONE = "asked", "begun", "finished", "failed", "stopped", "done"
OPENED, CIRCUMSTANCES, JOINED, SEEN = "opened", "circumstances", "joined", "seen"
OF_TASKS = (BEGUN, OPENED, FINISHED, FAILED)
DATE = "%Y-%m-%dT%H:%M:%SZ"  # of a registration, in UTC
FIELDS: dict[str, tuple[str, ...]] = {  # that a note of this text always has
    ASKED: ("hash", "form"),
    BEGUN: ("task", "identity"),
    OPENED: ("task", "head"),
    FINISHED: ("task", "identity", "attempts", "head"),
    FAILED: ("task", "error"),
    STOPPED: ("by",),
    DONE: (),
    CIRCUMSTANCES: ("hash",),
    JOINED: ("part", "first", "rows", "again"),
    SEEN: ("part", "first"),
}


@final
class HistoryNote(StrictModel):
    """A row of a history: what happened (``text``), and the fields that :data:`FIELDS` names for it, as the methods of
    :class:`History` write them. Beside these a failure may have ``head``, the circumstances ``exam``, and a part that
    joined ``since`` (seconds since 1970)."""

    text: Literal[
        "asked", "begun", "opened", "finished", "failed", "stopped", "done", "circumstances", "joined", "seen"
    ]
    task: str = ""
    hash: str = ""
    form: dict[str, Any] = Field(default_factory=dict)
    identity: str = ""
    attempts: Count = 0
    head: str = ""
    error: str = ""
    by: str = ""
    exam: str = ""
    part: str = ""
    first: str = ""
    rows: Count = 0
    again: int = 0
    since: float | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if lacking := [name for name in FIELDS[self.text] if name not in self.model_fields_set]:
            raise ValueError(f"{self.text} without {', '.join(lacking)}")
        return self


@final
class History:
    """The writing end of a folder's history, a context manager: leaving it by an exception is written down."""

    def __init__(self, journal: Journal, before: Iterable[HistoryNote], lock: WriterLock | None = None) -> None:
        self._journal, self._lock = journal, lock
        noted = list(before)
        last: dict[str, str] = {note.text: note.hash for note in noted if note.text in (ASKED, CIRCUMSTANCES)}
        self._last_asked, self._last_setup = last.get(ASKED, ""), last.get(CIRCUMSTANCES, "")
        self._joined = {note.first: note.rows for note in noted if note.text == JOINED}
        self._seen = {note.first for note in noted if note.text == SEEN}

    @classmethod
    def open(cls, folder: Path, lock: WriterLock | None = None) -> Self:
        """The history of the run in ``folder``, begun where there is none; ``lock`` is :func:`hold`'s. Raises
        InputError while a run goes on there, JournalError where it does not verify."""
        held = hold(folder) if lock is None else None
        with contextlib.ExitStack() as opened:  # what an error gives back
            if held is not None:
                opened.callback(held.release)
            journal, rows = Journal.open(folder / HISTORY, software=SOFTWARE, lock=held or lock)
            opened.callback(journal.close)
            noted, wrong = read_history(rows)
            if wrong:
                raise JournalError(str(folder / HISTORY), wrong[0], "keep the folder as evidence, and run in another")
            opened.pop_all()
        return cls(journal, noted, held)

    def asked(self, spec: str, form: Mapping[str, Any]) -> None:
        """What is asked, whole, where this launch asks something else than the one before it; ``spec`` is its hash."""
        if spec != self._last_asked:
            self._note(ASKED, hash=spec, form=dict(form))
            self._last_asked = spec

    def begun(self, task: str, identity: str) -> None:
        """A task was given to somebody."""
        self._note(BEGUN, task=task, identity=identity)

    def circumstances(self, setup: str, exam: str = "") -> None:
        """The hash of what the launch works on, where it is another than the one before it named; at the end also that
        of the file of what the exam asked."""
        if setup != self._last_setup or exam:
            self._note(CIRCUMSTANCES, hash=setup, **({"exam": exam} if exam else {}))
            self._last_setup = setup

    def opened(self, task: str, head: str) -> None:
        """An attempt at a task has begun to write to its journal; ``head`` is the hash of its first row there, which
        the journal has for ever after."""
        self._note(OPENED, task=task, head=head)

    def finished(self, task: str, identity: str, attempts: int, head: str) -> None:
        """A task is finished; ``head`` is its journal's, and ``identity`` names its work and its rows."""
        self._note(FINISHED, task=task, identity=identity, attempts=attempts, head=head)

    def failed(self, task: str, error: str, head: str = "") -> None:
        """A task ended with an error; ``head`` is its journal's, where that is known."""
        self._note(FAILED, task=task, error=error[:500], **({"head": head} if head else {}))

    def seen(self, part: str, first: str) -> None:
        """Another part of the run has a history, whose first row has this hash: it can't vanish unnoticed then."""
        if first not in self._seen:
            self._note(SEEN, part=part, first=first)
            self._seen.add(first)

    def join(self, part: str, records: Sequence[JournalRow]) -> None:
        """Take over what the history of a part of the run notes of tasks, of stopped launches and of other parts,
        all at once, and only what was not taken over before. Raises JournalError for rows that no history has."""
        if not records:
            return
        first = records[0].hash
        known = self._joined.get(first, 0)
        new = records[known:]
        again = sum(isinstance(row.event, Began) for row in new) - (known == 0)  # the first is a part of this launch
        if wrong := read_history(new)[1]:
            raise JournalError(part, wrong[0], "keep the folder as evidence, and run in another")
        told = [note for note in notes(new) if note.text in (*OF_TASKS, STOPPED, SEEN)]
        joined = {"part": part, "first": first, "rows": len(records), "again": again, "since": records[0].at}
        self._journal.append(Noted(text=JOINED, data=joined), *told)
        self._joined[first] = len(records)

    def _note(self, text: str, **data: Any) -> None:
        self._journal.append(Noted(text=text, data=data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._note(DONE)
            else:
                with contextlib.suppress(JournalError):  # the disk that ended it may take no word about that either
                    self._note(STOPPED, by=kind.__name__)
        finally:
            self._journal.close()
            if self._lock is not None:
                self._lock.release()


def hold(
    folder: Path,
    wait: Callable[[str], None] | None = None,
    beside: Callable[[], str | None] = lambda: None,
) -> WriterLock:
    """The right to work in a run's folder, which one process has at a time; a dead one's lapses.

    ``wait``: where another has it, wait until it is free, after telling who holds it and since when. Without it,
    InputError says so. ``beside`` names who works elsewhere in a way that excludes this; it is asked while the right is
    held, which is given back for as long as there is somebody.
    """
    path, told = (folder / HISTORY).absolute(), False
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = lock_of(path)
            file.touch()
            seen, lock = file.stat().st_ino, WriterLock(path)
            # Whoever began nothing takes the file along: what was locked meanwhile is then no lock that others see.
            there = file.exists() and file.stat().st_ino == seen
            holder = beside() if there else None
            if there and holder is None:
                return lock
            lock.release()
        except FileNotFoundError:  # it, or the whole folder, was taken along just now
            continue
        except JournalError as problem:
            if not problem.problem.endswith(WRITING):
                raise
            holder = writer_of(path)  # nobody, where it ended just now
        except (OSError, sqlite3.Error) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise InputError(str(folder), f"cannot be written to ({why})", "give another folder with --out") from None
        if holder is None:
            continue
        if wait is None:
            remedy = "wait for it (--wait), stop it, or give another folder with --out"
            raise InputError(str(folder), f"a run is going on here ({holder})", remedy)
        if not told:
            wait(holder)
        told = True
        time.sleep(1.0)


def is_noted(noted: Sequence[HistoryNote], head: str) -> bool:
    """Whether, of all that is ``noted`` of a task, the last is that it finished; or whether it did with this head of
    its journal. A launch that is cut off in between leaves a finished task of which only the beginning is noted."""
    return noted[-1].text == FINISHED or any(note.text == FINISHED and note.head == head for note in noted)


def noted_of_tasks(folder: Path) -> dict[str, list[HistoryNote]]:
    """What the history in ``folder`` notes of each task that it knows."""
    path, found = folder / HISTORY, dict[str, list[HistoryNote]]()
    for note in read_history(scan(path))[0] if path.is_file() else ():
        if note.text in OF_TASKS:
            found.setdefault(note.task, []).append(note)
    return found


def date_of(seconds: float) -> str:
    """A date as a registration has it, of seconds since 1970; of what is no time of any clock the seconds."""
    try:
        return time.strftime(DATE, time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s after 1970"


def seconds_of(date: str) -> float | None:
    """The seconds since 1970 of such a date; None for what is none."""
    try:
        return float(calendar.timegm(time.strptime(date, DATE)))
    except ValueError:
        return None


def notes(records: Iterable[JournalRow]) -> list[Noted]:
    """What the rows of a journal note, in order."""
    return [row.event for row in records if isinstance(row.event, Noted)]


def read_history(records: Iterable[JournalRow]) -> tuple[list[HistoryNote], list[str]]:
    """What the rows of a history say, in order; and of each that no history has, in words, what is wrong with it."""
    noted, wrong = list[HistoryNote](), list[str]()
    for row in records:
        if isinstance(row.event, Noted):
            try:
                noted.append(HistoryNote.model_validate({**row.event.data, "text": row.event.text}, strict=True))
            except ValidationError as problem:
                why = " ".join(problem.errors()[0]["msg"].removeprefix("Value error, ").split())[:200]
                field = ".".join(map(str, problem.errors()[0]["loc"]))
                wrong.append(
                    f"row {row.seq}: holds something else than netgain writes ({f'{field}: ' if field else ''}{why})"
                )
    return noted, wrong
