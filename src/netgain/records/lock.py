"""One writer per journal: a lock that the operating system lets go of when its holder dies.

The lock is a second, tiny SQLite database beside the journal whose write lock the writer holds for as long as it
lives; in it stands who that is. A lock file left behind by a dead process therefore never has to be removed.
"""

import os
import socket
import sqlite3
from pathlib import Path
from typing import final

from netgain.errors import JournalError

PATIENCE = 1.0  # seconds: whoever only asks who writes holds the lock for a moment


@final
class WriterLock:
    """Held from construction until :meth:`release` or the end of the process, whichever comes first."""

    def __init__(self, journal: Path) -> None:
        """Take the lock of ``journal``. Raises JournalError naming process and host of the writer who has it."""
        self.path = journal.with_name(journal.name + ".lock")
        self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        try:
            self._take()
        except sqlite3.Error as problem:
            holder = self._holder()
            self._connection.close()
            if "locked" not in str(problem):
                remedy = "if nobody writes to the journal, delete the lock file"
                raise JournalError(str(self.path), f"the lock cannot be taken: {problem}", remedy) from problem
            raise JournalError(
                str(journal), f"{holder} is writing to it", "wait for it, stop it, or write to another file"
            ) from problem

    def _take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("CREATE TABLE IF NOT EXISTS holder (pid INTEGER, host TEXT)")
        self._connection.execute("DELETE FROM holder")
        self._connection.execute("INSERT INTO holder VALUES (?, ?)", (os.getpid(), socket.gethostname()))
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")

    def _holder(self) -> str:
        try:
            row = self._connection.execute("SELECT pid, host FROM holder").fetchone()
        except sqlite3.Error:
            row = None
        return "another process" if row is None else f"process {row[0]} on host {row[1]}"

    def release(self) -> None:
        """Let go of the lock. The file stays: removing it could take it from under the next holder."""
        self._connection.close()


def writer_of(journal: Path) -> str | None:
    """Who is writing to ``journal`` now (``process 12 on host h``), or None. Changes nothing."""
    path = journal.with_name(journal.name + ".lock")
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
        row = connection.execute("SELECT pid, host FROM holder").fetchone()
        return "another process" if row is None else f"process {row[0]} on host {row[1]}"
    else:
        connection.execute("ROLLBACK")
        return None
    finally:
        connection.close()
