"""What the arms were given: training, settings, a model to start from, and who paid for the outer loop."""

from collections.abc import Iterator
from itertools import groupby, pairwise

from netgain.analysis.findings import finding
from netgain.analysis.matching import other_model
from netgain.analysis.sentences import number
from netgain.analysis.verdict import ArmRow, Verdict
from netgain.audit.checks.form import amount, by_setting
from netgain.records.claim import UNTRAINED, Claim, Finding, Role, Training

STARVED = 0.5
_COMPARED = ("learning_rate", "epochs", "batch_size", "grad_accumulation", "rank", "alpha", "split_newlines")


def unequal_training(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms of one setting that were trained for different amounts of work."""
    for setting, arms in by_setting(verdict.arms):
        fields = [field for _, field in _CURRENCY_FIELDS]
        trained = [arm for arm in arms if arm.role != Role.FROZEN and any(getattr(arm, field) for field in fields)]
        trained = [arm for arm in trained if arm.updates_per_problem != 0]
        if len(trained) < 2:
            continue
        evidence, factor = [], 1.0
        for name, field in _CURRENCY_FIELDS:
            known = [(value, arm.label) for arm in trained if (value := getattr(arm, field)) is not None]
            if len(known) > 1 and min(known)[0] > 0:
                low, high = min(known), max(known)
                factor = max(factor, high[0] / low[0])
                amounts = f"{low[1]} {amount(low[0])}, {high[1]} {amount(high[0])}"
                evidence.append(f"{name} a problem: {amounts} (factor {high[0] / low[0]:.1f})")
        if factor > 1.1:
            yield finding(
                "unequal-training",
                "high",
                f"{setting}: the arms were not trained equally, by a factor of up to {factor:.1f}",
                [
                    *evidence,
                    *(
                        f"{arm.label}: {amount(arm.updates_per_problem)} updates a problem"
                        for arm in trained
                        if arm.updates_per_problem is not None
                    ),
                ],
            )


_CURRENCY_FIELDS = (
    ("updates", "updates_per_problem"),
    ("real tokens", "tokens_real_per_problem"),
    ("padded tokens", "tokens_padded_per_problem"),
    ("FLOPs", "flops_per_problem"),
)


def bill_left_out(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Self-improving arms whose outer loop is not part of the comparison."""
    lines = []
    for row in verdict.decomposition:
        arm = verdict.arm(row.arm)
        budget, adapt = row.budget_per_problem, arm.updates_per_problem
        if row.currency != "updates" or row.basis != "with outer loop" or not budget or not adapt or budget == adapt:
            continue
        unseen = f"; not published: {', '.join(arm.invests_unpublished)}" if arm.invests_unpublished else ""
        least = " or more" if row.budget_incomplete else ""
        rounds = ", ".join(arm.invests) or "none"
        lines.append(
            f"{arm.label}: {amount(adapt)} updates a problem as compared, {amount(budget)}{least} with its outer "
            f"loop if shared by the {row.deployments} problems examined (rounds: {rounds}{unseen})"
        )
    if lines:
        yield finding(
            "outer-loop-not-charged",
            "high",
            "the outer loop's training is not part of the comparison: " + lines[0].partition(" (rounds")[0],
            lines,
        )


def hyperparameters_differ(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms of one setting that were trained with different settings."""
    for setting, arms in by_setting(claim.arms):
        trainings = [(arm, arm.training) for arm in arms if arm.training is not None]
        for field in _COMPARED:
            values = {arm.label: getattr(training, field) for arm, training in trainings}
            stated = {value for value in values.values() if value is not None}
            if len(stated) > 1:
                yield finding(
                    "hyperparameters-differ",
                    "high" if field == "learning_rate" else "medium",
                    f"{setting}: {field} differs between compared arms{_ratio(stated)}",
                    [f"{label}: {field} {_stated(value)}" for label, value in values.items()],
                )


def _stated(value: object) -> str:
    return "not stated" if value is None else f"= {value}"


def _ratio(values: set[float]) -> str:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return f" by a factor of {max(numbers) / min(numbers):g}" if len(numbers) > 1 and min(numbers) > 0 else ""


def no_strong_rival(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """No conventional fine-tuning arm, or only ones that got a fraction of the headline arm's training."""
    row = next((r for r in verdict.decomposition if r.arm == claim.headline and r.currency == "updates"), None)
    rivals = [arm for arm in verdict.arms if _fine_tuned(arm) and row and arm.setting == verdict.arm(row.arm).setting]
    if claim.headline is None:
        return
    if not rivals:
        yield finding(
            "no-fine-tuning-arm",
            "high",
            "among what was read there is no conventional fine-tuning arm to compare the headline arm with",
            [],
        )
        return
    budget = row.budget_per_problem if row else None
    known = [(arm.updates_per_problem, arm.label) for arm in rivals if arm.updates_per_problem is not None]
    most = "at most " if row and row.budget_incomplete else ""
    if budget and known and max(known)[0] < STARVED * budget:
        yield finding(
            "fine-tuning-starved",
            "high",
            f"the longest-trained conventional arm, {max(known)[1]}, was given {most}{max(known)[0] / budget:.0%} of "
            "the updates that the headline arm took with its outer loop, shared by the problems examined",
            [f"{label}: {amount(updates)} of {amount(budget)} updates a problem" for updates, label in sorted(known)],
        )


def _fine_tuned(arm: ArmRow) -> bool:
    return arm.role in {Role.PASSAGE, Role.SYNTHETIC, Role.TEACHER, Role.OTHER}


def settings_changed(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Rounds of one outer loop that were not run with the same settings."""
    by_loop = sorted(claim.reward_runs, key=lambda run: (run.model, run.prompt, run.round))
    for (_, prompt), runs in groupby(by_loop, key=lambda run: (run.model, run.prompt)):
        rounds = [(run, run.training) for run in runs if run.training is not None]
        for (before, old), (after, new) in pairwise(rounds):
            changed = _changes(old, new)
            if changed:
                known = [number(run.updates) for run in (before, after) if run.updates is not None]
                cost = f": {known[0]} against {known[1]} updates a round" if len(known) > 1 else ""
                yield finding(
                    "settings-changed-between-rounds",
                    "medium",
                    f"{prompt}: {', '.join(changed)} changed between {before.name} and {after.name}{cost}",
                    [f"{field}: {getattr(old, field)} then {getattr(new, field)}" for field in changed],
                )


def _changes(old: Training, new: Training) -> list[str]:
    return [field for field in _COMPARED if getattr(old, field) != getattr(new, field)]


def starts_differ(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms of one setting whose training starts from different models: a checkpoint that an outer loop made, say."""
    for setting, arms in by_setting(claim.arms):
        trained = [arm for arm in arms if arm.role not in UNTRAINED]
        ahead = [arm for arm in trained if arm.starts_from]
        behind = [arm.label for arm in trained if not arm.starts_from]
        if ahead and behind:
            yield finding(
                "starts-differ",
                "high",
                f"{setting}: the training of {ahead[0].label} starts from {ahead[0].starts_from}, that of "
                f"{', '.join(behind)} from the base model: what was learned before is part of the difference",
                [f"{arm.label}: starts from {arm.starts_from or arm.model or 'the base model'}" for arm in trained],
            )


def other_models(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms in the headline arm's setting that are made of another base model, and so are no rivals."""
    lead = next((arm for arm in claim.arms if arm.name == claim.headline), None)
    other = [arm for arm in claim.arms if lead and arm.setting == lead.setting and other_model(lead, arm)]
    if lead and other:
        yield finding(
            "models-differ",
            "high",
            f"not held against {lead.label}, which is made of {lead.model}: "
            f"{', '.join(f'{arm.label} ({arm.model})' for arm in other)}; two base models differ in more than a method",
            [f"{arm.label}: {arm.model}" for arm in (lead, *other)],
        )
