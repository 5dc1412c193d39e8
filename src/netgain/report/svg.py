"""Scalable drawings in a few calls: elements with escaped text, and axes. No styles here: classes only, CSS paints."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from markupsafe import Markup, escape

from netgain.report.numbers import tick


def el(tag: str, *children: Markup | str, **attributes: str | float | int | None) -> Markup:
    """An SVG element. Text children and attribute values are escaped; ``class_`` and ``data_tip`` lose their rust.

    Numbers are written with at most two decimals; attributes that are None are left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else escape(child) for child in children)
    return Markup(f"<{tag}{written}>") + inner + Markup(f"</{tag}>")  # noqa: S704 - every part is escaped above


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def drawing(
    width: float, height: float, title: str, *children: Markup, class_: str = "", fixed: bool = False
) -> Markup:
    """A whole drawing that scales to its container, or is ``fixed`` in its size, and is announced by ``title``."""
    return el(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        width=width if fixed else None,
        height=height if fixed else None,
        role="group",
        aria_label=title,
        class_=f"figure {class_}".strip(),
    )


def swatch(shape: Markup) -> Markup:
    """A shape of a figure, small, for the legend below it; it stands in the origin and prints as it is drawn."""
    return el("svg", shape, viewBox="-8 -8 16 16", class_="swatch", aria_hidden="true")


def box(class_: str) -> Markup:
    """A swatch filled like a bar of this class."""
    return swatch(el("rect", x=-7, y=-7, width=14, height=14, class_=f"bar {class_}"))


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "start") -> Markup:
    """Text at a point; ``anchor`` is start, middle or end."""
    return el("text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def short(content: str, most: int) -> str:
    """Text of at most so many characters, its end replaced by an ellipsis."""
    return content if len(content) <= most else content[: most - 1] + "…"


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def mark(tip: str, *children: Markup, class_: str = "") -> Markup:
    """A part of a figure that says ``tip`` when it is hovered or focused (by arrow keys, from the figure's first)."""
    return el("g", *children, class_=f"mark {class_}".strip(), tabindex=-1, role="img", aria_label=tip, data_tip=tip)


def area(x: float, y: float, width: float, height: float) -> Markup:
    """An unseen rectangle that makes the whole of a row answer to the pointer; it goes first in a mark."""
    return el("rect", x=x, y=y, width=width, height=height, class_="area")


SHAPES = {
    "self_improving": "circle",
    "synthetic": "square",
    "teacher": "triangle",
    "passage": "diamond",
    "frozen": "cross",
    "in_context": "down",
    "oracle": "hexagon",
    "other": "plus",
}


def point(x: float, y: float, role: str, size: float = 5.5, *, hollow: bool = False) -> Markup:
    """A point whose shape and class tell the arm's role, so that colour is never needed to tell it."""
    classes = f"point role-{role}" + (" hollow" if hollow else "")
    shape, s = SHAPES.get(role, "plus"), size
    if shape == "circle":
        return el("circle", cx=x, cy=y, r=s, class_=classes)
    if shape == "square":
        return el("rect", x=x - s * 0.9, y=y - s * 0.9, width=s * 1.8, height=s * 1.8, class_=classes)
    corners = {
        "triangle": [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        "down": [(0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "hexagon": [(0, -1.2), (1.05, -0.6), (1.05, 0.6), (0, 1.2), (-1.05, 0.6), (-1.05, -0.6)],
    }
    if shape in corners:
        points = " ".join(f"{_number(x + dx * s)},{_number(y + dy * s)}" for dx, dy in corners[shape])
        return el("polygon", points=points, class_=classes)
    turn = 0.8 if shape == "cross" else 1.1
    arms = [(turn, turn), (turn, -turn)] if shape == "cross" else [(turn, 0), (0, turn)]
    path = " ".join(
        f"M{_number(x - a * s)} {_number(y - b * s)}L{_number(x + a * s)} {_number(y + b * s)}" for a, b in arms
    )
    return el("path", d=path, class_=classes + " stroke")


@final
@dataclass(frozen=True)
class Axis:
    """Maps values to positions between ``start`` and ``end``; logarithmic where ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """Round values inside the axis: powers of ten (with 2 and 5 where few), or multiples of 1, 2 or 5."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for steps in ((1,), (1, 3), (1, 2, 5)):
                found = [m * 10.0**e for e in range(first, last + 1) for m in steps]
                inside = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
                if len(inside) >= min(4, count):
                    return inside
            return inside
        rough = (self.high - self.low) / max(1, count)
        power = 10 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def ruler(x: Axis, top: float, bottom: float, caption: str, written: Callable[[float], str], ticks: int = 6) -> Markup:
    """Vertical grid lines with their numbers below, for rows of bars or dots on one axis; the zero line stands out."""
    values = x.ticks(ticks)
    parts = [line(x(t), top, x(t), bottom, "grid zero" if abs(t) < 1e-9 else "grid") for t in values]
    parts += [text(x(t), bottom + 16, written(t), "tick", "middle") for t in values]
    return Markup("").join([*parts, text((x.start + x.end) / 2, bottom + 34, caption, "axis", "middle")])


def plane(
    x: Axis,
    y: Axis,
    caption: str,
    upright: str,
    written: Callable[[float], str],
    across: Sequence[float] | None = None,
) -> Markup:
    """Both axes of a plane: amounts or counts across (``caption``), ``written`` values up (``upright``).

    ``across`` are the values that are written below the axis, round ones where it is left out.
    """
    across = x.ticks(5) if across is None else across
    left, floor = min(x.start, x.end), y.start
    parts = [line(left, y(t), x.end, y(t), "grid zero" if abs(t) < 1e-9 else "grid") for t in y.ticks(6)]
    parts += [text(left - 8, y(t) + 4, written(t), "tick", "end") for t in y.ticks(6)]
    parts += [line(x(t), floor, x(t), floor + 5, "axisline") for t in across]
    parts += [text(x(t), floor + 18, tick(t), "tick", "middle") for t in across]
    parts += [line(left, floor, x.end, floor, "axisline"), text(left, y.end - 10, upright, "axis")]
    return Markup("").join([*parts, text((left + x.end) / 2, floor + 38, caption, "axis", "middle")])


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Label positions near the wanted ones, in their order, ``gap`` apart or more, inside [low, high] if they fit."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    previous = low - gap
    for index in order:
        previous = max(wanted[index], previous + gap)
        placed[index] = previous
    limit = high
    for index in reversed(order):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - gap
    return placed
