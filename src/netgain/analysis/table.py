"""The answer table: who answered which question rightly, joined over arms by problem and question."""

from dataclasses import dataclass
from statistics import fmean
from typing import final

import numpy as np
from numpy.typing import NDArray

from netgain.records.claim import Arm, Claim, Exam

Floats = NDArray[np.float64]
FROZEN = "frozen"


def frozen_row(name: str) -> str:
    """The row of the frozen model's answers that were published beside an arm; no arm's name can be equal to it."""
    return f"\0{FROZEN}\0{name}"


@final
@dataclass(frozen=True)
class AnswerTable:
    """``correct[row, question]`` is 1, 0 or NaN (not asked); ``problem[question]`` the index of its problem.

    A question that a problem holds twice, word for word, counts once (its first verdict).
    """

    rows: tuple[str, ...]
    correct: Floats
    problem: NDArray[np.int64]
    repeated: int

    def __contains__(self, row: str) -> bool:
        return row in self.rows

    def answers(self, row: str) -> Floats:
        """The verdicts of one row, one value a question."""
        result: Floats = self.correct[self.rows.index(row)]
        return result

    def common(self, *rows: str) -> NDArray[np.bool_]:
        """The questions that every one of these rows answered."""
        missing = np.isnan(np.vstack([self.answers(row) for row in rows]))
        return np.asarray(~missing.any(axis=0))

    def problem_means(self, rows: tuple[str, ...], questions: NDArray[np.bool_]) -> Floats:
        """Mean verdict of each problem over the given questions, an array of rows by problems (those with any)."""
        problems = self.problem[questions]
        values = np.vstack([self.answers(row)[questions] for row in rows])
        present, index = np.unique(problems, return_inverse=True)
        counts = np.bincount(index, minlength=len(present))
        sums = np.vstack([np.bincount(index, weights=row, minlength=len(present)) for row in values])
        result: Floats = sums / counts
        return result


def build(claim: Claim) -> AnswerTable:
    """Join the verdicts of all arms of a claim, and of the frozen model beside each."""
    exams = {exam.name: exam for exam in claim.exams}
    columns: dict[tuple[str, str], int] = {}
    problems: dict[str, int] = {}
    for exam in claim.exams:
        for problem in exam.problems:
            problems.setdefault(problem.id, len(problems))
            for question in problem.questions:
                columns.setdefault((problem.id, question), len(columns))
    rows: dict[str, Floats] = {}
    for arm in claim.arms:
        if arm.exam in exams:
            rows |= _rows(arm, exams[arm.exam], columns)
    asked = sum(len(problem.questions) for exam in claim.exams for problem in exam.problems)
    distinct = sum(len(set(problem.questions)) for exam in claim.exams for problem in exam.problems)
    matrix = np.vstack(list(rows.values())) if rows else np.empty((0, len(columns)))
    index = np.array([problems[problem] for problem, _ in columns], dtype=np.int64)
    return AnswerTable(tuple(rows), matrix, index, asked - distinct)


def _rows(arm: Arm, exam: Exam, columns: dict[tuple[str, str], int]) -> dict[str, Floats]:
    result = {}
    for row, verdicts in ((arm.name, arm.correct), (frozen_row(arm.name), arm.frozen_correct)):
        if verdicts is None:
            continue
        values = np.full(len(columns), np.nan)
        for problem, bits in zip(exam.problems, verdicts, strict=True):
            for question, bit in zip(reversed(problem.questions), reversed(bits), strict=True):
                values[columns[problem.id, question]] = np.nan if bit == "-" else float(bit == "1")
        result[row] = values
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
