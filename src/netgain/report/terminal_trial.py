"""The parts of a trial's verdict on a terminal: the matched arms of each domain, and the gap taken apart as a bar."""

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from netgain.analysis.rows import DomainRow
from netgain.analysis.verdict import ArmRow, DecompositionRow, Verdict
from netgain.report import words

WIDTH = 60


def matched(verdict: Verdict) -> Group:
    """One table a domain: every arm on the rung on which it is compared."""
    settings = list(dict.fromkeys(arm.setting for arm in verdict.arms))
    first = verdict.terms.setting if verdict.terms else ""
    return Group(*(_table(verdict, setting) for setting in sorted(settings, key=lambda name: name != first)))


def _table(verdict: Verdict, setting: str) -> Table:
    table = Table(box=SIMPLE, title=words.clean(setting), title_justify="left", title_style="bold", pad_edge=False)
    currency = verdict.terms.currency.value if verdict.terms else "flops"
    table.add_column("arm", no_wrap=True)
    headings = (
        "accuracy",
        "95 % interval",
        f"{words.ALL_NAMES.get(currency, currency)} a problem",
        "updates",
        "spent",
        "seeds",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    arms = [arm for arm in verdict.arms if arm.own and arm.setting == setting]
    for arm in sorted(arms, key=lambda arm: -(arm.accuracy or 0.0)):
        table.add_row(*_cells(arm, currency), style="bold" if arm.headline else "")
    table.caption = "each arm on the rung on which it is compared, its share of the investment included"
    return table


def _cells(arm: ArmRow, currency: str) -> list[RenderableType]:
    spent = words.percent(arm.spent_share) + (" underspent" if arm.underspent else "")
    cells = [
        words.clean(arm.label),
        words.percent(arm.accuracy),
        f"{words.percent(arm.low)} to {words.percent(arm.high)}" if arm.low is not None else "unknown",
        words.amount(arm.charged_per_problem.get(currency)),
        words.amount(arm.charged_per_problem.get("updates")),
        spent,
        str(arm.seeds or 0),
    ]
    return [Text(cell) for cell in cells]


def bars(verdict: Verdict) -> Group:
    """For each domain the gap as one bar: what compute buys, and what the method adds or takes away."""
    labels = {arm.name: arm.label for arm in verdict.arms}
    currency = verdict.terms.currency.value if verdict.terms else ""
    drawn = [bar for domain in verdict.domains if (bar := _bar(verdict, domain, currency, labels)) is not None]
    return Group(*drawn)


def _bar(verdict: Verdict, domain: DomainRow, currency: str, labels: dict[str, str]) -> Group | None:
    key = (domain.setting, currency, "with outer loop")
    row = next((row for row in verdict.decomposition if (row.setting, row.currency, row.basis) == key), None)
    if row is None or row.gap is None or row.compute_part is None or row.method_part is None or row.rival is None:
        return None
    return Group(
        Text(words.clean(f"{domain.setting}: the gap taken apart"), style="bold"),
        _line(row),
        _legend("█", "yellow", f"compute {words.estimate(row.compute_part)}", labels[row.rival]),
        _legend(
            "▓", "cyan", f"method {words.estimate(row.method_part)}", f"{labels[row.arm]} over {labels[row.rival]}"
        ),
        Text(""),
    )


def _line(row: DecompositionRow) -> Text:
    """What compute buys, then the method's part; a negative one is drawn as what is missing at the end."""
    assert row.gap and row.compute_part and row.method_part  # noqa: S101, PT018 - only such rows are drawn
    most = max(row.gap.value, row.compute_part.value, 0.01)
    scale = WIDTH / most
    bought = max(0, round(min(row.compute_part.value, row.gap.value) * scale))
    method = round(abs(row.method_part.value) * scale)
    text = Text("  ")
    text.append("█" * bought, style="yellow")
    added = row.method_part.value >= 0
    text.append(("▓" if added else "░") * min(method, WIDTH), style="cyan" if added else "red")
    return text


def _legend(mark: str, style: str, told: str, who: str) -> Text:
    return Text("  ").append(mark, style=style).append(words.clean(f" {told}  ({who})"))
