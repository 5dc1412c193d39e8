"""The outer loop's bill: what a problem costs when the bill is shared by more and more of them."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.verdict import AmortisationRow, ArmRow
from netgain.report import svg, words

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 320, 84, 230, 16, 52
MOST = 1e5


def amortisation(row: AmortisationRow, arms: Sequence[ArmRow], examined: int | None) -> Markup | None:
    """Cost of a problem against the number of problems; the rival's flat line; None where bill or cost is unknown."""
    if not row.bill or row.adapt_per_problem is None:
        return None
    labels = {arm.name: arm.label for arm in arms}
    x = svg.Axis(1, MOST, LEFT, WIDTH - RIGHT, log=True)
    if row.adapt_per_problem <= 0 or (row.rival_per_problem is not None and row.rival_per_problem <= 0):
        return None  # a logarithmic axis has no place for free work
    tops = [row.adapt_per_problem + row.bill, row.rival_per_problem or row.adapt_per_problem]
    lows = [row.adapt_per_problem, row.rival_per_problem or row.adapt_per_problem]
    y = svg.Axis(min(lows) / 1.6, max(tops) * 1.3, HEIGHT - BOTTOM, TOP, log=True)
    steps = [10 ** (i / 20) for i in range(101)]
    path = " ".join(f"{x(n):.1f},{y(row.adapt_per_problem + row.bill / n):.1f}" for n in steps)
    mine = labels[row.arm]
    ends = svg.spread([y(row.adapt_per_problem + row.bill / MOST), y(lows[1])], 16, TOP, HEIGHT - BOTTOM)
    parts = [_axes(x, y, row.currency), svg.el("polyline", points=path, class_="curve role-self_improving")]
    parts.append(svg.text(WIDTH - RIGHT + 8, ends[0] + 4, mine, "label strong"))
    if row.rival is not None and row.rival_per_problem is not None:
        level = y(row.rival_per_problem)
        parts.append(svg.line(LEFT, level, WIDTH - RIGHT, level, "curve rival"))
        parts.append(svg.text(WIDTH - RIGHT + 8, ends[1] + 4, f"{labels[row.rival]} (as accurate)", "label"))
    if examined:
        parts.append(_at(x, y, examined, row.adapt_per_problem + row.bill / examined, "examined"))
    if row.break_even and row.break_even <= MOST:
        name = "break-even at the earliest" if row.bill_incomplete else "break-even"
        parts.append(_at(x, y, row.break_even, row.adapt_per_problem + row.bill / row.break_even, name))
    title = f"Cost of one problem in {words.CURRENCY_NAMES[row.currency]}, the outer loop's bill shared"
    return svg.drawing(WIDTH, HEIGHT, title, *parts)


def _axes(x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    floor = HEIGHT - BOTTOM
    parts = [svg.line(LEFT, y(t), WIDTH - RIGHT, y(t), "grid") for t in y.ticks(5)]
    parts += [svg.text(LEFT - 8, y(t) + 4, words.tick(t), "tick", "end") for t in y.ticks(5)]
    parts += [svg.text(x(t), floor + 18, words.tick(t), "tick", "middle") for t in x.ticks(6)]
    parts.append(svg.line(LEFT, floor, WIDTH - RIGHT, floor, "axisline"))
    caption = f"problems that share the bill (vertical: {words.CURRENCY_NAMES[currency]} for one problem)"
    parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, caption, "axis", "middle"))
    return Markup("").join(parts)


def _at(x: svg.Axis, y: svg.Axis, problems: int, cost: float, name: str) -> Markup:
    return svg.mark(
        f"{name} at {problems:,} problems: {words.amount(cost)} for each",
        svg.el("circle", cx=x(problems), cy=y(cost), r=5, class_="dot clear"),
        svg.text(x(problems) + 8, y(cost) - 8, f"{problems:,} {name}", "label"),
    )
