"""Journals small enough for a repository: their rows by columns, from which every hash is derived again.

A packed file is xz over lines of JSON: a header with whatever belongs to all journals, then one line a journal. Rows of
one shape (the same fields, nested alike) share their columns; numbers of rows are implied, times are differences in
microseconds, and a charge names its reservation by its distance. Nothing is rounded or left out: the text of every row
comes back to the byte, and with it the chain; hashes are not kept, but for the last one of each journal.
"""

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from netgain.errors import InputError
from netgain.records.chain import ROOT, Damage, JournalRow, Reading, chain, encode, parse
from netgain.records.identity import canonical, encoded
from netgain.strict_json import parse_json

FORMAT = "netgain.journals/1"
MICRO = 1e6
REFERENCE = "reservation"


def pack_journals(header: Mapping[str, Any], journals: Iterable[tuple[str, Reading]]) -> bytes:
    """The bytes of a packed file, the same for the same journals. Raises InputError for one that is damaged."""
    packer = lzma.LZMACompressor(format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME)
    parts = [packer.compress(_line({"format": FORMAT, **header}))]
    for name, reading in journals:
        if reading.findings:
            raise InputError(name, f"does not verify: {reading.findings[0]}", "keep the folder as evidence")
        packed = {"name": name, "head": reading.head, **_columns(reading.records)}
        if rechained(_texts(packed), reading.head).findings:
            raise InputError(name, "holds rows that cannot be written anew to the same bytes", "keep the folder itself")
        parts.append(packer.compress(_line(packed)))
    return b"".join([*parts, packer.flush()])


def unpack_journals(path: Path) -> Iterator[tuple[str, Any]]:
    """First ``("", header)``, then the name and the :class:`Reading` of each journal, one at a time.

    Raises InputError where the file is none; what is wrong in a journal is a finding of its reading.
    """
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            header = parse_json(next(lines))
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")  # noqa: TRY301 - told below
            yield "", header
            for line in lines:
                packed = parse_json(line)
                if not isinstance(packed["name"], str):
                    raise TypeError("a journal has no name")  # noqa: TRY301 - told below
                try:
                    reading = rechained(_texts(packed), packed["head"])
                except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as problem:
                    reading = Reading((), (Damage(None, f"its columns cannot be read ({problem})"),))
                yield packed["name"], reading
    except (OSError, EOFError, ValueError, TypeError, KeyError, StopIteration, lzma.LZMAError) as problem:
        raise InputError(str(path), f"holds no packed journals ({problem})", "bring the file back") from None


def rechained(texts: Iterable[str], head: str) -> Reading:
    """What a journal of these canonical texts holds, its hashes derived anew; ``head`` is what the last must be."""
    records: list[JournalRow] = []
    previous = ROOT
    for text in texts:
        hashed = chain(previous, text)
        try:
            records.append(parse(len(records), text, hashed))
        except ValueError as problem:
            return Reading(tuple(records), (Damage(len(records), " ".join(str(problem).split())),))
        previous = hashed
    if previous == head:
        return Reading(tuple(records), ())
    return Reading(tuple(records), (Damage(None, "its rows do not give the hash that was kept of its last one"),))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _columns(records: Iterable[JournalRow]) -> dict[str, Any]:
    shapes: dict[str, int] = {}
    order, times, columns = list[int](), list[int](), list[list[list[Any]]]()
    before = 0
    for record in records:
        fields = json.loads(encode(record.seq, record.at, record.event))
        leaves: list[Any] = []
        shape = canonical(_take(fields["event"], leaves, record.seq))
        if shape not in shapes:
            shapes[shape] = len(columns)
            columns.append([[] for _ in leaves])
        index = shapes[shape]
        for column, leaf in zip(columns[index], leaves, strict=True):
            column.append(leaf)
        micros = round(record.at * MICRO)
        order.append(index)
        times.append(micros - before)
        before = micros
    return {"shapes": [parse_json(shape) for shape in shapes], "order": order, "times": times, "columns": columns}


def _take(value: Any, leaves: list[Any], seq: int, name: str = "") -> Any:
    """The shape of a value, its leaves taken out in order."""
    if isinstance(value, dict) and value:
        return {key: _take(part, leaves, seq, key) for key, part in sorted(value.items())}
    leaves.append(seq - value if name == REFERENCE and isinstance(value, int) else value)
    return 0


def _texts(packed: Mapping[str, Any]) -> Iterator[str]:
    cursors = [[iter(column) for column in columns] for columns in packed["columns"]]
    micros = 0
    for seq, (index, step) in enumerate(zip(packed["order"], packed["times"], strict=True)):
        micros += step
        event = _give(packed["shapes"][index], iter([_next(column) for column in cursors[index]]), seq)
        at = micros / MICRO
        yield encoded({"seq": seq, "at": int(at) if at.is_integer() else at, "event": event})


def _give(shape: Any, leaves: Iterator[Any], seq: int, name: str = "") -> Any:
    """The value of this shape, whose keys are in order, with these leaves."""
    if isinstance(shape, dict):
        return {key: _give(part, leaves, seq, key) for key, part in shape.items()}
    leaf = _next(leaves)
    return seq - leaf if name == REFERENCE and isinstance(leaf, int) else leaf


def _next(values: Iterator[Any]) -> Any:
    """The next of them. Raises ValueError where there is none: no generator may pass StopIteration on."""
    for value in values:
        return value
    raise ValueError("a column is too short")
