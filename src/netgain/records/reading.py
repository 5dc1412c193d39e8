"""Reading a journal without the right to write it: everything up to the first row that lies, and what is wrong.

Reading never raises for what a file contains. A file that is cut off, edited, or no journal at all gives findings.
"""

import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import final

from netgain.records.rows import ROOT, TABLES, Record, decode, read_only

MAGIC = b"SQLite format 3\0"


@final
@dataclass(frozen=True, slots=True)
class Finding:
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

    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    untrusted: int = 0

    @property
    def head(self) -> str:
        return self.records[-1].hash if self.records else ROOT


def read(path: Path | str) -> Reading:
    """Read the journal at ``path``, written to or not, whole or not. Never changes it and never raises for its content.

    Raises OSError only where the file system refuses (no permission to read).
    """
    path = Path(path)
    if not path.is_file():
        return _broken(f"there is no journal at {path}")
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic != MAGIC:
        return _broken("the file is not a journal: it does not begin as a SQLite database does")
    try:
        return _read_in_place(path)
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    try:
        return _read_copy(path)
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        return _broken(f"the file cannot be read as a database: {problem}")


def _broken(problem: str) -> Reading:
    return Reading((), (Finding(None, problem),))


def _read_in_place(path: Path) -> Reading:
    connection = read_only(path.resolve().as_uri())
    try:
        return _read_connection(connection)
    finally:
        connection.close()


def _read_copy(path: Path) -> Reading:
    """For a folder in which SQLite may not even create its shared-memory file: read a private copy instead."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.is_file():
                shutil.copyfile(source, Path(folder) / f"journal{suffix}")
        return _read_in_place(Path(folder) / "journal")


def _read_connection(connection: sqlite3.Connection) -> Reading:
    connection.execute("BEGIN")
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    if schema != [("table", name, sql) for name, sql in sorted(TABLES.items())]:
        return _broken("the file is not a journal: its tables are not those of one")
    reading = _read_rows(connection)
    findings = list(reading.findings)
    if not findings:
        findings += _head_findings(connection, reading) + _page_findings(connection)
    return Reading(reading.records, tuple(findings), reading.untrusted)


def _read_rows(connection: sqlite3.Connection) -> Reading:
    records: list[Record] = []
    previous = ROOT
    rows = connection.execute("SELECT seq, record, hash FROM events ORDER BY seq")
    while True:
        try:
            row = rows.fetchone()
            if row is None:
                return Reading(tuple(records), ())
            record = decode(len(records), previous, row)
        except (ValueError, sqlite3.Error) as problem:
            finding = Finding(len(records), " ".join(str(problem).split()))
            return Reading(tuple(records), (finding,), _count_rest(rows))
        records.append(record)
        previous = record.hash


def _count_rest(rows: sqlite3.Cursor) -> int:
    """Rows from the first lie on, as far as the file still gives them."""
    count = 1
    try:
        while rows.fetchone() is not None:
            count += 1
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    return count


def _head_findings(connection: sqlite3.Connection, reading: Reading) -> list[Finding]:
    try:
        heads = connection.execute("SELECT seq, hash FROM head").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        return [Finding(None, f"the newest hash cannot be read: {problem}")]
    expected = [(len(reading.records) - 1, reading.head)] if reading.records else []
    if heads == expected:
        return []
    return [Finding(len(reading.records), "rows are missing at the end: the newest hash on file is not the last row's")]


def _page_findings(connection: sqlite3.Connection) -> list[Finding]:
    try:
        answers = [str(answer) for (answer,) in connection.execute("PRAGMA integrity_check(3)")]
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        answers = [str(problem)]
    return [] if answers == ["ok"] else [Finding(None, f"the database file is damaged: {'; '.join(answers)}")]
