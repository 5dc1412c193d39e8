"""The schedule: every task that is not finished yet, as it may begin and an executor is free; then the rows.

A task that raises, or whose process dies, is recorded as failed, and the rest goes on. Whatever stops a trial, the next
run goes on where it was.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import netgain
from netgain.errors import InputError
from netgain.records.journal import WriterLock
from netgain.trials.disk import check_folder, clean, gone_wrong, leave, missing_in, recording, why_unwritable
from netgain.trials.executor import (
    Load,
    LoadJudge,
    LocalExecutor,
    Request,
    TaskUpdate,
    load_judge,
    load_model,
)
from netgain.trials.history import History, date_of, hold, is_noted, noted_of_tasks, seconds_of
from netgain.trials.plan import check_before, planned_work, unknown_words
from netgain.trials.processes import ProcessExecutor
from netgain.trials.progress import Progress, write_snapshot
from netgain.trials.ray_executor import RayExecutor
from netgain.trials.resolve import Trial, with_data
from netgain.trials.run_setup import describe_run, setup_hash, write_exam
from netgain.trials.shards import Shard, in_the_way, join, unjoined, witness
from netgain.trials.store import LOCK, Store, locked_form, registration_of, spec_hash, task_identity
from netgain.trials.tasks import Task, TaskResult, adaptations, tasks

SNAPSHOT_SECONDS = 2.0  # between what is put down for `netgain status`
Show = Callable[[Progress], None]
Executor = LocalExecutor | ProcessExecutor | RayExecutor


@final
@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended: the tasks that are finished, and those that failed, with the reason.

    ``repeated`` tasks had been finished before.
    """

    folder: Path
    finished: tuple[Task, ...]
    failed: Mapping[str, str]
    repeated: int = 0

    @property
    def complete(self) -> bool:
        """Whether all tasks are finished. What a method raised is in the rows, and no failure of its task."""
        return not self.failed


def run_trial(
    trial: Trial,
    folder: Path,
    *,
    device: str = "auto",
    jobs: int | None = 1,
    ray: str | None = None,
    show: Show = lambda progress: None,
    load: Load = load_model,
    load_judge: LoadJudge = load_judge,
    wait: Callable[[str], None] | None = None,
    before: Callable[[Mapping[str, Any]], None] = lambda form: None,
    shard: Shard | None = None,
) -> TrialResult:
    """Do what is left of a trial and assemble its rows; with ``ray`` on the machines of the cluster at that address.
    ``before`` is given what will be locked before anything is written or spent; what it raises ends the run. With a
    ``shard`` only the tasks of that part are done, and nothing is assembled: a whole run does that when all are done.

    Raises InputError where another trial was begun in the folder, it cannot hold records or a run is going on there
    (with ``wait`` it is waited for, as :func:`netgain.trials.history.hold` says), and FaultError where it no longer can
    be written; KeyboardInterrupt and Terminated pass through. What is done stays.
    """
    trial = with_data(trial)
    check_before(trial)
    held = folder if shard is None else shard.folder(folder)
    made = missing_in(held)
    schedule = _Schedule(trial, Store(folder), show, before, shard)
    if not schedule.tasks:
        return TrialResult(folder, (), {})
    if shard is not None:  # parts begin at the same moment: none may check a folder that another one's check removes
        with contextlib.suppress(OSError):
            held.mkdir(parents=True, exist_ok=True)
    try:
        check_folder(folder, len(schedule.tasks), sum(adaptations(trial, task) for task in schedule.tasks))
        lock = hold(held, wait, partial(in_the_way, folder, shard))
    except BaseException:
        with contextlib.suppress(OSError):  # another process may be at work there
            for one in made:
                one.rmdir()
        raise
    try:
        with recording(folder):
            start = partial(LocalExecutor, trial, folder, device, load, load_judge)
            return _run_held(schedule, lock, device, partial(_opened, start, folder, device, jobs, ray))
    finally:
        leave(folder, held, made)
        lock.release()


def _opened(
    start: Callable[[], LocalExecutor], folder: Path, device: str, jobs: int | None, ray: str | None
) -> Executor:
    if ray is not None:
        return RayExecutor(start, folder, ray, device, jobs)
    return start() if jobs is None or jobs <= 1 else ProcessExecutor(start, jobs)


def _run_held(schedule: "_Schedule", lock: WriterLock, device: str, start: Callable[[], Executor]) -> TrialResult:
    """The same, by who may work in the folder."""
    trial, folder = schedule.trial, schedule.store.folder
    before = schedule.store.locked()
    if schedule.shard is None:  # nobody else is at work here
        clean(folder)
    if before is not None:
        schedule.lock({name: str(value) for name, value in before.items() if name.endswith("_digest")})
    if before is None or schedule.left():
        _require_registered(before or {}, folder)
        executor = start()
        try:
            versions, check = executor.price_check()
            schedule.lock(executor.digests())
            if schedule.store.setup() is None:
                setup = describe_run(trial, device)
                found = {"versions": setup.versions | versions, "meter_check": check, "warnings": unknown_words(trial)}
                schedule.store.describe(setup.model_copy(update=found))
            with History.open(schedule.held, lock) as history:
                schedule.write_history(history)
                _run_all(schedule, executor)
                schedule.complete(history)
        finally:
            executor.close()
    elif schedule.shard is None and (unjoined(folder) or schedule.unnoted()):
        with History.open(folder, lock) as history:
            schedule.write_history(history)
            schedule.complete(history)
    finished = {task: schedule.finished[task.name] for task in schedule.tasks if task.name in schedule.finished}
    if schedule.shard is None:
        schedule.store.assemble(finished)
    schedule.show(ended=True)
    return TrialResult(folder, tuple(finished), schedule.failed, schedule.repeated)


def _require_registered(locked: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError where, by this machine's clock, the trial will only be registered: the record would say that its
    work began before."""
    stated, now = registration_of(locked), time.time()
    at = seconds_of(stated["at"]) if stated else None
    if stated and (at is None or now < at):
        problem = f"says that it was registered {stated['at']}, and this machine's clock says {date_of(now)}"
        raise InputError(str(folder / LOCK), problem, "set the clock right, or bring the registered file back")


def register_trial(
    trial: Trial, folder: Path, *, device: str = "auto", load: Load = load_model, load_judge: LoadJudge = load_judge
) -> dict[str, str]:
    """Write down in ``folder`` what will be asked, by content, before any of it runs: ``at`` and ``hash``.

    Nothing is spent; models are loaded for their digests, and prices are checked. Raises InputError where the trial was
    begun there, or another one registered.
    """
    trial = with_data(trial)
    check_folder(folder)
    executor = LocalExecutor(trial, folder, device, load, load_judge)
    try:
        executor.price_check()
        return Store(folder).register(locked_form(trial, netgain.__version__, executor.digests()))
    finally:
        executor.close()


def _run_all(schedule: "_Schedule", executor: Executor) -> None:
    """Submit tasks as they may begin and the executor is free, and take in what comes of them, until none is left."""
    while True:
        while executor.free and (request := schedule.next()) is not None:
            schedule.begin(request[0])
            executor.submit(request)
        if not executor.busy:
            return
        executor.wait(schedule.take)


@final
class _Schedule:
    """Which tasks are finished, begun and failed, and what may begin next."""

    def __init__(
        self,
        trial: Trial,
        store: Store,
        show: Show,
        before: Callable[[Mapping[str, Any]], None],
        shard: Shard | None,
    ) -> None:
        self.trial, self.store, self._show, self._before, self.shard = trial, store, show, before, shard
        self.held = store.folder if shard is None else shard.folder(store.folder)
        planned, every = planned_work(trial), tasks(trial.spec)
        self.tasks: Sequence[Task] = every if shard is None else shard.tasks(every, planned)
        self.finished: dict[str, TaskResult] = {}
        self.failed: dict[str, str] = {}
        self.begun: set[str] = set()
        self.repeated = 0
        self._history: History | None = None
        self._locked: dict[str, Any] = {}
        self._noted = -SNAPSHOT_SECONDS
        self._progress = Progress(trial, self.tasks, planned)

    def lock(self, digests: Mapping[str, str]) -> None:
        """Fix what was asked, and look up what is finished."""
        form = locked_form(self.trial, netgain.__version__, digests)
        self._before(form)
        self.store.lock(form)
        if self._locked:
            return
        self._locked = self.store.locked() or form
        for task in self.tasks:
            result = self.store.finished(task, self._identity(task)) if self._may_begin(task) else None
            if result is not None:
                self.finished[task.name] = result
                self._progress.finish(task, self._matched(result))
        self.repeated = len(self.finished)
        self.show()

    def write_history(self, history: History) -> None:
        """From now on what happens is written there; of a whole run, what its parts did before that as well."""
        self._history = history
        history.asked(spec_hash(self._locked), self._locked)
        history.circumstances(setup_hash(self.store.setup()))
        if self.shard is None:
            join(history, self.store.folder)
        else:
            witness(history, self.store.folder, self.shard)
        for name in self.unnoted():
            self._note_end(name)

    def unnoted(self) -> list[str]:
        """The finished tasks whose end is not in the history: a launch was cut off before it noted that."""
        noted = noted_of_tasks(self.held)
        return [name for name, done in self.finished.items() if name in noted and not is_noted(noted[name], done.head)]

    def complete(self, history: History) -> None:
        """Where the whole trial is done, write down what its exams asked; of a part, who else was at work meanwhile."""
        if self.shard is not None:
            witness(history, self.store.folder, self.shard)
        elif not self.left():
            exam = write_exam(self.trial, self.store)
            history.circumstances(setup_hash(self.store.setup()), exam)

    def left(self) -> bool:
        """Whether anything is not finished."""
        return len(self.finished) < len(self.tasks)

    def next(self) -> Request | None:
        """The next task that may begin; None where there is none now."""
        for task in self.tasks:
            if task.name in self.begun or task.name in self.finished or task.name in self.failed:
                continue
            if task.tuning is not None and task.tuning.name in self.failed:
                self._fail(task, f"its tuning failed: {self.failed[task.tuning.name]}")
                self.show()
            elif self._may_begin(task):
                named = self._identity(task)
                result = self.store.finished(task, named)
                if result is None:
                    return task, named, self._tuned(task)
                self.finished[task.name] = result  # by a launch that ended after this one had looked
                self._progress.finish(task, self._matched(result))
        return None

    def begin(self, task: Task) -> None:
        """A task was given to the executor."""
        self.begun.add(task.name)
        if self._history is not None:
            self._history.begun(task.name, self._identity(task))
        self._progress.begin(task)
        self.show()

    def take(self, update: TaskUpdate) -> None:
        """Take in news of a task."""
        name = update.task.name
        if update.finished is not None:
            self.finished[name] = update.finished
            self._note_end(name)
            self._progress.finish(update.task, self._matched(update.finished))
        elif update.head and not update.error:
            if self._history is not None:
                self._history.opened(name, update.head)
            return
        elif update.error:
            if why := why_unwritable(self.store.folder):  # whatever comes next would fail alike
                raise gone_wrong(self.store.folder, why)
            self._fail(update.task, update.error, update.head)
        else:
            self._progress.tell(update.task, update.done, update.spent)
        self.show()

    def _note_end(self, name: str) -> None:
        done = self.finished[name]
        if self._history is not None:
            self._history.finished(name, done.identity, done.attempts, done.head)

    def _fail(self, task: Task, error: str, head: str = "") -> None:
        """Note that a task failed wherever anybody may ask: also of one that could not even begin."""
        self.failed[task.name] = reason = error.strip().splitlines()[-1]
        if self._history is not None:
            self._history.failed(task.name, reason, head)
        self.store.fail(task, error)
        self._progress.fail(task, reason)

    def show(self, *, ended: bool = False) -> None:
        """Show how far everything is."""
        self._progress.ended = ended
        now = time.monotonic()
        if ended or now - self._noted > SNAPSHOT_SECONDS:
            self._noted = now
            write_snapshot(self.held, self._progress)
        self._show(self._progress)

    def _may_begin(self, task: Task) -> bool:
        return task.tuning is None or task.tuning.name in self.finished

    def _tuned(self, task: Task) -> dict[str, Any] | None:
        return None if task.tuning is None else self.finished[task.tuning.name].settings

    def _identity(self, task: Task) -> str:
        settings = self.trial.arms[task.arm].given(self._tuned(task)).recorded()
        return task_identity(task, settings, self._locked)

    def _matched(self, result: TaskResult) -> float:
        currency = self.trial.spec.budget.currency.value
        return sum(part.get(currency, 0.0) for purpose, part in result.spent.items() if purpose != "evaluate")
