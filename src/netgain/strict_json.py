"""JSON from outside: whatever is wrong with a text is a ValueError, also that it is nested too deep to be read."""

import json
from collections.abc import Callable
from typing import Any


def parse_json(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """As ``json.loads``; ``pairs`` makes what stands in the place of an object. Raises ValueError."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
