"""Identity is content: canonical JSON, and a tagged SHA-256 over it.

Canonical JSON is UTF-8 text with sorted keys, no spaces, no NaN or infinity, and one spelling for each number: a
whole number below 2**53 is written without a fraction, so that ``1`` and ``1.0`` are the same value. Equal values
therefore have equal bytes, and equal bytes equal identities, on every machine.
"""

import json
import math
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

WHOLE = 2.0**53
FRACTIONLESS = re.compile(r"\.0(?:[],}]|$)")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object) -> str:
    """``value`` as canonical JSON: mappings with text keys, sequences, text, finite numbers, booleans and None.

    Raises ValueError for a number that is not finite or text that is not valid Unicode, TypeError for anything else.
    """
    text = encoded(_plain(value))
    text.encode("utf-8")
    return text


def encoded(plain: Any) -> str:
    """The same of a value that was read from canonical JSON, whose numbers have their one spelling already."""
    return _ENCODER.encode(plain)


def is_canonical(text: str, value: Any) -> bool:
    """Whether ``text``, from which ``value`` was read, is its canonical JSON; raises as :func:`canonical` does.

    A text that the encoder gives back can differ from it by the spelling of whole numbers alone (``1.0``, ``-0.0``), so
    the slow way is taken only where such a spelling may stand in it.
    """
    try:
        alike = encoded(value) == text
    except ValueError:  # which says it in the encoder's words
        return canonical(value) == text
    return alike and (FRACTIONLESS.search(text) is None or canonical(value) == text)


def identity(kind: str, value: object) -> str:
    """``sha256:<64 hex digits>`` of ``value``; ``kind`` is hashed along, so that equal bytes of two kinds differ."""
    return f"sha256:{digest(kind, canonical(value))}"


def digest(kind: str, text: str) -> str:
    """64 hex digits: SHA-256 over the tag ``netgain/<kind>``, a zero byte and the text in UTF-8."""
    return sha256(b"netgain/" + kind.encode("utf-8") + b"\0" + text.encode("utf-8")).hexdigest()


def short_hash(*parts: str) -> str:
    """The first 10 hexadecimal digits of the SHA-256 of the parts, each closed with a zero byte."""
    state = sha256()
    for part in parts:
        state.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return state.hexdigest()[:10]


def plain_name(text: str, filler: str = "-") -> str:
    """A text as a file name: letters, digits and ``-_.`` of ASCII, ``filler`` for every other character."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else filler for c in text)


def _plain(value: object) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (dict, Mapping)):
        return {_key(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    raise TypeError(f"{type(value).__name__} has no canonical JSON; give text, numbers, lists and mappings")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"key {key!r}: the keys of canonical JSON are text")
    return key


def _number(value: float) -> float:
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return int(value) if abs(value) < WHOLE and value.is_integer() else value


def equal_but_for_rounding(one: Any, other: Any, near_zero: float = 0.0) -> bool:
    """Whether two trees of plain values are equal, numbers up to what sums in another order or on another machine round
    to: 1e-9 of them, or ``near_zero``."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal_but_for_rounding(one[k], other[k], near_zero) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(equal_but_for_rounding(*pair, near_zero) for pair in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=near_zero)
    return bool(one == other)
