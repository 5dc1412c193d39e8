"""What can be wrong with a comparison: one pure function a check, each from a claim and its verdict to findings.

Severity: ``high`` can by itself overturn the headline, ``medium`` weakens it, ``low`` should be mended, ``note`` is
for information. A check that has nothing to work on says nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

from netgain.analysis.findings import finding as _finding
from netgain.analysis.findings import severest_first
from netgain.analysis.matching import ENOUGH_OVERLAP
from netgain.analysis.sentences import number, points, span
from netgain.analysis.verdict import ArmRow, RewardRow, Verdict
from netgain.audit.curve_checks import CURVE_CHECKS
from netgain.records.claim import UNTRAINED, Arm, Claim, Finding, Role, Training

_A = TypeVar("_A", Arm, ArmRow)
Check = Callable[[Claim, Verdict], Iterator[Finding]]

RELIABLE = 0.7
DRIFT = 0.01
STARVED = 0.5
_COMPARED = ("learning_rate", "epochs", "batch_size", "grad_accumulation", "rank", "alpha", "split_newlines")


def unequal_training(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms of one setting that were trained for different amounts of work."""
    for setting, arms in _by_setting(verdict.arms):
        trained = [arm for arm in arms if arm.role != Role.FROZEN and arm.updates_per_problem]
        if len(trained) < 2:
            continue
        evidence, factor = [], 1.0
        for name, field in _CURRENCY_FIELDS:
            known = [(value, arm.label) for arm in trained if (value := getattr(arm, field)) is not None]
            if len(known) > 1 and min(known)[0] > 0:
                low, high = min(known), max(known)
                factor = max(factor, high[0] / low[0])
                amounts = f"{low[1]} {_amount(low[0])}, {high[1]} {_amount(high[0])}"
                evidence.append(f"{name} a problem: {amounts} (factor {high[0] / low[0]:.1f})")
        if factor > 1.1:
            yield _finding(
                "unequal-training",
                "high",
                f"{setting}: the arms were not trained equally, by a factor of up to {factor:.1f}",
                [*evidence, *(f"{arm.label}: {_amount(arm.updates_per_problem)} updates a problem" for arm in trained)],
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
            f"{arm.label}: {_amount(adapt)} updates a problem as compared, {_amount(budget)}{least} with its outer "
            f"loop if shared by the {row.deployments} problems examined (rounds: {rounds}{unseen})"
        )
    if lines:
        yield _finding(
            "outer-loop-not-charged",
            "high",
            "the outer loop's training is not part of the comparison: " + lines[0].partition(" (rounds")[0],
            lines,
        )


def hyperparameters_differ(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms of one setting that were trained with different settings."""
    for setting, arms in _by_setting(claim.arms):
        trainings = [(arm, arm.training) for arm in arms if arm.training is not None]
        for field in _COMPARED:
            values = {arm.label: getattr(training, field) for arm, training in trainings}
            stated = {value for value in values.values() if value is not None}
            if len(stated) > 1:
                yield _finding(
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


def baseline_drifts(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """The untouched model scoring differently from file to file."""
    for setting, arms in _by_setting(verdict.arms):
        seen = [(arm.frozen_accuracy, arm.label) for arm in arms if arm.frozen_accuracy is not None]
        if len(seen) > 1 and max(seen)[0] - min(seen)[0] > DRIFT:
            low, high = min(seen), max(seen)
            exams = {claim.arm(arm.name).exam for arm in arms if arm.frozen_accuracy is not None}
            same = len(exams) == 1 and None not in exams
            yield _finding(
                "baseline-drifts",
                "medium",
                f"{setting}: the frozen baseline scores {low[0]:.1%} to {high[0]:.1%}"
                f"{' on the same questions' if same else ''}: up to {100 * (high[0] - low[0]):.1f} points between two "
                f"arms can come from the run or the set-up{'' if same else ' (or from other questions)'}",
                [f"beside {label}: {accuracy:.4f}" for accuracy, label in sorted(seen)],
            )


def little_overlap(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms left out of the matching because they answered too few of the headline arm's questions."""
    if claim.headline is None:
        return
    arm = verdict.arm(claim.headline)
    matched = {row.n_questions for row in verdict.comparisons if row.a == arm.name and row.kind == "frozen"}
    asked = next(iter(matched), None)
    rows = {row.b: row.n_questions for row in verdict.comparisons if row.a == arm.name}
    labels = {other.name: other.label for other in verdict.arms if other.setting == arm.setting}
    few = [
        f"{labels[b]}: {n} of {asked}"
        for b, n in rows.items()
        if b in labels and n and asked and n < ENOUGH_OVERLAP * asked
    ]
    if few:
        yield _finding(
            "questions-differ",
            "medium",
            f"{len(few)} arm{'' if len(few) == 1 else 's'} answered too few of the questions of {arm.label} to be "
            "matched with it",
            few,
        )


def compute_not_reported(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Kinds of compute that were not found where it was looked for them."""
    missing = [kind for kind, source in verdict.reported.items() if source is None]
    if missing:
        stated = [f"stated: {kind}, {source}" for kind, source in verdict.reported.items() if source]
        arms = [arm for arm in verdict.arms if arm.role not in UNTRAINED]
        unknown = any(arm.updates_per_problem is None and arm.flops_per_problem is None for arm in arms)
        yield _finding(
            "compute-not-reported",
            "high" if unknown else "medium",  # else it follows from what is published
            f"{len(missing)} of {len(verdict.reported)} kinds of compute were not found in "
            f"{verdict.searched or 'what was read'}: {', '.join(missing)}",
            stated or ["none was found there"],
        )


def no_strong_rival(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """No conventional fine-tuning arm, or only ones that got a fraction of the headline arm's training."""
    row = next((r for r in verdict.decomposition if r.arm == claim.headline and r.currency == "updates"), None)
    rivals = [arm for arm in verdict.arms if _fine_tuned(arm) and row and arm.setting == verdict.arm(row.arm).setting]
    if claim.headline is None:
        return
    if not rivals:
        yield _finding(
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
        yield _finding(
            "fine-tuning-starved",
            "high",
            f"the longest-trained conventional arm, {max(known)[1]}, was given {most}{max(known)[0] / budget:.0%} of "
            "the updates that the headline arm took with its outer loop, shared by the problems examined",
            [f"{label}: {_amount(updates)} of {_amount(budget)} updates a problem" for updates, label in sorted(known)],
        )


def _fine_tuned(arm: ArmRow) -> bool:
    return arm.role in {Role.PASSAGE, Role.SYNTHETIC, Role.TEACHER, Role.OTHER}


def single_seed(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms that were run once, so that the spread between runs is unknown."""
    once = [arm.label for arm in verdict.arms if arm.seeds == 1 and arm.role != Role.FROZEN]
    if once:
        yield _finding(
            "single-seed",
            "medium",
            f"{len(once)} of {len(verdict.arms)} arms were trained and examined once; every interval here is over "
            "problems and leaves out the spread between runs",
            once,
        )


def regressions_not_shown(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms whose training broke answers, which a net accuracy does not show."""
    broken = [row for row in verdict.stability if row.previously_correct and row.broken]
    if broken:
        labels = {arm.name: arm.label for arm in verdict.arms}
        shares = [row.broken / row.previously_correct for row in broken]
        first = next((row for row in broken if row.arm == claim.headline), broken[shares.index(max(shares))])
        spread = f"; over all arms {min(shares):.0%} to {max(shares):.0%}" if len(broken) > 1 else ""
        yield _finding(
            "regressions-not-shown",
            "medium",
            f"net accuracy does not show that {labels[first.arm]} broke {first.broken / first.previously_correct:.0%} "
            f"of the answers that its frozen model had right ({first.broken} of {first.previously_correct}){spread}",
            [f"{labels[r.arm]}: fixed {r.fixed}, broke {r.broken} of {r.previously_correct}" for r in broken],
        )


def unresolvable(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """A primary difference whose interval contains zero and which is smaller than the design could detect."""
    row = next((row for row in verdict.comparisons if row.primary), None)
    if row is None or row.smallest_detectable is None or abs(row.difference) >= row.smallest_detectable:
        return
    if row.low is not None and row.high is not None and not row.low <= 0 <= row.high:
        return
    labels = {arm.name: arm.label for arm in verdict.arms}
    interval = f" {span(row.low, row.high)}" if row.low is not None and row.high is not None else ""
    yield _finding(
        "difference-unresolvable",
        "high",
        f"{labels[row.a]} against {labels.get(row.b, row.b)}: {points(row.difference)} points{interval}, but the "
        f"smallest that {row.n_problems} problems detect with 80 % power is {100 * row.smallest_detectable:.1f}"
        f"{', the luck of training not counted' if row.n_seeds == 1 else ''}",
        [
            f"{row.n_questions} questions, p = {row.p:.3f}" if row.p is not None else "",
            "the frozen models beside the two answer differently: the set-up may differ too"
            if row.other_frozen
            else "",
        ],
    )


def noisy_selection(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Outer loops that keep the best edit by a reward that is not reliable. What is known of a round's means alone is
    told apart: rounded, they make another estimate than single evaluations do."""
    measured = [row for row in verdict.rewards if row.reliability is not None]
    single, rounded = ([row for row in measured if row.from_means is means] for means in (False, True))
    rows = single or rounded
    noisy = [row for row in rows if row.reliability is not None and row.reliability < RELIABLE]
    if noisy:
        found = [row.reliability for row in noisy if row.reliability is not None]
        spread = f"{min(found):.2f} to {max(found):.2f}" if len(found) > 1 else f"{found[0]:.2f}"
        repeats = ", ".join(sorted({str(row.repeats) for row in noisy}))
        known = "" if single else " (from published means and deviations)"
        yield _finding(
            "noisy-selection",
            "medium",
            f"in {len(noisy)} of {len(rows)} rounds edits are selected by a reward with a reliability of {spread} for "
            f"the mean of {repeats} evaluations{known}, below {RELIABLE}",
            [
                *map(_reward_line, noisy),
                *(f"apart, from published means: {_reward_line(row)}" for row in rounded if single),
            ],
        )


def _reward_line(row: RewardRow) -> str:
    single = f", {row.reliability_single:.2f} of a single evaluation" if row.reliability_single is not None else ""
    line = f"{row.arm}: reliability {row.reliability:.2f}{single}"
    if row.apparent_gain is not None:
        line += f"; best of {row.edits} looks {points(row.apparent_gain)} points above the average edit"
    if row.heldout is not None:
        line += f", on a held-out repeat {points(row.heldout.value)} {span(row.heldout.low, row.heldout.high)}"
    return line


def settings_changed(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Rounds of one outer loop that were not run with the same settings."""
    by_prompt = sorted(claim.reward_runs, key=lambda run: (run.prompt, run.round))
    for prompt, runs in groupby(by_prompt, key=lambda run: run.prompt):
        rounds = [(run, run.training) for run in runs if run.training is not None]
        for (before, old), (after, new) in pairwise(rounds):
            changed = _changes(old, new)
            if changed:
                known = [number(run.updates) for run in (before, after) if run.updates is not None]
                cost = f": {known[0]} against {known[1]} updates a round" if len(known) > 1 else ""
                yield _finding(
                    "settings-changed-between-rounds",
                    "medium",
                    f"{prompt}: {', '.join(changed)} changed between {before.name} and {after.name}{cost}",
                    [f"{field}: {getattr(old, field)} then {getattr(new, field)}" for field in changed],
                )


def _changes(old: Training, new: Training) -> list[str]:
    return [field for field in _COMPARED if getattr(old, field) != getattr(new, field)]


def per_question_missing(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms and reward runs without verdicts on single questions."""
    arms = [arm.label for arm in claim.arms if arm.correct is None]
    runs = [run.name for run in claim.reward_runs if run.correct is None]
    if arms or runs:
        names = ", ".join([*arms, *runs])
        yield _finding(
            "per-question-data-missing",
            "medium",
            f"no verdicts on single questions were found for {names}: nothing there can be paired or checked",
            [],
        )


def does_not_regenerate(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Published accuracies that the published verdicts do not give, or that the paper states differently."""
    for arm in verdict.arms:
        if arm.accuracy is None:
            continue
        for stated, where, tolerance in (
            (arm.accuracy_published, "the file", 1e-4),
            (arm.accuracy_paper, "the paper", 0.0055),
        ):
            if stated is not None and abs(arm.accuracy - stated) > tolerance:
                yield _finding(
                    "accuracy-does-not-regenerate",
                    "medium",
                    f"{arm.label}: {where} states {stated:.4f}, its verdicts give {arm.accuracy:.4f}",
                    [str(source) for source in arm.sources],
                )


def rounds_unpublished(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Outer-loop rounds that must have been run and are not among the files."""
    missing = sorted({name for arm in claim.arms for name in arm.invests_unpublished})
    if missing:
        yield _finding(
            "rounds-unpublished",
            "medium",
            f"reward runs not found: {', '.join(missing)}; the bills of the arms that stand on them are lower bounds",
            [
                f"{arm.label} needs {', '.join(arm.invests_unpublished)}"
                for arm in claim.arms
                if arm.invests_unpublished
            ],
        )


def few_problems(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Settings examined on so few problems that an interval spans much of the scale."""
    for arm in verdict.arms:
        if arm.n_problems is not None and arm.n_problems < 20 and arm.low is not None and arm.high is not None:
            yield _finding(
                "few-problems",
                "medium",
                f"{arm.label} rests on {arm.n_problems} problems: {arm.accuracy:.0%}, "
                f"95 % interval {arm.low:.0%} to {arm.high:.0%}",
                [],
            )


CHECKS: tuple[Check, ...] = (
    unequal_training,
    bill_left_out,
    hyperparameters_differ,
    baseline_drifts,
    little_overlap,
    compute_not_reported,
    no_strong_rival,
    unresolvable,
    noisy_selection,
    settings_changed,
    regressions_not_shown,
    single_seed,
    per_question_missing,
    does_not_regenerate,
    rounds_unpublished,
    few_problems,
    *CURVE_CHECKS,
)


def run_checks(claim: Claim, verdict: Verdict) -> list[Finding]:
    """All findings: the reader's own and every check's, the severest first."""
    found = [finding for check in CHECKS for finding in check(claim, verdict)]
    return severest_first([*claim.findings, *found])


def _by_setting(arms: Sequence[_A]) -> list[tuple[str, list[_A]]]:
    settings = dict.fromkeys(arm.setting for arm in arms)
    return [(setting, [arm for arm in arms if arm.setting == setting]) for setting in settings]


def _amount(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"
