"""How a self-edit is cut into training sequences.

The rules are those of SEAL's published code: a line of dashes separates parts; each part is one document, or one
sequence a line, or one a question with its answer; a heading before a numbered list is left out; each sequence is put
below the passage's title. Two are stricter here: a question that was never answered is no sequence, and an edit that
never reached the marker behind which it begins is empty.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from netgain.domains.problem import EditFormat, Material, Prompts

_RULE = re.compile(r"^\s*-{3,}\s*$", re.MULTILINE)
_QUESTION = re.compile(r"^(?=\s*(?:question|q)\s*\d*\s*[:.])", re.MULTILINE | re.IGNORECASE)
_QUESTION_HEAD = re.compile(r"^\s*(?:question|q)\s*\d*\s*[:.]", re.IGNORECASE)
_ANSWER = re.compile(r"^\s*(?:answer|a)\s*\d*\s*[:.]\s*\S", re.MULTILINE | re.IGNORECASE)
_FIRST = re.compile(r"^1[.)]")
_NUMBER = re.compile(r"^\s*\d+[.)]\s*")


def sequences(material: Material, edit: str, edit_format: EditFormat, prompts: Prompts) -> tuple[str, ...]:
    """The training texts of one self-edit, in its order; nothing where it has none.

    What the prompt of a format began for the model (``1.`` or ``Question 1:``) belongs to the edit; what repeats the
    demonstration that it was shown does not.
    """
    if edit_format.splitting == "settings":
        return (edit,)
    parts = [one for part in _parts(edit, edit_format) for one in _cut(part, edit_format)]
    if edit_format.example is not None:
        shown = _parts(edit_format.example[1].removeprefix(edit_format.head), replace(edit_format, example=None))
        repeated = {_bare(one) for part in shown for one in _cut(part, edit_format)}
        parts = [one for one in parts if _bare(one) not in repeated]
    return tuple(prompts.titled.format(title=material.title, text=text) for text in parts)


def _parts(edit: str, edit_format: EditFormat) -> list[str]:
    marker = edit_format.begins_after
    text = edit.partition(marker)[2] if marker else begun(edit, edit_format)
    return [part.strip() for part in _RULE.split(text) if part.strip()]


def begun(edit: str, edit_format: EditFormat) -> str:
    """The edit with what its prompt had begun: the last line of the prompt, where it is the head of a list."""
    return edit_format.head + edit


def _bare(text: str) -> str:
    """A sequence without its number in a list, to be recognised."""
    return " ".join(_NUMBER.sub("", text).casefold().split())


def _cut(part: str, edit_format: EditFormat) -> list[str]:
    if edit_format.splitting == "document":
        return [part]
    if edit_format.splitting == "questions":
        pieces = [piece.strip() for piece in _QUESTION.split(part)]
        return [piece for piece in pieces if _QUESTION.match(piece) and _ANSWER.search(piece)]
    lines = [line.strip() for line in part.split("\n") if line.strip()]
    headed = len(lines) > 1 and _FIRST.match(lines[1]) and not _FIRST.match(lines[0])
    announced = edit_format.chat and len(lines) > 1 and lines[0].endswith(":")  # "Here is a list of ...:"
    return lines[1:] if headed or announced else lines


def written_as(pairs: Sequence[tuple[str, str]], edit_format: EditFormat, prompts: Prompts) -> str:
    """Questions with answers as a writer would have written them in a format that is cut into questions.

    Empty where the domain's questions with answers cannot be told apart by that format.
    """
    told = (prompts.answered.format(question=question, answer=answer) for question, answer in pairs)
    text = "\n".join(piece for one in told for piece in _cut(one, edit_format))
    return _QUESTION_HEAD.sub("", text) if begun("", edit_format) else text
