"""The evidence of a trial: who answered what in which seed, as arrays of seeds by problems, paired over arms."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, final

import numpy as np

from netgain.analysis import crossed
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Estimate
from netgain.analysis.table import Floats
from netgain.records.claim import Arm, Claim, Exam, Role, Terms, TrialArm
from netgain.records.cost import Currency

UNTRAINED = (Role.FROZEN, Role.IN_CONTEXT)
Mixture = dict[str, float]


@final
@dataclass(frozen=True)
class Table:
    """Mean verdict of each seed (rows) on each problem of the domain (columns); NaN where it was not examined."""

    seeds: tuple[int, ...]
    values: Floats


@final
@dataclass(frozen=True)
class TrialEvidence:
    """A claim with its terms, priced, and its answers as tables."""

    claim: Claim
    terms: Terms
    evidence: Evidence
    _tables: dict[tuple[str, str], Table] = field(default_factory=dict)

    @classmethod
    def of(cls, claim: Claim, terms: Terms, seed: int) -> Self:
        return cls(claim, terms, Evidence.of(claim, seed))

    @cached_property
    def arms(self) -> dict[str, tuple[Arm, TrialArm]]:
        """Every arm that a trial ran, by name."""
        return {arm.name: (arm, arm.trial) for arm in self.claim.arms if arm.trial is not None}

    @cached_property
    def settings(self) -> list[str]:
        """The domains that have rows, the primary one first."""
        found = list(dict.fromkeys(arm.setting for arm, _ in self.arms.values()))
        return sorted(found, key=lambda setting: setting != self.terms.setting)

    def own(self, setting: str) -> dict[str, str]:
        """Of each method of a domain the arm on its own rung: names of arms by method."""
        return {t.method: a.name for a, t in self.arms.values() if t.own and a.setting == setting}

    def ladder(self, setting: str, method: str) -> list[str]:
        """The arms of one method, its rungs rising."""
        mine = [(t.rung, a.name) for a, t in self.arms.values() if (a.setting, t.method) == (setting, method)]
        return [name for _, name in sorted(mine)]

    def of_role(self, setting: str, *roles: Role) -> list[str]:
        """The arms of these roles on their own rungs."""
        return [name for name in self.own(setting).values() if self.arms[name][0].role in roles]

    def frozen(self, setting: str) -> str | None:
        """The frozen model's arm."""
        return next(iter(self.of_role(setting, Role.FROZEN)), None)

    def kinds(self, setting: str) -> list[str]:
        """The kinds of questions that problems of a domain own, the primary kind first."""
        exam = self._exam(setting)
        found = dict.fromkeys(kind for problem in exam.problems for kind in problem.kinds) if exam else {}
        own = [kind for kind in found if kind not in self.terms.controls]
        return sorted(own, key=lambda kind: kind != self.terms.exam)

    def _exam(self, setting: str) -> Exam | None:
        return next((exam for exam in self.claim.exams if exam.name == setting), None)

    def table(self, name: str, kind: str) -> Table:
        """One arm's answers to questions of one kind."""
        if (name, kind) not in self._tables:
            self._tables[name, kind] = self._table(*self.arms[name], kind)
        return self._tables[name, kind]

    def _table(self, arm: Arm, trial: TrialArm, kind: str) -> Table:
        exam = self._exam(arm.setting)
        problems = exam.problems if exam else ()
        wanted = [[index for index, k in enumerate(problem.kinds) if k == kind] for problem in problems]
        values = np.full((len(trial.runs), len(problems)), np.nan)
        for row, run in enumerate(trial.runs):
            for column, (bits, places) in enumerate(zip(run.correct, wanted, strict=True)):
                marks = [bits[index] == "1" for index in places if bits[index] != "-"]
                if marks:
                    values[row, column] = sum(marks) / len(marks)
        return Table(tuple(run.seed for run in trial.runs), self._grouped(values))

    def _grouped(self, values: Floats) -> Floats:
        """Problems that were adapted to at once are one unit: they share the luck of their adaptation.

        Where all are, they stay single units, and that luck is left to the seeds.
        """
        size, count = self.terms.passages, values.shape[1]
        if size <= 1 or count <= size:
            return values
        starts = np.arange(0, count, size)
        result: Floats = np.add.reduceat(values, starts, axis=1) / np.diff([*starts, count])
        return result

    def paired(self, names: list[str], kind: str) -> Floats | None:
        """The arms' answers on the seeds and problems that all of them have: arms by seeds by problems.

        An arm that is never trained and was run under one seed stands for all seeds. Where cells are missing, the
        fullest complete table is taken; None where there is none.
        """
        tables = [self.table(name, kind) for name in names]
        wide = [self.arms[n][0].role in UNTRAINED and len(t.seeds) == 1 for n, t in zip(names, tables, strict=True)]
        sets = [set(t.seeds) for t, same in zip(tables, wide, strict=True) if not same] or [set(tables[0].seeds)]
        seeds = sorted(set.intersection(*sets))
        if not seeds:
            return None
        stacked = np.stack(
            [
                t.values[[0] * len(seeds)] if same else t.values[[t.seeds.index(seed) for seed in seeds]]
                for t, same in zip(tables, wide, strict=True)
            ]
        )
        return _complete(stacked)

    def estimate(self, values: Floats, bounds: tuple[float, float] = (-1.0, 1.0)) -> Estimate:
        """The mean over seeds and problems with its interval."""
        return crossed.estimate(values, self.evidence.weights(values.shape[1]), bounds)

    def accuracy(self, name: str, kind: str) -> Estimate | None:
        """An arm's accuracy on one kind of question."""
        values = self.paired([name], kind)
        return None if values is None else self.estimate(values[0], (0.0, 1.0))

    def mixed(self, mixture: Mixture, stacked: Floats, names: list[str]) -> Floats:
        """Answers interpolated between rungs: the weighted sum of the arms' tables in ``stacked``."""
        result: Floats = np.sum([weight * stacked[names.index(name)] for name, weight in mixture.items()], axis=0)
        return result

    def adapt(self, name: str, currency: Currency) -> float | None:
        """What one adaptation took."""
        return self.evidence.costs[name].adapt_per_problem(currency)

    def bill(self, name: str, currency: Currency) -> float | None:
        """What one investment took; nothing where there is none, None where that is not known."""
        cost = self.evidence.costs[name]
        if not cost.invested:
            return 0.0
        return None if currency in cost.bill_incomplete else cost.bill.amount(currency)

    def spent(self, name: str, currency: Currency, deployments: float) -> float | None:
        """What a problem took with its share of the investment; ``deployments`` may be infinite."""
        adapt, bill = self.adapt(name, currency), self.bill(name, currency)
        return None if adapt is None or bill is None else adapt + bill / deployments


def _complete(stacked: Floats) -> Floats | None:
    """The largest table without gaps: seeds are taken fullest first, problems that all taken seeds have."""
    there = np.asarray(~np.isnan(stacked).any(axis=0))
    order = np.argsort(-there.sum(axis=1), kind="stable")
    best: tuple[int, list[int]] = (0, [])
    for count in range(1, len(order) + 1):
        size = count * int(there[order[:count]].all(axis=0).sum())
        if size >= best[0] and size:
            best = (size, sorted(int(index) for index in order[:count]))
    if not best[0]:
        return None
    chosen = best[1]
    columns = np.flatnonzero(there[chosen].all(axis=0))
    result: Floats = stacked[:, chosen][:, :, columns]
    return result
