"""Any Hugging Face causal language model behind the metered door, on CPU or CUDA: a folder, a GGUF file, a hub name.

Training and answering use the planned backend where the architecture has one, and the model's own code with hooks
elsewhere. Log-likelihoods always use the model's own code.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

from netgain.domains.problem import Prompt
from netgain.engine.backend import backend_for, decoder_for
from netgain.engine.decoding import Decoded, DecodeRequest, text_behind
from netgain.engine.hooks import HooksBackend, rectangles
from netgain.engine.jobs import POSITIONS, RESIDENT, ROWS, SCORED, Failure, InnerLoopJob, Size, Work, check
from netgain.engine.lora import CONFIG, Layout, keep_whole, kept_whole, load_adapter, read_config, save_adapter
from netgain.engine.lora import Adapter as LoraAdapter
from netgain.engine.packs import Extent
from netgain.engine.scoring import Scorer, ScoreRequest
from netgain.engine.trainer import MultiLoraTrainer
from netgain.errors import InputError
from netgain.metering.price import Full, Lora
from netgain.metering.shape import ModelShape
from netgain.model.checked_load import attempt
from netgain.model.generation_server import GenerationServer
from netgain.model.loading import Chat, Loaded, Texts, load_parts, merge, no_room, reweighted, tune
from netgain.model.metered import Model
from netgain.model.model_prices import MeasuredPrices, ShapePrices
from netgain.model.passes import decoding_bounds, learnt, weights_in_memory
from netgain.model.requests import (
    Adapter,
    Answered,
    Derived,
    Done,
    Generate,
    Merge,
    Part,
    Request,
    Score,
    Scored,
    Train,
    Trained,
    TrainFull,
)
from netgain.model.selfcheck import PriceCheck, check_engine
from netgain.model.served import ServedDecoder
from netgain.streams import stream


def load_model(
    source: str | Path,
    *,
    device: str = "auto",
    dtype: str = "float32",
    chat: Chat = "auto",
    attention: str = "auto",
    engine: Literal["auto", "hooks", "planned"] = "auto",
    resident: int = RESIDENT,
    rows: int = ROWS,
    positions: int = POSITIONS,
    shape: ModelShape | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    server: GenerationServer | None = None,
) -> Model:
    """The model in a folder, in a GGUF file (:mod:`netgain.model.gguf`) or of a hub name, metered.

    ``chat`` says how conversations become text: by the tokenizer's ``template``, as a ``base`` prompt (the contents one
    below the other, with a blank line between them), or by the template where there is one (``auto``); texts are
    always continued as they stand. ``attention`` is one of transformers' implementations; ``auto`` is sdpa where the
    architecture has it, else eager. ``engine`` chooses how adapters are trained and answer; up to ``resident`` adapters
    are trained at a time in packs of up to ``positions`` tokens, and up to ``rows`` prompts are answered at a time.
    ``shape`` prices by formula what has none of its own and would be measured. Where a ``server`` has the same model,
    answers are generated there (:mod:`netgain.model.served`); models that are made from this one answer here.

    Raises InputError for a folder that is no causal language model, for weights that are a pickle (unless
    ``allow_pickle``), for a model with code of its own (unless ``trust_remote_code``) and for an architecture that can
    neither be priced nor run (docs/models.md).
    """
    loaded = load_parts(
        source,
        device=device,
        dtype=dtype,
        attention=attention,
        revision=revision,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    how: dict[str, Any] = {"resident": resident, "rows": rows, "positions": positions, "shape": shape, "server": server}
    return attempt(str(source), lambda: wrap_model(loaded, chat=chat, engine=engine, **how))


def wrap_model(
    loaded: Loaded,
    *,
    chat: Chat = "auto",
    engine: Literal["auto", "hooks", "planned"] = "auto",
    resident: int = RESIDENT,
    rows: int = ROWS,
    positions: int = POSITIONS,
    shape: ModelShape | None = None,
    server: GenerationServer | None = None,
) -> Model:
    """:func:`load_model` for a model that is in memory already. The model is left as it is, and must be left so."""
    backend = _HuggingFace(loaded, chat, engine, resident, rows, positions)
    config = loaded.model.config.to_dict()
    if shape is None and ModelShape.has_formula(config):
        shape = ModelShape.from_config(config, loaded.name)
    prices = MeasuredPrices(loaded.model, backend.layout) if shape is None else ShapePrices(shape)
    check = partial(backend.checked, partial(check_engine, loaded.model, shape))
    if server is None:
        return Model(backend, prices, check=check)
    backend.serve(server)
    return Model(backend, prices, check=check, attempts=server.attempts, pause=server.pause)


@final
class _HuggingFace:
    def __init__(self, loaded: Loaded, chat: Chat, engine: Any, resident: int, rows: int, positions: int) -> None:
        self._loaded, self._settings = loaded, (chat, engine, resident, rows, positions)
        self.name, self._texts = loaded.name, Texts(loaded, chat)
        self._engine = backend_for(loaded.model, engine)
        hooks = self._engine if isinstance(self._engine, HooksBackend) else HooksBackend(loaded.model)
        self._trainer = MultiLoraTrainer(self._engine, resident=resident, budget=positions)
        self._rows, self._decoder = rows, decoder_for(self._engine, rows=rows, text_of=self._texts.text)
        self._scorer = Scorer(hooks, rows=rows, positions=SCORED * positions)
        self._served: ServedDecoder | None = None

    def serve(self, server: GenerationServer) -> None:
        """Have answers generated there, but for those that are held to a form."""
        self._served = ServedDecoder(server, self._engine, self._rows, self._texts)

    def checked(self, check: Callable[[], PriceCheck]) -> PriceCheck:
        """The check of prices, and that of the server. Raises InputError where it is no server for this model."""
        if self._served is None:
            return check()
        width = self._loaded.model.dtype.itemsize
        return replace(check(), served=self._served.check(self._decoder.generate, self._scorer, width))

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """Where the engine keeps adapters of this kind. Raises InputError for a name that fits no module."""
        return self._engine.layout(names, rank, alpha)

    @property
    def digest(self) -> str:
        """By content of the folder, or by commit."""
        return self._loaded.digest()

    @property
    def fingerprint(self) -> str:
        """Over the weights in memory."""
        return weights_in_memory(self._loaded.model)

    @property
    def ends(self) -> tuple[int, ...]:
        """As its generation settings or its tokenizer name them."""
        return self._texts.ends

    def _with(self, loaded: Loaded) -> "_HuggingFace":
        return _HuggingFace(loaded, *self._settings)

    # -- quotes

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        """Upper bounds, from lengths alone."""
        longest = max((self._longest(request.job) for request in requests if isinstance(request, Train)), default=0)
        broken = self._broken(requests)
        found: dict[int, tuple[Part, ...]] = dict.fromkeys(broken, ()) | {
            place: self._train_bound(request.job, longest)
            for place, request in enumerate(requests)
            if isinstance(request, Train)
        }
        for request in requests:
            if isinstance(request, Train) and request.start is not None:
                self._check_start(request.start, request.job)
        for place, request in enumerate(requests):
            if isinstance(request, TrainFull):
                found[place] = self._full_bound(request.job)
            elif isinstance(request, Merge):
                found[place] = (self._merging(request.adapter),)
        for places, lora, _ in self._groups(requests, broken):
            for place, work in zip(places, self._bounds([requests[i] for i in places]), strict=True):
                found[place] = (Part(work, adapter=lora),)
        return [found[place] for place in range(len(requests))]

    def _train_bound(self, job: InnerLoopJob, longest: int) -> tuple[Part, ...]:
        lora = self._lora(self._engine.layout(job.target_modules, job.rank, job.alpha))
        if check(job, self._engine.context, self._engine.vocabulary) is not None:
            return ()
        sizes = [job.size(index) for index in range(job.count)]
        times: Counter[Size] = Counter()
        for size, visits in zip(sizes, job.visits(), strict=True):
            times[size] += visits
        if isinstance(self._engine, HooksBackend):  # whatever shares its rectangle
            rows = Counter({longest: sum(times.values())}) if self._trainer.resident > 1 else job.widths()
            ran = rectangles(rows)
        else:
            ran = sum((count * self._alone(size) for size, count in times.items()), Work())
        return (Part(ran + learnt(times) + Work(updates=job.total_steps), training=lora),)

    def _full_bound(self, job: InnerLoopJob) -> tuple[Part, ...]:
        if check(job, self._engine.context, self._engine.vocabulary) is not None:
            return ()
        sizes = Counter[Size]()
        for index, visits in enumerate(job.visits()):
            sizes[job.size(index)] += visits
        updates = Work(updates=job.total_steps)
        return (Part(rectangles(job.widths()) + learnt(sizes) + updates, training=Full()),)

    def _merging(self, adapter: Adapter) -> Part:
        own = self._own(adapter)
        layout = own.layout if own else None
        if layout is None or self._engine.layout(layout.names, layout.rank, layout.alpha) != layout:
            raise InputError("adapter", f"it has no place in {self.name}", "merge one that was trained or loaded here")
        return Part(Work(), merged=self._lora(layout))

    def _check_start(self, start: Adapter, job: InnerLoopJob) -> None:
        own = self._own(start)
        if own is None or own.layout != self._engine.layout(job.target_modules, job.rank, job.alpha):
            problem = "the adapter that it is to go on from has another rank, alpha or targets"
            raise InputError(f"job {job.key!r}", problem, "start afresh, or train on as it was begun")

    def _alone(self, size: Size) -> Work:
        (ran,) = self._engine.footprint([Extent(size.rows, max(size.text, 1), size.labelled)])
        return ran

    def _longest(self, job: InnerLoopJob) -> int:
        if check(job, self._engine.context, self._engine.vocabulary) is not None:
            return 0
        return max(job.size(index).rows for index in range(job.count))

    def _bounds(self, requests: Sequence[Request]) -> list[Work]:
        """For requests of one kind and layout."""
        if isinstance(requests[0], Score):
            return self._scorer.score_bounds([self._continuation(r, 0) for r in requests if isinstance(r, Score)])
        rows = [self._row(request, 0) for request in requests if isinstance(request, Generate)]
        return decoding_bounds(rows, self._engine, self._rows)

    # -- runs

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        """One attempt is all that what is done here needs."""
        if requests and isinstance(requests[0], Train):
            yield from self._train([request for request in requests if isinstance(request, Train)])
        for place, request in enumerate(requests):
            if isinstance(request, TrainFull):
                yield self._train_full(place, request)
            elif isinstance(request, Merge):
                yield self._merge(place, request.adapter)
        broken = self._broken(requests)
        for place, failure in broken.items():
            yield Done(place, None, (), failure)
        for places, lora, adapters in self._groups(requests, broken):
            chosen = [requests[place] for place in places]
            if isinstance(chosen[0], Score):
                yield from self._score(places, [r for r in chosen if isinstance(r, Score)], lora, adapters)
            else:
                asked = [r for r in chosen if isinstance(r, Generate)]
                yield from self._generate(places, asked, lora, adapters, attempt)

    def _train(self, wanted: list[Train]) -> Iterator[Done]:
        keyed = [replace(request.job, key=f"{place}:{request.job.key}") for place, request in enumerate(wanted)]
        own = {job.key: self._own(request.start) for job, request in zip(keyed, wanted, strict=True)}
        for outcome in self._trainer.run(keyed, {key: start for key, start in own.items() if start is not None}):
            number, _, key = outcome.key.partition(":")
            job = wanted[int(number)].job
            lora = self._lora(self._engine.layout(job.target_modules, job.rank, job.alpha))
            part = Part(outcome.work, training=lora)
            trained = Trained(key, outcome.adapter, outcome.losses, outcome.clipped)
            yield Done(int(number), trained, (part,), outcome.failure)

    def _train_full(self, place: int, request: TrainFull) -> Done:
        parts: tuple[Part, ...] = ()
        losses: tuple[float, ...] = ()
        try:
            loaded, outcome = tune(self._loaded, request.job)
            parts, losses = (Part(outcome.work, training=Full()),), outcome.losses
            backend = None if outcome.failure else self._with(loaded)
        except (RuntimeError, MemoryError) as error:
            return Done(place, Derived(request.job.key, None, losses), parts, no_room(error))
        return Done(place, Derived(request.job.key, backend, losses), parts, outcome.failure)

    def _merge(self, place: int, adapter: Adapter) -> Done:
        part, own = self._merging(adapter), self._own(adapter)
        try:
            return Done(place, Derived("", self._with(merge(self._loaded, own)) if own else None), (part,))
        except (RuntimeError, MemoryError) as error:
            return Done(place, None, (part,), no_room(error))

    def _generate(
        self, places: list[int], requests: list[Generate], lora: Lora | None, adapters: list[LoraAdapter], attempt: int
    ) -> Iterator[Done]:
        rows = [self._row(request, _index(adapters, request.adapter)) for request in requests]
        served = [at for at, row in enumerate(rows) if self._served is not None and not row.sampling.form]
        here = [at for at in range(len(rows)) if at not in set(served)]
        answers = self._decoder.generate([rows[at] for at in here], adapters) if here else []
        for at, answer in zip(here, answers, strict=True):
            product = self._answered(requests[at], rows[at], answer)
            yield Done(places[at], product, (Part(answer.work, adapter=lora),), answer.failure)
        if self._served is not None and served:
            for done, answer in self._served.generate([rows[at] for at in served], adapters, lora, attempt):
                at = served[done.request]
                yield replace(done, request=places[at], product=self._answered(requests[at], rows[at], answer))

    def _score(
        self, places: list[int], requests: list[Score], lora: Lora | None, adapters: list[LoraAdapter]
    ) -> Iterator[Done]:
        asked = [self._continuation(request, _index(adapters, request.adapter)) for request in requests]
        for place, one, likelihood in zip(places, asked, self._scorer.score(asked, adapters), strict=True):
            product = Scored(*likelihood.told(len(one.tokens)))
            part = Part(likelihood.work, adapter=lora)
            yield Done(place, None if likelihood.failure else product, (part,), likelihood.failure)

    def _broken(self, requests: Sequence[Request]) -> dict[int, Failure]:
        """The requests whose texts cannot become tokens, by place, and why."""
        found = {}
        for place, request in enumerate(requests):
            if isinstance(request, Generate | Score):
                follows = request.continuation if isinstance(request, Score) else ""
                failure = self._texts.problem(request.prompt, follows if isinstance(follows, str) else "")
                if failure is not None:
                    found[place] = failure
        return found

    def _groups(
        self, requests: Sequence[Request], broken: Mapping[int, Failure]
    ) -> Iterator[tuple[list[int], Lora | None, list[LoraAdapter]]]:
        """Places of the requests whose adapters have one layout (or none), that adapter's price, and the adapters."""
        found: dict[Layout | None, list[int]] = {}
        for place, request in enumerate(requests):
            if isinstance(request, Generate | Score) and place not in broken:
                adapter = self._own(request.adapter)
                found.setdefault(adapter.layout if adapter else None, []).append(place)
        for layout, places in found.items():
            used: dict[int, LoraAdapter] = {}
            for place in places:
                request = requests[place]
                adapter = self._own(request.adapter) if isinstance(request, Generate | Score) else None
                if adapter is not None:
                    used[id(adapter)] = adapter
            yield places, self._lora(layout) if layout else None, list(used.values())

    def _own(self, adapter: Adapter | None) -> LoraAdapter | None:
        if adapter is None or isinstance(adapter, LoraAdapter):
            return adapter
        raise InputError(
            f"adapter of type {type(adapter).__name__}", f"{self.name} did not train it", "see load_adapter"
        )

    def _lora(self, layout: Layout) -> Lora:
        return Lora(layout.rank, layout.names)

    # -- text

    def _row(self, request: Generate, index: int | None) -> DecodeRequest:
        prompt = self._texts.prompt(request.prompt)
        seed = int(stream(request.seed, "generate", self._texts.rendered(request.prompt)).integers(2**63))
        return DecodeRequest(
            prompt=prompt,
            adapter=None if request.adapter is None else index,
            sampling=replace(request.sampling, seed=seed),
            eos=self._texts.ends,
        )

    def _continuation(self, request: Score, index: int | None) -> ScoreRequest:
        wanted, adapter = request.continuation, None if request.adapter is None else index
        if isinstance(wanted, str):
            return ScoreRequest(*self._texts.continuation(request.prompt, wanted), adapter, request.hidden)
        return ScoreRequest(self._texts.prompt(request.prompt), wanted, adapter, request.hidden)

    def _answered(self, request: Generate, row: DecodeRequest, answer: Decoded) -> Answered:
        said = [token for token in answer.tokens if token not in self._texts.ends]
        text = text_behind(row.prompt, said, self._texts.text)
        end = request.sampling.end(text)
        return Answered(text[:end] if end >= 0 else text, len(answer.tokens), answer.finish, answer.tokens)

    @property
    def templated(self) -> bool:
        """As its tokenizer has one, and it was not loaded to leave it aside."""
        return self._texts.templated

    def tokenize(self, text: Prompt, *, special: bool, answer: str = "") -> tuple[int, ...]:
        """Token ids, of any length."""
        own = self._texts
        return own.tokens(text + answer, special=special) if isinstance(text, str) else own.prompt(text, answer)

    def shown(self, prompt: Prompt) -> str:
        """The prompt's tokens as text, special ones with them."""
        return self._texts.shown(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return self._texts.text(tokens)

    def save_adapter(self, adapter: Adapter, folder: Path) -> None:
        """In PEFT's format."""
        save_adapter(self._one(adapter), folder, self.name)

    def _one(self, adapter: Adapter) -> LoraAdapter:
        own = self._own(adapter)
        if own is None:
            raise InputError("adapter", "there is none to save")
        return own

    def load_adapter(self, folder: Path) -> Adapter:
        """From PEFT's format."""
        rank, alpha, names = read_config(folder)
        return load_adapter(folder, self._engine.layout(names, rank, alpha), self._engine.bank_dtype)

    def keep_adapter(self, adapter: Adapter, file: Path) -> dict[str, Any]:
        """Its row and its optimizer's moments as they are; PEFT's format has no place for these."""
        return keep_whole(self._one(adapter), file)

    def kept_adapter(self, fields: Mapping[str, Any], file: Path) -> Adapter:
        """As it was kept; without its file an adapter of the same layout that has no weights."""
        layout = self._engine.layout(tuple(fields["names"]), fields["rank"], fields["alpha"])
        return kept_whole(file, layout, fields["steps"])

    # -- for another process, and from it

    def located(self) -> tuple[str, str]:
        """Where it was loaded from; a model with other weights is saved for as long as it lasts."""
        return self._loaded.folder(), str(self._loaded.model.dtype).removeprefix("torch.")

    def with_output(self, folder: Path) -> Adapter | Derived:
        """An adapter where there is one, else the model's weights."""
        if (folder / CONFIG).is_file():
            return self.load_adapter(folder)
        return Derived("", self._with(reweighted(self._loaded, folder)))


def _index(adapters: list[LoraAdapter], wanted: Adapter | None) -> int | None:
    return None if wanted is None else next(i for i, adapter in enumerate(adapters) if adapter is wanted)
