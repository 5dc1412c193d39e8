"""What follows from a verdict beside its one sentence, in words: each sentence has a kind, listed in docs/verdicts.md.

Every number is one of the verdict's own, with its interval where it is a result. A kind says nothing where it has
nothing to say.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from netgain.analysis.rows import CoveragePoint, CoverageRow, GradeRow, ReadingRow
from netgain.analysis.sentences import (
    GRADES,
    UNITS,
    break_even_sentence,
    interval,
    judgement,
    kind_name,
    number,
    other_domains,
    points,
    span,
    unfrozen,
)
from netgain.analysis.verdict import ArmRow, Comparison, DecompositionRow, RewardRow, Verdict, primary_row
from netgain.records.claim import BEST_CONVENTIONAL, GradeName
from netgain.records.cost import Currency
from netgain.records.provenance import Judging

DetailKind = Literal[
    "another domain",
    "break-even",
    "currency: the same",
    "currency: it depends",
    "grade: the same",
    "grade: it depends",
    "other frozen model",
    "rounds",
    "rounds, other frozen model",
    "outer loop not charged",
    "bill",
    "reading",
    "run once",
    "runs",
    "reward",
    "fixed and broken",
    "controls",
    "coverage",
    "retention",
    "judge",
    "judge: silent",
]
Detail = tuple[DetailKind, str]


def details(verdict: Verdict) -> list[Detail]:
    """All that follows from the verdict, in the order in which it is told."""
    arm = next((row for row in verdict.arms if row.headline), None)
    labels = {row.name: row.label for row in verdict.arms}
    found = _of_trial(verdict, arm, labels) if verdict.terms else _of_claim(verdict, arm, labels)
    told: list[Detail] = [("another domain", text) for text in other_domains(verdict.domains)]
    told += [*found, *_reward(verdict, arm), *_broken(verdict, arm)]
    told += [("coverage", coverage_sentence(row, labels)) for row in verdict.coverage if arm and row.arm == arm.name]
    return [*told, *_retained(verdict), *_judging(verdict)]


def _of_trial(verdict: Verdict, arm: ArmRow | None, labels: dict[str, str]) -> Iterator[Detail]:
    terms = verdict.terms
    for row in verdict.break_even:
        if terms and (row.setting, row.currency) == (terms.setting, terms.currency):
            yield "break-even", break_even_sentence(row, labels)
    if terms:
        rows = [row for row in verdict.decomposition if row.setting == terms.setting]
        told = {row.kind for row in verdict.domains if row.primary}
        if not told & {"too few runs", "cannot tell"}:
            yield from _currencies(rows, terms.currency, fixed=terms.against != BEST_CONVENTIONAL)
            yield from _grades([row for row in verdict.grades if row.setting == terms.setting])
    for reading in verdict.reading:
        if arm and terms and (reading.trained, reading.currency) == (arm.name, terms.currency):
            yield from _reading(reading, labels)
    yield from _runs(verdict, arm)


def _of_claim(verdict: Verdict, arm: ArmRow | None, labels: dict[str, str]) -> Iterator[Detail]:
    rows = [row for row in verdict.decomposition if arm and row.arm == arm.name]
    first = primary_row(rows, arm.name if arm else None)
    if first:
        yield from _currencies(rows, first.currency, fixed=unfrozen(verdict, first.setting))
        yield from _other_frozen(verdict, first, labels)
    yield from _rounds(verdict, arm, labels)
    yield from _not_charged(rows, labels)
    yield from _bill(verdict, arm)


# -- compute


def _currencies(rows: Sequence[DecompositionRow], currency: str, *, fixed: bool = False) -> Iterator[Detail]:
    """Whether the kind of the verdict depends on the currency in which compute is matched."""
    mine = [row for row in rows if row.basis == "with outer loop" and row.method_part]
    first = next((row for row in mine if row.currency == currency), None)
    if first is None or len(mine) < 2:
        return
    others = [row for row in mine if row.currency != currency]
    kinds = {row.currency: judgement(row, fixed=fixed) for row in mine}
    unlike = [row for row in others if kinds[row.currency] != kinds[first.currency]]
    if not unlike:
        yield "currency: the same", f"The verdict is of the same kind matched in {_listed(others)}."
        return
    parts = [
        f"{UNITS[Currency(row.currency)]} {interval(row.method_part)}"
        + (" against a rival that spent less" if row.rival_underspent else "")
        + f" ({kinds[row.currency]})"
        for row in unlike
        if row.method_part
    ]
    same = [row for row in others if row not in unlike]
    rest = f"; of the same kind in {_listed(same)}" if same else ""
    yield "currency: it depends", f"The verdict depends on the currency: matched in {'; in '.join(parts)}{rest}."


def _grades(rows: Sequence[GradeRow]) -> Iterator[Detail]:
    """Whether the kind of the verdict depends on how the very same answers are graded."""
    first = next((row for row in rows if row.decides), None)
    others = [row for row in rows if not row.decides and row.difference]
    if first is None or not others:
        return
    unlike = [row for row in others if row.kind != first.kind]
    same = _words([GRADES[row.grade] for row in others if row not in unlike])
    if not unlike:
        yield "grade: the same", f"Graded by {same}, the same answers give a verdict of the same kind."
        return
    parts = [f"by {GRADES[row.grade]} {interval(row.difference)} ({row.kind})" for row in unlike if row.difference]
    rest = f"; by {same} the verdict is of the same kind" if same else ""
    told = f"The verdict depends on how the same answers are graded: {'; '.join(parts)}{rest}"
    yield "grade: it depends", f"{told}. By {GRADES[first.grade]}, which was fixed before the run: {first.kind}."


def _listed(rows: Sequence[DecompositionRow]) -> str:
    return _words([UNITS[Currency(row.currency)] for row in rows])


def _words(names: Sequence[str]) -> str:
    if not names:
        return ""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _other_frozen(verdict: Verdict, row: DecompositionRow, labels: dict[str, str]) -> Iterator[Detail]:
    """Which conventional arms an arm cannot be held against, and all accuracies as they stand."""
    known = {arm.name: 100 * arm.accuracy for arm in verdict.arms if arm.accuracy is not None}
    if row.other_frozen and row.arm in known:
        listed = ", ".join(f"{labels[name]} {known[name]:.1f} %" for name in row.other_frozen if name in known)
        why = "the frozen model measured beside them gives other answers than the one beside it"
        yield (
            "other frozen model",
            f"Not held against {labels[row.arm]} ({known[row.arm]:.1f} %), because {why}: {listed}.",
        )


def _rounds(verdict: Verdict, arm: ArmRow | None, labels: dict[str, str]) -> Iterator[Detail]:
    """What outer loops add to their own round 0, which had less compute."""
    loops = [row for row in verdict.comparisons if row.kind == "outer loop" and row.low is not None]
    loops.sort(key=lambda row: (arm is None or row.a != arm.name, row.a))
    about = "A prompt's last round of the outer loop against its round 0, the loop's compute not matched"
    same, apart = (_differences([row for row in loops if row.other_frozen is other], labels) for other in (False, True))
    if same:
        yield "rounds", f"{about}: {same}."
    if apart:
        why = "and beside other frozen models, so that the set-up may differ too"
        yield "rounds, other frozen model", f"{about}, {why}: {apart}."


def _differences(rows: Sequence[Comparison], labels: dict[str, str]) -> str:
    known = [(labels[row.a], row.difference, row.low, row.high) for row in rows]
    return "; ".join(
        f"{label} {points(difference)} {span(low, high)}"
        for label, difference, low, high in known
        if low is not None and high is not None
    )


def _not_charged(rows: Sequence[DecompositionRow], labels: dict[str, str]) -> Iterator[Detail]:
    """What is left of the gap if the outer loop's own cost is not counted."""
    parts = []
    for row in rows:
        budget, cost = row.budget_per_problem, row.rival_cost_per_problem
        if row.basis == "adapt only" and row.method_part and row.rival and budget and cost is not None:
            against = f"against {labels[row.rival]} (at {cost / budget:.0%} of its cost)"
            parts.append(f"{UNITS[Currency(row.currency)]} {interval(row.method_part)} {against}")
    if parts:
        told = f"If the outer loop's own cost is not counted, what is left by currency: {'; '.join(parts)}."
        yield "outer loop not charged", told


def _bill(verdict: Verdict, arm: ArmRow | None) -> Iterator[Detail]:
    """What the headline arm spent with its outer loop, beside what its conventional rivals were given."""
    mine = [r for r in verdict.decomposition if arm and r.arm == arm.name and r.basis == "with outer loop"]
    row = next((row for row in mine if row.currency == Currency.UPDATES and row.budget_per_problem), None)
    if row is None or row.budget_per_problem is None or arm is None or not arm.invests:
        return
    rivals = [
        other.updates_per_problem
        for other in verdict.arms
        if other.setting == arm.setting and other.role not in {"frozen", "self_improving"}
    ]
    given = [updates for updates in rivals if updates is not None]
    unknown = f" ({len(rivals) - len(given)} of unknown cost)" if len(given) < len(rivals) else ""
    low, high = (f"{value:,.0f}" for value in (min(given, default=0.0), max(given, default=0.0)))
    told = f"; the conventional arms were given {low if low == high else f'{low} to {high}'}{unknown}" if given else ""
    took = f"{'at least ' if row.budget_incomplete else ''}{row.budget_per_problem:,.0f} gradient updates a problem"
    shared = f"With its share of the outer loop over the {row.deployments} problems examined"
    yield "bill", f"{shared}, {arm.label} took {took}{told}."


def _reading(row: ReadingRow, labels: dict[str, str]) -> Iterator[Detail]:
    """What reading at the exam costs beside what training costs, and from how many questions on they cross."""
    unit = UNITS[Currency(row.currency)]
    if row.reading is None or row.answering is None or row.training is None:
        return
    reads = f"{labels[row.reader]} takes {number(row.reading)} {unit} for every question"
    trains = f"{labels[row.trained]} {number(row.training)} for a problem before the exam and "
    trains += f"{number(row.answering)} for every question"
    if row.never:
        end = "reading never costs more"
    elif row.crossing is None:
        return
    else:
        asked = f" (here {row.questions:g} were asked)" if row.questions is not None else ""
        end = f"from {row.crossing:,} questions about a problem on{asked}, training has cost no more in all"
    yield "reading", f"{reads}, {trains}: {end}."


# -- luck and rewards


def _runs(verdict: Verdict, arm: ArmRow | None) -> Iterator[Detail]:
    """The accuracy of each seed of the arm under test."""
    row = next((row for row in verdict.spread if arm and row.arm == arm.name), None)
    if arm is None or row is None or not row.by_seed:
        return
    listed = ", ".join(f"{100 * value:.1f}" for value in row.by_seed)
    if len(row.by_seed) == 1:
        luck = "its outer loop" if arm.learns else "a run"
        yield "run once", f"{arm.label} was run once ({listed} %): no interval covers the luck of {luck}."
        return
    luck = ""
    if row.deviation:
        luck = f"; a run's own luck is estimated at {100 * row.deviation:.1f} points (standard deviation)"
    yield "runs", f"Over {len(row.by_seed)} seeds {arm.label} scored {listed} %{luck}."


def _reward(verdict: Verdict, arm: ArmRow | None) -> Iterator[Detail]:
    """What keeping the best of k edits is worth when it is measured again, in one of the arm's own rounds."""
    invests = arm.invests if arm else []
    owners = tuple(name.removesuffix("investment") for name in invests)
    rows = [row for row in verdict.rewards if row.arm.startswith(owners)] if verdict.terms else verdict.rewards
    for row in sorted(rows, key=lambda row: row.arm not in invests):
        if row.heldout is not None and row.apparent_gain is not None:
            own = f"round {row.round} of {arm.label}'s outer loop" if arm and verdict.terms else row.arm
            yield "reward", reward_sentence(row, own)
            return


def reward_sentence(row: RewardRow, name: str) -> str:
    """How far the best edit of a round is ahead of the average one: as it looks, and measured again."""
    assert row.heldout is not None and row.apparent_gain is not None  # noqa: S101, PT018 - only such rows are told
    reliability = f" (the reward's reliability: {row.reliability:.2f})" if row.reliability is not None else ""
    others = f"{row.repeats - 1} of its {row.repeats} evaluations and measured on the one left out"
    looks = f"the best of {row.edits} edits looks {points(row.apparent_gain)} points better than the average edit"
    return f"In {name} {looks}{reliability}; chosen on {others}, {interval(row.heldout)}."


# -- what broke


def _broken(verdict: Verdict, arm: ArmRow | None) -> Iterator[Detail]:
    if arm is None:
        return
    if verdict.terms:
        yield from _controls(verdict, arm)
        return
    row = next((row for row in verdict.stability if row.arm == arm.name), None)
    if row is not None and row.previously_correct:
        broken = f"{row.broken:,} of the {row.previously_correct:,} that the frozen model had right"
        yield "fixed and broken", f"{arm.label} fixed {row.fixed:,} answers and broke {broken}."


def _controls(verdict: Verdict, arm: ArmRow) -> Iterator[Detail]:
    """What the arm under test broke of the control questions, at its own level or the first where some were asked."""
    rungs = [row.name for row in verdict.arms if (row.setting, row.method) == (arm.setting, arm.method)]
    asked = {row.arm for row in verdict.stability if row.previously_correct}
    first = next((name for name in [arm.name, *rungs] if name in asked), None)
    if first is None:
        return
    mine = [row for row in verdict.stability if row.arm == first and row.previously_correct]
    broken, before = sum(row.broken for row in mine), sum(row.previously_correct for row in mine)
    changes = "; ".join(f"{kind_name(row.kind)} {interval(row.change)}" for row in mine if row.change)
    wrong = f"{broken:,} of {before:,} answers to control questions that the frozen model had right, over all runs"
    yield "controls", f"{verdict.arm(first).label} broke {wrong} (change in accuracy, in points: {changes})."


def coverage_sentence(row: CoverageRow, labels: dict[str, str]) -> str:
    """Whether an arm is more able than the frozen model or draws more surely what that one knew."""
    name, first, last = labels.get(row.arm, row.arm), row.points[0], row.points[-1]
    told = f"{name} has one right answer of {first.k} in {_passed(first)}, of {last.k} in {_passed(last)}"
    if first.over_frozen is None or last.over_frozen is None:
        return f"{told}."
    over = f"{interval(first.over_frozen)} and {interval(last.over_frozen)} points over the frozen model"
    ends = {
        "more able": "it is more able, not only sharper",
        "sharper": "it is sharper, and not more able",
        "sharper at most": f"it is sharper; whether it is more able cannot be told with {last.k} tries",
        "less able": "it is less able",
        "cannot tell": "which of the two is more able cannot be told",
    }
    met = f"; the frozen model passes more from k = {row.overtaken} on" if row.overtaken else ""
    met += f" (with an interval that excludes zero from {row.surely_overtaken})" if row.surely_overtaken else ""
    return f"{told} ({over}): {ends[row.kind]}{met}."


def _passed(point: CoveragePoint) -> str:
    return "an unknown share" if point.passed is None else f"{point.passed.value:.1%}"


def _retained(verdict: Verdict) -> Iterator[Detail]:
    """What is retained of a published stream of edits."""
    kept = verdict.retention
    if verdict.terms or kept is None or kept.untouched is None or kept.after_all is None:
        return
    edits = len(kept.matrix) - 1
    change = ""
    if kept.change_in_runs:
        change = f"; in the {kept.runs} runs published singly it changes by {interval(kept.change_in_runs)} points"
    told = f"After {edits} edits in a row, accuracy on the first {edits - 1} passages is {kept.after_all:.1%} "
    yield "retention", f"{told}({kept.untouched:.1%} untouched){change}."


# -- the judge


def _judging(verdict: Verdict) -> Iterator[Detail]:
    if verdict.judging is not None:
        yield _agreement(verdict.judging, verdict.terms.grade if verdict.terms else "exact")


def _agreement(found: Judging, grade: GradeName) -> Detail:
    """How far the judge agrees with exact match, and whose word the grades are."""
    whose = "its verdicts are the grades" if found.decides else f"the grades are {GRADES[grade]}"
    unread = f"{found.unreadable:,} of its verdicts could not be read" if found.unreadable else ""
    if found.decides and unread:
        unread += ", and there exact match stands"
    if found.raw is None:
        told = f"The judge ({found.model}) said nothing on any answer{f'; {unread}' if unread else ''}; {whose}."
        return "judge: silent", told
    kappa = (
        f", Cohen's kappa {found.kappa:.2f}" if found.kappa is not None else ", kappa unknown: one side never varies"
    )
    only = f"{found.lenient:,} only the judge finds right, {found.strict:,} only exact match does"
    agrees = f"agrees with exact match on {100 * found.raw:.1f} % of {found.count:,} answers{kappa} ({only})"
    return "judge", "; ".join(part for part in (f"The judge ({found.model}) {agrees}", unread, whose) if part) + "."
