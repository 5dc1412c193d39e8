"""What a script trains on, and whether it trains off its meter: seen by hooks of torch's, written down for the trial.

The tokens of every pass that may get a gradient, and those of every generation, go to the guard against contamination:
exam questions among what was trained on are found there, unless the model wrote them itself.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from netgain.model.calls import causal_lm


@final
class Watch:
    """From its making on it counts the optimizer steps before which nothing was booked; ``booked`` is the length of the
    journal. Put it :meth:`on` a model to see its tokens."""

    def __init__(self, booked: Callable[[], int]) -> None:
        self._booked, self._length, self._stepped = booked, booked(), set[int]()
        self._trained: dict[tuple[int, ...], None] = {}
        self._written: dict[tuple[int, ...], None] = {}
        self._unmetered = 0
        register_optimizer_step_post_hook(self._on_step)

    def _on_step(self, optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> None:
        """Each metered step has passes of its own, and they are reserved; optimizers may share them."""
        if self._booked() != self._length:
            self._length = self._booked()
            self._stepped.clear()
        elif not self._stepped or id(optimizer) in self._stepped:
            self._unmetered += 1
        self._stepped.add(id(optimizer))

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
        try:
            yield
        finally:
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
        return {"trained": list(self._trained), "written": list(self._written), "unmetered": self._unmetered}
