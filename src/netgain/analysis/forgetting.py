"""What broke: answers fixed and broken by an adaptation, and what is forgotten over a stream of them."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from netgain.analysis import intervals
from netgain.analysis.evidence import FRACTIONS, Evidence
from netgain.analysis.intervals import Floats
from netgain.analysis.table import Mask, beside, right
from netgain.analysis.verdict import AbilityRow, RetentionTable, StabilityRow
from netgain.records.claim import UNTRAINED, Continual, Role

Matrix = Sequence[Sequence[float | None]]


def stability_rows(evidence: Evidence) -> list[StabilityRow]:
    """What training fixed and broke of the frozen model's answers, for every arm: on the control questions, by kind,
    where a claim has some; else on all questions.

    Control questions are about the weights: an arm of a trial that reads at the exam is asked them without what it
    reads, so one that trains nothing changes none of them.
    """
    return [
        row
        for arm in evidence.claim.arms
        if arm.role is not Role.FROZEN
        for kind in (evidence.controls if evidence.claim.terms else ("",))
        if (row := _stability(evidence, arm.name, kind)) is not None
    ]


def _stability(evidence: Evidence, name: str, kind: str) -> StabilityRow | None:
    table = evidence.table
    if name not in table:
        return None
    columns = np.flatnonzero(table.kinds == kind) if kind else np.arange(len(table.questions))
    after = table.rows[name].correct[:, columns]
    before = np.broadcast_to(_untouched(evidence, name, columns, by_text=bool(kind)), after.shape)
    asked = ~np.isnan(after)
    paired = asked & ~np.isnan(before)
    if not (asked if kind else paired).any():
        return None
    same = bool((after[paired] == before[paired]).all())
    unchanged = evidence.arms[name].role in UNTRAINED and same  # known, so nothing to estimate
    now, then = right(after[paired]), right(before[paired])
    problems, divergence = table.problem[columns], evidence.trial(name).divergence
    change = None
    if paired.any() and not unchanged:
        change = evidence.estimate(_by_cell(after - before, problems), questions=_a_problem(paired, problems))
    return StabilityRow(
        arm=name,
        fixed=int(np.sum((then == 0) & (now == 1))),
        broken=int(np.sum((then == 1) & (now == 0))),
        previously_correct=int(np.sum(then == 1)),
        questions=int((paired if paired.any() else asked).sum()),
        kind=kind,
        accuracy=evidence.estimate(_by_cell(after, problems), FRACTIONS, _a_problem(asked, problems)),
        change=change,
        divergence=fmean(divergence) if divergence else None,
    )


def ability_rows(evidence: Evidence) -> list[AbilityRow]:
    """What every trained arm of a trial can still do of what the frozen model could, by measure."""
    return [
        _ability(evidence, arm.name, name)
        for arm in evidence.claim.arms
        if arm.trial is not None and arm.role is not Role.FROZEN
        for name in dict.fromkeys(one.name for one in arm.trial.abilities)
    ]


def _ability(evidence: Evidence, arm: str, name: str) -> AbilityRow:
    after = [one for one in evidence.trial(arm).abilities if one.name == name]
    frozen = evidence.frozen(arm)
    levels = evidence.ladder(frozen) if frozen else []
    before = next((one for level in levels for one in evidence.trial(level).abilities if one.name == name), None)
    seeds = [fmean(one.value for one in after if one.seed == seed) for seed in sorted({one.seed for one in after})]
    row = AbilityRow(
        arm=arm,
        name=name,
        better=after[0].better,
        count=after[0].count,
        before=None if before is None else before.value,
        after=fmean(seeds),
        adaptations=len(after),
        seeds=len(seeds),
        change=None,
    )
    if before is None:
        return row
    moved = np.array(seeds) - before.value
    change = intervals.student(moved) if len(moved) > 1 else None
    pairs = [pair for one in after if before.correct for pair in zip(before.correct, one.correct, strict=False)]
    flips = {
        "fixed": pairs.count(("0", "1")),
        "broken": pairs.count(("1", "0")),
        "previously_correct": sum(then == "1" for then, _ in pairs),
    }
    return row.model_copy(update={"change": change, **(flips if pairs else {})})


def _untouched(evidence: Evidence, name: str, columns: np.ndarray, *, by_text: bool) -> Floats:
    """The frozen model's verdict on each of these questions, NaN where it was not asked.

    A control question belongs to no problem: it is known by its text, wherever the frozen model was asked it.
    """
    table, frozen = evidence.table, evidence.frozen(name)
    nothing = np.full(len(columns), np.nan)
    rungs = [frozen] if frozen == beside(name) else evidence.ladder(frozen) if frozen else []
    runs = [table.rows[rung].correct[:, columns] for rung in rungs if rung in table]
    if not runs:
        return nothing
    if not by_text:
        alone: Floats = runs[0][0]
        return alone
    texts = [table.questions[column] for column in columns]
    known = {t: score for rows in runs for row in rows for t, score in zip(texts, row, strict=True) if score == score}
    return np.array([known.get(text, np.nan) for text in texts])


def _a_problem(asked: Mask, problems: np.ndarray) -> float:
    """How many questions were asked on average of a problem that was asked any."""
    columns = asked.any(axis=0)
    return float(columns.sum()) / max(1, len(np.unique(problems[columns])))


def _by_cell(values: Floats, problems: np.ndarray) -> Floats:
    """Means by seed and problem without gaps: of problems that every seed has; where there is none, of every cell."""
    present, index = np.unique(problems, return_inverse=True)
    belongs = (index[:, None] == np.arange(len(present))).astype(np.float64)
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # no answer in a cell is 0 of 0: NaN
        cells = (np.where(there, values, 0.0) @ belongs) / (there @ belongs)
    cells = cells[~np.isnan(cells).all(axis=1)]
    shared = ~np.isnan(cells).any(axis=0)
    result: Floats = cells[:, shared] if shared.any() else cells[~np.isnan(cells)][None, :]
    return result


def retention(matrix: Matrix) -> tuple[float, float, float] | None:
    """Mean accuracy on the earlier problems (all but the last): untouched, right after each edit, after all edits.

    From a matrix whose row ``k`` holds the accuracies after ``k`` edits. None for fewer than two problems.
    """
    problems = len(matrix[0]) if matrix else 0
    if problems < 2 or len(matrix) != problems + 1:
        return None
    first, last = matrix[0][:-1], matrix[-1][:-1]
    diagonal = [matrix[index + 1][index] for index in range(problems)]
    if any(value is None for value in (*first, *last, *diagonal)):
        return None
    untouched, right_after, after_all = (
        float(np.mean([v for v in values if v is not None])) for values in (first, diagonal, last)
    )
    return untouched, right_after, after_all


def retention_table(continual: Continual) -> RetentionTable:
    """The retention matrix with its means, and the change within the runs that were published singly."""
    means = retention(continual.mean)
    runs = [found for matrix in continual.runs if (found := retention(matrix))]
    change = None
    if len(runs) > 1:
        change = intervals.student(np.array([after_all - untouched for untouched, _, after_all in runs]))
    return RetentionTable(
        name=continual.name,
        sequences=continual.sequences,
        matrix=[list(row) for row in continual.mean],
        untouched=means[0] if means else None,
        right_after=means[1] if means else None,
        after_all=means[2] if means else None,
        runs=len(runs),
        change_in_runs=change,
        method=f"Student's interval over the {len(runs)} single runs" if change else "no single runs, so no interval",
        sources=list(continual.sources),
    )
