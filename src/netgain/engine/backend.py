"""What trains a pack: the seam between the schedule and the two backends (``hooks`` and ``planned``)."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from netgain.engine.lora import AdapterBank, Layout
from netgain.engine.ops import Ops
from netgain.engine.packs import Extent, Footprint, Pack


class Backend(Protocol):
    """A frozen model that can compute the losses and adapter gradients of a pack."""

    @property
    def name(self) -> str:
        """``hooks`` or ``planned``."""

    @property
    def device(self) -> torch.device:
        """Where the model lies."""

    @property
    def bank_dtype(self) -> torch.dtype:
        """Precision of adapters and optimizer."""

    @property
    def ops(self) -> Ops[Any]:
        """What updates the adapters."""

    @property
    def context(self) -> int:
        """The longest sequence."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """The layout of adapters for this model. Raises InputError for a name that fits no module."""

    def footprint(self, extents: Sequence[Extent]) -> list[Footprint]:
        """What each of the sequences that share a pack makes this backend run."""

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots (overwriting); returns each step's loss, [G]."""
