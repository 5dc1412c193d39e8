"""What is asked of a decoder and what comes back, as pure data, and how one token is chosen."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, final

import torch
from torch import Tensor

from netgain.engine.jobs import Failure
from netgain.engine.work import Work
from netgain.errors import InputError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Continue ``prompt`` (token ids) by up to ``max_new`` tokens with one adapter (an index, or None for the base).

    ``temperature`` 0 takes the likeliest token; above 0, tokens are drawn from the smallest set whose probability
    reaches ``top_p``, with a generator of this request's own ``seed``: the answer does not depend on its batch-mates.
    ``stop`` are strings that end the answer (they stay in it; they need a tokenizer at the decoder).
    """

    prompt: tuple[int, ...]
    adapter: int | None = None
    max_new: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    eos: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.prompt or self.max_new < 1:
            raise InputError("request", "needs a prompt of at least one token, and max_new of at least 1")
        if not (isfinite(self.temperature) and self.temperature >= 0 and 0 < self.top_p <= 1):
            raise InputError(
                "request", f"temperature {self.temperature}, top_p {self.top_p}: >= 0 and in (0, 1] are needed"
            )


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """The new tokens (an end-of-text token included), why they ended, and the work this request took.

    A shared prefix is booked once, with the first request that has it.
    """

    tokens: tuple[int, ...]
    finish: Literal["eos", "stop", "length", "failed"]
    work: Work
    failure: Failure | None = None


@final
class Chooser:
    """Chooses one request's tokens; owns its random stream."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.greedy = request.temperature == 0
        self._generator = torch.Generator().manual_seed(request.seed)

    def draw(self, logits: Tensor) -> int:
        """One token from logits [vocabulary] by temperature and top-p."""
        p = (logits.to("cpu", torch.float64) / self._request.temperature).softmax(-1)
        ranked, order = p.sort(descending=True, stable=True)
        total = ranked.cumsum(-1)
        kept = int((total < self._request.top_p).sum()) + 1
        u = torch.rand((), generator=self._generator, dtype=torch.float64) * total[min(kept, len(total)) - 1]
        return int(order[min(int(torch.searchsorted(total, u, right=True)), len(total) - 1)])


def choose(logits: Tensor, choosers: list[Chooser]) -> list[int]:
    """The next token of each row of logits [n, vocabulary]; -1 where the logits are not finite."""
    on_cpu = logits.device.type == "cpu"  # numpy's argmax is several times faster than torch's; a NaN wins both
    index = torch.from_numpy(logits.numpy().argmax(axis=-1)) if on_cpu else logits.argmax(dim=-1)
    sound, tokens = torch.isfinite(logits.gather(1, index[:, None])[:, 0]).tolist(), index.tolist()
    for i, chooser in enumerate(choosers):
        if not sound[i]:
            tokens[i] = -1
        elif not chooser.greedy:
            tokens[i] = chooser.draw(logits[i])
    return [int(token) for token in tokens]
