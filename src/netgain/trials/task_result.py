"""What a finished task left (``unit.json``), and whether that is what a file holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from pydantic import TypeAdapter

from netgain.records.identity import canonical
from netgain.strict_json import parse_json


@final
@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished task left: its identity, the settings its arm ran with or was tuned to, and what it took.

    ``spent`` is all of that by purpose; ``lost`` the part of attempts that were cut off, and ``beside`` the part that
    stands in none of its rows (None in records older than the field).

    ``identity`` is that of its work and, behind a ``#``, the SHA-256 of its rows; ``head`` is the hash of the journal's
    row that notes that identity, after everything else (only the closing may follow).
    """

    identity: str
    settings: dict[str, Any]
    attempts: int
    spent: dict[str, dict[str, float]]
    seconds: float
    lost: dict[str, Any]
    head: str
    beside: dict[str, dict[str, float]] | None = None


_FORM = TypeAdapter(TaskResult)
_AMOUNTS = TypeAdapter(dict[str, dict[str, float]])


def json_object(path: Path) -> dict[str, Any]:
    """The fields of a JSON file; empty where it cannot be read, or holds no object."""
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def result_in(path: Path) -> dict[str, Any]:
    """The fields of a ``unit.json``; empty where it is not there, or not what a finished task leaves."""
    return result_of(json_object(path))


def result_of(found: object) -> dict[str, Any]:
    """These fields, empty where they are not of the form that a finished task leaves."""
    try:
        _FORM.validate_json(canonical(found), strict=True)  # which NaN and infinity have no form in
        _AMOUNTS.validate_python(found["lost"].get("spent", {}))  # type: ignore[index]
    except (ValueError, TypeError, RecursionError):
        return {}
    return dict(found) if isinstance(found, dict) else {}
