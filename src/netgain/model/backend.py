"""What trains a pack: the seam between the schedule and the two backends (``hooks`` and ``planned``)."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import nn

from netgain.errors import InputError
from netgain.model.hooks import HooksBackend
from netgain.model.lora import AdapterBank, Layout
from netgain.model.ops import Ops
from netgain.model.packs import Pack
from netgain.model.plan import why_not
from netgain.model.planned import PlannedBackend


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

    def footprint(self, lengths: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Per sequence of (rows, keys) in a pack: positions that run, and pairs (query, key) attended in a layer."""

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots (overwriting); returns each step's loss, [G]."""


def backend_for(model: nn.Module, wanted: Literal["auto", "hooks", "planned"] = "auto") -> Backend:
    """The planned backend where the model allows it, else hooks; or the one asked for by name."""
    if wanted not in ("auto", "hooks", "planned"):
        raise InputError(f"backend {wanted!r}", "is unknown", "use auto, hooks or planned")
    if wanted == "planned" or (wanted == "auto" and why_not(model) is None):
        return PlannedBackend(model)
    return HooksBackend(model)
