"""Comparisons of two arms: paired by question, over problems and seeds; without verdicts, from accuracy and n.

One comparison is primary: the one that the claim rests on or that a trial fixed before it ran. All others are
exploratory and Holm-adjusted as one family.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from netgain.analysis import crossed, intervals
from netgain.analysis.evidence import Evidence
from netgain.analysis.matching import Contest, last_rounds, other_frozen, other_model
from netgain.analysis.rows import EQUIVALENCE_MARGIN
from netgain.analysis.table import FROZEN, beside
from netgain.analysis.verdict import Comparison
from netgain.errors import InputError, nearest
from netgain.records.claim import Role

Group = Literal["headline", "outer loop", "frozen", "asked"]
Planned = tuple[str, str, str, Group]  # two arms, the kind of question, the group it is shown in
UNPAIRED = "unpaired, from accuracy and n (Newcombe); questions taken as independent"


def comparisons(
    evidence: Evidence, contests: Sequence[Contest], asked: Sequence[tuple[str, str]] = ()
) -> list[Comparison]:
    """All comparisons of a claim, those that were asked for by name or label last.

    Raises InputError for a comparison with an arm that does not exist.
    """
    planned = _of_trial(evidence, contests) if evidence.claim.terms else _of_claim(evidence)
    typed: list[Planned] = [(*_resolve(evidence, pair), evidence.exam, "asked") for pair in asked]
    primary = _primary(evidence, contests)
    rows: dict[tuple[str, str, str], Comparison] = {}
    for a, b, exam, group in [*planned, *typed]:
        if (a, b, exam) not in rows and (row := _compare(evidence, a, b, exam, group)):
            apart = a in evidence.arms and b in evidence.arms and other_frozen(evidence.arms[a], evidence.arms[b])
            found = {"primary": (a, b, exam, group) == primary, "other_frozen": apart}
            rows[a, b, exam] = row.model_copy(update=found)
    return _adjusted(list(rows.values()))


def _primary(evidence: Evidence, contests: Sequence[Contest]) -> Planned | None:
    claim = evidence.claim
    if claim.terms is None:
        return (claim.headline, claim.rival, "", "headline") if claim.headline and claim.rival else None
    tested = next((contest for contest in contests if contest.setting == claim.terms.setting), None)
    return (tested.arm, tested.chosen, evidence.exam, "headline") if tested and tested.chosen else None


def _of_claim(evidence: Evidence) -> Iterator[Planned]:
    """Of a published claim: the headline against everything, outer loops against their round 0, all against frozen."""
    claim = evidence.claim
    if claim.headline and claim.rival:
        yield claim.headline, claim.rival, "", "headline"
    for arm in last_rounds(evidence):
        same = (o.name for o in claim.arms if (o.setting, o.prompt, o.round) == (arm.setting, arm.prompt, 0))
        start = min(same, default=None)
        if start and start != arm.name:
            yield arm.name, start, "", "outer loop"
    if claim.headline:
        for arm in claim.arms:
            rival = arm.name != claim.headline and arm.role is not Role.FROZEN
            if rival and not other_model(evidence.arms[claim.headline], arm):
                yield claim.headline, arm.name, "", "headline"
    for arm in claim.arms:
        row = evidence.frozen(arm.name)
        if row or arm.frozen_accuracy is not None:
            yield arm.name, row if row and row != beside(arm.name) else FROZEN, "", "frozen"


def _of_trial(evidence: Evidence, contests: Sequence[Contest]) -> Iterator[Planned]:
    """Of a trial, in each domain: the arm under test against its rival on every kind of question, then against all
    others, and every arm against the frozen model."""
    for contest in contests:
        kinds = evidence.kinds(contest.setting)
        others = [name for name in evidence.own(contest.setting) if name not in {contest.arm, contest.frozen}]
        for kind in kinds:
            if contest.chosen:
                yield contest.arm, contest.chosen, kind, "headline"
        for name in others:
            yield contest.arm, name, evidence.exam, "headline"
        if contest.frozen:
            for name in [contest.arm, *others]:
                yield name, contest.frozen, evidence.exam, "frozen"
            for kind in kinds[1:]:
                yield contest.arm, contest.frozen, kind, "frozen"


def _resolve(evidence: Evidence, pair: tuple[str, str]) -> tuple[str, str]:
    """Arm names from what a person typed: a name or a label, in any case. Raises InputError with the nearest."""
    where = f"--compare {pair[0]} {pair[1]}"
    known = {arm.label.lower(): arm.name for arm in evidence.claim.arms}
    known |= {arm.name.lower(): arm.name for arm in evidence.claim.arms} | {FROZEN: FROZEN}
    if pair[0].lower() == FROZEN and FROZEN not in evidence.arms:
        raise InputError(where, "the frozen model is not an arm here", "name it second")
    for word in pair:
        if word.lower() not in known:
            raise InputError(where, f"no arm is called {word!r}", nearest(word, [*evidence.arms, FROZEN]))
    a, b = known[pair[0].lower()], known[pair[1].lower()]
    if a == b:
        raise InputError(where, "an arm cannot be compared with itself", "name two arms")
    return a, b


def _compare(evidence: Evidence, a: str, b: str, exam: str, group: Group) -> Comparison | None:
    """One comparison; ``b`` may be ``frozen``, the frozen model as measured beside ``a``. None if nothing is known."""
    row = (evidence.frozen(a) or FROZEN) if b == FROZEN else b
    values = evidence.table.means(a, row, kind=exam)
    if values is None:
        return _unpaired(evidence, a, b, row, group)
    differences = values[0] - values[1]
    questions = evidence.table.questions_a_unit(a, row, kind=exam)
    found = evidence.estimate(differences, questions=questions)
    weights = evidence.weights(differences.shape[1])
    shared = evidence.table.common(a, row, kind=exam)
    single = differences.shape[0] == 1
    mcnemar = intervals.mcnemar(*(evidence.table.answers(name, shared) for name in (a, row))) if single else None
    return Comparison(
        a=a,
        b=b,
        kind=group,
        primary=False,
        difference=found.value,
        low=found.low,
        high=found.high,
        p=crossed.p_value(differences, weights, questions=questions),
        p_adjusted=None,
        p_mcnemar=mcnemar.p if mcnemar else None,
        only_a=mcnemar.only_a if mcnemar else None,
        only_b=mcnemar.only_b if mcnemar else None,
        n_problems=differences.shape[1],
        n_questions=int(shared.sum()),
        smallest_detectable=crossed.smallest_detectable(differences),
        p_equivalent=crossed.equivalence_p(differences, weights, EQUIVALENCE_MARGIN, questions=questions),
        equivalence_margin=EQUIVALENCE_MARGIN,
        method=crossed.method(differences.shape[0]),
        setting=evidence.arms[a].setting,
        exam=exam,
        n_seeds=differences.shape[0],
    )


def _unpaired(evidence: Evidence, a: str, b: str, row: str, group: Group) -> Comparison | None:
    """From two stated accuracies, where one of the arms has no published verdicts."""
    left, right = evidence.arms[a], evidence.arms.get(b)
    frozen = b == FROZEN or group == "frozen"
    other = evidence.frozen_accuracy(a) if frozen else right.accuracy if right else None
    if left.accuracy is None or other is None or (a in evidence.table and row in evidence.table):
        return None
    if right and left.setting != right.setting:
        return None
    sides = (evidence.stated(a), evidence.stated(a, frozen=True) if frozen else evidence.stated(b))
    estimate = intervals.newcombe(sides[0], sides[1]) if sides[0] and sides[1] else None
    return Comparison(
        a=a,
        b=b,
        kind=group,
        primary=False,
        difference=left.accuracy - other,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        p=None,
        p_adjusted=None,
        p_mcnemar=None,
        only_a=None,
        only_b=None,
        n_problems=left.n_problems,
        n_questions=left.n_questions,
        smallest_detectable=None,
        p_equivalent=None,
        equivalence_margin=None,
        method=UNPAIRED if estimate else "difference of two stated accuracies; no interval without n",
        setting=left.setting,
    )


def _adjusted(rows: list[Comparison]) -> list[Comparison]:
    """A comparison asked for the other way round than planned is the same one: it takes no place in the family."""
    first = {(row.a, row.b, row.exam): index for index, row in reversed(list(enumerate(rows)))}
    twin = [min(index, first.get((row.b, row.a, row.exam), index)) for index, row in enumerate(rows)]
    family = [i for i, row in enumerate(rows) if row.p is not None and not row.primary and twin[i] == i]
    adjusted = intervals.holm([p for index in family if (p := rows[index].p) is not None])
    values = dict(zip(family, adjusted, strict=True))
    return [row.model_copy(update={"p_adjusted": values.get(twin[index])}) for index, row in enumerate(rows)]
