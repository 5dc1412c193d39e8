"""The forest of paired differences: one row a comparison, a dot and its interval on one axis."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.sentences import points
from netgain.analysis.verdict import Comparison
from netgain.report import svg, words

WIDTH, ROW, LEFT, RIGHT, TOP = 880, 24, 350, 160, 10
_GROUPS = {
    "headline": "headline arm against the others",
    "outer loop": "last round against round 0, same prompt",
    "asked": "asked for",
    "frozen": "against the frozen model",
}


def forest(comparisons: Sequence[Comparison], labels: dict[str, str]) -> Markup | None:
    """All comparisons with an interval, grouped by kind; the primary one in bold. None where there are none."""
    known = [row for row in comparisons if row.low is not None and row.high is not None]
    if not known:
        return None
    ends = [value for row in known for value in (row.low, row.high) if value is not None]
    axis = svg.Axis(min(*ends, 0.0) - 0.01, max(*ends, 0.0) + 0.01, LEFT, WIDTH - RIGHT)
    rows: list[Markup] = []
    y = float(TOP)
    for kind, heading in _GROUPS.items():
        group = [row for row in known if row.kind == kind]
        if group:
            rows.append(svg.text(0, y + 16, heading, "label heading"))
            y += ROW
        for row in group:
            rows.append(_row(axis, y + ROW / 2, row, labels, known[0].exam))
            y += ROW
    grid = [svg.line(axis(t), TOP, axis(t), y, "grid zero" if abs(t) < 1e-9 else "grid") for t in axis.ticks(7)]
    ticks = [svg.text(axis(t), y + 16, points(t), "tick", "middle") for t in axis.ticks(7)]
    caption = svg.text(
        (LEFT + WIDTH - RIGHT) / 2, y + 34, "difference in percentage points (first minus second)", "axis", "middle"
    )
    return svg.drawing(WIDTH, y + 42, "Paired differences with 95 % intervals", *grid, *ticks, caption, *rows)


def _row(axis: svg.Axis, y: float, row: Comparison, labels: dict[str, str], exam: str) -> Markup:
    assert row.low is not None and row.high is not None  # noqa: S101, PT018 - only such rows are drawn
    name = f"{labels.get(row.a, row.a)} − {labels.get(row.b, row.b)}" + (f" ({row.exam})" if row.exam != exam else "")
    clear = row.low > 0 or row.high < 0
    value = words.difference(row.difference, row.low, row.high)
    adjusted = f", Holm-adjusted {words.p_value(row.p_adjusted)}" if row.p_adjusted is not None else ""
    basis = f"{row.n_questions} questions, {row.n_problems} problems"
    tip = f"{name}: {value} points, p {words.p_value(row.p)}{adjusted}; {basis}"
    strong = " strong" if row.primary else ""
    return svg.mark(
        tip,
        svg.area(0, y - ROW / 2, WIDTH, ROW),
        svg.text(LEFT - 12, y + 4, svg.short(name, 50), f"label{strong}", "end"),
        svg.line(axis(row.low), y, axis(row.high), y, "whisker clear" if clear else "whisker"),
        svg.el(
            "circle", cx=axis(row.difference), cy=y, r=5 if row.primary else 4, class_="dot clear" if clear else "dot"
        ),
        svg.text(WIDTH, y + 4, value, f"label value{strong}", "end"),
    )
