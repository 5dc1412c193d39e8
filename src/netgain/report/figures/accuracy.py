"""Accuracy against compute: a point an arm, a curve where an arm has several budgets, a band over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from markupsafe import Markup

from netgain.analysis.verdict import ArmRow
from netgain.report import numbers, svg

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 440, 64, 230, 28, 52


@final
@dataclass(frozen=True)
class _Dot:
    """An arm at what it cost; ``charged`` is its cost with the outer loop's share where that is drawn apart."""

    arm: ArmRow
    accuracy: float
    cost: float
    charged: float | None = None


def scatter(arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """Arms of one setting by the cost of a problem (logarithmic) and accuracy; None where fewer than two can be placed.

    What cost nothing is a line across. A trial's arms stand at their cost with the share of their investment, and are
    joined over the budget ladder; a published arm stands at its training cost, a hollow mark at what it cost with its
    outer loop, and a dashed line joins the arms that no other beats so.
    """
    dots = [dot for arm in arms if (dot := _dot(arm, currency)) is not None]
    costs = [value for dot in dots for value in (dot.cost, dot.charged) if value]
    if len(dots) < 2 or not costs:
        return None
    ends = [v for d in dots for v in (d.arm.low, d.arm.high, d.accuracy, *d.arm.by_seed) if v is not None]
    x = svg.Axis(min(costs) / 1.6, max(costs) * 1.3, LEFT, WIDTH - RIGHT, log=True)
    y = svg.Axis(max(0.0, min(ends) - 0.02), min(1.0, max(ends) + 0.02), HEIGHT - BOTTOM, TOP)
    groups: dict[str, list[_Dot]] = {}
    for dot in dots:
        groups.setdefault(dot.arm.method or dot.arm.name, []).append(dot)
    labels = svg.spread([y(g[-1].accuracy) for g in groups.values()], 15, TOP + 6, HEIGHT - BOTTOM - 4)
    share = "the investment's share included, " if any(dot.arm.rung is not None for dot in dots) else ""
    caption = f"{numbers.ALL_NAMES[currency]} for one problem ({share}logarithmic)"
    parts = [svg.plane(x, y, caption, "accuracy", lambda t: f"{100 * t:.0f} %"), _front(dots, x, y, currency)]
    parts += [_group(group, x, y, label, currency) for group, label in zip(groups.values(), labels, strict=True)]
    title = f"Accuracy against {numbers.ALL_NAMES[currency]} for one problem"
    return svg.drawing(WIDTH, HEIGHT, title, *parts)


def _dot(arm: ArmRow, currency: str) -> _Dot | None:
    charged = arm.charged_per_problem.get(currency)
    if arm.accuracy is None:
        return None
    if arm.rung is not None:
        return _Dot(arm, arm.accuracy, charged or 0.0)
    costs = {
        "updates": arm.updates_per_problem,
        "tokens_real": arm.tokens_real_per_problem,
        "tokens_padded": arm.tokens_padded_per_problem,
        "flops": arm.flops_per_problem,
    }
    cost = costs.get(currency)
    if cost is None:
        return None
    return _Dot(arm, arm.accuracy, cost, charged if charged is not None and charged > cost else None)


def _front(dots: Sequence[_Dot], x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    on_it = sorted((dot for dot in dots if currency in dot.arm.undominated), key=lambda dot: dot.charged or dot.cost)
    places = [(x(cost) if (cost := dot.charged or dot.cost) else x.start, y(dot.accuracy)) for dot in on_it]
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    return svg.el("polyline", points=points, class_="front") if len(on_it) > 1 else Markup("")


def _group(dots: list[_Dot], x: svg.Axis, y: svg.Axis, label: float, currency: str) -> Markup:
    """One arm over its budgets, with its name at the right edge."""
    named = next((dot.arm for dot in dots if dot.arm.own), dots[-1].arm)
    name = svg.text(x.end + 12, label + 4, svg.short(named.label, 31), "label strong" if named.headline else "label")
    placed = [dot for dot in dots if dot.cost]
    if not placed:
        level = y(dots[0].accuracy)
        tip = f"{named.label}: {numbers.percent(dots[0].accuracy)}, no compute spent on a problem"
        across = svg.line(x.start, level, x.end, level, f"free role-{named.role}")
        return svg.mark(tip, across, svg.line(x.end, level, x.end + 8, label, "leader"), name)
    last = placed[-1]
    at = (x(last.charged or last.cost), y(last.accuracy))
    joined = " ".join(f"{x(dot.cost):.1f},{y(dot.accuracy):.1f}" for dot in placed)
    curve = svg.el("polyline", points=joined, class_=f"rungs role-{named.role}") if len(placed) > 1 else Markup("")
    points = [_point(dot, x, y, currency) for dot in placed]
    return _band(placed, x, y) + curve + Markup("").join(points) + svg.line(*at, x.end + 8, label, "leader") + name


def _band(dots: list[_Dot], x: svg.Axis, y: svg.Axis) -> Markup:
    """From the worst to the best seed."""
    seeded = [dot for dot in dots if len(dot.arm.by_seed) > 1]
    if len(seeded) < 2:
        return Markup("")
    there = [f"{x(dot.cost):.1f},{y(max(dot.arm.by_seed)):.1f}" for dot in seeded]
    back = [f"{x(dot.cost):.1f},{y(min(dot.arm.by_seed)):.1f}" for dot in reversed(seeded)]
    return svg.el("polygon", points=" ".join([*there, *back]), class_=f"band role-{seeded[0].arm.role}")


def _point(dot: _Dot, x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    arm, px, py = dot.arm, x(dot.cost), y(dot.accuracy)
    tip = f"{arm.label}: {numbers.percent(dot.accuracy)}, {numbers.amount(dot.cost)} a problem"
    parts = []
    if arm.low is not None and arm.high is not None:
        tip += f", 95 % interval {numbers.between(arm.low, arm.high)}"
        parts.append(svg.line(px, y(arm.low), px, y(arm.high), f"whisker role-{arm.role}"))
    if len(arm.by_seed) > 1:
        tip += f"; seeds {', '.join(f'{100 * value:.1f}' for value in arm.by_seed)}"
    if arm.underspent:
        tip += f"; spent {numbers.percent(arm.spent_share)} of its budget"
    if dot.charged:
        least = "at least " if currency in arm.charged_incomplete else ""
        tip += f"; {least}{numbers.amount(dot.charged)} with its outer loop"
        parts.append(svg.line(px, py, x(dot.charged), py, f"charged role-{arm.role}"))
        parts.append(svg.point(x(dot.charged), py, arm.role, hollow=True))
    size = 4.0 if not arm.own else 7 if arm.headline or arm.rung is not None else 5.5
    return svg.mark(tip, *parts, svg.point(px, py, arm.role, size, hollow=arm.underspent))
