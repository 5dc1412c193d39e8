"""trackio: one SQLite file a project, its runs with all settings that they were given.

A Trainer hands it all of its arguments, the seed among them, and the model: no other log of Hugging Face says as much.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, words
from netgain.audit.runs.logged import Logged
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.audit.runs.tables import SqliteTables, databases, opened
from netgain.records.claim import Claim
from netgain.strict_json import parse_json
from netgain.tokens import TokenCounter


@final
class TrackioReader(Reader):
    """trackio: PROJECT.db with metrics and configs."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether some SQLite file below the folder has trackio's tables."""
        return any(_is_project(path) for path in databases(folder, "*.db"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these projects' runs."""
        files = Lenient(folder)
        paths = [path for path in databases(folder, "*.db") if _is_project(path)]
        runs: list[RunRecord] = []
        for path in paths:
            runs += files.guarded_all(path, partial(_runs, files, path))
        names = distinct([f"{run.file}/{run.name}/run" for run in runs], skip=1)
        for run, name in zip(runs, names, strict=True):
            run.name = name
        files.require(runs, "no trackio project in it", "no run")
        return claim_of_runs(folder.resolve().name, "Training runs in trackio", runs, findings=files.findings)


def _is_project(path: Path) -> bool:
    try:
        with opened(path) as tables:
            return {"metrics", "configs"} <= tables.names()
    except (ValueError, OSError):
        return False


def _runs(files: Lenient, path: Path) -> Iterator[RunRecord]:
    with opened(path) as tables:
        metrics, configs = tables.rows("metrics", "step"), _configs(tables)
    by_run: dict[str, list[dict[str, Any]]] = {}
    every = set()
    for row in metrics:
        name, found = _name(row), _json(row.get("metrics"))
        every.add(name)
        if isinstance(found, dict):
            by_run.setdefault(name, []).append({"step": row.get("step")} | found)
    if len(by_run) < len(every):
        files.say(f"{files.name(path)}: the metrics of some runs are no JSON objects", path)
    for name, rows in by_run.items():
        yield Logged(name or "run", files.name(path), configs.get(name, {}), rows).record()


def _configs(tables: SqliteTables) -> dict[str, dict[str, Any]]:
    found = {_name(row): _json(row.get("config")) for row in tables.rows("configs")}
    return {name: config for name, config in found.items() if isinstance(config, dict)}


def _name(row: dict[str, Any]) -> str:
    return words(row.get("run_name")) or words(row.get("run_id"))


def _json(value: object) -> Any:
    try:
        return parse_json(value) if isinstance(value, str | bytes) else None
    except ValueError:
        return None
