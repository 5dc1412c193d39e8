"""The base of everything a verdict is made of: immutable rows, and a value with its interval."""

from typing import Self, final

from pydantic import BaseModel, ConfigDict

from netgain.analysis import intervals


class Row(BaseModel):
    """Base of the verdict's parts: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@final
class Interval(Row):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: intervals.Estimate) -> Self:
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)
