"""How far a trial is, as values: in the process that runs it, by what its tasks report (:class:`Progress`); from the
run's folder alone, also for another process while it is running (:class:`RunStatus`). Whoever shows it only reads.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from netgain.metering.budget import Standing
from netgain.metering.verification import replay
from netgain.records.chain import scan
from netgain.records.cost import Currency
from netgain.records.journal import writer_of
from netgain.trials.context import LOST
from netgain.trials.history import HISTORY
from netgain.trials.resolve import Trial
from netgain.trials.shards import holders
from netgain.trials.store import Store, write
from netgain.trials.tasks import Task, adaptations, budget, json_object, result_in, tasks

SNAPSHOT = "progress.json"

# An estimate from less than this is noise: the first tasks wait for kernels to be compiled and caches to be filled.
LEAST_SECONDS, LEAST_SHARE = 10.0, 0.02
LATEST = 1e12  # seconds since 1970: no time of a run is beyond that
UNFINISHED = 0.98  # of a task, however much it has spent: a plan may be below what a task takes


@final
@dataclass(frozen=True, slots=True)
class ArmProgress:
    """One arm over all its tasks: adaptations done, of how many, and what is spent of what, in the trial's currency."""

    arm: str
    label: str
    done: int
    of: int
    spent: float
    budget: float


@final
@dataclass(slots=True, eq=False)
class Progress:
    """The state of all tasks. ``note`` is the newest thing worth a line.

    ``planned`` is about how much work each task is, by its name: shares of the whole are weighted by it, because the
    last task of a trial may be a hundred times the first. Without it all adaptations count alike.
    """

    trial: Trial
    tasks: Sequence[Task]
    planned: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    note: str = ""
    ended: bool = False
    _at: dict[str, tuple[int, float]] = field(default_factory=dict)
    _running: dict[str, float] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
    _finished: int = 0
    _before: float = 0.0
    _start: float | None = None
    _end: float | None = None
    _estimated: float = 0.0

    def begin(self, task: Task) -> None:
        """A task was given to somebody."""
        now = self.clock()
        if self._start is None:
            self._start, self._before = now, self.share()
        self._running[task.name] = now

    def tell(self, task: Task, done: int, spent: float) -> None:
        """A task under way has done so many adaptations and spent so much, its exams included."""
        self._at[task.name] = (done, spent)
        self._estimate()

    def finish(self, task: Task, spent: float) -> None:
        """A task is finished, in this process or before."""
        self._at[task.name] = (adaptations(self.trial, task), spent)
        self._finished += 1
        self._close(task)

    def fail(self, task: Task, reason: str) -> None:
        """A task ended with an error."""
        self.note = f"{task.name} failed: {reason}"
        self._close(task)

    def _close(self, task: Task) -> None:
        self._over.add(task.name)
        self._running.pop(task.name, None)
        self._estimate()

    def arms(self) -> list[ArmProgress]:
        """Every arm in the trial's order."""
        return [self._arm(name) for name in self.trial.arms]

    def _arm(self, name: str) -> ArmProgress:
        arm_tasks = [task for task in self.tasks if task.arm == name]
        at = [self._at.get(task.name, (0, 0.0)) for task in arm_tasks]
        return ArmProgress(
            arm=name,
            label=self.trial.arms[name].label,
            done=sum(done for done, _ in at),
            of=sum(adaptations(self.trial, task) for task in arm_tasks),
            spent=sum(spent for _, spent in at),
            budget=sum(sum(budget(self.trial, task).values()) for task in arm_tasks),
        )

    @property
    def finished(self) -> int:
        """How many tasks are finished."""
        return self._finished

    def running(self) -> list[tuple[str, float]]:
        """The tasks under way, with the seconds since each was begun, the longest first."""
        now = self.clock()
        return [(name, now - begun) for name, begun in list(self._running.items())]

    def seconds_gone(self) -> float:
        """Since the first task was begun by this process."""
        return 0.0 if self._start is None else self.clock() - self._start

    def seconds_left(self) -> float | None:
        """An estimate of when all is done, by planned work and smoothed; None where it is not known yet."""
        return None if self._end is None else max(0.0, self._end - self.clock())

    def share(self) -> float:
        """How much of the planned work is done, from 0 to 1."""
        weights = [self._weight(task) for task in self.tasks]
        done = sum(weight * self._share(task) for weight, task in zip(weights, self.tasks, strict=True))
        return done / max(sum(weights), 1e-9)

    def _weight(self, task: Task) -> float:
        return self.planned.get(task.name, 0.0) or (0.0 if self.planned else float(adaptations(self.trial, task)))

    def _share(self, task: Task) -> float:
        if task.name in self._over:
            return 1.0
        done, spent = self._at.get(task.name, (0, 0.0))
        planned = self.planned.get(task.name, 0.0)
        # What is spent tells more than a count: adaptations at the highest budget level come last and take longest.
        if planned and self.trial.spec.budget.currency is Currency.FLOPS:
            return min(UNFINISHED, spent / planned)
        return min(UNFINISHED, done / max(1, adaptations(self.trial, task)))

    def _estimate(self) -> None:
        """Move the estimated end towards what the work so far says, slowly: tasks differ in speed."""
        if self._start is None:
            return
        now, share = self.clock(), self.share()
        gone, done = now - self._start, share - self._before
        if gone < LEAST_SECONDS or done < LEAST_SHARE:
            return
        end = now + gone * (1.0 - share) / done
        moved = 1.0 if self._end is None else 1.0 - math.exp(-(now - self._estimated) / (5.0 + 0.2 * gone))
        self._end = end if self._end is None else self._end + moved * (end - self._end)
        self._estimated = now


# -- from the folder alone


def write_snapshot(folder: Path, progress: Progress) -> None:
    """Put down what only the running process knows, for whoever asks in another one."""
    left = None if progress.ended else progress.seconds_left()
    fields = {"written": time.time(), "share": progress.share(), "gone": progress.seconds_gone(), "left": left}
    write(folder / SNAPSHOT, json.dumps(fields) + "\n")


def read_snapshot(folder: Path) -> dict[str, float]:
    """What :func:`write_snapshot` put down, as far as it is there: empty where it is of another form, without the
    seconds ``left`` where they were not known. Nothing depends on this file, so a damaged one is no error."""
    found = json_object(folder / SNAPSHOT)
    known = {name: float(value) for name, value in found.items() if _is_amount(value)}
    if not {"written", "share", "gone"} <= known.keys() or known["share"] > 1.0:
        return {}
    return known


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < LATEST


@final
@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run's tasks by what became of them. ``failed`` gives the reasons, ``running`` who is at it.

    ``share`` of the planned work, ``seconds_gone`` and ``seconds_left`` are those of the process that is running, as
    far as it knows them; ``spent`` is in ``currency``: all that the journals hold, exams included and ``lost``, which
    attempts took that were cut off. ``holder`` is the process that has the folder.
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
    lost: float = 0.0
    holder: str = ""
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
    whole = writer_of(folder / HISTORY)
    parts = [f"{holder} (shard {part})" for part, holder in holders(folder).items()]
    snapshot = read_snapshot(folder) if those("running") and not parts else {}
    spent = {task.name: _spent(store, task, spec.budget.currency) for task in tasks(spec)}
    cut_off = those("cut off") | those("failed")
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
        spent=sum(whole for whole, _ in spent.values()),
        lost=sum(whole if name in cut_off else lost for name, (whole, lost) in spent.items()),
        holder=", ".join([*([whole] if whole else []), *parts]),
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


def _spent(store: Store, task: Task, currency: Currency) -> tuple[float, float]:
    """What a task has taken so far, and what of it earlier attempts took that were cut off; by its journal where it is
    not finished."""
    result, path = result_in(store.of(task) / "unit.json"), store.journal(task)
    if result:
        parts = (result["spent"], result.get("lost", {}).get("spent", {}))
        whole, lost = (sum(float(amounts.get(currency.value, 0.0)) for amounts in part.values()) for part in parts)
        return whole, lost
    standing = replay(scan(path))[0] if path.is_file() else Standing()
    taken = [(c.counted().get(currency.value, 0.0), c.discarded) for c in standing.charges.values()]
    return sum(amount for amount, _ in taken), sum(amount for amount, discarded in taken if discarded == LOST)
