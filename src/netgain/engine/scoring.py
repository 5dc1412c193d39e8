"""Log-likelihoods from any Hugging Face decoder, unmodified: rows of a rectangle, filled up on the left.

Every row may have an adapter of its own. Padding is booked to the row that is padded.
"""

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from netgain.engine.hooks import AdapterHooks, HooksBackend, takes_positions
from netgain.engine.jobs import Failure, Work
from netgain.engine.lora import Adapter
from netgain.engine.packs import run_in_halves
from netgain.errors import InputError


@final
@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """``tokens`` after ``prompt`` (token ids, neither empty), under one adapter (an index) or none. ``hidden`` asks for
    what the output head saw as well."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    adapter: int | None = None
    hidden: bool = False

    @property
    def length(self) -> int:
        """Positions in all."""
        return len(self.prompt) + len(self.tokens)


@final
@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log-likelihood of a continuation, whether greedy choice gives it, what it took, why there is none.

    ``each`` is that of every token, ``entropy`` the mean over tokens of the entropy that each was drawn from, in nats.
    ``hidden`` [tokens, width], float32, is the last hidden state from which each token was predicted, where asked for.
    """

    value: float
    greedy: bool
    work: Work
    failure: Failure | None = None
    each: tuple[float, ...] = ()
    entropy: float = float("nan")
    hidden: np.ndarray | None = None

    def told(self, tokens: int) -> tuple[float, int, bool, tuple[float, ...], float, np.ndarray | None]:
        """All that is known of a continuation of so many tokens, in the order in which products hold it."""
        return self.value, tokens, self.greedy, self.each, self.entropy, self.hidden


@final
class _HeadInput:
    """Keeps what a model's output head was last given, for as long as the context lasts."""

    def __init__(self, model: Any) -> None:
        self._head = model.get_output_embeddings()
        self._last: Tensor | None = None
        self._handle: Any = None

    def __enter__(self) -> "_HeadInput":
        if self._head is not None:
            self._handle = self._head.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()

    def _keep(self, _: object, inputs: tuple[Tensor, ...]) -> None:
        self._last = inputs[0]

    def before(self, row: int, count: int) -> np.ndarray:
        """The states from which a row's last ``count`` tokens were predicted. Raises InputError where there is none."""
        if self._last is None:
            raise InputError("value head", "this model has no output head to read the last hidden state at")
        states: np.ndarray = self._last[row, -count - 1 : -1].to("cpu", torch.float32).numpy()
        return states


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
class Scorer:
    """Runs a model on up to ``rows`` rows and ``positions`` positions at a time."""

    def __init__(self, backend: HooksBackend, *, rows: int, positions: int) -> None:
        self._backend, self._model = backend, backend.model
        self._rows, self._positions = rows, positions
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def score(self, asked: Sequence[ScoreRequest], adapters: Sequence[Adapter] = ()) -> list[Likelihood]:
        """Log-likelihoods in order; all of them have an adapter, or none. All adapters have one layout."""
        found: dict[int, Likelihood] = {}
        for members in self._scorable(asked):

            def run(part: list[int]) -> None:
                found.update(self._score(part, [asked[i] for i in part], adapters))

            def fail(place: int) -> None:
                problem = Failure("out_of_memory", "this continuation does not fit into memory", 0)
                found[place] = Likelihood(float("nan"), False, self.scored_work([asked[place]])[0], problem)

            run_in_halves(members, run, fail)
        return [found.get(place) or self._impossible(one) for place, one in enumerate(asked)]

    def score_bounds(self, asked: Sequence[ScoreRequest]) -> list[Work]:
        """The work of each continuation, scored together; nothing where it is impossible anyway."""
        bounds = [Work()] * len(asked)
        for members in self._scorable(asked):
            for place, work in zip(members, self.scored_work([asked[i] for i in members]), strict=True):
                bounds[place] = work
        return bounds

    def scored_work(self, asked: Sequence[ScoreRequest]) -> list[Work]:
        """The work of each row of one rectangle of continuations."""
        width = max(one.length for one in asked)
        keep = max(len(one.tokens) for one in asked) + 1 if self._keeps else width
        return [
            Work(
                real=one.length,
                positions=width,
                head_positions=keep,
                context=width * width,
            )
            for one in asked
        ]

    def _scorable(self, asked: Sequence[ScoreRequest]) -> list[list[int]]:
        able, switch = [i for i, one in enumerate(asked) if self._problem(one) is None], self._backend.switch
        sides = [[i for i in able if switch is None or asked[i].length <= switch]]  # a batch lies on one side of it
        sides.append([i for i in able if i not in set(sides[0])])
        return [
            [side[i] for i in chunk]
            for side in sides
            for chunk in chunks([asked[i].length for i in side], self._rows, self._positions)
        ]

    def _problem(self, one: ScoreRequest) -> Failure | None:
        if not one.prompt or not one.tokens:
            return Failure("no_labels", "prompt and continuation need at least one token each", 0)
        if one.length > self._backend.context:
            return Failure("too_long", f"{one.length} tokens, but the model has {self._backend.context} positions", 0)
        if any(not 0 <= token < self._backend.vocabulary for token in (*one.prompt, *one.tokens)):
            return Failure("bad_token", f"there is a token outside 0..{self._backend.vocabulary - 1}", 0)
        return None

    def _impossible(self, one: ScoreRequest) -> Likelihood:
        return Likelihood(float("nan"), False, Work(), self._problem(one))

    def _score(
        self, places: list[int], asked: list[ScoreRequest], adapters: Sequence[Adapter]
    ) -> dict[int, Likelihood]:
        tokens, mask = self._left_padded([(*one.prompt, *one.tokens) for one in asked])
        inputs = {"input_ids": tokens, "attention_mask": mask}
        if takes_positions(self._model):
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        kept = {"logits_to_keep": max(len(one.tokens) for one in asked) + 1} if self._keeps else {}
        found = {}
        adapted = self._adapted([one.adapter for one in asked], adapters)
        with adapted, torch.inference_mode(), self._watched(asked) as seen:
            logits = self._model(**inputs, use_cache=False, **kept).logits
            for row, (place, one, work) in enumerate(zip(places, asked, self.scored_work(asked), strict=True)):
                count = len(one.tokens)
                # The logits before each token predict it; rows are filled up on the left, so all end at the same place.
                steps = logits[row, -count - 1 : -1].to(torch.float64).log_softmax(-1)
                labels = torch.tensor(one.tokens, device=steps.device)
                each = steps.gather(1, labels[:, None])[:, 0]
                value, entropy = float(each.sum()), float(torch.special.entr(steps.exp()).sum(-1).mean())
                failure = None if isfinite(value) else Failure("not_finite", f"log-likelihood {value}", 0)
                greedy = bool((steps.argmax(-1) == labels).all())
                hidden = seen.before(row, count) if seen is not None and one.hidden else None
                found[place] = Likelihood(value, greedy, work, failure, tuple(each.tolist()), entropy, hidden)
        return found

    def _watched(self, asked: list[ScoreRequest]) -> "AbstractContextManager[_HeadInput | None]":
        return _HeadInput(self._model) if any(one.hidden for one in asked) else nullcontext()

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(len(row) for row in rows)
        tokens = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=self._backend.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self._backend.device)
        return tokens, mask

    def _adapted(self, wanted: list[int | None], adapters: Sequence[Adapter]) -> AbstractContextManager[object]:
        used = list(dict.fromkeys(index for index in wanted if index is not None))
        if not used:
            return nullcontext()
        layout = adapters[0].layout
        rows = torch.stack([adapters[index].row for index in used]).to(self._backend.device)
        groups = torch.tensor([used.index(index) for index in wanted if index is not None], device=self._backend.device)
        return AdapterHooks(self._model, layout, layout.alpha / layout.rank, rows, groups, trained=False)
