"""The verdict in words. Every number in a sentence is one of the verdict's own, with its interval."""

from collections.abc import Sequence

from netgain.analysis.intervals import Interval
from netgain.analysis.rows import BreakEvenRow, DomainRow, HeadlineKind
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, Headline, Verdict, primary_row
from netgain.records.cost import Currency

EQUIVALENT = 0.05
FEWEST_SEEDS = 3  # below which the luck of training cannot be told from a difference: figures, and no verdict
# Kinds of control questions, which no adaptation is about, in words.
CONTROLS = {"seen": "facts known from pretraining", "skill": "reading and copying"}
UNITS = {
    Currency.UPDATES: "updates",
    Currency.TOKENS_REAL: "real tokens",
    Currency.TOKENS_PADDED: "padded tokens",
    Currency.TOKENS_TRAINING: "training tokens",
    Currency.TOKENS_GENERATED: "generated tokens",
    Currency.FLOPS: "FLOPs",
}
KINDS = {"knowledge": "facts told in the passage", "reasoning": "two facts combined"} | CONTROLS


def kind_name(kind: str) -> str:
    """What a kind of exam question asks for, in plain words; a domain's own kind by its name."""
    return KINDS.get(kind, kind)


def points(value: float) -> str:
    """A fraction as signed percentage points with one decimal: ``+7.3``; a minus sign, not a hyphen."""
    text = f"{100 * value:+.1f}"
    return (text if float(text) else "0.0").replace("-", "\N{MINUS SIGN}")


def span(low: float, high: float) -> str:
    """An interval in percentage points: ``[+2.7, +12.0]``."""
    return f"[{points(low)}, {points(high)}]"


def interval(estimate: Interval) -> str:
    """A value with its interval in percentage points."""
    return f"{points(estimate.value)} {span(estimate.low, estimate.high)}"


def number(value: float) -> str:
    """A quantity for a sentence: whole below ten million, else with three digits."""
    if value >= 1e15:
        return f"{value:.2g}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= 10 * size:
            return f"{value / size:,.0f} {unit}"
    return f"{value:,.0f}"


def judgement(row: DecompositionRow | None, equivalent: float | None, *, fixed: bool) -> HeadlineKind:
    """What the intervals of the matched comparison allow to be said; ``fixed``: a trial named its rival itself.

    A rival that was chosen on these very problems is favoured by that: to call it the better one, the interval with a
    rival chosen on other problems must say so too. To call the rest the method's, the rival must have had the same
    compute, and all of the arm's own must be known.
    """
    if row is None or row.method_part is None or (row.gap is None and not fixed):
        return "cannot tell"
    left, gap = row.method_part, row.gap
    same = equivalent is not None and equivalent < EQUIVALENT and left.low <= 0 <= left.high
    if fixed and same:
        return "no difference"
    if left.high < 0 and (row.cross_fitted is None or row.cross_fitted.high < 0):
        return "rival ahead"
    if gap is not None and gap.low <= 0:
        return "no gain"
    if same:
        return "no difference"
    if left.low <= 0:
        return "nothing left"
    return "unmatched" if row.rival_underspent or row.budget_incomplete else "method"


def sentence(
    kind: HeadlineKind,
    row: DecompositionRow | None,
    arm: str,
    labels: dict[str, str],
    compared: Sequence[Comparison],
) -> str:
    """The verdict on one arm in one sentence: the conclusion, then the gap, what compute buys, what the method adds."""
    label = labels[arm]
    if row is None:
        return f"There is nothing to judge: {label} was not examined, or what it cost is unknown. Cannot tell."
    gains = f"gains {interval(row.gap)} points over the frozen model" if row.gap else ""
    if row.method_part is None or row.rival is None or kind == "cannot tell":
        return f"{label} {gains or 'was examined'}, but {_why_unknown(row)}: cannot tell."
    rival = labels[row.rival]
    bought = f"; {rival} gains {interval(row.compute_part)} {_at(row)}" if row.compute_part else ""
    gained = f"it {gains}{bought}; the method adds {interval(row.method_part)}"
    if not row.gap:
        gained = f"{interval(row.method_part)} points over {rival} {_at(row)}"
    part = row.method_part
    doubt = ", not distinguishable from zero" if part.low <= 0 <= part.high and kind != "no difference" else ""
    rest = ""
    if row.prompts_differ:
        gained = gained.replace("the method adds", "method and prompt together add")
    if kind == "unmatched":
        more = over_dearer(row, labels, compared)
        rest = f"{f'; {more}' if more else ''}; what equal compute would have bought was not measured"
    opening = _opening(kind, label, rival, row, compared)
    return f"{opening}: {gained}{doubt}{rest}."


def _opening(kind: HeadlineKind, arm: str, rival: str, row: DecompositionRow, compared: Sequence[Comparison]) -> str:
    if kind == "no difference":
        found = next((other for other in compared if (other.a, other.b) == (row.arm, row.rival)), None)
        margin = 100 * (found.equivalence_margin or 0.0) if found else 0.0
        p = _p(found.p_equivalent if found else None)
        return f"No difference between {arm} and {rival} (equivalent within {margin:.0f} points, p {p})"
    return {
        "rival ahead": f"{arm} falls behind {rival}",
        "no gain": f"{arm}'s gain over the frozen model is not distinguishable from zero",
        "nothing left": f"None of {arm}'s gain is distinguishable from what "
        + (f"another prompt buys ({rival})" if row.prompts_differ else "equal compute buys"),
        "unmatched": f"{arm} gains, but {unmatched(row)}",
    }.get(kind, f"{arm} gains more than equal compute{' under another prompt' if row.prompts_differ else ''} buys")


def _at(row: DecompositionRow) -> str:
    """How much compute the rival had."""
    if not row.rival_underspent:
        return "at equal compute"
    relative = (row.rival_cost_per_problem or 0.0) / (row.budget_per_problem or 1.0)
    return f"with {'at most ' if row.budget_incomplete else ''}{relative:.0%} of the {UNITS[Currency(row.currency)]}"


def _why_unknown(row: DecompositionRow) -> str:
    if row.budget_per_problem is None:
        return "what it cost is not stated in what was read, so no arm can be matched with it"
    if row.method_part is None and row.other_frozen:
        return "no conventional arm was measured beside the same frozen model at no higher cost"
    if row.method_part is None:
        return "no conventional arm of known and no higher cost answered the same questions"
    return "the frozen model was not examined on the same questions"


def unmatched(row: DecompositionRow) -> str:
    """Why an arm that is ahead of its rival is not ahead at equal compute."""
    if row.budget_incomplete:
        return "its own compute is known only in part"
    if row.dearer:
        return "no conventional arm was given equal compute, only less or more"
    return "no conventional arm was given as much compute"


def over_dearer(row: DecompositionRow, labels: dict[str, str], compared: Sequence[Comparison]) -> str:
    """How far the arm is ahead of those that cost more: where it is clearly ahead, the strongest evidence there is."""
    known = {(other.a, other.b): other for other in reversed(compared)}
    dearer = [
        f"{labels[name]} {points(other.difference)}"
        + (f" {span(other.low, other.high)}" if other.low is not None and other.high is not None else "")
        for name in row.dearer
        if (other := known.get((row.arm, name)))
    ]
    return f"over arms that cost more: {', '.join(dearer)}" if dearer else ""


def _p(value: float | None) -> str:
    return "unknown" if value is None else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def headline(verdict: Verdict) -> Headline:
    """The verdict's sentence and its kind. What follows from it is said in :mod:`netgain.analysis.details`."""
    labels = {row.name: row.label for row in verdict.arms}
    arm = next((row for row in verdict.arms if row.headline), None)
    if verdict.terms:
        first = next((row for row in verdict.domains if row.primary), None)
        terms = verdict.terms
        nothing = f"There is nothing to judge yet: {terms.compare} was not examined in {terms.setting}. Cannot tell."
        told, kind = first.sentence if first else nothing, first.kind if first else "cannot tell"
        if terms.runs_done < terms.runs_planned:
            told = f"Unfinished: {terms.runs_done} of {terms.runs_planned} runs. {told}"
    else:
        row = primary_row(verdict.decomposition, arm.name if arm else None)
        kind = judgement(row, None, fixed=False)
        judged = row is not None and arm is not None
        told = sentence(kind, row, arm.name, labels, verdict.comparisons) if judged and arm else _nothing(verdict, arm)
    return Headline(sentence=told, details=[], kind=kind)


def _nothing(verdict: Verdict, arm: ArmRow | None) -> str:
    """Why a published claim without a single decomposition cannot be judged."""
    lead = next((row for row in verdict.comparisons if arm and row.a == arm.name), None)
    labels = {row.name: row.label for row in verdict.arms}
    if lead is not None:
        difference = f"{points(lead.difference)} points from {labels.get(lead.b, lead.b)}"
        return f"{labels[lead.a]} is {difference}, but the arms cannot be matched in any currency: cannot tell."
    count = len(verdict.arms)
    held = {0: "no arm", 1: "a single arm"}.get(count, f"{count} arms, but no headline arm with a rival")
    return f"There is no comparison to judge: the claim holds {held}. Cannot tell."


def other_domains(domains: Sequence[DomainRow]) -> list[str]:
    """The sentences on all domains but the primary one."""
    return [f"In {row.setting}: {row.sentence}" for row in domains if not row.primary]


def break_even_sentence(row: BreakEvenRow, labels: dict[str, str]) -> str:
    """From how many deployments on the investment is worth it."""
    arm, rival = labels[row.arm], labels[row.rival]
    free = next((point.method_part for point in row.after if point.deployments is None), None)
    if row.never:
        adds = f"the method would then add {interval(free)}" if free else "the method would then add nothing"
        return f"{arm}'s investment never pays against {rival}, not even if it were free: {adds}."
    starved = f"{rival} was not run with as much compute"
    known = f" (below {row.not_before:,}, {starved})" if (row.not_before or 1) > 1 else ""
    if row.ahead_from is None:
        return f"From how many deployments on {arm}'s investment pays is not known: {starved}."
    least = "at the latest " if row.ahead_from == row.not_before and row.ahead_from > 1 else ""
    clear = f", clearly from {row.clear_from:,}" if row.clear_from is not None else ""
    clear = ", though never clearly" if row.never_clear else clear
    return f"{arm} is ahead of {rival} {least}from {row.ahead_from:,} deployments on{clear}{known}."
