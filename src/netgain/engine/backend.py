"""What trains a pack: the seam between the schedule and the two backends, and which of them fits a model."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import nn

from netgain.engine.frozen_weights import why_not
from netgain.engine.hooks import HooksBackend, HooksDecoder
from netgain.engine.jobs import Work
from netgain.engine.lora import AdapterBank, Layout
from netgain.engine.ops import Ops
from netgain.engine.packs import Extent, Pack
from netgain.engine.planned import PlannedBackend
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.errors import InputError


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
    def switch(self) -> int | None:
        """The length beyond which the longest row changes how all rows of a batch are turned; None if there is none."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """The layout of adapters for this model. Raises InputError for a name that fits no module."""

    def footprint(self, extents: Sequence[Extent]) -> list[Work]:
        """What each of the sequences that share a pack makes this backend run: positions, those with logits, pairs."""

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots (overwriting); returns each step's loss, [G]."""

    def release(self) -> None:
        """Let go of what is kept from pack to pack."""


def backend_for(model: nn.Module, wanted: Literal["auto", "hooks", "planned"] = "auto") -> Backend:
    """The planned backend where the model allows it, else hooks; or the one asked for by name."""
    if wanted not in ("auto", "hooks", "planned"):
        raise InputError(f"backend {wanted!r}", "is unknown", "use auto, hooks or planned")
    if wanted == "planned" or (wanted == "auto" and why_not(model) is None):
        return PlannedBackend(model)
    return HooksBackend(model)


def decoder_for(
    backend: Backend, *, rows: int = 80, text_of: Callable[[list[int]], str] | None = None
) -> MultiLoraDecoder | HooksDecoder:
    """The decoder that fits a backend; both answer the same requests with the same answers."""
    if isinstance(backend, PlannedBackend):
        return MultiLoraDecoder(backend, rows=rows, text_of=text_of)
    if isinstance(backend, HooksBackend):
        return HooksDecoder(backend, rows=rows, text_of=text_of)
    raise InputError(f"backend {backend.name}", "has no decoder")
