"""The executor of this process: it loads the models of a trial and does one task after another.

Those of several processes are in :mod:`netgain.trials.processes`.
"""

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, final

from netgain import SOFTWARE
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
from netgain.trials.context import Report, RunContext, by_purpose_name, seconds
from netgain.trials.refusals import ORACLE, check_model, check_other
from netgain.trials.resolve import Trial
from netgain.trials.row_amounts import RowAmounts
from netgain.trials.run import run_arm, tune_arm
from netgain.trials.sealing import sealed
from netgain.trials.store import RESULT, Store, problem_digests, spec_hash
from netgain.trials.tasks import Task, TaskResult

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
CHANGED = (
    "the model's weights in memory are no longer those that were loaded: code in this process changed them (a domain "
    "of one's own can, a method can't), and nothing of this task counts; mend that, and run again"
)
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
    model: Model = door.load_model(trial.model, device=device, server=_server(trial), **how)
    if model.templated != trial.chat and spec.chat != "base":  # only its name was to be had before
        has = "a" if model.templated else "no"
        problem = f"chat = {spec.chat}: {spec.model} has {has} chat template, as only its loading could tell"
        remedy = "run it again: its files are here now" if spec.chat == "auto" else "write auto or base"
        raise trial.lines.error(("chat",), problem, remedy)
    return model


def _server(trial: Trial) -> "door.GenerationServer | None":
    """The server that generates for the model, to be checked with as large an adapter as the arms train."""
    if trial.spec.serve is None:
        return None
    how = trial.spec.serve.model_dump()
    url, adapters = how.pop("url"), trial.lines.folder / Path(how.pop("adapters")).expanduser()

    def given(*names: str) -> list[Any]:
        return [found for arm in trial.arms.values() for name in names for found in arm.values_of(name)]

    modules = {module for some in given("target_modules", "outer_modules") for module in some}
    how |= {"rank": max(given("rank", "outer_rank"), default=1), "targets": tuple(sorted(modules))}
    return door.GenerationServer(url, adapters, **how)


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
        self._loaded = self._model.fingerprint
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
        except NetgainError as problem:  # its own line comes last, where it is looked for
            return TaskUpdate(task, error=f"{traceback.format_exc()}{problem}", head=head)
        except (Exception, SystemExit, GeneratorExit):  # nothing in a task may end the run, and least of all well
            return TaskUpdate(task, error=traceback.format_exc(), head=head)

    def _require_asked(self, task: Task) -> dict[str, str]:
        """The digests of the problems of a task's domain, as this process has read them.

        Raises InputError where they, or the models, are others than those that the trial was begun with: a worker that
        starts later reads the files anew.
        """
        if task.domain not in self._problems:
            self._problems[task.domain] = problem_digests(self._trial, self._trial.domains[task.domain])
        self._store.require_asked(task.domain, self._problems[task.domain], self.digests())
        return self._problems[task.domain]

    def _execute(
        self, context: RunContext, named: str, settings: Settings, problems: dict[str, str]
    ) -> tuple[str, TaskResult]:
        """Do a task: its rows as text, and what came of it. What earlier attempts were charged stays in the journal as
        lost, but for what is found again."""
        book, currency = context.book, self._trial.spec.budget.currency
        context.discard_earlier()
        made, chosen = self._rows(context, settings)
        if self._model.fingerprint != self._loaded:
            raise NetgainError(CHANGED)
        rows, recorded = write_rows(made), chosen.recorded()
        whole = f"{named}#{sha256(rows.encode()).hexdigest()}"
        asked = spec_hash(self._store.locked() or {})
        book.note(RESULT, {"identity": whole, "asked": asked, "settings": recorded, "problems": problems})
        book.flush()
        charges = book.charges()
        beside = RowAmounts(context.spec, context.task, book.standing, context.root.row).beside(made)
        result = TaskResult(
            identity=whole,
            settings=recorded,
            attempts=context.attempt,
            spent=by_purpose_name(charges, currency),
            seconds=seconds(charges),
            lost=context.lost(),
            head=book.journal.head,
            beside=by_purpose_name(beside, currency),
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
