"""Work: exact counts of what was processed, from which a meter can price training and decoding later."""

from dataclasses import dataclass, fields
from typing import Self, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Counts of work that was really done, failed steps included. Training and decoding never share one record.

    ``updates``             optimizer steps applied
    ``real_positions``      positions with text that passed the model forward
    ``padded_positions``    all positions that passed it: text, pads that stand for the reference's, rectangle filler
    ``backward_positions``  of these, positions that were back-propagated (0 for decoding)
    ``labelled_positions``  positions with a loss
    ``head_positions``      positions at which logits were computed
    ``attended_context``    pairs (query, key) that one head's attention multiplied forward in one layer, as run
    ``generated_tokens``    tokens decoded
    """

    updates: int = 0
    real_positions: int = 0
    padded_positions: int = 0
    backward_positions: int = 0
    labelled_positions: int = 0
    head_positions: int = 0
    attended_context: int = 0
    generated_tokens: int = 0

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: work is never negative")
        if self.padded_positions < self.real_positions:
            raise ValueError(
                f"padded_positions = {self.padded_positions} is below real_positions = {self.real_positions}"
            )

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in COUNTS})


COUNTS = tuple(field.name for field in fields(Work))
