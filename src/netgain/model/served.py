"""The tried model at a server as well: edits and answers are generated there, by tokens, and adapters are trained here.

The server (:mod:`netgain.model.generation_server`) is a decoder as the engine's are: what it is asked and what its
tokens mean is decided by the tokenizer here, and its work is priced as if it had been decoded here.

- before anything is charged, its greedy tokens must be those of the model here, with an adapter and without
- each attempt is reserved and booked on its own, at the costs of :mod:`netgain.model.remote`; what is not served in all
  of them is a fault and no answer (``unserved``)

What is drawn at a temperature above 0 is another draw than here, from the same distribution: a seed names it all the
same, as far as the server is deterministic.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import final

import torch

from netgain.engine.backend import Backend
from netgain.engine.decoding import Decoded, DecodeRequest, DecodeRow, common_prefix, families, new_rows
from netgain.engine.jobs import Failure, Sampling, Work
from netgain.engine.lora import Adapter as LoraAdapter
from netgain.engine.lora import Layout, fresh
from netgain.engine.scoring import Scorer, ScoreRequest
from netgain.errors import InputError, shown
from netgain.metering.estimate import pass_over
from netgain.metering.price import Lora
from netgain.model.generation_server import SAME, GenerationServer, Unserved, end_of
from netgain.model.loading import Texts
from netgain.model.requests import Done, Part
from netgain.model.server import LONGEST_WAIT, RULES

SAMPLES = (
    "The river rises in the hills and",
    "Question: Which town lies by the river?\nAnswer:",
    "One, two, three, four,",
    "She was born in the year of the great flood, and her brother",
)
NEW, LONGEST = 12, 48  # tokens that the check has continued, and of its prompts
SCALES = (0.1, 0.5, 2.0, 8.0)  # of the check's adapter: the first with which an answer is another one
TIES = {2: 0.25}  # nats between two tokens that 16 bits do not tell apart; by bytes of a weight
TIE = 1e-3
ONCE = "start it with --enable-lora --max-lora-rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"


@final
class ServedDecoder:
    """Answers a model's requests at a server. ``rows`` requests at most share the price of a prefix, as here."""

    def __init__(self, server: GenerationServer, engine: Backend, rows: int, texts: Texts) -> None:
        self._server, self._engine, self._rows, self._texts = server, engine, rows, texts
        self._text_of, self._context, self._vocabulary = texts.text, engine.context, engine.vocabulary
        self._checked = ""

    def generate(
        self, requests: Sequence[DecodeRequest], adapters: Sequence[LoraAdapter], lora: Lora | None, attempt: int
    ) -> Iterator[tuple[Done, Decoded]]:
        """What came of each request, by its place, priced with the adapter ``lora``; and its tokens."""
        rows = new_rows(requests, len(adapters), self._context, self._vocabulary, self._text_of)
        for row in (row for row in rows if row.failure is not None):
            yield Done(row.index, None, (Part(row.work, adapter=lora),), row.failure), row.answer()
        sound = [row for row in rows if row.failure is None]
        ended = {row.index: end for row, end in self._ended(sound, adapters)}
        for family in families(sound, self._rows):
            shared, paid = common_prefix(family), False
            for row in family:
                end = ended[row.index]
                if isinstance(end, Unserved):
                    yield self._failed(row, end, lora, attempt), row.answer()
                    continue
                tokens, drawn = end
                work = _work(len(row.request.prompt), shared, drawn, first=not paid)
                paid = True
                yield Done(row.index, None, (Part(work, adapter=lora),)), self._decoded(row, tokens, work)

    def _decoded(self, row: DecodeRow, tokens: tuple[int, ...], work: Work) -> Decoded:
        if tokens[-1] in row.request.eos:
            return Decoded(tokens, "eos", work)
        return Decoded(tokens, "stop" if end_of(row.request, tokens, self._text_of) else "length", work)

    def _failed(self, row: DecodeRow, problem: Unserved, lora: Lora | None, attempt: int) -> Done:
        rule, prompt = RULES[problem.kind], len(row.request.prompt)
        again = rule.again or (problem.unknown and row.request.adapter is not None)  # a server that was started again
        again = again and attempt < self._server.attempts and problem.wait <= LONGEST_WAIT
        drawn = (Part(_work(prompt, 0, problem.drawn, first=True), adapter=lora),) if problem.drawn else ()
        parts = None if rule.costs == "quote" else drawn
        failure = Failure("unserved", self._server.hide(f"{problem.kind}: {problem.detail}"), attempt)
        bounded = "bounded by its quote" if parts is None else ""
        return Done(row.index, None, parts, failure, bounded, again, problem.wait)

    def _ended(
        self, rows: Sequence[DecodeRow], adapters: Sequence[LoraAdapter]
    ) -> Iterator[tuple[DecodeRow, tuple[tuple[int, ...], int] | Unserved]]:
        """What each row ended in. No more adapters are used at a time than may be loaded."""
        used = list(dict.fromkeys(row.request.adapter for row in rows))
        for first in range(0, len(used), self._server.loaded):
            wave = used[first : first + self._server.loaded]
            beside = [adapters[index] for index in wave if index is not None]
            names: dict[int | None, str | Unserved] = {None: ""}
            for index in wave:
                if index is not None:
                    names[index] = self._loaded(adapters[index], beside)
            chosen = [row for row in rows if row.request.adapter in wave]
            yield from self._asked(chosen, names, adapters)

    def _loaded(self, adapter: LoraAdapter, beside: Sequence[LoraAdapter]) -> str | Unserved:
        try:
            return self._server.load(adapter, beside)
        except Unserved as problem:  # nothing was generated yet, whatever the answer to this was
            kind = problem.kind if RULES[problem.kind].costs == "nothing" else "unreachable"
            return Unserved(kind, f"the adapter is not loaded ({problem.kind}: {problem.detail})", problem.wait)

    def _asked(
        self, rows: Sequence[DecodeRow], names: Mapping[int | None, str | Unserved], adapters: Sequence[LoraAdapter]
    ) -> Iterator[tuple[DecodeRow, tuple[tuple[int, ...], int] | Unserved]]:
        asked: list[tuple[DecodeRow, Future[tuple[tuple[int, ...], int]]]] = []
        with ThreadPoolExecutor(min(self._server.concurrency, max(1, len(rows)))) as pool:
            try:
                for row in rows:
                    name, request = names[row.request.adapter], row.request
                    if isinstance(name, Unserved):
                        yield row, name
                        continue
                    room = min(request.sampling.max_new_tokens, self._context - len(request.prompt))
                    asked.append((row, pool.submit(self._server.answer, request, name, room, self._text_of)))
                for row, future in asked:
                    try:
                        yield row, self._require_known(future.result())
                    except Unserved as problem:
                        if problem.unknown and row.request.adapter is not None:
                            self._server.forget(adapters[row.request.adapter])
                        yield row, problem
            finally:
                for _, future in asked:
                    future.cancel()

    def _require_known(self, answer: tuple[tuple[int, ...], int]) -> tuple[tuple[int, ...], int]:
        if max(answer[0]) >= self._vocabulary:
            raise Unserved("malformed", f"its answer has token {max(answer[0])}, outside 0..{self._vocabulary - 1}")
        return answer

    # -- is it the very model?

    def check(
        self,
        local: Callable[[Sequence[DecodeRequest], Sequence[LoraAdapter]], list[Decoded]],
        scorer: Scorer,
        width: int,
    ) -> str:
        """Require that the server's greedy tokens are those of the model here (``local``), once, and say so. ``width``
        is that of a weight, in bytes. Raises InputError with the first difference, and for what the server lacks.

        Nothing is charged, as for the check of prices: it is a few tokens, and the same for every trial.
        """
        if self._checked:
            return self._checked
        server, engine = self._server, self._engine
        if engine.switch is not None:
            problem = "the model turns long texts otherwise than short ones, which servers do in ways of their own"
            raise server.error(problem, "leave serve out")
        layout = engine.layout(server.targets, server.rank, 2.0 * server.rank) if server.targets else None
        server.require_model(self._context)
        prompts = [self._texts.prompt(text)[: min(LONGEST, self._context // 2)] for text in SAMPLES]
        greedy = Sampling(max_new_tokens=NEW)
        plain = [DecodeRequest(prompt=prompt, sampling=greedy, eos=self._texts.ends) for prompt in prompts]
        server.require_tokens(plain[0])
        own = local(plain, [])
        self._compare(plain, own, [], scorer, TIES.get(width, TIE))
        answers, how = [*own], ""
        if layout is not None:
            adapted, said = [replace(request, adapter=0) for request in plain], [answer.tokens for answer in own]
            for scale in SCALES:
                adapter = _test_adapter(layout, scale)
                theirs = local(adapted, [adapter])
                if [answer.tokens for answer in theirs] != said:
                    break
            else:
                raise server.error("no test adapter changes what the model says", "leave serve out")
            self._compare(adapted, theirs, [adapter], scorer, TIES.get(width, TIE))
            answers, how = [*own, *theirs], f", half of them with an adapter of rank {layout.rank}"
        tokens = sum(len(answer.tokens) for answer in answers)
        self._checked = f"{len(answers)} greedy answers ({tokens} tokens{how}) are those of the model here"
        return self._checked

    def _compare(
        self,
        requests: Sequence[DecodeRequest],
        own: Sequence[Decoded],
        adapters: Sequence[LoraAdapter],
        scorer: Scorer,
        tie: float,
    ) -> None:
        beside = "with a test adapter " if adapters else ""
        rows = new_rows(requests, len(adapters), self._context, self._vocabulary, self._text_of)
        try:
            found = {row.index: end for row, end in self._ended(rows, adapters)}
        except OSError as problem:
            remedy = "name a folder that netgain may write and the server read"
            raise InputError(
                f"serve.adapters {problem.filename}", f"cannot be written ({problem.strerror})", remedy
            ) from None
        for row in rows:
            end, here = found[row.index], own[row.index].tokens
            if isinstance(end, Unserved):
                raise self._server.error(
                    f"{beside}it gives no answer ({end.kind}: {end.detail})", ONCE if adapters else SAME
                )
            same = next((at for at, pair in enumerate(zip(end[0], here, strict=False)) if len(set(pair)) > 1), -1)
            if same < 0 and len(end[0]) == len(here):
                continue
            at = min(len(end[0]), len(here)) - 1 if same < 0 else same
            asked = [
                ScoreRequest((*row.request.prompt, *here[:at]), (token,), row.request.adapter)
                for token in (end[0][at], here[at])
            ]
            one, other = (likelihood.value for likelihood in scorer.score(asked, adapters))
            if not abs(one - other) <= tie or same < 0:
                said, wanted = (shown(self._text_of(list(tokens[: at + 1]))) for tokens in (end[0], here))
                behind = shown(self._text_of(list(row.request.prompt)))
                raise self._server.error(f"another model: {beside}it goes on behind {behind} with {said}, not {wanted}")


def _work(prompt: int, shared: int, drawn: int, *, first: bool) -> Work:
    """As the planned decoder counts it: the ``first`` of a family reads what it shares for all of them."""
    own = prompt - shared
    reading = pass_over([own], kernel="causal", prefix=shared, head_positions=1)
    steps = drawn - 1
    writing = Work(
        positions=steps,
        real=steps,
        head_positions=steps,
        context=steps * prompt + steps * (steps + 1) / 2,
        generated=drawn,
    )
    whole = reading + writing
    return whole + pass_over([shared], kernel="causal", head_positions=0) if first and shared else whole


def _test_adapter(layout: Layout, scale: float) -> LoraAdapter:
    """One that changes what the model says: B, which is 0 at first, is drawn."""
    adapter = fresh(layout, 0)
    generator = torch.Generator().manual_seed(1)
    for target in layout.targets:
        b = adapter.b(target)
        b.copy_(torch.randn(b.shape, generator=generator) * scale / layout.rank**0.5)
    return adapter
