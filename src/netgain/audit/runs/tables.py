"""Reading SQLite files of trackers without writing to them, whatever state they were left in."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from netgain.audit.runs.lenient import LARGEST_FILE, head, visible

MAGIC = b"SQLite format 3\0"
MOST_ROWS = 2_000_000


@final
class SqliteTables:
    """The tables of one database, read row by row as dictionaries."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def names(self) -> set[str]:
        """The names of its tables."""
        return {str(row["name"]) for row in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def rows(self, table: str, order: str = "rowid") -> list[dict[str, Any]]:
        """All rows of a table of ours to name, by default in the order in which they were written."""
        return self._rows(f'SELECT * FROM "{table}" ORDER BY {order} LIMIT {MOST_ROWS}')  # noqa: S608 - our own names

    def _rows(self, query: str) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@contextmanager
def opened(path: Path) -> Iterator[SqliteTables]:
    """A database as a copy, with the log of writes beside it that nobody has folded in yet.

    Raises ValueError where it is too large, no database or damaged.
    """
    with TemporaryDirectory() as home:
        copy = Path(home) / "copy.db"
        for suffix in ("", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.is_file():
                if beside.stat().st_size > LARGEST_FILE:
                    raise ValueError(f"larger than {LARGEST_FILE // 2**20} MB, left out")
                shutil.copyfile(beside, f"{copy}{suffix}")
        connection = sqlite3.connect(copy)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            yield SqliteTables(connection)
        except (sqlite3.Error, OverflowError) as error:
            raise ValueError(f"is not a database that can be read: {error}") from None
        finally:
            connection.close()


def databases(folder: Path, *patterns: str) -> list[Path]:
    """The SQLite files below a folder, by their first bytes."""
    return [path for path in visible(folder, *patterns) if head(path, 16) == MAGIC]
