"""Model: the one public door to a language model. Every operation is quoted, reserved, run and settled on an account.

There is no other way in: the backend is held privately, requests cannot be made without an account, and nothing runs
before all of a batch is reserved. What fails is booked with the part that was done; what is tried again is paid again.
"""

import contextlib
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

from netgain.domains.problem import Prompt
from netgain.engine.jobs import Failure
from netgain.errors import BudgetExceeded, OverrunError
from netgain.metering.account import Account, Book, Reservation
from netgain.metering.budget import overruns
from netgain.metering.shape import ModelShape
from netgain.model.replay import Known, Replay
from netgain.model.requests import (
    Adapter,
    Answered,
    Derived,
    Done,
    Generate,
    Merge,
    Part,
    Prices,
    Product,
    Request,
    Result,
    RunScript,
    Score,
    Scored,
    Train,
    Trained,
    TrainFull,
    UnmeteredModel,
    recorded,
)
from netgain.model.script_runs import run_script
from netgain.model.shared_seconds import SharedSeconds
from netgain.records.cost import Cost, Currency, total

if TYPE_CHECKING:  # it imports torch
    from netgain.model.selfcheck import PriceCheck

P = TypeVar("P")
OPERATIONS = ("generate", "score", "train", "train_full", "merge")  # what only the door books
AT_ONCE = ("generate", "score")  # many small results: booked as they end, written when their batch has ended
NOT_RUN = "not run: another request of its batch was refused"


@final
class Model:
    """A language model that is paid for.

    ``attempts`` is how often a request is tried in all where the backend says that another attempt may succeed;
    ``pause`` waits between them (its arguments: the number of attempts so far, and the seconds that the backend asks
    for at least). ``clock`` is monotonic, in seconds. ``check`` holds the prices against the profiler, before anything
    is charged. With ``replay`` what an earlier attempt paid for is found again; ``lineage`` names the model there, see
    :meth:`resuming`.
    """

    def __init__(
        self,
        backend: UnmeteredModel,
        prices: Prices,
        *,
        attempts: int = 1,
        pause: Callable[[int, float], None] = lambda attempts, asked: None,
        clock: Callable[[], float] = time.perf_counter,
        check: "Callable[[], PriceCheck] | None" = None,
        replay: Replay | None = None,
        lineage: str = "",
    ) -> None:
        self._check, self.__replay, self._lineage = check, replay, lineage
        self.__backend, self.__prices = backend, prices
        self._attempts, self._pause, self._clock = attempts, pause, clock
        self._introduced: weakref.WeakSet[Book] = weakref.WeakSet()
        self.__origin: Model = self

    def resuming(self, replay: Replay) -> "Model":
        """This very model for a task whose paid operations are kept: those that ended before are not run again."""
        return self._made(self.__backend, replay, self.digest, self._check)

    def _made(
        self, backend: UnmeteredModel, replay: Replay | None, lineage: str, check: "Callable[[], PriceCheck] | None"
    ) -> "Model":
        how: dict[str, Any] = {"attempts": self._attempts, "pause": self._pause, "clock": self._clock}
        return Model(backend, self.__prices, **how, check=check, replay=replay, lineage=lineage)

    @property
    def origin(self) -> "Model":
        """The model that this one was made from, by however many merges and trainings; itself where it was loaded."""
        return self.__origin

    def check_prices(self) -> "PriceCheck | None":
        """Hold prices against the profiler with a toy of the model; None where nothing of it is priced in FLOPs.

        The first charge in every book does so anyway. Raises InputError where a price is off by more than 1 %.
        """
        return None if self._check is None else self._check()

    @property
    def name(self) -> str:
        """How records name the model."""
        return self.__backend.name

    @property
    def digest(self) -> str:
        """Which model it is, by content: ``sha256:...`` over weights, configuration and tokenizer of a local folder.

        Of a model by hub name, over its commit there; of a remote one, over its name. Read once, when first asked for.
        """
        return self.__backend.digest

    @property
    def fingerprint(self) -> str:
        """Of the weights as they are in memory, where it has any: another one where any of them was changed."""
        return self.__backend.fingerprint

    @property
    def shape(self) -> ModelShape | None:
        """The dimensions by which its work is priced; None for a remote or a scripted model."""
        return self.__prices.shape

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer; none where only a server knows them."""
        return self.__backend.ends

    def __repr__(self) -> str:
        return f"Model({self.name!r})"

    def generate(self, requests: Sequence[Generate]) -> list[Result[Answered]]:
        """Answers, in the order of the requests.

        Raises BudgetExceeded where a budget does not allow one of the quotes; then nothing of the batch has run.
        Raises InputError for an adapter that is not this model's. All else that goes wrong is in the results.
        """
        return self._do("generate", Generate, requests)

    def score(self, requests: Sequence[Score]) -> list[Result[Scored]]:
        """Log-likelihoods, in the order of the requests. Raises as :meth:`generate` does."""
        return self._do("score", Score, requests)

    def train(self, requests: Sequence[Train]) -> list[Result[Trained]]:
        """Adapters, in the order of the requests, each settled when its own training ends. Raises as :meth:`generate`.

        A job that fails (nothing to train on, too long, NaN, memory) has a failure as its result and keeps the losses
        of its steps; the others are unharmed.
        """
        return self._do("train", Train, requests)

    def train_full(self, requests: Sequence[TrainFull]) -> "list[Result[Tuned]]":
        """Models with all weights trained, one after another, in the order of the requests. Raises as :meth:`generate`.

        This model is left as it is. What fails is a failure with the losses of its steps, as in :meth:`train`.
        """
        return self._do("train_full", TrainFull, requests)

    def merged(self, account: Account, adapter: Adapter) -> "Model":
        """A model that answers without an adapter as this one does with ``adapter``, at the price of this one without.

        This model is left as it is; its name stands in the new one's, with a digest behind it. Charged: the products
        ``B A``, 2 x rank x inputs x outputs FLOPs for each adapted matrix, and the seconds it took. Weights of 16 bits
        take the sum rounded, as they do in PEFT: a slight adapter is then partly lost. Raises as :meth:`generate` does,
        and ValueError where memory does not suffice.
        """
        return self.merge([Merge(account=account, adapter=adapter)])[0].get()

    def merge(self, requests: Sequence[Merge]) -> "list[Result[Model]]":
        """:meth:`merged` for several requests, each with its charges; what fails is a failure in its result."""
        results: list[Result[Tuned]] = self._do("merge", Merge, requests)
        models = [one.product.model if one.product else None for one in results]
        return [
            Result(model, one.failure, one.charges, one.cost, one.overrun, one.estimated)
            for model, one in zip(models, results, strict=True)
        ]

    def run_scripts(self, requests: Sequence[RunScript]) -> "list[Result[Adapted]]":
        """What came of scripts that trained this model in processes of their own, one after another.

        Each is charged with what it booked itself, as far as that can be believed, and with its whole budget where it
        cannot: then, and where it wrote nothing that this model can be examined with, its result is a failure.
        Raises InputError where the account has no limit.
        """
        results = []
        for request in requests:
            self._introduce(request.account.book)
            source, dtype = self.__backend.located()
            run = run_script(request, source, dtype, self.__backend.with_output)
            failure = Failure("script", run.trouble, 0) if run.trouble else None
            derived = isinstance(run.product, Derived)
            tuned = self._wrapped(run.product, "") if isinstance(run.product, Derived) else None
            model = tuned.model if isinstance(tuned, Tuned) and tuned.model else self
            product = Adapted(model, None if derived else run.product, run.trained, run.written)
            results.append(Result(product, failure, run.charges, run.cost))
        return results

    def quote(self, requests: Sequence[Request]) -> list[Cost]:
        """What each request would be reserved at, run together as one batch. Nothing is run and nothing reserved."""
        return [self._cost(parts) for parts in self.__backend.quote(list(requests))]

    def steps_within(
        self,
        request: Train | TrainFull,
        amounts: Mapping[Currency, float] | None = None,
        *,
        beside: Sequence[Request] = (),
    ) -> int:
        """The largest ``max_steps`` with which a job's quote is within ``amounts`` in every currency that they name.

        0 where not even one step is; never more than the job's own steps. ``amounts`` None means what the request's
        account may still reserve. ``beside`` are the other requests of the batch that it will run in. Nothing is run.
        """
        slack = 0.0 if amounts is not None else 1e-12  # what is left of a budget is a difference, and so is rounded
        limits = request.account.remaining() if amounts is None else amounts

        def fits(steps: int) -> bool:
            quote = self.quote([_cut(request, steps), *beside])[0]
            asked = {currency: quote.amount(currency) for currency in limits}
            return all(cost is not None and cost <= limits[name] * (1 - slack) for name, cost in asked.items())

        low, high = 0, request.job.total_steps
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return low

    @property
    def templated(self) -> bool:
        """Whether conversations go through a template of its own, as those of instruct models do."""
        return self.__backend.templated

    def tokenize(self, text: Prompt, *, special: bool = True, answer: str = "") -> tuple[int, ...]:
        """Token ids of a text, with the special tokens that the model puts around one where ``special``. Free.

        Of a conversation, those of the model's template, up to where an answer begins. ``answer`` is the beginning of
        one, put behind either and cut into tokens together with it.
        """
        return self.__backend.tokenize(text, special=special, answer=answer)

    def shown(self, prompt: Prompt) -> str:
        """A prompt as the model reads it, special tokens included (only a server knows those of its own). Free."""
        return self.__backend.shown(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out. Free. Raises InputError where only a server knows its tokens."""
        return self.__backend.decode(tokens)

    def save_adapter(self, adapter: Adapter, folder: Path | str) -> None:
        """Write an adapter of this model in PEFT's format. Free."""
        self.__backend.save_adapter(adapter, Path(folder))

    def load_adapter(self, folder: Path | str) -> Adapter:
        """Read an adapter in PEFT's format. Free. Raises InputError where it does not fit the model."""
        return self.__backend.load_adapter(Path(folder))

    def _cost(self, parts: Sequence[Part]) -> Cost:
        return total(self.__prices.cost(part) for part in parts)

    def _do(self, operation: str, kind: type, requests: Sequence[Request]) -> list[Result[Any]]:
        for request in requests:
            if not isinstance(request, kind):
                raise TypeError(f"{operation} takes {kind.__name__} requests, not {type(request).__name__}")
        results: dict[int, Result[Any]] = {}
        waiting, wait = list(range(len(requests))), 0.0
        names = [""] * len(requests) if self.__replay is None else self.__replay.names(self._lineage, requests)
        for attempt in range(1, self._attempts + 1):
            if not waiting:
                break
            if attempt > 1:
                self._pause(attempt - 1, wait)
            chosen = [requests[place] for place in waiting]
            known = Known(self.__replay, [names[place] for place in waiting], chosen)
            try:
                reservations = self._reserve(operation, chosen, known)
            except BudgetExceeded:
                if attempt == 1:
                    raise
                break  # what was tried before stands
            if attempt == 1 and self.__replay is not None:
                self.__replay.count(names)
            again, wait = [], 0.0
            for done, reservation, cost in self._run(chosen, reservations, attempt, known):
                place = waiting[done.request]
                results[place] = self._result(done, reservation, cost, results.get(place), names[place])
                if done.again:
                    again.append(place)
                    wait = max(wait, done.wait)
            waiting = sorted(again)
        return [results[place] for place in range(len(requests))]

    def _reserve(self, operation: str, requests: Sequence[Request], known: Known) -> list[Reservation]:
        """All of the batch, or nothing; what was paid for before as it was quoted then."""
        held: list[Reservation] = []
        quotes = dict(zip(known.rest, self.quote([requests[place] for place in known.rest]), strict=True))
        quotes |= {place: kept.quote for place, kept in known.kept.items()}
        try:
            for place, request in enumerate(requests):
                self._introduce(request.account.book)
                held.append(request.account.reserve(operation, quotes[place], recorded(request), later=True))
        except BaseException:
            for reservation in held:
                reservation.fail(NOT_RUN, Cost.zero(), later=True)
            _flush(held)
            raise
        _flush(held)
        return held

    def _introduce(self, book: Book) -> None:
        """Note once in every book by what prices this model is charged, and that they were found true."""
        if book not in self._introduced:
            checked = self.check_prices()
            check = {} if checked is None else {"check": checked.statement()}
            book.note(f"model {self.name}", self.__prices.statement() | check)
            self._introduced.add(book)

    def _run(
        self, requests: Sequence[Request], reservations: Sequence[Reservation], attempt: int, known: Known
    ) -> Iterator[tuple[Done, Reservation, Cost]]:
        """Run reserved requests; each is booked as soon as its end is reported. Those known from before do not run."""
        # Whatever ends this loop, each reservation is booked exactly once: those whose end nobody told at their quotes.
        unended = dict(enumerate(reservations))
        try:
            for place, kept in known.kept.items():
                done, reservation = known.done(place, self.__backend), unended.pop(place)
                known.keep(done, reservation, kept.cost, self.__backend)
                self._book(done, reservation, kept.cost, later=True)
                reservation.account.book.move(kept.row, reservation)
                yield done, reservation, kept.cost
            shares = SharedSeconds([reservations[place].quote for place in known.rest], self._clock)
            for ended in self.__backend.run([requests[place] for place in known.rest], attempt) if known.rest else ():
                done = replace(ended, request=known.rest[ended.request])
                reservation = unended.pop(done.request)
                cost = reservation.quote if done.parts is None else self._cost(done.parts)
                if self.__prices.timed:
                    cost = replace(cost, seconds=shares.take(ended.request))
                known.keep(done, reservation, cost, self.__backend)
                later = reservation.operation in AT_ONCE
                if not later:
                    known.note()
                self._book(done, reservation, cost, later=later)
                yield done, reservation, cost
            _require_all_ended(self.name, len(unended))
        except BaseException as error:
            for reservation in unended.values():
                with contextlib.suppress(OverrunError):
                    reservation.fail(error, later=True)
            raise
        finally:
            known.note()
            _flush(reservations)

    def _book(self, done: Done, reservation: Reservation, cost: Cost, *, later: bool) -> None:
        with contextlib.suppress(OverrunError):  # the row is marked, and so is the result
            if done.failure is None:
                reservation.settle(cost, later=later)
            else:
                reservation.fail(f"{done.failure.kind}: {done.failure.detail}", cost, later=later)
        if done.estimated:
            reservation.account.book.note("tokens estimated", {"charge": reservation.row, "how": done.estimated})

    def _wrapped(self, product: Product | None, lineage: str) -> "Answered | Scored | Trained | Tuned | None":
        if not isinstance(product, Derived):
            return product
        model = None
        if product.backend is not None:
            model = self._made(product.backend, self.__replay, lineage, None)
            model.__origin = self.__origin
        return Tuned(product.key, model, product.losses)

    def _result(
        self, done: Done, reservation: Reservation, cost: Cost, before: Result[P] | None, name: str
    ) -> Result[Any]:
        return Result(
            product=self._wrapped(done.product, name),
            failure=done.failure,
            charges=(*(before.charges if before else ()), reservation.row),
            cost=cost,
            overrun=overruns(reservation.quote, cost),
            estimated=done.estimated,
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A model of its own with other weights, and the loss of each step; ``model`` is None where training failed."""

    key: str
    model: Model | None
    losses: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """What a script left: the model, or another one with its weights, and perhaps an adapter for it.

    ``trained`` and ``written`` are the sequences of tokens that its meter saw trained on, and generated.
    """

    model: Model
    adapter: Adapter | None
    trained: tuple[tuple[int, ...], ...]
    written: tuple[tuple[int, ...], ...]


def _flush(reservations: Sequence[Reservation]) -> None:
    for book in {id(one.account.book): one.account.book for one in reservations}.values():
        book.flush()


def _require_all_ended(name: str, left: int) -> None:
    if left:
        raise RuntimeError(f"{name} did not say what became of {left} requests")


def _cut(request: Train | TrainFull, steps: int) -> Train | TrainFull:
    return replace(request, job=replace(request.job, max_steps=steps))
