"""Executors: where tasks are done, in this process or in several. One that dies takes only its own task with it.

A worker whose parent is gone ends at once, in the middle of whatever it does: its journal keeps what was charged, and
the next run finds nobody writing to it.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, final

import netgain
from netgain import model as door
from netgain.domains.domain import Domain
from netgain.errors import InputError, NetgainError
from netgain.exam.drift import paragraphs
from netgain.exam.exam import Judge
from netgain.isolation.confinement import hideable
from netgain.metering.account import Book
from netgain.methods.method import Settings, Teacher
from netgain.methods.taught import ModelTeacher, OracleTeacher
from netgain.model.metered import Model
from netgain.model.remote import TokenPrices
from netgain.model.replay import KEPT, Replay
from netgain.records.identity import identity
from netgain.records.samples import Row, write_rows
from netgain.tokens import ExactTokens
from netgain.trials.context import Report, RunContext, by_purpose, seconds
from netgain.trials.guard import sealed
from netgain.trials.refusals import ORACLE, check_model, check_other
from netgain.trials.resolve import Trial
from netgain.trials.run import run_arm, tune_arm
from netgain.trials.store import RESULT, Store, TaskResult, problem_digests, spec_hash
from netgain.trials.tasks import Task

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
PATIENCE = 10.0  # seconds that a process has to end
SOFTWARE = f"netgain {netgain.__version__}"  # as journals name it
Load = Callable[[Trial, str], Model]
LoadJudge = Callable[[Trial, str], Model | None]
Request = tuple[Task, str, dict[str, Any] | None]  # a task, its identity, and what its arm was tuned to


@final
@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """News of a task: how far it is, or that it is finished, or why it failed.

    ``head`` names a row that its journal has for ever after: by itself, that an attempt has begun to write there; with
    an error, the last one of the attempt.
    """

    task: Task
    done: int = 0
    spent: float = 0.0
    finished: TaskResult | None = None
    error: str = ""
    head: str = ""

    @property
    def ended(self) -> bool:
        """Whether no more is to come."""
        return self.finished is not None or bool(self.error)


# -- models


def load_model(trial: Trial, device: str) -> Model:
    """The trial's model. Raises InputError where there is none."""
    check_model(trial)
    spec = trial.spec
    trusted = trial.trust_remote_code
    how: dict[str, Any] = {"dtype": spec.dtype, "attention": spec.attention, "trust_remote_code": trusted}
    model: Model = door.load_model(trial.model, device=device, **how)
    if model.templated != trial.chat and spec.chat != "base":  # only its name was to be had before
        has = "a" if model.templated else "no"
        problem = f"chat = {spec.chat}: {spec.model} has {has} chat template, as only its loading could tell"
        remedy = "run it again: its files are here now" if spec.chat == "auto" else "write auto or base"
        raise trial.lines.error(("chat",), problem, remedy)
    return model


def load_judge(trial: Trial, device: str) -> Model | None:
    """The judge's model; None where nobody judges."""
    return _load_other(trial, "judge", trial.spec.judge, device)


def load_teacher(trial: Trial, device: str) -> Model | None:
    """The teacher's model; None where the teacher is the domain's own writer, or nobody."""
    return _load_other(trial, "teacher", trial.spec.teacher, device)


def _load_other(trial: Trial, name: str, fields: object, device: str) -> Model | None:
    """A model beside the trial's own: in a folder or of a hub name (``model``), or at a server (``url`` as well, and
    ``tokenizer``, a folder, to count what it does not); None where none is named."""
    check_other(trial, name, fields)
    if not isinstance(fields, Mapping):
        return None
    rest = dict(fields)
    source, url = rest.pop("model"), rest.pop("url", None)
    try:
        if url is None:
            rest["trust_remote_code"] = trial.trust_remote_code
            local: Model = door.load_model(trial.located(source), device=device, **rest)
            return local
        prices = TokenPrices(**rest.pop("prices", {}))
        counter = ExactTokens(Path(trial.located(rest.pop("tokenizer")))) if "tokenizer" in rest else None
        remote: Model = door.remote_model(source, base_url=url, prices=prices, counter=counter, **rest)
    except TypeError as problem:
        raise InputError(name, f"has a field that is not known ({problem})") from None
    else:
        return remote


# -- in this process


@final
class LocalExecutor:
    """This process: it loads the models once and does one task after another.

    Arithmetic runs on one thread of a CPU, so that the same work gives the same bytes.
    """

    def __init__(
        self,
        trial: Trial,
        folder: Path,
        device: str = "auto",
        load: Load = load_model,
        load_judge: LoadJudge = load_judge,
    ) -> None:
        for name in (*THREADS, "TQDM_DISABLE"):
            os.environ.setdefault(name, "1")
        self._trial, self._store = trial, Store(folder)
        judge = load_judge(trial, device)
        self._judge = None if judge is None else Judge(judge, decides=trial.spec.grade == "judge")
        self._model = load(trial, device)
        self._teacher_model = load_teacher(trial, device)
        exam, folder = trial.spec.exam, trial.lines.folder
        self._text = paragraphs(exam.files(folder)["text"]) if exam.text else ()
        self._harness = exam.lm_eval and exam.lm_eval.harness(folder)
        self._request: Request | None = None
        self._problems: dict[str, dict[str, str]] = {}

    def digests(self) -> dict[str, str]:
        """By content, which model it is and who teaches; where somebody judges, who."""
        teacher = self._trial.spec.teacher
        taught_by = self._teacher_model.digest if self._teacher_model else identity("teacher", teacher)
        judge = {} if self._judge is None else {"judge_digest": self._judge.model.digest}
        return {"model_digest": self._model.digest, "teacher_digest": taught_by if teacher else "", **judge}

    def price_check(self) -> tuple[dict[str, str], str]:
        """Versions of the libraries that decide costs, and what the self-check found; empty for a scripted model.

        Raises InputError where a price is off: before any task, so before anything is charged.
        """
        found = self._model.check_prices()
        return (dict(found.statement()["versions"]), str(found)) if found else ({}, "")

    @property
    def free(self) -> bool:
        """Whether a task can be given."""
        return self._request is None

    @property
    def busy(self) -> bool:
        """Whether a task is not done yet."""
        return self._request is not None

    def submit(self, request: Request) -> None:
        """Take a task."""
        self._request = request

    def wait(self, take: Callable[[TaskUpdate], None]) -> None:
        """Do the task, and tell how it goes and how it ended."""
        request, self._request = self._request, None
        if request is not None:
            take(self.perform(request, take))

    def close(self) -> None:
        """Nothing is held."""

    def perform(self, request: Request, send: Callable[[TaskUpdate], None]) -> TaskUpdate:
        """Do one task; an error is how it ended, not the end of everything."""
        task, named, tuned = request
        settings, store, head = self._trial.arms[task.arm].given(tuned), self._store, ""
        try:
            problems = self._require_asked(task)
            attempt, journal = store.attempts(task) + 1, store.journal(task)
            with Book.open(journal, software=SOFTWARE) as book, Replay(journal.with_name(KEPT), book) as replay:
                head = book.journal.head
                send(TaskUpdate(task, head=head))
                report: Report = lambda done, spent: send(TaskUpdate(task, done=done, spent=spent))  # noqa: E731
                context = self._context(task, book, replay, attempt, report)
                try:
                    rows, result = self._execute(context, named, settings, problems)
                finally:
                    head = book.journal.head
            store.finish(task, rows, result)
            replay.remove()
            return TaskUpdate(task, finished=result)
        except Exception:
            return TaskUpdate(task, error=traceback.format_exc(), head=head)

    def _require_asked(self, task: Task) -> dict[str, str]:
        """The digests of the problems of a task's domain, as this process has read them.

        Raises InputError where they, or the models, are others than those that the trial was begun with: a worker that
        starts later reads the files anew.
        """
        locked = self._store.locked() or {}
        if task.domain not in self._problems:
            self._problems[task.domain] = problem_digests(self._trial, self._trial.domains[task.domain])
        asked, found = locked.get("problems", {}).get(task.domain), self._problems[task.domain]
        if asked is not None and asked != found:
            problem = "the data were changed after the trial had begun: its problems are others than the lock names"
            raise InputError(f"domain {task.domain}", problem, "bring the data back, or give another folder with --out")
        changed = [name for name, digest in self.digests().items() if locked.get(name, digest) != digest]
        if changed:
            name = changed[0].removesuffix("_digest")
            remedy = "bring it back, or give another folder with --out"
            raise InputError(name, "was changed after the trial had begun: it is another than the lock names", remedy)
        return found

    def _execute(
        self, context: RunContext, named: str, settings: Settings, problems: dict[str, str]
    ) -> tuple[str, TaskResult]:
        """Do a task: its rows as text, and what came of it. What earlier attempts were charged stays in the journal as
        lost, but for what is found again."""
        book, currency = context.book, self._trial.spec.budget.currency
        context.discard_earlier()
        made, chosen = self._rows(context, settings)
        rows, recorded = write_rows(made), chosen.recorded()
        whole = f"{named}#{sha256(rows.encode()).hexdigest()}"
        asked = spec_hash(self._store.locked() or {})
        book.note(RESULT, {"identity": whole, "asked": asked, "settings": recorded, "problems": problems})
        book.flush()
        charges = book.charges()
        result = TaskResult(
            identity=whole,
            settings=recorded,
            attempts=context.attempt,
            spent={purpose.value: part for purpose, part in by_purpose(charges, currency).items()},
            seconds=seconds(charges),
            lost=context.lost(),
            head=book.journal.head,
        )
        return rows, result

    def _context(self, task: Task, book: Book, replay: Replay, attempt: int, report: Report) -> RunContext:
        domain = self._trial.domains[task.domain]
        teacher = None if self._teacher_model is None else self._teacher_model.resuming(replay)
        return RunContext(
            spec=self._trial.spec,
            task=task,
            domain=domain,
            prompts=self._trial.prompts(task.domain),
            model=self._model.resuming(replay),
            book=book,
            attempt=attempt,
            teacher=self._teacher(domain, teacher),
            models=() if teacher is None else (teacher,),
            judge=None if self._judge is None else replace(self._judge, model=self._judge.model.resuming(replay)),
            text=self._text,
            harness=self._harness,
            folder=self._trial.lines.folder,
            hidden=hideable([self._store.folder, *self._trial.files(task.domain)]),
            report=report,
        )

    def _teacher(self, domain: Domain, model: Model | None) -> Teacher | None:
        """Whoever teaches in a domain; nothing that it holds leads to the domain's questions."""
        if model is not None:
            return ModelTeacher(model, chat=model.templated)
        return OracleTeacher(sealed(domain.oracle)) if self._trial.spec.teacher == ORACLE else None

    def _rows(self, context: RunContext, settings: Settings) -> tuple[list[Row], Settings]:
        arm = self._trial.arms[context.task.arm]
        if context.task.stage == "tune":
            row, chosen = tune_arm(context, replace(arm, settings=settings))
            return [row], chosen
        return run_arm(context, arm.method(settings)), settings


# -- in several processes


@final
class ProcessExecutor:
    """Up to ``jobs`` processes, in each of which ``start`` makes an executor of its own."""

    def __init__(self, start: Callable[[], LocalExecutor], jobs: int) -> None:
        for name in THREADS:
            os.environ.setdefault(name, "1")
        self._start, self._jobs = start, jobs
        self._idle: list[_Worker] = [_Worker(start)]
        self._active: dict[Connection, _Worker] = {}
        self._digests, self._price_check = self._idle[0].ready()

    def digests(self) -> dict[str, str]:
        """By content, the model, its teacher and its judge."""
        return self._digests

    def price_check(self) -> tuple[dict[str, str], str]:
        """As :meth:`LocalExecutor.price_check`."""
        return self._price_check

    @property
    def free(self) -> bool:
        """Whether a task can be given."""
        return len(self._active) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether any task is not done yet."""
        return bool(self._active)

    def submit(self, request: Request) -> None:
        """Give a task to a worker that has none, or to a new one, which begins when it has loaded its model."""
        worker = self._idle.pop() if self._idle else _Worker(self._start)
        worker.task = request[0]
        self._active[worker.pipe] = worker
        worker.pipe.send(request)

    def wait(self, take: Callable[[TaskUpdate], None]) -> None:
        """Wait for news of any task, and pass it on."""
        for pipe in connection.wait(list(self._active)):
            worker = self._active[pipe]  # type: ignore[index]
            update = worker.news()
            if update is None:
                continue
            if update.ended:
                del self._active[worker.pipe]
                if worker.process.is_alive():
                    self._idle.append(worker)
            take(update)

    def close(self) -> None:
        """End all processes: those without a task on their own, the others in the middle of what they do."""
        for worker in self._idle:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        for worker in self._active.values():
            worker.process.terminate()
        for worker in [*self._idle, *self._active.values()]:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():  # deep in a computation that no signal interrupts
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._idle, self._active = [], {}


@final
class _Worker:
    """One process, the pipe to it, and the task it does."""

    def __init__(self, start: Callable[[], LocalExecutor]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, start), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def ready(self) -> tuple[dict[str, str], tuple[dict[str, str], str]]:
        """Digests and check of prices, once its models are loaded. Raises what kept them from loading."""
        try:
            message: Any = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise NetgainError(f"a worker died while it loaded the model (exit code {self.process.exitcode})") from None
        if isinstance(message, Exception):
            raise message
        digests, price_check = message
        return digests, price_check

    def news(self) -> TaskUpdate | None:
        """News of its task; None for a message about something else. A dead worker's task has failed."""
        if self.task is None:
            raise RuntimeError("a worker without a task has nothing to say")
        try:
            message: Any = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(PATIENCE)
            return TaskUpdate(self.task, error=f"its process died (exit code {self.process.exitcode})")
        if isinstance(message, Exception):
            self.process.join(PATIENCE)
            return TaskUpdate(self.task, error=f"its process could not begin: {message}")
        return message if isinstance(message, TaskUpdate) else None


def _serve(pipe: Connection, start: Callable[[], LocalExecutor]) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    # Ending by an exception lets libraries give back what they hold, such as the semaphores of progress bars.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        executor = start()
        pipe.send((executor.digests(), executor.price_check()))
    except Exception as problem:
        known = isinstance(problem, NetgainError)
        pipe.send(problem if known else NetgainError(f"{type(problem).__name__}: {problem}"))
    else:
        with contextlib.suppress(EOFError):
            while (request := pipe.recv()) is not None:
                pipe.send(executor.perform(request, pipe.send))
    # It is ending already: an exception now would only be printed from the middle of somebody's clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
