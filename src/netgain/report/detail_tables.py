"""The tables behind the figures: comparisons, decompositions, luck, compute, sources."""

from collections.abc import Callable

from netgain.analysis.rows import (
    EQUIVALENCE_MARGIN,
    AnswersRow,
    BreakEvenRow,
    CardRow,
    CoverageRow,
    DeploymentsPoint,
    ReadingRow,
    RivalRow,
    WorstCase,
)
from netgain.analysis.sentences import GRADES, points
from netgain.analysis.verdict import Comparison, DecompositionRow, Verdict
from netgain.records.claim import GradeName
from netgain.report import numbers, summary
from netgain.report.listings import Cell, Listing, amount_cell, label_of, listing
from netgain.report.numbers import UNKNOWN, estimate, percent

CLOCKS = ("seconds", "joules", "dollars")


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
    return listing(
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
            ("frozen models", lambda row: Cell("differ") if row.other_frozen else None),
        ],
        strong=lambda row: row.primary,
        notes=(f"{detectable} {equal} McNemar takes questions as independent.", *methods),
    )


def decompositions(verdict: Verdict) -> Listing:
    """The gap of each arm taken apart, by currency and by what the arm is charged."""

    def budget(row: DecompositionRow) -> Cell:
        return amount_cell(row.budget_per_problem, about="≥ " if row.budget_incomplete else "")

    def rival(row: DecompositionRow) -> Cell:
        cost, own = row.rival_cost_per_problem, row.budget_per_problem
        short = f"at {cost / own:.0%} of it" if row.rival_underspent and cost is not None and own else ""
        return Cell(label_of(verdict, row.rival), short)

    def share(row: DecompositionRow) -> Cell | None:
        part = row.share
        return Cell(f"{100 * part.value:.0f} % [{100 * part.low:.0f}, {100 * part.high:.0f}]") if part else None

    tested = set(summary.subjects(verdict).values())
    return listing(
        "The gap of each arm taken apart, by currency and by what the arm is charged",
        verdict.decomposition,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm), row.setting)),
            ("matched in", lambda row: Cell(numbers.ALL_NAMES[row.currency])),
            ("charged", lambda row: Cell("with outer loop" if row.basis == "with outer loop" else "adapting only")),
            ("compute of a problem", budget),
            ("best conventional rival", rival),
            ("gap", lambda row: Cell(estimate(row.gap))),
            ("compute's part", lambda row: Cell(estimate(row.compute_part))),
            ("method's part", lambda row: Cell(estimate(row.method_part))),
            ("share of the gap", share),
            (
                "rival chosen on other problems",
                lambda row: Cell(estimate(row.cross_fitted)) if row.cross_fitted else None,
            ),
            ("problems", lambda row: Cell(UNKNOWN if row.n_problems is None else str(row.n_problems))),
            ("prompts", lambda row: Cell("differ") if row.prompts_differ else None),
            (
                "beside another frozen model",
                lambda row: (
                    Cell(", ".join(label_of(verdict, n) for n in row.other_frozen)) if row.other_frozen else None
                ),
            ),
        ],
        strong=lambda row: row.arm in tested,
    )


def rivals(verdict: Verdict) -> Listing:
    """The arm under test minus every conventional arm at equal cost, in the currency that decides."""
    deciding = _decide(verdict)
    found = [(row, one) for row in deciding if row.worst_case for one in row.worst_case.all]

    def part(row: DecompositionRow, one: RivalRow) -> Cell:
        worst = row.worst_case
        words = ["chosen on development problems"] if verdict.terms and one.rival == row.rival else []
        words += ["the strongest"] if worst and one.rival == worst.rival else []
        return Cell(label_of(verdict, one.rival), "; ".join(words))

    def share(row: DecompositionRow, one: RivalRow) -> Cell | None:
        return Cell(f"{100 * row.cross_fitted_rivals.get(one.rival, 0.0):.0f} %") if row.cross_fitted_rivals else None

    tests = "p, ahead and p, behind are one-sided, at 2.5 %; the second is Holm-adjusted over the rivals."
    notes = []
    for row in deciding:
        worst = row.worst_case
        if worst:
            where = f"{row.setting}: " if len(deciding) > 1 and row.setting else ""
            elsewhere = "; rival chosen on other problems and seeds: "
            fitted = elsewhere + estimate(row.cross_fitted) if row.cross_fitted else ""
            lost = ", ".join(label_of(verdict, name) for name in worst.left_out)
            notes.append(
                f"{where}over the strongest {estimate(worst.difference)}, p of being ahead of all "
                f"{numbers.p_value(worst.p)} (the largest of the p's){fitted}."
                + (f" Not compared at equal cost: {lost}." if lost else "")
            )
    return listing(
        "The arm under test minus every conventional arm at equal cost",
        found,
        [
            ("conventional arm", lambda pair: part(*pair)),
            ("difference", lambda pair: Cell(estimate(pair[1].difference), "", pair[1].difference.value)),
            ("p, ahead", lambda pair: Cell(numbers.p_value(pair[1].p), sort=pair[1].p)),
            ("p, behind", lambda pair: Cell(numbers.p_value(pair[1].p_behind), sort=pair[1].p_behind)),
            ("chosen by the other folds", lambda pair: share(*pair)),
            ("compute of a problem", lambda pair: amount_cell(pair[1].cost_per_problem)),
            ("less compute", lambda pair: Cell("yes") if pair[1].underspent else None),
            ("seeds", lambda pair: None if pair[1].n_seeds is None else Cell(str(pair[1].n_seeds))),
        ],
        group=lambda pair: pair[0].setting,
        strong=lambda pair: pair[0].worst_case is not None and pair[1].rival == pair[0].worst_case.rival,
        notes=(tests, *notes),
    )


def _decide(verdict: Verdict) -> list[DecompositionRow]:
    """Of each arm under test the row that its verdict rests on."""
    rows = [summary.matched(verdict, arm) for arm in summary.subjects(verdict).values()]
    return [row for row in rows if row is not None]


def deployments(verdict: Verdict) -> Listing:
    """The arm under test minus the strongest conventional arm at each number of deployments that was run."""
    found = [(row, point) for row in verdict.break_even for point in row.points]

    def rival(row: BreakEvenRow, point: DeploymentsPoint) -> Cell:
        if point.worst_case is None:
            return Cell("not compared")
        lost = [*point.missing, *point.worst_case.left_out]
        words = [f"{label_of(verdict, name)}: its run for fewer, a lower bound" for name in point.stand_ins]
        words += [f"{label_of(verdict, name)}: not compared" for name in lost]
        return Cell(label_of(verdict, point.worst_case.rival), "; ".join(words))

    def shown(cell: Callable[[WorstCase], Cell]) -> Callable[[tuple[BreakEvenRow, DeploymentsPoint]], Cell | None]:
        return lambda pair: None if pair[1].worst_case is None else cell(pair[1].worst_case)

    def compared(worst: WorstCase) -> Cell:
        seeds = min(row.n_seeds or 0 for row in worst.all)
        return Cell(f"{len(worst.all)}, {seeds} seed{'s' if seeds != 1 else ''}")

    return listing(
        "The arm under test minus the strongest conventional arm, by deployments",
        found,
        [
            ("deployments", lambda pair: Cell(f"{pair[1].deployments:,}", sort=pair[1].deployments)),
            ("matched in", lambda pair: Cell(numbers.ALL_NAMES[pair[0].currency])),
            ("compute of a problem", lambda pair: amount_cell(pair[1].cost_per_problem)),
            ("strongest rival", lambda pair: rival(*pair)),
            ("difference", shown(lambda one: Cell(estimate(one.difference), "", one.difference.value))),
            ("p, ahead of all", shown(lambda one: Cell(numbers.p_value(one.p), sort=one.p))),
            ("rivals", shown(compared)),
        ],
        group=lambda pair: pair[0].setting,
        notes=("At each number what learns invested anew; p is one-sided, at 2.5 %, the largest over all rivals.",),
    )


def outer_loop(verdict: Verdict) -> Listing:
    """What each round of a published outer loop took."""
    return listing(
        "What each round of the outer loop took",
        verdict.outer_loop,
        [
            ("round", lambda row: Cell(f"{row.prompt} round {row.round + 1}" if row.prompt else row.name)),
            ("inner loops", lambda row: Cell(f"{row.inner_loops:,}" if row.inner_loops else "unknown")),
            ("updates", lambda row: amount_cell(row.updates)),
            ("real tokens", lambda row: amount_cell(row.tokens_real, about="≈ " if row.tokens_estimated else "")),
            ("padded tokens", lambda row: amount_cell(row.tokens_padded)),
            ("FLOPs", lambda row: amount_cell(row.flops)),
            ("FLOPs unpadded", lambda row: amount_cell(row.flops_unpadded)),
            ("edits kept", lambda row: Cell(str(row.kept))),
            ("discarded", lambda row: Cell(f"{row.discarded} of {row.edits}")),
            ("answers", lambda row: amount_cell(row.answers)),
            ("grader calls", lambda row: amount_cell(row.grader_calls)),
        ],
        notes=(f"Tokens: {verdict.tokens}.",) if verdict.tokens else (),
    )


def luck(verdict: Verdict) -> Listing:
    """Accuracy of each seed, and of each setting that was tried."""

    def settings(tried: dict[str, float], chosen: str | None) -> str:
        return "; ".join(f"{n}: {percent(v)}{' (chosen)' if n == chosen else ''}" for n, v in tried.items()) or "none"

    return listing(
        "Accuracy of each seed, and of each setting that was tried",
        verdict.spread,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm))),
            ("each seed", lambda row: Cell(", ".join(map(percent, row.by_seed)) or UNKNOWN)),
            ("standard deviation of a run's own luck", lambda row: Cell(percent(row.deviation), "", row.deviation)),
            ("settings tried: accuracy on development", lambda row: Cell(settings(row.settings, row.chosen))),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.arm).headline,
    )


def regimes(verdict: Verdict) -> Listing:
    """The best arm under each restriction, chosen on development problems."""
    return listing(
        "The best arm under each restriction, chosen on development problems",
        verdict.regimes,
        [
            ("allowed", lambda row: Cell(row.regime)),
            ("best arm", lambda row: Cell(label_of(verdict, row.arm))),
            ("accuracy", lambda row: Cell(percent(row.accuracy.value), sort=row.accuracy.value)),
            ("95 % interval", lambda row: Cell(numbers.between(row.accuracy.low, row.accuracy.high))),
            ("the arm under test over it", lambda row: Cell(estimate(row.over) if row.over else "it is this arm")),
        ],
        group=lambda row: row.setting,
    )


BEYOND_ROWS = (
    "Cut off: attempts that did not end, and tasks that are not finished; their work is lost. Other: what no exam and "
    "no adaptation took, such as drawing the base model's continuations that drift is measured against."
)


def card(verdict: Verdict) -> Listing:
    """All compute of each method, by stage."""
    stages = list(dict.fromkeys(stage for row in verdict.card for stage in row.spent))

    def rejected(row: CardRow) -> Cell:
        part = row.rejected.get("flops") if row.rejected else 0.0
        whole = None if "flops" in row.incomplete else row.total.get("flops")
        if not part or not whole:
            return amount_cell(0.0 if part == 0 else None)
        return Cell(percent(part / whole), sort=part / whole)

    def total(currency: str) -> Callable[[CardRow], Cell]:
        return lambda row: amount_cell(row.total.get(currency), about="≥ " if currency in row.incomplete else "")

    clocks = [name for name in CLOCKS if any(name in row.total for row in verdict.card)]
    unknown = [name for name in CLOCKS if name not in clocks]

    return listing(
        "All compute of each method; stages in FLOPs",
        verdict.card,
        [
            ("arm", lambda row: Cell(row.label)),
            ("seeds", lambda row: Cell(str(row.seeds))),
            ("adaptations", lambda row: Cell(f"{row.adaptations:,}", sort=row.adaptations)),
            *((s, lambda row, s=s: amount_cell(row.spent.get(s, {}).get("flops"))) for s in stages),
            ("all FLOPs", total("flops")),
            ("updates", total("updates")),
            ("real tokens", total("tokens_real")),
            ("tokens written", total("tokens_generated")),
            *((name, total(name)) for name in clocks),
            ("rejected or failed", rejected),
        ],
        group=lambda row: row.setting,
        notes=(
            *([BEYOND_ROWS] if "cut off" in stages else []),
            *([f"Not in the record, so unknown: {', '.join(unknown)}."] if unknown else []),
        ),
    )


def reading(verdict: Verdict) -> Listing:
    """What reading at the exam costs beside what training costs, and where they cross."""

    def crossing(row: ReadingRow) -> Cell:
        if row.never:
            return Cell("never: a question costs the trained arm as much")
        return Cell("unknown" if row.crossing is None else f"from {row.crossing:,} on", sort=row.crossing)

    several = len({row.reader for row in verdict.reading}) > len({row.setting for row in verdict.reading})
    return listing(
        "What reading at the exam costs beside what training costs",
        verdict.reading,
        [
            ("trained arm", lambda row: Cell(label_of(verdict, row.trained))),
            ("reads at the exam", lambda row: Cell(label_of(verdict, row.reader)) if several else None),
            ("in", lambda row: Cell(numbers.ALL_NAMES[row.currency])),
            ("reading, a question", lambda row: amount_cell(row.reading)),
            ("trained, a question", lambda row: amount_cell(row.answering)),
            ("training, a problem", lambda row: amount_cell(row.training)),
            (
                "asked about a problem",
                lambda row: Cell("unknown" if row.questions is None else f"{row.questions:g}", sort=row.questions),
            ),
            ("questions from which training costs less", crossing),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.trained).headline,
        notes=(
            "Reading costs every question, training a problem once: from so many questions about a problem on the "
            "trained arm has cost no more in all, whatever either answers rightly.",
        ),
    )


def answers(verdict: Verdict) -> Listing:
    """The same answers by every grade, and how many of them are empty or cut."""
    decides = verdict.terms.grade if verdict.terms else "exact"
    names = list(dict.fromkeys(name for row in verdict.answers for name in row.scores))

    def score(row: AnswersRow, name: GradeName) -> Cell | None:
        found = row.scores.get(name)
        return (
            None if found is None else Cell(percent(found.value), numbers.between(found.low, found.high), found.value)
        )

    def share(value: float | None) -> Cell | None:
        return None if value is None else Cell(percent(value), sort=value)

    several = len({row.setting for row in verdict.grades}) > 1
    kinds = [
        f"{f'{row.setting}: ' if several else ''}{GRADES[row.grade]}: {row.kind}"
        + (f", {estimate(row.difference)} points over the rival chosen" if row.difference else "")
        for row in verdict.grades
    ]
    return listing(
        "The same answers by every grade",
        verdict.answers,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm))),
            *(
                (f"{GRADES[name]}{' (decides)' if name == decides else ''}", lambda row, name=name: score(row, name))
                for name in names
            ),
            ("empty", lambda row: share(row.empty)),
            ("cut", lambda row: share(row.cut)),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.arm).headline,
        notes=(f"The kind of verdict by each grade: {'; '.join(kinds)}.",) if kinds else (),
    )


def coverage(verdict: Verdict) -> Listing:
    """The chance of one right answer among k, beside the frozen model's."""
    ks = [point.k for point in verdict.coverage[0].points]

    def passed(row: CoverageRow, index: int) -> Cell | None:
        found, over = row.points[index].passed, row.points[index].over_frozen
        under = f"over frozen {estimate(over)}" if over else ""
        return None if found is None else Cell(percent(found.value), under, found.value)

    def met(row: CoverageRow) -> Cell | None:
        if row.frozen is None:
            return None
        surely = f"surely from {row.surely_overtaken}" if row.surely_overtaken else ""
        return Cell(f"k = {row.overtaken}" if row.overtaken else f"not up to {row.samples}", surely, row.overtaken)

    drawn = verdict.coverage[0]
    return listing(
        f"Coverage: {drawn.samples} answers to every question at temperature {drawn.temperature:g}",
        verdict.coverage,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm))),
            *((f"pass@{k}", lambda row, index=index: passed(row, index)) for index, k in enumerate(ks)),
            ("the frozen model passes more from", met),
            ("so it is", lambda row: None if row.frozen is None else Cell(row.kind)),
        ],
        group=lambda row: row.setting,
        strong=lambda row: verdict.arm(row.arm).headline,
    )


def judge(verdict: Verdict) -> Listing:
    """Agreement of the judge with exact match, and what it took."""
    return listing(
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
            ("planted wrong ones accepted", lambda row: Cell(f"{row.accepted:,} of {row.planted_wrong:,}")),
            ("right ones rejected", lambda row: Cell(f"{row.rejected:,} of {row.planted_right:,}")),
            ("real tokens", lambda row: amount_cell(row.spent.get("tokens_real"))),
            ("tokens written", lambda row: amount_cell(row.spent.get("tokens_generated"))),
            ("FLOPs", lambda row: amount_cell(row.spent.get("flops"))),
        ],
    )


def sources(verdict: Verdict) -> Listing:
    """Where each arm's and each round's figures were read."""
    named = [(arm.label, source) for arm in verdict.arms for source in arm.sources]
    named += [(row.name, source) for row in verdict.outer_loop for source in row.sources]
    named += [("retention", source) for source in (verdict.retention.sources if verdict.retention else [])]
    return listing(
        "Sources of arms and outer-loop rounds",
        named,
        [("what", lambda row: Cell(row[0])), ("source", lambda row: Cell(str(row[1])))],
    )
