"""``samples.jsonl``: the rows of a trial, read back. A spoiled line is named by file and line."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from netgain.errors import InputError
from netgain.records.outcome import Row

_ROW: TypeAdapter[Row] = TypeAdapter(Row)


def read_rows(path: Path) -> list[Row]:
    """Every row of the file, in order; empty lines are skipped.

    Raises InputError with ``file:line`` for a line that is not a row. A last line without its line break is one that
    was being written when the run was stopped, and is left out if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}", "give the samples.jsonl of a run") from None
    lines = data.split(b"\n")
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(_ROW.validate_python(json.loads(line)))
        except ValidationError as error:
            raise InputError(f"{path}:{number}", _first(error)) from None
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise InputError(f"{path}:{number}", f"is not JSON that can be read: {error}") from None
    return rows


def write_rows(rows: Iterable[Row]) -> str:
    """The rows as the text of such a file; fields with their default value are left out."""
    return "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    data = {"row": row.row, **row.model_dump(mode="json", exclude_defaults=True)}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    more = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
    return f"is not a row of a trial: {f'field {place!r}: ' if place else ''}{problem['msg']}{more}"
