"""The gap over the frozen model at equal cost: what compute buys and what the method adds, in every currency.

Whether the method adds anything is asked against every conventional arm, not against one of them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from scipy import stats

from netgain.analysis import crossed, intervals
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Floats, Interval
from netgain.analysis.matching import Contest, Point, beside_another, cross_fitted, meet
from netgain.analysis.rows import EQUIVALENCE_MARGIN, RivalRow, WorstCase
from netgain.analysis.verdict import DecompositionRow
from netgain.records.cost import Currency

LEVEL = 0.025  # of a one-sided test, so that it and a 95 % interval say the same
Mixture = tuple[tuple[str, float], ...]


@final
@dataclass(frozen=True, kw_only=True)
class Parts:
    """``gap`` = arm - frozen, ``compute`` = rival - frozen, ``method`` = arm - rival.

    All are means of the same seeds and problems, so compute and method part add up to the gap. ``share`` is the
    method's part of the gap, given only where the gap's interval excludes zero; ``cross_fitted`` the method part with
    the rival chosen on other problems and seeds than it is compared on, and how often each was.
    """

    rival: str | None = None
    gap: Interval | None = None
    compute: Interval | None = None
    method: Interval | None = None
    share: Interval | None = None
    cross_fitted: Interval | None = None
    cross_fitted_rivals: Mapping[str, float] = field(default_factory=dict)
    n_seeds: int | None = None
    n_problems: int | None = None
    n_questions: int | None = None


def points_at(
    evidence: Evidence, contest: Contest, currency: Currency, amount: float | None, *, free: bool = False
) -> dict[str, Point]:
    """Of each rival the point of its ladder at this amount for one problem, its own investment's share included, or
    forgotten (``free``)."""
    found = {}
    for rival, ladder in contest.rivals.items():
        costs = {
            name: evidence.costs[name].exactly(math.inf if free else evidence.costs[name].deployments, currency)
            for name in ladder
        }
        point = meet(costs, amount) if amount is not None else None
        if point is not None:
            found[rival] = point
    return found


def take_apart(evidence: Evidence, contest: Contest, points: Mapping[str, Point]) -> Parts:
    """The gap against the rival that was chosen beforehand, else against the best of all; and cross-fitted."""
    if contest.chosen is None:
        parts = _apart(evidence, contest, points)
    else:
        parts = _apart(evidence, contest, {name: points[name] for name in points if name == contest.chosen})
    fitted = _cross_fitted(evidence, contest, points) if contest.chosen_on != "fixed before the run" else None
    if parts.rival is None or fitted is None:
        return parts
    difference, chosen = fitted
    return replace(parts, cross_fitted=difference, cross_fitted_rivals=chosen)


def _apart(evidence: Evidence, contest: Contest, points: Mapping[str, Point]) -> Parts:
    """The gap against the best of these rivals, over the seeds, problems and questions that all of them have."""
    arm, frozen, kind = contest.arm, contest.frozen, evidence.exam
    names = (arm, *_rungs(points), *([frozen] if frozen else []))
    values = evidence.table.means(*names, kind=kind) if len(names) > 1 else None
    if values is None:
        if arm not in evidence.table:
            return _unpaired(evidence, contest, points)
        return _apart(evidence, contest, {}) if points else Parts()
    mine, base = values[0], values[-1] if frozen else None
    rivals = _mixed(points, values)
    rival = max(rivals, key=lambda name: float(rivals[name].mean()), default=None)
    gap = mine - base if base is not None else None
    method = mine - rivals[rival] if rival is not None else None
    bought = rivals[rival] - base if rival is not None and base is not None else None
    weights = evidence.weights(values.shape[2])
    questions = evidence.table.questions_a_unit(*names, kind=kind)
    return Parts(
        rival=rival,
        gap=evidence.estimate(gap, questions=questions) if gap is not None else None,
        compute=evidence.estimate(bought, questions=questions) if bought is not None else None,
        method=evidence.estimate(method, questions=questions) if method is not None else None,
        share=crossed.ratio(method, gap, weights, questions) if method is not None and gap is not None else None,
        n_seeds=values.shape[1],
        n_problems=values.shape[2],
        n_questions=int(evidence.table.common(*names, kind=kind).sum()),
    )


def _rungs(points: Mapping[str, Point]) -> list[str]:
    return list(dict.fromkeys(rung for point in points.values() for rung in point.mixture))


def _mixed(points: Mapping[str, Point], values: Floats) -> dict[str, Floats]:
    """Each rival between its levels, from the means of (the arm, all levels of all rivals, ...)."""
    at = {rung: values[index] for index, rung in enumerate(_rungs(points), start=1)}
    return {rival: np.sum([w * at[rung] for rung, w in p.mixture.items()], axis=0) for rival, p in points.items()}


def _cross_fitted(
    evidence: Evidence, contest: Contest, points: Mapping[str, Point]
) -> tuple[Interval, dict[str, float]] | None:
    values = evidence.table.means(contest.arm, *_rungs(points), kind=evidence.exam) if points else None
    if values is None:
        return None
    rivals = _mixed(points, values)
    development = [evidence.trial(name).development for name in rivals]
    found, shares = cross_fitted(
        values[0],
        np.stack([*rivals.values()]),
        development,
        evidence.rng("folds"),
        evidence.weights(values.shape[2]),
        evidence.table.questions_a_unit(contest.arm, *_rungs(points), kind=evidence.exam),
    )
    return found, {name: float(share) for name, share in zip(rivals, shares, strict=True) if share}


def _unpaired(evidence: Evidence, contest: Contest, points: Mapping[str, Point]) -> Parts:
    """From stated accuracies and numbers of questions alone (Newcombe's intervals); nothing is paired, so no share."""
    stated = {name: value for name in sorted(points) if (value := evidence.accuracies[name]) is not None}
    rival = max(stated, key=lambda name: stated[name], default=None)
    if rival is None:
        return Parts()
    mine, base = evidence.stated(contest.arm), evidence.stated(contest.arm, frozen=True)
    other = evidence.stated(rival)
    unfrozen = evidence.frozen_accuracy(contest.arm) is None  # no frozen model: the arms alone are held together
    if mine is None or other is None or (base is None and not unfrozen):
        return Parts()
    arm, apart = evidence.arms[contest.arm], intervals.newcombe
    return Parts(
        rival=rival,
        gap=apart(mine, base) if base else None,
        compute=apart(other, base) if base else None,
        method=apart(mine, other),
        n_problems=arm.n_problems,
        n_questions=arm.n_questions,
    )


# -- against every conventional arm


def worst_case(
    evidence: Evidence,
    contest: Contest,
    points: Mapping[str, Point],
    left_out: Iterable[str] = (),
    known: dict[Mixture, RivalRow | None] | None = None,
) -> WorstCase | None:
    """The arm against each of these rivals, and all of them at once; None where it was compared with none.

    What has no verdicts in common with the arm joins those that are left out. ``known`` remembers what was compared at
    the same levels in another currency.
    """
    known = {} if known is None else known
    rows, lost = [], [*left_out]
    for rival, point in points.items():
        mixture = tuple(point.mixture.items())
        if mixture not in known:
            known[mixture] = _rival_row(evidence, contest.arm, rival, point)
        row = known[mixture]
        cost = {"cost_per_problem": point.spent, "underspent": point.short}
        if row is None:
            lost.append(rival)
        else:
            rows.append(row.model_copy(update=cost))
    fixed = contest.chosen_on == "fixed before the run"
    return intersection(rows, contest.chosen, fixed=fixed, left_out=lost)


def intersection(
    rows: Sequence[RivalRow], chosen: str | None, *, fixed: bool = False, left_out: Sequence[str] = ()
) -> WorstCase | None:
    """All rivals at once. ``chosen``: the one that was chosen beforehand, ``fixed``: the only one that it is about
    whether the two are equal."""
    if not rows:
        return None
    behind = intervals.holm([row.p_behind for row in rows])
    adjusted = [row.model_copy(update={"p_behind": p}) for row, p in zip(rows, behind, strict=True)]
    adjusted.sort(key=lambda row: (row.difference.value, row.rival))
    p = max(row.p for row in adjusted)
    return WorstCase(
        rival=adjusted[0].rival,
        difference=adjusted[0].difference,
        p=p,
        level=LEVEL,
        ahead=p <= LEVEL and all(row.difference.low > 0 for row in adjusted),
        behind=[row.rival for row in adjusted if row.p_behind <= LEVEL and row.difference.high < 0],
        p_equivalent=_equivalent([row for row in adjusted if not fixed or row.rival == chosen], chosen),
        all=adjusted,
        left_out=sorted(left_out),
    )


def _equivalent(rows: Sequence[RivalRow], chosen: str | None) -> float | None:
    """Not clearly behind any, and not clearly ahead of one: of the chosen, whose choice took no test problems, else of
    any."""
    not_worse = [row.p_not_worse for row in rows if row.p_not_worse is not None]
    not_better = {row.rival: row.p_not_better for row in rows if row.p_not_better is not None}
    if len(not_worse) < len(rows) or len(not_better) < len(rows) or not rows:
        return None
    ahead_of = not_better[chosen] if chosen in not_better else min(intervals.holm([*not_better.values()]))
    return max(*not_worse, ahead_of)


def _rival_row(evidence: Evidence, arm: str, rival: str, point: Point) -> RivalRow | None:
    values = evidence.table.means(arm, *point.mixture, kind=evidence.exam)
    if values is None:
        return None if arm in evidence.table else _stated_row(evidence, arm, rival, point)
    differences = values[0] - np.sum([w * values[i] for i, w in enumerate(point.mixture.values(), 1)], axis=0)
    weights = evidence.weights(differences.shape[1])
    questions = evidence.table.questions_a_unit(arm, *point.mixture, kind=evidence.exam)

    def p(values: Floats, above: float = 0.0) -> float:
        return crossed.one_sided_p(values, weights, above, questions=questions)

    near, trial = -EQUIVALENCE_MARGIN, evidence.claim.terms is not None
    return RivalRow(
        rival=rival,
        difference=evidence.estimate(differences, questions=questions),
        p=p(differences),
        p_behind=p(-differences),
        p_not_worse=p(differences, near) if trial else None,
        p_not_better=p(-differences, near) if trial else None,
        cost_per_problem=point.spent,
        underspent=point.short,
        n_seeds=differences.shape[0],
        n_problems=differences.shape[1],
    )


def _stated_row(evidence: Evidence, arm: str, rival: str, point: Point) -> RivalRow | None:
    """From two stated accuracies; p by the score test of two independent proportions, as Newcombe's interval is."""
    mine, other = evidence.stated(arm), evidence.stated(rival)
    asked, others = (evidence.arms[name].n_questions or 0 for name in (arm, rival))
    if mine is None or other is None:
        return None
    found = intervals.newcombe(mine, other)
    pooled = (mine.value * asked + other.value * others) / (asked + others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / asked + 1 / others))
    p = float(stats.norm.sf(found.value / error)) if error else 0.5
    return RivalRow(
        rival=rival,
        difference=found,
        p=p,
        p_behind=1.0 - p,
        p_not_worse=None,
        p_not_better=None,
        cost_per_problem=point.spent,
        underspent=point.short,
        n_seeds=None,
        n_problems=evidence.arms[arm].n_problems,
    )


# -- in every currency


def decompositions(evidence: Evidence, contests: list[Contest]) -> list[DecompositionRow]:
    """For every arm under test, in every currency: its investment shared by the deployments, and forgotten."""
    return [
        row
        for contest in contests
        for row in _of_contest(evidence, contest)
        if row.budget_per_problem or not evidence.claim.terms
    ]


def deciding_row(evidence: Evidence, contest: Contest, currency: Currency) -> DecompositionRow:
    """The row of one contest in one currency, its investment shared by the deployments."""
    return _row(evidence, contest, currency, {}, {}, free=False)


def _of_contest(evidence: Evidence, contest: Contest) -> list[DecompositionRow]:
    invested = evidence.costs[contest.arm].invested
    parts: dict[Mixture, Parts] = {}
    rivals: dict[Mixture, RivalRow | None] = {}
    return [
        _row(evidence, contest, currency, parts, rivals, free=free)
        for currency in evidence.currencies
        for free in ((False, True) if invested else (False,))
    ]


def _row(
    evidence: Evidence,
    contest: Contest,
    currency: Currency,
    taken_apart: dict[Mixture, Parts],
    known: dict[Mixture, RivalRow | None],
    *,
    free: bool,
) -> DecompositionRow:
    cost = evidence.costs[contest.arm]
    budget = cost.shared_by(math.inf if free else cost.deployments, currency)
    points = points_at(evidence, contest, currency, budget, free=free)
    dear = [rival for rival in contest.rivals if rival not in points and _priced(evidence, rival, currency)]
    mixed = tuple(rung for point in points.values() for rung in point.mixture.items())
    if mixed not in taken_apart:
        taken_apart[mixed] = take_apart(evidence, contest, points)
    parts = taken_apart[mixed]
    left_out = set(contest.rivals) - set(points) if evidence.claim.terms else ()
    worst = worst_case(evidence, contest, points, left_out, known)
    point = points.get(parts.rival or "")
    arm, against = evidence.arms[contest.arm], evidence.arms.get(parts.rival or "")
    return DecompositionRow(
        arm=contest.arm,
        currency=currency.value,
        basis="adapt only" if free else "with outer loop",
        deployments=cost.deployments if cost.invested and not free else None,
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
        prompts_differ=bool(against and arm.prompt and against.prompt and arm.prompt != against.prompt),
        setting=contest.setting,
        mixture=dict(point.mixture) if point and evidence.claim.terms else {},
        n_seeds=parts.n_seeds,
        worst_case=worst,
        cross_fitted_rivals=dict(parts.cross_fitted_rivals),
    )


def _priced(evidence: Evidence, rival: str, currency: Currency) -> bool:
    return evidence.costs[rival].adapt_per_problem(currency) is not None
