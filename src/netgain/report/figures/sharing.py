"""What an investment comes to when it is shared by more and more problems: its cost, and the lead that is left."""

from collections.abc import Sequence

from markupsafe import Markup

from netgain.analysis.intervals import Interval
from netgain.analysis.rows import BreakEvenRow
from netgain.analysis.sentences import points
from netgain.analysis.verdict import AmortisationRow, ArmRow
from netgain.report import numbers, svg

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 880, 330, 84, 28, 52
MOST = 1e5
Known = list[tuple[int, Interval]]


def cost_curve(row: AmortisationRow, arms: Sequence[ArmRow], examined: int | None) -> Markup | None:
    """Cost of a problem against the number of problems; the rival's flat line; None where an amount is not known."""
    own, rival = row.adapt_per_problem, row.rival_per_problem
    if not row.bill or own is None or own <= 0 or (rival is not None and rival <= 0):
        return None  # a logarithmic axis has no place for free work
    labels, bill = {arm.name: arm.label for arm in arms}, row.bill
    x = svg.Axis(1, MOST, LEFT, WIDTH - 230, log=True)
    y = svg.Axis(min(own, rival or own) / 1.6, max(own + bill, rival or own) * 1.3, HEIGHT - BOTTOM, TOP, log=True)
    line = " ".join(f"{x(n):.1f},{y(own + bill / n):.1f}" for n in (10 ** (i / 20) for i in range(101)))
    ends = svg.spread([y(own + bill / MOST), y(rival or own)], 16, TOP, HEIGHT - BOTTOM)
    name = numbers.CURRENCY_NAMES[row.currency]
    upright = f"{name} for one problem, the outer loop's share included"
    parts = [svg.plane(x, y, "problems that share the outer loop's cost", upright, numbers.tick)]
    parts.append(svg.el("polyline", points=line, class_="curve role-self_improving"))
    parts.append(svg.text(x.end + 8, ends[0] + 4, svg.short(labels[row.arm], 30), "label strong"))
    if row.rival is not None and rival is not None:
        parts.append(svg.line(LEFT, y(rival), x.end, y(rival), "curve rival"))
        parts.append(svg.text(x.end + 8, ends[1] + 4, svg.short(f"{labels[row.rival]} (as accurate)", 34), "label"))
    if examined:
        parts.append(_at(x, y, examined, own + bill / examined, "examined"))
    if row.break_even and row.break_even <= MOST:
        when = "break-even at the earliest" if row.bill_incomplete else "break-even"
        parts.append(_at(x, y, row.break_even, own + bill / row.break_even, when))
    return svg.drawing(WIDTH, HEIGHT, f"Cost of one problem in {name}, the outer loop's cost shared", *parts)


def _at(x: svg.Axis, y: svg.Axis, problems: int, cost: float, name: str) -> Markup:
    return svg.mark(
        f"{name} at {problems:,} problems: {numbers.amount(cost)} for each",
        svg.el("circle", cx=x(problems), cy=y(cost), r=5, class_="dot clear"),
        svg.text(x(problems) + 8, y(cost) - 8, f"{problems:,} {name}", "label"),
    )


def lead_curve(row: BreakEvenRow, labels: dict[str, str], stated: int | None) -> Markup | None:
    """The method's part with its interval against the number of deployments; None where fewer than two are known."""
    known: Known = [(p.deployments, p.method_part) for p in row.after if p.deployments and p.method_part]
    if len(known) < 2:
        return None
    free = next((p.method_part for p in row.after if p.deployments is None), None)
    ends = [value for _, part in known for value in (part.low, part.high)] + [0.0]
    ends += [free.low, free.high] if free else []
    x = svg.Axis(1, max(n for n, _ in known), LEFT, WIDTH - 120, log=True)
    y = svg.Axis(min(ends) - 0.01, max(ends) + 0.01, HEIGHT - BOTTOM, TOP)
    arm, rival = labels[row.arm], labels[row.rival]
    upright = f"lead of {svg.short(arm, 40)} over {svg.short(rival, 40)} at equal total compute, percentage points"
    there = [f"{x(n):.1f},{y(part.high):.1f}" for n, part in known]
    back = [f"{x(n):.1f},{y(part.low):.1f}" for n, part in reversed(known)]
    line = " ".join(f"{x(n):.1f},{y(part.value):.1f}" for n, part in known)
    parts = [_unmatched(x, known[0][0], rival)]
    parts.append(svg.plane(x, y, "problems that share the investment (deployments)", upright, points))
    parts.append(svg.el("polygon", points=" ".join([*there, *back]), class_="band role-self_improving"))
    parts.append(svg.el("polyline", points=line, class_="curve role-self_improving"))
    for n, part in known:
        tip = f"{n:,} deployments: {arm} adds {numbers.estimate(part)} points over {rival}"
        parts.append(svg.mark(tip, svg.el("circle", cx=x(n), cy=y(part.value), r=3.5, class_="dot clear")))
    flags = ((row.ahead_from, "ahead from"), (row.clear_from, "clearly from"), (stated, "as tried:"))
    parts += [_flag(x, n, name, turn) for turn, (n, name) in enumerate(flags) if n and x.low <= n <= x.high]
    if free:
        parts.append(_free(y, free))
    title = f"What {arm} adds over {rival} at equal {numbers.ALL_NAMES[row.currency]}"
    return svg.drawing(WIDTH, HEIGHT, title, *parts)


def _unmatched(x: svg.Axis, first: int, rival: str) -> Markup:
    """Where the rival's ladder ends before the arm's total is reached."""
    if first <= 1:
        return Markup("")
    width, high = x(first) - LEFT, HEIGHT - BOTTOM - TOP
    return svg.mark(
        f"below {first:,} deployments {rival} was given no budget as large as the total: no comparison",
        svg.el("rect", x=LEFT, y=TOP, width=width, height=high, class_="cell none"),
        svg.text(LEFT + width / 2, TOP + high / 2, "no rival had as much" if width > 150 else "", "faint", "middle"),
    )


def _flag(x: svg.Axis, n: int, name: str, turn: int) -> Markup:
    left = x(n) > x.end - 110
    return svg.mark(
        f"{name} {n:,} deployments",
        svg.line(x(n), TOP, x(n), HEIGHT - BOTTOM, "leader"),
        svg.text(
            x(n) + (-5 if left else 5), TOP + 12 + 14 * turn, f"{name} {n:,}", "label", "end" if left else "start"
        ),
    )


def _free(y: svg.Axis, part: Interval) -> Markup:
    at, clear = WIDTH - 74, " clear" if part.low > 0 or part.high < 0 else ""
    return svg.mark(
        f"with a free investment: {numbers.estimate(part)} points",
        svg.line(at, y(part.low), at, y(part.high), "whisker"),
        svg.el("circle", cx=at, cy=y(part.value), r=4, class_=f"dot{clear}"),
        svg.text(at, HEIGHT - BOTTOM + 18, "if it were free", "tick", "middle"),
    )
