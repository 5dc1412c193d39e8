"""What was chosen of trainings at test time: by a writer of self-edits before and after its outer loop, by a rule."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from netgain.analysis.evidence import Evidence
from netgain.analysis.rows import ChosenRow
from netgain.records.learning import ChosenTraining

BEFORE, AFTER, ALWAYS = "before the outer loop", "after the outer loop", "at adaptation"


def chosen_rows(evidence: Evidence) -> list[ChosenRow]:
    """For every arm that is compared and chooses: its first round's candidates, and what its adaptations chose.

    A writer's first round is its choice before it was taught anything; what it chooses at adaptation, after.
    """
    return [row for arm in evidence.claim.arms if evidence.trial(arm.name).own for row in _of(evidence, arm.name)]


def _of(evidence: Evidence, arm: str) -> Iterator[ChosenRow]:
    chosen = evidence.trial(arm).chosen
    rounds = [run for run in evidence.claim.reward_runs if run.chosen and run.name.startswith(f"{arm} ")]
    first = [run for run in rounds if run.round == min(run.round for run in rounds)]
    before = [one for run in first for one in run.chosen]
    if before:
        yield _row(evidence, arm, BEFORE, before)
    if chosen:
        yield _row(evidence, arm, AFTER if before else ALWAYS, chosen)


def _row(evidence: Evidence, arm: str, stage: str, chosen: Sequence[ChosenTraining]) -> ChosenRow:
    valid = [one for one in chosen if not one.refused]
    scores = [one.score for one in chosen if one.score is not None]
    steps = [one.steps for one in valid if one.steps is not None]
    return ChosenRow(
        arm=arm,
        setting=evidence.arms[arm].setting,
        stage=stage,
        written=len(chosen),
        valid=len(valid),
        constrained=sum(one.constrained for one in chosen),
        constrained_valid=sum(one.constrained for one in valid),
        refused=dict(Counter(one.refused for one in chosen if one.refused).most_common()),
        tools=dict(sorted(Counter(tool for one in valid for tool in one.tools).items())),
        losses=dict(sorted(Counter(one.loss for one in valid if one.loss).items())),
        rates=_counted([one.learning_rate for one in valid]),
        epochs=_counted([one.epochs for one in valid]),
        steps=fmean(steps) if steps else None,
        score=fmean(scores) if scores else None,
    )


def _counted(values: Sequence[float | None]) -> dict[str, int]:
    """How often each number was chosen, the smallest first."""
    counted = Counter(value for value in values if value is not None)
    return {f"{value:g}": counted[value] for value in sorted(counted)}
