"""Differences in accuracy: the gap taken apart, and the forest of all paired comparisons."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.sentences import points
from netgain.analysis.verdict import Comparison, DecompositionRow
from netgain.report import numbers, svg

WIDTH, NARROW = 880, 360
_GROUPS = {
    "headline": "the arm under test against the others",
    "outer loop": "last round against round 0, same prompt",
    "asked": "asked for",
    "frozen": "against the frozen model",
}


def waterfall(row: DecompositionRow, labels: dict[str, str]) -> Markup | None:
    """Three bars on one axis: gap, compute's part, method's part, for wide screens and again for narrow ones.

    None where not all three are known.
    """
    if row.gap is None or row.compute_part is None or row.method_part is None or row.rival is None:
        return None
    return _waterfall(row, labels, WIDTH) + _waterfall(row, labels, NARROW)


def _waterfall(row: DecompositionRow, labels: dict[str, str], width: int) -> Markup:
    gap, compute, method = row.gap, row.compute_part, row.method_part
    assert gap and compute and method and row.rival  # noqa: S101, PT018 - only such rows are drawn
    narrow = width == NARROW
    left, right, step, top = (10, 10, 72, 40) if narrow else (290, 150, 46, 14)
    ends = [gap.low, gap.high, compute.low, compute.high, compute.value + method.low, compute.value + method.high, 0.0]
    pad = 0.06 * (max(ends) - min(ends))
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, left, width - right)
    arm, rival = labels[row.arm], labels[row.rival]
    bars = [
        (f"{arm} over the frozen model", "the gap", 0.0, gap, "gap"),
        (f"{rival} over the frozen model", "what compute buys", 0.0, compute, "compute"),
        (f"{arm} over {rival}", "what the method adds", compute.value, method, "method"),
    ]
    bottom = top + step * len(bars) - (30 if narrow else -6)
    caption = "percentage points" if narrow else "percentage points above the frozen model"
    parts = [svg.ruler(axis, top - (30 if narrow else 8), bottom, caption, points, 4 if narrow else 8)]
    for index, (who, what, start, part, kind) in enumerate(bars):
        y = top + index * step + step * (0.2 if narrow else 0.45)
        low, high = axis(start + part.low), axis(start + part.high)
        from_, to = sorted((axis(start), axis(start + part.value)))
        value = numbers.estimate(part)
        strong = "label strong" if kind == "method" else "label"
        names = [
            svg.text(left, y - 32, f"{what}: {value}" if narrow else "", strong),
            svg.text(left, y - 17, svg.short(who, 56), "label faint"),
        ]
        if not narrow:
            names = [
                svg.text(left - 12, y - 2, what, "label strong", "end"),
                svg.text(left - 12, y + 13, svg.short(who, 44), "label faint", "end"),
                svg.text(width, y + 4, value, strong, "end"),
            ]
        parts.append(
            svg.mark(
                f"{what}: {value} points ({who})",
                svg.area(0, y - step * 0.45, width, step),
                *names,
                svg.el("rect", x=from_, y=y - 11, width=max(to - from_, 1.5), height=22, class_=f"bar bar-{kind}"),
                *(svg.line(a, y + b, c, y + d, "whisker") for a, b, c, d in _whisker(low, high)),
            )
        )
    title = f"The gap of {arm} taken apart, matched in {numbers.ALL_NAMES.get(row.currency, row.currency)}"
    return svg.drawing(width, bottom + 40, title, *parts, class_="narrow" if narrow else "wide")


def _whisker(low: float, high: float) -> list[tuple[float, float, float, float]]:
    return [(low, 0, high, 0), (low, -5, low, 5), (high, -5, high, 5)]


def forest(comparisons: Sequence[Comparison], labels: dict[str, str]) -> Markup | None:
    """All comparisons with an interval, grouped by kind; the primary one in bold. None where there are none."""
    known = [row for row in comparisons if row.low is not None and row.high is not None]
    if not known:
        return None
    left, right, step, y = 385, 160, 24, 10.0
    ends = [value for row in known for value in (row.low, row.high) if value is not None]
    axis = svg.Axis(min(*ends, 0.0) - 0.01, max(*ends, 0.0) + 0.01, left, WIDTH - right)
    rows: list[Markup] = []
    for kind, heading in _GROUPS.items():
        group = [row for row in known if row.kind == kind]
        if group:
            rows.append(svg.text(0, y + 16, heading, "label heading"))
            y += step
        for row in group:
            rows.append(_compared(axis, y + step / 2, step, row, labels, known[0].exam))
            y += step
    grid = svg.ruler(axis, 10, y, "difference in percentage points (first minus second)", points, 7)
    return svg.drawing(WIDTH, y + 42, "Paired differences with 95 % intervals", grid, *rows)


def _compared(axis: svg.Axis, y: float, step: float, row: Comparison, labels: dict[str, str], exam: str) -> Markup:
    assert row.low is not None and row.high is not None  # noqa: S101, PT018 - only such rows are drawn
    other = f" ({numbers.kind_name(row.exam)})" if row.exam != exam else ""
    name = f"{labels.get(row.a, row.a)} − {labels.get(row.b, row.b)}{other}"
    clear = " clear" if row.low > 0 or row.high < 0 else ""
    value = numbers.difference(row.difference, row.low, row.high)
    adjusted = f", Holm-adjusted {numbers.p_value(row.p_adjusted)}" if row.p_adjusted is not None else ""
    basis = f"{row.n_questions} questions, {row.n_problems} problems"
    tip = f"{name}: {value} points, p {numbers.p_value(row.p)}{adjusted}; {basis}"
    strong = " strong" if row.primary else ""
    return svg.mark(
        tip,
        svg.area(0, y - step / 2, WIDTH, step),
        svg.text(axis.start - 12, y + 4, svg.short(name, 54), f"label{strong}", "end"),
        svg.line(axis(row.low), y, axis(row.high), y, "whisker"),
        svg.el("circle", cx=axis(row.difference), cy=y, r=5 if row.primary else 4, class_=f"dot{clear}"),
        svg.text(WIDTH, y + 4, value, f"label value{strong}", "end"),
    )
