"""What the logs of runs show on their way: a peak that is not the end, and who is ahead at equal time or equal steps.

Checks as in :mod:`netgain.audit.checks`: pure functions from a claim and its verdict to findings.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from math import lcm, sqrt

from netgain.analysis.findings import finding
from netgain.analysis.matching import TOLERANCE
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Arm, Claim, Finding
from netgain.records.measurements import Curve, CurvePoint

ENOUGH_POINTS = 3
ENOUGH_VALUES, MOST_QUESTIONS = 8, 2_000  # different values that have to agree on a number of questions, and its limit
VISIBLE = 0.02  # of a score without a number of questions: a fall smaller than two points is not told


def peak_is_not_the_end(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Runs whose best checkpoint is better than their last: which of the two a table shows has to be said."""
    fallen, several = [], 0
    for arm in claim.arms:
        for curve in arm.curves:
            if len(curve.points) < ENOUGH_POINTS or not _is_share(curve):
                continue
            several += 1
            best, end = _best(curve, curve.points), curve.points[-1]
            fall = abs(best.value - end.value)
            if fall > _noise(best.value, _asked(curve) or arm.n_questions):
                share = f"{_value(curve, best)} at step {best.step:,.0f}, {_value(curve, end)} at step {end.step:,.0f}"
                fallen.append((fall, f"{arm.label}, {_named(curve)}: {share}"))
    if fallen:
        fallen.sort(reverse=True)
        yield finding(
            "peak-is-not-the-end",
            "medium",
            f"{len(fallen)} of {several} logged curves end clearly below their best, most of all {fallen[0][1]}; a "
            "best checkpoint is chosen on the very questions that it is reported on unless others are held out",
            [text for _, text in fallen],
        )


def at_equal_time_and_steps(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """The same metric of several runs, each read off where the shortest of them ends: in time, and in steps."""
    for (setting, *_), group in groupby(sorted(_curves(claim), key=_key), key=_key):
        arms = [(arm, curve) for arm, curve in group if len(curve.points) >= ENOUGH_POINTS]
        timed = [(a, c) for a, c in arms if all(point.seconds is not None for point in c.points)]
        for unit, rows in (("time", timed), ("steps", arms)):
            ends = {arm.name: _at(curve.points[-1], unit) for arm, curve in rows}
            if len(rows) < 2 or max(ends.values()) <= min(ends.values()) * (1 + TOLERANCE):
                continue
            limit = min(ends.values())
            read = [(arm, curve, _until(curve, unit, limit)) for arm, curve in rows]
            found = [(arm, curve, point) for arm, curve, point in read if point is not None]
            if len(found) < 2:
                continue
            higher = found[0][1].better == "higher"
            found.sort(key=lambda row: row[2].value, reverse=higher)
            amount = f"{limit:,.0f} {'s' if unit == 'time' else 'steps'}"
            (first, curve, point), (second, _, other) = found[0], found[1]
            ended = max(rows, key=lambda row: row[1].points[-1].value * (1 if higher else -1))[0]
            rest = "" if ended is first else f"; at their own ends {ended.label} is"
            yield finding(
                f"at-equal-{unit}",
                "note",
                f"{setting}: after {amount}, where the shortest run ends, {first.label} is ahead in "
                f"{_named(curve)} with {_value(curve, point)}, before {second.label} with {_value(curve, other)}{rest}",
                [f"{arm.label}: {_value(c, p)} (step {p.step:,.0f})" for arm, c, p in found],
            )


def traded_off(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """What else was measured at the end of each run, such as forgetting: which arms no other beats in both."""
    accuracies = {arm.name: arm.accuracy for arm in verdict.arms if arm.accuracy is not None}
    ends = [(arm, curve) for arm, curve in _curves(claim) if len(curve.points) == 1 and arm.name in accuracies]
    for (setting, metric, _), group in groupby(sorted(ends, key=_key), key=_key):
        arms = list(group)
        if len(arms) < 2:
            continue
        sign = -1.0 if arms[0][1].better == "lower" else 1.0
        points = {arm.name: (accuracies[arm.name], sign * curve.points[0].value) for arm, curve in arms}
        front = [
            (arm, curve)
            for arm, curve in arms
            if not any(_beats(other, points[arm.name]) for name, other in points.items() if name != arm.name)
        ]
        front.sort(key=lambda row: -accuracies[row[0].name])
        told = [f"{a.label} ({accuracies[a.name]:.1%}, {metric} {c.points[0].value:.3g})" for a, c in front]
        more = f" and {len(told) - 4} more" if len(told) > 4 else ""
        lead = next(((arm, c) for arm, c in arms if arm.name == claim.headline), None)
        own = f"; {lead[0].label} has {lead[1].points[0].value:.3g}, {_rank(lead, arms)}" if lead else ""
        yield finding(
            "traded-off",
            "note",
            f"{setting}: accuracy is not all that was measured: no arm of {len(arms)} is better in both accuracy and "
            f"{metric} than {', '.join(told[:4])}{more}{own}",
            [f"{arm.label}: accuracy {accuracies[arm.name]:.4f}, {metric} {c.points[0].value:.4g}" for arm, c in arms],
        )


def _rank(lead: tuple[Arm, Curve], arms: Sequence[tuple[Arm, Curve]]) -> str:
    """How many of the others are better in a metric than this arm."""
    value, lower = lead[1].points[0].value, lead[1].better == "lower"
    ahead = sum(1 for _, c in arms if (c.points[0].value < value if lower else c.points[0].value > value))
    return f"{ahead} of {len(arms)} arms are better"


CURVE_CHECKS = (peak_is_not_the_end, at_equal_time_and_steps, traded_off)


def _curves(claim: Claim) -> list[tuple[Arm, Curve]]:
    return [(arm, curve) for arm in claim.arms for curve in arm.curves]


def _key(row: tuple[Arm, Curve]) -> tuple[str, str, str]:
    arm, curve = row
    return arm.setting, curve.metric, curve.exam


def _named(curve: Curve) -> str:
    return f"{curve.metric} ({curve.exam})" if curve.exam else curve.metric


def _is_share(curve: Curve) -> bool:
    return curve.better == "higher" and all(0.0 <= point.value <= 1.0 for point in curve.points)


def _value(curve: Curve, point: CurvePoint) -> str:
    return f"{point.value:.1%}" if _is_share(curve) else f"{point.value:.4g}"


def _best(curve: Curve, points: Sequence[CurvePoint]) -> CurvePoint:
    return (max if curve.better == "higher" else min)(points, key=lambda point: point.value)


def _noise(share: float, questions: int | None) -> float:
    """Two standard errors of a difference between two accuracies of so many questions."""
    return max(VISIBLE, 2 * sqrt(2 * share * (1 - share) / questions)) if questions else VISIBLE


def _asked(curve: Curve) -> int | None:
    """On how many questions a curve was measured, by its digits: each value is k/n. A few round ones prove nothing."""
    values = {point.value for point in curve.points}
    parts = [Fraction(value).limit_denominator(MOST_QUESTIONS) for value in values]
    if len(values) < ENOUGH_VALUES or any(abs(float(p) - v) > 1e-9 for p, v in zip(parts, values, strict=True)):
        return None
    n = lcm(*(part.denominator for part in parts))
    return n if n <= MOST_QUESTIONS else None


def _at(point: CurvePoint, unit: str) -> float:
    return (point.seconds or 0.0) if unit == "time" else point.step


def _until(curve: Curve, unit: str, limit: float) -> CurvePoint | None:
    """The last point that is not beyond the limit; None where the first is."""
    within = [point for point in curve.points if _at(point, unit) <= limit * (1 + TOLERANCE)]
    return within[-1] if within else None


def _beats(point: tuple[float, float], other: tuple[float, float]) -> bool:
    return point[0] >= other[0] and point[1] >= other[1] and point != other
