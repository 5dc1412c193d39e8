"""Everything that netgain raises on purpose.

::

    NetgainError                 exit code 1: something failed that is not the user's input
    ├── InputError               exit code 2: a file, argument or value breaks a rule; one line says what to do
    ├── MissingExtraError        exit code 2: a feature needs an optional dependency; the message holds the pip line
    ├── FaultError               exit code 1: the machine or a server failed, no method; it is to be done again
    ├── JournalError             exit code 1: the record of what was spent cannot be written or trusted
    ├── BudgetExceeded           exit code 1: a reservation would spend more than a budget allows; nothing was run
    └── OverrunError             exit code 1: work cost more than was reserved for it; it is booked in full all the same

Every error is a plain exception with positional arguments only, so that it survives pickling between processes.
"""

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import final


def nearest(word: str, valid: Iterable[str]) -> str:
    """A remedy for an unknown word: ``did you mean 'x'?`` if one is close, else the first twelve valid words."""
    words = list(valid)
    lowered = {candidate.lower(): candidate for candidate in words}
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(sorted(words)[:12]) + (", ..." if len(words) > 12 else "")
    return f"valid: {shown}" if words else ""


JOINERS = "\u200c\u200d"  # which words of some scripts, and some signs, cannot be written without


def one_line(text: str) -> str:
    """A text from outside as one line that a terminal only prints: what it would obey (escape sequences, NUL, marks
    that turn the direction of writing) and what it cannot print (half of a surrogate pair) stand there as codes."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode("ascii") for c in line)


def shown(value: object, most: int = 60) -> str:
    """A value as an error shows it, in at most so many characters. Python prints no number above 4,300 digits."""
    try:
        text = one_line(repr(value))
    except (ValueError, RecursionError):
        many = f"a number of {value.bit_length()} bits" if isinstance(value, int) else "what is too large to show"
        text = many if isinstance(value, int) else f"{many} (a {type(value).__name__})"
    return text if len(text) <= most else text[: most - 3] + "..."


TRAINING_PACKAGES = ("torch", "transformers", "peft", "safetensors")  # what the extra ``train`` installs


class NetgainError(Exception):
    """Base of all errors that netgain raises on purpose. Its text is one line, written for the person who reads it."""

    exit_code = 1

    def __str__(self) -> str:
        return one_line(" ".join(str(part) for part in self.args))


class LocatedError(NetgainError):
    """Base of those that say where something is wrong, what, and what to do about it."""

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        super().__init__(where, problem, remedy)
        self.where, self.problem, self.remedy = where, problem, remedy

    def __str__(self) -> str:
        line = f"{self.where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")
        return one_line(line)


@final
class InputError(LocatedError):
    """The user's input breaks a rule. ``where`` names the file (and line) or argument, ``problem`` the rule."""

    exit_code = 2


@final
class MissingExtraError(NetgainError):
    """A feature needs a package that is not installed. ``extra`` is the name in ``pip install 'netgain[extra]'``."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature, self.extra = feature, extra

    def __str__(self) -> str:
        return f"{self.feature} needs an optional dependency: pip install 'netgain[{self.extra}]'"


@final
class FaultError(LocatedError):
    """The machine or a server failed, and no method is to blame: what was under way is to be done again.

    ``where`` names what failed, ``problem`` how.
    """

    def __init__(self, where: str, problem: str, remedy: str = "run it again once that is mended") -> None:
        super().__init__(where, problem, remedy)


@final
class JournalError(LocatedError):
    """A journal cannot be opened, written or trusted. ``where`` names the file (and row), ``problem`` what is wrong."""


@final
class BudgetExceeded(NetgainError):  # noqa: N818 - the state it reports, not a mistake
    """A reservation does not fit into a budget; it was refused before anything ran.

    ``owner`` is the account whose budget it is, which may be an ancestor of ``asker``. The amounts are in ``currency``;
    ``asked`` is None where the quote does not know its own amount in a currency that the budget limits.
    """

    def __init__(
        self,
        owner: str,
        currency: str,
        budget: float,
        spent: float,
        reserved: float,
        asked: float | None,
        asker: str = "",
    ) -> None:
        super().__init__(owner, currency, budget, spent, reserved, asked, asker)
        self.owner, self.currency, self.budget = owner, currency, budget
        self.spent, self.reserved, self.asked, self.asker = spent, reserved, asked, asker

    def __str__(self) -> str:
        asked = "an unknown amount" if self.asked is None else f"{self.asked:.6g}"
        by = f" by {self.asker}" if self.asker and self.asker != self.owner else ""
        return (
            f"budget of {self.owner}: {asked} {self.currency} asked{by}, but of {self.budget:.6g} "
            f"{self.spent:.6g} are spent and {self.reserved:.6g} reserved"
        )


@final
class Terminated(BaseException):
    """The process was asked to end (SIGTERM). No plain exception: nobody may go on after it."""


@final
class OverrunError(NetgainError):
    """Work cost more than its reservation: ``actual`` against ``reserved`` in ``currency``. The charge is booked."""

    def __init__(self, account: str, operation: str, currency: str, reserved: float, actual: float) -> None:
        super().__init__(account, operation, currency, reserved, actual)
        self.account, self.operation, self.currency = account, operation, currency
        self.reserved, self.actual = reserved, actual

    def __str__(self) -> str:
        return (
            f"{self.account}: {self.operation} took {self.actual:.6g} {self.currency}, above the {self.reserved:.6g} "
            "reserved for it; it is booked in full, and its quote must be corrected"
        )


# Of the disk, of memory and of what a process may hold; a file that is not there is no fault of the machine.
_OF_THE_MACHINE = {
    errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOMEM, errno.EAGAIN, errno.EMFILE,
    errno.ENFILE, errno.ENODEV, errno.ENXIO, errno.ESTALE,
}  # fmt: skip
_OF_DEVICES = ("OutOfMemoryError", "AcceleratorError")  # of torch, known by name: this file imports nothing
_IN_WORDS = (
    *("can't allocate memory", "CUDA error", "out of memory", "can't start new thread", "cuDNN error"),
    *("No space left on device", "Input/output error", "Read-only file system", "File too large", "disk I/O error"),
)
_NUMBERED = re.compile(r"\(os error (\d+)\)")  # so libraries in Rust name the system's errors


def is_fault(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from or beside, is the machine's or a server's: of memory, the disk,
    a device, a journal. Such a one is nobody's answer and no method's failure."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, (FaultError, JournalError, MemoryError)) or type(error).__name__ in _OF_DEVICES:
            return True
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _IN_WORDS):
            return True
        if any(int(number) in _OF_THE_MACHINE for number in _NUMBERED.findall(str(error))):
            return True
        error = error.__cause__ or error.__context__
    return False
