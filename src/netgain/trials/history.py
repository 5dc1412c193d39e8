"""The history of a run: a journal of the folder as a whole, beside those of its tasks.

A task's own journal dies with its folder; what stands here does not. Each launch writes down what was asked where that
is new, and which tasks it began, finished and saw fail, with the heads of their journals. While one launch writes, the
operating system keeps a second one out of the folder.
"""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import netgain
from netgain.errors import InputError, JournalError
from netgain.records.chain import JournalRow
from netgain.records.events import Noted
from netgain.records.journal import Journal, writer_of

HISTORY = "history"
ASKED, BEGUN, FINISHED, FAILED, STOPPED, DONE = "asked", "begun", "finished", "failed", "stopped", "done"


@final
class History:
    """The writing end of a folder's history, a context manager: leaving it by an exception is written down."""

    def __init__(self, journal: Journal, last_asked: str) -> None:
        self._journal, self._last_asked = journal, last_asked

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The history of the run in ``folder``, begun where there is none. Raises InputError while a run goes on there,
        JournalError where it does not verify."""
        path = folder / HISTORY
        try:
            journal, rows = Journal.open(path, software=f"netgain {netgain.__version__}")
        except JournalError:
            writer = writer_of(path)
            if writer is None:
                raise
            remedy = "wait for it, stop it, or give another folder with --out"
            raise InputError(str(folder), f"a run is going on here ({writer})", remedy) from None
        asked = [note.data["hash"] for note in notes(rows) if note.text == ASKED]
        return cls(journal, asked[-1] if asked else "")

    def asked(self, spec: str, form: Mapping[str, Any]) -> None:
        """What is asked, whole, where this launch asks something else than the one before it; ``spec`` is its hash."""
        if spec != self._last_asked:
            self._note(ASKED, hash=spec, form=dict(form))
            self._last_asked = spec

    def begun(self, task: str, identity: str) -> None:
        """A task was given to somebody."""
        self._note(BEGUN, task=task, identity=identity)

    def finished(self, task: str, identity: str, attempts: int, head: str) -> None:
        """A task is finished; ``head`` is its journal's, and ``identity`` names its work and its rows."""
        self._note(FINISHED, task=task, identity=identity, attempts=attempts, head=head)

    def failed(self, task: str, error: str) -> None:
        """A task ended with an error."""
        self._note(FAILED, task=task, error=error[:500])

    def _note(self, text: str, **data: Any) -> None:
        self._journal.append(Noted(text=text, data=data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._note(DONE)
            else:
                with contextlib.suppress(JournalError):  # the disk that ended it may take no word about that either
                    self._note(STOPPED, by=kind.__name__)
        finally:
            self._journal.close()


def notes(records: Iterable[JournalRow]) -> list[Noted]:
    """What the rows of a history say, in order."""
    return [row.event for row in records if isinstance(row.event, Noted)]
