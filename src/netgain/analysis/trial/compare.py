"""The comparisons of a trial: the primary one, fixed before the run, and all others, Holm-adjusted and exploratory."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from netgain.analysis import crossed, significance
from netgain.analysis.compare import EQUIVALENCE_MARGIN
from netgain.analysis.table import Floats
from netgain.analysis.trial.evidence import TrialEvidence
from netgain.analysis.trial.gap import Duel
from netgain.analysis.verdict import Comparison

Kind = Literal["headline", "frozen"]


def comparisons(trial: TrialEvidence, duels: list[Duel]) -> list[Comparison]:
    """All comparisons on arms' own rungs. Everything but the primary one is one family."""
    rows = [row for duel in duels for plan in _planned(trial, duel) if (row := compare(trial, duel, *plan))]
    family = [index for index, row in enumerate(rows) if not row.primary]
    adjusted = significance.holm([rows[index].p or 0.0 for index in family])
    values = dict(zip(family, adjusted, strict=True))
    return [row.model_copy(update={"p_adjusted": values.get(index)}) for index, row in enumerate(rows)]


def _planned(trial: TrialEvidence, duel: Duel) -> Iterator[tuple[str, str, str, Kind]]:
    """The pairs, the kind of question they are compared on, and the group they are shown in."""
    kinds = trial.kinds(duel.setting) or [trial.terms.exam]
    others = [name for name in trial.own(duel.setting).values() if name not in {duel.arm, duel.frozen}]
    for kind in kinds:
        if duel.rival:
            yield duel.arm, duel.rival, kind, "headline"
    for name in others:
        if name != duel.rival:
            yield duel.arm, name, trial.terms.exam, "headline"
    for name in [duel.arm, *others]:
        if duel.frozen:
            yield name, duel.frozen, trial.terms.exam, "frozen"
    if duel.frozen:
        for kind in kinds[1:]:
            yield duel.arm, duel.frozen, kind, "frozen"


def compare(trial: TrialEvidence, duel: Duel, a: str, b: str, exam: str, kind: Kind) -> Comparison | None:
    """Two arms on one kind of question, on the seeds and problems that both have; None where there are none."""
    pair = trial.paired([a, b], exam)
    if pair is None:
        return None
    values = pair[0] - pair[1]
    found = trial.estimate(values)
    single = values.shape[0] == 1
    mcnemar = significance.mcnemar(*_questions(trial, a, b, exam)) if single else None
    terms = trial.terms
    return Comparison(
        a=a,
        b=b,
        kind=kind,
        primary=(duel.setting, duel.arm, duel.rival, exam, kind) == (terms.setting, a, b, terms.exam, "headline"),
        difference=found.value,
        low=found.low,
        high=found.high,
        p=crossed.p_value(values, trial.evidence.rng("flips", a, b, exam)),
        p_adjusted=None,
        p_mcnemar=mcnemar.p if mcnemar else None,
        only_a=mcnemar.only_a if mcnemar else None,
        only_b=mcnemar.only_b if mcnemar else None,
        n_problems=values.shape[1],
        n_questions=_asked(trial, duel.setting, exam),
        smallest_detectable=crossed.smallest_detectable(values),
        p_equivalent=crossed.equivalence_p(values, EQUIVALENCE_MARGIN),
        equivalence_margin=EQUIVALENCE_MARGIN,
        method=crossed.SINGLE if single else crossed.SEVERAL,
        setting=duel.setting,
        exam=exam,
        n_seeds=values.shape[0],
    )


def _asked(trial: TrialEvidence, setting: str, kind: str) -> int:
    exams = (exam for exam in trial.claim.exams if exam.name == setting)
    return sum(k == kind for exam in exams for problem in exam.problems for k in problem.kinds)


def _questions(trial: TrialEvidence, a: str, b: str, exam: str) -> tuple[Floats, Floats]:
    """The verdicts of two single runs on every question that both answered."""
    sheet = next(found for found in trial.claim.exams if found.name == trial.arms[a][0].setting)
    marks = []
    for name in (a, b):
        run = trial.arms[name][1].runs[0]
        kinds = [kind for problem in sheet.problems for kind in problem.kinds]
        bits = [bit for row in run.correct for bit in row]
        marks.append([bit if kind == exam else "-" for bit, kind in zip(bits, kinds, strict=True)])
    both = [(x == "1", y == "1") for x, y in zip(*marks, strict=True) if "-" not in {x, y}]
    pairs = np.array(both, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
