"""Augmented prediction: a question asked in several forms, and the two-stage vote over what is answered.

After SEAL's evaluation (``few-shot/inference/preprocess.py``, ``few-shot/arclib/voting.py``), which is that of Akyürek
et al. 2024 (arXiv 2411.07279): greedy answers to the question with every shown pair left out once, each time in three
orders, and to five changed forms, whose answers are changed back. Where no votes tie the outcome is that of the
released code; where they do, that goes by the hashes of the grids, and this by what was answered first.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

from netgain.domains.augment import AS_IT_IS, FLIP_0, FLIP_1, ROTATE_90, ROTATE_180, TRANSPOSE, Tool, transposed
from netgain.domains.grid import Grid, Shown
from netgain.streams import stream

ORDERS = 2  # further orders of the pairs of each form (SEAL's permute_n)
ATTEMPTS = 2
CHANGES = (TRANSPOSE, FLIP_0, FLIP_1, ROTATE_90, ROTATE_180)


@final
@dataclass(frozen=True, slots=True)
class GridView:
    """One form of a question: the pairs it shows, the input it asks for, and the tool that changed both.

    The tool's name is the category in which the answer votes first; its ``undone`` changes the answer back.
    """

    examples: tuple[Shown, ...]
    asked: Grid
    tool: Tool = AS_IT_IS

    def undone(self, answer: Grid) -> Grid:
        """An answer to this form as an answer to the question."""
        return answer if self.tool.undone is None else self.tool.undone(answer)


def grid_views(
    examples: Sequence[Shown],
    asked: Grid,
    seed: int = 0,
    *,
    fits: Callable[[GridView], bool] | None = None,
) -> tuple[GridView, ...]:
    """The forms in which a question is asked: first as it is, without one pair each time, then the changed ones.

    None is there twice. ``fits`` says which are short enough; if none is with one pair left out, they are asked with
    two left out. A task of a single pair keeps it (in SEAL it would be asked without any).
    """
    for left_out in (1, 2):
        views = _forms(tuple(examples), asked, min(left_out, max(0, len(examples) - 1)), seed)
        views = views if fits is None else tuple(view for view in views if fits(view))
        if views:
            return views
    return ()


def _forms(examples: tuple[Shown, ...], asked: Grid, left_out: int, seed: int) -> tuple[GridView, ...]:
    rng = stream(seed, "views")
    orders: dict[tuple[Shown, ...], None] = {}
    for without in combinations(range(len(examples)), left_out):
        kept = tuple(pair for number, pair in enumerate(examples) if number not in without)
        orders[kept] = None
        for _ in range(ORDERS):
            orders[tuple(kept[number] for number in rng.permutation(len(kept)))] = None
    plain = list(orders)
    views = {(shown, asked): AS_IT_IS for shown in plain}
    for tool in CHANGES:
        shown = plain[int(rng.integers(len(plain)))]
        views.setdefault((tuple(tool.pair(pair) for pair in shown), tool.on_input(asked)), tool)
    return tuple(GridView(shown, grid, tool) for (shown, grid), tool in views.items())


def vote(answers: Sequence[tuple[str, Grid]], attempts: int = ATTEMPTS) -> tuple[Grid, ...]:
    """The best answers, the best first, none twice: at most ``attempts`` and at most three, fewer where all agree.

    ``answers`` are pairs of a category (a tool's name) and an answer, changed back. Every category nominates three
    grids, and so do all answers together; those nominated most often win. Where a category has fewer than three
    different answers, the grid of its most common rows or that of its most common columns takes the empty place, be it
    the same grid again: so a category that agrees speaks with three votes. Ties go to the grid that was answered more
    often to the question as it is, then to the one that was answered first.
    """
    if not answers:
        return ()
    plain = Counter(grid for category, grid in answers if category == AS_IT_IS.name)
    categories: dict[str, list[Grid]] = {}
    for category, grid in answers:
        categories.setdefault(category, []).append(grid)
    ballots = [[grid for _, grid in answers], *categories.values()]
    nominated = [grid for ballot in ballots for grid in _three(ballot, plain)]
    return tuple(dict.fromkeys(_three(nominated, plain)))[:attempts]


def _three(ballot: Sequence[Grid], plain: Mapping[Grid, int]) -> tuple[Grid, Grid, Grid]:
    """The three grids that a ballot stands for; the same grid may stand there more than once."""
    counts = Counter(ballot)  # in the order of the first vote for each; sorting keeps that order among equals
    ranked = sorted(counts, key=lambda grid: (-counts[grid], -plain.get(grid, 0)))
    first = ranked[0]
    by_rows, by_columns = common_rows(ballot), transposed(common_rows([transposed(grid) for grid in ballot]))
    second = ranked[1] if len(ranked) > 1 else (by_rows if by_rows != first else by_columns)
    third = ranked[2] if len(ranked) > 2 else (by_rows if by_rows not in (first, second) else by_columns)
    return first, second, third


def common_rows(grids: Sequence[Grid]) -> Grid:
    """The grid made of the most common row at each height, of the grids of the most common shape's width."""
    height, width = Counter((len(grid), len(grid[0])) for grid in grids).most_common(1)[0][0]
    wide = [grid for grid in grids if len(grid[0]) == width]
    return tuple(Counter(grid[row] for grid in wide if len(grid) > row).most_common(1)[0][0] for row in range(height))
