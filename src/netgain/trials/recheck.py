"""Whether the records of a run agree with each other: every row with its journal, every journal with what was noted of
it, all of it with what was asked.

A journal that was rewritten whole, with new hashes, is found out by the head that its task and the history keep; one
that was rewritten with these as well, by amounts of rows that do not follow from it. Someone who rewrites everything,
the history too, is found out only by a copy that was published before.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import groupby
from typing import Any, final

from netgain.errors import InputError
from netgain.exam.exam import JUDGE, SAMPLES
from netgain.metering.budget import Booking, Standing
from netgain.metering.verification import Verification, verify_reading
from netgain.records.events import Began, Closed, Noted
from netgain.records.identity import equal_but_for_rounding
from netgain.records.samples import Adaptation, AdaptationStream, Investment, Row, Tuning, read_samples, rows_of
from netgain.trials.context import amounts, by_purpose, lost_work, seconds, spent_and_rejected
from netgain.trials.history import ASKED, FINISHED, HISTORY, notes
from netgain.trials.kept import KeptRun, KeptTask
from netgain.trials.spec import TrialSpec, primary_hash
from netgain.trials.store import LOCK, RESULT, registration_of, spec_hash
from netgain.trials.tasks import Task, tasks

SHOWN = 3  # rows that are named of those that are wrong in one task


def recheck(run: KeptRun, show: Callable[[Verification], None] = lambda found: None) -> list[str]:
    """All that is wrong, in words; empty where everything agrees. ``show`` is given each journal's verification.

    Raises InputError where the folder holds no run.
    """
    spec, _ = run.store.asked()
    noted, found = _history(run, show)
    found += _of_lock(run, noted)
    asked = {task.name: task for task in tasks(spec)}
    texts, seen, began = [], set[str](), list[float]()
    for kept in run.journals():
        seen.add(kept.name)
        show(verified := verify_reading(kept.reading, f"{run.folder}/{kept.name}"))
        began += [record.at for record in kept.reading.records[:1]]
        task = asked.get(kept.name)
        if task is None:
            found.append(f"{kept.name}: is no task of the trial")
            continue
        texts.append(kept.rows)
        found += [f"{kept.name}: {problem}" for problem in _of_task(spec, task, kept, verified, noted)]
    found += [f"{name}: is missing: the trial has this task, and the record has not" for name in asked.keys() - seen]
    stated = registration_of(run.store.locked() or {})
    if stated and began and _time(min(began)) < stated["at"]:
        found.append(f"{LOCK}: says that it was registered {stated['at']}, but work began {_time(min(began))}")
    rows = read_samples(run.samples) if run.samples.is_file() else b""
    if rows != b"".join(sorted(texts, key=rows.find)):
        found.append(f"{run.samples.name}: is not the rows of the tasks")
    return found


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _history(run: KeptRun, show: Callable[[Verification], None]) -> tuple[list[dict[str, Any]], list[str]]:
    """What the history notes, each with its ``text``; and what is wrong with it."""
    reading = run.history_journal()
    if reading is None:
        return [], [f"{HISTORY}: is missing: nothing says what was asked, and what was begun and finished"]
    show(verify_reading(reading, f"{run.folder}/{HISTORY}"))
    noted = [{"text": note.text, **note.data} for note in notes(reading.records)]
    return noted, [f"{HISTORY}: {damage}" for damage in reading.findings]


def _of_lock(run: KeptRun, noted: list[dict[str, Any]]) -> Iterator[str]:
    locked = run.store.locked() or {}
    now, stated = spec_hash(locked), registration_of(locked)
    if stated and stated["hash"] != now:
        yield f"{LOCK}: was edited after it was registered: its hash is not {stated['hash']}"
    last = [note["hash"] for note in noted if note["text"] == ASKED]
    if last and last[-1] != now:
        yield f"{LOCK}: is not what the last launch was asked: its hash is not {last[-1]}"
    if locked.get("primary") != primary_hash(locked["trial"]):
        yield f"{LOCK}: its comparison and budget do not have the hash that stands there under primary"


def _of_task(
    spec: TrialSpec, task: Task, kept: KeptTask, verified: Verification, noted: list[dict[str, Any]]
) -> Iterator[str]:
    """What is wrong with one task, its journal first: nothing else is believed of one that does not verify."""
    if not verified.ok:
        yield f"journal: {verified.first_lie}"
        return
    result, records = kept.result, kept.reading.records
    if not result:
        yield "is not finished"
        return
    kept_of = {note["task"]: note for note in noted if note["text"] == FINISHED}.get(task.name)
    for name in ("identity", "head", "attempts"):
        if kept_of is None or kept_of.get(name) != result.get(name):
            yield f"unit.json: its {name} is not what the history noted when the task was finished"
    last = records[-2] if isinstance(records[-1].event, Closed) else records[-1]
    if last.hash != result["head"]:
        yield "journal: its last row is not the one whose hash was kept when the task was finished"
    if not isinstance(last.event, Noted) or last.event.text != RESULT:
        yield "journal: does not end with the note of its rows"
    elif last.event.data.get("identity") != result["identity"]:
        yield "unit.json: its identity is not the one that the journal notes"
    asked = {note["hash"] for note in noted if note["text"] == ASKED}
    if isinstance(last.event, Noted) and last.event.data.get("asked") not in asked:
        yield "journal: was written for another trial than any that the history knows"
    if result["attempts"] != sum(isinstance(record.event, Began) for record in records):
        yield "unit.json: does not say truly how many processes have begun the task"
    if result["identity"].partition("#")[2] != sha256(kept.rows).hexdigest():
        yield "rows: are not those whose hash was kept when the task was finished"
    yield from _of_amounts(spec, task, kept, verified.standing)


def _of_amounts(spec: TrialSpec, task: Task, kept: KeptTask, standing: Standing) -> Iterator[str]:
    currency, result = spec.budget.currency, kept.result
    charges = list(standing.charges.values())
    spent = {purpose.value: part for purpose, part in by_purpose(charges, currency).items()}
    if (spent, seconds(charges)) != (result["spent"], result["seconds"]):
        yield "unit.json: what it says was spent is not what the journal's charges add up to"
    run = f"{task.name}#{result['attempts']}"
    roots = [row for row, opened in standing.accounts.items() if opened.parent is None and opened.run == run]
    mine = [standing.accounts[row] for row in roots]
    if len(mine) != 1 or (mine[0].name, mine[0].arm) != (task.domain, task.arm):
        yield f"journal: has no account of {run}: it is another task's"
        return
    if result["lost"] != lost_work(charges, run, currency):
        yield "unit.json: what it says was lost is not what the journal's earlier attempts took"
    try:
        rows = rows_of(kept.rows, "rows")
    except InputError as error:
        yield str(error)
        return
    wrong = list(_Amounts(spec, task, standing, roots[0]).wrong(rows))
    yield from wrong[:SHOWN]
    if len(wrong) > SHOWN:
        yield f"and {len(wrong) - SHOWN} more rows whose amounts are not the journal's"


@final
class _Amounts:
    """The amounts of one task's rows, derived from the charges under the accounts that their work is named after."""

    def __init__(self, spec: TrialSpec, task: Task, standing: Standing, root: int) -> None:
        self._spec, self._task, self._currency = spec, task, spec.budget.currency
        self._named: dict[str, list[Booking]] = {}
        self._beside: dict[tuple[str, str], list[Booking]] = {}  # by exam, and by which part of it
        for opened in standing.accounts.values():
            if opened.parent == root:
                self._named[opened.name] = []
        for charge in standing.charges.values():
            path = [standing.accounts[row] for row in standing.path(charge.account)]
            if path[-1] is standing.accounts[root] and len(path) > 1:
                self._named[path[-2].name].append(charge)
                if len(path) > 2:
                    self._beside.setdefault((path[-2].name, path[-3].name), []).append(charge)

    def wrong(self, rows: Iterable[Row]) -> Iterator[str]:
        """The rows that name other amounts, in words."""
        rows = list(rows)
        for kind, found in groupby(rows, key=type):
            if kind is Adaptation:
                yield from self._adaptations([row for row in found if isinstance(row, Adaptation)])
                continue
            for row in found:
                yield from self._compare(self._name(row), row, self._other(row))
                if isinstance(row, Tuning):
                    yield from self._attempts(row)
        for row in rows:
            seed = 0 if self._task.seed is None else self._task.seed
            mine = isinstance(row, Tuning) or row.seed == seed
            if not mine or (row.domain, row.arm) != (self._task.domain, self._task.arm):
                yield f"rows: {self._name(row)}: is of another task"

    def _adaptations(self, rows: list[Adaptation]) -> Iterator[str]:
        """Problems that were adapted to at once share alike in what was spent."""
        size = self._spec.problems.passages
        for level, found in groupby(rows, key=lambda row: row.rung):
            of_level = list(found)
            for first in range(0, len(of_level), size):
                group = of_level[first : first + size]
                name = group[0].problem + (f" and {len(group) - 1} more" if len(group) > 1 else "") + f" x{level:g}"
                share, exam = 1.0 / len(group), f"exam of {name}"
                judged, drawn = (self._beside.get((exam, part), []) for part in (JUDGE, SAMPLES))
                expected = {
                    **spent_and_rejected(self._of(name), self._currency, share),
                    "evaluated": amounts(self._of(exam), self._currency, share),
                    "judging": amounts(judged, self._currency, share) if judged else {},
                    "sampling": amounts(drawn, self._currency, share) if drawn else {},
                }
                for row in group:
                    there = name in self._named and exam in self._named
                    yield from self._compare(self._name(row), row, expected if there else None)

    def _other(self, row: Row) -> dict[str, Any] | None:
        if isinstance(row, Investment):
            name = f"learn x{row.rung:g}"
            return spent_and_rejected(self._of(name), self._currency) if name in self._named else None
        if isinstance(row, AdaptationStream):
            paid = [charge for name in self._named if name.startswith("stream ") for charge in self._named[name]]
            exam = self._of("exam of the stream")
            return {"spent": by_purpose(paid, self._currency), "evaluated": amounts(exam, self._currency)}
        if isinstance(row, Tuning):
            return {"spent": by_purpose([c for found in self._named.values() for c in found], self._currency)}
        return None

    def _attempts(self, row: Tuning) -> Iterator[str]:
        for number, attempt in enumerate(row.attempts, start=1):
            words = (f"trial {number}: ", f"exam of trial {number}: ")
            paid = [charge for name, charges in self._named.items() if name.startswith(words) for charge in charges]
            if not equal_but_for_rounding(attempt.spent, amounts(paid, self._currency)):
                yield f"rows: {self._name(row)}: what trial {number} spent is not what the journal adds up to"

    def _of(self, name: str) -> list[Booking]:
        return self._named.get(name, [])

    @staticmethod
    def _name(row: Row) -> str:
        if isinstance(row, Adaptation):
            return f"the adaptation to {row.problem} at {row.rung:g}x"
        return f"the {'stream' if isinstance(row, AdaptationStream) else row.row}"

    @staticmethod
    def _compare(name: str, row: Row, expected: dict[str, Any] | None) -> Iterator[str]:
        if expected is None:
            yield f"rows: {name}: the journal has no account of such work"
            return
        found = {field: dict(row)[field] for field in expected}
        wrong = [field for field in expected if not equal_but_for_rounding(found[field], expected[field])]
        if wrong:
            verb = "is" if len(wrong) == 1 else "are"
            yield f"rows: {name}: {', '.join(wrong)} {verb} not what the journal adds up to"
