"""The logs of *Build a Reasoning Model (From Scratch)*: metrics by step as CSV, and results as tables of its READMEs.

Accuracies are per cent of MATH-500. A log's ``avg_response_len`` is a mean over a group of rollouts whose size stands
in no log; its digits tell it (lengths are whole, so a mean over 8 has eighths).
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import lcm
from pathlib import Path
from typing import final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, head, number, visible, words
from netgain.audit.runs.logged import curve
from netgain.audit.runs.run_record import RunRecord, claim_of_runs
from netgain.records.claim import Claim, Role
from netgain.records.measurements import CurvePoint
from netgain.tokens import TokenCounter

URL = "https://github.com/rasbt/reasoning-from-scratch"
EXAM = re.compile(r"^MATH-(?P<n>\d+) Acc$")
LARGEST_GROUP = 64
_End = tuple[float, float, float]
_ROW = re.compile(r"^\s*\|(.+)\|\s*$")


@final
class RasbtReader(Reader):
    """rasbt/reasoning-from-scratch: *_metrics.csv of GRPO and distillation runs, tables of MATH-500 in READMEs."""

    def recognises(self, folder: Path) -> bool:
        """Whether a log of such metrics lies below the folder."""
        return any(_is_log(path) for path in visible(folder, "*_metrics.csv"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these runs: every checkpoint of the tables is an arm, every log another with its curve."""
        files = Lenient(folder)
        logs = [
            run
            for path in files.paths("*_metrics.csv")
            if _is_log(path) and (run := files.guarded(path, partial(_log, files, path)))
        ]
        ends = [
            end for path in files.paths("*_metrics.csv") if _is_log(path) for end in _ends(Lenient(folder).table(path))
        ]
        tables: dict[str, RunRecord] = {}
        for path in files.paths("README.md"):
            for run in files.guarded_all(path, partial(_checkpoints, files, path, ends)):
                tables.setdefault(run.name, run)
        taken: set[str] = set()
        runs: list[RunRecord] = []
        for run in (*tables.values(), *logs):
            if run.name not in taken:
                taken.add(run.name)
                runs.append(run)
        files.require(runs, "none of its logs", "no run")
        trained = [run for run in tables.values() if run.updates and run.accuracy is not None]
        best = max(trained, key=lambda run: (run.accuracy or 0.0, run.name), default=None)
        notes = ["No headline is stated: the most accurate checkpoint of the tables stands for it."] if best else []
        return claim_of_runs(
            folder.resolve().name,
            "GRPO and distillation of a 0.6B model",
            runs,
            headline=best.name if best else None,
            findings=files.findings,
            notes=notes,
            url=URL,
            licence="Apache-2.0",
        )


def _is_log(path: Path) -> bool:
    first = head(path, 512).split(b"\n")[0].strip().split(b",")
    return b"total_steps" in first and bool({b"eval_acc", b"reward_avg", b"val_loss"} & set(first))


def _log(files: Lenient, path: Path) -> RunRecord | None:
    rows = files.table(path)
    column = "step" if rows and "step" in rows[0] else "total_steps"
    steps = [number(row.get(column)) for row in rows]
    known = [step for step in steps if step is not None]
    if not known:
        files.refuse(path, f"has no number in its column {column}")
        return None
    run = RunRecord(words(files.name(path).removesuffix("_metrics.csv")), files.name(path), setting="logs by step")
    run.label = words(path.name.removesuffix("_metrics.csv"))
    run.updates = max(known)
    for name, metric, scale in (("eval_acc", "accuracy", 100.0), ("val_loss", "validation loss", 1.0)):
        points = [
            CurvePoint(step=step, value=value / scale)
            for row, step in zip(rows, steps, strict=True)
            if step is not None and (value := number(row.get(name), 0.0, 100.0)) is not None
        ]
        if points:
            own = f"{run.label}'s own split" if name == "val_loss" else ""  # each has other texts
            run.curves.append(curve(metric, points, own))
            run.accuracy = points[-1].value if name == "eval_acc" else None
    lengths = [number(row.get("avg_response_len")) for row in rows]
    group = _group([length for length in lengths if length is not None])
    if group and None not in lengths:
        run.tokens_generated = group * sum(length or 0.0 for length in lengths)
        run.notes.append(f"{run.label}: response lengths are means over {group} by their digits, or a multiple of it.")
    return run


def _group(means: list[float]) -> int | None:
    """Over how many whole numbers these are means: the least that fits their six digits; None where none does."""
    parts = [Fraction(mean).limit_denominator(LARGEST_GROUP) for mean in means]
    if len(parts) < 5 or any(abs(float(part) - mean) > 1e-6 for part, mean in zip(parts, means, strict=True)):
        return None
    group = lcm(*(part.denominator for part in parts))
    return group if 1 < group <= LARGEST_GROUP else None


def _tables(text: str) -> Iterator[list[dict[str, str]]]:
    """The Markdown tables of a page, each as rows by header."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        found = _ROW.match(line)
        if found:
            rows.append([cell.strip() for cell in found[1].split("|")])
            continue
        if len(rows) > 2:
            yield [dict(zip(rows[0], row, strict=True)) for row in rows[2:] if len(row) == len(rows[0])]
        rows = []


def _checkpoints(files: Lenient, path: Path, ends: list[_End]) -> Iterator[RunRecord]:
    """A row of a table of accuracies: the base model frozen, the others by the steps they had, where that is told."""
    for table in _tables(files.text(path) or ""):
        exam = next((found for column in (table[0] if table else ()) if (found := EXAM.match(column))), None)
        if exam is None:
            continue
        for row in table:
            what = words(row.get("Method") or row.get("Teacher data"))
            accuracy = number(row[exam[0]].removesuffix("%").strip(), 0.0, 100.0)
            step, epoch = number(row.get("Step")), number(row.get("Epoch"))
            if not what or accuracy is None:
                continue
            at = f", step {step:,.0f}" if step is not None else f", epoch {epoch:,.0f}" if epoch is not None else ""
            run = RunRecord(f"{what}{at}", files.name(path), setting=f"MATH-{exam['n']}")
            run.role = Role.FROZEN if what.startswith("Base") else Role.OTHER
            run.accuracy, run.n_questions = accuracy / 100, int(exam["n"])
            run.updates = step if step is not None else _steps_of(epoch, number(row.get("Final val loss")), ends)
            yield run


def _ends(rows: list[dict[str, str]]) -> list[_End]:
    """The last row of every epoch of a log: epoch, step and validation loss."""
    found: dict[float, _End] = {}
    for row in rows:
        epoch, step, loss = (number(row.get(name)) for name in ("epoch", "total_steps", "val_loss"))
        if epoch is not None and step is not None and loss is not None:
            found[epoch] = (epoch, step, loss)
    return [*found.values()]


def _steps_of(epoch: float | None, loss: float | None, ends: list[_End]) -> float | None:
    """The step at which exactly one log ended this epoch with this loss, to the four digits of the table."""
    found = {step for e, step, value in ends if e == epoch and loss is not None and abs(value - loss) < 6e-5}
    return next(iter(found)) if len(found) == 1 else None
