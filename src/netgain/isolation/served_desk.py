"""A desk in the harness, served to a method in another process: every question of its own is answered by one function.

What a method may name are the numbers that it was given: its accounts, and the adapters and models that came of its own
requests. What it names beyond them is an error in its own program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, final

from netgain.domains.few_shot import FewShot
from netgain.errors import InputError, NetgainError
from netgain.isolation.crossing import Codec, ProtocolError, error_in_words
from netgain.metering.account import Account, Reservation
from netgain.metering.budget import Booking
from netgain.methods.method import Desk
from netgain.model.metered import Adapted, Model
from netgain.model.program import ModelCall, Steps, together
from netgain.model.requests import Result, Trained
from netgain.records.cost import Currency
from netgain.records.events import Opened

MOST_ACCOUNTS = 100_000  # accounts, reservations and views of one program
LECTURE = "lecture"
# fields that cross in a way of their own, or not at all
OF_ITS_OWN = ("model", "grade", "teacher", "folder", "few_shot", "own", "exam")


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Adapter:
    """An adapter that is about to cross, as its number."""

    number: int


@final
class Kept:
    """What programs that belong together (one that learned, and those that adapt after it) refer to by number."""

    def __init__(self) -> None:
        self._things: dict[int, object] = {}
        self._models: dict[int, int] = {}  # a model has one number, so that it is the same one over there
        self._last = 0

    def keep(self, thing: object) -> int:
        """A number for it."""
        if isinstance(thing, Model) and id(thing) in self._models:
            return self._models[id(thing)]
        self._last += 1
        self._things[self._last] = thing
        if isinstance(thing, Model):
            self._models[id(thing)] = self._last
        return self._last

    def forget(self, numbers: set[int]) -> None:
        """Let go of adapters; models stay, for they are few."""
        for number in numbers:
            if not isinstance(self._things.get(number), Model):
                self._things.pop(number, None)

    def model(self, number: object) -> Model:
        """The model of this number."""
        found = self._things.get(number) if isinstance(number, int) else None
        if not isinstance(found, Model):
            raise InputError("model", "is none that this arm was given", "use desk.model")
        return found

    def adapter(self, number: object) -> object:
        """The adapter of this number."""
        found = self._things.get(number) if isinstance(number, int) else None
        if found is None or isinstance(found, Model):
            raise InputError("adapter", "is none that this arm trained", "train it with yield from fit or train")
        return found


@final
class ServedDesk:
    """One program's desk. ``kept`` is what it shares with programs that belong to it."""

    def __init__(self, desk: Desk, kept: Kept) -> None:
        self.desk, self.kept = desk, kept
        self._own: set[int] = set()
        self.paid = False  # whether the last step's work was charged for
        self._accounts: dict[int, Account] = {desk.account.row: desk.account}
        self._reservations: dict[int, Reservation] = {}
        self._undo: list[Callable[[str], str]] = []
        resolve = {"Account": self._account, "Adapter": kept.adapter, "Model": kept.model}
        self.codec = Codec(self._refer, resolve)
        self._answers: dict[str, Callable[..., Any]] = {
            **{"facts": self._facts, "digest": self._digest, "quote": self._quote, "tokenize": self._tokenize},
            **{"shown": self._shown, "opened": self._opened, "open": self._open, "reserve": self._reserve},
            **{"settle": self._settle, "fail": self._fail, "discard": self._discard, "note": self._note},
            **{"charges": self._charges, "path": self._path, "length": self._length, "title": self._title},
            **{"spent": self._spent, "reserved": self._reserved, "remaining": self._remaining, "grade": self._grade},
            **{"lessons": self._lessons, "held_out": self._held_out, "views": self._views, "undo": self._undone},
            **{"decode": self._decode, "elect": self._elect, "shown_pairs": self._shown_pairs, "forms": self._forms},
        }

    def words(self) -> dict[str, Any]:
        """The desk, as the other process is told of it."""
        desk = self.desk
        told = {
            one.name: self.codec.encode(getattr(desk, one.name)) for one in fields(desk) if one.name not in OF_ITS_OWN
        }
        few_shot = desk.few_shot
        return told | {
            "model": [self.kept.keep(desk.model), self.codec.encode(self._facts(self.kept.keep(desk.model)))],
            "teacher": desk.teacher is not None,
            "folder": str(desk.folder),
            "few_shot": None if few_shot is None else [dict(few_shot.tools), few_shot.attempts],
        }

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What a question comes to, in words; an error that it raises is an error in the method's program."""
        try:
            answering = self._answers[message["ask"]]
            return {"value": self.codec.encode(answering(*map(self.codec.decode, message["with"])))}
        except Exception as error:
            return {"error": error_in_words(error)}

    def forget(self, numbers: Sequence[Any]) -> None:
        """Let go of adapters that the process no longer needs, as far as they are its own."""
        gone = self._own.intersection(number for number in numbers if isinstance(number, int))
        self._own -= gone
        self.kept.forget(gone)

    def end(self) -> None:
        """Let go of all of them."""
        self.kept.forget(self._own)

    # -- steps

    def do(self, words: Sequence[Any]) -> Steps[list[Any]]:
        """Make the calls that a method yielded; what came of them, in words. Raises what running them raises."""
        parts = [self._call(call) for call in words]
        made = [index for index, part in enumerate(parts) if isinstance(part, ModelCall)]
        lectures = [self._lecture(part) for part in parts if not isinstance(part, ModelCall)]
        programs = [_made([parts[index] for index in made], alone=not lectures), *lectures]
        plain, *texts = yield from together(programs)
        results, held = dict(zip(made, plain, strict=True)), iter(texts)
        done = [results[index] if index in results else next(held) for index in range(len(parts))]
        self.paid = any(isinstance(one, Result) and one.charges for part in done for one in part)
        return [self.codec.encode([self._crossing(one) for one in part]) for part in done]

    def _call(self, words: Any) -> Any:
        if not isinstance(words, dict) or not {"model", "requests"} >= words.keys() - {LECTURE}:
            raise ProtocolError("a call that is none")
        if LECTURE in words:
            return {name: self.codec.decode(value) for name, value in words[LECTURE].items()}
        return ModelCall(self.codec.decode(words["model"]), tuple(self.codec.decode(words["requests"])))

    def _lecture(self, told: Mapping[str, Any]) -> Steps[list[Any]]:
        teacher = self.desk.teacher
        if teacher is None:
            raise InputError("teacher", "this trial has none", "write teacher: oracle, or name a model")
        desk = replace(self.desk, names=tuple(map(str, told["names"])), model=told["model"], account=told["account"])
        count, form, temperature = int(told["count"]), str(told["form"]), float(told["temperature"])
        return [*(yield from teacher.write(desk, told["material"], count, form=form, temperature=temperature))]

    def _crossing(self, result: Any) -> Any:
        """The same, with the adapters in it as numbers."""
        if not isinstance(result, Result) or not isinstance(result.product, Trained | Adapted):
            return result
        return replace(result, product=replace(result.product, adapter=self._numbered(result.product.adapter)))

    def _numbered(self, adapter: object) -> _Adapter | None:
        if adapter is None:
            return None
        number = self.kept.keep(adapter)
        self._own.add(number)
        return _Adapter(number)

    def _refer(self, value: object) -> tuple[str, int] | None:
        if isinstance(value, _Adapter):
            return "Adapter", value.number
        if isinstance(value, Model):
            return "Model", self.kept.keep(value)
        if isinstance(value, Account):
            self._accounts[value.row] = value
            return "Account", value.row
        return None

    # -- accounts

    def _account(self, row: object) -> Account:
        found = self._accounts.get(row) if isinstance(row, int) else None
        if found is None:
            raise InputError(f"account {row}", "is not this arm's to spend from", "use desk.pay")
        return found

    def _opened(self, row: int) -> Opened:
        return self._account(row).opened

    def _open(self, wanted: Opened) -> Account:
        if wanted.parent is None or len(self._accounts) > MOST_ACCOUNTS:
            raise InputError(f"account {wanted.name!r}", "is not this arm's to spend from", "use desk.pay")
        parent = self._account(wanted.parent)
        own = {"run": wanted.run, "arm": wanted.arm, "seed": wanted.seed}
        inherited = {"run": parent.opened.run, "arm": parent.opened.arm, "seed": parent.opened.seed}
        if own != inherited:
            raise InputError(f"account {wanted.name!r}", "is of another arm", "use desk.pay")
        return parent.child(wanted.name, purpose=wanted.purpose, limit=wanted.limit)

    def _reserve(self, row: int, operation: str, quote: Any, settings: Mapping[str, Any]) -> int:
        if len(self._reservations) > MOST_ACCOUNTS:
            raise NetgainError("too many reservations of one program")
        reserved = self._account(row).reserve(operation, quote, settings)
        self._reservations[reserved.row] = reserved
        return reserved.row

    def _settle(self, row: int, cost: Any) -> None:
        self._reservation(row).settle(cost)

    def _fail(self, row: int, cost: Any, error: str) -> None:
        self._reservation(row).fail(error, cost)

    def _reservation(self, row: int) -> Reservation:
        if row not in self._reservations:
            raise InputError(f"charge {row}", "is none that this arm reserved")
        return self._reservations.pop(row)

    def _charges(self, since: int) -> tuple[Booking, ...]:
        account = self.desk.account
        return tuple(charge for charge in account.book.charges(since) if account.holds(charge))

    def _discard(self, rows: Sequence[int], reason: str) -> None:
        own = {charge.reservation for charge in self._charges(min(rows))}
        foreign = [row for row in rows if row not in own]
        if foreign:
            raise InputError(f"charge {foreign[0]}", "is not this arm's to throw away")
        self.desk.account.book.discard(rows, reason)

    def _note(self, text: str, data: Mapping[str, Any]) -> None:
        self.desk.account.book.note(text, data)

    def _path(self, row: int) -> tuple[int, ...]:
        return tuple(self.desk.account.book._standing.path(self._account(row).row))

    def _length(self) -> int:
        return self.desk.account.book.length

    def _title(self, row: int) -> str:
        return self._account(row).title

    def _spent(self, row: int, currency: Currency) -> float:
        return self._account(row).spent(currency)

    def _reserved(self, row: int, currency: Currency) -> float:
        return self._account(row).reserved(currency)

    def _remaining(self, row: int) -> dict[Currency, float]:
        return self._account(row).remaining()

    # -- models

    def _facts(self, number: int) -> dict[str, Any]:
        model = self.kept.model(number)
        return {"name": model.name, "ends": model.ends, "templated": model.templated, "shape": model.shape}

    def _digest(self, number: int) -> str:
        return self.kept.model(number).digest

    def _quote(self, number: int, requests: Sequence[Any]) -> list[Any]:
        return self.kept.model(number).quote(requests)

    def _tokenize(self, number: int, text: Any, special: bool, answer: str) -> tuple[int, ...]:
        return self.kept.model(number).tokenize(text, special=special, answer=answer)

    def _shown(self, number: int, prompt: Any) -> str:
        return self.kept.model(number).shown(prompt)

    def _decode(self, number: int, tokens: Sequence[int]) -> str:
        return self.kept.model(number).decode(tokens)

    # -- grades and examples

    @property
    def _few_shot(self) -> FewShot:
        if self.desk.few_shot is None:
            raise InputError("desk.few_shot", "is not there", "this domain's problems are no examples")
        return self.desk.few_shot

    def _grade(self, question: Any, answer: str) -> Any:
        return self.desk.grade(question, answer)

    def _lessons(self, material: Any, tools: Sequence[str], seed: int) -> Any:
        return self._few_shot.lessons(material, tools, seed)

    def _held_out(self, material: Any) -> Any:
        return self._few_shot.held_out(material)

    def _views(self, question: Any) -> list[tuple[int, str, str]]:
        views = self._few_shot.views(question)
        if len(self._undo) + len(views) > MOST_ACCOUNTS:
            raise NetgainError("too many views of one program")
        first = len(self._undo)
        self._undo += [view.undo for view in views]
        return [(first + index, view.text, view.category) for index, view in enumerate(views)]

    def _undone(self, number: int, answer: str) -> str:
        return self._undo[number](answer)

    def _elect(self, question: Any, given: Any) -> Any:
        return self._few_shot.elect(question, given)

    def _shown_pairs(self, text: str) -> Any:
        return self._few_shot.shown(text)

    def _forms(self, answer: str) -> Any:
        return self._few_shot.forms(answer)


def _made(calls: Sequence[ModelCall], *, alone: bool) -> Steps[list[Any]]:
    """What came of these calls."""
    return (yield calls) if calls or alone else []
