"""Everything that netgain raises on purpose.

::

    NetgainError                 exit code 1: something failed that is not the user's input
    ├── InputError               exit code 2: a file, argument or value breaks a rule; one line says what to do
    └── MissingExtraError           exit code 2: a feature needs an optional dependency; the message holds the pip line

Every error is a plain exception with positional arguments only, so that it survives pickling between processes.
"""

from typing import final


class NetgainError(Exception):
    """Base of all errors that netgain raises on purpose. Its text is one line, written for the person who reads it."""

    exit_code = 1

    def __str__(self) -> str:
        return " ".join(str(part) for part in self.args)


@final
class InputError(NetgainError):
    """The user's input breaks a rule. ``where`` names the file (and line) or argument, ``problem`` the rule."""

    exit_code = 2

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        super().__init__(where, problem, remedy)
        self.where, self.problem, self.remedy = where, problem, remedy

    def __str__(self) -> str:
        line = f"{self.where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")
        return " ".join(line.split())


@final
class MissingExtraError(NetgainError):
    """A feature needs a package that is not installed. ``extra`` is the name in ``pip install 'netgain[extra]'``."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature, self.extra = feature, extra

    def __str__(self) -> str:
        return f"{self.feature} needs an optional dependency: pip install 'netgain[{self.extra}]'"
