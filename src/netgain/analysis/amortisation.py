"""When an investment pays: over how many deployments an arm is ahead of its rival, and when its bill is earned back."""

import math
from collections.abc import Callable, Iterator
from typing import final

from netgain.analysis.decomposition import points_at, take_apart
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Estimate
from netgain.analysis.matching import Contest, comparable
from netgain.analysis.rows import AfterDeployments, BreakEvenRow, Interval
from netgain.analysis.verdict import AmortisationRow
from netgain.records.claim import Arm
from netgain.records.cost import Currency

DRAWN = sorted({round(10 ** (step / 8)) for step in range(41)})


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
                method_part=Interval.maybe(curve.at(n)),
            )
            for n in [*DRAWN, math.inf]
        ],
    )


@final
class _Curve:
    """The method's part as a function of the number of deployments, remembered where it was computed."""

    def __init__(self, evidence: Evidence, contest: Contest, currency: Currency) -> None:
        self._evidence, self._contest, self._currency = evidence, contest, currency
        self._known: dict[float, Estimate | None] = {}

    def spent(self, deployments: float) -> float:
        return self._evidence.costs[self._contest.arm].exactly(deployments, self._currency) or 0.0

    def at(self, deployments: float) -> Estimate | None:
        """None where the rival's ladder does not reach what the arm spent."""
        if deployments not in self._known:
            amount = self.spent(deployments)
            points = points_at(self._evidence, self._contest, self._currency, deployments, amount)
            matched = {rival: point for rival, point in points.items() if not point.short}
            parts = take_apart(self._evidence, self._contest, matched, share=False) if matched else None
            self._known[deployments] = parts.method if parts else None
        return self._known[deployments]

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
