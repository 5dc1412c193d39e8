"""The desk as a method's process has it: the same classes as in the harness, with what they stand on far away.

Models, accounts and prompts are those of :mod:`netgain.methods`; behind a model's door and an account's book is a
question to the harness. What would be work that nobody pays for is refused here in words, and impossible there.
"""

import contextlib
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast, final

from netgain.domains.few_shot import FewShot, Lesson, View, Vote
from netgain.domains.problem import Material, Problem, Prompt, Question
from netgain.errors import InputError
from netgain.isolation.crossing import Codec, error_of, read_message, write_message
from netgain.metering.account import Account, Book
from netgain.metering.budget import Booking
from netgain.metering.shape import ModelShape
from netgain.methods.method import Desk, Teacher
from netgain.model.metered import OPERATIONS, Model
from netgain.model.program import ModelCall, Steps
from netgain.model.requests import Done, Part, Prices, Request, UnmeteredModel
from netgain.records.cost import Cost, Currency
from netgain.records.events import Event, Failed, Opened, Reserved, Settled

Reference = tuple[str, int]


@final
class AdapterReference:
    """An adapter that the harness keeps. Nobody looks inside; when nobody needs it any more the harness forgets it."""

    def __init__(self, number: int, forget: Callable[[int], None]) -> None:
        self.number, self._forget = number, forget

    def __del__(self) -> None:
        self._forget(self.number)

    def __repr__(self) -> str:
        return f"adapter {self.number}"


@final
class FarHarness:
    """The socket to the harness, and what its numbers stand for in this process."""

    def __init__(self, link: socket.socket) -> None:
        self.models: dict[int, Model] = {}
        self.accounts: dict[int, Account] = {}
        self.book = FarBook(self)
        self._refer_to: dict[int, Reference] = {}
        self.moved(link)

    def moved(self, link: socket.socket) -> None:
        """Go on over another socket: this process was forked from one that had learned, with all that it knew."""
        self.link, self._forgotten = link, list[int]()
        self.codec = Codec(self._reference, {"Adapter": self._adapter, "Model": self._model, "Account": self._account})

    def forget(self, number: int) -> None:
        """Take note that an adapter is no longer needed."""
        self._forgotten.append(number)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send something that is not answered here, with the adapters that are no longer needed."""
        forgotten, self._forgotten = self._forgotten, []
        write_message(self.link, {**message, "forgotten": forgotten} if forgotten else message)

    def hear(self) -> dict[str, Any]:
        """What the harness says next. A process whose harness is gone has nothing left to do."""
        message = read_message(self.link)
        if message is None:
            raise SystemExit(0)
        return message

    def ask(self, name: str, *arguments: object) -> Any:
        """Have the harness do something, and wait for what comes of it. Raises what it raised."""
        self.tell({"ask": name, "with": [self.codec.encode(one) for one in arguments]})
        answer = self.hear()
        if "error" in answer:
            raise error_of(answer["error"], here=False)
        return self.codec.decode(answer["value"])

    def model(self, number: int, facts: Mapping[str, Any]) -> Model:
        """The model of this number."""
        if number not in self.models:
            backend = cast("UnmeteredModel", _FarModel(self, number, facts))
            prices = _FarPrices(facts["shape"])
            made = self.models[number] = Model(backend, cast("Prices", prices))
            self._refer_to[id(made)] = ("Model", number)
        return self.models[number]

    def _model(self, number: int) -> Model:
        return self.models[number] if number in self.models else self.model(number, self.ask("facts", number))

    def _adapter(self, number: int) -> AdapterReference:
        return AdapterReference(number, self.forget)

    def _account(self, row: int) -> Account:
        if row not in self.accounts:
            self.accounts[row] = Account(cast("Book", self.book), row, self.ask("opened", row))
        return self.accounts[row]

    def _reference(self, value: object) -> Reference | None:
        if isinstance(value, AdapterReference):
            return "Adapter", value.number
        if isinstance(value, Model):
            if id(value) not in self._refer_to:
                raise InputError(f"model {value.name!r}", "is none that this arm was given", "use desk.model")
            return self._refer_to[id(value)]
        if isinstance(value, Account):
            if cast("object", value.book) is not self.book:
                raise InputError(f"account {value.opened.name!r}", "is not this arm's to spend from", "use desk.pay")
            return "Account", value.row
        return None


@final
class FarBook:
    """What an account asks of its book; the journal itself is the harness's."""

    def __init__(self, harness: FarHarness) -> None:
        self._harness, self._opened = harness, dict[tuple[Any, ...], Account]()
        self._standing, self._lock = FarStanding(harness), contextlib.nullcontext()

    def account(self, name: str, **_: object) -> NoReturn:
        """An account without a parent is none of this arm's."""
        raise InputError(f"account {name!r}", "is not this arm's to spend from", "use desk.pay")

    def _open_account(self, wanted: Opened) -> Account:
        key = (wanted.parent, wanted.name, wanted.run, wanted.arm, wanted.seed, wanted.purpose, wanted.limit)
        if key not in self._opened:
            self._opened[key] = self._harness.ask("open", wanted)
        return self._opened[key]

    def _record(self, event: Event, later: bool = False) -> tuple[int, ...]:
        if isinstance(event, Reserved):
            if event.operation in OPERATIONS:
                where = f"model.{event.operation}"
                raise InputError(where, "was called past the steps", "yield from ask(model, ...)")
            row = self._harness.ask("reserve", event.account, event.operation, event.quote, event.settings)
            return (int(row),)
        if isinstance(event, Settled):
            self._harness.ask("settle", event.reservation, event.cost)
        elif isinstance(event, Failed):
            self._harness.ask("fail", event.reservation, event.cost, event.error)
        return (0,)

    def discard(self, reservations: "Sequence[Any]", reason: str) -> None:
        """As :meth:`netgain.metering.account.Book.discard`, for this arm's charges."""
        rows = [one if isinstance(one, int) else one.row for one in reservations]
        if rows:
            self._harness.ask("discard", rows, reason)

    def note(self, text: str, data: Mapping[str, Any] | None = None) -> None:
        """As :meth:`netgain.metering.account.Book.note`."""
        self._harness.ask("note", text, dict(data or {}))

    def charges(self, since: int = 0) -> tuple[Booking, ...]:
        """Those of this arm's own work."""
        return tuple(self._harness.ask("charges", since))

    def lineage(self, charge: Booking) -> tuple[int, ...]:
        """As :meth:`netgain.metering.account.Book.lineage`."""
        return tuple(self._harness.ask("path", charge.account))

    @property
    def length(self) -> int:
        """As :attr:`netgain.metering.account.Book.length`."""
        return int(self._harness.ask("length"))

    def flush(self) -> None:
        """The harness writes what is to be written."""


@final
class FarStanding:
    """The state of this arm's accounts, as the harness knows it."""

    def __init__(self, harness: FarHarness) -> None:
        self._harness = harness

    def title(self, row: int) -> str:
        return str(self._harness.ask("title", row))

    def path(self, row: int) -> Iterator[int]:
        return iter(self._harness.ask("path", row))

    def spent(self, row: int, currency: Currency) -> float:
        return float(self._harness.ask("spent", row, currency))

    def reserved(self, row: int, currency: Currency) -> float:
        return float(self._harness.ask("reserved", row, currency))

    def remaining(self, row: int) -> dict[Currency, float]:
        return dict(self._harness.ask("remaining", row))


# -- the model


@final
class _FarModel:
    """What stands behind a model's door: the harness. It answers what is free, and what work would cost."""

    def __init__(self, harness: FarHarness, number: int, facts: Mapping[str, Any]) -> None:
        self._harness, self._number = harness, number
        self.name, self.ends, self.templated = facts["name"], facts["ends"], facts["templated"]
        self._cut: dict[Any, tuple[int, ...]] = {}

    fingerprint = ""  # its weights are not here

    @property
    def digest(self) -> str:
        return str(self._harness.ask("digest", self._number))

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        costs = self._harness.ask("quote", self._number, requests)
        return [(cast("Part", _Quoted(cost)),) for cost in costs]

    def tokenize(self, text: Prompt, *, special: bool, answer: str = "") -> tuple[int, ...]:
        key = (text, special, answer)
        if key not in self._cut:
            self._cut[key] = self._harness.ask("tokenize", self._number, text, special, answer)
        return self._cut[key]

    def shown(self, prompt: Prompt) -> str:
        return str(self._harness.ask("shown", self._number, prompt))

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._harness.ask("decode", self._number, tuple(tokens)))

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        raise _past_the_steps()

    def located(self) -> tuple[str, str]:
        raise _past_the_steps()

    def with_output(self, folder: Path) -> NoReturn:
        raise _made_elsewhere(folder)

    def load_adapter(self, folder: Path) -> NoReturn:
        raise _made_elsewhere(folder)

    def save_adapter(self, adapter: object, folder: Path) -> NoReturn:
        problem = "adapters stay with the harness while a method of your own runs"
        raise InputError(
            "model.save_adapter", problem, "use the method script, which has its adapters in its own hands"
        )


def _made_elsewhere(folder: Path) -> InputError:
    problem = f"{folder}: an adapter that was made elsewhere is work that no budget of this arm paid for"
    return InputError(
        "model.load_adapter", problem, "train it here (yield from fit or train), or use the method script"
    )


def _past_the_steps() -> InputError:
    return InputError("model", "was called past the steps", "yield from ask(model, ...)")


@final
@dataclass(frozen=True, slots=True)
class _Quoted:
    """What the harness says that a request would cost, in the place of the parts of its work."""

    cost: Cost


@final
class _FarPrices:
    timed = False

    def __init__(self, shape: ModelShape | None) -> None:
        self.shape = shape

    def cost(self, part: _Quoted) -> Cost:
        return part.cost

    def statement(self) -> NoReturn:
        raise _past_the_steps()  # before anything is reserved, a model introduces itself to the book


# -- who teaches, and what a domain of examples offers


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lecture:
    """What a method asks of its teacher, in the place of a request to a model."""

    names: tuple[str, ...]
    model: Model
    account: Account
    material: Material
    count: int
    form: str
    temperature: float

    def in_words(self, codec: Codec) -> dict[str, Any]:
        """As it crosses."""
        return {name: codec.encode(getattr(self, name)) for name in self.__slots__}


@final
class FarTeacher(Teacher):
    """The trial's teacher, who writes in the harness."""

    def write(
        self, desk: Desk, material: Material, count: int, *, form: str = "", temperature: float = 1.0
    ) -> Steps[list[str]]:
        lecture = Lecture(
            names=desk.names,
            model=desk.model,
            account=desk.account,
            material=material,
            count=count,
            form=form,
            temperature=temperature,
        )
        (texts,) = yield [ModelCall(desk.model, cast("tuple[Any, ...]", (lecture,)))]
        return cast("list[str]", list(texts))


@final
class FarFewShot(FewShot):
    """What a domain of examples offers, made in the harness."""

    def __init__(self, harness: FarHarness, tools: Mapping[str, str], attempts: int) -> None:
        self._harness, self.tools, self.attempts = harness, tools, attempts

    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        return tuple(self._harness.ask("lessons", material, sorted(tools), seed))

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        return tuple(self._harness.ask("held_out", material))

    def views(self, question: Question) -> tuple[View, ...]:
        return tuple(self._view(*told) for told in self._harness.ask("views", question))

    def _view(self, number: int, text: str, category: str) -> View:
        return View(text, category, lambda answer: str(self._harness.ask("undo", number, answer)))

    def elect(self, question: Question, given: Sequence[Vote]) -> tuple[str, ...]:
        return tuple(self._harness.ask("elect", question, given))

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        return tuple(self._harness.ask("shown_pairs", text))

    def forms(self, answer: str) -> tuple[str, ...]:
        return tuple(self._harness.ask("forms", answer))


def desk_of(harness: FarHarness, words: Mapping[str, Any]) -> Desk:
    """The desk that the harness describes."""
    told = harness.codec.decode(dict(words))
    few_shot, model = told.pop("few_shot"), told.pop("model")
    return Desk(
        model=harness.model(*model),
        grade=lambda question, answer: harness.ask("grade", question, answer),
        teacher=FarTeacher() if told.pop("teacher") else None,
        folder=Path(told.pop("folder")),
        few_shot=None if few_shot is None else FarFewShot(harness, *few_shot),
        **told,
    )
