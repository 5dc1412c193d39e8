"""The gap at equal cost, and when an outer loop pays: decomposition and amortisation rows of a verdict."""

from dataclasses import dataclass
from typing import Literal, final

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
    taken_apart: dict[tuple[str, ...], _Parts | None] = {}
    return [
        _row(evidence, arm, currency, basis, taken_apart)
        for arm in evidence.last_rounds()
        for currency in MATCHING_CURRENCIES
        for basis in ("with outer loop", "adapt only")
    ]


@final
@dataclass(frozen=True)
class _Parts:
    """The gap taken apart against the best of some rivals; ``held_out``: the method part with a cross-fitted choice."""

    rival: str
    parts: decomposition.Decomposition
    held_out: Estimate | None
    problems: int | None
    questions: int | None


def _row(
    evidence: Evidence, arm: Arm, currency: Currency, basis: Basis, taken_apart: dict[tuple[str, ...], _Parts | None]
) -> DecompositionRow:
    cost = evidence.costs[arm.name]
    charged = basis == "with outer loop"
    budget = cost.charged(currency) if charged else cost.adapt_per_problem(currency)
    prices = {rival.name: evidence.costs[rival.name].adapt_per_problem(currency) for rival in evidence.rivals_of(arm)}
    within = matching.affordable(prices, budget) if budget is not None else []
    if (arm.name, *within) not in taken_apart:
        taken_apart[arm.name, *within] = _take_apart(evidence, arm, within)
    found = taken_apart[arm.name, *within]
    return DecompositionRow(
        arm=arm.name,
        currency=currency,
        basis=basis,
        deployments=cost.deployments if charged else None,
        budget_per_problem=budget,
        budget_incomplete=charged and currency in cost.bill_incomplete,
        rival=found.rival if found else None,
        rival_cost_per_problem=prices[found.rival] if found else None,
        rival_underspent=bool(found and _underspent(prices[found.rival], budget)),
        dearer=[name for name, price in prices.items() if price is not None and name not in within] if budget else [],
        n_problems=found.problems if found else None,
        n_questions=found.questions if found else None,
        gap=Interval.of(found.parts.gap) if found else _gap_alone(evidence, arm),
        compute_part=Interval.of(found.parts.compute_part) if found else None,
        method_part=Interval.of(found.parts.method_part) if found else None,
        share=Interval.of(found.parts.share) if found and found.parts.share else None,
        cross_fitted=Interval.of(found.held_out) if found and found.held_out else None,
    )


def _take_apart(evidence: Evidence, arm: Arm, rivals: list[str]) -> _Parts | None:
    """Against the best of the rivals, over the questions that all of them answered."""
    rows = (arm.name, frozen_row(arm.name), *rivals)
    if not rivals:
        return None
    if not evidence.share_questions(*rows):
        return _unpaired_parts(evidence, arm, rivals)
    means = _means(evidence, rows)
    weights = evidence.weights(means.shape[1])
    best = int(means[2:].mean(axis=1).argmax())
    held_out = matching.cross_fitted(means[0], means[2:], evidence.rng("folds"))
    return _Parts(
        rivals[best],
        decomposition.decompose(means[0], means[2 + best], means[1], weights),
        intervals.estimate(held_out, weights),
        means.shape[1],
        int(evidence.answers.common(*rows).sum()),
    )


def _unpaired_parts(evidence: Evidence, arm: Arm, rivals: list[str]) -> _Parts | None:
    """From stated accuracies and numbers of questions alone; None where one of them is not stated."""
    accuracies = {name: value for name in rivals if (value := evidence.accuracies[name]) is not None}
    chosen = matching.best(accuracies, list(accuracies))
    if arm.correct is not None or chosen is None:
        return None
    rival = evidence.claim.arm(chosen)
    sides = [
        evidence.proportion(arm.accuracy, arm.n_questions),
        evidence.proportion(rival.accuracy, rival.n_questions),
        evidence.proportion(arm.frozen_accuracy, arm.frozen_questions or arm.n_questions),
    ]
    if sides[0] is None or sides[1] is None or sides[2] is None:
        return None
    parts = decomposition.decompose_unpaired(sides[0], sides[1], sides[2])
    return _Parts(chosen, parts, None, arm.n_problems, arm.n_questions)


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
    """For every last-round arm that carries a bill, in every currency, against every rival that is as accurate."""
    arms = [arm for arm in evidence.last_rounds() if arm.invests or arm.invests_unpublished]
    return [row for arm in arms for currency in MATCHING_CURRENCIES for row in _pays(evidence, arm, currency)]


def _pays(evidence: Evidence, arm: Arm, currency: Currency) -> list[AmortisationRow]:
    equals = _as_accurate(evidence, arm, currency)
    cheapest_first: list[str | None] = [*sorted(equals, key=lambda name: equals[name])]
    return [_against(evidence, arm, currency, name, equals) for name in cheapest_first or [None]]


def _against(
    evidence: Evidence, arm: Arm, currency: Currency, rival: str | None, prices: dict[str, float]
) -> AmortisationRow:
    cost = evidence.costs[arm.name]
    bill, adapt = cost.bill.amount(currency), cost.adapt_per_problem(currency)
    incomplete = currency in cost.bill_incomplete
    after = None
    if rival is not None and bill is not None and adapt is not None:
        after = amortisation.break_even(bill, adapt, prices[rival])
    never = rival is not None and adapt is not None and prices[rival] <= adapt and (incomplete or bool(bill))
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
        rival_per_problem=prices[rival] if rival else None,
        break_even=None if never else after,
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
