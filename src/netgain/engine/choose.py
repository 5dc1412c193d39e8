"""The engine's front: the backend and the decoder that fit a model."""

from collections.abc import Callable
from typing import Literal

from torch import nn

from netgain.engine.backend import Backend
from netgain.engine.decode import MultiLoraDecoder
from netgain.engine.hooks import HooksBackend
from netgain.engine.hooks_decode import HooksDecoder
from netgain.engine.plan import why_not
from netgain.engine.planned import PlannedBackend
from netgain.errors import InputError


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
