"""A trial on a terminal: its plan before it runs, and how far it is while it does. Both fit 80 columns."""

import math

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from netgain.analysis.crossed import FEWEST_RUNS
from netgain.metering.estimate import gigabytes
from netgain.records.cost import Cost
from netgain.report import numbers
from netgain.trials.plan import ArmPlan, Plan
from netgain.trials.progress import Progress, RunStatus

BAR = 16  # characters of a bar
SHOWN = 2  # tasks under way that are named


def plan_page(plan: Plan) -> Group:
    """The plan: what each arm may spend, about what that is, what it takes, what it can see. Fits 80 columns."""
    limits = _table(
        f"what each arm may spend, in {numbers.ALL_NAMES[plan.currency]}", ("adapting", "invested", "tuning")
    )
    for arm in plan.arms:
        limits.add_row(*(Text(numbers.clean(cell)) for cell in _limits(arm)))
    about = _table(
        "about what that is", ("updates", "tokens\ntrained", "tokens\nwritten", "FLOPs\nin all", "hours", "$")
    )
    for arm in plan.arms:
        about.add_row(*(Text(numbers.clean(cell)) for cell in [arm.label, *_cost(arm.whole)]))
    if plan.judging is not None:
        about.add_row(*(Text(cell) for cell in ["judge", *_cost(plan.judging)]))
    about.add_section()
    whole = plan.whole
    about.add_row(*(Text(cell, style="bold") for cell in ["all", *_cost(whole)]))
    counts = [_count(plan.tasks, "task"), _count(plan.problems, "test problem"), _count(plan.seeds, "seed")]
    facts = _facts(
        ("trial", f"{plan.name}: {', '.join(counts)}"),
        ("model", plan.model),
        ("device", f"{plan.device}, {plan.rate}"),
        ("memory", _memory(plan)),
        ("takes", f"{_hours_in_all(plan)} and {_dollars(whole)}; {_flops(plan)}"),
        ("sees", _effect(plan)),
        *_judging(plan),
        ("primary", f"{plan.primary[:19]}… (the comparison, fixed before the run; whole in --json)"),
    )
    warnings = [Text(f"\nwarning: {numbers.clean(line)}", style="bold red") for line in plan.warnings]
    notes = Table.grid(padding=(0, 1))
    for note in plan.assumptions:
        notes.add_row(Text("•", style="dim"), Text(numbers.clean(note), style="dim"))
    return Group(facts, *warnings, Text(""), limits, about, notes)


def _table(title: str, headings: tuple[str, ...]) -> Table:
    """A table of figures by arm. The arms' labels give way where the terminal is narrow, never the figures."""
    table = Table(box=SIMPLE, title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("arm", min_width=12)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    return table


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _effect(plan: Plan) -> str:
    if plan.seeds < FEWEST_RUNS:
        return f"figures and intervals, no verdict: {_count(plan.seeds, 'seed')} cannot show the luck of training"
    if plan.detectable is None or plan.detectable >= 1:
        return f"no difference: {_count(plan.problems, 'test problem')} cannot tell two arms apart; ask for more"
    return f"a difference of {100 * plan.detectable:.1f} percentage points (smallest that is found four times in five)"


def _hours_in_all(plan: Plan) -> str:
    return f"about {_few(plan.hours)} hours" + (
        f" without the scripts of {', '.join(plan.scripts)}" if plan.scripts else ""
    )


def _memory(plan: Plan) -> str:
    each = f"about {gigabytes(plan.memory)}" + (f" for {plan.workers} workers" if plan.workers > 1 else "")
    return f"{each}; {gigabytes(plan.memory_free)} are free" + ("" if plan.fits else ": too little")


def _flops(plan: Plan) -> str:
    return f"{numbers.amount(plan.whole.flops)} FLOPs expected, at most {numbers.amount(plan.most_flops)}"


def _judging(plan: Plan) -> list[tuple[str, str]]:
    cost = plan.judging
    if cost is None:
        return []
    read, written = numbers.amount(cost.tokens_real), numbers.amount(cost.tokens_generated)
    return [("judge", f"about {read} real tokens and {written} generated ones, outside every budget")]


def _limits(arm: ArmPlan) -> list[str]:
    parts = [_short(arm.budget.get(name)) if arm.budget.get(name) else "-" for name in ("adapt", "learn", "tune")]
    return [arm.label, *parts]


def _cost(cost: Cost) -> list[str]:
    counts = [_short(x) for x in (cost.updates, cost.tokens_training, cost.tokens_generated, cost.flops)]
    return [*counts, _hours(cost), _dollars(cost)]


def _short(amount: float | None) -> str:
    """At most seven characters: 812, 50.6 k, 2.35 M, 5.4e18."""
    if amount is not None and amount >= 1e15:
        return f"{amount:.2g}".replace("e+", "e")
    if amount is not None and 10_000 <= amount < 999_500:
        return f"{numbers.three_digits(amount / 1000)} k"
    return numbers.amount(amount if amount is None or amount < 999_500 else max(amount, 1e6))


def _hours(cost: Cost) -> str:
    return "unknown" if cost.seconds is None else _few(cost.seconds / 3600)


def _few(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 99.5 else f"{hours:.2g}"


def _dollars(cost: Cost) -> str:
    return (
        "unknown"
        if cost.dollars is None
        else f"${cost.dollars:,.2f}"
        if cost.dollars < 100
        else f"${cost.dollars:,.0f}"
    )


def _facts(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(Text(name), Text(numbers.clean(value)))
    return table


def progress_page(progress: Progress, dollars_per_hour: float = 0.0) -> RenderableType:
    """Per arm a bar of its adaptations, and what is spent of its budget; below: the whole, in work, time and money."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("arm", min_width=12)
    for heading in ("", "adaptations", "spent", "of budget"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in progress.arms():
        share = f"{arm.spent / arm.budget:.0%}" if arm.budget else "-"
        cells = (_bar(arm.done, arm.of), f"{arm.done} of {arm.of}", numbers.amount(arm.spent), share)
        table.add_row(*(Text(numbers.clean(cell)) for cell in (arm.label, *cells)))
    now = [f"{name} ({_clock(seconds)})" for name, seconds in progress.running()]
    lines = [f"{_bar(progress.share(), 1.0)} {_left(progress, dollars_per_hour)}"]
    lines += (
        [f"now: {', '.join(now[:SHOWN])}" + (f" and {len(now) - SHOWN} more" if now[SHOWN:] else "")] if now else []
    )
    return Group(table, *(Text(numbers.clean(line)) for line in lines))


def _bar(done: float, of: float) -> str:
    full = int(BAR * done / of) if of else 0
    return "█" * full + "░" * (BAR - full)


def progress_line(progress: Progress, dollars_per_hour: float = 0.0) -> str:
    """The same in one line, for what is no terminal."""
    done, of = sum(arm.done for arm in progress.arms()), sum(arm.of for arm in progress.arms())
    return f"{done} of {of} adaptations; {_left(progress, dollars_per_hour)}"


def _left(progress: Progress, dollars_per_hour: float) -> str:
    parts = [f"{progress.share():.0%} of the work, {progress.finished} of {len(progress.tasks)} tasks"]
    parts += [f"{_clock(progress.seconds_gone())} gone"]
    seconds = progress.seconds_left()
    if seconds is not None and not progress.ended:
        parts[-1] += f", {about(seconds)} left"
        parts[-1] += f", ${seconds / 3600 * dollars_per_hour:.2f}" if dollars_per_hour else ""
    return numbers.clean("; ".join([*parts, progress.note] if progress.note else parts))


def status_text(status: RunStatus) -> str:
    """A run's status, a line for each thing worth knowing."""
    states = (("running", status.running), ("failed", status.failed), ("cut off", status.cut_off))
    counts = [f"{len(status.finished)} of {status.tasks} tasks finished"]
    counts += [f"{len(names)} {state}" for state, names in (*states, ("waiting", status.waiting)) if names]
    lines = [
        f"{status.name}: {', '.join(counts)}",
        f"spent: {numbers.amount(status.spent)} {numbers.ALL_NAMES[status.currency]}"
        + (f", {numbers.amount(status.lost)} of it in attempts that were cut off" if status.lost else ""),
    ]
    lines += [f"held by {status.holder}"] if status.holder else []
    if status.share is not None:
        left = "time left not known yet" if status.seconds_left is None else f"{about(status.seconds_left)} left"
        lines += [f"{status.share:.0%} of the work; {_clock(status.seconds_gone or 0.0)} gone, {left}"]
    lines += [f"running: {name} ({writer})" for name, writer in status.running.items()]
    lines += [f"failed: {name}: {reason}" for name, reason in status.failed.items()]
    if not status.running and len(status.finished) < status.tasks:
        lines += ["not running: the command that began it goes on from here"]
    return "\n".join(numbers.clean(line) for line in lines)


def about(seconds: float) -> str:
    """A time that is not known better: ``less than a minute``, ``about 7 min``, ``about 25 min``, ``about 3.5 h``."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 10:
        return f"about {math.ceil(minutes)} min"
    return f"about {5 * math.ceil(minutes / 5)} min" if minutes <= 90 else f"about {minutes / 60:.1f} h"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
