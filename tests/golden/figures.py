"""A verdict as a flat dictionary of figures, each named by what it belongs to and never by its place in a list.

Numbers, counts, kinds and the names of rivals are kept; sentences are not, so that rewriting them changes nothing here.
``python -m tests.golden.figures NAME < verdict.json`` writes ``tests/golden/NAME.json.xz``.
"""

import json
import lzma
import sys
from collections import Counter
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
Figure = float | int | bool | str | None
# What identifies a row of each list of a verdict; a list that is not named here is identified by its order.
KEYS: dict[str, tuple[str, ...]] = {
    "arms": ("name",),
    "comparisons": ("a", "b", "exam", "kind"),
    "decomposition": ("arm", "currency", "basis"),
    "amortisation": ("arm", "currency", "rival"),
    "rewards": ("arm",),
    "outer_loop": ("name",),
    "stability": ("arm", "kind"),
    "retentions": ("name",),
    "domains": ("setting",),
    "break_even": ("setting", "arm", "currency"),
    "points": ("deployments",),
    "all": ("rival",),
    "spread": ("arm",),
    "compute": ("arm", "purpose", "before"),
    "card": ("setting", "method"),
}
NAMES = {"kind", "rival", "frozen", "chosen_on", "answer", "role", "currency", "dearer", "undominated"}
NAMES |= {"invests", "invests_unpublished", "charged_incomplete", "frozen_group", "arm", "mixture", "chosen"}
NAMES |= {"behind", "left_out", "missing"}
LEFT_OUT = {"sources", "notes", "netgain", "reported", "training", "worlds", "setup"}


def figures(verdict: dict[str, Any]) -> dict[str, Figure]:
    """Every figure of a verdict by its name; findings are counted by check and severity."""
    found: dict[str, Figure] = {}
    for field, value in verdict.items():
        if field == "findings":
            for key, count in Counter(f"{row['check']} {row['severity']}" for row in value).items():
                found[f"findings/{key}"] = count
        elif field not in LEFT_OUT:
            _walk(field, field, value, found)
    return found


def _walk(path: str, field: str, value: Any, found: dict[str, Figure]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in LEFT_OUT:
                _walk(f"{path}/{key}", key, inner, found)
    elif isinstance(value, list) and field in NAMES:
        found[path] = ", ".join(sorted(value))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            key = " | ".join(str(inner[name]) for name in KEYS[field]) if field in KEYS else str(index)
            _walk(f"{path}/{key}", "", inner, found)
    elif not isinstance(value, str) or field in NAMES:
        assert path not in found, f"two figures are called {path}"
        found[path] = value


def read(name: str) -> dict[str, Figure]:
    """The figures of one golden verdict."""
    loaded: dict[str, Figure] = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
    return loaded


def write(name: str, verdict: dict[str, Any]) -> None:
    """Keep this verdict's figures as golden."""
    text = json.dumps(figures(verdict), indent=0, sort_keys=True)
    (FOLDER / f"{name}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    write(sys.argv[1], json.load(sys.stdin))
