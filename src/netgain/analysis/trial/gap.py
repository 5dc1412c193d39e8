"""A trial's gap taken apart at equal compute, in every currency, and over every number of deployments.

Between two rungs of a rival's ladder its accuracy is taken as linear in the logarithm of what it spent, question by
question; beyond the ladder's ends nothing is said. A rung within 1 % of the amount asked for is taken as it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from netgain.analysis import crossed
from netgain.analysis.intervals import Estimate
from netgain.analysis.matching import TOLERANCE
from netgain.analysis.table import Floats
from netgain.analysis.trial.evidence import Mixture, TrialEvidence
from netgain.analysis.trial.shape import AfterDeployments, BreakEvenRow
from netgain.analysis.verdict import DecompositionRow, Interval
from netgain.records.cost import Currency

MOST = 100_000
DRAWN = sorted({round(10 ** (step / 8)) for step in range(41)})


@final
@dataclass(frozen=True)
class Duel:
    """The arm under test, its rival and the frozen model in one domain, by names of arms on their own rungs."""

    setting: str
    arm: str
    rival: str | None
    frozen: str | None


@final
@dataclass(frozen=True)
class Point:
    """Where a ladder meets an amount: the rungs mixed, what they spent, and whether that is less than the amount."""

    mixture: Mixture
    spent: float
    short: bool


def meet(costs: dict[str, float], amount: float) -> Point | None:
    """The point of a ladder at ``amount``; its top, marked as short, beyond the end; None below its beginning."""
    near = [name for name, cost in costs.items() if abs(cost - amount) <= TOLERANCE * amount]
    if near:
        return Point({near[-1]: 1.0}, costs[near[-1]], short=False)
    rungs = sorted(costs.items(), key=lambda rung: rung[1])
    below = [rung for rung in rungs if rung[1] < amount]
    above = [rung for rung in rungs if rung[1] > amount]
    if not below:
        return None
    low = max(below, key=lambda rung: rung[1])
    if not above or low[1] <= 0:
        last = [name for name, cost in below if cost == low[1]][-1]
        return Point({last: 1.0}, low[1], short=True)
    high = above[0]
    weight = math.log2(amount / low[1]) / math.log2(high[1] / low[1])
    return Point({low[0]: 1.0 - weight, high[0]: weight}, amount, short=False)


def rival_at(trial: TrialEvidence, duel: Duel, currency: Currency, deployments: float, amount: float) -> Point | None:
    """The rival where it has spent ``amount`` a problem, its own investment shared alike."""
    if duel.rival is None:
        return None
    names = trial.ladder(duel.setting, trial.arms[duel.rival][1].method)
    costs = {name: cost for name in names if (cost := trial.spent(name, currency, deployments)) is not None}
    return meet(costs, amount)


def decompositions(trial: TrialEvidence, duel: Duel, currencies: tuple[Currency, ...]) -> list[DecompositionRow]:
    """The gap in every currency: the arm's investment shared by the deployments stated, and forgotten."""
    invested = trial.evidence.costs[duel.arm].invested
    rows = []
    for currency in currencies:
        rows.append(_row(trial, duel, currency, float(trial.terms.deployments), invested=invested))
        if invested:
            rows.append(_row(trial, duel, currency, math.inf, invested=True))
    return [row for row in rows if row is not None]


def _row(
    trial: TrialEvidence, duel: Duel, currency: Currency, deployments: float, *, invested: bool
) -> DecompositionRow | None:
    amount = trial.spent(duel.arm, currency, deployments)
    if not amount:
        return None
    point = rival_at(trial, duel, currency, deployments, amount)
    parts = take_apart(trial, duel, point)
    free = math.isinf(deployments)
    return DecompositionRow(
        arm=duel.arm,
        currency=currency.value,
        basis="adapt only" if free else "with outer loop",
        deployments=None if free or not invested else int(deployments),
        budget_per_problem=amount,
        budget_incomplete=False,
        rival=duel.rival if point else None,
        rival_cost_per_problem=point.spent if point else None,
        rival_underspent=bool(point and point.short),
        dearer=[],
        n_problems=parts.values.shape[1] if parts else None,
        n_questions=None,
        gap=_interval(parts.gap if parts else None),
        compute_part=_interval(parts.compute if parts else None),
        method_part=_interval(parts.method if parts else None),
        share=_interval(parts.share if parts else None),
        cross_fitted=None,
        setting=duel.setting,
        mixture=point.mixture if point else {},
        n_seeds=parts.values.shape[0] if parts else None,
    )


@final
@dataclass(frozen=True)
class Parts:
    """The gap and its parts; ``values`` are the arm's differences to its rival (to the frozen model without one)."""

    gap: Estimate | None
    compute: Estimate | None
    method: Estimate | None
    share: Estimate | None
    values: Floats


def take_apart(trial: TrialEvidence, duel: Duel, point: Point | None, *, share: bool = True) -> Parts | None:
    """Gap, compute's part and method's part from the same seeds and problems, so that the two add up to the gap."""
    kind = trial.terms.exam
    mixture = point.mixture if point else {}
    names = [duel.arm, *mixture, *([duel.frozen] if duel.frozen else [])]
    stacked = trial.paired(names, kind) if len(names) > 1 else None
    if stacked is None:
        return None
    mine = stacked[0]
    rival = trial.mixed(mixture, stacked, names) if mixture else None
    frozen = stacked[-1] if duel.frozen else None
    gap = mine - frozen if frozen is not None else None
    method = mine - rival if rival is not None else None
    weights = trial.evidence.weights(mine.shape[1])
    of_gap = crossed.ratio(method, gap, weights) if share and method is not None and gap is not None else None
    return Parts(
        trial.estimate(gap) if gap is not None else None,
        trial.estimate(rival - frozen) if rival is not None and frozen is not None else None,
        trial.estimate(method) if method is not None else None,
        of_gap,
        mine - (rival if rival is not None else frozen),
    )


def _interval(estimate: Estimate | None) -> Interval | None:
    return Interval.of(estimate) if estimate is not None else None


def break_even(trial: TrialEvidence, duel: Duel, currency: Currency) -> BreakEvenRow | None:
    """The method's part over every number of deployments; None where the arm invested nothing or has no rival."""
    bill = trial.bill(duel.arm, currency)
    if duel.rival is None or not bill or trial.adapt(duel.arm, currency) is None:
        return None
    curve = _Curve(trial, duel, currency)
    free = curve.at(math.inf)
    if free is None:
        return None
    ahead, clear = curve.holds_from(lambda part: part.value), curve.holds_from(lambda part: part.low)
    drawn = [*DRAWN, math.inf]
    return BreakEvenRow(
        setting=duel.setting,
        arm=duel.arm,
        rival=duel.rival,
        currency=currency.value,
        bill=bill,
        ahead_from=ahead,
        clear_from=clear,
        never=free.value <= 0,
        never_clear=free.low <= 0,
        not_before=curve.first_known(),
        after=[
            AfterDeployments(
                deployments=None if math.isinf(n) else int(n), spent=curve.spent(n), method_part=_interval(curve.at(n))
            )
            for n in drawn
        ],
    )


@final
class _Curve:
    """The method's part as a function of the number of deployments, remembered where it was computed."""

    def __init__(self, trial: TrialEvidence, duel: Duel, currency: Currency) -> None:
        self.trial, self.duel, self.currency = trial, duel, currency
        self._known: dict[float, Estimate | None] = {}

    def spent(self, deployments: float) -> float:
        return self.trial.spent(self.duel.arm, self.currency, deployments) or 0.0

    def at(self, deployments: float) -> Estimate | None:
        if deployments not in self._known:
            point = rival_at(self.trial, self.duel, self.currency, deployments, self.spent(deployments))
            matched = point is not None and not point.short
            parts = take_apart(self.trial, self.duel, point, share=False) if matched else None
            self._known[deployments] = parts.method if parts else None
        return self._known[deployments]

    def first_known(self) -> int | None:
        """The first number of deployments at which the rival can be matched."""
        return _first(lambda n: self.at(n) is not None)

    def holds_from(self, value: Callable[[Estimate], float]) -> int | None:
        """The first number of deployments from which on ``value`` of the method's part stays above zero."""

        def holds(n: float) -> bool:
            part = self.at(n)
            return part is not None and value(part) > 0

        return _first(holds) if holds(math.inf) else None


def _first(holds: Callable[[float], bool]) -> int | None:
    """The smallest number from which on ``holds``: sought downwards over a grid, then between its last two points."""
    failing = next((n for n in reversed(DRAWN) if not holds(n)), None)
    if failing is None:
        return DRAWN[0]
    if failing == DRAWN[-1]:
        return None
    low, high = failing, DRAWN[DRAWN.index(failing) + 1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
