"""The library of audited claims as one table: for the terminal, as Markdown, and as a page of its own."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from netgain.analysis.sentences import interval, points
from netgain.audit.library import LibraryRow, LibrarySummary
from netgain.report.listings import Cell, Line, Listing
from netgain.report.numbers import clean
from netgain.report.page import fill

COLUMNS = ["claim", "treated arm: given", "baseline: given", "claimed", "left at equal compute", "decides", "read in"]
CAPTION = "Published claims and what is left of them at equal compute, in percentage points"
MARK = "<!-- written by scripts/library -->"  # in docs/library.md, before the table
NOT_CHECKED = "a summary; not checked against the primary text"


def claimed(row: LibraryRow) -> str:
    """The gain as claimed, in points."""
    return "not stated" if row.claimed is None else points(row.claimed)


def left(row: LibraryRow) -> str:
    """What is left of it and against whom, or that nobody can tell."""
    if row.left_value is None:
        return "cannot tell"
    return f"{interval(row.left) if row.left else points(row.left_value)} ({row.against})"


def read_in(row: LibraryRow) -> str:
    """Where it was read; a card that was not checked says so."""
    if row.read == "summary":
        return NOT_CHECKED
    if row.read == "primary text in part":
        return "the primary text in part, the rest in a summary"
    return row.read or "not stated"


def cells(row: LibraryRow) -> list[str]:
    """The cells of a row, in the order of the columns."""
    title = f"{row.title} ({row.paper})" if row.paper else row.title
    return [title, row.treated, row.baseline, claimed(row), left(row), row.decides, read_in(row)]


def named(row: LibraryRow) -> list[tuple[str, str]]:
    """The cells of a row, each with the name of its column."""
    return list(zip(COLUMNS, cells(row), strict=True))


def library_listing(rows: Sequence[LibraryRow]) -> Listing:
    """The table; a row whose verdict changes is strong."""
    lines = [
        Line(
            [
                Cell(text, sort=row.claimed if name == "claimed" else None)
                for name, text in zip(COLUMNS, cells(row), strict=True)
            ],
            strong=row.outcome == "changes",
        )
        for row in rows
    ]
    return Listing(CAPTION, COLUMNS, {"": lines})


def library_table(rows: Sequence[LibraryRow]) -> Table:
    """The table for the terminal: what each side was given stands under its claim."""
    table = Table(box=SIMPLE, pad_edge=False, show_lines=True)
    table.add_column("claim, and what the treated arm and the baseline were given", ratio=5)
    for heading, share in (("claimed", 1), ("left at equal compute", 2), ("decides", 2)):
        table.add_column(heading, ratio=share)
    for row in rows:
        title, treated, baseline, *rest, read = (clean(text) for text in cells(row))
        told = Text(title, style="bold" if row.outcome == "changes" else "")
        told.append(f"\ntreated  {treated}\nbaseline {baseline}", style="not bold")
        told.append(f"\nread in {read}", style="dim not bold")
        table.add_row(told, *(Text(text) for text in rest))
    return table


def library_page(rows: Sequence[LibraryRow], summary: LibrarySummary, back: str = "") -> str:
    """The page as one self-contained HTML file. Same rows, same bytes. ``back`` is the page of all comparisons."""
    return fill("library.html.j2", back=back, listing=library_listing(rows), summary=summary.lines)


def library_markdown(rows: Sequence[LibraryRow], summary: LibrarySummary) -> str:
    """The summary and the table as Markdown, for ``docs/library.md``."""
    table = [COLUMNS, ["---"] * len(COLUMNS), *([text.replace("|", "/") for text in cells(row)] for row in rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in table)
    told = "\n".join(f"- {line}" for line in summary.lines)
    return f"{told}\n\n{body}\n"
