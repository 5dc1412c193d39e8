"""The verdict on a terminal. Text from outside is written as text: no markup, no control characters."""

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.report import terminal_trial, words

_SEVERITY = {"high": "bold red", "medium": "yellow", "low": "dim", "note": "dim"}
_ANSWER = {"yes": "green", "no": "bold red", "cannot tell": "yellow"}


def show(verdict: Verdict, console: Console) -> None:
    """Print the verdict: its sentence, the arms, the four questions (of an audit), the findings."""
    what = "trial:" if verdict.terms else "audit of"
    title = Text(words.clean(f"netgain {what} {verdict.title}"))
    sentence = Text(words.clean(verdict.headline.sentence), style="bold")
    console.print(Panel(sentence, title=title, title_align="left", padding=(1, 2)))
    details = Table.grid(padding=(0, 1))
    for detail in verdict.headline.details:
        details.add_row(Text(" •"), Text(words.clean(detail)))
    if verdict.glossary:
        details.add_row(Text(""), Text(words.clean(verdict.glossary), style="dim"))
    console.print(details, Text(""))
    if verdict.terms:
        console.print(terminal_trial.bars(verdict))
        console.print(terminal_trial.matched(verdict))
    else:
        console.print(_arms(verdict))
        console.print(_questions(verdict))
    console.print(_findings(verdict))


def _arms(verdict: Verdict) -> Table:
    table = Table(box=SIMPLE, title="arms", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("arm", no_wrap=True)
    for heading in ("accuracy", "95 % interval", "updates", "real tokens", "FLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in sorted(verdict.arms, key=lambda arm: (arm.setting, -(arm.accuracy or 0.0))):
        table.add_row(*_arm(arm), style="bold" if arm.headline else "")
    table.caption = "costs are for training on one problem, the outer loop left out (the page draws them with it)"
    return table


def _arm(arm: ArmRow) -> list[RenderableType]:
    interval = f"{words.percent(arm.low)} to {words.percent(arm.high)}" if arm.low is not None else "unknown"
    about = "≈ " if arm.tokens_estimated and arm.tokens_real is not None else ""
    cells = [
        words.clean(arm.label),
        words.percent(arm.accuracy),
        interval,
        words.amount(arm.updates_per_problem),
        about + words.amount(arm.tokens_real_per_problem),
        words.amount(arm.flops_per_problem),
    ]
    return [Text(cell) for cell in cells]


def _questions(verdict: Verdict) -> Group:
    table = _list()
    for row in verdict.questions:
        table.add_row(Text(row.answer, style=_ANSWER[row.answer]), Text(words.clean(row.question)))
    return Group(Text("four questions", style="bold"), table, Text(""))


def _findings(verdict: Verdict) -> Group:
    table = _list()
    for finding in verdict.findings:
        table.add_row(Text(finding.severity, style=_SEVERITY[finding.severity]), Text(words.clean(finding.message)))
    return Group(Text(f"findings ({len(verdict.findings)})", style="bold"), table)


def _list() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=7)
    table.add_column()
    return table
