"""Planes: accuracy against compute, and what an investment comes to when more and more problems share it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import final

from markupsafe import Markup

from netgain.analysis.rows import BreakEvenRow, CoverageRow, DeploymentsPoint, WorstCase
from netgain.analysis.sentences import points
from netgain.analysis.verdict import AmortisationRow, ArmRow
from netgain.records.learning import PolicyRun, PolicyStep
from netgain.report import numbers, svg

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 440, 64, 230, 28, 52
LOW, EDGE = 330, 84  # height and left edge of the curves over problems
MOST = 1e5
PANEL_WIDTH, PANEL_HEIGHT, PANELS = 290, 190, 3
POLICY: tuple[tuple[str, Callable[[PolicyStep], float | None]], ...] = (
    ("reward", lambda one: one.reward),
    ("accuracy held out", lambda one: one.development),
    ("spread within a group", lambda one: one.spread),
    ("groups without spread", lambda one: one.flat),
    ("texts of no use", lambda one: one.invalid / one.texts if one.texts else None),
    ("divergence (nats a token)", lambda one: one.kl),
    ("entropy (nats a token)", lambda one: one.entropy),
    ("tokens a text", lambda one: one.length),
    ("clipped tokens", lambda one: one.clipped),
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@final
@dataclass(frozen=True)
class _Dot:
    """An arm at what it cost; ``charged`` is its cost with the outer loop's share where that is drawn apart."""

    arm: ArmRow
    accuracy: float
    cost: float
    charged: float | None = None


def scatter(arms: Sequence[ArmRow], currency: str) -> Markup | None:
    """Arms of one setting by the cost of a problem (logarithmic) and accuracy; None where fewer than two can be placed.

    What cost nothing is a line across. A trial's arms stand at their cost with the share of their investment, and are
    joined over the budget ladder; a published arm stands at its training cost, a hollow mark at what it cost with its
    outer loop, and a dashed line joins the arms that no other beats so.
    """
    dots = [dot for arm in arms if (dot := _dot(arm, currency)) is not None]
    costs = [value for dot in dots for value in (dot.cost, dot.charged) if value]
    if len(dots) < 2 or not costs:
        return None
    ends = [v for d in dots for v in (d.arm.low, d.arm.high, d.accuracy, *d.arm.by_seed) if v is not None]
    x = svg.Axis(min(costs) / 1.6, max(costs) * 1.3, LEFT, WIDTH - RIGHT, log=True)
    y = svg.Axis(max(0.0, min(ends) - 0.02), min(1.0, max(ends) + 0.02), HEIGHT - BOTTOM, TOP)
    groups: dict[str, list[_Dot]] = {}
    for dot in dots:
        groups.setdefault(dot.arm.method or dot.arm.name, []).append(dot)
    labels = svg.spread([y(g[-1].accuracy) for g in groups.values()], 15, TOP + 6, HEIGHT - BOTTOM - 4)
    share = "the investment's share included, " if any(dot.arm.rung is not None for dot in dots) else ""
    caption = f"{numbers.ALL_NAMES[currency]} for one problem ({share}logarithmic)"
    parts = [svg.plane(x, y, caption, "accuracy", lambda t: f"{100 * t:.0f} %"), _front(dots, x, y, currency)]
    parts += [_group(group, x, y, label, currency) for group, label in zip(groups.values(), labels, strict=True)]
    title = f"Accuracy against {numbers.ALL_NAMES[currency]} for one problem"
    return svg.drawing(WIDTH, HEIGHT, title, *parts)


def _dot(arm: ArmRow, currency: str) -> _Dot | None:
    charged = arm.charged_per_problem.get(currency)
    if arm.accuracy is None:
        return None
    if arm.rung is not None:
        return _Dot(arm, arm.accuracy, charged or 0.0)
    cost = numbers.trained(arm).get(currency)
    if cost is None:
        return None
    return _Dot(arm, arm.accuracy, cost, charged if charged is not None and charged > cost else None)


def _front(dots: Sequence[_Dot], x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    on_it = sorted((dot for dot in dots if currency in dot.arm.undominated), key=lambda dot: dot.charged or dot.cost)
    places = [(x(cost) if (cost := dot.charged or dot.cost) else x.start, y(dot.accuracy)) for dot in on_it]
    along = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    return svg.el("polyline", points=along, class_="front") if len(on_it) > 1 else Markup("")


def _group(dots: list[_Dot], x: svg.Axis, y: svg.Axis, label: float, currency: str) -> Markup:
    """One arm over its budgets, with its name at the right edge."""
    named = next((dot.arm for dot in dots if dot.arm.own), dots[-1].arm)
    name = svg.text(x.end + 12, label + 4, svg.short(named.label, 31), "label strong" if named.headline else "label")
    placed = [dot for dot in dots if dot.cost]
    if not placed:
        level = y(dots[0].accuracy)
        tip = f"{named.label}: {numbers.percent(dots[0].accuracy)}, no compute spent on a problem"
        across = svg.line(x.start, level, x.end, level, f"free role-{named.role}")
        return svg.mark(tip, across, svg.line(x.end, level, x.end + 8, label, "leader"), name)
    last = placed[-1]
    at = (x(last.charged or last.cost), y(last.accuracy))
    joined = " ".join(f"{x(dot.cost):.1f},{y(dot.accuracy):.1f}" for dot in placed)
    curve = svg.el("polyline", points=joined, class_=f"rungs role-{named.role}") if len(placed) > 1 else Markup("")
    marks = [_point(dot, x, y, currency) for dot in placed]
    return _band(placed, x, y) + curve + Markup("").join(marks) + svg.line(*at, x.end + 8, label, "leader") + name


def _band(dots: list[_Dot], x: svg.Axis, y: svg.Axis) -> Markup:
    """From the worst to the best seed."""
    seeded = [dot for dot in dots if len(dot.arm.by_seed) > 1]
    if len(seeded) < 2:
        return Markup("")
    there = [f"{x(dot.cost):.1f},{y(max(dot.arm.by_seed)):.1f}" for dot in seeded]
    back = [f"{x(dot.cost):.1f},{y(min(dot.arm.by_seed)):.1f}" for dot in reversed(seeded)]
    return svg.el("polygon", points=" ".join([*there, *back]), class_=f"band role-{seeded[0].arm.role}")


def _point(dot: _Dot, x: svg.Axis, y: svg.Axis, currency: str) -> Markup:
    arm, px, py = dot.arm, x(dot.cost), y(dot.accuracy)
    tip = f"{arm.label}: {numbers.percent(dot.accuracy)}, {numbers.amount(dot.cost)} a problem"
    parts = []
    if arm.low is not None and arm.high is not None:
        tip += f", 95 % interval {numbers.between(arm.low, arm.high)}"
        parts.append(svg.line(px, y(arm.low), px, y(arm.high), f"whisker role-{arm.role}"))
    if len(arm.by_seed) > 1:
        tip += f"; seeds {', '.join(f'{100 * value:.1f}' for value in arm.by_seed)}"
    if arm.underspent:
        tip += f"; spent {numbers.percent(arm.spent_share)} of its budget"
    if dot.charged:
        least = "at least " if currency in arm.charged_incomplete else ""
        tip += f"; {least}{numbers.amount(dot.charged)} with its outer loop"
        parts.append(svg.line(px, py, x(dot.charged), py, f"charged role-{arm.role}"))
        parts.append(svg.point(x(dot.charged), py, arm.role, hollow=True))
    size = 4.0 if not arm.own else 7 if arm.headline or arm.rung is not None else 5.5
    return svg.mark(tip, *parts, svg.point(px, py, arm.role, size, hollow=arm.underspent))


def cost_curve(row: AmortisationRow, arms: Sequence[ArmRow], examined: int | None) -> Markup | None:
    """Cost of a problem against the number of problems; the rival's flat line; None where an amount is not known."""
    own, rival = row.adapt_per_problem, row.rival_per_problem
    if not row.bill or own is None or own <= 0 or (rival is not None and rival <= 0):
        return None  # a logarithmic axis has no place for free work
    labels, bill = {arm.name: arm.label for arm in arms}, row.bill
    x = svg.Axis(1, MOST, EDGE, WIDTH - 230, log=True)
    y = svg.Axis(min(own, rival or own) / 1.6, max(own + bill, rival or own) * 1.3, LOW - BOTTOM, TOP, log=True)
    line = " ".join(f"{x(n):.1f},{y(own + bill / n):.1f}" for n in (10 ** (i / 20) for i in range(101)))
    ends = svg.spread([y(own + bill / MOST), y(rival or own)], 16, TOP, LOW - BOTTOM)
    name = numbers.CURRENCY_NAMES[row.currency]
    upright = f"{name} for one problem, the outer loop's share included"
    parts = [svg.plane(x, y, "problems that share the outer loop's cost", upright, numbers.tick)]
    parts.append(svg.el("polyline", points=line, class_="curve role-self_improving"))
    parts.append(svg.text(x.end + 8, ends[0] + 4, svg.short(labels[row.arm], 30), "label strong"))
    if row.rival is not None and rival is not None:
        parts.append(svg.line(EDGE, y(rival), x.end, y(rival), "curve rival"))
        parts.append(svg.text(x.end + 8, ends[1] + 4, svg.short(f"{labels[row.rival]} (as accurate)", 34), "label"))
    if examined:
        parts.append(_at(x, y, examined, own + bill / examined, "examined"))
    if row.break_even and row.break_even <= MOST:
        when = "break-even at the earliest" if row.bill_incomplete else "break-even"
        parts.append(_at(x, y, row.break_even, own + bill / row.break_even, when))
    return svg.drawing(WIDTH, LOW, f"Cost of one problem in {name}, the outer loop's cost shared", *parts)


def _at(x: svg.Axis, y: svg.Axis, problems: int, cost: float, name: str) -> Markup:
    return svg.mark(
        f"{name} at {problems:,} problems: {numbers.amount(cost)} for each",
        svg.el("circle", cx=x(problems), cy=y(cost), r=5, class_="dot clear"),
        svg.text(x(problems) + 8, y(cost) - 8, f"{problems:,} {name}", "label"),
    )


def lead(row: BreakEvenRow, labels: dict[str, str], stated: int | None) -> Markup | None:
    """The arm minus the strongest conventional arm at each number of deployments that was run, with its interval.

    Nothing is drawn between the numbers: at each what learns had invested anew. None for fewer than two. Where the
    strongest arm is not the same everywhere, letters at the dots stand for the names at the right edge.
    """
    known = [(point, point.worst_case) for point in row.points if point.worst_case]
    if len(known) < 2:
        return None
    ends = [value for _, worst in known for value in (worst.difference.low, worst.difference.high)] + [0.0]
    numbers_run = [point.deployments for point in row.points]
    x = svg.Axis(min(numbers_run) / 1.5, max(numbers_run) * 1.5, EDGE, WIDTH - RIGHT, log=True)
    room = 0.06 * (max(ends) - min(ends)) + 0.005
    y = svg.Axis(min(ends) - room, max(ends) + room, LOW - BOTTOM, TOP)
    arm = labels[row.arm]
    rivals = {name: LETTERS[i % 26] for i, name in enumerate(dict.fromkeys(worst.rival for _, worst in known))}
    only = f"{svg.short(labels[known[0][1].rival], 40)}, the strongest rival" if len(rivals) == 1 else ""
    upright = f"{svg.short(arm, 40)} minus {only or 'the strongest rival'}, percentage points"
    parts = [svg.plane(x, y, "problems that share the investment (deployments)", upright, points, numbers_run)]
    parts.append(svg.line(x.start, y(0.0), x.end, y(0.0), "grid zero"))
    parts += [_run_at(x, y, point, worst, arm, labels, "" if only else rivals[worst.rival]) for point, worst in known]
    if not only:
        named = [line for name, letter in rivals.items() for line in wrap(f"{letter}: over {labels[name]}", 30)]
        parts += [svg.text(x.end + 10, TOP + 12 + 17 * i, line, "label") for i, line in enumerate(named)]
    parts += [_uncompared(x, point) for point in row.points if point.worst_case is None]
    flags = ((row.ahead_from, "ahead from"), (stated, "the verdict's:"))
    parts += [_flag(x, n, name, turn) for turn, (n, name) in enumerate(flags) if n and x.low <= n <= x.high]
    title = f"{arm} minus the strongest conventional arm at equal {numbers.ALL_NAMES[row.currency]}, by deployments"
    return svg.drawing(WIDTH, LOW, title, *parts)


def _run_at(
    x: svg.Axis,
    y: svg.Axis,
    point: DeploymentsPoint,
    worst: WorstCase,
    arm: str,
    labels: dict[str, str],
    letter: str,
) -> Markup:
    at, part, rival = x(point.deployments), worst.difference, labels[worst.rival]
    height = y(part.value) - 7
    if abs(height - 4 - y(0.0)) < 10:  # the zero line would run through it
        height = max(y(part.value), y(0.0)) + 17
    bound = point.stand_ins or point.missing or worst.left_out
    tip = f"{point.deployments:,} deployments: {arm} minus {rival} {numbers.estimate(part)} points"
    tip += "; not every rival was run for this number at the same total" if bound else ""
    return svg.mark(
        tip,
        svg.line(at, y(part.low), at, y(part.high), "whisker"),
        svg.el("circle", cx=at, cy=y(part.value), r=5, class_=f"dot{'' if bound or not worst.ahead else ' clear'}"),
        svg.text(at + 9, height, " ".join(filter(None, (points(part.value), letter))), "label"),
    )


def _uncompared(x: svg.Axis, point: DeploymentsPoint) -> Markup:
    return svg.mark(
        f"{point.deployments:,} deployments: no rival was run at the same total",
        svg.text(x(point.deployments), LOW - BOTTOM - 8, "not compared", "faint", "middle"),
    )


def _flag(x: svg.Axis, n: int, name: str, turn: int) -> Markup:
    left = x(n) > x.end - 110
    return svg.mark(
        f"{name} {n:,} deployments",
        svg.line(x(n), TOP, x(n), LOW - BOTTOM, "leader"),
        svg.text(
            x(n) + (-5 if left else 5), TOP + 12 + 14 * turn, f"{name} {n:,}", "label", "end" if left else "start"
        ),
    )


def coverage(rows: Sequence[CoverageRow], arms: Sequence[ArmRow]) -> Markup | None:
    """The chance of one right answer among k against k (logarithmic), an arm a line, whiskers its intervals; None where
    there is none. Arms stand beside each other at every k, so that no whisker hides another."""
    named = {arm.name: arm for arm in arms}
    known = [(row, [(p.k, p.passed) for p in row.points if p.passed is not None]) for row in rows]
    known = [(row, curve) for row, curve in known if curve]
    if not known:
        return None
    ks = sorted({k for _, curve in known for k, _ in curve})
    highest = max(passed.high for _, curve in known for _, passed in curve)
    x = svg.Axis(ks[0] / 1.3, ks[-1] * 1.3, EDGE, WIDTH - RIGHT, log=True)
    y = svg.Axis(0.0, min(1.0, highest + 0.02), LOW - BOTTOM, TOP)
    parts = [svg.plane(x, y, "answers tried (k)", "one of k is right", lambda t: f"{100 * t:.0f} %", ks)]
    labels = svg.spread([y(curve[-1][1].value) for _, curve in known], 15, TOP + 6, LOW - BOTTOM - 4)
    for index, ((row, curve), label) in enumerate(zip(known, labels, strict=True)):
        arm, aside = named[row.arm], 3.0 * (index - (len(known) - 1) / 2)
        places = [(x(k) + aside, y(passed.value)) for k, passed in curve]
        joined = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        parts.append(svg.el("polyline", points=joined, class_=f"rungs role-{arm.role}"))
        for (k, passed), (px, py) in zip(curve, places, strict=True):
            tip = f"{arm.label}: pass@{k} {numbers.percent(passed.value)}, {numbers.between(passed.low, passed.high)}"
            whisker = svg.line(px, y(passed.low), px, y(passed.high), f"whisker role-{arm.role}")
            parts.append(svg.mark(tip, whisker, svg.point(px, py, arm.role, 4.5)))
        style = "label strong" if arm.headline else "label"
        parts.append(svg.line(*places[-1], x.end + 8, label, "leader"))
        parts.append(svg.text(x.end + 12, label + 4, svg.short(arm.label, 31), style))
    return svg.drawing(WIDTH, LOW, "One right answer among k, by k", *parts)


def policy(runs: Sequence[PolicyRun], label: str) -> Markup | None:
    """The steps of one arm's policy gradient, a panel a measure and a line a seed, over the FLOPs (in units of the
    whole) that were spent by then; None where no panel has two points. A ring is the step that was kept."""
    most = max((one.flops or 0.0 for run in runs for one in run.steps), default=0.0)
    panels = []
    for name, value in POLICY:
        lines = [
            [(one.flops / most if most and one.flops else float(one.step), found, one.step) for one in run.steps
             if (found := value(one)) is not None]
            for run in runs
        ]  # fmt: skip
        if any(len(line) > 1 for line in lines):
            panels.append((name, lines))
    if not panels:
        return None
    parts = [_panel(index, name, lines, runs, most) for index, (name, lines) in enumerate(panels)]
    height = -(-len(panels) // PANELS) * PANEL_HEIGHT
    title = f"{label}: the course of its policy gradient"
    return svg.drawing(PANELS * PANEL_WIDTH, height, title, *parts)


def _panel(
    index: int, name: str, lines: list[list[tuple[float, float, int]]], runs: Sequence[PolicyRun], most: float
) -> Markup:
    left, top = (index % PANELS) * PANEL_WIDTH, index // PANELS * PANEL_HEIGHT
    values, places = [y for line in lines for _, y, _ in line], [x for line in lines for x, _, _ in line]
    x = svg.Axis(0.0, max(places), left + 56, left + PANEL_WIDTH - 14)
    y = svg.Axis(min(0.0, *values), max(values) * 1.05 or 1.0, top + PANEL_HEIGHT - 46, top + 28)
    caption = f"of {numbers.amount(most)} FLOPs" if most else "steps"
    parts = [svg.plane(x, y, caption, name, numbers.tick)]
    for run, line in zip(runs, lines, strict=True):
        joined = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value, _ in line)
        parts.append(svg.el("polyline", points=joined, class_="rungs role-self_improving"))
        for at, value, step in line:
            kept = "; kept" if step == run.kept else ""
            dot = svg.el("circle", cx=x(at), cy=y(value), r=4 if kept else 1.8, class_="dot clear" if kept else "dot")
            parts.append(svg.mark(f"seed {run.seed}, step {step}: {name} {value:.3g}{kept}", dot))
    return Markup("").join(parts)
