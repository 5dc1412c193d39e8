"""Nearest valid words: what a person most likely meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, valid: Iterable[str]) -> str:
    """``did you mean 'x'?`` where some valid word is close, else the list of valid words (the first twelve)."""
    words = list(valid)
    lowered = {candidate.lower(): candidate for candidate in words}
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(sorted(words)[:12]) + (", ..." if len(words) > 12 else "")
    return f"valid: {shown}" if words else ""
