"""JSON from outside: whatever is wrong with a text is a ValueError, also that it is nested too deep to be read."""

import json
from collections import Counter
from typing import Any


def parse_json(text: str | bytes, *, once: bool = False) -> Any:
    """As ``json.loads``; with ``once`` no name may stand twice in one object. Raises ValueError."""
    try:
        return json.loads(text, object_pairs_hook=_once_each if once else None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        name = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
        raise ValueError(f"{name!r} stands in one object twice; keep one of them")
    return found
