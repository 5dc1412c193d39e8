"""Grids and tasks of the ARC kind, and the one text form in which every model reads and writes them.

A grid is rows of colours, 0 to 9. As text it is a line a row with a space between cells, so that every tokenizer makes
the same token of a colour wherever it stands (run together, several digits would become one). A pair is

::

    Input:
    0 1 2
    3 0 0
    Output:
    2 1 0
    0 0 3

with a blank line behind it; what is asked ends with ``Output:`` and a line break, and the answer is a grid. The
tokenizer of the shipped model makes one token of a cell, of a row's end and of each of those marks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netgain.errors import InputError

Grid = tuple[tuple[int, ...], ...]
COLOURS = 10
LONGEST_SIDE = 30

BEFORE_INPUT = "Input:\n"
BEFORE_OUTPUT = "\nOutput:\n"
BETWEEN_PAIRS = "\n\n"  # also where an answer ends: what a model writes behind it is no part of the grid
_ROW = re.compile(r"[\[\s]*([0-9](?:[\s,]*[0-9])*)[\]\s,]*")
_PAIR = re.compile(rf"{BEFORE_INPUT}(?P<input>.*?){BEFORE_OUTPUT}(?P<output>.*)", re.DOTALL)


def check_grid(grid: object, where: str) -> Grid:
    """What was read from a file as a grid. Raises InputError, beginning with ``where``, for anything else."""
    remedy = f"a grid is 1 to {LONGEST_SIDE} rows of as many colours each, 1 to {LONGEST_SIDE}, each 0 to 9"
    if not isinstance(grid, list | tuple) or not 1 <= len(grid) <= LONGEST_SIDE:
        raise InputError(where, f"{_told(grid)} is no grid", remedy)
    for number, row in enumerate(grid, 1):
        if not isinstance(row, list | tuple) or not 1 <= len(row) <= LONGEST_SIDE:
            raise InputError(where, f"row {number} is {_told(row)}", remedy)
        if len(row) != len(grid[0]):
            raise InputError(where, f"row {number} has {len(row)} cells and row 1 has {len(grid[0])}", remedy)
        for cell in row:
            if isinstance(cell, bool) or not isinstance(cell, int) or not 0 <= cell < COLOURS:
                raise InputError(where, f"row {number} has the cell {_told(cell)}", remedy)
    return tuple(tuple(row) for row in grid)


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """A grid and what the task makes of it."""

    input: Grid
    output: Grid


@final
@dataclass(frozen=True, slots=True)
class GridTask:
    """Pairs that are shown, and tests whose outputs are asked for. ``family`` names the transformation, if known."""

    id: str
    examples: tuple[Shown, ...]
    tests: tuple[Shown, ...]
    family: str = ""


def written(grid: Grid) -> str:
    """A grid as text, without a line break at its end."""
    return "\n".join(" ".join(map(str, row)) for row in grid)


def read(text: str) -> Grid | None:
    """The grid that a text begins with, up to its first blank line; None where it is none.

    White space around it doesn't count, nor do spaces, commas and square brackets between and around cells.
    """
    rows = []
    for line in text.strip().split("\n"):
        if not line.strip():
            break
        found = _ROW.fullmatch(line)
        if found is None:
            return None
        rows.append(tuple(int(mark) for mark in found[1] if mark.isdigit()))
    fits = 1 <= len(rows) <= LONGEST_SIDE and 1 <= len(rows[0]) <= LONGEST_SIDE
    return tuple(rows) if fits and all(len(row) == len(rows[0]) for row in rows) else None


def written_pairs(examples: Sequence[Shown]) -> str:
    """Shown pairs as text, a blank line behind each of them, the last one included."""
    return "".join(
        f"{BEFORE_INPUT}{written(pair.input)}{BEFORE_OUTPUT}{written(pair.output)}{BETWEEN_PAIRS}" for pair in examples
    )


def written_question(examples: Sequence[Shown], asked: Grid) -> str:
    """Shown pairs and one input whose output is asked for; a model continues it with the grid."""
    return f"{written_pairs(examples)}{BEFORE_INPUT}{written(asked)}{BEFORE_OUTPUT}"


def read_pairs(text: str) -> tuple[Shown, ...] | None:
    """The way back from :func:`written_pairs`; None for any other text."""
    pairs = []
    for part in text.removesuffix(BETWEEN_PAIRS).split(BETWEEN_PAIRS) if text else ():
        found = _PAIR.fullmatch(part)
        shown = (read(found["input"]), read(found["output"])) if found else (None, None)
        if shown[0] is None or shown[1] is None:
            return None
        pairs.append(Shown(shown[0], shown[1]))
    return tuple(pairs)


def read_question(text: str) -> tuple[tuple[Shown, ...], Grid] | None:
    """The way back from :func:`written_question`: the shown pairs and the input; None for any other text."""
    head, mark, rest = text.removesuffix(BEFORE_OUTPUT).rpartition(BEFORE_INPUT)
    examples, asked = read_pairs(head), read(rest)
    if not mark or not text.endswith(BEFORE_OUTPUT) or examples is None or asked is None:
        return None
    return examples, asked
