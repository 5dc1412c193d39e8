"""The gap over the frozen model at equal cost: what compute buys and what the method adds, in every currency.

And when an investment pays: over how many deployments an arm is ahead of its rival, and when its bill is earned back.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from netgain.analysis import crossed, intervals
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Interval
from netgain.analysis.matching import Contest, Point, beside_another, comparable, cross_fitted, meet
from netgain.analysis.rows import AfterDeployments, BreakEvenRow
from netgain.analysis.verdict import AmortisationRow, DecompositionRow
from netgain.records.claim import Arm
from netgain.records.cost import Currency

DRAWN = sorted({round(10 ** (step / 8)) for step in range(41)})


@final
@dataclass(frozen=True, kw_only=True)
class Parts:
    """``gap`` = arm - frozen, ``compute`` = rival - frozen, ``method`` = arm - rival.

    All are means of the same seeds and problems, so compute and method part add up to the gap. ``share`` is the
    method's part of the gap, given only where the gap's interval excludes zero; ``cross_fitted`` the method part with
    the rival chosen on other problems than it is compared on, where it was not chosen beforehand.
    """

    rival: str | None = None
    gap: Interval | None = None
    compute: Interval | None = None
    method: Interval | None = None
    share: Interval | None = None
    cross_fitted: Interval | None = None
    n_seeds: int | None = None
    n_problems: int | None = None
    n_questions: int | None = None


def points_at(
    evidence: Evidence, contest: Contest, currency: Currency, deployments: float | None, amount: float | None
) -> dict[str, Point]:
    """Of each rival the point of its ladder at this amount for one problem, its own investment shared alike."""
    found = {}
    for rival, ladder in contest.rivals.items():
        costs = {name: evidence.costs[name].exactly(deployments, currency) for name in ladder}
        point = meet(costs, amount) if amount is not None else None
        if point is not None:
            found[rival] = point
    return found


def take_apart(evidence: Evidence, contest: Contest, points: Mapping[str, Point], *, share: bool = True) -> Parts:
    """The gap against the best of these rivals, over the seeds, problems and questions that all of them have."""
    arm, frozen, kind = contest.arm, contest.frozen, evidence.exam
    rungs = dict.fromkeys(rung for point in points.values() for rung in point.mixture)
    names = (arm, *rungs, *([frozen] if frozen else []))
    values = evidence.table.means(*names, kind=kind) if len(names) > 1 else None
    if values is None:
        if arm not in evidence.table:
            return _unpaired(evidence, contest, points)
        return take_apart(evidence, contest, {}) if points else Parts()
    mine, base = values[0], values[-1] if frozen else None
    at = {rung: values[index] for index, rung in enumerate(rungs, start=1)}
    rivals = {rival: np.sum([w * at[rung] for rung, w in p.mixture.items()], axis=0) for rival, p in points.items()}
    rival = max(rivals, key=lambda name: float(rivals[name].mean()), default=None)
    gap = mine - base if base is not None else None
    method = mine - rivals[rival] if rival is not None else None
    bought = rivals[rival] - base if rival is not None and base is not None else None
    weights = evidence.weights(values.shape[2])
    questions = evidence.table.questions_a_unit(*names, kind=kind)
    held_out = None
    if rival is not None and contest.chosen_on == "test" and not evidence.claim.terms:
        stacked = np.stack([found.mean(axis=0) for found in rivals.values()])
        held_out = cross_fitted(mine.mean(axis=0), stacked, evidence.rng("folds"))
    return Parts(
        rival=rival,
        gap=evidence.estimate(gap, questions=questions) if gap is not None else None,
        compute=evidence.estimate(bought, questions=questions) if bought is not None else None,
        method=evidence.estimate(method, questions=questions) if method is not None else None,
        share=crossed.ratio(method, gap, weights, questions)
        if share and method is not None and gap is not None
        else None,
        cross_fitted=intervals.estimate(held_out, weights, questions=questions) if held_out is not None else None,
        n_seeds=values.shape[1],
        n_problems=values.shape[2],
        n_questions=int(evidence.table.common(*names, kind=kind).sum()),
    )


def _unpaired(evidence: Evidence, contest: Contest, points: Mapping[str, Point]) -> Parts:
    """From stated accuracies and numbers of questions alone (Newcombe's intervals); nothing is paired, so no share."""
    stated = {name: value for name in sorted(points) if (value := evidence.accuracies[name]) is not None}
    rival = max(stated, key=lambda name: stated[name], default=None)
    if rival is None:
        return Parts()
    mine, base = evidence.stated(contest.arm), evidence.stated(contest.arm, frozen=True)
    other = evidence.stated(rival)
    if mine is None or base is None or other is None:
        return Parts()
    arm, apart = evidence.arms[contest.arm], intervals.newcombe
    return Parts(
        rival=rival,
        gap=apart(mine, base),
        compute=apart(other, base),
        method=apart(mine, other),
        n_problems=arm.n_problems,
        n_questions=arm.n_questions,
    )


def decompositions(evidence: Evidence, contests: list[Contest]) -> list[DecompositionRow]:
    """For every arm under test, in every currency: its investment shared by the deployments, and forgotten."""
    return [
        row
        for contest in contests
        for row in _of_contest(evidence, contest, {})
        if row.budget_per_problem or not evidence.claim.terms
    ]


def _of_contest(
    evidence: Evidence, contest: Contest, known: dict[tuple[tuple[str, float], ...], Parts]
) -> list[DecompositionRow]:
    cost = evidence.costs[contest.arm]
    shared = (float(cost.deployments) if cost.deployments else None, math.inf) if cost.invested else (None,)
    return [
        _row(evidence, contest, currency, deployments, known)
        for currency in evidence.currencies
        for deployments in shared
    ]


def _row(
    evidence: Evidence,
    contest: Contest,
    currency: Currency,
    deployments: float | None,
    known: dict[tuple[tuple[str, float], ...], Parts],
) -> DecompositionRow:
    cost = evidence.costs[contest.arm]
    free = deployments == math.inf
    budget = cost.shared_by(deployments, currency)
    points = points_at(evidence, contest, currency, deployments, budget)
    mixed = tuple(rung for point in points.values() for rung in point.mixture.items())
    if mixed not in known:
        known[mixed] = take_apart(evidence, contest, points)
    parts = known[mixed]
    point = points.get(parts.rival or "")
    arm, rival = evidence.arms[contest.arm], evidence.arms.get(parts.rival or "")
    dear = [rival for rival in contest.rivals if rival not in points and _priced(evidence, rival, currency)]
    return DecompositionRow(
        arm=contest.arm,
        currency=currency.value,
        basis="adapt only" if free else "with outer loop",
        deployments=int(deployments) if deployments and not free else None,
        budget_per_problem=budget,
        budget_incomplete=cost.invested and not free and currency in cost.bill_incomplete,
        rival=parts.rival,
        rival_cost_per_problem=point.spent if point else None,
        rival_underspent=bool(point and point.short),
        dearer=dear if budget else [],
        n_problems=parts.n_problems,
        n_questions=parts.n_questions,
        gap=parts.gap,
        compute_part=parts.compute,
        method_part=parts.method,
        share=parts.share,
        cross_fitted=parts.cross_fitted,
        other_frozen=beside_another(evidence, arm) if evidence.claim.terms is None else [],
        prompts_differ=bool(rival and arm.prompt and rival.prompt and arm.prompt != rival.prompt),
        setting=contest.setting,
        mixture=dict(point.mixture) if point and evidence.claim.terms else {},
        n_seeds=parts.n_seeds,
    )


def _priced(evidence: Evidence, rival: str, currency: Currency) -> bool:
    return evidence.costs[rival].adapt_per_problem(currency) is not None


def break_even_rows(evidence: Evidence, contests: list[Contest]) -> list[BreakEvenRow]:
    """The method's part over every number of deployments: where an arm invested and its rival has a ladder to climb."""
    rows = (
        _break_even(evidence, contest, currency)
        for contest in contests
        for currency in evidence.currencies
        if any(len(ladder) > 1 for ladder in contest.rivals.values())
    )
    return [row for row in rows if row is not None]


def _break_even(evidence: Evidence, contest: Contest, currency: Currency) -> BreakEvenRow | None:
    cost, rival = evidence.costs[contest.arm], contest.rival
    bill = cost.known_bill(currency)
    if rival is None or not bill or cost.adapt_per_problem(currency) is None:
        return None
    curve = _Curve(evidence, contest, currency)
    free = curve.at(math.inf)
    if free is None:
        return None
    ahead, clear = curve.holds_from(lambda part: part.value), curve.holds_from(lambda part: part.low)
    return BreakEvenRow(
        setting=contest.setting,
        arm=contest.arm,
        rival=rival,
        currency=currency.value,
        bill=bill,
        ahead_from=ahead,
        clear_from=clear,
        never=free.value <= 0,
        never_clear=free.low <= 0,
        not_before=_first(lambda n: curve.at(n) is not None),
        after=[
            AfterDeployments(
                deployments=None if math.isinf(n) else int(n),
                spent=curve.spent(n),
                method_part=curve.at(n),
            )
            for n in [*DRAWN, math.inf]
        ],
    )


@final
class _Curve:
    """The method's part as a function of the number of deployments, remembered where it was computed."""

    def __init__(self, evidence: Evidence, contest: Contest, currency: Currency) -> None:
        self._evidence, self._contest, self._currency = evidence, contest, currency
        self._known: dict[float, Interval | None] = {}

    def spent(self, deployments: float) -> float:
        return self._evidence.costs[self._contest.arm].exactly(deployments, self._currency) or 0.0

    def at(self, deployments: float) -> Interval | None:
        """None where the rival's ladder does not reach what the arm spent."""
        if deployments not in self._known:
            amount = self.spent(deployments)
            points = points_at(self._evidence, self._contest, self._currency, deployments, amount)
            matched = {rival: point for rival, point in points.items() if not point.short}
            parts = take_apart(self._evidence, self._contest, matched, share=False) if matched else None
            self._known[deployments] = parts.method if parts else None
        return self._known[deployments]

    def holds_from(self, value: Callable[[Interval], float]) -> int | None:
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


def amortisations(evidence: Evidence, contests: list[Contest]) -> list[AmortisationRow]:
    """For published arms that carry a bill, in every currency, against every rival that is as accurate, cheapest first.

    Published rivals have no ladder; what can be asked is when the bill is earned back by what each problem saves.
    """
    if evidence.claim.terms:
        return []
    arms = [evidence.arms[contest.arm] for contest in contests if evidence.costs[contest.arm].invested]
    return [row for arm in arms for currency in evidence.currencies for row in _pays(evidence, arm, currency)]


def _pays(evidence: Evidence, arm: Arm, currency: Currency) -> Iterator[AmortisationRow]:
    found = {
        rival: price
        for rival in comparable(evidence, arm)
        if (price := evidence.costs[rival].adapt_per_problem(currency)) is not None and _no_worse(evidence, rival, arm)
    }
    names: list[str | None] = [*sorted(found, key=lambda name: (found[name], name))]
    for rival in names or [None]:
        yield _against(evidence, arm, currency, rival, found[rival] if rival else None)


def _no_worse(evidence: Evidence, rival: str, arm: Arm) -> bool:
    pair = evidence.table.means(rival, arm.name, kind=evidence.exam)
    if pair is not None:
        theirs, mine = pair.mean(axis=(1, 2))
        return bool(theirs >= mine)
    stated = (evidence.arms[rival].accuracy, arm.accuracy)
    return stated[0] is not None and stated[1] is not None and stated[0] >= stated[1]


def _against(
    evidence: Evidence, arm: Arm, currency: Currency, rival: str | None, price: float | None
) -> AmortisationRow:
    cost = evidence.costs[arm.name]
    bill, adapt = cost.bill.amount(currency), cost.adapt_per_problem(currency)
    incomplete = currency in cost.bill_incomplete
    known = price is not None and bill is not None and adapt is not None
    after = break_even(bill or 0.0, adapt or 0.0, price or 0.0) if known else None
    never = price is not None and adapt is not None and price <= adapt and (incomplete or bool(bill))
    if rival is None:
        note = "no conventional arm of known cost was as accurate, so there is nothing to hold the bill against"
    elif never:
        note = "it is as accurate and costs no more for each problem"
    elif after is None:
        note = "a cost is unknown"
    elif incomplete:
        note = "the bill is a lower bound, so it may be later"
    else:
        note = "by then the outer loop has saved what it cost"
    return AmortisationRow(
        arm=arm.name,
        currency=currency,
        bill=bill,
        bill_incomplete=incomplete,
        adapt_per_problem=adapt,
        rival=rival,
        rival_per_problem=price,
        break_even=None if never else after,
        never=never,
        note=note,
    )


def break_even(bill: float, adapt: float, rival_adapt: float) -> int | None:
    """The number of problems after which ``bill + n * adapt`` is no more than ``n * rival_adapt``.

    None where it never is: the rival costs no more for each problem (or by next to nothing), so a positive bill is
    never earned back.
    """
    saving = rival_adapt - adapt
    if bill <= 0:
        return 0 if saving >= 0 else None
    after = bill / saving if saving > 0 else math.inf
    return math.ceil(after) if math.isfinite(after) else None
