"""The gap at equal cost, and when an outer loop pays: decomposition and amortisation rows of a verdict."""

from typing import Literal

from netgain.analysis import amortisation, decomposition, intervals, matching
from netgain.analysis.costs import MATCHING_CURRENCIES
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Estimate
from netgain.analysis.table import Floats, frozen_row
from netgain.analysis.verdict import AmortisationRow, DecompositionRow, Interval
from netgain.records.claim import Arm
from netgain.records.cost import Currency

Basis = Literal["with outer loop", "adapt only"]


def decompositions(evidence: Evidence) -> list[DecompositionRow]:
    """For every last-round arm, in every currency, charged with and without its outer loop."""
    taken_apart: dict[tuple[str, ...], _Parts] = {}
    return [
        _row(evidence, arm, currency, basis, taken_apart)
        for arm in evidence.last_rounds()
        for currency in MATCHING_CURRENCIES
        for basis in ("with outer loop", "adapt only")
    ]


_Parts = tuple[str, decomposition.Decomposition, Estimate | None] | None


def _row(
    evidence: Evidence, arm: Arm, currency: Currency, basis: Basis, taken_apart: dict[tuple[str, ...], _Parts]
) -> DecompositionRow:
    cost = evidence.costs[arm.name]
    charged = basis == "with outer loop"
    deployments = arm.n_problems if charged else None
    budget = cost.with_bill(currency, deployments) if deployments else cost.adapt_per_problem(currency)
    prices = {rival.name: evidence.costs[rival.name].adapt_per_problem(currency) for rival in evidence.rivals_of(arm)}
    within = matching.affordable(prices, budget) if budget is not None else []
    if (arm.name, *within) not in taken_apart:
        taken_apart[arm.name, *within] = _parts(evidence, arm, within)
    parts = taken_apart[arm.name, *within]
    return DecompositionRow(
        arm=arm.name,
        currency=currency,
        basis=basis,
        deployments=deployments,
        budget_per_problem=budget,
        budget_incomplete=charged and currency in cost.bill_incomplete,
        rival=parts[0] if parts else None,
        rival_cost_per_problem=prices[parts[0]] if parts else None,
        rival_underspent=bool(parts and _underspent(prices[parts[0]], budget)),
        gap=Interval.of(parts[1].gap) if parts else _gap_alone(evidence, arm),
        compute_part=Interval.of(parts[1].compute_part) if parts else None,
        method_part=Interval.of(parts[1].method_part) if parts else None,
        share=Interval.of(parts[1].share) if parts and parts[1].share else None,
        cross_fitted=Interval.of(parts[2]) if parts and parts[2] else None,
    )


def _parts(evidence: Evidence, arm: Arm, rivals: list[str]) -> _Parts:
    """The best of the rivals, the gap taken apart against it, and the method part with a cross-fitted choice."""
    rows = (arm.name, frozen_row(arm.name), *rivals)
    if not rivals:
        return None
    if not evidence.share_questions(*rows):
        return _unpaired_parts(evidence, arm, rivals)
    means = _means(evidence, rows)
    weights = evidence.weights(means.shape[1])
    chosen = matching.best(dict(zip(rivals, means[2:].mean(axis=1), strict=True)), rivals)
    assert chosen is not None  # noqa: S101 - rivals is not empty
    parts = decomposition.decompose(means[0], means[2 + rivals.index(chosen)], means[1], weights)
    held_out = matching.cross_fitted(means[0], means[2:], evidence.rng("folds"))
    return chosen, parts, intervals.estimate(held_out, weights)


def _unpaired_parts(evidence: Evidence, arm: Arm, rivals: list[str]) -> _Parts:
    """From stated accuracies and numbers of questions alone; None where one of them is not stated."""
    accuracies = {name: value for name in rivals if (value := evidence.accuracies[name]) is not None}
    chosen = matching.best(accuracies, list(accuracies))
    if arm.correct is not None or chosen is None:
        return None
    rival = evidence.claim.arm(chosen)
    sides = [
        evidence.proportion(arm.accuracy, arm.n_questions),
        evidence.proportion(rival.accuracy, rival.n_questions),
        evidence.proportion(arm.frozen_accuracy, arm.n_questions),
    ]
    if sides[0] is None or sides[1] is None or sides[2] is None:
        return None
    return chosen, decomposition.decompose_unpaired(sides[0], sides[1], sides[2]), None


def _underspent(cost: float | None, budget: float | None) -> bool:
    return cost is not None and budget is not None and cost < budget * (1 - matching.TOLERANCE)


def _gap_alone(evidence: Evidence, arm: Arm) -> Interval | None:
    rows = (arm.name, frozen_row(arm.name))
    if not evidence.share_questions(*rows):
        return None
    means = _means(evidence, rows)
    return Interval.of(intervals.estimate(means[0] - means[1], evidence.weights(means.shape[1])))


def _means(evidence: Evidence, rows: tuple[str, ...]) -> Floats:
    return evidence.answers.problem_means(rows, evidence.answers.common(*rows))


def amortisations(evidence: Evidence) -> list[AmortisationRow]:
    """For every last-round arm that carries a bill, in every currency."""
    arms = [arm for arm in evidence.last_rounds() if arm.invests or arm.invests_unpublished]
    return [_pays(evidence, arm, currency) for arm in arms for currency in MATCHING_CURRENCIES]


def _pays(evidence: Evidence, arm: Arm, currency: Currency) -> AmortisationRow:
    cost = evidence.costs[arm.name]
    bill, adapt = cost.bill.amount(currency), cost.adapt_per_problem(currency)
    equals = _as_accurate(evidence, arm, currency)
    rival = min(equals, key=lambda name: equals[name], default=None)
    break_even = None
    if rival is not None and bill is not None and adapt is not None:
        break_even = amortisation.break_even(bill, adapt, equals[rival])
    never = rival is not None and adapt is not None and bill is not None and break_even is None
    if rival is None:
        note = "no conventional arm of known cost was as accurate, so there is nothing to hold the bill against"
    elif never:
        note = "it is as accurate and costs no more for each problem"
    else:
        note = "by then the outer loop has saved what it cost"
    return AmortisationRow(
        arm=arm.name,
        currency=currency,
        bill=bill,
        bill_incomplete=currency in cost.bill_incomplete,
        adapt_per_problem=adapt,
        rival=rival,
        rival_per_problem=equals[rival] if rival else None,
        break_even=break_even,
        never=never,
        note=note,
    )


def _as_accurate(evidence: Evidence, arm: Arm, currency: Currency) -> dict[str, float]:
    """Conventional arms at least as accurate as this one on the questions both answered, with their known costs."""
    result = {}
    for rival in evidence.rivals_of(arm):
        price = evidence.costs[rival.name].adapt_per_problem(currency)
        if price is not None and _no_worse(evidence, rival, arm):
            result[rival.name] = price
    return result


def _no_worse(evidence: Evidence, rival: Arm, arm: Arm) -> bool:
    if evidence.share_questions(arm.name, rival.name):
        mine, theirs = _means(evidence, (arm.name, rival.name)).mean(axis=1)
        return bool(theirs >= mine)
    stated = (rival.accuracy, arm.accuracy)
    return stated[0] is not None and stated[1] is not None and stated[0] >= stated[1]
