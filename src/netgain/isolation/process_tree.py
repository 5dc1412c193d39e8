"""A process with all that it started, as the kernel counts it: processor seconds, and an end for all of them.

Read from ``/proc``, which the processes themselves cannot write to. Without one (not Linux) nothing is known.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


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
