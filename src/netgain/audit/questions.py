"""The four questions of a sceptical reader, each answered yes, no or cannot tell, with the evidence under it."""

from typing import Literal

from netgain.analysis.matching import TOLERANCE
from netgain.analysis.verdict import ArmRow, DecompositionRow, QuestionRow, Verdict
from netgain.records.claim import Claim, Role

Answer = Literal["yes", "no", "cannot tell"]


def answer_all(claim: Claim, verdict: Verdict) -> list[QuestionRow]:
    """The four questions in their order."""
    return [
        trained_equally(claim, verdict),
        compute_reported(verdict),
        strong_fine_tuning(claim, verdict),
        regressions_checked(claim, verdict),
    ]


def trained_equally(claim: Claim, verdict: Verdict) -> QuestionRow:
    """Yes only where every trained arm of the headline's setting took the headline's total of updates, within 1 %."""
    question = "Are the baselines trained for as many steps as the headline arm?"
    row = _charged(claim, verdict)
    rivals = _rivals(claim, verdict)
    frozen = any(arm.role == Role.FROZEN or arm.frozen_accuracy is not None for arm in verdict.arms)
    evidence = [_updates(arm) for arm in rivals]
    if frozen:
        evidence.insert(0, "the gain is stated over a frozen model, which took no updates")
    if row is None or row.budget_per_problem is None:
        return _row(question, "cannot tell", [*evidence, "the headline arm's number of updates is not stated"])
    budget = row.budget_per_problem
    least = "at least " if row.budget_incomplete else ""
    shared = f"headline arm with its outer loop: {least}{budget:,.0f} updates a problem{_shared(row)}"
    evidence.append(shared)
    known = [arm.updates_per_problem for arm in rivals]
    if not rivals:
        return _row(question, "no", [*evidence, "the only baseline is frozen"])
    if any(value < budget * (1 - TOLERANCE) for value in known if value is not None):
        return _row(question, "no", evidence)
    if row.budget_incomplete or any(value is None for value in known):
        return _row(question, "cannot tell", evidence)
    equal = all(value <= budget * (1 + TOLERANCE) for value in known if value is not None)
    return _row(question, "yes" if equal else "no", evidence)


def compute_reported(verdict: Verdict) -> QuestionRow:
    """Yes where every kind of compute is stated; no where some was not found in what was looked through."""
    question = "Is total compute per method reported?"
    if not verdict.reported:
        return _row(question, "cannot tell", ["the claim does not say what was reported"])
    missing = [kind for kind, source in verdict.reported.items() if source is None]
    stated = [f"stated: {kind}, {source}" for kind, source in verdict.reported.items() if source]
    looked = verdict.searched or "what was read"
    return _row(
        question, "no" if missing else "yes", [*stated, *(f"not found in {looked}: {kind}" for kind in missing)]
    )


def strong_fine_tuning(claim: Claim, verdict: Verdict) -> QuestionRow:
    """Yes where some conventional fine-tuning arm was given the headline arm's total, its outer loop included."""
    question = "Is there a strong standard fine-tuning baseline?"
    rivals = [arm for arm in _rivals(claim, verdict) if arm.role != Role.IN_CONTEXT]
    row = _charged(claim, verdict)
    evidence = [_updates(arm) for arm in rivals]
    if not rivals:
        return _row(question, "no", ["no conventional fine-tuning arm is among what was read"])
    if row is None or row.budget_per_problem is None:
        return _row(question, "cannot tell", [*evidence, "the headline arm's number of updates is not stated"])
    known = [arm.updates_per_problem for arm in rivals if arm.updates_per_problem is not None]
    if not known:
        return _row(question, "cannot tell", evidence)
    least = "at least " if row.budget_incomplete else ""
    took = f"{least}{row.budget_per_problem:,.0f} updates a problem{_shared(row)}"
    evidence.append(f"headline arm with its outer loop: {took}")
    strong = max(known) >= row.budget_per_problem * (1 - TOLERANCE)
    if (strong and row.budget_incomplete) or (not strong and any(arm.updates_per_problem is None for arm in rivals)):
        return _row(question, "cannot tell", evidence)
    return _row(question, "yes" if strong else "no", evidence)


def regressions_checked(claim: Claim, verdict: Verdict) -> QuestionRow:
    """As the claim says; without its word, from a retention matrix, else it is unknown."""
    question = "Are regressions on earlier tasks checked?"
    evidence = list(claim.regressions.evidence) if claim.regressions else []
    answer: Answer = claim.regressions.answer if claim.regressions else "cannot tell"
    if verdict.retention is not None and verdict.retention.after_all is not None:
        kept, untouched = verdict.retention.after_all, verdict.retention.untouched
        evidence.append(f"retention there: {kept:.1%} after all edits, {untouched:.1%} untouched")
        answer = "yes"
    headline = next((row for row in verdict.stability if row.arm == claim.headline), None)
    if headline:
        broken = f"{headline.broken} of {headline.previously_correct}"
        evidence.append(f"recomputed from the headline experiment: {broken} answers that were right before are wrong")
    return _row(question, answer, evidence or ["the claim does not say"])


def _charged(claim: Claim, verdict: Verdict) -> DecompositionRow | None:
    rows = (row for row in verdict.decomposition if row.arm == claim.headline and row.currency == "updates")
    return next((row for row in rows if row.basis == "with outer loop"), None)


def _rivals(claim: Claim, verdict: Verdict) -> list[ArmRow]:
    if claim.headline is None:
        return []
    setting = verdict.arm(claim.headline).setting
    outside = {Role.FROZEN, Role.SELF_IMPROVING, Role.ORACLE}
    return [arm for arm in verdict.arms if arm.setting == setting and arm.role not in outside]


def _shared(row: DecompositionRow) -> str:
    """By how many problems an outer loop's cost is shared, where there is one."""
    return f" (shared by the {row.deployments:,} problems examined)" if row.deployments else ""


def _updates(arm: ArmRow) -> str:
    if arm.updates_per_problem is None:
        return f"{arm.label}: number of updates not stated"
    return f"{arm.label}: {arm.updates_per_problem:,.0f} updates a problem"


def _row(question: str, answer: Answer, evidence: list[str]) -> QuestionRow:
    return QuestionRow(question=question, answer=answer, evidence=evidence)
