"""What is not told: compute, runs, single verdicts, broken answers, and how far a reward can be trusted."""

from collections.abc import Iterator

from netgain.analysis.findings import finding
from netgain.analysis.sentences import points, span
from netgain.analysis.verdict import RewardRow, Verdict
from netgain.records.claim import UNTRAINED, Claim, Finding, Role

RELIABLE = 0.7


def compute_not_reported(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Kinds of compute that were not found where it was looked for them."""
    missing = [kind for kind, source in verdict.reported.items() if source is None]
    if missing:
        stated = [f"stated: {kind}, {source}" for kind, source in verdict.reported.items() if source]
        arms = [arm for arm in verdict.arms if arm.role not in UNTRAINED]
        unknown = any(arm.updates_per_problem is None and arm.flops_per_problem is None for arm in arms)
        yield finding(
            "compute-not-reported",
            "high" if unknown else "medium",  # else it follows from what is published
            f"{len(missing)} of {len(verdict.reported)} kinds of compute were not found in "
            f"{verdict.searched or 'what was read'}: {', '.join(missing)}",
            stated or ["none was found there"],
        )


def single_seed(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms that were run once, so that the spread between runs is unknown."""
    once = [arm.label for arm in verdict.arms if arm.seeds == 1 and arm.role != Role.FROZEN]
    if once:
        yield finding(
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
        yield finding(
            "regressions-not-shown",
            "medium",
            f"net accuracy does not show that {labels[first.arm]} broke {first.broken / first.previously_correct:.0%} "
            f"of the answers that its frozen model had right ({first.broken} of {first.previously_correct}){spread}",
            [f"{labels[r.arm]}: fixed {r.fixed}, broke {r.broken} of {r.previously_correct}" for r in broken],
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
        yield finding(
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


def per_question_missing(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Arms and reward runs without verdicts on single questions."""
    arms = [arm.label for arm in claim.arms if arm.correct is None]
    runs = [run.name for run in claim.reward_runs if run.correct is None and run.repeats]  # a proxy asks none
    if arms or runs:
        names = ", ".join([*arms, *runs])
        yield finding(
            "per-question-data-missing",
            "medium",
            f"no verdicts on single questions were found for {names}: nothing there can be paired or checked",
            [],
        )


def rounds_unpublished(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Outer-loop rounds that must have been run and are not among the files."""
    missing = sorted({name for arm in claim.arms for name in arm.invests_unpublished})
    if missing:
        yield finding(
            "rounds-unpublished",
            "medium",
            f"reward runs not found: {', '.join(missing)}; the bills of the arms that stand on them are lower bounds",
            [
                f"{arm.label} needs {', '.join(arm.invests_unpublished)}"
                for arm in claim.arms
                if arm.invests_unpublished
            ],
        )
