"""Tables of stability: control questions, the likelihood of unrelated text and lm-eval's tasks, before and after."""

from collections.abc import Sequence
from math import exp

from netgain.analysis.verdict import AbilityRow, StabilityRow, Verdict
from netgain.report import numbers
from netgain.report.listings import Cell, Listing, label_of, listing
from netgain.report.numbers import UNKNOWN, estimate, percent


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
