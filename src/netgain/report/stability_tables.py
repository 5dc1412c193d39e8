"""Tables of stability: control questions, the likelihood of unrelated text and lm-eval's tasks, before and after; and
how stable outer loops are."""

from collections.abc import Sequence
from math import exp

from netgain.analysis.rows import LoopRow
from netgain.analysis.verdict import AbilityRow, StabilityRow, Verdict
from netgain.report import numbers
from netgain.report.listings import Cell, Listing, label_of, listing
from netgain.report.numbers import UNKNOWN, estimate, percent


def loops(verdict: Verdict) -> Listing:
    """How often each kind of outer loop collapsed, how far its seeds lie apart, and what the first one was worth."""
    first = verdict.loops[0].loop

    def share(row: LoopRow) -> Cell:
        between = numbers.between(row.share.low, row.share.high)
        return Cell(f"{row.collapsed} of {row.runs}", f"{numbers.percent(row.share.value)}, {between}", row.share.value)

    def best(row: LoopRow) -> Cell | None:
        found = row.best_accuracy
        if row.best is None or found is None:
            return None
        return Cell(numbers.percent(found.value), label_of(verdict, row.best), found.value)

    def points_apart(value: float | None) -> Cell | None:
        return None if value is None else Cell(f"{100 * value:.1f} points", sort=value)

    return listing(
        "Outer loops over all of their settings and seeds, at equal compute",
        verdict.loops,
        [
            ("outer loop", lambda row: Cell(row.loop)),
            ("settings", lambda row: Cell(str(row.arms), sort=row.arms)),
            ("collapsed", share),
            ("spread between seeds", lambda row: points_apart(row.deviation)),
            ("accuracy, mean of settings", lambda row: Cell(numbers.percent(row.accuracy), sort=row.accuracy)),
            ("best on development", best),
            (f"best {first} minus it", lambda row: None if row.over is None else Cell(numbers.estimate(row.over))),
        ],
        group=lambda row: row.setting,
        notes=(
            "A run collapsed that ended below half of its peak or three quarters of where it began, or in texts of no "
            "use. Shares as if runs were independent. Spread: the standard deviation of a seed's accuracy within one "
            "setting.",
        ),
    )


def controls(verdict: Verdict, rows: Sequence[StabilityRow]) -> Listing:
    """Control questions after adapting, for every arm and budget where they were asked."""

    def value(row: StabilityRow) -> Cell | None:
        return Cell(percent(row.accuracy.value), sort=row.accuracy.value) if row.accuracy else None

    return listing(
        "Control questions after adapting",
        rows,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm))),
            ("control", lambda row: Cell(numbers.kind_name(row.kind)) if row.kind else None),
            ("accuracy", value),
            ("change from the frozen model", lambda row: Cell(estimate(row.change)) if row.change else None),
            ("fixed", lambda row: Cell(str(row.fixed))),
            ("broken", lambda row: Cell(f"{row.broken} of {row.previously_correct}", sort=row.broken)),
            ("divergence", lambda row: None if row.divergence is None else Cell(f"{row.divergence:.3f}")),
        ],
        strong=lambda row: verdict.arm(row.arm).headline,
    )


def abilities(verdict: Verdict) -> Listing:
    """What the model could do before and can do after adapting: the likelihood of unrelated text, lm-eval's tasks."""

    def change(row: AbilityRow) -> Cell | None:
        if row.before is None:
            return None
        value = row.after - row.before
        whole = "" if row.change is None else f" [{row.change.low:+.3f}, {row.change.high:+.3f}]"
        return Cell(f"{value:+.3f}{whole}", sort=value)

    def broken(row: AbilityRow) -> Cell | None:
        return None if row.broken is None else Cell(f"{row.broken} of {row.previously_correct}", sort=row.broken)

    return listing(
        "Text and tasks that have nothing to do with the problems, before and after adapting",
        verdict.abilities,
        [
            ("arm", lambda row: Cell(label_of(verdict, row.arm))),
            ("measure", lambda row: Cell("text, nats a token" if row.name == "text" else f"{row.name} (lm-eval)")),
            ("before", lambda row: None if row.before is None else Cell(f"{row.before:.3f}", sort=row.before)),
            ("after", lambda row: Cell(f"{row.after:.3f}", sort=row.after)),
            ("change", change),
            ("perplexity", lambda row: Cell(_perplexities(row)) if row.name == "text" else None),
            ("fixed", lambda row: None if row.fixed is None else Cell(str(row.fixed))),
            ("broken", broken),
            ("better", lambda row: Cell(row.better)),
            ("adaptations", lambda row: Cell(str(row.adaptations))),
        ],
        group=lambda row: verdict.arm(row.arm).setting,
        strong=lambda row: verdict.arm(row.arm).headline,
        notes=("Interval: Student's, over the means of the seeds. Nats a token: higher is less likely.",),
    )


def _perplexities(row: AbilityRow) -> str:
    before = UNKNOWN if row.before is None else f"{exp(row.before):.1f}"
    return f"{before} → {exp(row.after):.1f}"
