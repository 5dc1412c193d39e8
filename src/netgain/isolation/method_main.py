"""A method's process: it loads the user's file, says what is in it, and has a copy of itself run every program.

Started once for each method, it imports what a method needs (no torch, unless the method's file does), and then the
file. Every program runs in a copy made by fork, with a socket of its own: one that dies, hangs or changes what is in
memory takes only itself with it. The copy that learned stays, and those that adapt after it are copies of that: what a
method kept in memory while it learned is there.
"""

import inspect
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.extensions import find_method
from netgain.isolation.confinement import confine, end_with_parent, hide
from netgain.isolation.crossing import MOST_OPENED, PLAIN, error_in_words, error_of, read_message, write_message
from netgain.isolation.far_desk import FarHarness, Lecture, desk_of
from netgain.methods.method import Desk, Method
from netgain.model.metered import Model
from netgain.model.program import ModelCall, require_program


def main() -> None:
    """The life of the process that loads the file; its arguments are the harness's socket and its own folder."""
    place, folder = sys.argv[1:3]
    link = _connected(place, {})
    end_with_parent()
    confined = confine(Path(folder))
    method: type[Method] | None = None
    while (message := read_message(link)) is not None:
        try:
            if "load" in message:
                sys.path[:] = message["path"]
                method = find_method(message["load"], Path(message["folder"]))
                write_message(link, {"value": description(method) | {"landlock": confined}})
            elif method is None:
                raise InputError("method", "is not loaded")  # noqa: TRY301
            elif "validate" in message:
                write_message(link, {"value": validated(method, PLAIN.decode(message["validate"]))})
            elif "fork" in message:
                _fork(link, place, message, method)
            elif "ended" in message:
                write_message(link, {"value": _waited(message["ended"])})
        except BaseException as error:
            write_message(link, {"error": error_in_words(error)})


def _connected(place: str, greeting: Mapping[str, Any]) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.connect(place)
    write_message(link, greeting)
    return link


def _waited(pid: int) -> int | None:
    """How one of the copies ended; None where that is not known."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except (ChildProcessError, ValueError):
        return None


# -- what is in the file


def description(method: type[Method]) -> dict[str, Any]:
    """What the harness has to know of a class that it does not load."""
    shape = method.Settings
    own = [kind for kind in shape.__mro__ if issubclass(kind, _BASE)]
    ours = [kind for kind in own if _is_ours(kind)]
    bases = [kind for kind in ours if not any(kind in other.__mro__[1:] for other in ours)]
    added = {name for kind in own if not _is_ours(kind) for name in inspect.get_annotations(kind)}
    fields = {name: field for name, field in shape.model_fields.items() if name in added}
    return {
        "name": method.__name__,
        "doc": inspect.getdoc(method) or "",
        "role": PLAIN.encode(method.role),
        "learns": bool(method.learns),
        "presets": PLAIN.encode(method.presets),
        "file": inspect.getfile(method),
        "settings": {
            "name": shape.__name__,
            "doc": inspect.getdoc(shape) or "",
            "bases": [f"{kind.__module__}:{kind.__name__}" for kind in bases],
            "fields": {name: _default(field.get_default(call_default_factory=True)) for name, field in fields.items()},
            "search": PLAIN.encode(shape.search),
            "private": PLAIN.encode(sorted(shape.private)),
        },
    }


def _is_ours(kind: type[Any]) -> bool:
    return kind.__module__.partition(".")[0] == "netgain"


_BASE = Method.Settings


def _default(value: object) -> Any:
    try:
        return PLAIN.encode(value)
    except TypeError:
        return None  # whoever validates it knows it


def validated(method: type[Method], fields: Mapping[str, Any]) -> dict[str, Any]:
    """These settings as the method's own class takes them, or what is wrong with each."""
    try:
        made = method.Settings.model_validate(dict(fields))
    except ValidationError as error:
        found = error.errors(include_url=False)
        return {"wrong": [{name: PLAIN.encode(one[name]) for name in ("type", "loc", "msg")} for one in found]}
    return {
        "fields": PLAIN.encode(made.model_dump(mode="json")),
        "recorded": PLAIN.encode(made.recorded()),
        "files": PLAIN.encode(made.files),
        "tunes": [name for name in type(made).model_fields if made.tunes(name)],
    }


# -- a program


def _fork(link: socket.socket, place: str, message: Mapping[str, Any], method: "type[Method] | _Learner") -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    _reap()
    if pid := os.fork():
        write_message(link, {"value": {"pid": pid}})
        return
    code = 1
    try:
        link.close()
        os.setsid()
        end_with_parent()
        own = _connected(place, {"token": message["fork"]})
        hide([Path(one) for one in message["hidden"]])
        code = _serve(own, place, method)
    except SystemExit:
        code = 0  # its harness is gone, or has no more use for it
    finally:
        os._exit(code)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


@final
class OpenedThings:
    """What this process opens from now on, as the interpreter tells its audit hooks: what Python's own code opens, and
    nothing that a compiled library does by itself. Modules of Python's are left out."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self._usual = tuple({sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/proc/self", "/dev/"})

    def watch(self) -> None:
        """Begin."""
        sys.addaudithook(self._heard)

    def _heard(self, event: str, told: tuple[Any, ...]) -> None:
        if len(self.found) >= MOST_OPENED:
            return
        if event == "open" and isinstance(told[0], str | bytes | os.PathLike):
            path = os.fsdecode(told[0])
            writes = bool((told[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if writes or not (path.startswith(self._usual) or path.endswith((".py", ".pyc", ".so"))):
                self.found[f"{'wrote' if writes else 'read'} {path}"] = None
        elif event in ("socket.connect", "socket.sendto", "socket.bind"):
            self.found[f"socket {told[1]!r}"] = None
        elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            self.found[f"program {told[0]!r}"] = None


@final
class _Learner:
    """What a process that learned holds: the method as it is then, what it learned, and its socket's numbers."""

    def __init__(self, method: Method, learned: Any, harness: FarHarness) -> None:
        self.method, self.learned, self.harness = method, learned, harness


def _serve(link: socket.socket, place: str, found: "type[Method] | _Learner") -> int:
    """Run one program; where it was to learn, stay and be copied."""
    if isinstance(found, _Learner):
        harness = found.harness
        harness.moved(link)
    else:
        harness = FarHarness(link)
    opened = OpenedThings()
    begin = harness.hear()["begin"]
    desk = desk_of(harness, begin["desk"])
    if isinstance(found, _Learner):
        method, learned = found.method, found.learned
    else:
        method, learned = found(found.Settings.model_validate(PLAIN.decode(begin["settings"]))), None
    if begin["learned"] is not None:
        learned = harness.codec.decode(begin["learned"])
    given = harness.codec.decode(begin["given"])
    harness.tell({"ready": True})
    opened.watch()
    value = _run(harness, method, desk, begin["stage"], given, learned, opened)
    if begin["stage"] != "learn" or value is None:
        harness.hear()  # it is measured while it is there
        return 0
    learner = _Learner(method, value[0], harness)
    while True:
        message = read_message(harness.link)
        if message is None:
            return 0
        if "fork" in message:
            try:
                _fork(harness.link, place, message, learner)
            except OSError as error:
                write_message(harness.link, {"error": error_in_words(error)})
        elif "ended" in message:
            write_message(harness.link, {"value": _waited(message["ended"])})


def _run(
    harness: FarHarness, method: Method, desk: Desk, stage: str, given: Any, learned: Any, opened: OpenedThings
) -> tuple[Any] | None:
    """Drive the program to its end, and tell how it ended. What it returned; None where it raised."""
    try:
        steps = require_program(method.learn(desk, given) if stage == "learn" else method.adapt(desk, given, learned))
        message: dict[str, Any] = {"results": None}
        while True:
            if "throw" in message:
                calls = steps.throw(error_of(message["throw"], here=False))
            elif message["results"] is None:
                calls = next(steps)
            else:
                calls = steps.send([list(harness.codec.decode(one)) for one in message["results"]])
            harness.tell({"yield": [_in_words(harness, call) for call in calls]})
            message = harness.hear()
    except StopIteration as end:
        value = end.value
    except BaseException as error:
        harness.tell({"raise": error_in_words(error), "opened": [*opened.found]})
        return None
    try:
        harness.tell({"return": _returned(harness, stage, value), "opened": [*opened.found]})
    except Exception as error:
        harness.tell({"raise": error_in_words(error), "opened": [*opened.found]})
        return None
    return (value,)


def _in_words(harness: FarHarness, call: ModelCall) -> dict[str, Any]:
    first: object = call.requests[0] if call.requests else None
    if isinstance(first, Lecture):
        return {"lecture": first.in_words(harness.codec)}
    return {"model": harness.codec.encode(call.model), "requests": harness.codec.encode(call.requests)}


def _returned(harness: FarHarness, stage: str, value: Any) -> Any:
    """What the harness gets of it: an answerer, a model that was learned, else that there is something."""
    if isinstance(value, Answerer if stage == "adapt" else Model):
        return {"value": harness.codec.encode(value)}
    return {"other": type(value).__name__}


if __name__ == "__main__":
    main()
