"""A run's records wherever they are kept: in its folder, or packed small enough for a repository.

::

    spec.lock.yaml, setup.json, verdict.json    as in the run's folder
    samples.jsonl.xz                            the rows
    journals.xz                                 every journal, the history first, and what each task left (unit.json)
"""

import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, final

from netgain.errors import InputError, shown
from netgain.metering.budget import Booking
from netgain.metering.verification import replay
from netgain.records.chain import Reading, Scan, read, scan
from netgain.records.cost import Purpose
from netgain.records.events import Began
from netgain.records.identity import identity
from netgain.records.journal import Journal
from netgain.records.packed import pack_journals, unpack_journals
from netgain.records.provenance import RunHistory
from netgain.records.samples import Amounts, Row, read_rows, read_samples
from netgain.strict_json import parse_json
from netgain.trials.context import by_purpose
from netgain.trials.history import (
    ASKED,
    FAILED,
    FINISHED,
    HISTORY,
    JOINED,
    OPENED,
    SEEN,
    STOPPED,
    HistoryNote,
    read_history,
)
from netgain.trials.shards import SHARDS
from netgain.trials.store import (
    LOCK,
    SAMPLES,
    SETUP,
    UNITS,
    Store,
    differences,
    registration_of,
    spec_hash,
    write_together,
)
from netgain.trials.tasks import Task, json_object, result_in, result_of, tasks

JOURNALS, VERDICT = "journals.xz", "verdict.json"


@final
@dataclass(frozen=True, slots=True, eq=False)
class KeptTask:
    """One task of a record: its journal, what ``unit.json`` says of it (empty where it is not finished), its rows."""

    name: str
    journal: Scan
    result: dict[str, Any]
    rows: bytes


@final
class KeptRun:
    """The records in a folder, of either form. Making one reads nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store(folder)
        self.packed = (folder / JOURNALS).is_file() and not (folder / UNITS).is_dir()

    @property
    def samples(self) -> Path:
        """The file of all rows."""
        packed = self.folder / f"{SAMPLES}.xz"
        return packed if packed.is_file() and not (self.folder / SAMPLES).is_file() else self.folder / SAMPLES

    def assemble(self) -> None:
        """Write the file of all rows of a run that was cut off before it did so; a part of a run has none."""
        if not (self.packed or self.samples.is_file() or (self.folder / SHARDS).is_dir()):
            write_together(self.folder, {SAMPLES: b"".join(self._rows(name) for name in self.results)})

    @cached_property
    def rows(self) -> list[Row]:
        """Every row. Raises InputError where they cannot be read."""
        return read_rows(self.samples)

    @property
    def has_journals(self) -> bool:
        """Whether there is any journal to hold the rows against."""
        return self.packed or (self.folder / UNITS).is_dir() or (self.folder / HISTORY).is_file()

    def open_samples(self) -> IO[bytes]:
        """The rows as bytes, to be read and closed; nothing where there is no such file."""
        path = self.samples
        if not path.is_file():
            return BytesIO()
        return lzma.open(path) if path.suffix == ".xz" else path.open("rb")

    def contents(self) -> dict[str, str]:
        """The hash of what each file of the record says, however it is written."""
        samples = sha256()
        with self.open_samples() as opened:
            while piece := opened.read(1 << 20):
                samples.update(piece)
        locked = content_hash(self.store.locked())
        return {"lock": locked, "setup": self.content(SETUP), "samples": samples.hexdigest()}

    def content(self, name: str) -> str:
        """The hash of what a JSON file says; empty where there is none."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            return ""
        try:
            return content_hash(parse_json(data))
        except (ValueError, RecursionError):
            return sha256(data).hexdigest()

    @cached_property
    def results(self) -> dict[str, dict[str, Any]]:
        """What each finished task left, by name, in the order of the rows."""
        if self.packed:
            header = next(unpack_journals(self.folder / JOURNALS))[1]
            found = header.get("results", {})
            if not isinstance(found, dict):
                what = f"says what the tasks left in another form than netgain writes (results: {shown(found)})"
                raise InputError(str(self.folder / JOURNALS), what, "bring the file back")
            return {name: result for name, one in found.items() if _is_count(one) and (result := result_of(one))}
        return {name: result for name in self._names() if (result := result_in(self._unit(name) / "unit.json"))}

    def _unit(self, name: str) -> Path:
        return self.folder / UNITS / name

    def _rows(self, name: str) -> bytes:
        rows = self._unit(name) / "rows.jsonl"
        return rows.read_bytes() if rows.is_file() else b""

    def with_counts(self, samples: bytes) -> dict[str, dict[str, Any]]:
        """What each finished task of a run left, with how many of the ``samples`` are its own, in their order. Raises
        InputError where they lack those of a task."""
        texts = {name: self._rows(name) for name in self.results}
        if lacking := next((name for name, text in texts.items() if text not in samples), ""):
            raise InputError(str(self.samples), f"lacks the rows of {lacking}, which is finished", "run it again")
        places = sorted(texts, key=lambda name: (samples.find(texts[name]), name))
        return {name: {**self.results[name], "rows": texts[name].count(b"\n")} for name in places}

    def _names(self) -> list[str]:
        """All tasks that there is anything of: those of the trial in its order, then any others."""
        spec, _ = self.store.asked()
        there = {path.name for path in (self.folder / UNITS).glob("*") if path.is_dir()}
        asked = [task.name for task in tasks(spec) if task.name in there]
        return [*asked, *sorted(there - set(asked))]

    @cached_property
    def _noted(self) -> list[HistoryNote]:
        """What its rows say, of those that say anything; :mod:`recheck` says what is wrong with the others."""
        reading = self.history_journal if self.has_journals else None
        return read_history(reading.records)[0] if reading else []

    @cached_property
    def history_journal(self) -> Reading | None:
        """The journal of the folder as a whole; None where there is none."""
        if not self.packed:
            path = self.folder / HISTORY
            return read(path) if path.is_file() else None
        journals = unpack_journals(self.folder / JOURNALS)
        next(journals)
        name, reading = next(journals, ("", None))
        return reading if name == HISTORY else None

    def journals(self) -> Iterator[KeptTask]:
        """Every task with its journal, one at a time: the journals of a large run do not fit into memory together."""
        if not self.packed:
            for name in self._names():
                yield KeptTask(name, scan(self._unit(name) / "journal"), self.results.get(name, {}), self._rows(name))
            return
        lines = iter(read_samples(self.samples).splitlines(keepends=True))
        counts = {name: int(result.get("rows", 0)) for name, result in self.results.items()}
        pieces = {name: b"".join(islice(lines, n)) for name, n in counts.items()}
        for name, reading in unpack_journals(self.folder / JOURNALS):
            if name not in ("", HISTORY):
                result = {key: value for key, value in self.results.get(name, {}).items() if key != "rows"}
                yield KeptTask(name, reading.scan(), result, pieces.get(name, b""))

    def beyond_rows(self) -> dict[Task, dict[str, dict[Purpose, Amounts]]]:
        """By task, what it took that stands in no row, by stage: ``cut off`` (attempts that did not end, and all that a
        task took which is not finished) and ``other`` (see :class:`TaskResult`).

        Of records that are older than the history of attempts nothing is known here, and nothing is given.
        """
        if not any(note.text == OPENED for note in self._noted):
            return {}
        spec, _ = self.store.asked()
        asked, found = {task.name: task for task in tasks(spec)}, dict[Task, dict[str, dict[Purpose, Amounts]]]()
        for name, result in self.results.items():
            if name in asked and isinstance(result.get("beside"), dict):
                parts = {"cut off": result["lost"].get("spent", {}), "other": result["beside"]}
                found[asked[name]] = {stage: _by_purpose(spent) for stage, spent in parts.items()}
        for name, charges in self._unfinished():
            if name in asked:
                found[asked[name]] = {"cut off": by_purpose(charges, spec.budget.currency), "other": {}}
        return found

    def _unfinished(self) -> Iterator[tuple[str, list[Booking]]]:
        """The charges of tasks that are not finished; of a journal that does not verify, up to what is wrong."""
        names = [] if self.packed else [name for name in self._names() if name not in self.results]
        journals = ((name, scan(self._unit(name) / "journal")) for name in names)
        for name, journal in self._packed_journals() if self.packed else journals:
            if name not in self.results:
                standing, _ = replay(journal)
                yield name, list(standing.charges.values())

    def _packed_journals(self) -> Iterator[tuple[str, Scan]]:
        """The journals of tasks in a packed record; none are unpacked where every task is finished."""
        spec, _ = self.store.asked()
        if all(task.name in self.results for task in tasks(spec)):
            return iter(())
        journals = unpack_journals(self.folder / JOURNALS)
        return ((name, found.scan()) for name, found in journals if name not in ("", HISTORY))

    def history(self) -> RunHistory | None:
        """What happened to the run, from its history and from what its tasks left; None where nothing was locked."""
        locked = self.store.locked()
        if locked is None:
            return None
        stated = registration_of(locked)
        spec, registered = spec_hash(locked), stated["at"] if stated else ""
        if not self.has_journals:
            return self._told().model_copy(update={"spec": spec, "registered": registered})
        reading, noted = self.history_journal, self._noted
        done = Counter(note.task for note in noted if note.text == FINISHED)
        again = sum(note.again for note in noted if note.text == JOINED)  # of parts that were begun anew
        results = self.results if self.packed or (self.folder / UNITS).is_dir() else {}
        cut = {name: found for name, found in results.items() if found.get("attempts", 1) > 1}
        return RunHistory(
            spec=spec,
            registered=registered,
            launches=sum(isinstance(r.event, Began) for r in reading.records) + again if reading else 0,
            changed=tuple(_changes([note.form for note in noted if note.text == ASKED])),
            repeated=tuple(sorted(name for name, count in done.items() if count > 1)),
            stopped=tuple(note.by for note in noted if note.text == STOPPED),
            failed=tuple(f"{note.task}: {note.error}" for note in noted if note.text == FAILED),
            cut_off={name: found["attempts"] - 1 for name, found in cut.items()},
            lost=_lost(cut.values()),
            deleted=(*self._deleted(noted), *(f"{part}: all that it noted" for part in self.missing_parts())),
        )

    def missing_parts(self) -> list[str]:
        """Histories of parts (``shards/2-of-4``) that another part has seen, and that were never taken over."""
        joined = {note.first for note in self._noted if note.text == JOINED}
        seen = [note for note in self._noted if note.text == SEEN and note.first not in joined]
        return sorted({f"{SHARDS}/{note.part}" for note in seen if not (self.folder / SHARDS / note.part).is_dir()})

    def _deleted(self, noted: list[HistoryNote]) -> Iterator[str]:
        """Attempts that the history knows, and no journal has: each is one that could be tried until it suited."""
        opened = Counter(note.task for note in noted if note.text == OPENED)
        for name, count in opened.items():
            result = self.results.get(name)
            if result is not None:
                left = int(result.get("attempts", 0))
            elif self.packed:
                left = count  # of a task that was packed unfinished, verify tells
            else:
                path = self._unit(name) / "journal"
                left = sum(isinstance(row.event, Began) for row in scan(path)) if path.is_file() else 0
            if left < count:
                yield f"{name}: {count - left} of {count} attempts"

    def _told(self) -> RunHistory:
        """What the verdict says of the history, for a record whose journals are not there."""
        try:
            return RunHistory.model_validate(json_object(self.folder / VERDICT)["setup"]["history"])
        except (KeyError, TypeError, ValueError):
            return RunHistory(spec="")


def content_hash(value: Any) -> str:
    """The identity of plain values. Raises ValueError for what has no canonical form."""
    return identity("content", value)


def _is_count(result: object) -> bool:
    """Whether a packed task says how many rows are its own, or (of an older record) nothing about it."""
    rows = result.get("rows", 0) if isinstance(result, dict) else None
    return isinstance(rows, int) and 0 <= rows <= sys.maxsize


def _changes(asked: list[dict[str, Any]]) -> Iterator[str]:
    """The names of what differs between what one launch asked and what the next one did."""
    for before, after in pairwise(asked):
        yield ", ".join(differences(before, after))


def _lost(results: Any) -> dict[str, float]:
    lost: dict[str, float] = {}
    for result in results:
        for amounts in result.get("lost", {}).get("spent", {}).values():
            for name, amount in amounts.items():
                lost[name] = lost.get(name, 0.0) + amount
    return lost


def _by_purpose(spent: Mapping[str, Amounts]) -> dict[Purpose, Amounts]:
    return {Purpose(name): amounts for name, amounts in spent.items()}


def require_finished(run: KeptRun, *, unfinished: bool = False) -> None:
    """Raise InputError where a folder is no run's, or where a task is not finished (unless that is said)."""
    if run.store.locked() is None or run.packed:
        raise InputError(str(run.folder), "is not the folder of a run", "give the folder that netgain run wrote")
    spec, _ = run.store.asked()
    missing = [task.name for task in tasks(spec) if task.name not in run.results]
    if missing and not unfinished:
        remedy = "run it again, or keep what there is with --unfinished"
        raise InputError(str(run.folder), f"{missing[0]} is not finished ({len(missing)} tasks in all)", remedy)


def pack_run(run: KeptRun, out: Path, verdict: str) -> Path:
    """Write the records of a run, which :func:`require_finished` has seen, and its ``verdict`` (as the text of its
    file) to ``out``, small enough for a repository; the same run gives the same bytes. Nothing is written elsewhere.

    A ``spec.lock.yaml`` that stands there already (the registered one) must be the run's own. Raises InputError where
    it is not, or where a journal does not verify. Of a run that is not finished the verdict says how much is missing.
    """
    locked = run.store.locked() or {}
    there = Store(out).locked()
    if there is not None and there != locked:
        named = ", ".join(differences(there, locked)[:8])
        raise InputError(str(out / LOCK), f"another trial is registered there; what differs: {named}", "keep it")
    rows = read_samples(run.samples)
    history = run.history_journal
    kept = [(HISTORY, history)] if history else []
    journals = pack_journals({"results": run.with_counts(rows)}, _chained(kept, run))
    samples = lzma.compress(rows, preset=9 | lzma.PRESET_EXTREME)
    asis = {name: (run.folder / name).read_bytes() for name in (LOCK, SETUP) if (run.folder / name).is_file()}
    try:
        write_together(out, {f"{SAMPLES}.xz": samples, JOURNALS: journals, **asis, VERDICT: verdict.encode("utf-8")})
    except OSError as problem:
        remedy = "make room, or give a folder where you may write; the run is as it was"
        raise InputError(str(out), f"cannot be written ({problem.strerror or problem})", remedy) from None
    return out


def _chained(kept: list[tuple[str, Reading]], run: KeptRun) -> Iterator[tuple[str, Reading]]:
    yield from kept
    yield from ((task.name, task.journal.collect()) for task in run.journals())


def unpack_run(run: KeptRun, out: Path) -> Path:
    """The folder of the run that a packed record is of, so that ``netgain run`` goes on there: finished tasks are not
    done again, and what an unfinished one had taken stays in its journal as lost. Packed again it is the same bytes.

    Raises InputError where the record is none or is damaged, or where there is something at ``out``.
    """
    if run.store.locked() is None or not run.packed:
        raise InputError(str(run.folder), "is no packed record", "give a folder that netgain pack wrote")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(str(out), "is there already", "give the name of a new folder")
    if history := run.history_journal:
        _restore(run, HISTORY, history, out / HISTORY)
    for task in run.journals():
        folder = out / UNITS / task.name
        _restore(run, task.name, task.journal.collect(), folder / "journal")
        if task.result:
            result = json.dumps(task.result, indent=1, sort_keys=True) + "\n"
            write_together(folder, {"rows.jsonl": task.rows, "unit.json": result.encode("utf-8")})
    asis = {name: (run.folder / name).read_bytes() for name in (SETUP, VERDICT, LOCK) if (run.folder / name).is_file()}
    write_together(out, {SAMPLES: read_samples(run.samples), **asis})
    return out


def _restore(run: KeptRun, name: str, journal: Reading, path: Path) -> None:
    if journal.findings:
        raise InputError(str(run.folder / JOURNALS), f"{name}: {journal.findings[0]}", "bring it back")
    Journal.restore(path, journal.records)
