"""What crosses between a method's process and the harness: plain data of known types, as JSON. Nothing is unpickled.

A value of one of the :data:`KNOWN` classes is an object that names its class and fields; whoever reads one makes it by
its own constructor, once every field has the type that the class declares. All sequences arrive as tuples. What belongs
to one side alone (a model, an adapter, an account) is a reference, a number that the other side cannot look into.
"""

import builtins
import json
import socket
import struct
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, Union, final, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel

from netgain import errors
from netgain.domains.few_shot import Lesson
from netgain.domains.problem import EditFormat, Grade, Material, Message, Problem, Prompts, Question
from netgain.engine.jobs import Failure, InnerLoopJob, PadLoss, PolicyLoss
from netgain.exam.exam import Answerer
from netgain.metering.budget import Booking
from netgain.metering.shape import ModelShape, Projection
from netgain.model.metered import Adapted, Tuned
from netgain.model.requests import (
    Answered,
    Generate,
    Merge,
    Result,
    RunScript,
    Score,
    Scored,
    Train,
    Trained,
    TrainFull,
)
from netgain.records.claim import Role
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Opened
from netgain.records.learning import ChosenTraining
from netgain.strict_json import parse_json

TAG = "$"  # the key under which an object names what it is
INTERNED = 16  # a run of numbers as long as this crosses once, and by its number after that
MOST_OPENED = 100  # files, sockets and programs that a process tells of
LARGEST = 1 << 30  # bytes of one message
DEEPEST = 100  # levels of values within values
_HEADER = struct.Struct(">Q")
_DATA = (Material, Question, Problem, Message, EditFormat, Prompts, Grade, Lesson, Answerer, Booking)
_WORK = (Generate, Score, Train, TrainFull, Merge, RunScript, InnerLoopJob, PolicyLoss, PadLoss)
_PRODUCTS = (Answered, Scored, Trained, Tuned, Adapted, Failure, Result, Cost, ModelShape, Projection)
KNOWN: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*_DATA, *_WORK, *_PRODUCTS, ChosenTraining, Opened, Purpose, Currency, Role)
}
OWN_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.NetgainError)
}
Refer = Callable[[object], "tuple[str, int] | None"]
Resolve = Mapping[str, Callable[[Any], object]]


class ProtocolError(errors.NetgainError):
    """The other side sent what makes no sense: it is not the program that was started, or it was tampered with."""


@final
class Codec:
    """One side's way to put values into words. ``refer`` gives the number of what belongs to this side (or to the
    other, and was referred to before), ``resolve`` what stands behind a number, by the kind of reference. With
    ``intern`` a long run of numbers crosses once: both sides then keep it, so that such a codec has one other side."""

    def __init__(
        self, refer: Refer = lambda _: None, resolve: Resolve = types.MappingProxyType({}), *, intern: bool = True
    ) -> None:
        self._refer, self._resolve, self._intern = refer, resolve, intern
        self._sent: dict[tuple[int, ...], int] = {}
        self._received: dict[int, tuple[int, ...]] = {}

    def encode(self, value: object, depth: int = 0) -> Any:
        """The value as plain JSON values. Raises TypeError for what is of no known type."""
        sent = len(self._sent)
        try:
            return self._words(value, depth)
        except BaseException:  # nothing of it is sent, so nothing of it may be named by its number
            while len(self._sent) > sent:
                self._sent.popitem()
            raise

    def _words(self, value: object, depth: int) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if depth > DEEPEST:
            raise TypeError("values within values cannot be handed to the harness as deep as this")
        if (reference := self._refer(value)) is not None:
            return {TAG: reference[0], "n": reference[1]}
        if isinstance(value, Purpose | Currency | Role):
            return {TAG: type(value).__name__, "v": value.value}
        if isinstance(value, BaseModel) and KNOWN.get(type(value).__name__) is type(value):
            return {TAG: type(value).__name__, **self._mapping(dict(value), depth)}
        if is_dataclass(value) and KNOWN.get(type(value).__name__) is type(value):
            own = {one.name: getattr(value, one.name) for one in fields(value)}
            return {TAG: type(value).__name__, **self._mapping(own, depth)}
        if isinstance(value, Mapping):
            if all(type(key) is str for key in value) and TAG not in value:
                return self._mapping(value, depth)
            return {TAG: "map", "v": [[self.encode(part, depth + 1) for part in pair] for pair in value.items()]}
        return self._simple(value, depth)

    def _simple(self, value: object, depth: int) -> Any:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, str):
            return str(value)
        if isinstance(value, bool | np.bool_):
            return bool(value)
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, Real):
            return float(value)
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, Sequence | Collection) and not isinstance(value, bytes | bytearray | memoryview):
            return self._sequence(tuple(value), depth)
        raise TypeError(f"{type(value).__name__} cannot be handed to the harness: give plain numbers and texts")

    def _mapping(self, value: Mapping[str, object], depth: int) -> dict[str, Any]:
        return {str(key): self.encode(part, depth + 1) for key, part in value.items()}

    def _sequence(self, value: tuple[Any, ...], depth: int) -> Any:
        if set(map(type, value)) != {int}:
            return [self.encode(part, depth + 1) for part in value]
        if not self._intern or len(value) < INTERNED:
            return list(value)
        if (number := self._sent.get(value)) is not None:
            return {TAG: "again", "n": number}
        number = self._sent[value] = len(self._sent)
        return {TAG: "first", "n": number, "v": list(value)}

    def decode(self, plain: Any, depth: int = 0) -> Any:
        """The value that these words mean. Raises ProtocolError for what is none."""
        if depth > 2 * DEEPEST:
            raise ProtocolError("a value is too deep")
        if isinstance(plain, list):
            if set(map(type, plain)) <= {int}:
                return tuple(plain)
            return tuple(self.decode(part, depth + 1) for part in plain)
        if not isinstance(plain, dict):
            return plain
        if TAG not in plain:
            return {key: self.decode(part, depth + 1) for key, part in plain.items()}
        try:
            return self._made(plain[TAG], plain, depth)
        except (errors.InputError, ProtocolError):
            raise
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise ProtocolError(f"{str(plain[TAG])[:40]}: {error}") from None

    def _made(self, tag: Any, plain: Mapping[str, Any], depth: int) -> Any:
        if tag in self._resolve:
            return self._resolve[tag](plain["n"])
        if tag == "first":
            numbers = tuple(plain["v"])
            if set(map(type, numbers)) != {int}:
                raise ProtocolError("a run of numbers holds something else")
            self._received[plain["n"]] = numbers
            return numbers
        if tag == "again":
            return self._received[plain["n"]]
        if tag == "map":
            return dict(self.decode(pair, depth + 1) for pair in plain["v"])
        kind = KNOWN.get(tag) if isinstance(tag, str) else None
        if kind is None:
            raise ProtocolError(f"{str(tag)[:40]!r} is no kind of value that crosses")
        if kind in (Purpose, Currency, Role):
            return kind(plain["v"])
        given = {key: self.decode(part, depth + 1) for key, part in plain.items() if key != TAG}
        if issubclass(kind, BaseModel):
            return kind.model_validate(given)
        declared = hints(tag)
        for name, part in given.items():
            if not fits(part, declared[name]):
                raise errors.InputError(f"{kind.__name__}.{name}", f"cannot be {errors.shown(part)}")
        return kind(**given)


@cache
def hints(name: str) -> dict[str, Any]:
    """The declared types of the fields of a class that crosses."""
    return get_type_hints(KNOWN[name])


PLAIN = Codec(intern=False)  # for what belongs to nobody (settings, presets, defaults) and crosses to many methods


def fits(value: Any, hint: Any) -> bool:
    """Whether a decoded value is of a declared type: every element of it, as far as the type says anything."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or hint is object or isinstance(hint, TypeVar) or origin is Generic:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        whole = parts[0] if len(parts) == 2 and parts[1] is Ellipsis else None
        if whole is None:
            return len(value) == len(parts) and all(map(fits, value, parts))
        return _all_fit(value, whole)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(k, parts[0]) and fits(v, parts[1]) for k, v in value.items())
    if isinstance(origin, type) and issubclass(origin, Collection):
        return isinstance(value, tuple) and _all_fit(value, parts[0])
    if hint is float:
        return type(value) in (int, float)
    if hint in (int, bool, str):
        return type(value) is hint
    if hint is None or hint is type(None):
        return value is None
    kind = origin or hint
    return isinstance(kind, type) and isinstance(value, kind)


def _all_fit(values: tuple[Any, ...], hint: Any) -> bool:
    if hint in (int, bool, str):
        return set(map(type, values)) <= {hint}
    return all(fits(value, hint) for value in values)


# -- errors


class MethodRaised(errors.NetgainError):
    """What a method raised that is no error of netgain's own: its kind and what it says, as it would be described."""


def error_in_words(error: BaseException) -> dict[str, Any]:
    """An error as plain values."""
    arguments = [one if type(one) in (bool, int, float, str, type(None)) else str(one) for one in error.args]
    return {"kind": type(error).__name__, "args": arguments, "text": _said(error)}


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # whatever a user's own class does there
        return "it cannot say what"


def error_of(words: Any, *, here: bool) -> Exception:
    """The error that these words mean. ``here`` in the harness: what is none of netgain's own is a MethodRaised; in
    the method's process it is Python's own of that name."""
    try:
        kind, arguments, text = str(words["kind"])[:200], list(words["args"]), str(words["text"])[:10_000]
    except (KeyError, TypeError):
        return ProtocolError("an error that says nothing")
    try:
        if kind in OWN_ERRORS:
            return OWN_ERRORS[kind](*arguments)
    except TypeError:
        return errors.NetgainError(text)
    known = vars(builtins).get(kind)
    if not here and isinstance(known, type) and issubclass(known, Exception):
        return known(text)
    return MethodRaised(f"{kind}: {text}") if here else RuntimeError(f"{kind}: {text}")


# -- messages


def write_message(link: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message whole."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    link.sendall(_HEADER.pack(len(body)) + body)


def read_message(link: socket.socket) -> dict[str, Any] | None:
    """The next message, waiting for it; None where the other side is gone. Raises ProtocolError for what is none."""
    header = _read(link, _HEADER.size)
    if header is None:
        return None
    (size,) = _HEADER.unpack(header)
    if size > LARGEST:
        raise ProtocolError(f"a message of {size} bytes")
    body = _read(link, size)
    if body is None:
        return None
    try:
        message = parse_json(body.decode("utf-8"))
    except ValueError:
        raise ProtocolError("a message that is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("a message that is no object")
    return message


def _read(link: socket.socket, size: int) -> bytes | None:
    parts, left = [], size
    while left:
        try:
            part = link.recv(min(left, 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
