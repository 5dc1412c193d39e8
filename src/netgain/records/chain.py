"""The hash chain of a journal: its rows, what the writer writes, and how anybody reads it without the right to write.

A row is its number, its text (canonical JSON of number, time and event) and a hash over the hash before it and the
text. Changing, removing, inserting or reordering rows breaks the chain at that row; the newest hash is kept once
more, beside the rows, so that rows missing at the end are noticed as well. Someone who rewrites a whole file with
new hashes is found out only by comparing the newest hash with one that was published before.

Reading gives everything up to the first row that does not fit, and what is wrong there. It never raises for what a
file contains: one that is cut off, edited, or no journal at all gives a :class:`Damage`.
"""

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from netgain.records.events import Event, from_fields, to_fields
from netgain.records.identity import canonical, digest, is_canonical

MAGIC = b"SQLite format 3\0"
ROOT = "0" * 64
TABLES = {
    "events": "CREATE TABLE events (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, hash TEXT NOT NULL)",
    "head": "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)",
}


@final
@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row: its number from 0, when it was written (seconds since 1970, by the wall clock), the event, the hash."""

    seq: int
    at: float
    event: Event
    hash: str


def encode(seq: int, at: float, event: Event) -> str:
    """The text of a row."""
    return canonical({"seq": seq, "at": at, "event": to_fields(event)})


def chain(previous: str, text: str) -> str:
    """The hash of a row from the hash of the row before it (:data:`ROOT` for the first) and its text."""
    return digest("journal-row", f"{previous}\n{text}")


def decode(seq: int, previous: str, row: tuple[object, object, object]) -> JournalRow:
    """The record in a stored row, after every check that needs only the row before. ``seq`` is the number it must have.

    Raises ValueError that says which rule the row breaks.
    """
    number, text, stored = row
    if number != seq:
        raise ValueError(f"row {seq} is missing: the next one is numbered {number!r}")
    if not isinstance(text, str) or not isinstance(stored, str):
        raise ValueError("the row does not hold text")  # noqa: TRY004 - the file is wrong, not the caller
    if chain(previous, text) != stored:
        raise ValueError("the hash does not belong to this row and the one before it")
    try:
        fields = json.loads(text)
        if not is_canonical(text, fields):
            raise ValueError("the row is not canonical JSON")
    except (RecursionError, TypeError) as problem:
        raise ValueError(f"the row's text is not a record: {problem}") from problem
    return _record(seq, fields, stored)


def parse(seq: int, text: str, stored: str) -> JournalRow:
    """The record in a text that is known to be canonical and to have the hash ``stored``; ValueError as above."""
    try:
        fields = json.loads(text)
    except RecursionError as problem:
        raise ValueError(f"the row's text is not a record: {problem}") from problem
    return _record(seq, fields, stored)


def _record(seq: int, fields: Any, stored: str) -> JournalRow:
    try:
        if set(fields) != {"seq", "at", "event"} or fields["seq"] != seq:
            raise ValueError("the row's text does not carry its number, time and event")
        return JournalRow(seq, float(fields["at"]), from_fields(fields["event"]), stored)
    except (RecursionError, TypeError, AttributeError, OverflowError) as problem:
        raise ValueError(f"the row's text is not a record: {problem}") from problem


def read_only(location: str) -> sqlite3.Connection:
    """A connection to the database at this SQLite URI (without its ``mode``) that cannot write and trusts no schema."""
    connection = sqlite3.connect(f"{location}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@final
@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong with a journal: the row it was found at (None: the file as a whole) and what is wrong there."""

    row: int | None
    problem: str

    def __str__(self) -> str:
        return self.problem if self.row is None else f"row {self.row}: {self.problem}"


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal holds: the rows before the first lie in order, the findings, and how many rows come after it.

    ``head`` is the hash of the last trusted row, which stands for the whole journal up to there.
    """

    records: tuple[JournalRow, ...]
    findings: tuple[Damage, ...]
    untrusted: int = 0

    @property
    def head(self) -> str:
        return self.records[-1].hash if self.records else ROOT

    def scan(self) -> "Scan":
        """The same, row by row."""
        return Scan(lambda: iter(self.records), self)


@final
class Scan:
    """A journal that is read row by row, so that one of millions of rows need not fit into memory.

    What is wrong with it is known when all rows were given: ``findings``, ``untrusted`` and ``count`` (of the rows that
    were given) are those of :class:`Reading` then.
    """

    def __init__(self, rows: Callable[[], Iterator[JournalRow]], told: Reading | None = None) -> None:
        self._rows, self._told = rows, told
        self.findings: tuple[Damage, ...] = ()
        self.untrusted, self.count, self.head = 0, 0, ROOT

    def __iter__(self) -> Iterator[JournalRow]:
        self.findings, self.untrusted, self.count, self.head = (), 0, 0, ROOT
        for row in self._rows():
            self.count, self.head = self.count + 1, row.hash
            yield row
        if self._told is not None:
            self.findings, self.untrusted = self._told.findings, self._told.untrusted

    def collect(self) -> Reading:
        """All of it at once."""
        records = tuple(self)
        return Reading(records, self.findings, self.untrusted)


def read(path: Path | str) -> Reading:
    """Read the journal at ``path``, written to or not, whole or not. Never changes it and never raises for its content.

    Raises OSError only where the file system refuses (no permission to read).
    """
    return scan(path).collect()


def scan(path: Path | str) -> Scan:
    """The same, row by row."""
    path = Path(path)
    found: Scan = Scan(lambda: _rows_of(path, found))
    return found


def _rows_of(path: Path, found: Scan) -> Iterator[JournalRow]:
    if not path.is_file():
        found.findings = (Damage(None, f"there is no journal at {path}"),)
        return
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic != MAGIC:
        found.findings = (Damage(None, "the file is not a journal: it does not begin as a SQLite database does"),)
        return
    with contextlib.ExitStack() as held:
        try:
            connection, schema = _opened(path, held)
        except (sqlite3.Error, UnicodeDecodeError):
            try:
                connection, schema = _opened(_copied(path, held), held)
            except (sqlite3.Error, UnicodeDecodeError) as problem:
                found.findings = (Damage(None, f"the file cannot be read as a database: {problem}"),)
                return
        if schema != [("table", name, sql) for name, sql in sorted(TABLES.items())]:
            found.findings = (Damage(None, "the file is not a journal: its tables are not those of one"),)
            return
        yield from _read_rows(connection, found)
        if not found.findings:
            found.findings = (*_head_findings(connection, found), *_page_findings(connection))


def _opened(path: Path, held: contextlib.ExitStack) -> tuple[sqlite3.Connection, list[object]]:
    """The database at ``path`` as it is now, and its tables."""
    connection = read_only(path.resolve().as_uri())
    held.callback(connection.close)
    connection.execute("BEGIN")
    return connection, connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def _copied(path: Path, held: contextlib.ExitStack) -> Path:
    """A private copy, for a folder in which SQLite may not even create its shared-memory file."""
    folder = held.enter_context(tempfile.TemporaryDirectory())
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.is_file():
            shutil.copyfile(source, Path(folder) / f"journal{suffix}")
    return Path(folder) / "journal"


def _read_rows(connection: sqlite3.Connection, found: Scan) -> Iterator[JournalRow]:
    count, previous = 0, ROOT
    rows = connection.cursor()
    while True:
        try:
            if not count:
                rows.execute("SELECT seq, record, hash FROM events ORDER BY seq")
            row = rows.fetchone()
            if row is None:
                return
            record = decode(count, previous, row)
        except (ValueError, sqlite3.Error) as problem:
            found.findings = (Damage(count, " ".join(str(problem).split())),)
            found.untrusted = _count_rest(rows)
            return
        count, previous = count + 1, record.hash
        yield record


def _count_rest(rows: sqlite3.Cursor) -> int:
    """Rows from the first lie on, as far as the file still gives them."""
    count = 1
    try:
        while rows.fetchone() is not None:
            count += 1
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    return count


def _head_findings(connection: sqlite3.Connection, found: Scan) -> list[Damage]:
    try:
        heads = connection.execute("SELECT seq, hash FROM head").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        return [Damage(None, f"the newest hash cannot be read: {problem}")]
    expected = [(found.count - 1, found.head)] if found.count else []
    if heads == expected:
        return []
    return [Damage(found.count, "rows are missing at the end: the newest hash on file is not the last row's")]


def _page_findings(connection: sqlite3.Connection) -> list[Damage]:
    try:
        answers = [str(answer) for (answer,) in connection.execute("PRAGMA integrity_check(3)")]
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        answers = [str(problem)]
    return [] if answers == ["ok"] else [Damage(None, f"the database file is damaged: {'; '.join(answers)}")]
