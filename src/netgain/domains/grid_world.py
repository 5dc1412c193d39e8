"""The grid world: small-grid tasks without end, from families of transformations and compositions of two.

A rule is a family with its parameters. A task draws a rule, a shape and a few colours, and then inputs until each is
changed by the rule, holds what the rule needs, and belongs to the task's part of the world: a digest of an input grid
says which part may use it, so that no two parts share an input. A task is kept only where its shown pairs settle the
answer: no other rule of the world fits them all and answers the test otherwise.

``KNOWN`` families and ``COMPOSED`` pairs of them are what the shipped model is trained on. Of ``HELD_OUT`` families
and ``HELD_OUT_COMPOSED`` pairs it has seen nothing: most of the former are the other direction of a known family, or
take another part of the grid; both halves of the latter are known.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from types import MappingProxyType
from typing import Any, Literal, final

import numpy as np

from netgain.domains.grid import Grid, GridTask, Shown
from netgain.errors import InputError, nearest
from netgain.streams import stream

Part = Literal["pretraining", "train", "development", "test"]
Kind = Literal["known", "held-out", "composition", "held-out composition"]
Numbers = tuple[int, ...]
# Of a hundred inputs, those that each part may use.
SHARES: dict[Part, int] = {"pretraining": 55, "train": 15, "development": 10, "test": 20}
SIDES = (3, 3)  # what the shipped model was trained on
EXAMPLES = 4
FEW, MANY = (2, 4), (4, 8)  # how many colours a task has; many show where each cell goes
DENSE, SPARSE, LONE = (
    0.85,
    0.4,
    0.0,
)  # the share of cells that are coloured, the others being 0; LONE is one cell on any ground
_TRIES = 400


@final
@dataclass(frozen=True, slots=True)
class Family:
    """A transformation with parameters. ``change`` is None where it says nothing about an input.

    ``options`` lists the parameters under a task's colours, of which it has between the two of ``palette``. ``filled``
    is the share of an input's cells that have one of them, the others being 0.
    """

    name: str
    change: Callable[[Grid, Numbers], Grid | None]
    options: Callable[[Sequence[int]], Sequence[Numbers]]
    filled: float
    palette: tuple[int, int] = FEW


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """One or two families, in order, with the parameters of each."""

    steps: tuple[tuple[str, Numbers], ...]

    @property
    def name(self) -> str:
        """The families' names."""
        return "+".join(family for family, _ in self.steps)

    def __call__(self, grid: Grid) -> Grid | None:
        """What it makes of an input; None where it says nothing about it."""
        made: Grid | None = grid
        for family, numbers in self.steps:
            made = FAMILIES[family].change(made, numbers) if made is not None else None
        return made


def turned(grid: Grid, quarters: int) -> Grid:
    """A grid turned clockwise by so many quarters."""
    for _ in range(quarters % 4):
        grid = tuple(zip(*grid[::-1], strict=True))
    return grid


def mirrored(grid: Grid) -> Grid:
    """Left and right exchanged."""
    return tuple(row[::-1] for row in grid)


def transposed(grid: Grid) -> Grid:
    """Rows and columns exchanged."""
    return tuple(zip(*grid, strict=True))


def coloured(grid: Grid, colours: dict[int, int]) -> Grid:
    """Every colour replaced by what it is mapped to, the others left."""
    return tuple(tuple(colours.get(cell, cell) for cell in row) for row in grid)


def _rows_towards(change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[[Grid, Numbers], Grid]:
    """What is done to every row, in one of four directions: 0 to the right, and on clockwise by quarters."""

    def changed(grid: Grid, numbers: Numbers) -> Grid:
        return turned(tuple(change(row) for row in turned(grid, -numbers[0])), numbers[0])

    return changed


def _fallen(row: tuple[int, ...]) -> tuple[int, ...]:
    cells = tuple(cell for cell in row if cell)
    return (0,) * (len(row) - len(cells)) + cells


def _trailed(row: tuple[int, ...]) -> tuple[int, ...]:
    cells: list[int] = []
    for cell in row:
        cells.append(cell or (cells[-1] if cells else 0))
    return tuple(cells)


def _first_half(row: tuple[int, ...]) -> tuple[int, ...]:
    return row[: (len(row) + 1) // 2]


def _folded(row: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a or b for a, b in zip(row, row[::-1], strict=True))


def _edge(row: tuple[int, ...]) -> tuple[int, ...]:
    return (row[0],) * len(row)


def _framed(grid: Grid, numbers: Numbers) -> Grid:
    last, end = len(grid) - 1, len(grid[0]) - 1
    return tuple(
        tuple(numbers[0] if r in (0, last) or c in (0, end) else cell for c, cell in enumerate(row))
        for r, row in enumerate(grid)
    )


def _lines(grid: Grid, rows: bool, columns: bool) -> Grid | None:
    """The row or the column, or both, of the one cell that has not the colour of all others, painted with its own."""
    found = [(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if _alone(grid, cell)]
    if len(found) != 1:
        return None
    at, across = found[0]
    return tuple(
        tuple(
            grid[at][across] if (rows and r == at) or (columns and c == across) else cell for c, cell in enumerate(row)
        )
        for r, row in enumerate(grid)
    )


def _alone(grid: Grid, colour: int) -> bool:
    cells = [cell for row in grid for cell in row]
    return cells.count(colour) == 1 and len(set(cells)) == 2


def _counted(grid: Grid) -> list[tuple[int, int]]:
    """How often each colour stands in a grid, 0 left out: the most frequent first."""
    counts = Counter(cell for row in grid for cell in row if cell)
    return sorted(((count, colour) for colour, count in counts.items()), reverse=True)


def _commonest(grid: Grid, _: Numbers) -> Grid | None:
    counts = _counted(grid)
    return ((counts[0][1],),) if len(counts) > 1 and counts[0][0] > counts[1][0] else None


def _rarest(grid: Grid, _: Numbers) -> Grid | None:
    counts = _counted(grid)
    return ((counts[-1][1],),) if len(counts) > 1 and counts[-1][0] < counts[-2][0] else None


def _tallied(grid: Grid, _: Numbers) -> Grid | None:
    """A row of as many cells as there are coloured ones, of their one colour."""
    counts = _counted(grid)
    return ((counts[0][1],) * counts[0][0],) if len(counts) == 1 and counts[0][0] <= 5 else None


def _kept(grid: Grid, numbers: Numbers) -> Grid:
    return tuple(tuple(cell if cell == numbers[0] else 0 for cell in row) for row in grid)


def _none(_: Sequence[int]) -> Sequence[Numbers]:
    return [()]


def _ways(*ways: int) -> Callable[[Sequence[int]], Sequence[Numbers]]:
    return lambda _: [(way,) for way in ways]


def _one(colours: Sequence[int]) -> Sequence[Numbers]:
    return [(colour,) for colour in colours]


def _another(colours: Sequence[int]) -> Sequence[Numbers]:
    return [(colour,) for colour in range(1, 10) if colour not in colours]


def _to_another(colours: Sequence[int]) -> Sequence[Numbers]:
    return [(old, new) for old in colours for (new,) in _another(colours)]


def _two(colours: Sequence[int]) -> Sequence[Numbers]:
    return [(a, b) for a, b in product(colours, colours) if a < b]


RIGHT, DOWN, LEFT, UP = range(4)
_SHIFT = _rows_towards(lambda row: (row[-1], *row[:-1]))
_FALL, _TRAIL, _EDGE, _FOLD = (_rows_towards(change) for change in (_fallen, _trailed, _edge, _folded))
_HALF, _DOUBLE, _MIRROR_OUT = (
    _rows_towards(change) for change in (_first_half, lambda row: row + row, lambda row: row + row[::-1])
)
# A half is kept on the side away from where its rows point: RIGHT keeps the left one.
_KNOWN = (
    Family("mirror", lambda grid, way: mirrored(grid) if way[0] == 0 else grid[::-1], _ways(0, 1), DENSE, MANY),
    Family("half-turn", lambda grid, _: turned(grid, 2), _none, DENSE, MANY),
    Family("transpose", lambda grid, _: transposed(grid), _none, DENSE, MANY),
    Family("shift", _SHIFT, _ways(RIGHT, DOWN), DENSE, MANY),
    Family("recolour", lambda grid, pair: coloured(grid, {pair[0]: pair[1]}), _to_another, DENSE),
    Family("swap", lambda grid, pair: coloured(grid, {pair[0]: pair[1], pair[1]: pair[0]}), _two, DENSE),
    Family("erase", lambda grid, one: coloured(grid, {one[0]: 0}), _one, DENSE),
    Family("background", lambda grid, one: coloured(grid, {0: one[0]}), _another, SPARSE),
    Family("fall", _FALL, _ways(DOWN, LEFT), SPARSE),
    Family("trail", _TRAIL, _ways(RIGHT, DOWN), SPARSE),
    Family("edge", _EDGE, _ways(RIGHT), DENSE, MANY),
    Family("frame", _framed, _another, DENSE),
    Family("half", _HALF, _ways(RIGHT, DOWN), DENSE, MANY),
    Family("double", _DOUBLE, _ways(RIGHT), DENSE, MANY),
    Family("mirror-out", _MIRROR_OUT, _ways(RIGHT), DENSE, MANY),
    Family("fold", _FOLD, _ways(RIGHT), SPARSE),
    Family("line", lambda grid, _: _lines(grid, rows=True, columns=False), _none, LONE, (3, 4)),
    Family("commonest", _commonest, _none, DENSE),
    Family("tally", _tallied, _none, SPARSE, (1, 1)),
)
_HELD_OUT = (
    Family("quarter-turn", lambda grid, way: turned(grid, way[0]), _ways(1, 3), DENSE, MANY),
    Family("anti-transpose", lambda grid, _: turned(transposed(grid), 2), _none, DENSE, MANY),
    Family("shift-back", _SHIFT, _ways(LEFT, UP), DENSE, MANY),
    Family("keep", _kept, _one, DENSE),
    Family("rise", _FALL, _ways(UP, RIGHT), SPARSE),
    Family("trail-back", _TRAIL, _ways(LEFT, UP), SPARSE),
    Family("far-edge", _EDGE, _ways(LEFT, DOWN), DENSE, MANY),
    Family("far-half", _HALF, _ways(LEFT, UP), DENSE, MANY),
    Family("stack", _DOUBLE, _ways(DOWN), DENSE, MANY),
    Family("fold-rows", _FOLD, _ways(DOWN), SPARSE),
    Family("cross", lambda grid, _: _lines(grid, rows=True, columns=True), _none, LONE, (3, 4)),
    Family("rarest", _rarest, _none, DENSE),
)
FAMILIES = MappingProxyType({family.name: family for family in _KNOWN + _HELD_OUT})
KNOWN = tuple(family.name for family in _KNOWN)
HELD_OUT = tuple(family.name for family in _HELD_OUT)
COMPOSED = (
    *("mirror+recolour", "shift+swap", "transpose+erase", "half-turn+recolour", "fall+recolour", "half+swap"),
    *("recolour+double", "erase+mirror", "frame+swap", "trail+recolour", "shift+erase", "fold+background"),
)
HELD_OUT_COMPOSED = (
    *("mirror+swap", "shift+recolour", "transpose+swap", "half-turn+erase", "fall+background", "half+recolour"),
    *("swap+mirror-out", "erase+fall", "erase+half", "trail+swap", "mirror+half", "fold+recolour"),
)
NAMES: dict[Kind, tuple[str, ...]] = {
    "known": KNOWN,
    "held-out": HELD_OUT,
    "composition": COMPOSED,
    "held-out composition": HELD_OUT_COMPOSED,
}


def part_of(grid: Grid) -> Part:
    """The part of the world that may use this grid as an input: a digest of its cells decides, whatever the seed."""
    flat = bytes((len(grid[0]), *(cell for row in grid for cell in row)))
    place = int.from_bytes(blake2b(flat, digest_size=4, person=b"netgain/grids").digest(), "big") % 100
    for part, share in SHARES.items():
        if place < share:
            return part
        place -= share
    raise AssertionError


def rules(colours: Sequence[int]) -> Iterator[Rule]:
    """Every rule of one family under these colours."""
    for family in FAMILIES.values():
        for numbers in family.options(colours):
            yield Rule(((family.name, tuple(numbers)),))


def draw(
    name: str,
    part: Part,
    number: int,
    seed: int,
    *,
    examples: int = EXAMPLES,
    tests: int = 1,
    sides: tuple[int, int] = SIDES,
) -> GridTask:
    """One task of a family, or of a composition (``first+second``): the ``number``-th of this part under this seed.

    Raises InputError for a name that is none, or for a part, a number or a shape that cannot be.
    """
    _check(name, part, number, seed, examples, tests, sides)
    rng = stream(seed, "grids", part, name, str(number))
    for _ in range(_TRIES):
        pairs = _tried(name, part, rng, examples + tests, sides)
        if pairs is not None and singled_out(name, pairs[:examples], pairs[examples:]):
            digest = blake2b(repr((name, seed, number, pairs)).encode(), digest_size=8).hexdigest()
            return GridTask(f"grid-{digest}", pairs[:examples], pairs[examples:], name)
    raise InputError(f"family {name!r}", f"no task was found within {_TRIES} tries", "show more pairs")


def draw_kind(kind: Kind, part: Part, number: int, seed: int, **shape: Any) -> GridTask:
    """The ``number``-th task of a kind: its families take turns, in an order that is drawn anew for every turn."""
    names = NAMES[kind]
    turn, place = divmod(number, len(names))
    order = stream(seed, "grids", part, kind, "order", str(turn)).permutation(len(names))
    return draw(names[int(order[place])], part, turn, seed, **shape)


def singled_out(name: str, examples: Sequence[Shown], tests: Sequence[Shown]) -> bool:
    """Whether the examples settle the tests: no rule of another family fits them, and those of this one that do agree.

    A composition is held against the rules of one family only.
    """
    seen = _colours_of(pair.input for pair in examples)
    if not _colours_of(pair.input for pair in tests) <= seen:
        return False
    for rule in rules(sorted(seen - {0})):
        if all(rule(pair.input) == pair.output for pair in examples) and (
            rule.name != name or any(rule(pair.input) != pair.output for pair in tests)
        ):
            return False
    return True


def _colours_of(grids: Iterable[Grid]) -> set[int]:
    return {cell for grid in grids for row in grid for cell in row}


def _tried(
    name: str, part: Part, rng: np.random.Generator, count: int, sides: tuple[int, int]
) -> tuple[Shown, ...] | None:
    """So many pairs under one rule, a shape and some colours that are drawn; None where inputs are not found."""
    families = [FAMILIES[step] for step in name.split("+")]
    few, many = max(f.palette[0] for f in families), min(f.palette[1] for f in families)
    colours = sorted(int(colour) + 1 for colour in rng.permutation(9)[: rng.integers(few, many + 1)])
    choices = [tuple(family.options(colours)) for family in families]
    rule = Rule(tuple((f.name, c[int(rng.integers(len(c)))]) for f, c in zip(families, choices, strict=True)))
    high, wide = (int(side) for side in rng.integers(sides[0], sides[1] + 1, size=2))
    pairs: list[Shown] = []
    inputs: set[Grid] = set()
    for _ in range(40 * count):
        grid = _input(rng, colours, families[0].filled, high, wide)
        made = rule(grid) if part_of(grid) == part and grid not in inputs else None
        if made is not None and made != grid:
            pairs.append(Shown(grid, made))
            inputs.add(grid)
        if len(pairs) == count:
            return tuple(pairs)
    return None


def _input(rng: np.random.Generator, colours: Sequence[int], filled: float, high: int, wide: int) -> Grid:
    drawn = [colours[place] for place in rng.integers(len(colours), size=high * wide).tolist()]
    kept = (rng.random(high * wide) < filled).tolist()
    ground = 0
    if filled == LONE:
        kept[int(rng.integers(high * wide))] = True
        ground = (0, *colours)[int(rng.integers(len(colours) + 1))]
    flat = [cell if keep else ground for cell, keep in zip(drawn, kept, strict=True)]
    return tuple(tuple(flat[start : start + wide]) for start in range(0, high * wide, wide))


def _check(name: str, part: str, number: int, seed: int, examples: int, tests: int, sides: tuple[int, int]) -> None:
    for step in name.split("+"):
        if step not in FAMILIES:
            raise InputError(f"family {step!r}", "is none of the grid world's", nearest(step, FAMILIES))
    if name.count("+") > 1:
        raise InputError(f"family {name!r}", "is more than a composition of two")
    if part not in SHARES:
        raise InputError(f"part {part!r}", "is none of the grid world's", nearest(part, SHARES))
    if not 3 <= sides[0] <= sides[1] <= 12:
        raise InputError(f"sides {sides}", "must be two numbers from 3 to 12, the smaller first")
    for told, value, least in (
        ("number", number, 0),
        ("seed", seed, 0),
        ("examples", examples, 2),
        ("tests", tests, 1),
    ):
        if value < least:
            raise InputError(f"{told} {value}", f"must be {least} or more")
