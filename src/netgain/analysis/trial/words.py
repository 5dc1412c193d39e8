"""A trial's verdict in words, in the voice of the audits. Every number is one of the verdict's own."""

from collections.abc import Sequence

from netgain.analysis.sentences import UNITS, interval, kind_name, number
from netgain.analysis.trial.shape import BreakEvenRow, DomainRow, HeadlineKind, SpreadRow
from netgain.analysis.verdict import Comparison, DecompositionRow, Interval, StabilityRow
from netgain.records.agreement import Judging
from netgain.records.claim import Terms
from netgain.records.cost import Currency

EQUIVALENT = 0.05
NAMES = UNITS | {Currency.TOKENS_TRAINING: "training tokens", Currency.TOKENS_GENERATED: "generated tokens"}


def judgement(row: DecompositionRow | None, equivalent: float | None, *, fixed: bool) -> HeadlineKind:
    """What the intervals of the matched comparison allow to be said; ``fixed``: the rival was named by the trial."""
    if row is None or row.method_part is None or (row.gap is None and not fixed):
        return "cannot tell"
    left = row.method_part
    same = equivalent is not None and equivalent < EQUIVALENT and left.low <= 0 <= left.high
    if fixed and same:
        return "no difference"
    if left.high < 0:
        return "rival ahead"
    if row.gap is not None and row.gap.low <= 0:
        return "no gain"
    if same:
        return "no difference"
    if left.low <= 0:
        return "nothing left"
    return "unmatched" if row.rival_underspent else "method"


def sentence(
    kind: HeadlineKind, row: DecompositionRow | None, arm: str, rival: str, comparison: Comparison | None
) -> str:
    """The verdict on one domain in one sentence. ``arm`` and ``rival`` are labels."""
    if row is None:
        return f"There is nothing to judge: {arm} was not examined, or cost nothing that is known. Cannot tell."
    if row.method_part is None or kind == "cannot tell":
        gained = f"{arm} gains {interval(row.gap)} points over the frozen model" if row.gap else f"{arm} was examined"
        return f"{gained}, but no conventional arm was examined that could be matched with it: cannot tell."
    opening = f"{arm} gains {interval(row.gap)} points over the frozen model" if row.gap else ""
    if kind == "no gain" and row.gap is not None:
        opening = f"No gain of {arm} over the frozen model can be told from zero, {interval(row.gap)} points"
    bought = f"; {interval(row.compute_part)} can be had at equal compute by {rival}" if row.compute_part else ""
    adds = f"the method adds {interval(row.method_part)}" if row.gap else f"{arm} over {rival} at equal compute: "
    adds += "" if row.gap else f"{interval(row.method_part)} points"
    body = f"{opening}{bought}; {adds}" if row.gap else adds
    return body + _closing(kind, row, arm, rival, comparison)


def _closing(kind: HeadlineKind, row: DecompositionRow, arm: str, rival: str, comparison: Comparison | None) -> str:
    part = ""
    if row.rival_underspent and row.rival_cost_per_problem is not None and row.budget_per_problem:
        part = f" ({rival} spent only {row.rival_cost_per_problem / row.budget_per_problem:.0%} of the compute)"
    if kind == "no difference" and comparison is not None and comparison.equivalence_margin:
        within = f"equivalent within {100 * comparison.equivalence_margin:.0f} points"
        return f"{part}: no difference ({within}, p {_p(comparison.p_equivalent)})."
    if kind == "nothing left":
        return f"{part}, which cannot be told from nothing."
    if kind == "rival ahead":
        return f"{part}: it falls behind {rival}."
    if kind == "unmatched":
        return f"{part}, but what equal compute would have bought cannot be told."
    return f"{part}."


def _p(value: float | None) -> str:
    return "unknown" if value is None else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def unfinished(terms: Terms) -> str:
    """How much of an unfinished trial is done; nothing for a finished one."""
    if terms.runs_done >= terms.runs_planned:
        return ""
    return f"Unfinished: {terms.runs_done} of {terms.runs_planned} runs. "


def other_domains(domains: Sequence[DomainRow]) -> list[str]:
    """The sentences on all domains but the primary one."""
    return [f"In {row.setting}: {row.sentence}" for row in domains if not row.primary]


def break_even_sentence(row: BreakEvenRow, labels: dict[str, str]) -> str:
    """From how many deployments on the investment is worth it."""
    arm, rival = labels[row.arm], labels[row.rival]
    free = next((point.method_part for point in row.after if point.deployments is None), None)
    if row.never:
        told = f"the method adds {interval(free)} then" if free else "the method adds nothing then"
        return f"The investment of {arm} never pays against {rival}, not even where it is free: {told}."
    known = f" (below {row.not_before:,} the ladder of {rival} does not reach)" if (row.not_before or 1) > 1 else ""
    if row.ahead_from is None:
        return f"From how many deployments on the investment of {arm} pays cannot be told."
    least = "at the latest " if row.ahead_from == row.not_before and row.ahead_from > 1 else ""
    clear = f", clearly from {row.clear_from:,}" if row.clear_from is not None else ""
    clear = ", though never clearly" if row.never_clear else clear
    return f"{arm} is ahead of {rival} {least}from {row.ahead_from:,} deployments on{clear}{known}."


def currency_sentence(rows: Sequence[DecompositionRow], terms: Terms) -> str | None:
    """Whether the answer depends on the currency in which compute is matched."""
    mine = [row for row in rows if row.basis == "with outer loop" and row.method_part]
    first = next((row for row in mine if row.currency == terms.currency), None)
    if first is None or len(mine) < 2:
        return None
    sign = _side(first.method_part)
    others = [row for row in mine if row.currency != terms.currency]
    starved = sign > 0  # a rival that had less matters where the arm is ahead
    unlike = [
        row
        for row in others
        if _side(row.method_part) != sign or (starved and row.rival_underspent != first.rival_underspent)
    ]
    if not unlike:
        return f"The answer is the same matched in {_listed(others)}."
    parts = [
        f"{NAMES[Currency(row.currency)]} {interval(row.method_part)}"
        + (" against a rival that spent less" if row.rival_underspent else "")
        for row in unlike
        if row.method_part
    ]
    same = [row for row in others if row not in unlike]
    rest = f"; it is the same in {_listed(same)}" if same else ""
    return f"The answer depends on the currency: matched in {'; in '.join(parts)}{rest}."


def _listed(rows: Sequence[DecompositionRow]) -> str:
    names = [NAMES[Currency(row.currency)] for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _side(part: Interval | None) -> int:
    return 0 if part is None else (part.low > 0) - (part.high < 0)


def spread_sentence(row: SpreadRow | None, labels: dict[str, str]) -> str | None:
    """The accuracy of each seed of the arm under test."""
    if row is None or not row.by_seed:
        return None
    listed = ", ".join(f"{100 * value:.1f}" for value in row.by_seed)
    if len(row.by_seed) == 1:
        return (
            f"{labels[row.arm]} was run once ({listed} %): the luck of its outer loop is not covered by any interval."
        )
    luck = f"; a run's own luck has a standard deviation of {100 * row.deviation:.1f} points" if row.deviation else ""
    return f"Over {len(row.by_seed)} seeds {labels[row.arm]} scored {listed} %{luck}."


def control_sentence(rows: Sequence[StabilityRow], labels: dict[str, str], names: Sequence[str]) -> str | None:
    """What the arm under test broke of the control questions, on the first of these rungs where some were asked."""
    asked = {row.arm for row in rows if row.previously_correct}
    first = next((name for name in names if name in asked), None)
    if first is None:
        return None
    mine = [row for row in rows if row.arm == first and row.previously_correct]
    broken, before = sum(row.broken for row in mine), sum(row.previously_correct for row in mine)
    changes = "; ".join(f"{kind_name(row.kind)} {interval(row.change)}" for row in mine if row.change)
    told = f"{number(broken)} of {number(before)} control answers that the frozen model got right"
    return f"{labels[mine[0].arm]} broke {told} (change in accuracy: {changes})."


def judging_sentence(found: Judging | None) -> str | None:
    """How far the judge agrees with exact match, and whose word the grades are; nothing where nobody judged."""
    if found is None:
        return None
    whose = "its verdicts are the grades" if found.decides else "the grades are exact match"
    unread = f"{found.unreadable:,} of its verdicts could not be read" if found.unreadable else ""
    if found.decides and unread:
        unread += ", and there exact match stands"
    if found.raw is None:
        return f"The judge ({found.model}) said nothing on any answer{f'; {unread}' if unread else ''}; {whose}."
    kappa = (
        f", Cohen's kappa {found.kappa:.2f}" if found.kappa is not None else ", kappa unknown: one side never varies"
    )
    only = f"{found.lenient:,} only it finds right, {found.strict:,} only exact match does"
    told = f"agrees with exact match on {100 * found.raw:.1f} % of {found.count:,} answers{kappa} ({only})"
    return "; ".join(part for part in (f"The judge ({found.model}) {told}", unread, whose) if part) + "."
