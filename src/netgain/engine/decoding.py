"""What is asked of a decoder and what comes back, how a token is chosen, and requests on their way through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from torch import Tensor

from netgain.engine.forms import TokenForm, token_form
from netgain.engine.jobs import Failure, Sampling, Work
from netgain.engine.packs import run_in_halves
from netgain.errors import InputError

GREEDY = Sampling()
STUCK = -2  # in place of a token: none keeps an answer in its form


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """Continue ``prompt`` (token ids) as ``sampling`` says, with one adapter (an index, or None for the base).

    Sampled answers do not depend on their batch-mates. ``eos`` are the tokens that end an answer; a stop string stays
    in it, and needs a tokenizer at the decoder.
    """

    prompt: tuple[int, ...]
    adapter: int | None = None
    sampling: Sampling = GREEDY
    eos: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.prompt:
            raise InputError("request", "needs a prompt of at least one token")


@final
@dataclass(frozen=True, slots=True)
class Decoded:
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

    def __init__(self, request: DecodeRequest, form: TokenForm | None = None) -> None:
        self._sampling, self._prompt, self._said = request.sampling, request.prompt, list[int]()
        self.form, self.complete = form, False
        self.greedy = request.sampling.temperature == 0
        self._generator = torch.Generator().manual_seed(request.sampling.seed)

    def within(self, logits: Tensor, form: TokenForm) -> int:
        """One token from logits [vocabulary] that keeps the answer in its form; :data:`STUCK` where none does.

        What is drawn is looked at as text, in its place, for a tokenizer may join tokens otherwise than alone.
        """
        state = form.after(text_behind(self._prompt, self._said, form.text_of)) if self._said else form.start
        allowed = torch.tensor(form.allowed(state), dtype=torch.int64)
        scores = torch.full((len(logits),), float("-inf"), dtype=torch.float64)
        scores[allowed] = logits.to("cpu", torch.float64)[allowed]
        while bool(torch.isfinite(scores).any()):
            token = int(scores.argmax()) if self.greedy else self.draw(scores)
            after = form.after(text_behind(self._prompt, [*self._said, token], form.text_of))
            self.complete = form.done(after)
            if self.complete or form.allowed(after):
                self._said.append(token)
                return token
            scores[token] = float("-inf")
        return STUCK

    def draw(self, logits: Tensor) -> int:
        """One token from logits [vocabulary] by temperature and top-p."""
        # In float64: in float32 the cumulative sum over a large vocabulary misses top_p by more than some tokens have.
        p = (logits.to("cpu", torch.float64) / self._sampling.temperature).softmax(-1)
        # Tokens below (1 - top_p) / vocabulary have at most 1 - top_p together, so those above are enough, and sorting
        # only them saves most of a draw from 49,152 tokens. Half of it leaves room for rounding.
        likely = (p > (1 - self._sampling.top_p) / (2 * len(p))).nonzero()[:, 0]
        ranked, order = p[likely].sort(descending=True, stable=True)
        total = ranked.cumsum(-1)
        kept = int((total < self._sampling.top_p).sum()) + 1
        u = torch.rand((), generator=self._generator, dtype=torch.float64) * total[min(kept, len(total)) - 1]
        return int(likely[order[min(int(torch.searchsorted(total, u, right=True)), len(total) - 1)]])


def choose(logits: Tensor, choosers: list[Chooser]) -> list[int]:
    """The next token of each row of logits [n, vocabulary]; -1 where the logits are not finite, :data:`STUCK` where no
    token keeps an answer in its form."""
    if logits.dtype == torch.bfloat16:
        logits = logits.float()  # numpy has no bfloat16
    on_cpu = logits.device.type == "cpu"  # numpy's argmax is several times faster than torch's; a NaN wins both
    index = torch.from_numpy(logits.numpy().argmax(axis=-1)) if on_cpu else logits.argmax(dim=-1)
    sound, tokens = torch.isfinite(logits.gather(1, index[:, None])[:, 0]).tolist(), index.tolist()
    for i, chooser in enumerate(choosers):
        if not sound[i]:
            tokens[i] = -1
        elif chooser.form is not None:
            tokens[i] = chooser.within(logits[i], chooser.form)
        elif not chooser.greedy:
            tokens[i] = chooser.draw(logits[i])
    return [int(token) for token in tokens]


TextOf = Callable[[list[int]], str]
BORDER = 8  # tokens of the prompt that are read along: enough for a character of several bytes and for a space


def text_behind(prompt: Sequence[int], tokens: Sequence[int], text_of: TextOf) -> str:
    """The text that these tokens add to the prompt's.

    Read by themselves they would lose the space that many tokenizers take for the one that begins every text, so that
    `run` + ` ning` and `run` + `ning` would be one answer.
    """
    border = list(prompt[-BORDER:])
    before, whole = text_of(border), text_of([*border, *tokens])
    return whole[len(before) :] if whole.startswith(before) else text_of(list(tokens))


@final
@dataclass(slots=True, eq=False)
class DecodeRow:
    """A request on its way: its cache entry, the entry and length of the prefix it shares, what it has said so far."""

    index: int
    request: DecodeRequest
    chooser: Chooser
    slot: int = -1
    entry: int = -1
    shared: int = 0
    shared_length: int = 0
    own_length: int = 0
    tokens: list[int] = field(default_factory=list)
    discarded: int = 0
    work: Work = Work()  # noqa: RUF009 (frozen)
    finish: Literal["eos", "stop", "length", "failed"] | None = None
    failure: Failure | None = None

    def take(self, token: int, room: int, text_of: TextOf | None) -> None:
        """Book a chosen token and decide whether the answer ends with it; ``room`` is how many tokens it may have."""
        if token == STUCK:
            self.fail("bad_token", f"after answer token {len(self.tokens)} no token keeps the answer in its form")
            return
        if token < 0:
            self.fail("not_finite", f"logits of answer token {len(self.tokens)} are not finite")
            return
        self.tokens.append(token)
        if token in self.request.eos:
            self.finish = "eos"
        elif self.chooser.complete or (self.request.sampling.stop and text_of and self._has_stop(text_of)):
            self.finish = "stop"
        elif len(self.tokens) >= min(self.request.sampling.max_new_tokens, room):
            self.finish = "length"

    def _has_stop(self, text_of: TextOf) -> bool:
        return self.request.sampling.end(text_behind(self.request.prompt, self.tokens, text_of)) >= 0

    def fail(self, kind: Literal["too_long", "bad_token", "not_finite", "out_of_memory"], detail: str) -> None:
        """End this request, and no other, as failed."""
        self.finish, self.failure = "failed", Failure(kind, detail, len(self.tokens))

    def answer(self) -> Decoded:
        """What became of it."""
        work = self.work + Work(generated=self.discarded + len(self.tokens))
        return Decoded(tuple(self.tokens), self.finish or "length", work, self.failure)


def new_rows(
    requests: Sequence[DecodeRequest], adapters: int, context: int, vocabulary: int, text_of: TextOf | None
) -> list[DecodeRow]:
    """Rows for requests; impossible ones are failed already. Raises InputError for an unknown adapter, and for a stop
    string or a form without a tokenizer."""
    rows = []
    for index, request in enumerate(requests):
        if request.adapter is not None and not 0 <= request.adapter < adapters:
            raise InputError(f"adapter {request.adapter}", f"there are {adapters} adapters")
        if request.sampling.stop and text_of is None:
            raise InputError("stop strings", "need a way to turn tokens into text", "pass text_of to the decoder")
        if request.sampling.form and text_of is None:
            raise InputError("form", "needs a way to turn tokens into text", "pass text_of to the decoder")
        form = token_form(request.sampling.form, vocabulary, text_of) if request.sampling.form and text_of else None
        row = DecodeRow(index, request, Chooser(request, form))
        if len(request.prompt) >= context:
            row.fail("too_long", f"a prompt of {len(request.prompt)} tokens leaves no room in a context of {context}")
        elif any(not 0 <= token < vocabulary for token in request.prompt):
            row.fail("bad_token", f"the prompt has a token outside 0..{vocabulary - 1}")
        rows.append(row)
    return rows


def restart(rows: list[DecodeRow]) -> list[DecodeRow]:
    """The rows that have not finished, back at their prompts; what they had said stays booked as work."""
    rest = [row for row in rows if row.finish is None]
    for row in rest:
        row.discarded += len(row.tokens)
        row.tokens.clear()
        row.chooser = Chooser(row.request, row.chooser.form)
    return rest


def run_rows(rows: list[DecodeRow], run: Callable[[list[DecodeRow]], None]) -> None:
    """Run these rows; if memory runs out, unfinished ones start again in halves, down to one that fails alone."""

    def give_up(row: DecodeRow) -> None:
        row.fail("out_of_memory", "this request does not fit into memory")

    run_in_halves(rows, run, give_up, restart)


def common_prefix(family: list[DecodeRow]) -> int:
    """How many tokens all prompts of a family share, at least one of each left over; 0 for a single prompt."""
    if len(family) < 2:
        return 0
    first, longest = family[0].request.prompt, min(len(row.request.prompt) for row in family) - 1
    same = (all(row.request.prompt[i] == first[i] for row in family) for i in range(longest))
    return next((i for i, equal in enumerate(same) if not equal), longest)


def families(rows: list[DecodeRow], limit: int) -> list[list[DecodeRow]]:
    """Rows of one adapter together, in order of first appearance, at most ``limit`` each."""
    found: dict[int | None, list[DecodeRow]] = {}
    for row in rows:
        found.setdefault(row.request.adapter, []).append(row)
    return [family[i : i + limit] for family in found.values() for i in range(0, len(family), limit)]
