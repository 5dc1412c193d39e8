"""What the method adds over its rival at equal total compute, the more problems share its investment."""

from markupsafe import Markup

from netgain.analysis.rows import BreakEvenRow
from netgain.analysis.sentences import points
from netgain.analysis.verdict import Interval
from netgain.report import svg, words

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 300, 84, 120, 16, 52
Known = list[tuple[int, Interval]]


def curve(row: BreakEvenRow, labels: dict[str, str], stated: int | None) -> Markup | None:
    """The method's part with its interval against the number of deployments; None where it is known nowhere."""
    known: Known = [(p.deployments, p.method_part) for p in row.after if p.deployments and p.method_part]
    if len(known) < 2:
        return None
    free = next((p.method_part for p in row.after if p.deployments is None), None)
    ends = [value for _, part in known for value in (part.low, part.high)] + [0.0]
    ends += [free.low, free.high] if free else []
    x = svg.Axis(1, max(n for n, _ in known), LEFT, WIDTH - RIGHT, log=True)
    y = svg.Axis(min(ends) - 0.01, max(ends) + 0.01, HEIGHT - BOTTOM, TOP)
    parts = [_unknown(x, known[0][0], labels[row.rival]), _axes(x, y), _band(x, y, known)]
    line = " ".join(f"{x(n):.1f},{y(part.value):.1f}" for n, part in known)
    parts.append(svg.el("polyline", points=line, class_="curve role-self_improving"))
    parts += [_mark(x, y, *point, row, labels) for point in known]
    for n, name in ((row.ahead_from, "ahead from"), (row.clear_from, "clearly from"), (stated, "as tried:")):
        if n and x.low <= n <= x.high:
            parts.append(_flag(x, n, name))
    if free:
        parts.append(_free(y, free))
    title = f"What {labels[row.arm]} adds over {labels[row.rival]} at equal {words.ALL_NAMES[row.currency]}"
    return svg.drawing(WIDTH, HEIGHT + 34, title, *parts)


def _axes(x: svg.Axis, y: svg.Axis) -> Markup:
    floor = HEIGHT - BOTTOM
    ticks = y.ticks(6)
    parts = [svg.line(LEFT, y(t), WIDTH - RIGHT, y(t), "grid zero" if abs(t) < 1e-9 else "grid") for t in ticks]
    parts += [svg.text(LEFT - 8, y(t) + 4, points(t), "tick", "end") for t in ticks]
    parts += [svg.text(x(t), floor + 18, words.tick(t), "tick", "middle") for t in x.ticks(6)]
    caption = "problems that share the investment (vertical: points over the rival at equal total compute)"
    parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, floor + 38, caption, "axis", "middle"))
    return Markup("").join(parts)


def _unknown(x: svg.Axis, first: int, rival: str) -> Markup:
    """Where the rival's ladder ends before the arm's total is reached."""
    if first <= 1:
        return Markup("")
    tip = f"below {first:,} deployments the ladder of {rival} does not reach the total: nothing can be told"
    width = x(first) - LEFT
    return svg.mark(
        tip,
        svg.el("rect", x=LEFT, y=TOP, width=width, height=HEIGHT - BOTTOM - TOP, class_="cell none"),
        svg.text(LEFT + width / 2, TOP + 16, "cannot be matched" if width > 130 else "", "label faint", "middle"),
    )


def _band(x: svg.Axis, y: svg.Axis, known: Known) -> Markup:
    there = [f"{x(n):.1f},{y(part.high):.1f}" for n, part in known]
    back = [f"{x(n):.1f},{y(part.low):.1f}" for n, part in reversed(known)]
    return svg.el("polygon", points=" ".join([*there, *back]), class_="band role-self_improving")


def _mark(x: svg.Axis, y: svg.Axis, n: int, part: Interval, row: BreakEvenRow, labels: dict[str, str]) -> Markup:
    tip = f"{n:,} deployments: {labels[row.arm]} adds {words.estimate(part)} points over {labels[row.rival]}"
    return svg.mark(tip, svg.el("circle", cx=x(n), cy=y(part.value), r=3.5, class_="dot clear"))


def _flag(x: svg.Axis, n: int, name: str) -> Markup:
    at, low = x(n), HEIGHT - BOTTOM
    turn = {"ahead from": 0, "clearly from": 14, "as tried:": 28}[name]
    return svg.mark(
        f"{name} {n:,} deployments",
        svg.line(at, TOP, at, low, "leader"),
        svg.text(at + 5, TOP + 10 + turn, f"{name} {n:,}", "label"),
    )


def _free(y: svg.Axis, part: Interval) -> Markup:
    at = WIDTH - RIGHT + 46
    return svg.mark(
        f"with a free investment: {words.estimate(part)} points",
        svg.line(at, y(part.low), at, y(part.high), "whisker"),
        svg.el("circle", cx=at, cy=y(part.value), r=4, class_="dot clear" if part.low > 0 or part.high < 0 else "dot"),
        svg.text(at, HEIGHT - BOTTOM + 18, "free", "tick", "middle"),
    )
