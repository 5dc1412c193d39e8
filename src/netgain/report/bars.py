"""Rows and cells: the gap taken apart, paired differences, where the compute went, what broke, the reward's noise."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.rows import ComputeRow
from netgain.analysis.sentences import points
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, RetentionTable, RewardRow, StabilityRow
from netgain.report import numbers, svg

WIDTH, NARROW, LEFT = 880, 360, 290
PURPOSES = {
    "propose": "writing",
    "adapt": "training",
    "score": "scoring itself",
    "learn": "learning",
    "teach": "teacher",
    "tune": "tuning",
}

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


def bought(row: DecompositionRow) -> str:
    """What a rival's gain is bought with: compute, and where it wrote under another prompt, that too."""
    return "compute with another prompt" if row.prompts_differ else "compute"


def added(row: DecompositionRow) -> str:
    """Whose the rest of the gain is, as a phrase."""
    return "method and prompt add" if row.prompts_differ else "the method adds"


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
        (f"{rival} over the frozen model", f"what {bought(row)} buys", 0.0, compute, "compute"),
        (f"{arm} over {rival}", f"what {added(row)}", compute.value, method, "method"),
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
    apart = " †" if row.other_frozen else ""
    name = f"{labels.get(row.a, row.a)} − {labels.get(row.b, row.b)}{other}{apart}"
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


def _rect(x1: float, x2: float, y: float, height: float, class_: str) -> Markup:
    left, right = sorted((x1, x2))
    return svg.el("rect", x=left, y=y, width=max(right - left, 0.5), height=height, class_=f"bar {class_}")


def purposes(rows: Sequence[ComputeRow], arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """One bar an arm, stacked by purpose, what was rejected hatched; None where nothing is known in this currency."""
    drawn = [(arm, parts) for arm in arms if (parts := _parts(rows, arm, currency))]
    if not drawn:
        return None
    step, top = 44, 8
    most = max(sum(value for _, value in parts) for _, parts in drawn)
    axis, bottom = svg.Axis(0.0, most, LEFT, WIDTH - 90), top + step * len(drawn)
    name = numbers.ALL_NAMES[currency]
    grid = svg.ruler(axis, top, bottom, f"{name} for one problem", lambda t: numbers.tick(t) if t else "0", 5)
    bars = [_stack(axis, top + index * step, arm, parts, currency) for index, (arm, parts) in enumerate(drawn)]
    return svg.drawing(WIDTH, bottom + 42, f"Where each arm's {name} went", grid, *bars)


def _parts(rows: Sequence[ComputeRow], arm: ArmRow, currency: str) -> list[tuple[ComputeRow, float]]:
    mine = [row for row in rows if row.arm == arm.name and row.per_problem.get(currency)]
    return [(row, row.per_problem[currency]) for row in sorted(mine, key=lambda row: not row.before)]


def _stack(axis: svg.Axis, top: float, arm: ArmRow, parts: list[tuple[ComputeRow, float]], currency: str) -> Markup:
    total, rejected = sum(value for _, value in parts), arm.rejected_per_problem.get(currency, 0.0)
    names = [f"{PURPOSES.get(row.purpose, row.purpose)}{' beforehand' if row.before else ''}" for row, _ in parts]
    told = ", ".join(f"{name} {value / total:.0%}" for name, (_, value) in zip(names, parts, strict=True))
    share = f"; rejected or failed: {rejected / total:.0%}" if rejected else ""
    strong = " strong" if arm.headline else ""
    drawn, at = [], 0.0
    for name, (row, value) in zip(names, parts, strict=True):
        left, right = axis(at), axis(at + value)
        drawn.append(_rect(left, right - 1, top + 5, 20, f"purpose-{row.purpose}{' before' if row.before else ''}"))
        if right - left > 7 * len(name):
            drawn.append(svg.text((left + right) / 2, top + 19, name, "inbar", "middle"))
        at += value
    return svg.mark(
        f"{arm.label}: {numbers.amount(total)} a problem; {told}{share}",
        svg.area(0, top, WIDTH, 44),
        svg.text(LEFT - 12, top + 18, svg.short(arm.label, 34), f"label{strong}", "end"),
        svg.text(LEFT - 12, top + 33, f"{rejected / total:.0%} rejected" if rejected else "", "label faint", "end"),
        *drawn,
        *(_hatched(axis(0), top + 27, axis(min(rejected, total)) - axis(0)) if rejected else []),
        svg.text(axis(total) + 6, top + 19, numbers.amount(total), f"label value{strong}"),
    )


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


def fixed_broken(rows: Sequence[StabilityRow], labels: dict[str, str], headline: str | None) -> Markup | None:
    """Bars to the right for answers fixed, to the left for answers broken; None where nothing is known."""
    if not rows:
        return None
    step, top = 26, 26
    most = max(max(row.fixed, row.broken) for row in rows) or 1
    axis = svg.Axis(-most, most, LEFT + 215, WIDTH - 60)
    parts = [
        svg.text(axis(0) - 10, 14, "◂ broken", "label heading", "end"),
        svg.text(axis(0) + 10, 14, "fixed ▸", "label heading"),
    ]
    for index, row in enumerate(rows):
        y = top + index * step
        share = f" ({row.broken / row.previously_correct:.0%})" if row.previously_correct else ""
        name = labels[row.arm] + (f": {numbers.kind_name(row.kind)}" if row.kind else "")
        strong = " strong" if row.arm == headline else ""
        parts.append(
            svg.mark(
                f"{name}: fixed {row.fixed}, broke {row.broken} of {row.previously_correct}{share}",
                svg.area(0, y, WIDTH, step),
                svg.text(263, y + 15, svg.short(labels[row.arm], 33), f"label{strong}", "end"),
                svg.text(273, y + 15, numbers.kind_name(row.kind), "label faint"),
                _rect(axis(-row.broken), axis(0), y + 3, 16, "broken"),
                _rect(axis(0), axis(row.fixed), y + 3, 16, "fixed"),
                svg.text(axis(-row.broken) - 6, y + 15, str(row.broken), f"label value{strong}", "end"),
                svg.text(axis(row.fixed) + 6, y + 15, str(row.fixed), f"label value{strong}"),
            )
        )
    height = top + step * len(rows) + 8
    zero = svg.line(axis(0), 4, axis(0), height, "grid zero")
    return svg.drawing(WIDTH, height, "Answers fixed and broken by training", zero, *parts)


def retention(table: RetentionTable) -> Markup:
    """The matrix with its numbers in the cells: adaptations so far down, passages across; darker is more accurate."""
    cell, left, top = 74, 150, 40
    parts = [
        svg.text(left + (i + 0.5) * cell, 28, f"passage {i + 1}", "tick", "middle") for i in range(len(table.matrix[0]))
    ]
    for k, row in enumerate(table.matrix):
        y = top + k * 30
        name = "untouched" if k == 0 else f"after {k} edit{'s' if k > 1 else ''}"
        parts.append(svg.text(left - 10, y + 19, name, "label", "end"))
        parts += [_cell(left + i * cell, y, cell, v, f"passage {i + 1}, {name}") for i, v in enumerate(row)]
    return svg.drawing(WIDTH, top + 30 * len(table.matrix) + 6, "Retention over a stream of adaptations", *parts)


def _cell(x: float, y: float, width: float, value: float | None, tip: str) -> Markup:
    if value is None:
        return svg.el("rect", x=x + 1, y=y + 1, width=width - 2, height=28, class_="cell none")
    shade = min(4, int(5 * value))  # one scale for all streams, so that they can be compared
    return svg.mark(
        f"{tip}: {numbers.percent(value)}",
        svg.el("rect", x=x + 1, y=y + 1, width=width - 2, height=28, class_=f"cell shade-{shade}"),
        svg.text(x + width / 2, y + 19, f"{100 * value:.1f}", f"cellnumber on-{shade}", "middle"),
    )


def reward_noise(rows: Sequence[tuple[str, RewardRow]], absent: str) -> Markup | None:
    """For each round, by name: how far the chosen edit seems ahead, and how far on a repeat that did not choose it.

    ``absent`` says why the second is missing where it is. None where no gain is known.
    """
    known = [(name, row) for name, row in rows if row.apparent_gain is not None]
    if not known:
        return None
    ends = [row.apparent_gain or 0.0 for _, row in known]
    ends += [end for _, row in known if row.heldout for end in (row.heldout.high, row.heldout.low)]
    axis = svg.Axis(min(0.0, *ends), max(ends) * 1.12, LEFT, WIDTH - 150)
    parts = [svg.line(axis(0), 4, axis(0), 52 * len(known), "grid zero")]
    parts += [_noise(axis, index * 52, name, row, absent) for index, (name, row) in enumerate(known)]
    return svg.drawing(WIDTH, 52 * len(known) + 8, "Apparent and held-out gain of the chosen edit", *parts)


def _noise(axis: svg.Axis, y: float, name: str, row: RewardRow, absent: str) -> Markup:
    reliability = "unknown" if row.reliability is None else f"{row.reliability:.2f}"
    gain = row.apparent_gain or 0.0
    parts = [
        svg.area(0, y, WIDTH, 46),
        svg.text(LEFT - 12, y + 18, svg.short(name, 36), "label strong", "end"),
        svg.text(LEFT - 12, y + 33, f"reliability {reliability}", "label faint", "end"),
        _rect(axis(0), axis(gain), y + 6, 14, "apparent"),
        svg.text(axis(gain) + 6, y + 17, f"{points(gain)} as chosen", "label value"),
    ]
    if row.heldout:
        low, high = axis(row.heldout.low), axis(row.heldout.high)
        parts.append(_rect(axis(0), axis(row.heldout.value), y + 24, 14, "held"))
        parts.append(svg.line(low, y + 31, high, y + 31, "whisker"))
        parts.append(svg.text(high + 6, y + 35, f"{points(row.heldout.value)} measured again", "label value"))
    else:
        parts.append(svg.text(axis(0) + 6, y + 35, absent, "label faint"))
    held = numbers.estimate(row.heldout) if row.heldout else absent
    return svg.mark(f"{name}: looks {points(gain)}, held out {held}, reliability {reliability}", *parts)
