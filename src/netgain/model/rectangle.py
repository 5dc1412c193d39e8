"""Answers and log-likelihoods from any Hugging Face decoder, unmodified: rows of a rectangle, filled up on the left.

The general counterpart of :mod:`netgain.model.decode`. Every row may have an adapter of its own. What the rectangle
makes the machine do, padding and steps after a row's own end included, is booked to the row.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Any, final

import torch
from torch import Tensor

from netgain.metering import work as metering
from netgain.model.answers import Answer, Chooser, Request, choose
from netgain.model.decode import Row, TextOf, prepare
from netgain.model.hooks import AdapterHooks, HooksBackend
from netgain.model.jobs import Failure
from netgain.model.lora import Adapter, AdapterBank
from netgain.model.trainer import is_out_of_memory
from netgain.model.work import Work


@final
@dataclass(frozen=True, slots=True)
class Continuation:
    """``tokens`` after ``prompt`` (token ids, neither empty), under one adapter (an index) or none."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    adapter: int | None = None

    @property
    def length(self) -> int:
        """Positions in all."""
        return len(self.prompt) + len(self.tokens)


@final
@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log-likelihood of a continuation, whether greedy choice gives it, what it took, why there is none."""

    value: float
    greedy: bool
    work: Work
    failure: Failure | None = None


def chunks(lengths: Sequence[int], rows: int, positions: int) -> list[list[int]]:
    """Places of rows to run together: of like lengths, at most ``rows`` of them, ``positions`` in the rectangle."""
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if found and len(found[-1]) < rows and lengths[found[-1][0]] * (len(found[-1]) + 1) <= positions:
            found[-1].append(place)
        else:
            found.append([place])
    return found


@final
class Rectangles:
    """Runs a model on up to ``rows`` rows and ``positions`` prompt positions at a time."""

    def __init__(self, backend: HooksBackend, *, rows: int, positions: int, text_of: TextOf | None = None) -> None:
        self._backend, self._model = backend, backend.model
        self._rows, self._positions, self._text_of = rows, positions, text_of
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def generation_bounds(self, requests: Sequence[Request]) -> list[metering.Work]:
        """Upper bounds on the work of each request, run together; nothing where it is impossible anyway."""
        context, bounds = self._backend.context, [metering.Work()] * len(requests)
        able = [i for i, request in enumerate(requests) if len(request.prompt) < context]
        for chunk in chunks([len(requests[i].prompt) for i in able], self._rows, self._positions):
            members = [able[i] for i in chunk]
            width = max(len(requests[i].prompt) for i in members)
            longest = max(min(requests[i].max_new, context - len(requests[i].prompt)) for i in members)
            for i in members:
                steps = longest - 1
                bounds[i] = metering.Work(
                    positions=width + steps,
                    real=len(requests[i].prompt) + steps,
                    context=width * width + steps * width + steps * (steps + 1) / 2,
                    head_positions=(1 if self._keeps else width) + steps,
                    generated=min(requests[i].max_new, context - len(requests[i].prompt)),
                )
        return bounds

    def generate(self, requests: Sequence[Request], adapters: Sequence[Adapter] = ()) -> list[Answer]:
        """Answers in the order of the requests; all of them have an adapter, or none. All adapters have one layout."""
        backend = self._backend
        rows = prepare(requests, len(adapters), backend.context, backend.vocabulary, self._text_of)
        able = [row for row in rows if row.finish is None]
        for chunk in chunks([len(row.request.prompt) for row in able], self._rows, self._positions):
            self._halving([able[i] for i in chunk], lambda part: self._answer(part, adapters), _fail_row, _restart)
        return [row.answer() for row in rows]

    def _answer(self, rows: list[Row], adapters: Sequence[Adapter]) -> None:
        tokens, mask = self._left_padded([row.request.prompt for row in rows])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        past: Any = None
        with self._adapted([row.request.adapter for row in rows], adapters), torch.inference_mode():
            while True:
                output = self._forward(tokens, mask, positions, past, keep=1)
                _book(rows, tokens.shape[1], mask.shape[1], output.logits.shape[1], first=past is None)
                chosen = choose(output.logits[:, -1].float(), [row.chooser for row in rows])
                for row, token in zip(rows, chosen, strict=True):
                    if row.finish is None:
                        row.take(token, self._backend.context - len(row.request.prompt), self._text_of)
                if all(row.finish is not None for row in rows):
                    return
                past = output.past_key_values
                tokens = torch.tensor([[max(token, 0)] for token in chosen], device=mask.device)
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
                positions = (positions[:, -1:] + 1).clamp(max=self._backend.context - 1)

    def score(self, asked: Sequence[Continuation], adapters: Sequence[Adapter] = ()) -> list[Likelihood]:
        """Log-likelihoods in order; all of them have an adapter, or none. All adapters have one layout."""
        found: dict[int, Likelihood] = {}
        for members in self._scorable(asked):

            def run(part: list[int]) -> None:
                found.update(self._score(part, [asked[i] for i in part], adapters))

            def fail(place: int) -> None:
                problem = Failure("out_of_memory", "this continuation does not fit into memory", 0)
                found[place] = Likelihood(float("nan"), False, self.scored_work([asked[place]])[0], problem)

            self._halving(members, run, fail, lambda _: None)
        return [found.get(place) or self._impossible(one) for place, one in enumerate(asked)]

    def score_bounds(self, asked: Sequence[Continuation]) -> list[metering.Work]:
        """The work of each continuation, scored together; nothing where it is impossible anyway."""
        bounds = [metering.Work()] * len(asked)
        for members in self._scorable(asked):
            for place, work in zip(members, self.scored_work([asked[i] for i in members]), strict=True):
                bounds[place] = work.counted()
        return bounds

    def scored_work(self, asked: Sequence[Continuation]) -> list[Work]:
        """The work of each row of one rectangle of continuations."""
        width = max(one.length for one in asked)
        keep = max(len(one.tokens) for one in asked) + 1 if self._keeps else width
        return [
            Work(
                real_positions=one.length,
                padded_positions=width,
                head_positions=keep,
                attended_context=width * width,
            )
            for one in asked
        ]

    def _scorable(self, asked: Sequence[Continuation]) -> list[list[int]]:
        able = [i for i, one in enumerate(asked) if self._problem(one) is None]
        found = chunks([asked[i].length for i in able], self._rows, self._positions)
        return [[able[i] for i in chunk] for chunk in found]

    def _problem(self, one: Continuation) -> Failure | None:
        if not one.prompt or not one.tokens:
            return Failure("no_labels", "prompt and continuation need at least one token each", 0)
        if one.length > self._backend.context:
            return Failure("too_long", f"{one.length} tokens, but the model has {self._backend.context} positions", 0)
        if any(not 0 <= token < self._backend.vocabulary for token in (*one.prompt, *one.tokens)):
            return Failure("bad_token", f"there is a token outside 0..{self._backend.vocabulary - 1}", 0)
        return None

    def _impossible(self, one: Continuation) -> Likelihood:
        return Likelihood(float("nan"), False, Work(), self._problem(one))

    def _score(
        self, places: list[int], asked: list[Continuation], adapters: Sequence[Adapter]
    ) -> dict[int, Likelihood]:
        tokens, mask = self._left_padded([(*one.prompt, *one.tokens) for one in asked])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        keep = max(len(one.tokens) for one in asked) + 1
        found = {}
        with self._adapted([one.adapter for one in asked], adapters), torch.inference_mode():
            logits = self._forward(tokens, mask, positions, None, keep=keep).logits
            for row, (place, one, work) in enumerate(zip(places, asked, self.scored_work(asked), strict=True)):
                count = len(one.tokens)
                steps = logits[row, -count - 1 : -1].to(torch.float64).log_softmax(-1)
                labels = torch.tensor(one.tokens, device=steps.device)
                value = float(steps.gather(1, labels[:, None]).sum())
                failure = None if isfinite(value) else Failure("not_finite", f"log-likelihood {value}", 0)
                found[place] = Likelihood(value, bool((steps.argmax(-1) == labels).all()), work, failure)
        return found

    def _forward(self, tokens: Tensor, mask: Tensor, positions: Tensor, past: Any, *, keep: int) -> Any:
        kept = {"logits_to_keep": keep} if self._keeps else {}
        return self._model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True, **kept
        )

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(len(row) for row in rows)
        tokens = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=self._backend.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self._backend.device)
        return tokens, mask

    def _adapted(self, wanted: list[int | None], adapters: Sequence[Adapter]) -> AbstractContextManager[object]:
        used = list(dict.fromkeys(index for index in wanted if index is not None))
        if not used:
            return nullcontext()
        bank = AdapterBank(adapters[0].layout, len(used), dtype=self._backend.bank_dtype, device=self._backend.device)
        slots = {index: bank.load(adapters[index]) for index in used}
        groups = torch.tensor([used.index(index) for index in wanted if index is not None], device=self._backend.device)
        chosen = torch.tensor([slots[index] for index in used], device=self._backend.device)
        return AdapterHooks(self._model, bank, chosen, groups, trained=False)

    def _halving(
        self,
        members: list[Any],
        run: Callable[[list[Any]], None],
        fail: Callable[[Any], None],
        again: Callable[[list[Any]], None],
    ) -> None:
        """Run members together; where memory runs out, in halves, down to one that fails alone."""
        try:
            run(members)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(members) == 1:
                fail(members[0])
                return
            again(members)
            for half in (members[: len(members) // 2], members[len(members) // 2 :]):
                self._halving(half, run, fail, again)


def _fail_row(row: Row) -> None:
    row.fail("out_of_memory", "this request does not fit into memory")


def _restart(rows: list[Row]) -> None:
    """What was said so far is lost, and stays paid."""
    for row in rows:
        row.discarded += len(row.tokens)
        row.tokens.clear()
        row.chooser, row.finish, row.failure = Chooser(row.request), None, None


def _book(rows: list[Row], count: int, keys: int, heads: int, *, first: bool) -> None:
    for row in rows:
        real = len(row.request.prompt) if first else int(row.finish is None)
        row.work += Work(
            real_positions=real, padded_positions=count, head_positions=heads, attended_context=count * keys
        )
