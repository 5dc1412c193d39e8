"""What a script trains on, and whether it trains off its meter: seen by hooks of torch's, written down for the trial.

The tokens of every pass that may get a gradient, and those of every generation, go to the guard against contamination:
exam questions among what was trained on are found there, unless the model wrote them itself.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from netgain.model.calls import ADAPTER, causal_lm
from netgain.model.early.sitecustomize import WATCHED
from netgain.model.model_folder import hashed_weight


@final
class Watch:
    """From its making on it counts the optimizer steps on weights of no model that it is :meth:`on`."""

    def __init__(self) -> None:
        self._metered: list[nn.Module] = []
        self._trained: dict[tuple[int, ...], None] = {}
        self._written: dict[tuple[int, ...], None] = {}
        self._weights: set[str] = set()
        self._unmetered = 0
        os.environ[WATCHED] = str(os.getpid())  # from here on it is this watch that counts
        self.handle = register_optimizer_step_post_hook(self._on_step)

    def _on_step(self, optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> None:
        known = {id(weight) for model in self._metered for weight in model.parameters()}
        if any(id(weight) not in known for group in optimizer.param_groups for weight in group["params"]):
            self._unmetered += 1

    @contextlib.contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        """See the tokens of this model while the block lasts, inside its meter's."""
        inner: Any = causal_lm(model)
        embedding: nn.Module = inner.get_input_embeddings()
        handle = embedding.register_forward_pre_hook(self._on_tokens)
        generate, own = inner.generate, inner.__dict__.get("generate")

        def seen(*arguments: Any, **named: Any) -> Any:
            given = arguments[0] if arguments else named.get("input_ids", named.get("inputs"))
            output = generate(*arguments, **named)
            self._wrote(output if isinstance(output, Tensor) else output.sequences, given)
            return output

        inner.generate = seen
        self._metered.append(model)
        try:
            yield
        finally:
            self._metered.remove(model)
            self._weights |= set(_hashes(model))
            handle.remove()
            inner.generate = own

    def _on_tokens(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled() and arguments and isinstance(arguments[0], Tensor):
            self._keep(self._trained, arguments[0])

    def _wrote(self, tokens: Tensor, prompt: Tensor | None) -> None:
        """What a prompt says the model has not written."""
        self._keep(self._written, tokens if prompt is None else tokens[:, prompt.shape[-1] :])

    @staticmethod
    def _keep(kept: dict[tuple[int, ...], None], tokens: Tensor) -> None:
        for row in tokens.reshape(-1, tokens.shape[-1]).tolist():
            kept[tuple(row)] = None

    def statement(self) -> dict[str, Any]:
        """All of it as plain values."""
        open_ = (name for model in self._metered for name in _hashes(model))  # a trainer broke off under its callback
        weights = sorted(self._weights | set(open_))
        seen = {"trained": list(self._trained), "written": list(self._written), "weights": weights}
        return seen | {"unmetered": self._unmetered}


def _hashes(model: nn.Module) -> Iterator[str]:
    """Of the weights that a model would be saved with: its adapters' alone, where it has any."""
    adapted = any(ADAPTER.search(name) for name, _ in model.named_parameters())
    for weight in [*model.parameters(), *([] if adapted else model.buffers())]:
        if weight.requires_grad or not adapted:
            flat = weight.detach().cpu().contiguous().flatten().view(torch.uint8)
            yield hashed_weight(list(weight.shape), flat.numpy().tobytes())
