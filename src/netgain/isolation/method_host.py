"""The harness's side of a method's processes: they are started, spoken to, measured and ended here.

Whom it speaks to it knows from the kernel: the process at the other end of a socket, with its number, and through that
its processor seconds and those of everything that it started.
"""

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from netgain.errors import NetgainError
from netgain.isolation.crossing import ProtocolError, error_of, read_message, write_message

_PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
START = 120.0  # seconds that a process has to come up, on a machine that is busy
SETUP = 0.1  # processor seconds in which a process is set up, at most
LONGEST_PLACE = 70  # letters of a folder for a socket, whose whole path has about 100
TALK = 60.0  # seconds that one message may take to arrive once it has begun


class MethodEndedError(NetgainError):
    """A method's process ended, or had to be ended, before its program did."""


@final
class MethodHost:
    """The process that has loaded one user's method. It is started when it is first needed, and again if it died."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        usual = Path(tempfile.gettempdir())
        place = usual if len(str(usual)) < LONGEST_PLACE else Path("/tmp")  # noqa: S108 - private to this user
        self._place = Path(tempfile.mkdtemp(prefix="netgain-method-", dir=place))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._place / "socket"))
        self._listener.listen(16)
        (self._place / "files").mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        self._links: list[socket.socket] = [self._listener]
        self._live: weakref.WeakSet[ProgramProcess] = weakref.WeakSet()
        self._counted = (
            0.0  # processor seconds below the process that loaded the file that belong to a program, or to none
        )
        weakref.finalize(self, _clean, self._place, self._links, self._started)

    def load(self) -> dict[str, Any]:
        """What is in the file, as :func:`netgain.isolation.method_main.description` says it. Raises InputError
        where it is no method."""
        self._stop()
        files = self._place / "files"
        environment = {**os.environ, "TMPDIR": str(files)}
        code = "from netgain.isolation.method_main import main; main()"
        process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", code, str(self._place / "socket"), str(files)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,  # what a method prints is no output of the command
            start_new_session=True,
        )
        self._started.append(process)
        link, _ = self._accepted(process.pid)
        self._links.append(link)
        told = self._told({"load": self._name, "folder": str(self._folder.resolve()), "path": sys.path})
        self._counted = seconds_of(process.pid) or 0.0  # importing is nobody's work
        return told

    def validate(self, fields: Any) -> dict[str, Any]:
        """What :func:`netgain.isolation.method_main.validated` says of these settings."""
        self._ensure()
        return self._told({"validate": fields})

    def fork(self, hidden: Sequence[Path], after: "ProgramProcess | None" = None) -> "ProgramProcess":
        """A process for one program: a copy of the one that loaded the file, or of the one ``after`` which learned.
        It reads nothing below what is ``hidden``."""
        link = after.link if after is not None else self._ensure()
        token = secrets.token_hex(8)
        try:
            write_message(link, {"fork": token, "hidden": [str(place) for place in hidden]})
            answer = read_message(link)
        except OSError:
            answer = None
        if answer is None:
            raise MethodEndedError("the process that its program starts from is gone")
        if "error" in answer:
            raise MethodEndedError(f"no process could be started for it ({error_of(answer['error'], here=True)})")
        own, pid = self._accepted(None, token)
        program = ProgramProcess(self, own, pid, link)
        self._counted += program.before
        self._live.add(program)
        return program

    def count(self, program: "ProgramProcess") -> float | None:
        """Processor seconds of a program that ends now, with all that its process started; with them what else was done
        below the process that loaded the file and belongs to no program. None: not known."""
        everything, own = seconds_of(self._started[-1].pid) if self._up else None, program.seconds()
        self._live.discard(program)
        if own is None:
            return None
        others = sum(one.seconds() or 0.0 for one in self._live)
        set_up = program.setup + sum(one.setup for one in self._live)
        rest = 0.0 if everything is None else max(0.0, everything - self._counted - own - others - set_up)
        self._counted += own + rest + program.setup
        return own + rest

    def _ensure(self) -> socket.socket:
        if not self._up:
            self.load()
        return self._links[-1]

    def _told(self, message: Mapping[str, Any]) -> dict[str, Any]:
        link = self._links[-1]
        try:
            write_message(link, message)
            answer = read_message(link)
        except TimeoutError:
            self._stop()
            raise MethodEndedError(f"{self._name} says nothing for {TALK:g} seconds while it is loaded") from None
        except OSError:
            answer = None
        if answer is None:
            raise MethodEndedError(f"the process of {self._name} ended ({self._how()})")
        if "error" in answer:
            raise error_of(answer["error"], here=True)
        return dict(answer["value"])

    @property
    def _up(self) -> bool:
        return bool(self._started) and self._started[-1].poll() is None

    def _how(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return how_ended(self._started[-1].wait(1.0))
        return "it is still there"

    def _accepted(self, pid: int | None, token: str | None = None) -> tuple[socket.socket, int]:
        """The socket of the process that was just started, which says the word that it was given, and its number."""
        until = time.monotonic() + START
        while (left := until - time.monotonic()) > 0:
            self._listener.settimeout(min(left, 1.0))
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                if not self._up:
                    break
                continue
            link.settimeout(TALK)
            peer = peer_of(link)
            with contextlib.suppress(OSError, ProtocolError):
                said = read_message(link)
                known = said is not None and said.get("token") == token
                if known and (pid is None or peer in (None, pid)):
                    return link, peer or pid or 0
            link.close()
        raise MethodEndedError(f"the process of {self._name} did not come up ({self._how()})")

    def _stop(self) -> None:
        for link in self._links[1:]:
            link.close()
        del self._links[1:]
        _stop_all(self._started)


@final
class ProgramProcess:
    """The process of one program, the socket to it, and what it took."""

    def __init__(self, host: MethodHost, link: socket.socket, pid: int, above: socket.socket) -> None:
        self._host, self.link, self._pid, self._above = host, link, pid, above
        self._watch = _watch(pid)
        self.before = seconds_of(pid) or 0.0
        self.setup = self._limit = self._left = 0.0
        self._since = time.monotonic()
        self._end = weakref.finalize(self, _end, link, self._watch, pid)

    def say(self, message: Mapping[str, Any]) -> None:
        """Tell it something. Raises MethodEndedError where it is gone."""
        try:
            write_message(self.link, message)
        except OSError:
            raise MethodEndedError(self._why()) from None

    def allow(self, seconds: float) -> None:
        """From now on it may take so long before its next step."""
        self._limit = self._left = seconds

    def is_ready(self) -> None:
        """What it took to come so far is nobody's work: its own begins now."""
        self.setup = min(self.seconds() or 0.0, SETUP)
        self.before += self.setup

    def go_on(self) -> None:
        """Its clock runs again, which stands still while a step of its own is done."""
        self._since = time.monotonic()

    def hear(self) -> dict[str, Any]:
        """What it says next. Raises MethodEndedError where it ends, or takes longer than it may."""
        ready = _ready([self.link.fileno()] + ([] if self._watch is None else [self._watch]), self._left)
        now = time.monotonic()
        self._left, self._since = self._left - (now - self._since), now
        if not ready:
            raise MethodEndedError(f"it took more than {self._limit:g} seconds for a step (isolation.step_seconds)")
        try:
            message = read_message(self.link) if self.link.fileno() in ready else None
        except OSError:
            raise MethodEndedError("it stopped in the middle of a message") from None
        if message is None:
            raise MethodEndedError(self._why())
        return message

    def seconds(self) -> float | None:
        """Processor seconds since its program began, those of processes that it started included; None: not known."""
        now = seconds_of(self._pid)
        return None if now is None else max(0.0, now - self.before)

    def end(self) -> None:
        """End it, and all that it started."""
        self._end()

    def _why(self) -> str:
        """How it ended, as far as the process that it was copied from knows."""
        how = "nobody knows how"
        with contextlib.suppress(OSError, ProtocolError):
            write_message(self._above, {"ended": self._pid})
            answer = read_message(self._above)
            if answer is not None and isinstance(answer.get("value"), int):
                how = how_ended(answer["value"])
        return f"its process ended before it did ({how})"


def how_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"


def peer_of(link: socket.socket) -> int | None:
    """The process at the other end, as the kernel knows it; None where it does not say."""
    if not sys.platform.startswith("linux"):
        return None
    return int(struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def _watch(pid: int) -> int | None:
    """A descriptor that can be read once the process has ended; None where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _ready(descriptors: Sequence[int], seconds: float) -> list[int]:
    """Those of them that can be read, once one of them can or the time is over."""
    waiting = select.poll()
    for one in descriptors:
        waiting.register(one, select.POLLIN)
    return [one for one, _ in waiting.poll(max(0.0, seconds) * 1000)]


def _end(link: socket.socket, watch: int | None, pid: int) -> None:
    """End a program's process, unless it has ended: another one may have its number by now."""
    if watch is None or not _ready([watch], 0.0):
        kill_tree(pid)
    link.close()
    if watch is not None:
        os.close(watch)


def _stop_all(started: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in started:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()


def _clean(place: Path, links: Sequence[socket.socket], started: Sequence["subprocess.Popen[bytes]"]) -> None:
    for link in links:
        link.close()
    _stop_all(started)
    shutil.rmtree(place, ignore_errors=True)


# -- a process with all that it started, as the kernel counts it: read from ``/proc``, which the processes cannot
# write to; without one (not Linux) nothing is known


def seconds_of(pid: int) -> float | None:
    """Processor seconds of a process, of those below it, and of those that they have waited for; None: not known."""
    own = _stat(pid)
    if own is None:
        return None
    below = [found for one in _below(pid) if (found := _stat(one)) is not None]
    return _precise(pid, own) + own[3] + sum(run + waited for _, _, run, waited in below)


def kill_tree(pid: int) -> None:
    """End a process and all that it started. It is stopped first, so that it starts nothing more."""
    _signal(pid, signal.SIGSTOP)
    for one in [*_below(pid)]:
        _signal(one, signal.SIGKILL)
    _signal(pid, signal.SIGKILL)


def _below(pid: int) -> Iterator[int]:
    """The processes that this one started, and those that they started."""
    children: dict[int, list[int]] = {}
    for name in _names():
        if (found := _stat(name)) is not None:
            children.setdefault(found[0], []).append(name)
    waiting = [*children.get(pid, ())]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, ())
        yield one


def _names() -> list[int]:
    try:
        return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> tuple[int, str, float, float] | None:
    """Its parent, its state, its processor seconds, and those of the children that it waited for."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    user, system, waited_user, waited_system = map(int, fields[11:15])
    return int(fields[1]), fields[0], (user + system) / TICKS, (waited_user + waited_system) / TICKS


def _precise(pid: int, stat: tuple[int, str, float, float]) -> float:
    """Its own seconds by its clock, which is finer than the ticks of ``stat``."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return stat[2]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
