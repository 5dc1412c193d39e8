"""The verdict in words. Every number in a sentence is one of the verdict's own, with its interval."""

from collections.abc import Iterator, Sequence

from netgain.analysis.intervals import Interval
from netgain.analysis.rows import BreakEvenRow, DomainRow, HeadlineKind
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, Headline, Verdict, primary_row
from netgain.records.cost import Currency
from netgain.records.provenance import Judging

EQUIVALENT = 0.05
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
    """The verdict's sentence, whether it speaks for the method, and the sentences that follow from it."""
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
    details = [detail for detail in _details(verdict, arm, labels) if detail]
    return Headline(sentence=told, details=details, kind=kind)


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


def _details(verdict: Verdict, arm: ArmRow | None, labels: dict[str, str]) -> Iterator[str | None]:
    """Everything that follows from the verdict, each sentence None where there is nothing to say."""
    terms = verdict.terms
    yield from other_domains(verdict.domains)
    if terms:
        for row in verdict.break_even:
            if (row.setting, row.currency) == (terms.setting, terms.currency):
                yield break_even_sentence(row, labels)
        rows = [row for row in verdict.decomposition if row.setting == terms.setting]
        yield _currency_sentence(rows, terms.currency)
    else:
        rows = [row for row in verdict.decomposition if arm and row.arm == arm.name]
        first = primary_row(rows, arm.name if arm else None)
        yield _currency_sentence(rows, first.currency) if first else None
        yield _other_frozen(verdict, first, labels)
        yield from _outer_loops(verdict, labels)
        yield _bill_sentence(verdict, arm)
    yield _spread_sentence(verdict, arm)
    yield _reward_sentence(verdict, arm)
    yield _control_sentence(verdict, arm) if terms else _broken_sentence(verdict, arm)
    yield _judging_sentence(verdict.judging)


def _other_frozen(verdict: Verdict, row: DecompositionRow | None, labels: dict[str, str]) -> str | None:
    """Which conventional arms an arm cannot be held against, since the frozen models beside them differ; all accuracies
    as they stand."""
    known = {arm.name: 100 * arm.accuracy for arm in verdict.arms if arm.accuracy is not None}
    if row is None or not row.other_frozen or row.arm not in known:
        return None
    listed = ", ".join(f"{labels[name]} {known[name]:.1f} %" for name in row.other_frozen if name in known)
    why = "the frozen model measured beside them gives other answers than the one beside it"
    return f"Not held against {labels[row.arm]} ({known[row.arm]:.1f} %), because {why}: {listed}."


def _outer_loops(verdict: Verdict, labels: dict[str, str]) -> Iterator[str]:
    """What outer loops add to their own round 0, and what is left of the gap if their cost is not counted."""
    rows = verdict.comparisons
    loops = [row for row in rows if row.kind == "outer loop" and row.low is not None and row.high is not None]
    if not loops:
        return
    loops.sort(key=lambda row: (row.a != verdict.decomposition[0].arm if verdict.decomposition else True, row.a))
    same, apart = (
        "; ".join(
            f"{labels[r.a]} {points(r.difference)} {span(r.low or 0.0, r.high or 0.0)}"
            for r in loops
            if r.other_frozen is other
        )
        for other in (False, True)
    )
    by_itself = "The outer loop by itself, a prompt's last round against its round 0"
    if same:
        yield f"{by_itself}: {same}."
    if apart:
        yield f"{by_itself}, but measured beside another frozen model, so that the set-up may differ too: {apart}."
    first = verdict.decomposition[0].arm if verdict.decomposition else None
    uncharged = [row for row in verdict.decomposition if row.basis == "adapt only" and row.arm == first]
    parts = [text for row in uncharged if (text := _left_by_currency(labels, row))]
    if parts:
        yield f"If the outer loop's own cost is not counted, what is left by currency: {'; '.join(parts)}."


def _left_by_currency(labels: dict[str, str], row: DecompositionRow) -> str | None:
    if not (row.method_part and row.rival and row.rival_cost_per_problem is not None and row.budget_per_problem):
        return None
    relative = row.rival_cost_per_problem / row.budget_per_problem
    unit = UNITS[Currency(row.currency)]
    return f"{unit} {interval(row.method_part)} against {labels[row.rival]} (at {relative:.0%} of its cost)"


def _bill_sentence(verdict: Verdict, arm: ArmRow | None) -> str | None:
    """What the headline arm spent with its outer loop, beside what its conventional rivals were given."""
    mine = [r for r in verdict.decomposition if arm and r.arm == arm.name and r.basis == "with outer loop"]
    row = next((row for row in mine if row.currency == Currency.UPDATES and row.budget_per_problem), None)
    if row is None or row.budget_per_problem is None or arm is None or not arm.invests:
        return None
    given = [
        other.updates_per_problem
        for other in verdict.arms
        if other.setting == arm.setting
        and other.role not in {"frozen", "self_improving"}
        and other.updates_per_problem is not None
    ]
    low, high = (f"{value:,.0f}" for value in (min(given, default=0.0), max(given, default=0.0)))
    rivals = f"; the conventional arms were given {low if low == high else f'{low} to {high}'}" if given else ""
    took = f"{'at least ' if row.budget_incomplete else ''}{row.budget_per_problem:,.0f} gradient updates a problem"
    shared = f"With its share of the outer loop over the {row.deployments} problems examined"
    return f"{shared}, {arm.label} took {took}{rivals}."


def _reward_sentence(verdict: Verdict, arm: ArmRow | None) -> str | None:
    """What keeping the best of k edits is worth when it is measured again, on the arm's own rounds."""
    invests = arm.invests if arm else []
    owners = tuple(name.removesuffix("investment") for name in invests)
    rows = [row for row in verdict.rewards if row.arm.startswith(owners)] if verdict.terms else verdict.rewards
    own_first = sorted(rows, key=lambda row: row.arm not in invests)
    row = next((row for row in own_first if row.heldout is not None and row.apparent_gain is not None), None)
    if row is None or row.heldout is None or row.apparent_gain is None:
        return None
    reliability = f" (its reward's reliability: {row.reliability:.2f})" if row.reliability is not None else ""
    others = f"{row.repeats - 1} of its {row.repeats} evaluations and measured on the one left out"
    looks = f"The best of {row.edits} edits looks {points(row.apparent_gain)} points better than the average edit"
    return f"{looks}{reliability}; chosen on {others}, {interval(row.heldout)}."


def _broken_sentence(verdict: Verdict, arm: ArmRow | None) -> str | None:
    """What training broke, for the headline arm, and what is retained after a stream of edits."""
    parts = []
    row = next((row for row in verdict.stability if arm and row.arm == arm.name), None)
    if row is not None and row.previously_correct and arm:
        broken = f"{row.broken} of the {row.previously_correct} questions that the frozen model answered"
        parts.append(f"{arm.label} fixed {row.fixed} answers and broke {broken}")
    kept = verdict.retention
    if kept is not None and kept.untouched is not None and kept.after_all is not None:
        edits = len(kept.matrix) - 1
        parts.append(
            f"after {edits} edits in a row, accuracy on the first {edits - 1} passages is {kept.after_all:.1%} "
            f"({kept.untouched:.1%} untouched)"
        )
    told = "; ".join(parts)
    return f"{told}." if told else None  # it begins with an arm's name, which is written as its owner writes it


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


def _currency_sentence(rows: Sequence[DecompositionRow], currency: str) -> str | None:
    """Whether the answer depends on the currency in which compute is matched."""
    mine = [row for row in rows if row.basis == "with outer loop" and row.method_part]
    first = next((row for row in mine if row.currency == currency), None)
    if first is None or len(mine) < 2:
        return None
    sign = _side(first.method_part)
    others = [row for row in mine if row.currency != currency]
    starved = sign > 0  # a rival that had less matters where the arm is ahead
    unlike = [
        row
        for row in others
        if _side(row.method_part) != sign or (starved and row.rival_underspent != first.rival_underspent)
    ]
    if not unlike:
        return f"The answer is the same matched in {_listed(others)}."
    parts = [
        f"{UNITS[Currency(row.currency)]} {interval(row.method_part)}"
        + (" against a rival that spent less" if row.rival_underspent else "")
        for row in unlike
        if row.method_part
    ]
    same = [row for row in others if row not in unlike]
    rest = f"; it is the same in {_listed(same)}" if same else ""
    return f"The answer depends on the currency: matched in {'; in '.join(parts)}{rest}."


def _listed(rows: Sequence[DecompositionRow]) -> str:
    names = [UNITS[Currency(row.currency)] for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _side(part: Interval | None) -> int:
    return 0 if part is None else (part.low > 0) - (part.high < 0)


def _spread_sentence(verdict: Verdict, arm: ArmRow | None) -> str | None:
    """The accuracy of each seed of the arm under test."""
    row = next((row for row in verdict.spread if arm and row.arm == arm.name), None)
    if arm is None or row is None or not row.by_seed:
        return None
    listed = ", ".join(f"{100 * value:.1f}" for value in row.by_seed)
    if len(row.by_seed) == 1:
        luck = "its outer loop" if arm.learns else "a run"
        return f"{arm.label} was run once ({listed} %): no interval covers the luck of {luck}."
    luck = f"; a run's own luck has a standard deviation of {100 * row.deviation:.1f} points" if row.deviation else ""
    return f"Over {len(row.by_seed)} seeds {arm.label} scored {listed} %{luck}."


def _control_sentence(verdict: Verdict, arm: ArmRow | None) -> str | None:
    """What the arm under test broke of the control questions, at its own level or the first where some were asked."""
    if arm is None:
        return None
    rungs = [row.name for row in verdict.arms if (row.setting, row.method) == (arm.setting, arm.method)]
    asked = {row.arm for row in verdict.stability if row.previously_correct}
    first = next((name for name in [arm.name, *rungs] if name in asked), None)
    if first is None:
        return None
    mine = [row for row in verdict.stability if row.arm == first and row.previously_correct]
    broken, before = sum(row.broken for row in mine), sum(row.previously_correct for row in mine)
    changes = "; ".join(f"{kind_name(row.kind)} {interval(row.change)}" for row in mine if row.change)
    wrong = f"{number(broken)} of {number(before)} control answers that the frozen model got right"
    return f"{verdict.arm(first).label} broke {wrong} (change in accuracy: {changes})."


def _judging_sentence(found: Judging | None) -> str | None:
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
    only = f"{found.lenient:,} only the judge finds right, {found.strict:,} only exact match does"
    agrees = f"agrees with exact match on {100 * found.raw:.1f} % of {found.count:,} answers{kappa} ({only})"
    return "; ".join(part for part in (f"The judge ({found.model}) {agrees}", unread, whose) if part) + "."
