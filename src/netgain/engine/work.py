"""Work: what a machine ran, counted. With a model's shape it decides the price."""

from dataclasses import dataclass, fields
from typing import Self, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Counts that add up, over sequences, steps and requests; what a failed step did is in them.

    ``positions``       positions that passed the model forward: text, pads that stand for the reference's, filler
    ``real``            those with text
    ``context``         pairs (query, key) that one head's attention multiplies forward in one layer, as the kernel
                        runs them: masked pairs count where they are computed
    ``head_positions``  positions at which logits were computed
    ``training``        positions with a loss
    ``generated``       tokens decoded
    ``updates``         optimizer steps
    """

    positions: float = 0
    real: float = 0
    context: float = 0
    head_positions: float = 0
    training: float = 0
    generated: float = 0
    updates: float = 0

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: work is never negative")

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in COUNTS})

    def __mul__(self, times: float) -> Self:
        return type(self)(**{name: getattr(self, name) * times for name in COUNTS})

    __rmul__ = __mul__


COUNTS = tuple(field.name for field in fields(Work))
