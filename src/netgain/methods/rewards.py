"""Rewards as records: what an outer loop measured in a round, in the shape that published rewards are read into."""

from collections.abc import Sequence

import numpy as np

from netgain.methods.fit import Inner
from netgain.methods.trial_edits import Context
from netgain.records.claim import RewardRun, Training


def reward_run(
    name: str, prompt: str, number: int, contexts: Sequence[Context], repeats: int, inner: Inner, epochs: int, kept: int
) -> RewardRun:
    """One round's rewards.

    Where some contexts have every edit and each evaluated ``repeats`` times or more, their first ``repeats`` counts are
    given; where none has (evaluations were allotted unevenly), means and deviations.
    """
    most = max(len(context.edits) for context in contexts)
    whole = [context for context in contexts if len(context.edits) == most]
    even = [context for context in whole if min(context.tally.counts()) >= repeats]
    training = Training(
        epochs=epochs,
        learning_rate=inner.learning_rate,
        batch_size=inner.batch_size,
        rank=inner.rank,
        alpha=inner.alpha,
        target_modules=inner.target_modules,
    )
    common = {"name": name, "prompt": prompt, "round": number, "edits": most, "kept": kept, "training": training}
    if even:
        return RewardRun(
            **common,
            problems=len(even),
            repeats=repeats,
            questions=tuple(len(context.problem.questions) for context in even),
            correct=tuple(tuple(tuple(counts[:repeats]) for counts in context.right) for context in even),
        )
    known = [context for context in whole if min(context.tally.counts()) > 0]
    return RewardRun(
        **common,
        problems=len(known),
        repeats=max((max(context.tally.counts()) for context in known), default=0),
        means=tuple(tuple(context.tally.means()) for context in known),
        deviations=tuple(tuple(_deviation(rewards) for rewards in context.tally.rewards) for context in known),
    )


def _deviation(rewards: Sequence[float]) -> float | None:
    return float(np.std(rewards, ddof=1)) if len(rewards) > 1 else None
