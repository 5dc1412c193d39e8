"""Figures: whether they agree with each other, come out again, and can carry what is said of them."""

import math
from collections.abc import Iterator

from netgain.analysis.findings import finding
from netgain.analysis.matching import ENOUGH_OVERLAP
from netgain.analysis.sentences import points, span
from netgain.analysis.verdict import ArmRow, Verdict
from netgain.audit.checks.form import by_setting
from netgain.records.claim import Claim, Finding

DRIFT = 0.01


def baseline_drifts(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """The untouched model scoring differently from file to file, by more than other questions scatter."""
    for setting, arms in by_setting(verdict.arms):
        seen = [(arm.frozen_accuracy, arm.label, arm) for arm in arms if arm.frozen_accuracy is not None]
        seen.sort(key=lambda row: row[:2])
        if len(seen) > 1 and seen[-1][0] - seen[0][0] > DRIFT:
            low, high = seen[0], seen[-1]
            exams = {claim.arm(arm.name).exam for *_, arm in seen}
            same = len(exams) == 1 and None not in exams
            if not same and high[0] - low[0] <= _scatter(low[2], high[2]):
                continue
            yield finding(
                "baseline-drifts",
                "medium",
                f"{setting}: the frozen baseline scores {low[0]:.1%} to {high[0]:.1%}"
                f"{' on the same questions' if same else ''}: up to {100 * (high[0] - low[0]):.1f} points between two "
                f"arms can come from the run or the set-up{'' if same else ' (or from other questions)'}",
                [f"beside {label}: {accuracy:.4f}" for accuracy, label, _ in seen],
            )


def _scatter(*arms: ArmRow) -> float:
    """Two standard errors of the difference between two frozen accuracies on questions of their own; 0 where how many
    there were is not stated."""
    if not all(arm.n_questions for arm in arms):
        return 0.0
    shares = [(arm.frozen_accuracy or 0.0, arm.n_questions or 1) for arm in arms]
    return 2 * math.sqrt(sum(share * (1 - share) / n for share, n in shares))


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
        yield finding(
            "questions-differ",
            "medium",
            f"{len(few)} arm{'' if len(few) == 1 else 's'} answered too few of the questions of {arm.label} to be "
            "matched with it",
            few,
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
    yield finding(
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
                yield finding(
                    "accuracy-does-not-regenerate",
                    "medium",
                    f"{arm.label}: {where} states {stated:.4f}, its verdicts give {arm.accuracy:.4f}",
                    [str(source) for source in arm.sources],
                )


def few_problems(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Settings examined on so few problems that an interval spans much of the scale."""
    for arm in verdict.arms:
        if arm.n_problems is not None and arm.n_problems < 20 and arm.low is not None and arm.high is not None:
            yield finding(
                "few-problems",
                "medium",
                f"{arm.label} rests on {arm.n_problems} problems: {arm.accuracy:.0%}, "
                f"95 % interval {arm.low:.0%} to {arm.high:.0%}",
                [],
            )
