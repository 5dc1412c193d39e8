"""Accuracy against compute over the budget ladder: a curve an arm, a band over its seeds."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.verdict import ArmRow
from netgain.report import svg, words
from netgain.report.figures.plane import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, axes

RIGHT = 230
Places = list[tuple[ArmRow, float, float]]


def curves(arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """The arms of one domain by what a problem took, its share of the investment included (logarithmic).

    What took nothing is a line across. A large point is the rung on which an arm is compared. None where no arm's spend
    is known in this currency.
    """
    known = [arm for arm in arms if arm.accuracy is not None]
    costs = [cost for arm in known if (cost := arm.charged_per_problem.get(currency))]
    if not costs:
        return None
    ends = [value for arm in known for value in (arm.low, arm.high, arm.accuracy, *arm.by_seed) if value is not None]
    x = svg.Axis(min(costs) / 1.5, max(costs) * 1.3, LEFT + 10, WIDTH - RIGHT, log=True)
    y = svg.Axis(max(0.0, min(ends) - 0.02), min(1.0, max(ends) + 0.02), HEIGHT - BOTTOM, TOP)
    methods: dict[str, list[ArmRow]] = {}
    for arm in known:
        methods.setdefault(arm.method, []).append(arm)
    tops = [y(rungs[-1].accuracy or 0.0) for rungs in methods.values()]
    labels = svg.spread(tops, 15, TOP + 6, HEIGHT - BOTTOM - 4)
    parts = [_axes(x, y, currency)]
    parts += [_method(rungs, (x, y), label, currency) for rungs, label in zip(methods.values(), labels, strict=True)]
    title = f"Accuracy against {words.ALL_NAMES[currency]} a problem, over the budget ladder"
    return svg.drawing(WIDTH, HEIGHT, title, *parts)


def _axes(x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    caption = f"{words.ALL_NAMES[currency]} for one problem, the investment's share included (logarithmic)"
    return axes(x, y, RIGHT, caption)


def _method(rungs: list[ArmRow], axes: tuple[svg.Axis, svg.Axis], label: float, currency: str) -> Markup:
    x, y = axes
    named = next((arm for arm in rungs if arm.own), rungs[-1])
    strong = "label strong" if named.headline else "label"
    text = svg.text(WIDTH - RIGHT + 12, label + 4, svg.short(named.label, 31), strong)
    places: Places = [
        (arm, x(cost), y(arm.accuracy))
        for arm in rungs
        if (cost := arm.charged_per_problem.get(currency)) and arm.accuracy is not None
    ]
    if not places:
        level = y(rungs[0].accuracy or 0.0)
        tip = f"{named.label}: {words.percent(rungs[0].accuracy)}, at no cost"
        across = svg.line(LEFT, level, WIDTH - RIGHT, level, f"front role-{named.role}")
        return svg.mark(tip, across, svg.line(WIDTH - RIGHT, level, WIDTH - RIGHT + 8, label, "leader"), text)
    last = places[-1]
    parts = [_band(places, y), _line(places), *(_point(place, y, currency) for place in places)]
    leader = svg.line(last[1] + 8, last[2], WIDTH - RIGHT + 8, label, "leader")
    return Markup("").join([*parts, leader, text])


def _band(places: Places, y: svg.Axis) -> Markup:
    """From the worst to the best seed."""
    seeded = [(arm, px) for arm, px, _ in places if len(arm.by_seed) > 1]
    if len(seeded) < 2:
        return Markup("")
    there = [f"{px:.1f},{y(max(arm.by_seed)):.1f}" for arm, px in seeded]
    back = [f"{px:.1f},{y(min(arm.by_seed)):.1f}" for arm, px in reversed(seeded)]
    return svg.el("polygon", points=" ".join([*there, *back]), class_=f"band role-{seeded[0][0].role}")


def _line(places: Places) -> Markup:
    points = " ".join(f"{px:.1f},{py:.1f}" for _, px, py in places)
    return svg.el("polyline", points=points, class_=f"rungs role-{places[0][0].role}")


def _point(place: tuple[ArmRow, float, float], y: svg.Axis, currency: str) -> Markup:
    arm, px, py = place
    tip = f"{arm.label}: {words.percent(arm.accuracy)}, {words.amount(arm.charged_per_problem[currency])} a problem"
    parts = []
    if arm.low is not None and arm.high is not None:
        tip += f", 95 % interval {words.percent(arm.low)} to {words.percent(arm.high)}"
        parts.append(svg.line(px, y(arm.low), px, y(arm.high), f"whisker role-{arm.role}"))
    if len(arm.by_seed) > 1:
        tip += f"; seeds {', '.join(f'{100 * value:.1f}' for value in arm.by_seed)}"
    if arm.underspent:
        tip += f"; spent {words.percent(arm.spent_share)} of its budget"
    parts.append(svg.point(px, py, arm.role, 7 if arm.own else 4, hollow=arm.underspent))
    return svg.mark(tip, *parts)
