"""``--report-to``: a trial in the trackers that people have: curves while it runs, then what it found, a run for each
arm as it is compared.

Off unless it is asked for. Nothing leaves this machine by itself: W&B works offline unless ``WANDB_MODE`` says
otherwise, MLflow writes to a file in the run's folder unless ``MLFLOW_TRACKING_URI`` names a server, trackio and
TensorBoard write files. What is handed on are figures, names and hashes, no answers and no texts.
"""

import contextlib
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.errors import InputError, nearest
from netgain.extensions import said_by
from netgain.methods.policy_gradient import NOTE
from netgain.records.chain import read_only
from netgain.records.learning import EditRound, PolicyStep
from netgain.report.numbers import clean
from netgain.trials.progress import Progress
from netgain.trials.run import EDITS
from netgain.trials.store import Store
from netgain.trials.tasks import Task

PROJECT = "netgain"
EVERY, PATIENCE = 5.0, 30.0  # seconds from look to look at a running trial; how long its trackers may take to close
Config = Mapping[str, str | int | float]
Warn = Callable[[str], None]
_CURVE = re.compile(r"trial \d+|x[\d.e+]+")  # a trial of the tuning, a budget level: a curve each


def require(trackers: Sequence[str]) -> None:
    """Raise InputError for a tracker that netgain does not know; before anything is spent."""
    for name in trackers:
        if name not in TRACKERS:
            raise InputError(f"--report-to {name}", "is no tracker that netgain knows", nearest(name, list(TRACKERS)))


def opened(trackers: Sequence[str], folder: Path) -> "dict[str, Open]":
    """These trackers, ready to be given runs. Raises InputError for another one, and where one is not installed."""
    require(trackers)
    return {name: TRACKERS[name](folder) for name in dict.fromkeys(trackers)}


def report(verdict: Verdict, trackers: Sequence[str], folder: Path) -> int:
    """Hand every compared arm to these trackers; how many arms. ``folder`` is the run's, for those that write files.

    Raises InputError for another tracker, and where one is not installed; nothing is handed on then.
    """
    rows = [row for row in verdict.arms if row.own and row.accuracy is not None]
    for start in opened(trackers, folder).values():
        for row in rows:
            run = start(f"{verdict.claim}/{row.name}", config(verdict, row))
            for step, value in enumerate(row.by_seed):
                run.log({"accuracy_of_seed": value}, step)
            run.log(metrics(row), None)
            run.close()
    return len(rows)


def config(verdict: Verdict, row: ArmRow) -> dict[str, str | int | float]:
    """What an arm was: words and numbers that are known."""
    history = verdict.setup.history if verdict.setup else None
    known = {
        "trial": verdict.claim,
        "trial_hash": history.spec if history else None,
        "netgain": verdict.netgain,
        "model": verdict.model,
        "domain": row.setting,
        "arm": row.label,
        "method": row.method,
        "role": row.role,
        "seeds": row.seeds,
        "problems": row.n_problems,
        "budget_per_problem": row.budget_per_problem,
        "learning_rate": row.learning_rate,
    }
    return {
        name: clean(value) if isinstance(value, str) else value for name, value in known.items() if value is not None
    }


def metrics(row: ArmRow) -> dict[str, float]:
    """What an arm reached and took, as far as it is known."""
    known = {"accuracy": row.accuracy, "accuracy_low": row.low, "accuracy_high": row.high, "failed": float(row.failed)}
    known |= {f"spent_per_problem/{name}": value for name, value in row.spent_per_problem.items()}
    return {name: value for name, value in known.items() if value is not None}


# -- while a trial runs


@final
@dataclass(slots=True, eq=False)
class _Told:
    """How far a task's journal was read: its last row, attempts, charges and what they add up to."""

    row: int = -1
    attempts: int = 0
    charges: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    gradients: set[str] = field(default_factory=set)  # curves whose steps say more than their rounds would


@final
class Following:
    """Hands on what the journals of a running trial tell, as they grow; also those that other processes write.

    A task has a run with what it has spent, by charges, and each of its investments one with the steps of its policy
    (or the rounds of its outer loop): reward, divergence, accuracy on development problems, tokens and FLOPs by then.
    What was written before this began is not handed on again. A tracker that fails is told of once, and left out then.
    """

    def __init__(self, folder: Path, trackers: Sequence[str], warn: Warn) -> None:
        self._store, self._open, self._warn = Store(folder), opened(trackers, folder), warn
        self._since, self._trial = time.time(), ""
        self._tasks: Sequence[Task] = ()
        self._told: dict[str, _Told] = {}
        self._runs: dict[tuple[str, str], TrackedRun] = {}

    @property
    def working(self) -> list[str]:
        """The trackers that have not failed."""
        return list(self._open)

    def take(self, progress: Progress) -> None:
        """Whose journals are followed: the tasks of this process."""
        self._trial, self._tasks = progress.trial.spec.name, progress.tasks

    def look(self) -> None:
        """Hand on what is new."""
        for task in self._tasks:
            if (journal := self._store.journal(task)).is_file():
                with contextlib.suppress(sqlite3.Error):  # it is being begun; the next look finds it
                    self._read(task, journal)

    def _read(self, task: Task, journal: Path) -> None:
        told, booked = self._told.setdefault(task.name, _Told()), False
        with contextlib.closing(read_only(journal.resolve().as_uri())) as connection:
            rows = connection.execute("SELECT seq, record FROM events WHERE seq > ? ORDER BY seq", (told.row,))
            for seq, text in rows:
                record = json.loads(text)
                event, new = record["event"], record["at"] >= self._since
                told.row, told.attempts = seq, told.attempts + (event["kind"] == "began")
                if event["kind"] in ("settled", "failed"):
                    told.charges, booked = told.charges + 1, booked or new
                    for name, amount in event["cost"].items():
                        told.spent[name] = told.spent.get(name, 0.0) + amount
                elif event["kind"] == "noted" and new:
                    with contextlib.suppress(ValidationError):  # a method may note anything under any word
                        self._point(task, told, event["text"], event["data"])
        if booked:
            self._log(task, told, "", _spent(told), told.charges)

    def _point(self, task: Task, told: _Told, text: str, data: Mapping[str, Any]) -> None:
        fields = {name: value for name, value in data.items() if name != "names"}
        curve = "/".join(name for name in data.get("names", ()) if _CURVE.fullmatch(str(name)))
        if text == NOTE:
            step = PolicyStep.model_validate(fields)
            told.gradients.add(curve)
            values = {
                name: float(value) for name, value in step.model_dump(exclude={"step"}).items() if value is not None
            }
            self._log(task, told, curve, values, step.step)
        elif text == EDITS and curve not in told.gradients:
            made = EditRound.model_validate(fields)
            edits = [edit for context in made.contexts for edit in context]
            scores = [sum(edit.scores) / len(edit.scores) for edit in edits if edit.scores]
            values = {"edits": float(len(edits)), "kept": float(sum(edit.kept for edit in edits)), **_spent(told)}
            reward = {"reward": sum(scores) / len(scores)} if scores else {}
            self._log(task, told, curve, values | reward, made.round)

    def _log(self, task: Task, told: _Told, curve: str, values: Mapping[str, float], step: int) -> None:
        again = f" attempt {told.attempts}" if told.attempts > 1 else ""
        name = "/".join(part for part in (self._trial, task.name, curve) if part) + again
        known = {"trial": self._trial, "domain": task.domain, "arm": task.arm, "seed": task.seed, "curve": curve}
        for tracker, start in list(self._open.items()):
            try:
                run = self._runs.get((tracker, name))
                if run is None:
                    told_of = {key: value for key, value in known.items() if value is not None}
                    run = self._runs[tracker, name] = start(name, told_of)
                run.log(values, step)
            except Exception as problem:  # whatever a tracker does, the trial goes on
                self._leave_out(tracker, problem)

    def _leave_out(self, tracker: str, problem: Exception) -> None:
        self._open.pop(tracker, None)
        self._warn(f"warning: {tracker} gets no more of this run, which goes on: {said_by(problem)}")

    def close(self) -> None:
        """Close all runs of the trackers."""
        for (tracker, _), run in self._runs.items():
            if tracker in self._open:
                try:
                    run.close()
                except Exception as problem:
                    self._leave_out(tracker, problem)

    def report(self, verdict: Verdict) -> None:
        """What the trial found, to every tracker that has not failed; one that fails now is told of as well."""
        for tracker in self.working:
            try:
                report(verdict, [tracker], self._store.folder)
            except Exception as problem:
                self._leave_out(tracker, problem)


def _spent(told: _Told) -> dict[str, float]:
    return {f"spent/{name}": amount for name, amount in told.spent.items()}


@contextlib.contextmanager
def following(folder: Path, trackers: Sequence[str], warn: Warn, every: float = EVERY) -> Iterator[Following]:
    """Follow the trial that runs in ``folder`` meanwhile, in a thread that looks ``every`` so many seconds. Without any
    tracker nothing is done. Raises InputError, before anything is spent, as :func:`opened`."""
    found, ended = Following(folder, trackers, warn), threading.Event()
    if not trackers:
        yield found
        return

    def work() -> None:
        last = False
        while not last:
            last = ended.wait(every)
            try:
                found.look()
            except Exception as problem:
                warn(f"warning: the trackers get no more of this run, which goes on: {said_by(problem)}")
                last = True
        found.close()

    thread = threading.Thread(target=work, name="trackers", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join(PATIENCE)


# -- the trackers


@final
@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run in a tracker: ``log`` takes values with their step, or (None) what the whole run came to."""

    log: Callable[[Mapping[str, float], int | None], None]
    close: Callable[[], None]


Open = Callable[[str, Config], TrackedRun]


def _missing(package: str) -> InputError:
    return InputError(f"--report-to {package}", f"needs {package}, which is not installed", f"pip install {package}")


def _wandb(folder: Path) -> Open:
    try:
        import wandb
    except ImportError:
        raise _missing("wandb") from None

    def start(name: str, told: Config) -> TrackedRun:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        how: dict[str, Any] = {"dir": str(folder), "mode": mode, "reinit": "create_new"}  # runs stand side by side
        # It would take along what this process prints, and the terminal with it.
        run = wandb.init(project=PROJECT, name=name, config=dict(told), settings={"console": "off"}, **how)

        def log(values: Mapping[str, float], step: int | None) -> None:
            if step is None:
                run.summary.update(dict(values))
            else:
                run.log(dict(values), step=step)

        return TrackedRun(log, run.finish)

    return start


def _trackio(folder: Path) -> Open:
    try:
        import trackio
    except ImportError:
        raise _missing("trackio") from None
    tracker: Any = trackio

    def start(name: str, told: Config) -> TrackedRun:
        run = tracker.init(project=PROJECT, name=name, config=dict(told), embed=False)
        return TrackedRun(lambda values, step: run.log(dict(values), step=step), run.finish)

    return start


def _mlflow(folder: Path) -> Open:
    try:
        import mlflow
        from mlflow.entities import Metric, Param
    except ImportError:
        raise _missing("mlflow") from None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"

    def start(name: str, told: Config) -> TrackedRun:
        client = mlflow.MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else client.create_experiment(PROJECT)
        run = client.create_run(experiment, run_name=name).info.run_id
        client.log_batch(run, params=[Param(key, str(value)) for key, value in told.items()])

        def log(values: Mapping[str, float], step: int | None) -> None:
            now = int(1000 * time.time())  # at once: each call is a transaction, or a request to the server
            client.log_batch(run, metrics=[Metric(key, value, now, step or 0) for key, value in values.items()])

        return TrackedRun(log, lambda: client.set_terminated(run))

    return start


def _tensorboard(folder: Path) -> Open:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise _missing("tensorboard") from None

    def start(name: str, told: Config) -> TrackedRun:
        plain = "".join(char if char.isalnum() or char in "-_.@" else "_" for char in name)
        writer = EventFileWriter(str(folder / "tensorboard" / plain))

        def log(values: Mapping[str, float], step: int | None) -> None:
            for key, value in values.items():
                summary = Summary(value=[Summary.Value(tag=key, simple_value=value)])
                writer.add_event(Event(step=step or 0, wall_time=time.time(), summary=summary))

        return TrackedRun(log, writer.close)

    return start


TRACKERS: Mapping[str, Callable[[Path], Open]] = {
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
}
