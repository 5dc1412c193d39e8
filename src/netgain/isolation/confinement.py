"""What the kernel lets a method's process do: where it may write, what it may not read, whom it may signal.

By Landlock (Linux 5.13 and later; no privilege needed, inherited by every process that it starts, never taken back).
Where there is none the process is not confined, and :func:`confine` says so; docs/security.md says what that means.
"""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the numbers of the system calls, the same on every architecture but alpha
_READ = 1 << 2  # of a file
_WRITE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_SCOPES = 0b11  # abstract sockets and signals: to processes of its own only
_NO_NEW_PRIVILEGES, _DEATH_SIGNAL, _SUBREAPER = 38, 1, 36
_DEVICES = Path("/dev")


def confine(writable: Path) -> int:
    """From now on this process and its children may write to ``writable`` and to devices only, and signal themselves
    only. The version of Landlock that holds them to it; 0 where there is none."""
    version = landlock_version()
    if version:
        handled = _WRITE | _MAKE_AND_REMOVE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
        allowed = [(writable, handled)] + [(_DEVICES, handled & ~_REFER)] * _DEVICES.is_dir()
        _restrict(version, handled, allowed, _SCOPES if version >= 6 else 0)
    return version


def hide(places: Sequence[Path]) -> int:
    """From now on this process and its children cannot read the files at or below these places, nor what is put later
    into a folder above one of them. The version of Landlock that holds them to it; 0 where there is none."""
    version, hidden = landlock_version(), [place.resolve() for place in places]
    if version and hidden:
        _restrict(version, _READ, [(path, _READ) for path in _beside(Path("/"), hidden)], 0)
    return version


def hideable(places: Sequence[Path]) -> tuple[Path, ...]:
    """Those of these places that can be hidden: not where netgain, Python and what can be imported are."""
    needed = [Path(place).resolve() for place in (*sys.path, sys.prefix, sys.base_prefix) if place]
    known = [place.resolve() for place in places]
    return tuple(place for place in known if not any(one.is_relative_to(place) for one in needed))


def _beside(folder: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """The largest places that together hold everything but what is hidden."""
    if not any(place.is_relative_to(folder) for place in hidden):
        yield folder
        return
    if folder in hidden or not folder.is_dir():
        return
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if not path.is_symlink():  # what it points to has a place of its own
                yield from _beside(path, hidden)


def landlock_version() -> int:
    """Which version of Landlock the kernel has; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, 1)))


def _restrict(version: int, handled: int, allowed: Sequence[tuple[Path, int]], scopes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    sizes = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", handled, 0, scopes)[:sizes]
    rules = libc.syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "Landlock does not take the rules")
    for path, rights in allowed:
        with contextlib.suppress(OSError):  # what is gone, or nobody may open, needs no rule
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            own = rights if path.is_dir() else rights & (_READ | _WRITE | _TRUNCATE)
            libc.syscall(_ADD, rules, 1, struct.pack("=Qi", own, opened), 0)
            os.close(opened)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    failed = libc.syscall(_RESTRICT, rules, 0)
    os.close(rules)
    if failed:
        raise OSError(ctypes.get_errno(), "Landlock does not hold this process")


def end_with_parent() -> None:
    """Have this process killed when the one that made it ends, and made the parent of what its children leave behind:
    all that it starts stays below it. On Linux only."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_DEATH_SIGNAL, 9, 0, 0, 0)
        libc.prctl(_SUBREAPER, 1, 0, 0, 0)
