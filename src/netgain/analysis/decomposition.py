"""The gap over the frozen model at equal cost: what compute buys and what the method adds, in every currency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from netgain.analysis import crossed, intervals
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Estimate
from netgain.analysis.matching import Contest, Point, cross_fitted, meet
from netgain.analysis.verdict import DecompositionRow, Interval
from netgain.records.cost import Currency


@final
@dataclass(frozen=True, kw_only=True)
class Parts:
    """``gap`` = arm - frozen, ``compute`` = rival - frozen, ``method`` = arm - rival.

    All are means of the same seeds and problems, so compute and method part add up to the gap. ``share`` is the
    method's part of the gap, given only where the gap's interval excludes zero; ``cross_fitted`` the method part with
    the rival chosen on other problems than it is compared on, where it was not chosen beforehand.
    """

    rival: str | None = None
    gap: Estimate | None = None
    compute: Estimate | None = None
    method: Estimate | None = None
    share: Estimate | None = None
    cross_fitted: Estimate | None = None
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
    held_out = None
    if rival is not None and contest.chosen_on == "test" and not evidence.claim.terms:
        stacked = np.stack([found.mean(axis=0) for found in rivals.values()])
        held_out = cross_fitted(mine.mean(axis=0), stacked, evidence.rng("folds"))
    return Parts(
        rival=rival,
        gap=evidence.estimate(gap) if gap is not None else None,
        compute=evidence.estimate(bought) if bought is not None else None,
        method=evidence.estimate(method) if method is not None else None,
        share=crossed.ratio(method, gap, weights) if share and method is not None and gap is not None else None,
        cross_fitted=intervals.estimate(held_out, weights) if held_out is not None else None,
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
        gap=Interval.maybe(parts.gap),
        compute_part=Interval.maybe(parts.compute),
        method_part=Interval.maybe(parts.method),
        share=Interval.maybe(parts.share),
        cross_fitted=Interval.maybe(parts.cross_fitted),
        setting=contest.setting,
        mixture=dict(point.mixture) if point and evidence.claim.terms else {},
        n_seeds=parts.n_seeds,
    )


def _priced(evidence: Evidence, rival: str, currency: Currency) -> bool:
    return evidence.costs[rival].adapt_per_problem(currency) is not None
