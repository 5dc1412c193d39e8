"""A trial in parts, each a process of its own, in one folder that all of them see: ``netgain run --shard 2/4``.

Which tasks a part does follows from the plan and its number alone, and no part waits for another. A part notes what it
did in a history of its own (``shards/2-of-4/history``), whose lock keeps a second process out of the part; a whole run,
which keeps out of the way of parts as they of it, takes these histories over into the folder's and judges.
"""

import contextlib
import heapq
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from netgain.errors import InputError, JournalError, shown
from netgain.records.chain import read, scan
from netgain.records.journal import writer_of
from netgain.trials.history import HISTORY, History
from netgain.trials.tasks import Task

SHARDS = "shards"


@final
@dataclass(frozen=True, slots=True)
class Shard:
    """The ``index``-th, from 1, of ``count`` parts of a trial."""

    index: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """``2/4``. Raises InputError for anything else."""
        found = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(f"--shard {shown(text)}", "is no part of a whole", "write I/N, I from 1 to N: --shard 2/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def folder(self, run: Path) -> Path:
        """Where the part keeps its history and its progress, in the folder of the run."""
        return run / SHARDS / f"{self.index}-of-{self.count}"

    def tasks(self, tasks: Sequence[Task], planned: Mapping[str, float]) -> tuple[Task, ...]:
        """The tasks of this part, in their order; ``planned`` is the work of each, by its name.

        All of an arm in a domain stays together, the tuning with the runs that wait for it. The arms are dealt, the one
        with the most work first, each to the part that has least so far.
        """
        work: dict[tuple[str, str], float] = {}
        for task in tasks:
            # Machines may differ in a last bit, and must not in the order.
            work[task.domain, task.arm] = float(f"{work.get(_arm(task), 0.0) + planned.get(task.name, 0.0):.3e}")
        dealt = [(0.0, 0, index) for index in range(1, self.count + 1)]
        own: set[tuple[str, str]] = set()
        for arm in sorted(work, key=lambda one: -work[one]):
            least, arms, index = heapq.heappop(dealt)
            heapq.heappush(dealt, (least + work[arm], arms + 1, index))
            if index == self.index:
                own.add(arm)
        return tuple(task for task in tasks if _arm(task) in own)


def _arm(task: Task) -> tuple[str, str]:
    return task.domain, task.arm


def holders(run: Path) -> dict[str, str]:
    """The parts of a run that are at work (``2/4``), with the process."""
    folders = sorted((run / SHARDS).glob("*-of-*"))
    working = {folder.name: holder for folder in folders if (holder := writer_of(folder / HISTORY))}
    return {name.replace("-of-", "/"): holder for name, holder in working.items()}


def in_the_way(run: Path, shard: Shard | None) -> str | None:
    """Who is at work in the folder of a run so that this part of it, or (None) a whole run, must not be.

    To be asked by whoever holds a lock of its own already: of two that begin at once, one then sees the other.
    """
    if shard is not None and (holder := writer_of(run / HISTORY)):
        return f"{holder}, on the whole trial"
    for part, holder in holders(run).items():
        if shard is None or not part.endswith(f"/{shard.count}"):
            return f"{holder}, on shard {part}"
    return None


def unjoined(run: Path) -> bool:
    """Whether any part noted something that no whole run has taken over."""
    return any((run / SHARDS).glob(f"*/{HISTORY}"))


def witness(history: History, run: Path, shard: Shard) -> None:
    """Note in the history of a part which other parts have one by now: one that is deleted with all that its part did
    is then missed, as long as any part that saw it is left."""
    for path in sorted((run / SHARDS).glob(f"*/{HISTORY}")):
        first = next(iter(scan(path)), None) if path.parent != shard.folder(run) else None
        if first is not None:
            history.seen(path.parent.name, first.hash)


def join(history: History, run: Path) -> None:
    """Take over what parts noted into the history of the whole, and remove their folders. The caller holds the folder,
    and no part is at work. Raises JournalError for a history that does not verify."""
    for folder in sorted((run / SHARDS).glob("*-of-*")):
        path = folder / HISTORY
        reading = read(path) if path.is_file() else None
        if reading is not None and reading.findings:
            raise JournalError(str(path), str(reading.findings[0]), "keep it as evidence and give another --out")
        if reading is not None:
            history.join(folder.name, reading.records)
        shutil.rmtree(folder, ignore_errors=True)  # a part that was begun just now, and finds the folder held, is in it
    with contextlib.suppress(OSError):
        (run / SHARDS).rmdir()
