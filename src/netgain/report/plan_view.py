"""A trial on a terminal before and while it runs: its plan, and how far it is. Legible at 80 columns."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from netgain.records.cost import Cost
from netgain.report import numbers, svg
from netgain.trials.plan import Plan
from netgain.trials.progress import Progress

LONGEST = 24  # characters of an arm's label in a table
BAR = 20


def plan_page(plan: Plan) -> Group:
    """The plan: what it takes and what it can see, what each arm may spend, and about what that is."""
    facts = _grid(
        ("trial", f"{plan.name}: {plan.units} units, {plan.problems} test problems, {plan.seeds} seeds"),
        ("model", plan.model),
        ("device", f"{plan.device}, {plan.rate}"),
        ("memory", f"about {plan.memory / 1e9:.3g} GB" + ("" if plan.fits else ": more than the device has")),
        ("takes", f"about {_hours(plan.whole)} device hours and {_dollars(plan.whole)}"),
        ("detects", detects(plan.detectable)),
        *_judging(plan),
        ("primary", f"{plan.primary} (hash of the comparison, fixed before the run)"),
    )
    limits = [(arm.label, [_short(arm.budget.get(name)) for name in ("adapt", "learn", "tune")]) for arm in plan.arms]
    about = [(arm.label, _cost(arm.whole)) for arm in plan.arms]
    about += [("judge", _cost(plan.judging))] if plan.judging is not None else []
    headings = ("updates", "tokens\ntrained", "tokens\nwritten", "FLOPs", "device\nhours", "dollars")
    notes = Group(*(Text(f" • {numbers.clean(note)}", style="dim") for note in plan.assumptions))
    return Group(
        facts,
        Text(""),
        _table(f"what each arm may spend, in {plan.currency}", ("adapting", "investing", "tuning"), limits),
        _table("about what that comes to, exams included", headings, [*about, ("all", _cost(plan.whole))]),
        notes,
    )


def detects(effect: float | None) -> str:
    """What the trial can see, as far as its size goes; an effect above 100 points is none that can happen."""
    if effect is None or effect >= 1:
        return "nothing: with so few problems no difference, however large, is found four times in five"
    return f"differences of {100 * effect:.1f} percentage points or more (found four times in five)"


def _judging(plan: Plan) -> list[tuple[str, str]]:
    cost = plan.judging
    if cost is None:
        return []
    read, written = numbers.amount(cost.tokens_real), numbers.amount(cost.tokens_generated)
    return [("judge", f"about {read} real tokens and {written} generated ones, outside every budget")]


def _table(title: str, headings: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> Table:
    table = Table(box=SIMPLE, title=title, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("arm", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for label, cells in rows:
        if label == "all":
            table.add_section()
        style = "bold" if label == "all" else ""
        table.add_row(*(Text(numbers.clean(c)) for c in (svg.short(label, LONGEST), *cells)), style=style)
    return table


def _cost(cost: Cost) -> list[str]:
    counts = [_short(x) for x in (cost.updates, cost.tokens_training, cost.tokens_generated, cost.flops)]
    return [*counts, _hours(cost), _dollars(cost)]


def _short(amount: float | None) -> str:
    """At most seven characters: 812, 50.6 k, 2.35 M, 5.4e18; a dash for nothing."""
    if not amount:
        return "-"
    if amount >= 1e15:
        return f"{amount:.2g}".replace("e+", "e")
    return f"{amount / 1000:.3g} k" if 10_000 <= amount < 1e6 else numbers.amount(amount)


def _hours(cost: Cost) -> str:
    return "unknown" if cost.seconds is None else f"{cost.seconds / 3600:.2g}"


def _dollars(cost: Cost) -> str:
    if cost.dollars is None:
        return "unknown"
    return f"${cost.dollars:,.2f}" if cost.dollars < 100 else f"${cost.dollars:,.0f}"


def _grid(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(Text(name), Text(numbers.clean(value)))
    return table


def progress_page(progress: Progress, dollars_per_hour: float = 0.0) -> RenderableType:
    """Per arm a bar of its adaptations and what is spent of its budget; below: time and money left."""
    rows = []
    for arm in progress.arms():
        share = f"{arm.spent / arm.budget:.0%}" if arm.budget else "-"
        rows.append((arm.label, [_bar(arm.done, arm.of), f"{arm.done} of {arm.of}", numbers.amount(arm.spent), share]))
    table = _table("", ("", "adaptations", "spent", "of budget"), rows)
    return Group(table, Text(_left(progress, dollars_per_hour)))


def _bar(done: int, of: int) -> str:
    full = BAR * done // of if of else 0
    return "█" * full + "░" * (BAR - full)


def progress_line(progress: Progress, dollars_per_hour: float = 0.0) -> str:
    """The same in one line, for what is no terminal."""
    done, of = sum(arm.done for arm in progress.arms()), sum(arm.of for arm in progress.arms())
    return f"{done} of {of} adaptations; {_left(progress, dollars_per_hour)}"


def _left(progress: Progress, dollars_per_hour: float) -> str:
    state = f"{progress.finished} of {len(progress.units)} units finished"
    seconds = progress.seconds_left()
    if seconds is not None and not progress.ended:
        state += f"; about {_clock(seconds)} left"
        state += f", ${seconds / 3600 * dollars_per_hour:.2f}" if dollars_per_hour else ""
    return numbers.clean(f"{state}; {progress.note}" if progress.note else state)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
