"""Accuracy against compute: every arm with its interval, the arms that nobody dominates joined, the bill drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from markupsafe import Markup

from netgain.analysis.verdict import ArmRow
from netgain.report import svg, words
from netgain.report.figures.plane import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, axes

RIGHT = 210
FIELDS = {
    "updates": "updates_per_problem",
    "tokens_real": "tokens_real_per_problem",
    "tokens_padded": "tokens_padded_per_problem",
    "flops": "flops_per_problem",
}


@final
@dataclass(frozen=True)
class _Dot:
    arm: ArmRow
    cost: float
    accuracy: float
    charged: float | None


def scatter(arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """Arms of one setting by training cost of a problem (logarithmic) and accuracy; None for fewer than two of them.

    The frozen model stands on the left edge: it cost nothing. A hollow mark shows where an arm lies when it is
    charged for its outer loop, shared by the problems examined; the line joins the arms that no other beats so.
    """
    dots = [
        _Dot(arm, cost, arm.accuracy, _charged(arm, currency, cost))
        for arm in arms
        if (cost := getattr(arm, FIELDS[currency])) is not None and arm.accuracy is not None
    ]
    costs = [value for dot in dots for value in (dot.cost, dot.charged) if value]
    if len(dots) < 2 or not costs:
        return None
    x = svg.Axis(min(costs) / 1.8, max(costs) * 1.25, LEFT + 34, WIDTH - RIGHT, log=True)
    lows = [dot.arm.low if dot.arm.low is not None else dot.accuracy for dot in dots]
    highs = [dot.arm.high if dot.arm.high is not None else dot.accuracy for dot in dots]
    y = svg.Axis(min(lows) - 0.01, max(highs) + 0.01, HEIGHT - BOTTOM, TOP)
    places = {dot.arm.name: (x(dot.cost) if dot.cost > 0 else LEFT + 12.0, y(dot.accuracy)) for dot in dots}
    labels = svg.spread([places[dot.arm.name][1] for dot in dots], 15, TOP + 6, HEIGHT - BOTTOM - 4)
    children = [_axes(x, y, currency), _front(dots, places, x, currency)]
    children += [
        _dot(dot, places[dot.arm.name], label, (x, y), currency) for dot, label in zip(dots, labels, strict=True)
    ]
    title = f"Accuracy against training {words.CURRENCY_NAMES[currency]} a problem"
    return svg.drawing(WIDTH, HEIGHT, title, *children)


def _charged(arm: ArmRow, currency: str, cost: float) -> float | None:
    """What the arm cost with its share of the outer loop, where that is more."""
    charged = arm.charged_per_problem.get(currency)
    return charged if charged is not None and charged > cost else None


def _axes(x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    caption = f"training {words.CURRENCY_NAMES[currency]} for one problem (logarithmic)"
    zero = svg.text(LEFT + 12, HEIGHT - BOTTOM + 18, "0", "tick", "middle")
    return axes(x, y, RIGHT, caption, [zero])


def _front(dots: Sequence[_Dot], places: dict[str, tuple[float, float]], x: svg.Axis, currency: str) -> Markup:
    on_it = sorted((dot for dot in dots if currency in dot.arm.undominated), key=lambda dot: dot.charged or dot.cost)
    corners = [(x(dot.charged) if dot.charged else places[dot.arm.name][0], places[dot.arm.name][1]) for dot in on_it]
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
    return svg.el("polyline", points=points, class_="front") if len(on_it) > 1 else Markup("")


def _dot(dot: _Dot, place: tuple[float, float], label: float, axes: tuple[svg.Axis, svg.Axis], currency: str) -> Markup:
    x, y = axes
    px, py = place
    arm = dot.arm
    tip = f"{arm.label}: {words.percent(dot.accuracy)}, {words.amount(dot.cost)} a problem"
    parts = []
    if arm.low is not None and arm.high is not None:
        tip = f"{tip}, 95 % interval {words.percent(arm.low)} to {words.percent(arm.high)}"
        parts.append(svg.line(px, y(arm.low), px, y(arm.high), f"whisker role-{arm.role}"))
    if dot.charged:
        least = "at least " if currency in arm.charged_incomplete else ""
        tip += f"; {least}{words.amount(dot.charged)} with its outer loop"
        parts.append(svg.line(px, py, x(dot.charged), py, f"charged role-{arm.role}"))
        parts.append(svg.point(x(dot.charged), py, arm.role, hollow=True))
    parts.append(
        svg.line(max(px, x(dot.charged or 0.0) if dot.charged else px) + 8, py, WIDTH - RIGHT + 8, label, "leader")
    )
    parts.append(svg.point(px, py, arm.role, 7 if arm.headline else 5.5))
    name = arm.label if len(arm.label) <= 28 else arm.label[:27] + "…"
    parts.append(svg.text(WIDTH - RIGHT + 12, label + 4, name, "label strong" if arm.headline else "label"))
    return svg.mark(tip, *parts)
