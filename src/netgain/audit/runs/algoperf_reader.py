"""AlgoPerf: training algorithms held together at equal wall-clock, each in several trials of other hyper-parameters.

A submission counts by the time that its fastest trial takes to a target on the validation set, within a runtime that is
the same for all. The metric (such as a mean average precision) is no share of questions, so that no interval follows
from one trial.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, fraction, number, visible, whole, words
from netgain.audit.runs.logged import curve
from netgain.audit.runs.run_record import RunRecord, claim_of_runs
from netgain.records.claim import Claim, Finding, Training
from netgain.records.measurements import CurvePoint
from netgain.tokens import TokenCounter

URL = "https://github.com/mlcommons/submissions_algorithms"
TABLES = ("eval_measurements.csv", "measurements.csv")
SLACK = 0.001  # trials are measured every few minutes, to the second
SPENT = "accumulated_submission_time"
_Target = tuple[float, float | None]  # the value to reach, and after how many seconds it was


@final
class AlgoperfReader(Reader):
    """AlgoPerf: study_N/workload/trial_K with measurements.csv, meta_data_0.json, flags_0.json, hparams.json."""

    def recognises(self, folder: Path) -> bool:
        """Whether a trial's measurements lie below the folder."""
        return any("trial_" in path.parent.name for path in visible(folder, *TABLES))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these trials: the fastest to the target against the baseline's fastest, where there is one."""
        files = Lenient(folder)
        homes = dict.fromkeys(path.parent for path in files.paths(*TABLES) if "trial_" in path.parent.name)
        runs: dict[str, tuple[RunRecord, _Target | None]] = {}
        for home in homes:
            made = files.guarded(home / TABLES[0], partial(_trial, files, home))
            if made is not None:
                runs[made[0].name] = made
        files.require(runs, "no AlgoPerf trial in it", "no trial")
        to_target = _to_target(list(runs.values()))
        ordered = sorted(runs.values(), key=_fastest)
        for workload in {run.setting for run, _ in ordered}:
            _read_off([row for row in ordered if row[0].setting == workload])
        baseline = next((run for run, _ in ordered if _is_baseline(run.name)), None)
        others = [run for run, _ in ordered if not _is_baseline(run.name)]
        lead = others[0] if others and baseline and others[0].setting == baseline.setting else None
        return claim_of_runs(
            folder.resolve().name,
            "AlgoPerf submissions at equal wall-clock",
            [run for run, _ in runs.values()],
            headline=lead.name if lead else None,
            rival=baseline.name if lead and baseline else None,
            findings=[*files.findings, *to_target],
            notes=(
                "Every trial is read off at one wall-clock time, when the first of them had reached the target (or the "
                "shortest ended); what it did and cost after that is in its curve alone.",
                "Trials of a submission differ in their hyper-parameters: the fastest counts, all of them were paid.",
                "Device time is the submission's own time on all accelerators, evaluations and logging left out.",
            ),
            url=URL,
        )


def _is_baseline(name: str) -> bool:
    return any(part.startswith("baseline") for part in name.split("/"))


def _fastest(row: tuple[RunRecord, _Target | None]) -> tuple[float, float]:
    """By the time to the target; those that missed it by how good they were at their end."""
    run, target = row
    return (target[1] if target and target[1] is not None else float("inf"), -(run.accuracy or 0.0))


def _trial(files: Lenient, home: Path) -> tuple[RunRecord, _Target | None] | None:
    table = next((home / name for name in TABLES if (home / name).is_file()), home / TABLES[0])
    rows = files.table(table)
    about = {name: _object(files, home / f"{name}.json") for name in ("meta_data_0", "flags_0", "hparams")}
    meta = about["meta_data_0"]
    metric = words(meta.get("workload.target_metric_name")) or _only_metric(rows)
    points = {split: _points(rows, f"{split}/{metric}") for split in ("validation", "test")}
    if not points["validation"] and not points["test"]:
        files.refuse(table, f"has no row with validation/{metric} and its time")
        return None
    run = RunRecord(_name(files, home), files.name(table), setting=f"{_workload(home)}, {metric}")
    run.curves = [curve(metric, found, split) for split, found in points.items() if found]
    run.accuracy = fraction(run.curves[-1].points[-1].value)
    full = files.table(home / "measurements.csv") if (home / "measurements.csv").is_file() else rows
    run.updates = max((n for row in (*rows, *full) if (n := number(row.get("global_step"))) is not None), default=None)
    spent = max((n for row in (*rows, *full) if (n := number(row.get(SPENT))) is not None), default=None)
    run.ranks = whole(meta.get("gpu_count"), least=1)
    run.seconds = spent * run.ranks if spent is not None and run.ranks else None
    run.seed = whole(about["flags_0"].get("rng_seed"), least=-(10**12))
    run.training = Training(learning_rate=number(about["hparams"].get("learning_rate")))
    goal = number(meta.get("workload.validation_target_value"), least=-1e9)
    reached = None
    if goal is not None and points["validation"]:
        sign = 1.0 if run.curves[0].better == "higher" else -1.0
        reached = next((p.seconds for p in points["validation"] if sign * p.value >= sign * goal), None)
    return run, None if goal is None else (goal, reached)


def _read_off(rows: list[tuple[RunRecord, _Target | None]]) -> None:
    """Every trial of a workload at equal wall-clock: its last measurement until then, and the work up to there."""
    reached = [target[1] for _, target in rows if target and target[1] is not None]
    ends = [run.curves[-1].points[-1].seconds or 0.0 for run, _ in rows]
    limit = min(reached, default=min(ends))
    for run, _ in rows:
        until = [p for p in run.curves[-1].points if (p.seconds or 0.0) <= limit * (1 + SLACK)]
        run.accuracy = fraction(until[-1].value) if until else None
        run.updates = until[-1].step if until else None
        run.seconds = limit * run.ranks if until and run.ranks else None
        run.setting = f"{run.setting} after {limit:,.0f} s"


def _object(files: Lenient, path: Path) -> dict[str, Any]:
    found = files.json(path) if path.is_file() else None
    return found if isinstance(found, dict) else {}


def _only_metric(rows: Sequence[dict[str, str]]) -> str:
    """Without meta data: the one validation metric that is neither loss nor accuracy nor a count, if there is one."""
    columns = [column.partition("/")[2] for column in (rows[0] if rows else ()) if column.startswith("validation/")]
    special = [name for name in columns if name not in ("loss", "accuracy", "num_examples")]
    return special[0] if len(special) == 1 else "accuracy"


def _points(rows: Sequence[dict[str, str]], column: str) -> list[CurvePoint]:
    found = {}
    for row in rows:
        step, value, spent = (
            number(row.get("global_step")),
            number(row.get(column), least=-1e12),
            number(row.get(SPENT)),
        )
        if step is not None and value is not None and spent is not None:
            found[step] = CurvePoint(step=step, value=value, seconds=spent)
    return [found[step] for step in sorted(found)]


def _workload(home: Path) -> str:
    """The workload without the framework that it was written in."""
    return words(home.parent.name.removesuffix("_jax").removesuffix("_pytorch")) or "workload"


def _name(files: Lenient, home: Path) -> str:
    """Ruleset, submission and trial; the study where it is not the first."""
    parts = [part for part in files.name(home).split("/") if part not in (".", "logs", "study_0", home.parent.name)]
    return "/".join(parts[-4:] if any(part.startswith("study_") for part in parts) else parts[-3:]) or words(home.name)


def _to_target(runs: list[tuple[RunRecord, _Target | None]]) -> list[Finding]:
    """For each submission the time of its fastest trial to the target, and how many of its trials reached it."""
    found = []
    for setting in dict.fromkeys(run.setting for run, _ in runs):
        trials: dict[str, list[float | None]] = {}
        goals = {target[0] for run, target in runs if run.setting == setting and target}
        for run, target in runs:
            if run.setting == setting and target:
                trials.setdefault(run.name.rpartition("/")[0], []).append(target[1])
        times = {name: [t for t in ends if t is not None] for name, ends in trials.items()}
        lines = [
            f"{name}: {len(times[name])} of {len(ends)} trials, "
            + (f"the fastest after {min(times[name]):,.0f} s" if times[name] else "none in the time given")
            for name, ends in trials.items()
        ]
        if lines and len(goals) == 1:
            fast = min((name for name in times if times[name]), key=lambda name: min(times[name]), default=None)
            lead = f"{fast} is the first, after {min(times[fast]):,.0f} s" if fast else "no submission reaches it"
            message = (
                f"{setting}: the validation target of {goals.pop():g}: {lead}; the fastest of several trials counts"
            )
            found.append(Finding(check="time-to-target", severity="note", message=message, evidence=tuple(lines)))
    return found
