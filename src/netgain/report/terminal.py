"""The verdict on a terminal, in the page's order. Text from outside is written as text: no markup, no control codes."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from netgain.analysis.verdict import DecompositionRow, Verdict
from netgain.report import bars, listings, numbers, summary

_SEVERITY = {"high": "bold red", "medium": "yellow", "low": "dim", "note": "dim"}
_ANSWER = {"yes": "green", "no": "bold red", "cannot tell": "yellow"}
WIDTH = 60  # of the bar that shows the gap taken apart


def show(verdict: Verdict, console: Console) -> None:
    """Print what was tested, the accuracies, the verdict, the gap taken apart, four questions, and the findings."""
    console.print(
        Text(numbers.clean(f"netgain {'trial' if verdict.terms else 'audit'}: {verdict.title}"), style="bold")
    )
    for line in verdict.doubts:
        console.print(Text(numbers.clean(f"not verified: {line}"), style="bold red"))
    console.print(_tested(verdict), Text(""))
    console.print(laid_out(listings.accuracies(verdict), narrow=console.width < 100))
    if verdict.glossary:
        console.print(Text(numbers.clean(verdict.glossary), style="dim"))
    told = (numbers.clean(f"{where}: {text}" if where else text) for where, text in summary.plain(verdict))
    first, *others = (Text(sentence, style="" if index else "bold") for index, sentence in enumerate(told))
    console.print(Panel(Group(first, *others), title="verdict", title_align="left", padding=(1, 2)))
    if verdict.setup and verdict.setup.note:
        console.print(Text(numbers.clean(f"note to this record: {verdict.setup.note}"), style="bold red"))
    details = _pairs()
    exact = summary.exact(verdict)
    for detail in (*exact, *(detail for detail in verdict.headline.details if detail not in exact)):
        details.add_row(Text(" •"), Text(numbers.clean(detail)))
    console.print(details, Text(""), _gaps(verdict))
    if verdict.questions:
        rows = [(row.answer, _ANSWER[row.answer], row.question) for row in verdict.questions]
        console.print(_marked("four questions", rows), Text(""))
    found = [(row.severity, _SEVERITY[row.severity], row.message) for row in verdict.findings]
    console.print(_marked(f"findings ({len(found)})", found))
    for line in summary.measured(verdict):
        console.print(Text(numbers.clean(line), style="dim"))


def _tested(verdict: Verdict) -> Table:
    table = _pairs()
    for name, lines in (summary.example(verdict), *summary.facts(verdict)):
        table.add_row(Text(numbers.clean(name), style="dim"), Text("\n".join(numbers.clean(line) for line in lines)))
    return table


def laid_out(listing: listings.Listing, *, narrow: bool = False) -> Group:
    """A listing as a table with a heading before each group; ``narrow`` leaves out what stands behind the interval."""
    columns = listing.columns[: 2 if "95 % interval" not in listing.columns else 3] if narrow else listing.columns
    table = Table(box=SIMPLE, pad_edge=False, caption=numbers.clean(listing.caption), caption_justify="left")
    for index, heading in enumerate(columns):
        justify = "right" if index else "left"
        table.add_column(numbers.clean(heading), justify=justify, no_wrap=bool(index))  # type: ignore[arg-type]
    for heading, lines in listing.groups.items():
        if heading:
            table.add_section()
            table.add_row(Text(numbers.clean(heading), style="bold underline"))
        for line in lines:
            cells = (_cell(cell, index) for index, cell in enumerate(line.cells[: len(columns)]))
            table.add_row(*cells, style="bold" if line.strong else "")
    return Group(table, *(Text(numbers.clean(f" {note}"), style="dim") for note in listing.notes))


def _cell(cell: listings.Cell, index: int) -> Text:
    note = f" ({cell.note})" if cell.note and index == 0 else f"  {cell.note}" if cell.note else ""
    return Text(numbers.clean(cell.text)).append(numbers.clean(note), style="dim")


def _marked(title: str, rows: Sequence[tuple[str, str, str]]) -> Group:
    table = _pairs(7)
    for mark, style, text in rows:
        table.add_row(Text(mark, style=style), Text(numbers.clean(text)))
    return Group(Text(title, style="bold"), table)


def _pairs(least: int = 0) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=least)
    table.add_column()
    return table


def _gaps(verdict: Verdict) -> Group:
    """For each domain the gap as one bar: what compute buys, and what the method adds or takes away."""
    labels = {arm.name: arm.label for arm in verdict.arms}
    rows = [(setting, summary.matched(verdict, arm)) for setting, arm in summary.subjects(verdict).items()]
    return Group(*(bar for setting, row in rows if row and (bar := _gap(setting, row, labels)) is not None))


def _gap(setting: str, row: DecompositionRow, labels: dict[str, str]) -> Group | None:
    if not (row.gap and row.compute_part and row.method_part and row.rival):
        return None
    scale = WIDTH / max(row.gap.value, row.compute_part.value, 0.01)
    bought = max(0, round(min(row.compute_part.value, row.gap.value) * scale))
    method = min(WIDTH, round(abs(row.method_part.value) * scale))
    added = row.method_part.value >= 0
    bar, style = ("▓", "cyan") if added else ("░", "red")
    rival = labels[row.rival]
    return Group(
        Text(numbers.clean(f"{setting}: the gap taken apart"), style="bold"),
        Text("  ").append("█" * bought, style="yellow").append(bar * method, style=style),
        _legend("█", "yellow", f"{bars.bought(row)} {numbers.estimate(row.compute_part)}  ({rival})"),
        _legend(
            bar, style, f"what {bars.added(row)} {numbers.estimate(row.method_part)}  ({labels[row.arm]} over {rival})"
        ),
        Text(""),
    )


def _legend(mark: str, style: str, told: str) -> Text:
    return Text("  ").append(mark, style=style).append(numbers.clean(f" {told}"))
