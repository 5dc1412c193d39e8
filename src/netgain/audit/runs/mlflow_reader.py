"""MLflow: its SQLite database, and the folder store of before (``mlruns``), of which there are many in the wild.

Settings are texts in both. What MLflow times is the run from start to end, everything in it.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

import yaml

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, number, visible, words
from netgain.audit.runs.logged import Logged
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.audit.runs.tables import databases, opened
from netgain.records.claim import Claim
from netgain.strict_yaml import plain_yaml
from netgain.tokens import TokenCounter

TABLES = {"runs", "metrics", "params"}
FINISHED = ("FINISHED", "3")
Point = tuple[str, Any, Any]  # a metric, its step and its value


@final
class MlflowReader(Reader):
    """MLflow: mlflow.db (SQLite) and mlruns/EXPERIMENT/RUN with metrics, params and tags."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether a database with MLflow's tables, or a run's folder, lies below the folder."""
        return bool(_stored(folder)) or any(_is_store(path) for path in databases(folder, "*.db", "*.sqlite*"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of all runs that are not deleted."""
        files = Lenient(folder)
        runs: list[RunRecord] = []
        for path in databases(folder, "*.db", "*.sqlite*"):
            if _is_store(path):
                runs += files.guarded_all(path, partial(_from_database, files, path))
        for home in _stored(folder):
            run = files.guarded(home / "meta.yaml", partial(_from_folder, files, home))
            runs += [run] if run else []
        names = distinct([f"{run.file}/{run.label}/run" for run in runs], skip=1)
        for run, name in zip(runs, names, strict=True):
            run.name = name
        files.require(runs, "no MLflow run in it", "no run")
        return claim_of_runs(folder.resolve().name, "Training runs in MLflow", runs, findings=files.findings)


def _is_store(path: Path) -> bool:
    try:
        with opened(path) as tables:
            return tables.names() >= TABLES
    except (ValueError, OSError):
        return False


def _stored(folder: Path) -> list[Path]:
    """The folders of runs: a meta.yaml with metrics or params beside it."""
    homes = [path.parent for path in visible(folder, "meta.yaml")]
    return [home for home in homes if (home / "metrics").is_dir() or (home / "params").is_dir()]


def _from_database(files: Lenient, path: Path) -> Iterator[RunRecord]:
    with opened(path) as tables:
        rows, params = tables.rows("runs"), tables.rows("params")
        metrics = tables.rows("metrics", "step, timestamp")
    settings: dict[Any, dict[str, Any]] = {}
    points: dict[Any, list[Point]] = {}
    for row in params:
        settings.setdefault(row.get("run_uuid"), {})[str(row.get("key"))] = row.get("value")
    for row in metrics:
        points.setdefault(row.get("run_uuid"), []).append((str(row.get("key")), row.get("step"), row.get("value")))
    for row in rows:
        if row.get("lifecycle_stage") == "deleted":
            continue
        key = row.get("run_uuid")
        logged = _by_step(points.get(key, []))
        run = Logged(words(str(key)) or "run", files.name(path), settings.get(key, {}), logged)
        label = words(row.get("name")) or words(str(key)) or "run"
        yield _finished(run.record(label), row.get("status"), row.get("start_time"), row.get("end_time"))


def _from_folder(files: Lenient, home: Path) -> RunRecord | None:
    path = home / "meta.yaml"
    try:
        meta = plain_yaml(files.text(path) or "")
    except (yaml.YAMLError, ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        files.refuse(path, "is not a run's YAML")
        return None
    if meta.get("lifecycle_stage") == "deleted":
        return None
    settings = {_key(home / "params", file): files.text(file) for file in visible(home / "params", "*")}
    points: list[Point] = []
    for file in visible(home / "metrics", "*"):
        key = _key(home / "metrics", file)
        for line in (files.text(file) or "").splitlines():
            parts = line.split()  # a time, a value and a step; without a step in the oldest
            if len(parts) in (2, 3):
                points.append((key, parts[2] if len(parts) == 3 else 0, parts[1]))
    tag = home / "tags" / "mlflow.runName"
    label = words(meta.get("run_name")) or words(files.text(tag) if tag.is_file() else None)
    run = Logged(home.name, files.name(path), settings, _by_step(points)).record(label or home.name)
    return _finished(run, meta.get("status"), meta.get("start_time"), meta.get("end_time"))


def _key(folder: Path, file: Path) -> str:
    """A metric's name may have slashes: then it lies in folders."""
    return words(file.relative_to(folder).as_posix())


def _by_step(points: list[Point]) -> list[dict[str, Any]]:
    rows: dict[float, dict[str, Any]] = {}
    for key, step, value in points:
        at, measured = number(step), number(value, -1e30)
        if at is not None and measured is not None:
            rows.setdefault(at, {"step": at})[key] = measured
    return [rows[step] for step in sorted(rows)]


def _finished(run: RunRecord, status: object, start: object, end: object) -> RunRecord:
    """Note how a run ended, and how long it was open, which is no time of training."""
    if status is not None and str(status) not in FINISHED:
        run.say("run-unfinished", f"its status is {words(str(status))}, not finished", severity="medium")
    begun, ended = number(start), number(end)
    if begun is not None and ended is not None and ended >= begun:
        run.notes.append(f"{run.label}: open for {(ended - begun) / 1000:,.0f} s of wall-clock, everything in it.")
    return run
