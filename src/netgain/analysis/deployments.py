"""When an investment pays.

A trial runs what learns anew for each number of deployments, with an investment made for just so many; at each of them
the arm under test is held against every conventional arm at the same total. Dividing one investment by numbers that it
was not made for would compare it at totals at which nothing was run. Of a published arm only the bill is known: what
can be asked is when it is earned back by what each problem saves.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from netgain.analysis.crossed import FEWEST_RUNS
from netgain.analysis.decomposition import points_at, worst_case
from netgain.analysis.evidence import Evidence
from netgain.analysis.matching import Contest, beside_another, comparable
from netgain.analysis.rows import BreakEvenRow, DeploymentsPoint
from netgain.analysis.verdict import AmortisationRow
from netgain.records.claim import Arm
from netgain.records.cost import Currency


def break_even_rows(evidence: Evidence, contests: list[Contest]) -> list[BreakEvenRow]:
    """For every arm under test of a trial that invested, in every currency: a point for each number of deployments."""
    if evidence.claim.terms is None:
        return []
    rows = (_break_even(evidence, contest, currency) for contest in contests for currency in evidence.currencies)
    return [row for row in rows if row is not None]


def _break_even(evidence: Evidence, contest: Contest, currency: Currency) -> BreakEvenRow | None:
    cost = evidence.costs[contest.arm]
    bill = cost.known_bill(currency)
    if not bill or cost.adapt_per_problem(currency) is None:
        return None
    rung = evidence.trial(contest.arm).rung
    runs = {
        evidence.costs[name].deployments or 0: name
        for name in evidence.runs(contest.arm)
        if evidence.trial(name).rung == rung and evidence.costs[name].invested
    }
    found = (_point(evidence, contest, currency, n, runs[n]) for n in sorted(runs))
    points = [point for point in found if point is not None]
    ahead, reason = ahead_from(points)
    return BreakEvenRow(
        setting=contest.setting,
        arm=contest.arm,
        currency=currency.value,
        bill=bill,
        points=points,
        ahead_from=ahead,
        reason=reason,
    )


def _point(
    evidence: Evidence, contest: Contest, currency: Currency, deployments: int, run: str
) -> DeploymentsPoint | None:
    """The run for one number of deployments against the rivals as they were run for it."""
    amount = evidence.costs[run].exactly(deployments, currency)
    if amount is None:
        return None
    ladders, stand_ins, missing = {}, {}, []
    for rival, ladder in contest.rivals.items():
        if not evidence.costs[rival].invested:
            ladders[rival] = ladder
            continue
        made_for = {evidence.costs[name].deployments or 0: name for name in evidence.runs(rival)}
        nearest = max((n for n in made_for if n <= deployments), default=None)
        if nearest is None:
            missing.append(rival)
            continue
        ladders[rival] = tuple(evidence.ladder(made_for[nearest]))
        if nearest < deployments:
            stand_ins[rival] = made_for[nearest]
    there = replace(contest, arm=run, rivals=ladders)
    points = points_at(evidence, there, currency, amount)
    return DeploymentsPoint(
        deployments=deployments,
        arm=run,
        cost_per_problem=amount,
        worst_case=worst_case(evidence, there, points, set(ladders) - set(points)),
        stand_ins=stand_ins,
        missing=missing,
    )


def ahead_from(points: list[DeploymentsPoint]) -> tuple[int | None, str]:
    """The smallest number of deployments from which on the arm is ahead at all that were run, or None and why.

    From the largest number downwards, so that the order of the tests is fixed beforehand. It must hold at two numbers
    or more: one does not show that it goes on. Where the next smaller number could not be compared, the place says
    only where a rival's ladder ends, and is not given. Below three seeds nothing is concluded.
    """
    if len(points) < 2:
        return None, "it was run for one number of deployments"
    if any((_seeds(point) or 0) < FEWEST_RUNS for point in points):
        return None, f"fewer than {FEWEST_RUNS} seeds were run"
    first = len(points)
    while first and _ahead(points[first - 1]):
        first -= 1
    clear = points[first:]
    if not clear:
        last = points[-1]
        if last.worst_case is None or last.worst_case.ahead:  # something but the rivals' accuracy is in the way
            return None, _obstacle(last)
        return None, f"at {last.deployments:,}, the largest number, it is not ahead of every rival"
    if len(clear) == 1:
        return None, f"it is ahead at {clear[0].deployments:,} alone, the largest number that was run"
    if first and (why := _obstacle(points[first - 1])):
        return None, f"it is ahead at {clear[0].deployments:,} and above, but where that begins is not known: {why}"
    return clear[0].deployments, ""


def _seeds(point: DeploymentsPoint) -> int | None:
    """The fewest seeds of any of its comparisons."""
    return min((row.n_seeds or 0 for row in point.worst_case.all), default=None) if point.worst_case else FEWEST_RUNS


def _ahead(point: DeploymentsPoint) -> bool:
    return point.worst_case is not None and point.worst_case.ahead and not _obstacle(point)


def _obstacle(point: DeploymentsPoint) -> str:
    """Why an arm ahead of all that was compared is not ahead at equal compute; empty where it would be."""
    worst, where = point.worst_case, f"at {point.deployments:,}"
    if worst is None or worst.left_out:
        return f"{where} a rival could not be compared at the same total"
    if next(row.underspent for row in worst.all if row.rival == worst.rival):
        return f"{where} the strongest rival was run with less compute"
    if point.stand_ins or point.missing:
        return f"a rival that learns was not run for {point.deployments:,}"
    return ""


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
        which = " measured beside the same frozen model" if beside_another(evidence, arm) else ""
        note = f"no conventional arm of known cost{which} was as accurate, so there is nothing to hold the bill against"
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
