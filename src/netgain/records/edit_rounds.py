"""What an outer loop wrote, round by round, with the rewards: for readers, not for figures."""

from typing import final

from netgain.records.measurements import Finite
from netgain.records.provenance import Count, StrictModel


@final
class RewardedEdit(StrictModel):
    """A candidate of an outer loop: the text about a training problem, the score of each evaluation (mostly 0 to 1) and
    whether the loop learned from it. No score: it was not evaluated, or nothing can be made of it."""

    problem: str
    text: str
    scores: tuple[Finite, ...] = ()
    kept: bool = False


@final
class EditRound(StrictModel):
    """All candidates of one round of an outer loop, a tuple for each context."""

    round: Count
    contexts: tuple[tuple[RewardedEdit, ...], ...]
