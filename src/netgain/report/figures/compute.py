"""Where each arm's compute went: stacked by purpose, the investment's share set apart, what was rejected hatched."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.rows import ComputeRow
from netgain.analysis.verdict import ArmRow
from netgain.report import svg, words

WIDTH, STEP, LEFT, RIGHT, TOP, GAP = 880, 44, 250, 90, 8, 3
NAMES = {
    "propose": "writing",
    "adapt": "training",
    "score": "scoring itself",
    "learn": "learning",
    "teach": "teacher",
    "tune": "tuning",
}


def purposes(rows: Sequence[ComputeRow], arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """One bar an arm on its own rung, for one problem; None where nothing is known in this currency."""
    drawn = [(arm, parts) for arm in arms if (parts := _parts(rows, arm, currency))]
    if not drawn:
        return None
    most = max(sum(value for _, value in parts) for _, parts in drawn)
    axis = svg.Axis(0.0, most, LEFT, WIDTH - RIGHT)
    bars = [_bar(axis, TOP + index * STEP, arm, parts, currency) for index, (arm, parts) in enumerate(drawn)]
    bottom = TOP + STEP * len(drawn)
    ticks = axis.ticks(5)
    grid = [svg.line(axis(t), TOP, axis(t), bottom, "grid") for t in ticks]
    numbers = [svg.text(axis(t), bottom + 16, words.tick(t) if t else "0", "tick", "middle") for t in ticks]
    caption = svg.text(
        (LEFT + WIDTH - RIGHT) / 2, bottom + 34, f"{words.ALL_NAMES[currency]} for one problem", "axis", "middle"
    )
    title = f"Where each arm's {words.ALL_NAMES[currency]} went"
    return svg.drawing(WIDTH, bottom + 42, title, *grid, *numbers, caption, *bars)


def _parts(rows: Sequence[ComputeRow], arm: ArmRow, currency: str) -> list[tuple[ComputeRow, float]]:
    mine = [row for row in rows if row.arm == arm.name and row.per_problem.get(currency)]
    return [(row, row.per_problem[currency]) for row in sorted(mine, key=lambda row: not row.before)]


def _bar(axis: svg.Axis, top: float, arm: ArmRow, parts: list[tuple[ComputeRow, float]], currency: str) -> Markup:
    total = sum(value for _, value in parts)
    rejected = arm.rejected_per_problem.get(currency, 0.0)
    told = [f"{_name(row)} {value / total:.0%}" for row, value in parts]
    share = f"; rejected or failed: {rejected / total:.0%}" if rejected else ""
    tip = f"{arm.label}: {words.amount(total)} a problem; {', '.join(told)}{share}"
    strong = " strong" if arm.headline else ""
    drawn, at = [], 0.0
    for row, value in parts:
        drawn.append(_segment(axis, top, at, value, row))
        at += value
    hatch = _hatched(axis(0), top + 27, axis(min(rejected, total)) - axis(0)) if rejected else []
    return svg.mark(
        tip,
        svg.area(0, top, WIDTH, STEP),
        svg.text(LEFT - 12, top + 18, svg.short(arm.label, 34), f"label{strong}", "end"),
        svg.text(LEFT - 12, top + 33, f"{rejected / total:.0%} rejected" if rejected else "", "label faint", "end"),
        *drawn,
        *hatch,
        svg.text(axis(total) + 6, top + 19, words.amount(total), f"label value{strong}"),
    )


def _name(row: ComputeRow) -> str:
    return f"{NAMES.get(row.purpose, row.purpose)}{' beforehand' if row.before else ''}"


def _segment(axis: svg.Axis, top: float, at: float, value: float, row: ComputeRow) -> Markup:
    left, right = axis(at), axis(at + value)
    before = " before" if row.before else ""
    shape = svg.el(
        "rect",
        x=left,
        y=top + 5,
        width=max(right - left - 1, 0.5),
        height=20,
        class_=f"bar purpose purpose-{row.purpose}{before}",
    )
    name = _name(row)
    fits = right - left > 7 * len(name)
    return shape + svg.text((left + right) / 2, top + 19, name, "inbar", "middle") if fits else shape


def _hatched(x: float, y: float, width: float, height: float = 9) -> list[Markup]:
    """A slanted hatching inside a frame, drawn line by line so that it prints."""
    lines = []
    start = x - height
    while start < x + width:
        low, high = max(start, x), min(start + height, x + width)
        if high > low:
            lines.append(svg.line(low, y + height - (low - start), high, y + height - (high - start), "hatch"))
        start += 6
    return [svg.el("rect", x=x, y=y, width=max(width, 1), height=height, class_="frame"), *lines]
