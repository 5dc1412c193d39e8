"""Spoiled variants of a folder of results: truncated files, flipped bytes, missing keys, wrong types, huge numbers.

``endures(reader, folder, work)`` reads 300 of them, judges and renders some, and fails on anything but a claim or one
clear error.
"""

import copy
import csv
import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netgain.audit.audit import Reader, audit
from netgain.errors import NetgainError
from netgain.records.claim import Claim
from netgain.report.page import render
from netgain.tokens import EstimatedTokens

NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 10**30, 2**63, 10**400),
    *("", "x", "\ud800", "</script>", "1e5", "nan", [], {}, [[]], [None], [{}], {"a": 1}, "\x1b[31m", -0.0, 1e-300),
]
JUDGED = 75  # of how many variants one is also judged and rendered
VARIANTS = 300


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, the first three items of each list and its last."""
    if isinstance(value, dict):
        inner = [*value.items()]
    else:
        inner = [*enumerate(value[:3]), (-1, value[-1])] if isinstance(value, list) and value else []
    for key, part in inner:
        yield (*place, key)
        yield from places(part, (*place, key))


def spoiled_value(data: Any, rng: random.Random) -> Any:
    """A copy with something nasty at some place, or without what stands there."""
    data = copy.deepcopy(data)
    found = sorted(places(data), key=len)
    if not found:
        return rng.choice(NASTY)
    place = rng.choice(found[: max(1, int(len(found) * rng.choice([0.1, 0.4, 1.0])))])
    inside = data
    for key in place[:-1]:
        inside = inside[key]
    if rng.random() < 0.25:
        del inside[place[-1]]
    else:
        inside[place[-1]] = copy.deepcopy(rng.choice(NASTY))
    return data


def spoiled_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut off somewhere, some bytes flipped, a stretch doubled or gone, or nothing left at all."""
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:at]
    if kind == 1:
        flipped = bytearray(data)
        for index in rng.sample(range(len(data)), min(len(data), rng.choice([1, 3, 20]))):
            flipped[index] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    end = min(len(data), at + rng.randrange(1, 200))
    if kind == 2:
        return data[:at] + data[end:]
    return data[:end] + data[at:end] + data[end:] if kind == 3 else rng.choice([b"", b"\xff\xfe", b"[", b"{}", b"0"])


def spoiled(path: Path, rng: random.Random) -> bytes:
    """A spoiled variant of one file: by its values where it is JSON or CSV, else, and half the time, by its bytes."""
    data = path.read_bytes()
    if rng.random() < 0.3:
        return spoiled_bytes(data, rng)
    try:
        if path.suffix == ".json":
            return json.dumps(spoiled_value(json.loads(data), rng)).encode()
        if path.suffix == ".jsonl":
            lines = data.decode().splitlines()
            at = rng.randrange(len(lines))
            lines[at] = json.dumps(spoiled_value(json.loads(lines[at]), rng))
            return "\n".join(lines).encode()
        if path.suffix == ".csv":
            rows = list(csv.reader(data.decode().splitlines()))
            row = rng.choice(rows)
            row[rng.randrange(len(row))] = str(rng.choice(NASTY)).encode("utf-8", "replace").decode()
            out = io.StringIO()
            csv.writer(out).writerows(rows)
            return out.getvalue().encode()
    except (ValueError, IndexError):
        pass
    return spoiled_bytes(data, rng)


def endures(reader: Reader, folder: Path, work: Path, *, count: int = VARIANTS, seed: int = 0) -> None:
    """Read so many spoiled variants of the folder: each ends in a claim that can be judged, or in one line."""
    rng = random.Random(seed)  # noqa: S311
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert reader.recognises(folder)
    variant = work / "variant"
    shutil.copytree(folder, variant)
    for number in range(count):
        chosen = rng.sample(files, min(len(files), rng.choice([1, 1, 1, 2])))
        for path in chosen:
            (variant / path.relative_to(folder)).write_bytes(spoiled(path, rng))
        reader.recognises(variant)
        claim, said = _read(reader, variant)
        assert "\n" not in said
        if claim is not None and number % JUDGED == 0:
            verdict = audit(claim)
            json.loads(verdict.model_dump_json())
            assert "+nan" not in render(verdict).split("<script>")[0]
        for path in chosen:
            shutil.copyfile(path, variant / path.relative_to(folder))


def _read(reader: Reader, folder: Path) -> tuple[Claim | None, str]:
    try:
        return reader.read(folder, EstimatedTokens()), ""
    except NetgainError as error:
        return None, str(error)
