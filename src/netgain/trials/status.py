"""How far a run is, from its folder alone: also from another process, while it is running."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from netgain.records.journal import writer_of
from netgain.trials.progress import Progress
from netgain.trials.store import Store, write
from netgain.trials.tasks import Task, tasks

SNAPSHOT = "progress.json"


def write_snapshot(store: Store, progress: Progress) -> None:
    """Put down what only the running process knows, for whoever asks in another one."""
    left = None if progress.ended else progress.seconds_left()
    fields = {"written": time.time(), "share": progress.share(), "gone": progress.seconds_gone(), "left": left}
    spent = sum(arm.spent for arm in progress.arms())
    write(store.folder / SNAPSHOT, json.dumps(fields | {"spent": spent}) + "\n")


@final
@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run's tasks by what became of them. ``failed`` gives the reasons, ``running`` who is at it.

    ``share`` of the planned work, ``seconds_gone`` and ``seconds_left`` are those of the process that is running, as
    far as it knows them; ``spent`` is in ``currency``, the exams' work included.
    """

    name: str
    folder: str
    finished: tuple[str, ...]
    running: dict[str, str]
    failed: dict[str, str]
    cut_off: tuple[str, ...]
    waiting: tuple[str, ...]
    currency: str
    spent: float
    share: float | None = None
    seconds_gone: float | None = None
    seconds_left: float | None = None

    @property
    def tasks(self) -> int:
        """How many there are in all."""
        return sum(map(len, (self.finished, self.running, self.failed, self.cut_off, self.waiting)))

    def dump(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def status_of(folder: Path) -> RunStatus:
    """The status of the run in a folder. Raises InputError where there is none."""
    store = Store(folder)
    spec, _ = store.asked()
    states = {task.name: _state(store, task) for task in tasks(spec)}

    def those(state: str) -> dict[str, str]:
        return {name: told for name, (found, told) in states.items() if found == state}

    currency = spec.budget.currency.value
    snapshot = _read(folder / SNAPSHOT) if those("running") else {}
    finished = sum(_spent(store, task, currency) for task in tasks(spec))
    age = max(0.0, time.time() - snapshot["written"]) if snapshot else 0.0
    left = snapshot.get("left")
    return RunStatus(
        name=spec.name,
        folder=str(folder),
        finished=tuple(those("finished")),
        running=those("running"),
        failed=those("failed"),
        cut_off=tuple(those("cut off")),
        waiting=tuple(those("waiting")),
        currency=currency,
        spent=max(finished, snapshot.get("spent", 0.0)),
        share=snapshot.get("share"),
        seconds_gone=snapshot["gone"] + age if snapshot else None,
        seconds_left=None if left is None else max(0.0, left - age),
    )


def _state(store: Store, task: Task) -> tuple[str, str]:
    """What became of a task, with the reason of a failure or the writer of its journal."""
    folder = store.of(task)
    writer = writer_of(store.journal(task))
    if writer is not None:
        return "running", writer
    if (folder / "unit.json").is_file():
        return "finished", ""
    try:
        lines = (folder / "failed.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ("cut off" if store.journal(task).is_file() else "waiting"), ""
    return "failed", lines[-1] if lines else "no reason given"


def _spent(store: Store, task: Task, currency: str) -> float:
    spent = _read(store.of(task) / "unit.json").get("spent", {})
    return sum(float(amounts.get(currency, 0.0)) for amounts in spent.values())


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
