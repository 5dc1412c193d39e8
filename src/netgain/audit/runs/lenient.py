"""Reading files that may be damaged: whatever is wrong with one becomes a finding, and the others are read on.

Values are taken for what they claim to be only where they are: a number is finite and within its bounds, a word has no
control characters. Nothing here unpickles anything.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar, final

from netgain.errors import InputError
from netgain.records.claim import Finding
from netgain.strict_json import parse_json

LARGEST_FILE = 200 * 1024 * 1024
MOST_FILES = 20_000  # of a folder; whoever points at a whole disk is answered in seconds
HEAD = 16 * 1024
LARGEST_AMOUNT = 1e30
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_NUMERIC = (int, float, str)  # a tuple: it is asked of every value of a log, and a union takes twice as long
_V = TypeVar("_V")


@final
class Lenient:
    """The files below one folder, and what was wrong with those that could not be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[Finding] = []

    def require(self, used: Sized, what: str, otherwise: str, where: Path | None = None) -> None:
        """Raise InputError where nothing was used: "``what`` can be used", and why the first file could not be.

        ``otherwise`` is said where no file was found to be wrong; ``where`` is what is to be mended, not the folder.
        """
        if not used:
            problem = self.findings[0].message if self.findings else otherwise
            raise InputError(str(where or self.folder), f"{what} can be used: {problem}")

    def name(self, path: Path) -> str:
        """The path relative to the folder, as text that can be written down whatever bytes it has."""
        return words((path.relative_to(self.folder) if self.folder in path.parents else path).as_posix(), longest=300)

    def has(self, path: Path) -> bool:
        """Whether there is such a file; a name that no file can have, being too long, is of none."""
        try:
            return path.is_file()
        except OSError:
            return False

    def paths(self, *patterns: str) -> list[Path]:
        """The files below the folder whose names match one of these patterns, none hidden, in their order."""
        return visible(self.folder, *patterns)

    def data(self, path: Path) -> bytes | None:
        """A file's bytes; None, with a finding, where it is too large or cannot be read."""
        try:
            if path.stat().st_size > LARGEST_FILE:
                self.refuse(path, f"larger than {LARGEST_FILE // 2**20} MB, left out")
                return None
            return path.read_bytes()
        except OSError as error:
            self.refuse(path, f"cannot be read: {error.strerror}")
            return None

    def text(self, path: Path) -> str | None:
        """A file's text, bytes that are no UTF-8 replaced."""
        data = self.data(path)
        return None if data is None else data.decode("utf-8-sig", "replace")

    def json(self, path: Path) -> Any:
        """What a JSON file holds; None, with a finding, where it cannot be read."""
        data = self.data(path)
        return None if data is None else self.parsed(path, data)

    def parsed(self, path: Path, data: bytes | str, part: str = "") -> Any:
        """What JSON text of this file (or of a part of it) holds; None, with a finding, where it is none."""
        try:
            return parse_json(data)
        except ValueError as error:
            self.refuse(path, f"{part + ': ' if part else ''}is not JSON: {error}")
            return None

    def lines(self, path: Path) -> Iterator[dict[str, Any]]:
        """The objects of a JSON Lines file. Lines that are none are counted in one finding."""
        bad = 0
        for line in (self.text(path) or "").splitlines():
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row
            else:
                bad += 1
        if bad:
            self.say(f"{self.name(path)}: {bad} lines are no JSON objects and are left out", path)

    def table(self, path: Path) -> list[dict[str, str]]:
        """The rows of a CSV file by its header; rows of another length are counted in one finding.

        A last row cut off in the middle is such a row: half a number must not be read as a whole one.
        """
        text = self.text(path)
        if text is None:
            return []
        try:
            header, *rows = list(csv.reader(text.replace("\0", "").splitlines())) or [[]]
        except csv.Error as error:
            self.refuse(path, f"is not CSV: {error}")
            return []
        whole = [row for row in rows if len(row) == len(header)]
        if len(whole) < sum(map(bool, rows)):
            self.say(f"{self.name(path)}: {len(rows) - len(whole)} rows are not as long as the header", path)
        return [dict(zip(header, row, strict=True)) for row in whole]

    def refuse(self, path: Path, problem: str) -> None:
        """Note that a file is not used, and why."""
        self.findings.append(unusable(self.name(path), problem))

    def say(self, message: str, path: Path, check: str = "file-partly-read") -> None:
        """Note something odd about a file that is used all the same."""
        self.findings.append(Finding(check=check, severity="low", message=message, evidence=(self.name(path),)))

    def guarded(self, path: Path, make: Callable[[], _V]) -> _V | None:
        """What ``make`` returns; None, with a finding, where the file's values cannot be used."""
        try:
            return make()
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self.refuse(path, f"its values cannot be used: {words(str(error), 200)}")
            return None

    def guarded_all(self, path: Path, make: Callable[[], Iterable[_V]]) -> list[_V]:
        """All that ``make`` yields; nothing, with a finding, where the file's values cannot be used."""
        return self.guarded(path, lambda: list(make())) or []


def unusable(name: str, problem: str) -> Finding:
    """That a file is not used, and why."""
    message = f"{name} is not used: {words(problem, 300)}"
    return Finding(check="file-unreadable", severity="medium", message=message, evidence=(name,))


def visible(folder: Path, *patterns: str) -> list[Path]:
    """The files below a folder with names of these patterns, none of them hidden; a folder that is none has none."""
    found: dict[Path, None] = {}
    try:
        for pattern in patterns:
            for path in folder.rglob(pattern):
                hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
                if not hidden and path.is_file():
                    found[path] = None
                if len(found) >= MOST_FILES:
                    return sorted(found)
    except OSError:  # a folder in it that may not be entered
        pass
    return sorted(found)


def head(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def number(value: object, least: float = 0.0, most: float = LARGEST_AMOUNT) -> float | None:
    """A finite number within these bounds, also where it is written as text; else None: unknown."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and least <= found <= most else None


def whole(value: object, least: int = 0, most: int = 10**12) -> int | None:
    """A whole number within these bounds, else None; 3.0 is one, 3.5 and true are not."""
    found = number(value, least, most)
    return int(found) if found is not None and found == int(found) else None


def fraction(value: object) -> float | None:
    """A number from 0 to 1, else None: a percentage is not guessed at."""
    return number(value, 0.0, 1.0)


def words(value: object, longest: int = 120) -> str:
    """A text without control characters that can be written down; empty for anything else."""
    if not isinstance(value, str):
        return ""
    plain = _CONTROL.sub(" ", value).encode("utf-8", "replace").decode("utf-8").strip()
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


def dig(value: Any, *keys: str | int) -> Any:
    """What stands under these keys one after another; None where something on the way is missing or another thing."""
    for key in keys:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none for anything else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def first(values: Sequence[Any], kind: Callable[[object], _V | None]) -> _V | None:
    """The first of these that is of a kind, such as :func:`number`."""
    return next((found for value in values if (found := kind(value)) is not None), None)
