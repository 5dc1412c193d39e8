"""The verdict in words. Every number in a sentence is one of the verdict's own, with its interval."""

from collections.abc import Sequence

from netgain.analysis.trial.shape import HeadlineKind
from netgain.analysis.verdict import (
    ArmRow,
    Comparison,
    DecompositionRow,
    Headline,
    Interval,
    RetentionTable,
    RewardRow,
    StabilityRow,
)
from netgain.records.cost import Currency

UNITS = {
    Currency.UPDATES: "updates",
    Currency.TOKENS_REAL: "real tokens",
    Currency.TOKENS_PADDED: "padded tokens",
    Currency.FLOPS: "FLOPs",
}


KINDS = {
    "knowledge": "facts told in the passage",
    "reasoning": "two facts combined",
    "seen": "facts known before",
    "skill": "skills known before",
}


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


def primary_row(rows: Sequence[DecompositionRow], arm: str | None) -> DecompositionRow | None:
    """The row that the verdict rests on: the headline arm, charged for its outer loop, in the first known currency.

    FLOPs come first; where they are unknown, or the outer loop's are, updates, then tokens.
    """
    mine = [row for row in rows if row.arm == arm and row.basis == "with outer loop"]
    uncharged = {row.currency: row.budget_per_problem for row in rows if row.arm == arm and row.basis == "adapt only"}
    order = (Currency.FLOPS, Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED)
    known = [row for currency in order for row in mine if row.currency == currency and row.method_part]
    charged = [r for r in known if not (r.budget_incomplete and r.budget_per_problem == uncharged.get(r.currency))]
    return next(iter([*charged, *known, *mine]), None)


def headline(
    arms: Sequence[ArmRow],
    decompositions: Sequence[DecompositionRow],
    comparisons: Sequence[Comparison],
    headline_arm: str | None,
) -> Headline:
    """The verdict's sentence, and whether it speaks for the method."""
    labels = {row.name: row.label for row in arms}
    row = primary_row(decompositions, headline_arm)
    details = _details(labels, decompositions, comparisons)
    if row is None or headline_arm is None:
        return Headline(sentence=_unknown(arms, labels, comparisons, headline_arm), details=details, kind="cannot tell")
    if row.method_part is None or row.gap is None or row.rival is None:
        return Headline(sentence=_nothing_to_match(labels, row), details=details, kind="cannot tell")
    kind, opening = _judgement(row, row.gap, row.method_part, labels)
    sentence = (
        f"{opening}: {interval(row.gap)} points over its own frozen baseline, {interval(row.method_part)} over "
        f"{labels[row.rival]}, the best conventional arm that cost no more to train"
    )
    closing = _starved(labels, row, comparisons) if kind == "unmatched" else "."
    return Headline(sentence=sentence + closing, details=details, kind=kind)


def _judgement(
    row: DecompositionRow, gap: Interval, left: Interval, labels: dict[str, str]
) -> tuple[HeadlineKind, str]:
    """What the intervals allow to be said.

    The rival was chosen on these very problems, which favours it: to call it the better one, the interval with a rival
    chosen on other problems must say so too. To call the rest the method's, the rival must have had the same compute,
    and all of the arm's own must be known.
    """
    arm, rival = labels[row.arm], labels[row.rival or ""]
    if left.high < 0 and (row.cross_fitted is None or row.cross_fitted.high < 0):
        return "rival ahead", f"{arm} falls behind an arm that cost no more, {rival}"
    if gap.low <= 0:
        return "no gain", f"No gain of {arm} can be told from zero"
    if left.low <= 0:
        return "nothing left", f"Nothing of the gain of {arm} can be told from compute"
    if row.rival_underspent or row.budget_incomplete:
        return "unmatched", f"{arm} gains, but no arm without an outer loop was given its compute"
    return "method", f"Of the gain of {arm}, a part is left at equal compute"


def _starved(labels: dict[str, str], row: DecompositionRow, comparisons: Sequence[Comparison]) -> str:
    """The rest of the sentence where nothing conventional had the arm's compute: how much, and who had more."""
    relative = (row.rival_cost_per_problem or 0.0) / (row.budget_per_problem or 1.0)
    least = "at most " if row.budget_incomplete else ""
    unit = UNITS[Currency(row.currency)]
    known = {(other.a, other.b): other for other in comparisons}
    dearer = [
        f"{labels[name]} {points(other.difference)}"
        + (f" {span(other.low, other.high)}" if other.low is not None and other.high is not None else "")
        for name in row.dearer
        if (other := known.get((row.arm, name)))
    ]
    more = f"; over arms that cost more: {', '.join(dearer)}" if dearer else ""
    told = "what equal compute would have bought cannot be told."
    return f" (it had {least}{relative:.0%} of the {unit}){more}; {told}"


def _nothing_to_match(labels: dict[str, str], row: DecompositionRow) -> str:
    label = labels[row.arm]
    gap = f"gains {interval(row.gap)} points over its own frozen baseline" if row.gap else "is the headline arm"
    if row.budget_per_problem is None:
        return f"{label} {gap}, but what it cost is not stated, so no arm can be matched with it: cannot tell."
    why = "no conventional arm of known and no higher training cost answered the same questions"
    return f"{label} {gap}, but {why}: cannot tell."


def _unknown(
    arms: Sequence[ArmRow], labels: dict[str, str], comparisons: Sequence[Comparison], name: str | None
) -> str:
    lead = next((row for row in comparisons if row.a == name), None)
    if lead is None:
        held = {0: "no arm", 1: "a single arm"}.get(len(arms), f"{len(arms)} arms, but no headline arm with a rival")
        return f"There is no comparison to judge: the claim holds {held}. Cannot tell."
    difference = f"{points(lead.difference)} points from {labels.get(lead.b, lead.b)}"
    return f"{labels[lead.a]} is {difference}, but the arms cannot be matched in any currency: cannot tell."


def _details(
    labels: dict[str, str], decompositions: Sequence[DecompositionRow], comparisons: Sequence[Comparison]
) -> list[str]:
    loops = [row for row in comparisons if row.kind == "outer loop" and row.low is not None and row.high is not None]
    listed = "; ".join(f"{labels[r.a]} {points(r.difference)} {span(r.low or 0.0, r.high or 0.0)}" for r in loops)
    details = [f"The outer loop by itself, each prompt's last round against its round 0: {listed}."] if loops else []
    first = decompositions[0].arm if decompositions else None
    forgotten = [row for row in decompositions if row.basis == "adapt only" and row.arm == first]
    parts = [text for row in forgotten if (text := _left_by_currency(labels, row))]
    if loops and parts:
        details.append(f"With the outer loop's bill forgotten, what is left by currency: {'; '.join(parts)}.")
    return details


def _left_by_currency(labels: dict[str, str], row: DecompositionRow) -> str | None:
    if not (row.method_part and row.rival and row.rival_cost_per_problem is not None and row.budget_per_problem):
        return None
    relative = row.rival_cost_per_problem / row.budget_per_problem
    unit = UNITS[Currency(row.currency)]
    return f"{unit} {interval(row.method_part)} against {labels[row.rival]} (at {relative:.0%} of its cost)"


def bill_sentence(decompositions: Sequence[DecompositionRow], arms: Sequence[ArmRow], name: str | None) -> str | None:
    """What the headline arm spent with its outer loop, beside what its conventional rivals were given."""
    mine = [row for row in decompositions if row.arm == name and row.basis == "with outer loop"]
    row = next((row for row in mine if row.currency == Currency.UPDATES and row.budget_per_problem), None)
    arm = next((arm for arm in arms if arm.name == name), None)
    if row is None or row.budget_per_problem is None or arm is None or not arm.invests:
        return None
    given = [
        other.updates_per_problem
        for other in arms
        if other.setting == arm.setting
        and other.role not in {"frozen", "self_improving"}
        and other.updates_per_problem is not None
    ]
    low, high = (f"{value:,.0f}" for value in (min(given, default=0.0), max(given, default=0.0)))
    spread = low if low == high else f"{low} to {high}"
    rivals = f"; the conventional arms were given {spread}" if given else ""
    least = "at least " if row.budget_incomplete else ""
    return (
        f"With its share of the outer loop over the {row.deployments} problems examined, {arm.label} took {least}"
        f"{row.budget_per_problem:,.0f} gradient updates a problem{rivals}."
    )


def reward_sentence(rows: Sequence[RewardRow], invests: Sequence[str]) -> str | None:
    """What keeping the best of k edits is worth when it is measured again; the headline arm's own rounds first."""
    own_first = sorted(rows, key=lambda row: row.arm not in invests)
    row = next((row for row in own_first if row.heldout is not None and row.apparent_gain is not None), None)
    if row is None or row.heldout is None or row.apparent_gain is None:
        return None
    reliability = f" (its reward's reliability: {row.reliability:.2f})" if row.reliability is not None else ""
    others = f"{row.repeats - 1} of its {row.repeats} evaluations and measured on the one left out"
    looks = f"The best of {row.edits} edits looks {points(row.apparent_gain)} points better than the average edit"
    return f"{looks}{reliability}; chosen on {others}, {interval(row.heldout)}."


def stability_sentence(
    rows: Sequence[StabilityRow], labels: dict[str, str], name: str | None, retention: RetentionTable | None
) -> str | None:
    """What training broke, for the headline arm, and what is retained after a stream of edits."""
    parts = []
    row = next((row for row in rows if row.arm == name), None)
    if row is not None and row.previously_correct:
        broken = f"{row.broken} of the {row.previously_correct} questions that the frozen model answered"
        parts.append(f"{labels[row.arm]} fixed {row.fixed} answers and broke {broken}")
    if retention is not None and retention.untouched is not None and retention.after_all is not None:
        edits = len(retention.matrix) - 1
        parts.append(
            f"after {edits} edits in a row, accuracy on the first {edits - 1} passages is {retention.after_all:.1%} "
            f"({retention.untouched:.1%} untouched)"
        )
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else None
