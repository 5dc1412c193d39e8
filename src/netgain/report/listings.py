"""The tables of a verdict as text, once: the page and the terminal only lay them out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, final

from netgain.analysis.comparisons import EQUIVALENCE_MARGIN
from netgain.analysis.sentences import points
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, StabilityRow, Verdict
from netgain.report import numbers, summary
from netgain.report.numbers import UNKNOWN, amount, estimate, percent

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


def _listing(
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


def _amount(value: float | None, note: str = "", about: str = "") -> Cell:
    return Cell(("" if value is None else about) + amount(value), note, value)


def _accuracy(arm: ArmRow) -> Cell:
    return Cell(percent(arm.accuracy), sort=arm.accuracy)


def _interval(arm: ArmRow) -> Cell:
    return Cell(numbers.between(arm.low, arm.high), sort=arm.low)


def _cost(arm: ArmRow, currency: str, *, charged: bool = False) -> Cell:
    """What a problem took in a currency; ``charged`` with the share of what was invested before."""
    if charged:
        return _amount(arm.charged_per_problem.get(currency), about="≥ " if currency in arm.charged_incomplete else "")
    if arm.rung is not None:
        return _amount(arm.spent_per_problem.get(currency))
    about = "≈ " if arm.tokens_estimated and currency == "tokens_real" else ""
    known = {
        "updates": arm.updates_per_problem,
        "tokens_real": arm.tokens_real_per_problem,
        "tokens_padded": arm.tokens_padded_per_problem,
        "flops": arm.flops_per_problem,
    }
    return _amount(known.get(currency), about=about)


def _role(arm: ArmRow, verdict: Verdict) -> str:
    tested = summary.subjects(verdict)
    row = summary.matched(verdict, tested.get(arm.setting, ""))
    if arm.name == tested.get(arm.setting):
        return "under test"
    return "its rival" if row is not None and row.rival == arm.name else ""


def accuracies(verdict: Verdict) -> Listing:
    """The one table of the first page: every arm as it is compared, most accurate first, with what it cost.

    A trial's domains stand side by side, as the same arms ran in each; published settings stand in groups.
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
        ("of budget", lambda arm: Cell(percent(arm.spent_share), "", arm.spent_share) if arm.spent_share else None),
    ]
    name: Column[ArmRow] = ("arm", lambda arm: Cell(arm.label, _role(arm, verdict)))
    if terms is None or len(order) < 2:
        alone: list[Column[ArmRow]] = [("accuracy", _accuracy), ("95 % interval", _interval)]
        return _listing(
            _caption(verdict),
            arms,
            [name, *alone, *costs],
            group=lambda arm: arm.setting,
            strong=lambda arm: arm.headline,
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
        f"{s}: rival {_label(verdict, r.rival)}" for s, a in tested.items() if (r := summary.matched(verdict, a))
    )
    columns = [("arm", lambda arm: Cell(arm.label, "under test" if arm.name in tested.values() else ""))]
    return _listing(
        f"{_caption(verdict)}; costs in {order[0]}",
        methods,
        [*columns, *(in_setting(setting) for setting in order), *costs],
        strong=lambda arm: arm.headline,
        notes=rivals,
    )


def _label(verdict: Verdict, name: str | None) -> str:
    return next((arm.label for arm in verdict.arms if arm.name == name), "none")


def _caption(verdict: Verdict) -> str:
    on = f" on {numbers.kind_name(verdict.terms.exam)}" if verdict.terms else ""
    arm = "An arm is a method with its settings; frozen: the unchanged model"
    cost = "cost of one problem, the share of what was invested before included"
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
            lambda arm: _amount(arm.rejected_per_problem.get(currency, 0.0)) if arm.rung is not None else None,
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
    return _listing(
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


def _spent(arm: ArmRow) -> Cell:
    return Cell(percent(arm.spent_share), "underspent" if arm.underspent else "", arm.spent_share)


def comparisons(verdict: Verdict) -> Listing:
    """Every paired comparison with its statistics."""
    labels = {arm.name: arm.label for arm in verdict.arms}

    def second(row: Comparison) -> Cell:
        where = f"{row.setting}, {numbers.kind_name(row.exam)}" if row.exam else ""
        return Cell(labels.get(row.b, row.b), where)

    def p(value: float | None) -> Cell:
        return Cell(numbers.p_value(value), sort=value)

    def count(value: int | None) -> Cell | None:
        return None if value is None else Cell(f"{value:,}", sort=value)

    detectable = "Detectable: the smallest true difference that so many problems find in 80 % of cases."
    equal = f"Equivalent: p of the claim that the true difference lies within {points(EQUIVALENCE_MARGIN)} points of 0."
    methods = dict.fromkeys(f"Method: {row.method}." for row in verdict.comparisons)
    return _listing(
        "Comparisons with their statistics",
        verdict.comparisons,
        [
            ("first", lambda row: Cell(labels.get(row.a, row.a))),
            ("second", second),
            ("difference", lambda row: Cell(numbers.difference(row.difference, row.low, row.high), "", row.difference)),
            ("p", lambda row: p(row.p)),
            ("p, Holm", lambda row: Cell("primary") if row.primary else p(row.p_adjusted)),
            ("McNemar", lambda row: None if row.p_mcnemar is None else p(row.p_mcnemar)),
            ("p, equivalent", lambda row: p(row.p_equivalent)),
            ("only first right", lambda row: count(row.only_a)),
            ("only second right", lambda row: count(row.only_b)),
            (
                "detectable",
                lambda row: None if row.smallest_detectable is None else Cell(points(row.smallest_detectable)),
            ),
            ("problems", lambda row: Cell("unknown" if row.n_problems is None else str(row.n_problems))),
        ],
        strong=lambda row: row.primary,
        notes=(f"{detectable} {equal} McNemar takes questions as independent.", *methods),
    )


def decompositions(verdict: Verdict) -> Listing:
    """The gap of each arm taken apart, by currency and by what the arm is charged."""

    def budget(row: DecompositionRow) -> Cell:
        return _amount(row.budget_per_problem, about="≥ " if row.budget_incomplete else "")

    def rival(row: DecompositionRow) -> Cell:
        cost, own = row.rival_cost_per_problem, row.budget_per_problem
        short = f"at {cost / own:.0%} of it" if row.rival_underspent and cost is not None and own else ""
        return Cell(_label(verdict, row.rival), short)

    def share(row: DecompositionRow) -> Cell | None:
        part = row.share
        return Cell(f"{100 * part.value:.0f} % [{100 * part.low:.0f}, {100 * part.high:.0f}]") if part else None

    tested = set(summary.subjects(verdict).values())
    return _listing(
        "The gap of each arm taken apart, by currency and by what the arm is charged",
        verdict.decomposition,
        [
            ("arm", lambda row: Cell(_label(verdict, row.arm), row.setting)),
            ("matched in", lambda row: Cell(numbers.ALL_NAMES[row.currency])),
            ("charged", lambda row: Cell("with outer loop" if row.basis == "with outer loop" else "adapting only")),
            ("compute of a problem", budget),
            ("best conventional rival", rival),
            ("gap", lambda row: Cell(estimate(row.gap))),
            ("compute's part", lambda row: Cell(estimate(row.compute_part))),
            ("method's part", lambda row: Cell(estimate(row.method_part))),
            ("share of the gap", share),
            (
                "rival chosen on other passages",
                lambda row: Cell(estimate(row.cross_fitted)) if row.cross_fitted else None,
            ),
            ("problems", lambda row: Cell(UNKNOWN if row.n_problems is None else str(row.n_problems))),
        ],
        strong=lambda row: row.arm in tested,
    )


def outer_loop(verdict: Verdict) -> Listing:
    """What each round of a published outer loop took."""
    return _listing(
        "What each round of the outer loop took",
        verdict.outer_loop,
        [
            ("round", lambda row: Cell(f"{row.prompt} round {row.round + 1}" if row.prompt else row.name)),
            ("inner loops", lambda row: Cell(f"{row.inner_loops:,}" if row.inner_loops else "unknown")),
            ("updates", lambda row: _amount(row.updates)),
            ("real tokens", lambda row: _amount(row.tokens_real, about="≈ " if row.tokens_estimated else "")),
            ("padded tokens", lambda row: _amount(row.tokens_padded)),
            ("FLOPs", lambda row: _amount(row.flops)),
            ("FLOPs unpadded", lambda row: _amount(row.flops_unpadded)),
            ("edits kept", lambda row: Cell(str(row.kept))),
            ("discarded", lambda row: Cell(f"{row.discarded} of {row.edits}")),
            ("answers", lambda row: _amount(row.answers)),
            ("grader calls", lambda row: _amount(row.grader_calls)),
        ],
        notes=(f"Tokens: {verdict.tokens}.",) if verdict.tokens else (),
    )


def controls(verdict: Verdict, rows: Sequence[StabilityRow]) -> Listing:
    """Control questions after adapting, for every arm and budget where they were asked."""

    def value(row: StabilityRow) -> Cell | None:
        return Cell(percent(row.accuracy.value), sort=row.accuracy.value) if row.accuracy else None

    return _listing(
        "Control questions after adapting",
        rows,
        [
            ("arm", lambda row: Cell(_label(verdict, row.arm))),
            ("control", lambda row: Cell(numbers.kind_name(row.kind)) if row.kind else None),
            ("accuracy", value),
            ("change from the frozen model", lambda row: Cell(estimate(row.change)) if row.change else None),
            ("fixed", lambda row: Cell(str(row.fixed))),
            ("broken", lambda row: Cell(f"{row.broken} of {row.previously_correct}", sort=row.broken)),
            ("divergence", lambda row: None if row.divergence is None else Cell(f"{row.divergence:.3f}")),
        ],
        strong=lambda row: verdict.arm(row.arm).headline,
    )


def luck(verdict: Verdict) -> Listing:
    """Accuracy of each seed, and of each setting that was tried."""

    def settings(tried: dict[str, float], chosen: str | None) -> str:
        return "; ".join(f"{n}: {percent(v)}{' (chosen)' if n == chosen else ''}" for n, v in tried.items()) or "none"

    return _listing(
        "Accuracy of each seed, and of each setting that was tried",
        verdict.spread,
        [
            ("arm", lambda row: Cell(_label(verdict, row.arm))),
            ("each seed", lambda row: Cell(", ".join(map(percent, row.by_seed)) or UNKNOWN)),
            ("standard deviation of a run's own luck", lambda row: Cell(percent(row.deviation), "", row.deviation)),
            ("settings tried: accuracy on development", lambda row: Cell(settings(row.settings, row.chosen))),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.arm).headline,
    )


def regimes(verdict: Verdict) -> Listing:
    """The best arm under each restriction, chosen on development problems."""
    return _listing(
        "The best arm under each restriction, chosen on development problems",
        verdict.regimes,
        [
            ("allowed", lambda row: Cell(row.regime)),
            ("best arm", lambda row: Cell(_label(verdict, row.arm))),
            ("accuracy", lambda row: Cell(percent(row.accuracy.value), sort=row.accuracy.value)),
            ("95 % interval", lambda row: Cell(numbers.between(row.accuracy.low, row.accuracy.high))),
            ("the arm under test over it", lambda row: Cell(estimate(row.over) if row.over else "it is this arm")),
        ],
        group=lambda row: row.setting,
    )


def card(verdict: Verdict) -> Listing:
    """All compute of each method, by stage."""
    stages = list(dict.fromkeys(stage for row in verdict.card for stage in row.spent))

    def rejected(part: dict[str, float], whole: dict[str, float]) -> Cell:
        total = whole.get("flops")
        return Cell(percent(part.get("flops", 0.0) / total) if total else "0")

    return _listing(
        "All compute of each method; stages in FLOPs",
        verdict.card,
        [
            ("arm", lambda row: Cell(row.label)),
            ("seeds", lambda row: Cell(str(row.seeds))),
            ("adaptations", lambda row: Cell(f"{row.adaptations:,}", sort=row.adaptations)),
            *((s, lambda row, s=s: _amount(row.spent.get(s, {"flops": 0.0}).get("flops"))) for s in stages),
            ("all FLOPs", lambda row: _amount(row.total.get("flops"))),
            ("updates", lambda row: _amount(row.total.get("updates"))),
            ("real tokens", lambda row: _amount(row.total.get("tokens_real"))),
            ("tokens written", lambda row: _amount(row.total.get("tokens_generated"))),
            ("rejected or failed", lambda row: rejected(row.rejected, row.total)),
        ],
        group=lambda row: row.setting,
    )


def judge(verdict: Verdict) -> Listing:
    """Agreement of the judge with exact match, and what it took."""
    return _listing(
        "Agreement of the judge with exact match, and what it took",
        [] if verdict.judging is None else [verdict.judging],
        [
            ("judge", lambda row: Cell(row.model)),
            ("answers", lambda row: Cell(f"{row.count:,}")),
            ("agreement", lambda row: Cell(percent(row.raw))),
            ("Cohen's kappa", lambda row: Cell(UNKNOWN if row.kappa is None else f"{row.kappa:.2f}")),
            ("only the judge finds right", lambda row: Cell(f"{row.lenient:,}")),
            ("only exact match does", lambda row: Cell(f"{row.strict:,}")),
            ("unreadable", lambda row: Cell(f"{row.unreadable:,}")),
            ("real tokens", lambda row: _amount(row.spent.get("tokens_real"))),
            ("tokens written", lambda row: _amount(row.spent.get("tokens_generated"))),
            ("FLOPs", lambda row: _amount(row.spent.get("flops"))),
        ],
    )


def sources(verdict: Verdict) -> Listing:
    """Where each arm's and each round's figures were read."""
    named = [(arm.label, source) for arm in verdict.arms for source in arm.sources]
    named += [(row.name, source) for row in verdict.outer_loop for source in row.sources]
    named += [("retention", source) for source in (verdict.retention.sources if verdict.retention else [])]
    return _listing(
        "Sources of arms and outer-loop rounds",
        named,
        [("what", lambda row: Cell(row[0])), ("source", lambda row: Cell(str(row[1])))],
    )
