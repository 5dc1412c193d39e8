"""The tables of a verdict's arms as text, once, and the form of all: page and terminal only lay them out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, final

from netgain.analysis.sentences import GRADES
from netgain.analysis.verdict import ArmRow, Verdict
from netgain.report import numbers, summary
from netgain.report.numbers import UNKNOWN, amount, percent

R = TypeVar("R")


@final
class Cell(NamedTuple):
    """A cell's text, something beside it in a softer voice, and what it is sorted by (None: its text)."""

    text: str
    note: str = ""
    sort: float | None = None


@final
@dataclass(frozen=True)
class Line:
    """A row of a table; ``strong`` where it is the arm or comparison that the verdict rests on."""

    cells: list[Cell]
    strong: bool = False


@final
@dataclass(frozen=True)
class Listing:
    """A table: its caption, its columns, and its rows in groups, each under its heading (none where it is empty)."""

    caption: str
    columns: list[str]
    groups: dict[str, list[Line]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Column = tuple[str, Callable[[R], Cell | None]]


def listing(
    caption: str,
    rows: Iterable[R],
    columns: Sequence[Column[R]],
    *,
    group: Callable[[R], str] = lambda row: "",
    strong: Callable[[R], bool] = lambda row: False,
    notes: tuple[str, ...] = (),
) -> Listing:
    """A table of the columns that apply to any row; a cell that does not apply to its own row is empty."""
    drawn = [(row, [write(row) for _, write in columns]) for row in rows]
    kept = [index for index in range(len(columns)) if any(cells[index] is not None for _, cells in drawn)]
    groups: dict[str, list[Line]] = {}
    for row, cells in drawn:
        line = Line([cells[index] or Cell("") for index in kept], strong(row))
        groups.setdefault(group(row), []).append(line)
    if len(groups) == 1:
        groups = {"": next(iter(groups.values()))}
    return Listing(caption, [columns[index][0] for index in kept], groups, notes)


def amount_cell(value: float | None, note: str = "", about: str = "") -> Cell:
    """An amount of work, sorted by its value; ``about`` stands before it where it is known."""
    return Cell(("" if value is None else about) + amount(value), note, value)


def _accuracy(arm: ArmRow) -> Cell:
    return Cell(percent(arm.accuracy), sort=arm.accuracy)


def _interval(arm: ArmRow) -> Cell:
    return Cell(numbers.between(arm.low, arm.high), sort=arm.low)


def _cost(arm: ArmRow, currency: str, *, charged: bool = False) -> Cell:
    """What a problem took in a currency; ``charged`` with the share of what was invested before."""
    if charged:
        return amount_cell(
            arm.charged_per_problem.get(currency), about="≥ " if currency in arm.charged_incomplete else ""
        )
    if arm.rung is not None:
        return amount_cell(arm.spent_per_problem.get(currency))
    about = "≈ " if arm.tokens_estimated and currency == "tokens_real" else ""
    return amount_cell(numbers.trained(arm).get(currency), about=about)


def _device_time(arm: ArmRow) -> Cell | None:
    """Where a published claim's arms are matched in it."""
    return _cost(arm, "seconds", charged=True) if "seconds" in arm.charged_per_problem else None


def _answering(arm: ArmRow, currency: str) -> Cell:
    """What answering one question of the exam took: an arm that reads there pays for its passage each time."""
    return amount_cell(arm.answering.get(currency), "reads" if arm.role == "in_context" else "")


def _role(arm: ArmRow, verdict: Verdict) -> str:
    tested = summary.subjects(verdict)
    if arm.role == "oracle":
        return "an upper bound: chosen by the exam's own labels"
    row = summary.matched(verdict, tested.get(arm.setting, ""))
    if arm.name == tested.get(arm.setting):
        return "under test"
    return "its rival" if row is not None and row.rival == arm.name else ""


def accuracies(verdict: Verdict, *, judged_only: bool = False) -> Listing:
    """The one table of the first page: every arm as it is compared, most accurate first, with what it cost.

    A trial's domains stand side by side, as the same arms ran in each; published settings stand in groups, and with
    ``judged_only`` those that no verdict rests on are only named.
    """
    tested = summary.subjects(verdict)
    order = list(dict.fromkeys([*tested, *(arm.setting for arm in verdict.arms)]))
    arms = sorted(
        (arm for arm in verdict.arms if arm.own), key=lambda arm: (order.index(arm.setting), -(arm.accuracy or 0.0))
    )
    terms = verdict.terms
    currency = terms.currency.value if terms else "flops"
    costs: list[Column[ArmRow]] = [
        ("updates", lambda arm: _cost(arm, "updates", charged=True)),
        ("real tokens", lambda arm: _cost(arm, "tokens_real", charged=True) if currency == "flops" else None),
        (numbers.ALL_NAMES[currency], lambda arm: _cost(arm, currency, charged=True)),
        ("seconds of a device", _device_time if terms is None else lambda arm: None),
        ("of budget", lambda arm: Cell(percent(arm.spent_share), "", arm.spent_share) if arm.spent_share else None),
        ("a question", lambda arm: _answering(arm, currency) if terms else None),
    ]
    name: Column[ArmRow] = ("arm", lambda arm: Cell(arm.label, _role(arm, verdict)))
    if terms is None or len(order) < 2:
        alone: list[Column[ArmRow]] = [("accuracy", _accuracy), ("95 % interval", _interval)]
        elsewhere = [setting for setting in order if tested and judged_only and setting not in tested]
        return listing(
            _caption(verdict),
            (arm for arm in arms if arm.setting not in elsewhere),
            [name, *alone, *costs],
            group=lambda arm: arm.setting,
            strong=lambda arm: arm.headline,
            notes=(f"In the table of all arms below: {'; '.join(elsewhere)}.",) if elsewhere else (),
        )
    there = {(arm.method, arm.setting): arm for arm in arms}
    methods = [next(arm for arm in arms if arm.method == method) for method in dict.fromkeys(a.method for a in arms)]

    def in_setting(setting: str) -> Column[ArmRow]:
        def write(first: ArmRow) -> Cell | None:
            arm = there.get((first.method, setting))
            if arm is None:
                return None
            return Cell(percent(arm.accuracy), numbers.between(arm.low, arm.high), arm.accuracy)

        return (setting, write)

    rivals = tuple(
        f"{s}: rival {label_of(verdict, r.rival)}" for s, a in tested.items() if (r := summary.matched(verdict, a))
    )
    columns = [("arm", lambda arm: Cell(arm.label, "under test" if arm.name in tested.values() else ""))]
    return listing(
        f"{_caption(verdict)}; costs in {order[0]}",
        methods,
        [*columns, *(in_setting(setting) for setting in order), *costs],
        strong=lambda arm: arm.headline,
        notes=rivals,
    )


def label_of(verdict: Verdict, name: str | None) -> str:
    """The label of an arm by its name, "none" where there is none."""
    return next((arm.label for arm in verdict.arms if arm.name == name), "none")


def _caption(verdict: Verdict) -> str:
    on = f" on {numbers.kind_name(verdict.terms.exam)}" if verdict.terms else ""
    arm = "An arm is a method with its settings; frozen: the unchanged model"
    cost = "costs are those of adapting to one problem, the share of what was invested before included"
    if verdict.terms:
        cost += f"; last, in {numbers.ALL_NAMES[verdict.terms.currency.value]}, what answering one question took"
    if verdict.terms and verdict.terms.grade != "exact":
        on += f" by {GRADES[verdict.terms.grade]}"
    return f"{arm}. Accuracy{on} with its 95 % interval; {cost}"


def arms(verdict: Verdict) -> Listing:
    """Every arm with every budget: accuracy on each kind of question, and what it took for one problem."""
    terms = verdict.terms
    kinds = list(dict.fromkeys(kind for arm in verdict.arms for kind in arm.exams))

    def exam(kind: str) -> Column[ArmRow]:
        def write(arm: ArmRow) -> Cell | None:
            found = arm.exams.get(kind)
            return Cell(percent(found.value), numbers.between(found.low, found.high), found.value) if found else None

        return (numbers.kind_name(kind), write)

    own: list[Column[ArmRow]] = [
        ("accuracy", lambda arm: None if arm.exams else Cell(percent(arm.accuracy), _interval(arm).text, arm.accuracy)),
        ("frozen beside it", lambda arm: None if arm.rung is not None else Cell(percent(arm.frozen_accuracy))),
    ]
    currency = terms.currency.value if terms else "flops"
    costs: list[Column[ArmRow]] = [
        ("updates", lambda arm: _cost(arm, "updates")),
        ("real tokens", lambda arm: _cost(arm, "tokens_real")),
        ("padded tokens", lambda arm: None if arm.rung is not None else _cost(arm, "tokens_padded")),
        ("tokens written", lambda arm: _cost(arm, "tokens_generated") if arm.rung is not None else None),
        (numbers.ALL_NAMES[currency], lambda arm: _cost(arm, currency)),
        ("with what was invested before", lambda arm: _cost(arm, currency, charged=True)),
        ("of budget", lambda arm: _spent(arm) if arm.rung is not None else None),
        (
            "rejected",
            lambda arm: amount_cell(_rejected(arm, currency)) if arm.rung is not None else None,
        ),
        ("failed", lambda arm: Cell(str(arm.failed), sort=arm.failed) if arm.failed else None),
        ("learning rate", lambda arm: None if arm.learning_rate is None else Cell(f"{arm.learning_rate:g}")),
        ("seeds", lambda arm: Cell(UNKNOWN if arm.seeds is None else str(arm.seeds))),
        ("development", lambda arm: None if arm.development is None else Cell(percent(arm.development))),
        ("same frozen model", lambda arm: Cell(arm.frozen_group) if arm.frozen_group else None),
    ]
    several = len({arm.setting for arm in verdict.arms}) > 1
    note = f"All amounts are for one problem{'; groups are domains or settings' if several else ''}."
    if terms:
        note += (
            f" 1× budget is {amount(terms.per_problem)} {numbers.ALL_NAMES[currency]} a problem; bold budget: compared."
        )
    return listing(
        "All arms with all budgets" if terms else "All arms",
        [arm for arm in verdict.arms if arm.own or any(arm.charged_per_problem.values())],  # free: the same on any
        [
            ("arm", lambda arm: Cell(arm.label)),
            ("budget", lambda arm: None if arm.rung is None else Cell(f"{arm.rung:g}×" + (" ✓" if arm.own else ""))),
            *own,
            *map(exam, kinds),
            *costs,
        ],
        group=lambda arm: arm.setting,
        strong=lambda arm: arm.headline,
        notes=(note.replace("bold budget", "✓"),),
    )


def _rejected(arm: ArmRow, currency: str) -> float | None:
    """0 where nothing was rejected, None where it is not known in this currency."""
    return arm.rejected_per_problem.get(currency) if arm.rejected_per_problem else 0.0


def _spent(arm: ArmRow) -> Cell:
    return Cell(percent(arm.spent_share), "underspent" if arm.underspent else "", arm.spent_share)
