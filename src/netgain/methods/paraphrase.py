"""Paraphrase by rule, for any text: sentences in another order, some left out, clauses swapped. No model is asked.

What repetition in other arrangements can give without a model's help. Only the arrangement changes, no word is
replaced, so nothing false is ever said.
"""

import re

import numpy as np

_SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"')\]]*\s*|[^.!?]+$")
_CLAUSES = re.compile(r"^(?P<first>[A-Z][^,;]{8,}), (?P<second>[^,;]{8,})(?P<end>[.!?])$")
SHORT_SHARE = 0.6  # of the sentences in a subset


def sentences(text: str) -> list[str]:
    """The sentences of a text, by its punctuation."""
    return [sentence.strip() for sentence in _SENTENCE.findall(text) if sentence.strip()]


def paraphrases(text: str, count: int, rng: np.random.Generator) -> list[str]:
    """``count`` rearrangements: by turns a shuffle, a shuffled subset, and a shuffle with clauses swapped.

    A single sentence can only have its clauses swapped, or stays as it is.
    """
    parts = sentences(text) or [text]
    return [_rearranged(parts, number % 3, rng) for number in range(count)]


def _rearranged(parts: list[str], way: int, rng: np.random.Generator) -> str:
    order = [parts[index] for index in rng.permutation(len(parts))]
    if way == 1 and len(order) > 2:
        order = order[: max(2, round(SHORT_SHARE * len(order)))]
    if way == 2 or len(parts) == 1:
        order = [turned(part) for part in order]
    return " ".join(order)


def turned(sentence: str) -> str:
    """A sentence of two clauses with the second first: ``After rain, it grew.`` becomes ``It grew, after rain.``"""
    match = _CLAUSES.match(sentence)
    if match is None or match["second"].split(" ", 1)[0] in {"and", "but", "or", "which", "who", "where", "while"}:
        return sentence
    if match["first"].split(" ", 1)[0] not in _OPENERS:  # only then is the first word no name, and may be lower case
        return sentence
    second = match["second"][0].upper() + match["second"][1:]
    first = match["first"][0].lower() + match["first"][1:]
    return f"{second}, {first}{match['end']}"


_OPENERS = {"After", "Although", "As", "At", "Because", "Before", "By", "During", "For", "From", "If", "In", "On"} | {
    *("Since", "Though", "To", "Under", "Until", "When", "Where", "While", "With", "Without")
}
