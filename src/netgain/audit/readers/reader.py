"""What a reader is, and how the right one is found."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from netgain.errors import InputError
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter


class Reader(Protocol):
    """Turns a folder of published results into a claim.

    ``recognises`` must be cheap and must not raise. ``read`` meets missing, truncated or changed files with findings
    in the claim, and raises InputError only where nothing at all can be used.
    """

    def recognises(self, folder: Path) -> bool: ...

    def read(self, folder: Path, tokens: TokenCounter) -> Claim: ...


def find_reader(folder: Path) -> Reader:
    """The first installed reader (by name) that recognises the folder. Raises InputError where none does."""
    names = []
    for entry in sorted(entry_points(group="netgain.readers"), key=lambda entry: entry.name):
        reader: Reader = entry.load()()
        names.append(entry.name)
        if reader.recognises(folder):
            return reader
    raise InputError(
        str(folder),
        f"no result files that a reader knows were found in it (readers: {', '.join(names)})",
        "give the folder that the authors published, or write a claim card with `netgain audit --new-card`",
    )
