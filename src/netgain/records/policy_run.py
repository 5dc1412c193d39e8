"""What a policy gradient has shown, step by step: the curves of a run that may collapse."""

from typing import Annotated, final

from pydantic import Field

from netgain.records.measurements import Finite, Fraction
from netgain.records.provenance import Count, StrictModel


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
