"""Reader: turns a folder of published results into a claim, as a small form to fill in."""

from abc import ABC, abstractmethod
from pathlib import Path

from netgain.errors import InputError
from netgain.extensions import find, names
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter


class Reader(ABC):
    """Base of all readers: one for each layout of published results. Made without arguments."""

    @abstractmethod
    def recognises(self, folder: Path) -> bool:
        """Whether the folder holds results of this layout. Must be cheap and must not raise."""

    @abstractmethod
    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim in the folder; ``tokens.count(texts)`` counts tokens where the results hold only texts.

        Missing, truncated or changed files become findings of the claim; raises InputError only where nothing at all
        can be used. Whatever is not published stays None: unknown, never zero.
        """


def find_reader(folder: Path, name: str | None = None) -> Reader:
    """The reader of this name (or ``file.py:Class``); without one, the first by name that recognises the folder.

    Raises InputError for a name that is not known, and where no reader recognises the folder.
    """
    if name is not None:
        reader: Reader = find("reader", name)()
        return reader
    known = names("reader")
    for candidate in known:
        reader = find("reader", candidate)()
        if reader.recognises(folder):
            return reader
    raise InputError(
        str(folder),
        f"no result files that a reader knows were found in it (readers: {', '.join(known)})",
        "give the folder that the authors published, name a reader of your own with --reader file.py:Class, "
        "or write a claim card with `netgain audit --new-card`",
    )
