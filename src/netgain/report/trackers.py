"""``--report-to``: what a trial found, in the trackers that people have: a run for each arm as it is compared.

Off unless it is asked for. Nothing leaves this machine by itself: W&B works offline unless ``WANDB_MODE`` says
otherwise, MLflow writes to a file in the run's folder unless ``MLFLOW_TRACKING_URI`` names a server, trackio and
TensorBoard write files. What is handed on is in the verdict: figures, names and hashes, no answers and no texts.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.errors import InputError, nearest
from netgain.report.numbers import clean

PROJECT = "netgain"
Config = Mapping[str, str | int | float]


def require(trackers: Sequence[str]) -> None:
    """Raise InputError for a tracker that netgain does not know; before anything is spent."""
    for name in trackers:
        if name not in TRACKERS:
            raise InputError(f"--report-to {name}", "is no tracker that netgain knows", nearest(name, list(TRACKERS)))


def report(verdict: Verdict, trackers: Sequence[str], folder: Path) -> int:
    """Hand every compared arm to these trackers; how many arms. ``folder`` is the run's, for those that write files.

    Raises InputError for another tracker, and where one is not installed; nothing is handed on then.
    """
    require(trackers)
    opened = [TRACKERS[name](folder) for name in dict.fromkeys(trackers)]
    rows = [row for row in verdict.arms if row.own and row.accuracy is not None]
    for row in rows:
        for log in opened:
            log(f"{verdict.claim}/{row.name}", config(verdict, row), metrics(row), row.by_seed)
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


Log = Callable[[str, Config, Mapping[str, float], list[float]], None]


def _missing(package: str) -> InputError:
    return InputError(f"--report-to {package}", f"needs {package}, which is not installed", f"pip install {package}")


def _wandb(folder: Path) -> Log:
    try:
        import wandb
    except ImportError:
        raise _missing("wandb") from None

    def log(name: str, told: Config, found: Mapping[str, float], seeds: list[float]) -> None:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        run = wandb.init(
            project=PROJECT, name=name, config=dict(told), dir=str(folder), mode=mode, reinit="finish_previous"
        )
        for step, value in enumerate(seeds):
            run.log({"accuracy_of_seed": value}, step=step)
        run.summary.update(dict(found))
        run.finish()

    return log


def _trackio(folder: Path) -> Log:
    try:
        import trackio
    except ImportError:
        raise _missing("trackio") from None
    tracker: Any = trackio

    def log(name: str, told: Config, found: Mapping[str, float], seeds: list[float]) -> None:
        tracker.init(project=PROJECT, name=name, config=dict(told), embed=False)
        for value in seeds:
            tracker.log({"accuracy_of_seed": value})
        tracker.log(dict(found))
        tracker.finish()

    return log


def _mlflow(folder: Path) -> Log:
    try:
        import mlflow
    except ImportError:
        raise _missing("mlflow") from None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"

    def log(name: str, told: Config, found: Mapping[str, float], seeds: list[float]) -> None:
        client = mlflow.MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else client.create_experiment(PROJECT)
        run = client.create_run(experiment, run_name=name).info.run_id
        for key, value in told.items():
            client.log_param(run, key, value)
        for key, value in found.items():
            client.log_metric(run, key, value)
        for step, value in enumerate(seeds):
            client.log_metric(run, "accuracy_of_seed", value, step=step)
        client.set_terminated(run)

    return log


def _tensorboard(folder: Path) -> Log:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise _missing("tensorboard") from None

    def log(name: str, told: Config, found: Mapping[str, float], seeds: list[float]) -> None:
        plain = "".join(char if char.isalnum() or char in "-_.@" else "_" for char in name)
        writer = EventFileWriter(str(folder / "tensorboard" / plain))
        points = [(key, value, 0) for key, value in found.items()]
        points += [("accuracy_of_seed", value, step) for step, value in enumerate(seeds)]
        for key, value, step in points:
            writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=key, simple_value=value)])))
        writer.close()

    return log


TRACKERS: Mapping[str, Callable[[Path], Log]] = {
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "tensorboard": _tensorboard,
}
