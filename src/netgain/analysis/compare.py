"""Comparisons of two arms: paired by question, clustered by problem; without verdicts, from accuracy and n."""

from collections.abc import Iterator
from typing import Literal

from netgain.analysis import intervals, power, significance
from netgain.analysis.evidence import Evidence
from netgain.analysis.table import FROZEN, frozen_row
from netgain.analysis.verdict import Comparison
from netgain.errors import InputError, nearest
from netgain.records.claim import Arm, Role

Kind = Literal["headline", "outer loop", "frozen", "asked"]
EQUIVALENCE_MARGIN = 0.05
UNPAIRED = "unpaired, from accuracy and n (Newcombe); questions taken as independent"


def comparisons(evidence: Evidence, asked: list[tuple[str, str]]) -> list[Comparison]:
    """All comparisons of a claim; p values of all but the primary one are Holm-adjusted as one exploratory family."""
    claim = evidence.claim
    rows: dict[tuple[str, str], Comparison] = {}
    for a, b, kind in [*_planned(evidence), *((*_resolve(evidence, pair), "asked") for pair in asked)]:
        primary = (a, b) == (claim.headline, claim.rival)
        if (a, b) not in rows and (row := compare(evidence, a, b, kind, primary=primary)):
            rows[a, b] = row
    return _adjusted(list(rows.values()))


def _planned(evidence: Evidence) -> Iterator[tuple[str, str, Kind]]:
    claim = evidence.claim
    if claim.headline and claim.rival:
        yield claim.headline, claim.rival, "headline"
    for arm in evidence.last_rounds():
        start = _round_zero(evidence, arm)
        if start:
            yield arm.name, start.name, "outer loop"
    if claim.headline:
        for arm in claim.arms:
            if arm.name != claim.headline and arm.role is not Role.FROZEN:
                yield claim.headline, arm.name, "headline"
    for arm in claim.arms:
        yield arm.name, FROZEN, "frozen"


def _round_zero(evidence: Evidence, arm: Arm) -> Arm | None:
    same = (other for other in evidence.arms_in(arm.setting) if other.prompt == arm.prompt and other.round == 0)
    return next(same, None)


def _resolve(evidence: Evidence, pair: tuple[str, str]) -> tuple[str, str]:
    """Arm names from what a person typed: a name or a label, in any case. Raises InputError with the nearest."""
    known = {arm.label.lower(): arm.name for arm in evidence.claim.arms}
    known |= {arm.name.lower(): arm.name for arm in evidence.claim.arms} | {FROZEN: FROZEN}
    if pair[0].lower() == FROZEN and FROZEN not in {arm.name for arm in evidence.claim.arms}:
        raise InputError(f"--compare {pair[0]} {pair[1]}", "the frozen model is not an arm here", "name it second")
    for word in pair:
        if word.lower() not in known:
            remedy = nearest(word, [*(arm.name for arm in evidence.claim.arms), FROZEN])
            raise InputError(f"--compare {pair[0]} {pair[1]}", f"no arm is called {word!r}", remedy)
    a, b = known[pair[0].lower()], known[pair[1].lower()]
    if a == b:
        raise InputError(f"--compare {pair[0]} {pair[1]}", "an arm cannot be compared with itself", "name two arms")
    return a, b


def compare(evidence: Evidence, a: str, b: str, kind: Kind, *, primary: bool) -> Comparison | None:
    """One comparison; ``b`` may be ``frozen``, the frozen model as published beside ``a``. None if nothing is known."""
    rows = (a, frozen_row(a) if b == FROZEN else b)
    if evidence.share_questions(*rows):
        return _paired(evidence, (a, b), rows, kind, primary=primary)
    return _unpaired(evidence, a, b, kind, primary=primary)


def _paired(
    evidence: Evidence, names: tuple[str, str], rows: tuple[str, str], kind: Kind, *, primary: bool
) -> Comparison:
    answers = evidence.answers
    questions = answers.common(*rows)
    means = answers.problem_means(rows, questions)
    differences = means[0] - means[1]
    estimate = intervals.estimate(differences, evidence.weights(len(differences)))
    discordance = significance.mcnemar(*(answers.answers(row)[questions] for row in rows))
    return Comparison(
        a=names[0],
        b=names[1],
        kind=kind,
        primary=primary,
        difference=estimate.value,
        low=estimate.low,
        high=estimate.high,
        p=significance.sign_flip_p(differences, evidence.rng("flips", *names)),
        p_adjusted=None,
        p_mcnemar=discordance.p,
        only_a=discordance.only_a,
        only_b=discordance.only_b,
        n_problems=len(differences),
        n_questions=int(questions.sum()),
        smallest_detectable=power.smallest_detectable(differences),
        p_equivalent=significance.equivalence_p(differences, EQUIVALENCE_MARGIN),
        equivalence_margin=EQUIVALENCE_MARGIN,
        method=f"{intervals.METHOD}; p by sign flips of problems",
    )


def _unpaired(evidence: Evidence, a: str, b: str, kind: Kind, *, primary: bool) -> Comparison | None:
    left = evidence.claim.arm(a)
    right = None if b == FROZEN else evidence.claim.arm(b)
    accuracies = (left.accuracy, left.frozen_accuracy if right is None else right.accuracy)
    beside = left.frozen_questions or left.n_questions
    asked = (left.n_questions, beside if right is None else right.n_questions)
    if accuracies[0] is None or accuracies[1] is None or (right and left.setting != right.setting):
        return None
    estimate = None
    if asked[0] and asked[1]:
        sides = [
            intervals.wilson(acc * n, n) for acc, n in zip(accuracies, asked, strict=True) if acc is not None and n
        ]
        estimate = intervals.newcombe(sides[0], sides[1])
    return Comparison(
        a=a,
        b=b,
        kind=kind,
        primary=primary,
        difference=accuracies[0] - accuracies[1],
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
    )


def _adjusted(rows: list[Comparison]) -> list[Comparison]:
    """A comparison asked for the other way round than planned is the same one: it takes no place in the family."""
    first = {(row.a, row.b): index for index, row in reversed(list(enumerate(rows)))}
    twin = [min(index, first.get((row.b, row.a), index)) for index, row in enumerate(rows)]
    family = [i for i, row in enumerate(rows) if row.p is not None and not row.primary and twin[i] == i]
    adjusted = significance.holm([p for index in family if (p := rows[index].p) is not None])
    values = dict(zip(family, adjusted, strict=True))
    return [row.model_copy(update={"p_adjusted": values.get(twin[index])}) for index, row in enumerate(rows)]
