"""The rows of a journal and the rule that chains them: what the writer writes and what every reader checks.

A row is its number, its text (canonical JSON of number, time and event) and a hash over the hash before it and the
text. Changing, removing, inserting or reordering rows breaks the chain at that row; the newest hash is kept once
more, beside the rows, so that rows missing at the end are noticed as well. Someone who rewrites a whole file with
new hashes is found out only by comparing the newest hash with one that was published before.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import final

from netgain.records.events import Event, from_fields, to_fields
from netgain.records.identity import canonical, digest

ROOT = "0" * 64
TABLES = {
    "events": "CREATE TABLE events (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, hash TEXT NOT NULL)",
    "head": "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)",
}


@final
@dataclass(frozen=True, slots=True)
class Record:
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


def decode(seq: int, previous: str, row: tuple[object, object, object]) -> Record:
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
        if canonical(fields) != text:
            raise ValueError("the row is not canonical JSON")
        if set(fields) != {"seq", "at", "event"} or fields["seq"] != seq:
            raise ValueError("the row's text does not carry its number, time and event")
        return Record(seq, float(fields["at"]), from_fields(fields["event"]), stored)
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
