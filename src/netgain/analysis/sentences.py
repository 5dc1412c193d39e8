"""The verdict in words. Every number in a sentence is one of the verdict's own, with its interval."""

from collections.abc import Sequence

from netgain.analysis.crossed import FEWEST_RUNS
from netgain.analysis.intervals import Interval
from netgain.analysis.rows import (
    EQUIVALENCE_MARGIN,
    BreakEvenRow,
    DomainRow,
    HeadlineKind,
    RivalRow,
    WorstCase,
)
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, Headline, Verdict, primary_row
from netgain.records.claim import UNTRAINED, GradeName, Role
from netgain.records.cost import Currency

EQUIVALENT = 0.05
# Kinds of control questions, which no adaptation is about, in words.
CONTROLS = {
    "seen": "facts known from pretraining",
    "skill": "reading and copying",
    "known": "families known from pretraining",
    "composition": "compositions known from pretraining",
}
UNITS = {
    Currency.UPDATES: "updates",
    Currency.TOKENS_REAL: "real tokens",
    Currency.TOKENS_PADDED: "padded tokens",
    Currency.TOKENS_TRAINING: "training tokens",
    Currency.TOKENS_GENERATED: "generated tokens",
    Currency.FLOPS: "FLOPs",
    Currency.SECONDS: "device time",
}
GRADES: dict[GradeName, str] = {"exact": "exact match", "contains": "contains", "f1": "F1", "judge": "the judge"}
KINDS = {
    "knowledge": "facts told in the passage",
    "reasoning": "two facts combined",
    "held-out": "families never seen",
    "held-out composition": "known families combined anew",
} | CONTROLS


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


def judgement(row: DecompositionRow | None, *, fixed: bool) -> HeadlineKind:
    """What the comparison with every conventional arm allows to be said; ``fixed``: a trial named its rival itself.

    It rests on ``row.worst_case``: the method adds something where the arm is ahead of all of them at once, and falls
    behind where it lies clearly below one. To call the rest the method's, the strongest rival must have had the same
    compute, none may be left out, and all of the arm's own must be known.
    """
    worst = row.worst_case if row else None
    if row is None or row.method_part is None or worst is None or (row.gap is None and not fixed):
        return "cannot tell"
    part, gap = row.method_part, row.gap
    equal = worst.p_equivalent is not None and worst.p_equivalent < EQUIVALENT and part.low <= 0 <= part.high
    if fixed and equal:
        return "no difference"
    if worst.behind:
        return "rival ahead"
    if gap is not None and gap.low <= 0:
        return "no gain"
    if equal:
        return "no difference"
    if not worst.ahead:
        return "nothing left"
    starved = row.rival_underspent or any(one.underspent for one in worst.all if one.rival == worst.rival)
    return "unmatched" if starved or worst.left_out or row.budget_incomplete else "method"


def runs_of(row: DecompositionRow | None) -> int | None:
    """The fewest runs of any comparison that a verdict rests on; None where that is not known."""
    rivals = row.worst_case.all if row and row.worst_case else []
    known = [n for n in (row.n_seeds if row else None, *(one.n_seeds for one in rivals)) if n is not None]
    return min(known, default=None)


def sentence(
    kind: HeadlineKind,
    row: DecompositionRow | None,
    arm: str,
    labels: dict[str, str],
    compared: Sequence[Comparison],
) -> str:
    """The verdict on one arm in one sentence: the conclusion with the comparison that it rests on, then the gap, what
    compute buys, and the arm against the other ways to choose a rival."""
    label = labels[arm]
    if row is None:
        return f"There is nothing to judge: {label} was not examined, or what it cost is unknown. Cannot tell."
    gains = f"gains {interval(row.gap)} points over the frozen model" if row.gap else ""
    if row.method_part is None or row.rival is None or kind == "cannot tell":
        return f"{label} {gains or 'was examined'}, but {why_unknown(row)}: cannot tell."
    if kind == "too few runs":
        return f"{too_few(row)} {figures(row, labels)}."
    rival = labels[row.rival]
    bought = f"; {rival} gains {interval(row.compute_part)} {_at(row)}" if row.compute_part else ""
    adds = "method and prompt together add" if row.prompts_differ else "the method adds"
    gained = f"it {gains}{bought}; over that arm {adds} {interval(row.method_part)}"
    if not row.gap:
        gained = f"{interval(row.method_part)} points over {rival} {_at(row)}"
    fitted = f", with the rival chosen on other problems {interval(row.cross_fitted)}" if row.cross_fitted else ""
    more = over_dearer(row, labels, compared) if kind == "unmatched" else ""
    rest = "; what equal compute would have bought was not measured" if kind == "unmatched" else ""
    return f"{_opening(kind, label, row, labels)}: {gained}{fitted}{f'; {more}' if more else ''}{rest}."


def too_few(row: DecompositionRow) -> str:
    """That so few runs allow no verdict, and how many more would."""
    runs = runs_of(row) or 0
    more = FEWEST_RUNS - runs
    return f"{_times(runs, 'run')}: figures, no verdict; run {_times(more, 'more seed').lower()}."


def _times(count: int, what: str) -> str:
    words = {1: "One", 2: "Two"}.get(count, f"{count:,}")
    return f"{words} {what}{'' if count == 1 else 's'}"


def figures(row: DecompositionRow, labels: dict[str, str]) -> str:
    """The differences as they are, and nothing concluded from them."""
    arm, rival, worst = labels[row.arm], labels[row.rival or ""], row.worst_case
    parts = [f"{arm} minus the frozen model {interval(row.gap)} points"] if row.gap else []
    if row.method_part:
        parts.append(f"{arm} minus {rival} {_at(row)}{shared(row)} {interval(row.method_part)}")
    if worst and worst.rival != row.rival:
        parts.append(f"minus the strongest conventional arm, {labels[worst.rival]}, {interval(worst.difference)}")
    return f"{'; '.join(parts)}; so few runs do not show how much of this is the luck of training"


def shared(row: DecompositionRow) -> str:
    """By how many problems an arm's investment is shared, where it made one."""
    if not row.deployments:
        return ""
    problems = f"the {row.deployments:,} problems examined" if row.deployments == row.n_problems else ""
    return f", its investment shared by {problems or f'{row.deployments:,} deployments'}"


def decisive(kind: HeadlineKind | str, row: DecompositionRow, worst: WorstCase) -> RivalRow:
    """The comparison on which the kind rests: with the strongest of all conventional arms, with the one that the arm
    falls behind, or with the one that it is least clearly ahead of; else with the row's own rival."""
    by_rival = {one.rival: one for one in worst.all}
    name: str | None = worst.rival
    if kind == "rival ahead" and worst.behind:
        name = row.rival if row.rival in worst.behind else worst.behind[0]
    elif kind == "nothing left":
        ahead_of_its_own = row.method_part is not None and row.method_part.low > 0
        name = max(worst.all, key=lambda one: one.p).rival if ahead_of_its_own else row.rival
    return by_rival.get(name or worst.rival, worst.all[0])


def _opening(kind: HeadlineKind, arm: str, row: DecompositionRow, labels: dict[str, str]) -> str:
    worst = row.worst_case
    if worst is None:
        return f"{arm} is compared"
    one = decisive(kind, row, worst)
    at = f"{'at no higher cost' if one.underspent else 'at equal compute'}{shared(row)}"
    match kind:
        case "no difference":
            margin = 100 * EQUIVALENCE_MARGIN
            same = f"(equivalent within {margin:.0f} points, p {p_words(worst.p_equivalent)})"
            return f"No difference between {arm} and {labels[row.rival or one.rival]} {at} {same}"
        case "rival ahead":
            return f"{arm} is behind {labels[one.rival]} {at} ({interval(one.difference)} points)"
        case "no gain":
            return f"{arm}'s gain over the frozen model is not distinguishable from zero"
        case "nothing left":
            prompt = " (which wrote under another prompt)" if row.prompts_differ and one.rival == row.rival else ""
            doubtful = f"{labels[one.rival]}{prompt}" if len(worst.all) > 1 or prompt else labels[one.rival]
            if one.difference.low <= 0 <= one.difference.high:
                return f"{arm} is not distinguishable from {doubtful} {at} ({interval(one.difference)} points)"
            return f"{arm} is not shown to be ahead of {every(worst)} {at} ({smallest(row, labels)})"
        case "unmatched":
            return f"{arm} is ahead of {every(worst)} that cost no more{shared(row)}, but {unmatched(row)}"
    return f"{arm} is ahead of {every(worst)} {at} ({smallest(row, labels)})"


def every(worst: WorstCase) -> str:
    """All rivals that were compared, in words."""
    return "every conventional arm" if len(worst.all) > 1 else "the only conventional arm"


def smallest(row: DecompositionRow, labels: dict[str, str]) -> str:
    """The strongest rival with the difference to it, and the p of being ahead of all."""
    worst = row.worst_case
    if worst is None:
        return ""
    which = "smallest difference" if len(worst.all) > 1 else "difference"
    return f"{which} {interval(worst.difference)} over {labels[worst.rival]}, p {p_words(worst.p)}, one-sided"


def _at(row: DecompositionRow) -> str:
    """How much compute the rival had."""
    if not row.rival_underspent:
        return "at equal compute"
    relative = (row.rival_cost_per_problem or 0.0) / (row.budget_per_problem or 1.0)
    return f"with {'at most ' if row.budget_incomplete else ''}{relative:.0%} of the {UNITS[Currency(row.currency)]}"


def why_unknown(row: DecompositionRow) -> str:
    """Why an arm's gap cannot be taken apart."""
    if row.budget_per_problem is None:
        return "what it cost is not stated in what was read, so no arm can be matched with it"
    if row.method_part is None and row.other_frozen:
        return f"no conventional arm was measured beside the same frozen model at no higher cost{shared(row)}"
    if row.method_part is None:
        return f"no conventional arm of known and no higher cost answered the same questions{shared(row)}"
    return "the frozen model was not examined on the same questions"


def unmatched(row: DecompositionRow) -> str:
    """Why an arm that is ahead of its rival is not ahead at equal compute."""
    if row.budget_incomplete:
        return "its own compute is known only in part"
    if row.worst_case and row.worst_case.left_out:
        return "not every conventional arm could be compared at equal compute"
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


def survivors(lacking: int) -> str:
    """Said in place of a verdict where runs are missing: those that are left are no fair sample of all."""
    are = "run that the comparison rests on is" if lacking == 1 else "runs that the comparison rests on are"
    return f"{lacking} {are} missing, and no verdict is given on the others alone. Cannot tell."


def p_words(value: float | None) -> str:
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
        kind = judgement(row, fixed=row is not None and unfrozen(verdict, row.setting))
        judged = row is not None and arm is not None and not (row.method_part is None and _no_interval(verdict, arm))
        told = sentence(kind, row, arm.name, labels, verdict.comparisons) if judged and arm else _nothing(verdict, arm)
        told += luck_left_out(verdict, row)
    return Headline(sentence=told, details=[], kind=kind)


def unfrozen(verdict: Verdict, setting: str) -> bool:
    """Whether a published claim knows of no frozen model in this setting: its arms are then held against each other, as
    those of a trial that names its rival are, and nothing is said of a gain."""
    arms = [arm for arm in verdict.arms if arm.setting == setting]
    return not any(arm.role == Role.FROZEN or arm.frozen_accuracy is not None for arm in arms)


def luck_left_out(verdict: Verdict, row: DecompositionRow | None) -> str:
    """What a published claim's figures leave out where its arms were trained once, as a sentence of its own."""
    arms = [arm for arm in verdict.arms if row and arm.name in (row.arm, row.rival) and arm.role not in UNTRAINED]
    seeds = {arm.seeds for arm in arms}
    if (
        not row
        or not (row.gap or row.method_part)
        or not arms
        or all(n is not None and n >= FEWEST_RUNS for n in seeds)
    ):
        return ""
    if None in seeds:
        return " How often the arms were trained is not stated: the luck of training may be in none of these intervals."
    often = "once" if seeds == {1} else f"fewer than {FEWEST_RUNS} times"
    return f" The arms were trained {often}: the luck of training is in none of these intervals."


def _lead(verdict: Verdict, arm: ArmRow | None) -> Comparison | None:
    """The headline arm's first comparison: with the rival that the claim names, where it names one."""
    return next((row for row in verdict.comparisons if arm and row.a == arm.name), None)


def _no_interval(verdict: Verdict, arm: ArmRow) -> bool:
    """Whether scores are stated without the number of questions that they rest on."""
    lead = _lead(verdict, arm)
    return arm.low is None and arm.accuracy is not None and lead is not None and lead.low is None


def _nothing(verdict: Verdict, arm: ArmRow | None) -> str:
    """Why a published claim without a single decomposition cannot be judged."""
    lead = _lead(verdict, arm)
    labels = {row.name: row.label for row in verdict.arms}
    if lead is not None:
        difference = f"{points(lead.difference)} points from {labels.get(lead.b, lead.b)}"
        if arm and _no_interval(verdict, arm):
            why = "on how many questions that rests is not stated, so that it has no interval"
            return f"{labels[lead.a]} is {difference}, but {why}: cannot tell."
        return f"{labels[lead.a]} is {difference}, but the arms cannot be matched in any currency: cannot tell."
    count = len(verdict.arms)
    held = {0: "no arm", 1: "a single arm"}.get(count, f"{count} arms, but no headline arm with a rival")
    return f"There is no comparison to judge: the claim holds {held}. Cannot tell."


def other_domains(domains: Sequence[DomainRow]) -> list[str]:
    """The sentences on all domains but the primary one."""
    return [f"In {row.setting}: {row.sentence}" for row in domains if not row.primary]


def break_even_sentence(row: BreakEvenRow, labels: dict[str, str]) -> str:
    """From how many deployments on the investment is worth it: what was found at each number that was run."""
    arm = labels[row.arm]
    known = [(point.deployments, point.worst_case) for point in row.points if point.worst_case]
    if not known:
        return f"From how many deployments on {arm}'s investment pays is not known: {row.reason}."
    parts = [
        f"at {n:,} deployments it is {interval(worst.difference)} points over {labels[worst.rival]}"
        for n, worst in known
    ]
    several = len({len(worst.all) for _, worst in known}) > 1 or known[0][1].all[1:]
    against = ", the strongest conventional arm there" if several else ""
    found = f"{'; '.join(parts)}{against}"
    if row.ahead_from is not None:
        return f"{arm} is ahead of every conventional arm from {row.ahead_from:,} deployments on: {found}."
    return f"From how many deployments on {arm} is ahead is not told, since {row.reason}: {found}."
