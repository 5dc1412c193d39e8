"""Whatever stands in a result file: a verdict and a page, or one clear error. Never a traceback, never a NaN shown."""

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.errors import InputError
from netgain.report.page import render

NASTY = [
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 10**30, 2**63),
    *("", "x", "\ud800", "</script>", "1e5", [], {}, [[]], [None], {"a": 1}),
]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, the first three items of each list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*place, key)
        yield from places(part, (*place, key))


def spoil(data: Any, rng: random.Random) -> None:
    """Put something nasty at some place, more often near the top than deep inside, or delete what stands there."""
    found = sorted(places(data), key=len)
    place = rng.choice(found[: max(1, int(len(found) * rng.choice([0.05, 0.2, 1.0])))])
    for key in place[:-1]:
        data = data[key]
    if rng.random() < 0.15:
        del data[place[-1]]
    else:
        data[place[-1]] = copy.deepcopy(rng.choice(NASTY))


@pytest.mark.parametrize("seed", range(60))
def test_no_value_anywhere_ends_in_a_traceback(tmp_path: Path, invented: dict[str, Any], seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    files = copy.deepcopy(invented)
    for name in rng.sample(sorted(files), rng.choice([1, 1, 2, 4])):
        spoil(files[name], rng)
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data), encoding="utf-8")
    with contextlib.suppress(InputError):
        verdict = audit(read_claim(tmp_path))
        _check(verdict)


def _check(verdict: Verdict) -> None:
    page = render(verdict).split("<script>")[0]
    assert '"nan"' not in page
    assert "+nan" not in page
    json.loads(verdict.model_dump_json(), parse_constant=pytest.fail)
