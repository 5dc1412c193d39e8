"""The journal: the one book of what was spent, append-only, hash-chained and durable.

A row is on the disk before :meth:`Journal.append` returns (SQLite, write-ahead log, ``synchronous = FULL``); a
killed writer loses nothing that was acknowledged. On a network file system, where a write-ahead log is unsafe, the
rollback journal is used instead. One process writes to one file; anyone may read it meanwhile.

The writer holds a lock that the operating system lets go of when its holder dies: a second, tiny SQLite database beside
the journal, whose write lock is held for as long as the writer lives. A file left behind never has to be removed.
"""

import contextlib
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, final

from netgain.errors import JournalError
from netgain.records.chain import ROOT, TABLES, JournalRow, chain, encode, scan
from netgain.records.events import Began, Event

MOUNTS = Path("/proc/mounts")
REMOTE = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "9p", "afs", "fuse.sshfs")
WRITING = " is writing to it"  # what is wrong with a journal that another process has
PATIENCE = 1.0  # seconds: whoever only asks who writes holds the lock for a moment


def lock_of(journal: Path) -> Path:
    """The file by which writers of a journal keep out of each other's way."""
    return journal.with_name(f"{journal.name}.lock")


@final
class WriterLock:
    """Held from construction until :meth:`release` or the end of the process, whichever comes first."""

    def __init__(self, journal: Path) -> None:
        """Take the lock of ``journal``. Raises JournalError naming process and host of the writer who has it."""
        self.path = lock_of(journal)
        self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        try:
            self._take()
        except sqlite3.Error as problem:
            holder = _holder(self._connection)
            self._connection.close()
            if "locked" not in str(problem):
                remedy = "if nobody writes to the journal, delete the lock file"
                raise JournalError(str(self.path), f"the lock cannot be taken: {problem}", remedy) from problem
            raise JournalError(
                str(journal), f"{holder}{WRITING}", "wait for it, stop it, or write to another file"
            ) from problem

    def _take(self) -> None:
        holder = (os.getpid(), socket.gethostname(), time.time())
        while True:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DROP TABLE IF EXISTS holder")  # an older one does not say since when
            self._connection.execute("CREATE TABLE holder (pid INTEGER, host TEXT, since REAL)")
            self._connection.execute("INSERT INTO holder VALUES (?, ?, ?)", holder)
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN IMMEDIATE")
            if self._connection.execute("SELECT * FROM holder").fetchone() == holder:
                return
            self._connection.execute("ROLLBACK")  # another one wrote its name in between, and waits for its turn

    def release(self) -> None:
        """Let go of the lock. The file stays: removing it could take it from under the next holder."""
        self._connection.close()


def _holder(connection: sqlite3.Connection) -> str:
    """Who holds a lock that could not be taken, in words."""
    try:
        row = connection.execute("SELECT * FROM holder").fetchone()
    except sqlite3.Error:
        row = None
    if row is None:
        return "another process"
    try:
        since = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(row[2]))}"
    except (IndexError, TypeError, ValueError, OverflowError, OSError):  # an older lock, or no time of any clock
        since = ""
    return f"process {row[0]} on host {row[1]}{since}"


def writer_of(journal: Path) -> str | None:
    """Who is writing to ``journal`` now (``process 12 on host h since ...``), or None. Changes nothing."""
    path = lock_of(journal)
    if not path.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0.2)
    except sqlite3.Error:
        return None
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as problem:
        if "locked" not in str(problem):
            return None
        return _holder(connection)
    else:
        connection.execute("ROLLBACK")
        return None
    finally:
        connection.close()


@final
class Journal:
    """The writing end of a journal file. Open it with :meth:`open`; use it as a context manager or close it.

    Safe to share between threads; a process made by ``fork`` must not use its parent's.
    """

    def __init__(self, path: Path, lock: WriterLock | None, clock: Callable[[], float]) -> None:
        self.path = path
        self._lock, self._clock, self._pid = lock, clock, os.getpid()
        self._threads = threading.Lock()
        self._length, self._head, self._closed = 0, ROOT, False
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        software: str = "netgain",
        clock: Callable[[], float] = time.time,
        lock: WriterLock | None = None,
        take: Callable[[JournalRow], None] | None = None,
    ) -> tuple[Self, tuple[JournalRow, ...]]:
        """The journal at ``path``, made where there is none, and the rows that it held before this writer began.

        With ``take``, which is given each of these as it is read, none of them is kept: only this writer's first.

        Raises JournalError where another process writes to it, or where it does not verify: a file that lies is
        not written on. ``clock`` gives seconds since 1970 and is only written down, never computed with. ``lock`` is
        the journal's own where the caller holds it already, and goes on holding it.
        """
        path = Path(path).resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            own = WriterLock(path) if lock is None else None
        except (OSError, sqlite3.Error) as problem:
            raise JournalError(str(path), f"it cannot be opened for writing: {problem}") from problem
        existing = path.is_file() and path.stat().st_size > 0
        try:
            journal = cls(path, own, clock)
        except sqlite3.Error as problem:
            if own is not None:
                own.release()
            raise JournalError(str(path), f"it cannot be opened for writing: {problem}") from problem
        try:
            records = journal._prepare(existing, take)
            began = journal.append(Began(software=software, host=socket.gethostname(), pid=os.getpid()))
        except BaseException:
            journal.close()
            raise
        return journal, records + began

    @classmethod
    def restore(cls, path: Path, rows: Iterable[JournalRow]) -> None:
        """Write a journal's rows, as they were read and verified, to a new file: times and hashes stay as they are.

        Raises JournalError where they cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with cls(path, WriterLock(path), time.time) as journal:
            journal._prepare(existing=False, take=None)
            texts = [(row.seq, encode(row.seq, row.at, row.event), row.hash) for row in rows]
            try:
                journal._write(texts)
            except sqlite3.Error as problem:
                raise journal._refusal(problem) from problem

    def _prepare(self, existing: bool, take: Callable[[JournalRow], None] | None) -> tuple[JournalRow, ...]:
        records = self._check(take) if existing else ()
        mode = "DELETE" if is_remote(self.path) else "WAL"
        try:
            self._connection.execute(f"PRAGMA journal_mode = {mode}")
            self._connection.execute("PRAGMA synchronous = FULL")
            if not self._length:
                self._create()
        except sqlite3.Error as problem:
            raise self._refusal(problem) from problem
        return records

    def _check(self, take: Callable[[JournalRow], None] | None) -> tuple[JournalRow, ...]:
        rows, kept = scan(self.path), list[JournalRow]()
        for row in rows:
            (take or kept.append)(row)
        if not rows.findings or self._is_empty_shell():
            self._length, self._head = rows.count, rows.head
            return tuple(kept)
        raise JournalError(
            str(self.path), str(rows.findings[0]), "keep it as evidence and write to a new file; read() salvages it"
        )

    def _is_empty_shell(self) -> bool:
        """Whether the file is a database without tables: its writer died before it could create them."""
        try:
            return bool(self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,))
        except sqlite3.Error:
            return False

    def _create(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        present = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        for name, statement in TABLES.items():
            if name not in present:
                self._connection.execute(statement)
        self._connection.execute("COMMIT")

    @property
    def head(self) -> str:
        """The hash of the last row: publish it, and nobody can rewrite the journal unnoticed."""
        return self._head

    @property
    def length(self) -> int:
        """How many rows there are: the number that the next one will have."""
        return self._length

    @property
    def closed(self) -> bool:
        """Whether it takes no more rows."""
        return self._closed

    def append(self, *events: Event) -> tuple[JournalRow, ...]:
        """Write these events, all or none; they are on the disk when this returns, with their row numbers.

        Raises JournalError where they cannot be written (disk full, file taken over); then none of them is.
        """
        with self._threads:
            self._require_open()
            records, rows = self._chained(events)
            try:
                self._write(rows)
            except sqlite3.Error as problem:
                self._rollback()
                raise self._refusal(problem) from problem
            self._length, self._head = self._length + len(rows), records[-1].hash if records else self._head
            return records

    def _chained(self, events: tuple[Event, ...]) -> tuple[tuple[JournalRow, ...], list[tuple[int, str, str]]]:
        at, head = round(float(self._clock()), 6), self._head
        records, rows = [], []
        for seq, event in enumerate(events, start=self._length):
            text = encode(seq, at, event)
            head = chain(head, text)
            records.append(JournalRow(seq, at, event, head))
            rows.append((seq, text, head))
        return tuple(records), rows

    def _write(self, rows: list[tuple[int, str, str]]) -> None:
        if not rows:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        newest = self._connection.execute("SELECT seq, hash FROM head").fetchall()
        if newest != ([(self._length - 1, self._head)] if self._length else []):
            raise sqlite3.IntegrityError("another process has written to it")
        self._connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        self._connection.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?)", (rows[-1][0], rows[-1][2]))
        self._connection.execute("COMMIT")

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _require_open(self) -> None:
        if self._closed:
            raise JournalError(str(self.path), "the journal is closed")
        if os.getpid() != self._pid:
            raise JournalError(
                str(self.path), f"it belongs to process {self._pid}, which forked", "give each process its own journal"
            )

    def _refusal(self, problem: Exception) -> JournalError:
        free = shutil.disk_usage(self.path.parent).free
        return JournalError(str(self.path), f"it cannot be written ({problem}); {free} bytes are free on its disk")

    def close(self) -> None:
        """Let go of the file. Further appends are refused; closing twice does nothing.

        A journal that was closed is one file without companions, readable where nothing can be written.
        """
        if not self._closed and os.getpid() == self._pid:
            self._closed = True
            with contextlib.suppress(sqlite3.Error):  # a reader holds it: the log stays beside the file, as valid
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_remote(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether ``path`` lies on a network file system, as far as the table of mounts tells (Linux; elsewhere False)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    resolved = path.resolve()
    best, kind = Path("/"), ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, fields[2]
    return kind.startswith(REMOTE)
