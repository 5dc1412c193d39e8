"""What a method chose, wrote and learned: trainings chosen at test time, an outer loop's edits, a policy's steps."""

from typing import Annotated, Literal, final

from pydantic import Field

from netgain.records.measurements import Finite, Fraction
from netgain.records.provenance import Count, StrictModel


@final
class ChosenTraining(StrictModel):
    """What a self-edit of settings, or a rule, chose of a training at test time; ``refused`` says why it was not used.

    ``tools`` are the groups of augmentations, ``loss`` on what it is, ``epochs`` and ``steps`` (optimizer steps) what
    was asked for; None and empty where a refused edit says nothing of the kind, ``epochs`` also where a rule trains
    until the budget is used. ``problem`` and ``seed`` say for which
    adaptation, where a row does not, ``score`` how its exam went (0 to 1). ``constrained``: it was written
    with only such tokens as keep to the schema.
    """

    tools: tuple[str, ...] = ()
    loss: Literal["", "all", "answers"] = ""
    learning_rate: Annotated[float, Field(allow_inf_nan=False)] | None = None
    epochs: Count | None = None
    steps: Count | None = None
    refused: str = ""
    constrained: bool = False
    problem: str = ""
    seed: int = 0
    score: Annotated[float, Field(ge=0, le=1)] | None = None


@final
class ShownAnswer(StrictModel):
    """What an arm answered to a task that is shown (:class:`~netgain.records.provenance.ShownTask`).

    ``given`` is part for part, ``chosen`` what it was trained with where that was chosen.
    """

    arm: str
    problem: str
    seed: int
    given: tuple[str, ...]
    right: bool
    chosen: ChosenTraining | None = None


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


@final
class PolicyStep(StrictModel):
    """One step of a policy gradient; step 0 is the model as it began. None is what nobody measured.

    ``texts``        were drawn in ``groups`` of one prompt each and rewarded, ``invalid`` of them of no use
    ``reward``       their mean; ``spread`` the mean over groups of the standard deviation within one, ``flat`` the
                     share of groups without any
    ``kl``           the divergence from the model as it began, in nats a token: the mean of exp(x) - x - 1 over the
                     tokens drawn, x the logarithm of how much likelier each was then
    ``entropy``      the mean entropy that a token was drawn from, in nats; ``length`` tokens a text
    ``clipped``      the share of tokens beyond the clip, over ``updates`` optimizer steps
    ``tokens``       and ``flops`` are all that had been spent by then
    ``development``  the accuracy on problems held out
    """

    step: Count
    groups: Count = 0
    texts: Count = 0
    invalid: Count = 0
    reward: Finite | None = None
    spread: Finite | None = None
    flat: Fraction | None = None
    kl: Finite | None = None
    entropy: Finite | None = None
    length: Finite | None = None
    clipped: Fraction | None = None
    updates: Count = 0
    tokens: Finite | None = None
    flops: Finite | None = None
    development: Fraction | None = None


@final
class PolicyRun(StrictModel):
    """The steps of one arm under one seed, and which of them was ``kept``; None where it did not come to an end.

    ``loop`` is the method that took them. A loop without policy gradients has a step for each of its rounds, of which
    only the rewards are known.
    """

    arm: str
    loop: str = ""
    seed: int
    steps: Annotated[tuple[PolicyStep, ...], Field(min_length=1)]
    kept: Count | None = None
