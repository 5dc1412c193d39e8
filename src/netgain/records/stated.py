"""What a publication states of its arms beside their accuracies: the material of an audit's checks."""

import re
from typing import Annotated, Any, Literal, final

from pydantic import BeforeValidator, Field

from netgain.records.provenance import Count, StrictModel

_PER_CENT = re.compile(r"\s*(\d{1,3}(?:\.(\d{1,6}))?)\s*%\s*")


def from_per_cent(value: Any) -> Any:
    """``"47.0%"`` as the fraction 0.47; anything else as it is."""
    found = _PER_CENT.fullmatch(value) if isinstance(value, str) else None
    return round(float(found[1]) / 100, 10) if found else value


def digits_of(value: Any) -> int | None:
    """How many decimals of the fraction a percentage gives: 3 for ``"47.0%"``; None for what is no percentage."""
    found = _PER_CENT.fullmatch(value) if isinstance(value, str) else None
    return 2 + len(found[2] or "") if found else None


Share = Annotated[
    float, BeforeValidator(from_per_cent), Field(ge=0, le=1, description="a fraction between 0 and 1, or 47.0%")
]


@final
class Stated(StrictModel):
    """What is stated of one arm. Whatever is not stated is None or empty.

    ``digits``: decimals of its accuracy as a fraction; ``standard_error`` as stated with it. ``elsewhere``: the same
    figure in other places of the same publication (its table, its log); ``again``: the same arm measured again, by
    others or under another protocol. ``samples``: over how many answers to each question the accuracy is a mean;
    ``answers``: how many are drawn to give one (a majority vote, the best of several). ``end``: the accuracy at the end
    of training, where the one stated is that of a better checkpoint; ``chosen_on``: what the checkpoint was chosen on.
    ``gain``: the gain that is claimed, where the accuracies that it is between are not both stated.
    ``control``: what the arm holds equal, where the publication ran it as a control. ``given``: what the arm was given,
    in words, for a table.
    """

    digits: Count | None = None
    standard_error: Share | None = None
    elsewhere: dict[str, Share] = Field(default_factory=dict)
    again: dict[str, Share] = Field(default_factory=dict)
    samples: Count | None = None
    answers: Count | None = None
    partial_credit: bool | None = None
    end: Share | None = None
    gain: Share | None = None
    chosen_on: Literal["", "last", "held out", "test"] = ""
    control: str = ""
    given: str = ""


@final
class Loss(StrictModel):
    """A figure that got worse: of what, before and after; ``told`` says whether the claim itself tells it."""

    what: str
    before: Share
    after: Share
    told: bool | None = None
    source: str = ""
