"""Evidence: one claim joined, priced and ready to be asked; the only state that the rows of a verdict are made from.

Published claims and trials of our own are asked alike: a published arm is a method with a single run on a ladder of one
rung.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, final

import numpy as np

from netgain.analysis import crossed, intervals
from netgain.analysis.intervals import Floats, Interval
from netgain.analysis.table import Table, beside, published_mean
from netgain.metering import ledger
from netgain.records.claim import Arm, Charge, Claim, GradeName, Role, TrialArm
from netgain.records.cost import Cost, Currency, Purpose
from netgain.streams import stream

FRACTIONS = (0.0, 1.0)
PUBLISHED_CURRENCIES = (Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.FLOPS)
TRIAL_CURRENCIES = (
    *(Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.TOKENS_TRAINING),
    *(Currency.TOKENS_GENERATED, Currency.FLOPS),
)


def currencies_of(claim: Claim) -> tuple[Currency, ...]:
    """The currencies in which the arms of a claim are matched.

    Device time only where it is stated of several arms: runs that were published beside each other on one machine.
    """
    if claim.terms:
        return TRIAL_CURRENCIES
    timed = {charge.arm for charge in claim.charges if charge.purpose is Purpose.ADAPT and charge.cost.seconds}
    return (*PUBLISHED_CURRENCIES, *((Currency.SECONDS,) if len(timed) > 1 else ()))


@final
@dataclass(frozen=True, slots=True)
class ArmCost:
    """What an arm cost. ``adapt``: for its problems, in all. ``bill``: for one investment (its outer loop), at least.

    Published arms are matched on training alone: what a teacher or a grader computed is not published, so that a bill
    with them could not be held against anything. In a trial of our own everything but the exams counts. ``problems`` is
    how many problems ``adapt`` covers, ``deployments`` how many share the bill. ``bill_incomplete`` names the
    currencies in which parts of the bill are unknown.
    """

    problems: int | None
    deployments: int | None
    adapt: ledger.Totals
    bill: Cost
    bill_incomplete: tuple[Currency, ...]
    invested: bool

    def adapt_per_problem(self, currency: Currency) -> float | None:
        """The cost of one problem without the bill, None where unknown."""
        amount = self.adapt.exact(currency)
        return None if amount is None or not self.problems else amount / self.problems

    def charged(self, currency: Currency) -> float | None:
        """The cost of one problem with its share of the bill (at least, where that is incomplete)."""
        return self.shared_by(self.deployments, currency)

    def shared_by(self, deployments: float | None, currency: Currency) -> float | None:
        """The same with the bill shared by so many problems; by infinitely many (``math.inf``) it is forgotten."""
        adapt = self.adapt_per_problem(currency)
        if not self.invested or adapt is None:
            return adapt
        return adapt + (self.bill.amount(currency) or 0.0) / deployments if deployments else None

    def exactly(self, deployments: float | None, currency: Currency) -> float | None:
        """The same, but None where some part of the bill is unknown."""
        unknown = self.invested and currency in self.bill_incomplete and deployments != math.inf
        return None if unknown else self.shared_by(deployments, currency)

    def known_bill(self, currency: Currency) -> float | None:
        """The whole bill: 0 where nothing was invested, None where some part is unknown."""
        if not self.invested:
            return 0.0
        return None if currency in self.bill_incomplete else self.bill.amount(currency)


def arm_cost(claim: Claim, arm: Arm) -> ArmCost:
    """Fold the charges of an arm and of the investments that it stands on."""
    terms = claim.terms
    adapting, investing = ((), ()) if terms else ((Purpose.ADAPT,), (Purpose.ADAPT, Purpose.LEARN))
    charges = ledger.of(claim.charges, arm.name, *adapting)
    covered = next((charge.problems for charge in charges if charge.problems is not None), arm.n_problems)
    deployments = _deployments(claim, arm)
    rounds = [ledger.of(claim.charges, name, *investing) for name in arm.invests]
    bill = ledger.sum_up(charge for found in rounds for charge in found)
    complete = bool(rounds) and all(rounds) and not arm.invests_unpublished
    invested = bool(arm.invests or arm.invests_unpublished)
    incomplete = (bill.incomplete if complete else tuple(Currency)) if invested else ()
    once = bill.at_least * (1 / (_times(rounds) if terms else 1)) if invested else Cost.zero()
    return ArmCost(covered, deployments, ledger.sum_up(charges), once, incomplete, invested)


def _deployments(claim: Claim, arm: Arm) -> int | None:
    """How many problems share an arm's bill: those it was made for in a trial, those examined where it was published.

    An arm's bill is never shared by another number than its own: what it would have learned with more or less to
    invest was not measured.
    """
    if claim.terms is None:
        return arm.n_problems
    own = arm.trial.deployments if arm.trial else None
    return claim.terms.deployments if own is None else own


def _times(rounds: list[list[Charge]]) -> int:
    """How many seeds a trial's investment was made under: its charges cover all of them."""
    return next((charge.count for found in rounds for charge in found if charge.count), 1)


@final
@dataclass(frozen=True)
class Evidence:
    """A claim with its table and its arms' costs. Bootstrap weights are shared by all with as many problems.

    ``exam`` is the kind of question that the verdict rests on, empty where a claim knows no kinds.
    """

    claim: Claim
    table: Table
    costs: dict[str, ArmCost]
    seed: int
    _weights: dict[int, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, claim: Claim, seed: int, grade: GradeName | None = None) -> Self:
        return cls(claim, Table.of(claim, grade), {arm.name: arm_cost(claim, arm) for arm in claim.arms}, seed)

    def by(self, grade: GradeName) -> "Evidence":
        """The same claim by another grade; what does not depend on it is shared, the bootstrap's weights too."""
        return Evidence(self.claim, Table.of(self.claim, grade), self.costs, self.seed, self._weights)

    @cached_property
    def exam(self) -> str:
        return self.claim.terms.exam if self.claim.terms else ""

    @cached_property
    def controls(self) -> tuple[str, ...]:
        """The kinds of questions that no problem owns."""
        return self.claim.terms.controls if self.claim.terms else ()

    @cached_property
    def currencies(self) -> tuple[Currency, ...]:
        """The currencies in which arms are matched."""
        return currencies_of(self.claim)

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """Every arm by name."""
        return {arm.name: arm for arm in self.claim.arms}

    @cached_property
    def settings(self) -> list[str]:
        """The settings that have arms, the primary one first."""
        primary = self.claim.terms.setting if self.claim.terms else ""
        return sorted(dict.fromkeys(arm.setting for arm in self.claim.arms), key=lambda setting: setting != primary)

    @property
    def domains(self) -> list[str]:
        """The settings of a trial of our own, of which more is told; a published claim has none."""
        return self.settings if self.claim.terms else []

    def weights(self, units: int) -> Floats:
        """Bootstrap weights for this many problems: the same for every statistic, so that parts add up."""
        if units not in self._weights:
            self._weights[units] = intervals.resample_weights(units, self.rng("bootstrap", str(units)))
        return self._weights[units]

    def rng(self, *names: str) -> np.random.Generator:
        """The named random stream of this analysis."""
        return stream(self.seed, "analysis", *names)

    def trial(self, name: str) -> TrialArm:
        """What a trial knows of an arm; of a published one, that it is compared as it is."""
        return self.arms[name].trial or TrialArm(method=name, rung=1.0, own=True)

    def own(self, setting: str, *roles: Role) -> list[str]:
        """Of each method of a setting the arm at the level that is compared; of these roles, if some are named.

        An arm that learns is compared at the trial's own number of deployments.
        """
        stated = (None, self.claim.terms.deployments) if self.claim.terms else (None,)
        arms = (arm for arm in self.claim.arms if arm.setting == setting and self.trial(arm.name).own)
        arms = (arm for arm in arms if self.trial(arm.name).deployments in stated)
        return [arm.name for arm in arms if not roles or arm.role in roles]

    def method(self, setting: str, method: str) -> str | None:
        """The arm of this method at the budget level that is compared."""
        return next((name for name in self.own(setting) if self.trial(name).method == method), None)

    def ladder(self, name: str) -> list[str]:
        """All budget levels of an arm's method, rising: a single one where it was published.

        Of an arm that learns those of one number of deployments: another number is another investment.
        """
        return self.runs(name, self.trial(name).deployments)

    def runs(self, name: str, *deployments: int | None) -> list[str]:
        """All levels of an arm's method that were run for one of these numbers of deployments, or for any; rising."""
        arm, method = self.arms[name], self.trial(name).method
        rungs = [other for other in self.claim.arms if other.setting == arm.setting]
        mine = [other.name for other in rungs if self.trial(other.name).method == method]
        mine = [rung for rung in mine if not deployments or self.trial(rung).deployments in deployments]
        return sorted(mine, key=lambda rung: (self.trial(rung).deployments or 0, self.trial(rung).rung, rung))

    def frozen(self, name: str) -> str | None:
        """The row of the frozen model to hold an arm against: measured beside it, else the frozen arm of its setting.

        None for the frozen model itself, and where there is none.
        """
        arm = self.arms[name]
        if beside(name) in self.table:
            return beside(name)
        if arm.role is Role.FROZEN or arm.frozen_accuracy is not None:
            return None
        return next(iter(self.own(arm.setting, Role.FROZEN)), None)

    def frozen_accuracy(self, name: str) -> float | None:
        """The accuracy of that model, as published or as measured."""
        arm, row = self.arms[name], self.frozen(name)
        if arm.frozen_correct:
            return published_mean(arm.frozen_correct, arm.averaged)
        return arm.frozen_accuracy if row is None else self.accuracies[row]

    @cached_property
    def accuracies(self) -> dict[str, float | None]:
        """Of each arm its accuracy: published verdicts are averaged as their authors do; without any, as stated."""
        return {arm.name: self._accuracy(arm) for arm in self.claim.arms}

    def _accuracy(self, arm: Arm) -> float | None:
        if arm.correct is not None:
            return published_mean(arm.correct, arm.averaged)
        measured = self.accuracy(arm.name, self.exam)
        return measured.value if measured and arm.trial else arm.accuracy

    def kinds(self, setting: str) -> list[str]:
        """The kinds of questions that problems of a setting own, the primary kind first; one without a name if none."""
        names = {arm.exam for arm in self.claim.arms if arm.setting == setting}
        exams = (exam for exam in self.claim.exams if exam.name in names)
        found = dict.fromkeys(kind for exam in exams for problem in exam.problems for kind in problem.kinds)
        own = [kind for kind in found if kind not in self.controls]
        return sorted(own, key=lambda kind: kind != self.exam) if self.exam and own else [self.exam]

    def estimate(
        self, values: Floats, bounds: tuple[float, float] = crossed.SIDES, questions: float | None = None
    ) -> Interval:
        """The mean of seeds by problems with its interval; each value a mean of so many questions (None: unknown)."""
        return crossed.estimate(values, self.weights(values.shape[1]), bounds, questions)

    def accuracy(self, name: str, kind: str) -> Interval | None:
        """An arm's measured accuracy on one kind of question."""
        values = self.table.means(name, kind=kind)
        if values is None:
            return None
        return self.estimate(values[0], FRACTIONS, self.table.questions_a_unit(name, kind=kind))

    def over(self, a: str, b: str) -> Interval | None:
        """One arm's accuracy minus another's on what both answered; None where that is nothing."""
        pair = self.table.means(a, b, kind=self.exam)
        if pair is None:
            return None
        return self.estimate(pair[0] - pair[1], questions=self.table.questions_a_unit(a, b, kind=self.exam))

    def by_seed(self, name: str) -> list[float]:
        """The accuracy of each seed on the primary kind of question, over the problems that it was examined on."""
        cells = self.table.cells(name, kind=self.exam)
        rows = () if cells is None else cells[0]
        return [float(np.nanmean(row)) for row in rows if not np.isnan(row).all()]

    def stated(self, name: str, *, frozen: bool = False) -> Interval | None:
        """An accuracy that was only stated, with Wilson's interval; None where it or its n is unknown."""
        arm = self.arms[name]
        other = self.arms.get(self.frozen(name) or "")
        accuracy, asked = (arm.accuracy, arm.n_questions)
        if frozen:
            accuracy = self.frozen_accuracy(name)
            asked = arm.frozen_questions or (other.n_questions if other else None) or arm.n_questions
        return None if accuracy is None or not asked else intervals.wilson(accuracy * asked, asked)
