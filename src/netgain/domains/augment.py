"""Tools that make training tasks out of a task's own pairs, each with its inverse where it has one.

They are SEAL's (Zweiger et al. 2025, arXiv 2506.10943, appendix A; ``few-shot/self-edit.py`` of the authors'
repository), which takes them from Akyürek et al. 2024 (arXiv 2411.07279): a self-edit chooses groups of tools. Axis 0
runs down the rows, axis 1 along them; a rotation is counter-clockwise.

Where this departs from the released code, and why:

- Tasks that come out twice are dropped in a fixed order. There they go through a set, whose order differs from process
  to process, so that seed 0 fixes neither which permutations are drawn nor which 250 sequences are kept.
- A permutation of colours is one of all ten (0 stays 0), so that it has an inverse for any answer. There it maps the
  colours of the task only.
- Shifts are drawn from 0 to 3 and taken modulo a grid's side. There they are drawn from below the side where that is
  less than 4, so that in a task with smaller and larger sides the pairs are shifted by different amounts, and no longer
  follow one rule.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from types import MappingProxyType
from typing import final

import numpy as np

from netgain.domains.grid import COLOURS, LONGEST_SIDE, Grid, GridTask, Shown
from netgain.errors import InputError, nearest
from netgain.streams import stream

GridMap = Callable[[Grid], Grid]
CAP = 250  # sequences at most (SEAL's Nmax)
LEFT_OUT = (1, 2)  # how many pairs a training task is without, the one asked included
GREATEST_SHIFT = 3

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "basic": "rotations, flips, reflections, transposition and a shift: 11 tools",
        "size": "every cell doubled in height, width or both: 3 tools",
        "chain": "rotations, flips and transposition, then every cell doubled: 6 tools",
        "repeat": "the grid twice, below itself, beside itself or both: 3 tools",
        "concat": "the grid with itself turned upside down, below or beside it: 2 tools",
    }
)


@final
@dataclass(frozen=True, slots=True)
class Tool:
    """One change of a task's grids, and how an answer to the changed task is changed back.

    ``undone(on_output(grid)) == grid`` for every grid. None: not every grid is an output of the tool, so an answer
    cannot be changed back.
    """

    name: str
    on_input: GridMap
    on_output: GridMap
    undone: GridMap | None = None

    def pair(self, shown: Shown) -> Shown:
        """A pair changed."""
        return Shown(self.on_input(shown.input), self.on_output(shown.output))


def rotated(grid: Grid) -> Grid:
    """A quarter turn counter-clockwise."""
    return tuple(zip(*grid, strict=True))[::-1]


def half_turned(grid: Grid) -> Grid:
    """Half a turn."""
    return tuple(row[::-1] for row in grid[::-1])


def rotated_back(grid: Grid) -> Grid:
    """A quarter turn clockwise: three quarters counter-clockwise."""
    return tuple(zip(*grid[::-1], strict=True))


def flipped(grid: Grid, axis: int) -> Grid:
    """Axis 0: the last row first. Axis 1: the last column first."""
    return grid[::-1] if axis == 0 else tuple(row[::-1] for row in grid)


def transposed(grid: Grid) -> Grid:
    """Rows become columns."""
    return tuple(zip(*grid, strict=True))


def joined(first: Grid, second: Grid, axis: int) -> Grid:
    """Axis 0: the second below the first. Axis 1: beside it, to the right."""
    return first + second if axis == 0 else tuple(a + b for a, b in zip(first, second, strict=True))


def enlarged(grid: Grid, height: int, width: int) -> Grid:
    """Every cell that many times as high and wide."""
    rows = [tuple(chain.from_iterable((cell,) * width for cell in row)) for row in grid]
    return tuple(row for row in rows for _ in range(height))


def shifted(grid: Grid, down: int, right: int) -> Grid:
    """Rolled: what leaves at one side enters at the other."""
    down, right = down % len(grid), right % len(grid[0])
    rows = grid[-down:] + grid[:-down] if down else grid
    return tuple(row[-right:] + row[:-right] for row in rows) if right else rows


def recoloured(grid: Grid, colours: Sequence[int]) -> Grid:
    """Colour ``c`` becomes ``colours[c]``; there are ten."""
    table = bytes(colours).ljust(256)  # a table for bytes: cell by cell this took half of the time of all tools
    return tuple(tuple(bytes(row).translate(table)) for row in grid)


def _alike(name: str, forward: GridMap, undone: GridMap | None = None) -> Tool:
    return Tool(name, forward, forward, undone)


AS_IT_IS = _alike("identity", lambda grid: grid, lambda grid: grid)
ROTATE_90 = _alike("rotate 90", rotated, rotated_back)
ROTATE_270 = _alike("rotate 270", rotated_back, rotated)
ROTATE_180 = _alike("rotate 180", half_turned, half_turned)
FLIP_0 = _alike("flip 0", lambda grid: flipped(grid, 0), lambda grid: flipped(grid, 0))
FLIP_1 = _alike("flip 1", lambda grid: flipped(grid, 1), lambda grid: flipped(grid, 1))
TRANSPOSE = _alike("transpose", transposed, transposed)
_TURNS = (ROTATE_90, ROTATE_270, ROTATE_180, FLIP_0, FLIP_1)


def _reflection(axis: int, *, mirrored_first: bool) -> Tool:
    def forward(grid: Grid) -> Grid:
        mirrored = flipped(grid, axis)
        return joined(mirrored, grid, axis) if mirrored_first else joined(grid, mirrored, axis)

    return _alike(f"reflect {axis}{' mirrored first' if mirrored_first else ''}", forward)


def _doubled(grid: Grid) -> Grid:
    return enlarged(grid, 2, 2)


def _then_doubled(tool: Tool) -> Tool:
    return _alike(f"{tool.name}, doubled", lambda grid: _doubled(tool.on_input(grid)))


def _with_half_turn(axis: int) -> Tool:
    return _alike(f"concat {axis}", lambda grid: joined(grid, half_turned(grid), axis))


_REFLECTIONS = tuple(_reflection(axis, mirrored_first=first) for first in (True, False) for axis in (0, 1))
_SIZE = (
    _alike("doubled", _doubled),
    _alike("doubled height", lambda grid: enlarged(grid, 2, 1)),
    _alike("doubled width", lambda grid: enlarged(grid, 1, 2)),
)
_REPEAT = (
    _alike("repeat 0", lambda grid: joined(grid, grid, 0)),
    _alike("repeat 1", lambda grid: joined(grid, grid, 1)),
    _alike("repeat both", lambda grid: joined(joined(grid, grid, 0), joined(grid, grid, 0), 1)),
)


def shift(rng: np.random.Generator) -> Tool:
    """A random shift: all inputs by as much, and all outputs by as much, of which neither knows the other's."""
    down, right, out_down, out_right = (int(step) for step in rng.integers(GREATEST_SHIFT + 1, size=4))
    return Tool(
        "translate",
        lambda grid: shifted(grid, down, right),
        lambda grid: shifted(grid, out_down, out_right),
        lambda grid: shifted(grid, -out_down, -out_right),
    )


def permuted_colours(used: Collection[int], rng: np.random.Generator) -> Tool:
    """A random permutation of the colours: 0 stays 0, and the ``used`` ones become unused ones as far as there are.

    So does SEAL's: a task with few colours always comes back in others.
    """
    mine = sorted(set(used) - {0})
    others = [colour for colour in range(1, COLOURS) if colour not in mine]
    targets = [*rng.permutation(others).tolist(), *rng.permutation(mine).tolist()]
    there, back = [0] * COLOURS, [0] * COLOURS
    for colour, target in zip([*mine, *others], targets, strict=True):
        there[colour], back[target] = target, colour
    return _alike("colours", lambda grid: recoloured(grid, there), lambda grid: recoloured(grid, back))


def tools(groups: Collection[str], rng: np.random.Generator) -> tuple[Tool, ...]:
    """The tools of these groups, keys of ``GROUPS``, in SEAL's order. Raises InputError for an unknown group."""
    for group in groups:
        if group not in GROUPS:
            raise InputError("tools", f"there is no group {group!r}", nearest(group, GROUPS))
    members: dict[str, Sequence[Tool]] = {
        "basic": (*_TURNS, *_REFLECTIONS, shift(rng), TRANSPOSE),
        "size": _SIZE,
        "concat": (_with_half_turn(0), _with_half_turn(1)),
        "chain": tuple(_then_doubled(tool) for tool in (*_TURNS, TRANSPOSE)),
        "repeat": _REPEAT,
    }
    return tuple(tool for group, some in members.items() if group in groups for tool in some)


def leave_out(count: int, left_out: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Every way to ask for one of ``count`` pairs and to show the others less ``left_out - 1`` further ones.

    The numbers of the pairs that are shown, in order, and the number of the one that is asked for.
    """
    for asked in range(count):
        others = [number for number in range(count) if number != asked]
        if left_out - 1 <= len(others):
            for without in combinations(others, left_out - 1):
                yield tuple(number for number in others if number not in without), asked


_Made = tuple[tuple[Shown, ...], Shown]  # the pairs shown, and the one asked for


def training_tasks(
    examples: Sequence[Shown],
    groups: Collection[str],
    seed: int = 0,
    *,
    cap: int = CAP,
    fits: Callable[[GridTask], bool] | None = None,
) -> tuple[GridTask, ...]:
    """What a model is trained on at test time: tasks made of the shown pairs alone, one pair of each asked for.

    With one and with two pairs left out, as they are and changed by each tool of the ``groups``; each of these once
    more with its pairs in a random order and, where there is any tool, its colours permuted. No task is there twice,
    and none that a tool made has a side above 30. ``fits`` says which are short enough (SEAL: below 8,192 tokens), and
    of more than ``cap`` a random choice is kept. Of two pairs the tasks that leave out two show none, as in SEAL.
    """
    rng = stream(seed, "augment")
    changed = [AS_IT_IS, *tools(groups, rng)]
    versions = [tuple(tool.pair(shown) for shown in examples) for tool in changed]
    made: dict[_Made, None] = {}
    for left_out in LEFT_OUT:
        for pairs in versions:
            small = [_longest_side(pair) <= LONGEST_SIDE for pair in pairs]
            for shown, asked in leave_out(len(pairs), left_out):
                if all(small[number] for number in (*shown, asked)):
                    made[tuple(pairs[number] for number in shown), pairs[asked]] = None
    permuted = [_permuted(task, rng, colours=len(changed) > 1) for task in made]
    tasks = [GridTask("", shown, (asked,)) for shown, asked in dict.fromkeys([*made, *permuted])]
    tasks = tasks if fits is None else [task for task in tasks if fits(task)]
    if len(tasks) > cap:
        tasks = [tasks[number] for number in rng.permutation(len(tasks))[:cap]]
    return tuple(tasks)


def _longest_side(pair: Shown) -> int:
    return max(len(pair.input), len(pair.input[0]), len(pair.output), len(pair.output[0]))


def _permuted(task: _Made, rng: np.random.Generator, *, colours: bool) -> _Made:
    shown, asked = task
    tool = permuted_colours(_colours((*shown, asked)), rng) if colours else AS_IT_IS
    order = rng.permutation(len(shown))
    return tuple(tool.pair(shown[number]) for number in order), tool.pair(asked)


def _colours(pairs: Collection[Shown]) -> set[int]:
    return set().union(*(row for pair in pairs for grid in (pair.input, pair.output) for row in grid))
