"""A user's method as the harness has it: a class with the same name, role and settings, whose programs run elsewhere.

The file that it is written in is never loaded here. Its settings are those that the method's own process takes, with
netgain's classes below them; its ``learn`` and ``adapt`` are programs that ask that process for every step.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self, cast, final
from weakref import WeakKeyDictionary

from pydantic import PrivateAttr, ValidationError, create_model, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from netgain.domains.problem import Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.extensions import BUILT_IN, find_method, is_file, names
from netgain.isolation.crossing import MOST_OPENED, PLAIN, ProtocolError, error_in_words, error_of
from netgain.isolation.method_host import MethodEndedError, MethodHost, ProgramProcess
from netgain.isolation.served_desk import Kept, ServedDesk
from netgain.methods.method import Desk, Learned, Method, Settings
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.records.claim import Role

LONGEST = 300  # letters of each thing that a process says it opened


class SettingsElsewhere(Settings):
    """Settings that the method's own process validates; what it says of them beside their values is kept."""

    validate_elsewhere: ClassVar[Callable[[Any], Mapping[str, Any]]]
    _told: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _ask(cls, given: Any, made: Callable[[Any], Self]) -> Self:
        if not isinstance(given, Mapping):
            return made(given)
        told = cls.validate_elsewhere(PLAIN.encode(dict(given)))
        if "wrong" in told:
            wrong = [
                InitErrorDetails(
                    type=PydanticCustomError(one["type"], one["msg"].replace("{", "{{").replace("}", "}}")),
                    loc=tuple(one["loc"]),
                    input=_found(given, one["loc"]),
                )
                for one in told["wrong"]
            ]
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        settings = made(PLAIN.decode(told["fields"]))
        settings._told = dict(told)
        return settings

    def tunes(self, name: str) -> bool:
        """As the method's own class says."""
        return name in self._told.get("tunes", ())

    @property
    def files(self) -> tuple[str, ...]:
        """As the method's own class says."""
        return tuple(self._told.get("files", ()))

    def recorded(self) -> dict[str, Any]:
        """As the method's own class says."""
        return dict(self._told["recorded"]) if self._told else super().recorded()


def _found(given: Any, place: Sequence[Any]) -> Any:
    for part in place:
        given = given[part] if isinstance(given, Mapping) and part in given else None
    return given


@final
class LearnedElsewhere:
    """What a method learned and keeps in its own process; it stays there as long as this is kept."""


class UserMethod(Method):
    """Base of the classes that stand for a user's: ``host`` is the process that loaded it, ``source_file`` its file."""

    host: ClassVar[MethodHost]
    source_file: ClassVar[Path]

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self._after: WeakKeyDictionary[object, tuple[ProgramProcess, Kept]] = WeakKeyDictionary()
        self._latest: tuple[ProgramProcess, Kept] | None = None

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """What the method learns, in its own process."""
        kept = Kept()
        process = self.host.fork(desk.own.hidden)
        learned = yield from self._program(process, ServedDesk(desk, kept), "learn", tuple(problems), None)
        self._latest = process, kept
        self._after[learned] = self._latest
        return learned

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """What the method adapts to, in its own process: a copy of the one that learned, where one did."""
        after = self._after.get(learned) if isinstance(learned, Model | LearnedElsewhere) else None
        if after is None and isinstance(learned, Model):
            after = self._latest  # whose weights went on
        process, kept = (None, Kept()) if after is None else after
        served = ServedDesk(desk, kept)
        given = learned if isinstance(learned, Model) else None
        own = self.host.fork(desk.own.hidden, process)
        answerer: Answerer = yield from self._program(own, served, "adapt", tuple(materials), given)
        return answerer

    def _program(
        self, process: ProgramProcess, served: ServedDesk, stage: str, given: Sequence[Any], learned: Model | None
    ) -> Steps[Any]:
        """Drive a program in its process: answer what it asks, make the calls that it yields, and return what it
        returns. Raises what it raises, and MethodEndedError where it ends or hangs; nothing of it is left running."""
        own, ready, lives = served.desk.own, False, False
        encode = served.codec.encode
        try:
            begin = {"stage": stage, "desk": served.words(), "settings": PLAIN.encode(self.settings.model_dump())}
            process.say({"begin": begin | {"given": encode(given), "learned": encode(learned)}})
            process.allow(own.step_seconds)
            while True:
                message = process.hear()
                served.forget(message.get("forgotten", ()))
                if "ask" in message:
                    process.say(served.answer(message))
                elif "yield" in message:
                    process.say((yield from _step(served, message["yield"])))
                    process.go_on()
                    if served.paid:
                        process.allow(own.step_seconds)
                elif "ready" in message and not ready:
                    ready = True
                    process.is_ready()
                elif "return" in message:
                    own.opened = _opened(message)
                    value = _returned(served, stage, message["return"])
                    lives = stage == "learn"
                    return value
                elif "raise" in message:
                    own.opened = _opened(message)
                    raise error_of(message["raise"], here=True)
                else:
                    raise ProtocolError("a message that is none of a method's")
        finally:
            own.seconds = self.host.count(process)
            if not lives:
                served.end()
                process.end()


def _step(served: ServedDesk, calls: Any) -> Steps[dict[str, Any]]:
    served.paid = False
    try:
        return {"results": (yield from served.do(calls))}
    except Exception as error:
        return {"throw": error_in_words(error)}


def _opened(message: Mapping[str, Any]) -> tuple[str, ...]:
    """What the process says that it opened."""
    told = message.get("opened", ())
    return tuple(str(one)[:LONGEST] for one in told[:MOST_OPENED]) if isinstance(told, list) else ()


def _returned(served: ServedDesk, stage: str, words: Mapping[str, Any]) -> Any:
    if "value" in words:
        return served.codec.decode(words["value"])
    if stage == "adapt":
        raise InputError("adapt", f"returned {str(words['other'])[:80]}, not an Answerer", "return Answerer(...)")
    return LearnedElsewhere()


# -- finding


def find_arm_method(name: str, folder: Path | None = None) -> type[Method]:
    """The method of this name, as an arm of a trial has it: what ships as it is, any other as a :class:`UserMethod`.

    Raises InputError as :func:`netgain.extensions.find` does.
    """
    key = name.replace("_", "-")
    if key in BUILT_IN["method"] or not (is_file(name) or {name, key} & {*names("method")}):
        return find_method(name, folder)  # which says what is wrong with a name that is none
    try:
        host = MethodHost(name, folder or Path())
        found = _standing_for(host, host.load())
    except OSError as error:
        problem = f"no process can be started for it ({error.strerror})"
        raise InputError(f"method {name!r}", problem, "free memory, processes and space for temporary files") from None
    except MethodEndedError as error:
        raise InputError(f"method {name!r}", str(error), "its file must not do so when it is loaded") from None

    if found.role is Role.ORACLE:
        problem = "has the role of an upper bound by the exam's labels, which no file of one's own is given"
        raise InputError(f"method {name!r}", problem, "choose another role")
    return found


def _standing_for(host: MethodHost, told: Mapping[str, Any]) -> type[Method]:
    fields = {
        "role": PLAIN.decode(told["role"]),
        "learns": bool(told["learns"]),
        "presets": PLAIN.decode(told["presets"]),
        "Settings": _settings(host, told["settings"]),
        "host": host,
        "source_file": Path(told["file"]),
        "__doc__": str(told["doc"]),
        "__module__": __name__,
    }
    return cast("type[Method]", type(str(told["name"]), (UserMethod,), fields))


def _settings(host: MethodHost, told: Mapping[str, Any]) -> type[Settings]:
    bases = [_ours(base) for base in told["bases"]]
    fields: dict[str, Any] = {str(name): (Any, PLAIN.decode(default)) for name, default in told["fields"].items()}
    doc = str(told["doc"])
    made = cast("Any", create_model(str(told["name"]), __base__=(SettingsElsewhere, *bases), __doc__=doc, **fields))
    made.validate_elsewhere = partial(MethodHost.validate, host)
    made.search = PLAIN.decode(told["search"])
    made.private = frozenset(PLAIN.decode(told["private"]))
    return cast("type[Settings]", made)


def _ours(base: str) -> type[Settings]:
    """A class of netgain's own settings, by the module and name that the other process says."""
    module, _, name = base.partition(":")
    if module.partition(".")[0] != "netgain":
        raise ProtocolError(f"{base} is none of netgain's settings")
    found = vars(import_module(module)).get(name)
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise ProtocolError(f"{base} is none of netgain's settings")
    return found
