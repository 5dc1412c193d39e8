"""The gap taken apart: from the frozen model to the best matched rival, and from there to the arm."""

from markupsafe import Markup

from netgain.analysis.sentences import points
from netgain.analysis.verdict import DecompositionRow, Interval
from netgain.report import svg, words

WIDTH, ROW, LEFT, RIGHT, TOP = 880, 46, 260, 150, 14


def waterfall(row: DecompositionRow, labels: dict[str, str]) -> Markup | None:
    """Three bars on one axis of percentage points: gap, compute's part, method's part; None where not all are known."""
    if row.gap is None or row.compute_part is None or row.method_part is None or row.rival is None:
        return None
    gap, compute, method = row.gap, row.compute_part, row.method_part
    ends = [gap.low, gap.high, compute.low, compute.high, compute.value + method.low, compute.value + method.high, 0.0]
    pad = 0.06 * (max(ends) - min(ends))
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, LEFT, WIDTH - RIGHT)
    bars = [
        (f"{labels[row.arm]} over its baseline", "the gap", 0.0, gap, "gap"),
        (f"{labels[row.rival]} over the same", "what compute buys", 0.0, compute, "compute"),
        (f"{labels[row.arm]} over {labels[row.rival]}", "what the method adds", compute.value, method, "method"),
    ]
    bottom = TOP + ROW * len(bars) + 6
    children = [_grid(axis, bottom)]
    children += [_bar(axis, TOP + index * ROW, *bar) for index, bar in enumerate(bars)]
    link = svg.line(axis(compute.value), TOP + ROW * 1.75, axis(compute.value), TOP + ROW * 2.2, "leader")
    title = f"The gap of {labels[row.arm]} taken apart, matched in {words.ALL_NAMES.get(row.currency, row.currency)}"
    return svg.drawing(WIDTH, bottom + 40, title, *children, link)


def _grid(axis: svg.Axis, bottom: float) -> Markup:
    ticks = axis.ticks(8)
    lines = [svg.line(axis(t), TOP - 8, axis(t), bottom, "grid zero" if abs(t) < 1e-9 else "grid") for t in ticks]
    numbers = [svg.text(axis(t), bottom + 16, points(t), "tick", "middle") for t in ticks]
    caption = svg.text(
        (LEFT + WIDTH - RIGHT) / 2, bottom + 34, "percentage points above the frozen baseline", "axis", "middle"
    )
    return Markup("").join([*lines, *numbers, caption])


def _bar(axis: svg.Axis, top: float, who: str, what: str, start: float, part: Interval, kind: str) -> Markup:
    middle = top + ROW * 0.45
    left, right = sorted((axis(start), axis(start + part.value)))
    low, high = axis(start + part.low), axis(start + part.high)
    value = words.difference(part.value, part.low, part.high)
    return svg.mark(
        f"{what}: {value} points ({who})",
        svg.area(0, top, WIDTH, ROW),
        svg.text(LEFT - 12, middle - 2, what, "label strong", "end"),
        svg.text(LEFT - 12, middle + 13, svg.short(who, 38), "label faint", "end"),
        svg.el("rect", x=left, y=middle - 11, width=max(right - left, 1.5), height=22, class_=f"bar bar-{kind}"),
        svg.line(low, middle, high, middle, "whisker"),
        svg.line(low, middle - 5, low, middle + 5, "whisker"),
        svg.line(high, middle - 5, high, middle + 5, "whisker"),
        svg.text(WIDTH, middle + 4, value, "label strong" if kind == "method" else "label", "end"),
    )
