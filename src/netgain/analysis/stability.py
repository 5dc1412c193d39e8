"""What broke: answers fixed and broken by an adaptation, and what is retained over a stream of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from netgain.analysis.table import Floats


@final
@dataclass(frozen=True, slots=True)
class FixedBroken:
    """Questions answered wrongly before and rightly after (fixed), and the other way round (broken)."""

    fixed: int
    broken: int
    previously_correct: int
    questions: int


def fixed_broken(before: Floats, after: Floats) -> FixedBroken:
    """Count from paired verdicts, 0 or 1."""
    return FixedBroken(
        fixed=int(np.sum((before == 0) & (after == 1))),
        broken=int(np.sum((before == 1) & (after == 0))),
        previously_correct=int(np.sum(before == 1)),
        questions=len(before),
    )


Matrix = Sequence[Sequence[float | None]]


@final
@dataclass(frozen=True, slots=True)
class Retention:
    """Mean accuracy on the earlier problems (all but the last): untouched, right after each edit, after all edits."""

    untouched: float
    right_after: float
    after_all: float


def retention(matrix: Matrix) -> Retention | None:
    """From a matrix whose row ``k`` holds the accuracies after ``k`` edits. None for fewer than two problems."""
    problems = len(matrix[0]) if matrix else 0
    if problems < 2 or len(matrix) != problems + 1:
        return None
    first, last = matrix[0][:-1], matrix[-1][:-1]
    diagonal = [matrix[index + 1][index] for index in range(problems)]
    if any(value is None for value in (*first, *last, *diagonal)):
        return None
    return Retention(*(float(np.mean([v for v in values if v is not None])) for values in (first, diagonal, last)))
