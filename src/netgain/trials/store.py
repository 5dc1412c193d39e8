"""The folder of a run: what was asked, what each task wrote down, and all rows in one file.

::

    spec.lock.yaml          the whole resolved trial, with digests; a run with another one is refused. Where it was
                            registered before any work, it says when, and the hash of the rest
    setup.json              example questions, hardware, date, versions: what the page shows and nothing depends on
    units/<task>/journal    every charge, those of attempts that were cut off included
    units/<task>/rows.jsonl written in one go when the task is finished; unit.json beside it says of what work
    units/<task>/kept/      results of paid operations, until the task is finished: an attempt goes on from there
    units/<task>/failed.txt why the last attempt ended, until one succeeds
    history                 a journal of all launches: what was asked, which tasks were begun and finished
    shards/2-of-4/history   the same of a part of the trial, until a whole run takes it over
    samples.jsonl           the rows of all finished tasks, in the trial's order

Files appear under their names only when they are whole. A finished task is known by the identity of all that decides
it, and is never done again. What counts is content: a folder that was moved, with its trial or alone, is the same.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, final

import yaml

from netgain.domains.domain import Domain
from netgain.domains.problem import Question, Split
from netgain.errors import InputError
from netgain.extensions import source_digest
from netgain.records.chain import scan
from netgain.records.claim import Role
from netgain.records.events import Began
from netgain.records.identity import canonical, digest, identity
from netgain.records.provenance import RunSetup
from netgain.strict_yaml import plain_yaml
from netgain.trials.history import date_of
from netgain.trials.resolve import Trial, paths_in
from netgain.trials.spec import IsolationSpec, TrialSpec, primary_hash
from netgain.trials.tasks import Task, TaskResult, result_in

LOCK, SAMPLES, UNITS, SETUP = "spec.lock.yaml", "samples.jsonl", "units", "setup.json"
RESULT = "result"  # the note in a task's journal that names its rows, so that the head of the journal stands for them
EXAM = "exam files"  # in ``data``; a name that no domain can have
REGISTERED = "registered"  # the field of a lock that is no part of what was asked
SCHEMA = "netgain.trial/1"


@final
class Store:
    """The folder of one run. Making one writes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parsed: tuple[str, dict[str, Any]] = ("", {})

    # -- what was asked

    def locked(self) -> dict[str, Any] | None:
        """What stands in ``spec.lock.yaml``, None where there is none yet. Raises InputError for a damaged one."""
        path = self.folder / LOCK
        if not path.is_file():
            return None
        try:
            text = path.read_text(encoding="utf-8")
            if text and text == self._parsed[0]:
                return self._parsed[1]  # parsing is slow, and every task asks
            data = plain_yaml(text)
            canonical(data)  # what has no identity (NaN, infinity) is no record
        except (OSError, ValueError, yaml.YAMLError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise InputError(str(path), f"cannot be read ({why})", "give another folder with --out") from None
        if not isinstance(data, dict):
            raise InputError(str(path), "is no locked trial", "give another folder with --out")
        self._parsed = (text, data)
        return data

    def lock(self, form: Mapping[str, Any]) -> None:
        """Fix what was asked. Raises InputError, naming what differs, where something else was asked before."""
        before, now = self.locked(), json.loads(canonical(form))
        if before is None:
            self._write_lock(now)
            return
        stated = registration_of(before)
        if stated is not None and stated["hash"] != spec_hash(before):
            raise InputError(
                str(self.folder / LOCK),
                f"was edited after it was registered: its hash is not {stated['hash']}",
                "bring the registered file back, or register the trial anew in another folder (--out)",
            )
        differing = differences(*without_locations(before, now))
        if differing:
            shown = ", ".join(differing[:8]) + (f" and {len(differing) - 8} more" if len(differing) > 8 else "")
            remedy = "keep the trial as it was, or give another folder with --out"
            raise InputError(str(self.folder / LOCK), f"another trial was begun here; what differs: {shown}", remedy)

    def _write_lock(self, form: Mapping[str, Any]) -> None:
        text = yaml.safe_dump(dict(form), sort_keys=False, allow_unicode=True, width=100)
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder / LOCK, text)

    def register(self, form: Mapping[str, Any]) -> dict[str, str]:
        """Write down what will be asked before any of it runs: ``at`` (ISO, UTC) and the ``hash`` of all the rest.

        Registering the same trial again changes nothing. Raises InputError where work was begun without it, and, naming
        what differs, where another trial was asked.
        """
        before = self.locked()
        if before is not None:
            self.lock(form)
            stated = registration_of(before)
            if stated is not None:
                return stated
        if any(self.folder.glob(f"{UNITS}/*/journal")):
            raise InputError(
                str(self.folder), "the trial was begun here before it was registered", "give another folder with --out"
            )
        now = json.loads(canonical(form))
        stated = {"at": date_of(time.time()), "hash": spec_hash(now)}
        self._write_lock({REGISTERED: stated, **now})
        return stated

    def asked(self) -> tuple[TrialSpec, dict[str, Role]]:
        """The locked trial, and the role of each method in it. Raises InputError where there is none."""
        path, data = self.folder / LOCK, self.locked()
        if data is None:
            raise InputError(str(path), "there is no such file", "give the folder of a run")
        try:
            spec = TrialSpec.model_validate(renamed(data["trial"]))
            return spec, {arm.method: Role(data["arms"][name]["role"]) for name, arm in spec.arms.items()}
        except (KeyError, TypeError, ValueError) as problem:
            raise InputError(str(path), f"is no locked trial ({str(problem).splitlines()[0]})") from None

    def require_asked(self, domain: str, problems: Mapping[str, str], models: Mapping[str, str]) -> None:
        """Raise InputError where a domain's problems, or the models, have other digests than the lock names."""
        locked, remedy = self.locked() or {}, "bring it back, or give another folder with --out"
        if locked.get("problems", {}).get(domain, problems) != problems:
            problem = "the data were changed after the trial had begun: its problems are others than the lock names"
            raise InputError(f"domain {domain}", problem, remedy)
        for name, found in models.items():
            if locked.get(name, found) != found:
                problem = "was changed after the trial had begun: it is another than the lock names"
                raise InputError(name.removesuffix("_digest"), problem, remedy)

    def setup(self) -> RunSetup | None:
        """The circumstances of the run; None where they were not written down (or not so that they can be read)."""
        try:
            return RunSetup.model_validate_json((self.folder / SETUP).read_bytes())
        except (OSError, ValueError):
            return None

    def describe(self, setup: RunSetup) -> None:
        """Write down the circumstances of the run. They are no part of what was asked: a run may go on elsewhere."""
        write(self.folder / SETUP, setup.model_dump_json(indent=1, exclude_defaults=True) + "\n")

    # -- what was done

    def of(self, task: Task) -> Path:
        """The folder of a task."""
        return self.folder / UNITS / task.name

    def journal(self, task: Task) -> Path:
        """Its journal."""
        return self.of(task) / "journal"

    def attempts(self, task: Task) -> int:
        """How many processes have begun it."""
        path = self.journal(task)
        return sum(isinstance(record.event, Began) for record in scan(path)) if path.is_file() else 0

    def finished(self, task: Task, identity: str) -> TaskResult | None:
        """What it left, None where it is not finished or was other work than that of this identity.

        Raises InputError where its rows are not those that were written.
        """
        folder = self.of(task)
        try:
            result = TaskResult(**result_in(folder / "unit.json"))
            rows = (folder / "rows.jsonl").read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        name, _, hashed = result.identity.partition("#")
        if name != identity:
            return None
        _require_rows(folder / "rows.jsonl", rows, hashed)
        return result

    def finish(self, task: Task, rows: str, result: TaskResult) -> None:
        """Write a task's rows (as the text of their file), then that it is finished."""
        folder = self.of(task)
        write(folder / "rows.jsonl", rows)
        write(folder / "unit.json", json.dumps(asdict(result), indent=1, sort_keys=True) + "\n")
        (folder / "failed.txt").unlink(missing_ok=True)

    def fail(self, task: Task, error: str) -> None:
        """Keep why an attempt ended."""
        self.of(task).mkdir(parents=True, exist_ok=True)
        write(self.of(task) / "failed.txt", error.rstrip() + "\n")

    def assemble(self, finished: Mapping[Task, TaskResult]) -> Path:
        """Write ``samples.jsonl`` from these tasks' rows, in this order. Raises InputError as :meth:`finished`."""
        rows = []
        for task, result in finished.items():
            path = self.of(task) / "rows.jsonl"
            rows.append(path.read_bytes())
            _require_rows(path, rows[-1], result.identity.partition("#")[2])
        write(self.folder / SAMPLES, b"".join(rows).decode("utf-8"))
        return self.folder / SAMPLES


def _require_rows(path: Path, rows: bytes, hashed: str) -> None:
    if sha256(rows).hexdigest() != hashed:
        remedy = "bring them back, or delete its folder to do it again"
        raise InputError(str(path), "holds other rows than were written there", remedy)


def own_name(path: Path) -> Path:
    """The name of a file beside ``path`` that only this process, of all machines that see the folder, writes."""
    return path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}")


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing: beside it first, on the disk, then under its name."""
    write_together(path.parent, {path.name: text.encode("utf-8")})


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """The same for files that belong together: none gets its name before all of them are whole on the disk. Where that
    cannot be, nothing of them is left, and the OSError names the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = {own_name(folder / name): folder / name for name in files}
    try:
        for path, data in zip(beside, files.values(), strict=True):
            with path.open("wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
        for path, named in beside.items():
            path.replace(named)
    except OSError as problem:
        problem.filename = problem.filename or str(folder)  # a full disk names no file
        raise
    finally:
        for path in beside:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def locked_form(trial: Trial, version: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """What ``spec.lock.yaml`` holds: the whole trial, and by content what stands behind its words.

    ``data`` are the digests of files that domains read or, in a user's own file, are written in.
    """
    spec = trial.spec.model_dump(mode="json")
    usual: dict[str, Any] = {"limited_from": None, "grade": "exact", "attention": "auto", "chat": "auto", "shots": 0}
    usual |= {"cut": None, "serve": None, "isolation": IsolationSpec().model_dump(mode="json")}
    for name, value in usual.items():
        if spec[name] == value:
            del spec[name]  # as it was before it could be chosen
    for given in spec["arms"].values():
        del given["needs"]  # whether the arm is there says it all
    spec["exam"] = {name: value for name, value in spec["exam"].items() if value is not None}
    arms = {
        name: {
            "label": arm.label,
            "role": arm.method.role.value,
            "learns": arm.method.learns,
            "settings": arm.settings.recorded(),
            "knobs": {knob: list(values) for knob, values in arm.knobs.items()},
            "source": arm.source,
        }
        for name, arm in trial.arms.items()
    }
    primary = primary_hash(spec)
    header = {"schema": SCHEMA, "netgain": version, **digests}
    data = {name: found for name in trial.kinds if (found := _data(trial, name))}
    if files := trial.spec.exam.files(trial.lines.folder):
        data[EXAM] = {name: _content(path) for name, path in files.items()}
    problems = {name: problem_digests(trial, domain) for name, domain in trial.domains.items()}
    return {
        **header,
        **({"data": data} if data else {}),
        "problems": problems,
        "prompts": {name: trial.prompts(name).version for name in trial.kinds},
        "primary": primary,
        "trial": spec,
        "arms": arms,
    }


def spec_hash(locked: Mapping[str, Any]) -> str:
    """The identity of what was asked: of a locked form, all but the date of its registration."""
    return identity("trial", {name: value for name, value in locked.items() if name != REGISTERED})


def registration_of(locked: Mapping[str, Any]) -> dict[str, str] | None:
    """``at`` and ``hash`` of a locked form that was registered before anything ran; None for one that was not."""
    stated = locked.get(REGISTERED)
    if not isinstance(stated, dict) or not {"at", "hash"} <= stated.keys():
        return None
    return {name: str(stated[name]) for name in ("at", "hash")}


def problem_digests(trial: Trial, domain: Domain) -> dict[str, str]:
    """A digest of the problems of each split, with their questions and answers: who is examined on what.

    What a domain makes up from a seed stands in no file, and changes with the code that makes it up.
    """
    spec = trial.spec
    counts: dict[Split, int] = {"development": spec.problems.development, "test": spec.problems.test}
    if trial.trains:
        counts["train"] = spec.problems.train
    return {
        split: digest(
            "problems",
            canonical(
                [
                    [one.material.id, one.material.title, one.material.text]
                    + [_content_of(question) for question in one.questions]
                    for one in domain.problems(split, count, spec.seed)
                ]
            ),
        )
        for split, count in counts.items()
        if count
    }


def _content_of(question: Question) -> list[Any]:
    parts = [[part.text, list(part.answers)] for part in question.parts]
    return [question.kind, question.text, list(question.answers), *([parts] if parts else [])]


def _data(trial: Trial, name: str) -> dict[str, str]:
    """The digests of the files that a domain reads, and of the one that it is written in where that is a user's."""
    kind, settings = trial.kinds[name]
    code = source_digest(kind)
    files = {key: _content(trial.lines.folder / path) for key, path in paths_in(settings)}
    return files | ({"source": code} if code else {})


def _content(path: Path) -> str:
    """A digest of a file, or of all files in a folder with their names; empty where there is nothing."""
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    hashes = {
        file.relative_to(path).as_posix(): sha256(file.read_bytes()).hexdigest() for file in inside if file.is_file()
    }
    return digest("data", canonical(hashes)) if hashes else ""


def without_locations(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two locked forms without where files lie and when they were registered. Digests of data, of problems and of
    prompts that an older one does not hold are no difference."""
    data = before.get("data", {})
    since = ("data", "problems", "prompts")
    known = {name: value for name, value in now.items() if name not in since or name in before}
    asked = {name: value for name, value in before.items() if name != REGISTERED}
    old, new = (
        {**form, "trial": portable(renamed(form["trial"]), data)} if isinstance(form.get("trial"), dict) else dict(form)
        for form in (asked, known)
    )
    return old, new


def renamed(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A locked trial's fields under today's names: ``grade`` was called ``grades``, and stood there with a judge."""
    fields = dict(trial)
    grade = fields.pop("grades", "exact")
    return fields if grade == "exact" else {**fields, "grade": grade}


def portable(trial: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a trial with nothing in them that only says where something lies: models, the code of methods and
    ``data`` are known by their digests."""
    fields = deepcopy(dict(trial))
    fields["model"] = ""
    if fields.get("serve") is not None:
        fields["serve"] = {}  # that it is served, not where
    for name in ("teacher", "judge"):
        other = fields.get(name)
        if isinstance(other, dict) and "url" not in other:
            other.pop("model", None)
    for domain in fields.get("domains", {}).values():
        domain["kind"] = domain["kind"].rpartition("/")[2]
    for name, found in data.get(EXAM, {}).items():
        whole = fields["exam"][name]
        fields["exam"][name] = {**whole, "include_path": found} if isinstance(whole, dict) else found
    for name, paths in data.items():
        fields.get("domains", {}).get(name, {}).update(paths)
    for arm in fields.get("arms", {}).values():
        arm["method"] = arm["method"].rpartition("/")[2]
    return fields


def task_identity(task: Task, settings: Mapping[str, Any], locked: Mapping[str, Any]) -> str:
    """The identity of a task's work: of all that decides its rows, and of nothing else."""
    spec = portable(locked["trial"], locked.get("data", {}))
    parts = {name: spec[name] for name in ("problems", "seed", "budget", "teacher", "judge", "dtype")}
    parts |= {name: spec[name] for name in ("attention", "isolation", "serve") if name in spec}
    parts |= {"prompts": locked["prompts"][task.domain]} if "prompts" in locked else {}
    digests = ["netgain", "model_digest", "teacher_digest"]
    if spec["judge"] is not None:
        parts["grades"] = spec.get("grade", "exact")  # as the field was called when only a judge made it a choice
        digests.append("judge_digest")
    elif "grade" in spec:
        parts["grade"] = spec["grade"]
    stage = (
        {"exam": spec["exam"]} if task.stage == "run" else {"tuning": spec["tuning"], "kind": spec["compare"]["exam"]}
    )
    return identity(
        "unit",
        {
            **{name: locked[name] for name in digests},
            **parts,
            **stage,
            "unit": task.name,
            "domain": spec["domains"][task.domain],
            "arm": {**locked["arms"][task.arm], "label": ""},
            "settings": dict(settings),
        },
    )


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """The names of the fields in which two trees of plain values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = list(dict.fromkeys([*before, *after]))
        missing = object()
        pairs = ((key, before.get(key, missing), after.get(key, missing)) for key in keys)
        return [
            path for key, old, new in pairs for path in differences(old, new, f"{name}.{key}" if name else str(key))
        ]
    return [] if before == after else [name]
