"""The table of a claim: who answered which question rightly, as arms x seeds x questions, joined over all arms.

A published arm is a run under one seed, and the frozen model that was measured beside it is a row like any other. Arms
are joined by problem and question, never by position; a question that a problem holds twice, word for word, counts once
(its first verdict).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from netgain.analysis.intervals import Floats
from netgain.records.claim import RIGHT, UNTRAINED, Arm, Claim, Exam, GradeName, SeedRun

FROZEN = "frozen"
MANY = 2_000  # problems, from which on memory counts more than the order in which a sum is taken
Mask = NDArray[np.bool_]


def beside(name: str) -> str:
    """The row of the frozen model as it was measured beside an arm; no arm's name can be equal to it."""
    return f"\0{FROZEN}\0{name}"


@final
@dataclass(frozen=True)
class Runs:
    """The runs of one arm: ``correct[seed, question]`` is 1, 0 or NaN (not asked); where F1 decides, 0 to 1.

    ``untrained``: nothing was learned, so that a single run stands for all seeds.
    """

    seeds: tuple[int, ...]
    correct: Floats
    untrained: bool

    @property
    def any_seed(self) -> bool:
        """Whether this one run answers for every seed."""
        return self.untrained and len(self.seeds) == 1

    def at(self, seeds: Sequence[int]) -> Floats:
        """The verdicts under these seeds: seeds by questions."""
        result: Floats = self.correct[[0 if self.any_seed else self.seeds.index(seed) for seed in seeds]]
        return result


@final
@dataclass(frozen=True)
class Table:
    """All rows over one list of questions; of each question its text's hash, its kind, its problem and its unit.

    Problems that were adapted to at once are one unit: they share the luck of their adaptation. ``repeated`` counts the
    questions that a problem held more than once.
    """

    rows: dict[str, Runs]
    questions: tuple[str, ...]
    kinds: NDArray[np.str_]
    problem: NDArray[np.int64]
    unit: NDArray[np.int64]
    repeated: int
    _cells: dict[tuple[tuple[str, ...], str], Floats | None] = field(default_factory=dict)

    @classmethod
    def of(cls, claim: Claim, grade: GradeName | None = None) -> Self:
        """The table by one grade: by that which decides, unless another one is named."""
        grade = grade or (claim.terms.grade if claim.terms else "exact")
        columns: dict[tuple[str, str], tuple[int, int, str]] = {}
        problems: dict[str, tuple[int, int]] = {}
        for exam in claim.exams:
            size = claim.terms.passages if claim.terms and claim.terms.passages < len(exam.problems) else 1
            first = len(problems)
            for problem in exam.problems:
                new = len(problems)
                place = problems.setdefault(problem.id, (new, first + (new - first) // size))
                for question, kind in zip(
                    problem.questions, problem.kinds or ("",) * len(problem.questions), strict=True
                ):
                    columns.setdefault((problem.id, question), (*place, kind))
        index = {key: at for at, key in enumerate(columns)}
        exams = {exam.name: exam for exam in claim.exams}
        rows: dict[str, Runs] = {}
        for arm in claim.arms:
            if arm.exam in exams:
                rows |= _rows(arm, exams[arm.exam], index, grade)
        asked = sum(len(problem.questions) for exam in claim.exams for problem in exam.problems)
        distinct = sum(len(set(problem.questions)) for exam in claim.exams for problem in exam.problems)
        return cls(
            rows,
            tuple(question for _, question in columns),
            np.array([kind for *_, kind in columns.values()], dtype=np.str_),
            np.array([problem for problem, *_ in columns.values()], dtype=np.int64),
            np.array([unit for _, unit, _ in columns.values()], dtype=np.int64),
            asked - distinct,
        )

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def seeds(self, *names: str) -> list[int]:
        """The seeds that all of these rows have."""
        several = [set(self.rows[name].seeds) for name in names if not self.rows[name].any_seed]
        return sorted(set.intersection(*several) if several else self.rows[names[0]].seeds)

    def common(self, *names: str, kind: str = "") -> Mask:
        """The questions (of this kind, if one is named) that all of these rows answered under all seeds they share."""
        seeds = self.seeds(*names)
        missing = [np.isnan(self.rows[name].at(seeds)).any(axis=0) for name in names]
        there = ~np.any(missing, axis=0) if seeds else np.zeros(len(self.questions), dtype=np.bool_)
        return np.asarray(there & (self.kinds == kind) if kind else there)

    def questions_a_unit(self, *names: str, kind: str = "") -> float:
        """How many questions (of this kind) a unit has on average that all of these rows answered; at least one."""
        shared = self.common(*names, kind=kind)
        return max(1.0, float(shared.sum()) / max(1, len(np.unique(self.unit[shared]))))

    def answers(self, name: str, questions: Mask) -> Floats:
        """The verdicts of a single run on these questions, right (1) or wrong (0)."""
        return right(self.rows[name].correct[0, questions])

    def means(self, *names: str, kind: str = "") -> Floats | None:
        """Mean verdicts as rows by seeds by units, over the seeds, units and questions that all of these rows have.

        Where cells are missing, the fullest complete table is taken. None where a row has no verdicts or nothing is
        shared.
        """
        cells = self.cells(*names, kind=kind)
        return None if cells is None else _complete(cells)

    def cells(self, *names: str, kind: str = "") -> Floats | None:
        """The same with the gaps: NaN where some row has no answer of that seed in that unit."""
        if (names, kind) not in self._cells:
            there = all(name in self.rows for name in names)
            self._cells[names, kind] = self._means(names, kind) if there else None
        return self._cells[names, kind]

    def _means(self, names: tuple[str, ...], kind: str) -> Floats | None:
        seeds = self.seeds(*names)
        columns = np.flatnonzero(self.kinds == kind) if kind else np.arange(len(self.questions))
        if not seeds or not len(columns):
            return None
        stacked = np.stack([self.rows[name].at(seeds)[:, columns] for name in names])
        there = np.asarray(~np.isnan(stacked).any(axis=0))
        problems, index = np.unique(self.problem[columns], return_inverse=True)
        # Where a claim has several exams, rows that share one leave the problems of the others empty: nothing to sum.
        asked = there.any(axis=0)
        present, within = np.unique(index[asked], return_inverse=True)
        means = np.full((*stacked.shape[:-1], len(problems)), np.nan)
        with np.errstate(invalid="ignore"):  # a problem without an answer is 0 of 0: NaN
            sums = _sums(np.where(there, stacked, 0.0)[..., asked], within, len(present))
            means[..., present] = sums / _sums(there[..., asked], within, len(present))
        units = self.unit[columns][np.unique(index, return_index=True)[1]]
        starts = np.flatnonzero(np.diff(units, prepend=-1))
        result: Floats = np.add.reduceat(means, starts, axis=2) / np.diff([*starts, len(units)])
        return result


def _sums(values: Floats | Mask, index: NDArray[np.int64], problems: int) -> Floats:
    """The sums of values over each problem's questions, which are the last axis."""
    if problems <= MANY:
        result: Floats = values @ (index[:, None] == np.arange(problems)).astype(np.float64)
        return result
    rows = values.reshape(-1, values.shape[-1])  # a matrix of questions by problems would take gigabytes
    sums: Floats = np.stack([np.bincount(index, row, problems) for row in rows]).astype(np.float64)
    return sums.reshape(*values.shape[:-1], problems)


def right(scores: Floats) -> Floats:
    """Which of these scores count as right where yes or no is asked: 1 or 0, NaN where nothing was asked."""
    return np.where(np.isnan(scores), np.nan, (scores >= RIGHT).astype(np.float64))


def _rows(arm: Arm, exam: Exam, index: dict[tuple[str, str], int], grade: GradeName) -> dict[str, Runs]:
    """The one place where what was published beside an arm becomes a row: its own verdicts, and the frozen model's."""
    own = arm.trial.runs if arm.trial else _published(arm.correct)
    found = {arm.name: (own, arm.role in UNTRAINED), beside(arm.name): (_published(arm.frozen_correct), True)}
    return {
        name: Runs(tuple(run.seed for run in runs), _verdicts(runs, exam, index, grade), untrained)
        for name, (runs, untrained) in found.items()
        if runs
    }


def _published(verdicts: tuple[str, ...] | None) -> tuple[SeedRun, ...]:
    return () if verdicts is None else (SeedRun(seed=0, correct=verdicts),)


def _verdicts(runs: Sequence[SeedRun], exam: Exam, index: dict[tuple[str, str], int], grade: GradeName) -> Floats:
    values = np.full((len(runs), len(index)), np.nan)
    for seed, run in enumerate(runs):
        bits = (tuple(None if bit == "-" else float(bit) for bit in row) for row in run.correct)
        for problem, scores in zip(exam.problems, run.grades.get(grade, bits), strict=True):
            for question, score in zip(reversed(problem.questions), reversed(scores), strict=True):
                values[seed, index[problem.id, question]] = np.nan if score is None else score
    return values


def _complete(cells: Floats) -> Floats | None:
    """The largest table without gaps: seeds are taken fullest first, units that all taken seeds have."""
    there = np.asarray(~np.isnan(cells).any(axis=0))
    order = np.argsort(-there.sum(axis=1), kind="stable")
    best: tuple[int, list[int]] = (0, [])
    for count in range(1, len(order) + 1):
        size = count * int(there[order[:count]].all(axis=0).sum())
        if size >= best[0] and size:
            best = (size, sorted(int(index) for index in order[:count]))
    if not best[0]:
        return None
    result: Floats = cells[:, best[1]][:, :, np.flatnonzero(there[best[1]].all(axis=0))]
    return result


def published_mean(verdicts: tuple[str, ...], averaged: str) -> float | None:
    """Accuracy as its authors average it, from all verdicts: over problems' means, or over single questions."""
    rows = [[bit == "1" for bit in row if bit != "-"] for row in verdicts]
    rows = [row for row in rows if row]
    if not rows:
        return None
    if averaged == "questions":
        return sum(map(sum, rows)) / sum(map(len, rows))
    return fmean(sum(row) / len(row) for row in rows)
