"""Whether the records of a run agree with each other: every row with its journal, every journal with what was noted of
it, all of it with what was asked.

A journal that was rewritten whole, with new hashes, is found out by the head that its task and the history keep; one
that was rewritten with these as well, by amounts of rows that do not follow from it. Someone who rewrites everything,
the history too, is found out only by a copy that was published before.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, final

from netgain.errors import InputError, shown
from netgain.metering.budget import Standing
from netgain.metering.verification import Verification, verify_scan
from netgain.records.chain import Reading
from netgain.records.events import Closed, Noted
from netgain.records.identity import identity
from netgain.records.samples import rows_of
from netgain.trials.context import by_purpose_name, lost_work, seconds
from netgain.trials.history import (
    ASKED,
    CIRCUMSTANCES,
    FINISHED,
    HISTORY,
    OPENED,
    HistoryNote,
    date_of,
    is_noted,
    notes,
    read_history,
    seconds_of,
)
from netgain.trials.kept import KeptRun, KeptTask
from netgain.trials.row_amounts import RowAmounts
from netgain.trials.run_setup import EXAM_FILE, setup_hash
from netgain.trials.shards import SHARDS, unjoined
from netgain.trials.spec import TrialSpec, primary_hash
from netgain.trials.store import (
    LOCK,
    REGISTERED,
    RESULT,
    SETUP,
    differences,
    registration_of,
    spec_hash,
    task_identity,
)
from netgain.trials.tasks import Task, TaskResult, tasks

SHOWN = 3  # rows that are named of those that are wrong in one task
WITHOUT_JOURNALS = "the records hold no journals: that the rows are all, what they cost, and the card, is not told"


@final
@dataclass(frozen=True, slots=True)
class RunCheck:
    """What :func:`recheck` found: ``wrong`` does not follow from what was done, the first thing first; ``unfinished``
    is only not there yet; ``unknown`` says what these records are too old, or too few, to tell.

    ``parts`` are the hashes of all that the verdict is made from, by name.
    """

    wrong: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)

    def root(self, verdict: str) -> str:
        """One hash over everything, the content of the verdict (as a hash) included. Publish it: a folder that was
        rewritten whole, with all hashes right, has another."""
        return identity("run", {**self.parts, "verdict": verdict})

    @property
    def journals(self) -> bool:
        """Whether there were any journals to hold the rows against."""
        return WITHOUT_JOURNALS not in self.unknown

    @property
    def doubts(self) -> list[str]:
        """Why a verdict from these records is not to be believed: something is wrong, or there are no journals."""
        return [*self.wrong, *(() if self.journals else (WITHOUT_JOURNALS,))]

    @property
    def found(self) -> list[str]:
        """Everything that keeps the records from being whole and true."""
        return [*self.wrong, *self.unfinished]


def recheck(run: KeptRun, show: Callable[[Verification], None] = lambda found: None) -> RunCheck:
    """All that is wrong, in words. ``show`` is given each journal's verification.

    Raises InputError where the folder holds no run.
    """
    spec, _ = run.store.asked()
    if not run.has_journals:
        return RunCheck((), unknown=(*_unknown_of_lock(run), WITHOUT_JOURNALS), parts=run.contents())
    check = _Check(run, spec)
    history = run.history_journal
    if history is None and unjoined(run.folder):
        check.unfinished.append(f"{SHARDS}: are not joined yet: run the trial without --shard")
    elif history is None:
        check.wrong.append(f"{HISTORY}: is missing: nothing says what was asked, and what was begun and finished")
    else:
        show(verify_scan(history.scan(), f"{run.folder}/{HISTORY}"))
        check.take_history(history)
    check.wrong += _guarded(LOCK, _of_lock(run, check.noted))
    for kept in run.journals():
        opened = [note.head for note in check.of_task.get(kept.name, ()) if note.text == OPENED]
        show(verified := verify_scan(kept.journal, f"{run.folder}/{kept.name}", wanted=opened))
        check.take_task(kept, verified)
    check.finish()
    parts = {"history": history.head if history else "", **check.tasks, **run.contents()}
    unknown = (*_unknown_of_lock(run), *check.unknown())
    return RunCheck(tuple(check.wrong), tuple(check.unfinished), unknown, parts)


@final
class _Check:
    """What has been found so far, journal by journal."""

    def __init__(self, run: KeptRun, spec: TrialSpec) -> None:
        self._run, self._spec = run, spec
        self._asked = {task.name: task for task in tasks(spec)}
        self._seen: set[str] = set()
        self._first: float | None = None  # when the first launch began, by the clock of its machine
        self._unpinned: list[str] = []
        self._deleted: list[str] = []
        self._cut: set[bytes] = set()  # the first rows of tasks that may be in the file of all rows, and need not
        self._blocks: dict[bytes, tuple[int, bytes]] = {}  # by a task's first row: the length of the rest, and the hash
        self.noted: list[HistoryNote] = []
        self.of_task: dict[str, list[HistoryNote]] = {}  # the same, by the task that they are about
        self._hashes: set[str] = set()  # of all that was ever asked here
        self.tasks: dict[str, Any] = {}
        self.wrong: list[str] = []
        self.unfinished: list[str] = []

    def take_history(self, reading: Reading) -> None:
        """What the history notes, and what is wrong with it."""
        self.noted, wrong = read_history(reading.records)
        began = [row.at for row in reading.records[:1]] + [note.since for note in self.noted if note.since is not None]
        self._first = min(began, default=None)
        self.wrong += [f"{HISTORY}: {line}" for line in (*reading.findings, *wrong)]
        for note in self.noted:
            if note.task:
                self.of_task.setdefault(note.task, []).append(note)
        self._hashes = {note.hash for note in self.noted if note.text == ASKED}

    def take_task(self, kept: KeptTask, verified: Verification) -> None:
        """Hold a task's records against each other and the history."""
        name = kept.name
        self._seen.add(name)
        self.tasks[f"task {name}"] = [verified.head, kept.result]
        task = self._asked.get(name)
        if task is None:
            self.wrong.append(f"{name}: is no task of the trial")
            return
        mine = self.of_task.get(name, [])
        # Where a launch was cut off before it noted the end of a task, the task is not finished: the next one notes it.
        ended = is_noted(mine, str(kept.result.get("head"))) if mine else bool(kept.result)
        if not ended and not kept.result:
            empty = not verified.rows + verified.untrusted  # its process ended before it could write
            found = [] if empty or verified.ok else [f"journal: {verified.first_lie}"]
            self.unfinished.append(f"{name}: is not finished")
        else:
            first, _, _ = kept.rows.partition(b"\n")
            if not ended:
                self.unfinished.append(f"{name}: is not finished")
                self._cut.add(first)
            self._blocks[first] = (len(kept.rows) - len(first), sha256(kept.rows).digest())
            noted = mine if ended else None
            found = list(
                _guarded("unit.json", _of_task(self._run, self._spec, task, kept, verified, noted, self._hashes))
            )
            if not any("problems" in note.data for note in notes(verified.last)):
                self._unpinned.append(name)
        if deleted := _deleted(verified, mine):
            self._deleted.append(f"{name}: {deleted} of its attempts, which the history knows, were deleted")
        self.wrong += [f"{name}: {problem}" for problem in found]

    def finish(self) -> None:
        """What is wrong with the whole, once every task was taken."""
        for name in self._asked.keys() - self._seen:
            there = [note.text for note in self.of_task.get(name, ())]
            if FINISHED in there or OPENED in there:
                done = "finished" if FINISHED in there else "begun"
                self.wrong.append(f"{name}: is missing, although the history notes that it was {done}")
            else:
                self.unfinished.append(f"{name}: is missing: the trial has this task, and the record has not")
        self.wrong += self._registered_late()
        if not self._run.samples.is_file():
            self.unfinished.append(
                f"{self._run.samples.name}: is missing: the command that began the run writes it at its end"
            )
        elif not self._is_assembled():
            self.wrong.append(f"{self._run.samples.name}: is not the rows of the tasks")

    def _registered_late(self) -> Iterator[str]:
        """Whether the record says itself that work began before the registration. A run begins at no time before it;
        clocks of workers, and of a machine whose clock was set meanwhile, tell nothing of that."""
        stated = registration_of(self._run.store.locked() or {})
        at = seconds_of(stated["at"]) if stated else None
        if stated and at is None:
            yield f"{LOCK}: says that it was registered {shown(stated['at'])}, which is no date of a registration"
        elif stated and at is not None and self._first is not None and self._first < at:
            yield f"{LOCK}: says that it was registered {stated['at']}, but work began {date_of(self._first)}"

    def _is_assembled(self) -> bool:
        """Whether the rows are those of the tasks, one after another; read a task at a time."""
        left = {first: block for first, block in self._blocks.items() if first}
        with self._run.open_samples() as opened:
            while line := opened.readline():
                first = line.rstrip(b"\n")
                rest, hashed = left.pop(first, (0, b""))
                if sha256(line + opened.read(rest + len(first) - len(line))).digest() != hashed:
                    return False
        return not left.keys() - self._cut

    def unknown(self) -> Iterator[str]:
        """What these records do not tell."""
        yield from (f"{line}: what came of them, and what they took" for line in self._deleted)
        for part in self._run.missing_parts():
            yield f"{part}: its history, which another part had seen, was deleted: what it did, and what that took"
        if self._unpinned:
            more = f" (and {len(self._unpinned) - 1} more)" if len(self._unpinned) > 1 else ""
            yield f"journals of {self._unpinned[0]}{more}: do not note which problems the task worked on"


def _of_lock(run: KeptRun, noted: list[HistoryNote]) -> Iterator[str]:
    locked = run.store.locked() or {}
    now, stated = spec_hash(locked), registration_of(locked)
    if stated and stated["hash"] != now:
        yield f"{LOCK}: was edited after it was registered: its hash is not {stated['hash']}"
    last = [note for note in noted if note.text == ASKED]
    if last and last[-1].hash != now:
        changed = ", ".join(differences(_asked(last[-1].form), _asked(locked))[:SHOWN])
        yield f"{LOCK}: is not what the last launch was asked: its hash is not {last[-1].hash}; changed: {changed}"
    if last and REGISTERED in last[-1].form and last[-1].form[REGISTERED] != locked.get(REGISTERED):
        yield f"{LOCK}: says otherwise than the history when it was registered"
    if locked.get("primary") != primary_hash(locked["trial"]):
        yield f"{LOCK}: its comparison and budget do not have the hash that stands there under primary"
    circumstances = [note for note in noted if note.text == CIRCUMSTANCES]
    if circumstances and circumstances[-1].hash != setup_hash(run.store.setup()):
        yield f"{SETUP}: is not the one that the last launch wrote"
    exam = run.folder / EXAM_FILE  # it may be deleted, and a packed record has none
    asked = [note.exam for note in circumstances if note.exam]
    if asked and exam.is_file() and sha256(exam.read_bytes()).hexdigest() != asked[-1]:
        yield f"{EXAM_FILE}: is not the one that the last launch wrote"


def _asked(form: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != REGISTERED}


def _unknown_of_lock(run: KeptRun) -> Iterator[str]:
    if "problems" not in (run.store.locked() or {}):
        yield f"{LOCK}: holds no digests of the problems and their answers: whether all tasks sat one exam is not told"


def _deleted(verified: Verification, mine: list[HistoryNote]) -> int:
    """How many attempts the history knows, of which the journal has no row: they were deleted, or cut off its end."""
    return sum(note.text == OPENED and note.head not in verified.seen for note in mine)


def _guarded(file: str, lines: Iterator[str]) -> Iterator[str]:
    """The same lines; where a file that anybody may have written holds what no such file does, a line that says so."""
    try:
        yield from lines
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        words = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
        yield f"{file}: it, or {LOCK}, holds something else than netgain writes ({words})"


def _of_task(
    run: KeptRun,
    spec: TrialSpec,
    task: Task,
    kept: KeptTask,
    verified: Verification,
    mine: list[HistoryNote] | None,
    asked: set[str],
) -> Iterator[str]:
    """What is wrong with one task, its journal first: nothing else is believed of one that does not verify. ``mine``
    is what the history notes of it (None: not yet that it finished), ``asked`` the hashes of all trials that were ever
    asked there."""
    if not verified.ok:
        yield f"journal: {verified.first_lie}"
        return
    result, records = kept.result, verified.last
    if result.keys() not in (fields := set(TaskResult.__dataclass_fields__), fields - {"beside"}):
        yield "unit.json: is missing or damaged, although the history notes that the task was finished"
        return
    noted = next((note.model_dump() for note in reversed(mine or ()) if note.text == FINISHED), {})
    for name in ("identity", "head", "attempts"):
        if mine is not None and noted.get(name) != result.get(name):
            yield f"unit.json: its {name} is not what the history noted when the task was finished"
    last = records[-2] if len(records) > 1 and isinstance(records[-1].event, Closed) else records[-1]
    if last.hash != result["head"]:
        yield "journal: its last row is not the one whose hash was kept when the task was finished"
    if not isinstance(last.event, Noted) or last.event.text != RESULT:
        yield "journal: does not end with the note of its rows"
    elif last.event.data.get("identity") != result["identity"]:
        yield "unit.json: its identity is not the one that the journal notes"
    elif last.event.data.get("settings", result["settings"]) != result["settings"]:
        yield "unit.json: its settings are not those that the journal notes"
    if isinstance(last.event, Noted) and last.event.data.get("asked") not in asked:
        yield "journal: was written for another trial than any that the history knows"
    if result["attempts"] != verified.began:
        yield "unit.json: does not say truly how many processes have begun the task"
    if str(result["identity"]).partition("#")[2] != sha256(kept.rows).hexdigest():
        yield "rows: are not those whose hash was kept when the task was finished"
    yield from _of_amounts(spec, task, kept, verified.standing)
    yield from _of_work(run, task, kept, verified)


def _of_work(run: KeptRun, task: Task, kept: KeptTask, verified: Verification) -> Iterator[str]:
    """What is wrong with the work that a task says it did: the settings that it began with, and the problems."""
    locked, result = run.store.locked() or {}, kept.result
    given = locked["arms"][task.arm]["settings"]
    if task.tuning is not None:
        tuned = run.results.get(task.tuning.name)
        if tuned is None:
            yield f"its tuning {task.tuning.name} is not there"
            return
        given = tuned.get("settings")
    if task.stage == "run" and result["settings"] != given:
        yield "unit.json: its settings are not those that its arm was tuned to"
    elif result["identity"].partition("#")[0] != task_identity(task, given, locked):
        yield "unit.json: its identity is not that of the work that the lock and the settings make it"
    for note in notes(verified.last):
        worked, asked = note.data.get("problems"), locked.get("problems", {}).get(task.domain)
        if worked is not None and asked is not None and worked != asked:
            splits = ", ".join(split for split in asked if worked.get(split) != asked[split])
            yield f"journal: it worked on other problems ({splits}) than the lock names: the data changed on the way"


def _of_amounts(spec: TrialSpec, task: Task, kept: KeptTask, standing: Standing) -> Iterator[str]:
    currency, result = spec.budget.currency, kept.result
    charges = list(standing.charges.values())
    spent = by_purpose_name(charges, currency)
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
    derived = RowAmounts(spec, task, standing, roots[0])
    beside = by_purpose_name(derived.beside(rows), currency)
    if result.get("beside", beside) != beside:
        yield "unit.json: what it says was taken beside its rows is not what the journal adds up to"
    wrong = list(derived.wrong(rows))
    yield from wrong[:SHOWN]
    if len(wrong) > SHOWN:
        yield f"and {len(wrong) - SHOWN} more rows whose amounts are not the journal's"
