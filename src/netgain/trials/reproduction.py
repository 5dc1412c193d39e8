"""A run done again from its records: the same question, put to the same model and data, and what differs.

What was asked is the locked trial's; the code that answers is this installation's. So a model, data or a method's code
that is another refuses, before anything is spent, and so does a setting that has another value; what only the code
decides (versions, wordings, settings that one of the two does not know) is told.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import netgain
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError, shown
from netgain.extensions import find_domain
from netgain.isolation.user_method import find_arm_method
from netgain.metering.verification import replay
from netgain.records.cost import Cost
from netgain.records.identity import canonical
from netgain.records.provenance import RunSetup
from netgain.records.samples import Adaptation, Row, read_samples
from netgain.strict_yaml import SourceLines
from netgain.trials.context import LOST
from netgain.trials.kept import VERDICT, KeptRun, KeptTask
from netgain.trials.plan import check_before
from netgain.trials.resolve import FindDomain, Trial, resolve_spec, with_data
from netgain.trials.resolved_arm import FindMethod
from netgain.trials.run_setup import describe_machine
from netgain.trials.spec import KNOWN_AFTERWARDS
from netgain.trials.store import LOCK, differences, locked_form, without_locations

OF_THE_CODE = ("netgain", "prompts", "schema")  # fields of a lock that may differ, and are told
CIRCUMSTANCES = (
    *("hardware", "date", "versions", "code", "commit", "changes"),
    *("meter_check", "warnings", "note", "history"),
)
OF_ATTEMPTS = (
    "card",
    "compute",
)  # of a verdict: they hold what attempts took that were cut off; the ledger is compared
ABSENT = "absent"  # the value of a field that one of the two does not have
SHOWN, LONGEST = 8, 80  # differences that are named, letters of a value


@final
class Reproduction:
    """The records in ``record`` (a run's folder, or packed) and a run of the same, whose paths are relative to
    ``base``; every difference is passed to ``tell`` as it becomes known, and kept in ``lines``.

    Raises InputError where no trial is locked.
    """

    def __init__(self, record: Path, base: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self._run, self._base, self._told_to = KeptRun(record), base, tell
        self.lines: list[str] = []  # all that was told
        self._locked = self._run.store.locked() or {}
        self._told: set[str] = set()
        if not self._locked:
            raise InputError(str(record), f"holds no {LOCK}", "give the folder of a run, or a packed record")

    def trial(
        self,
        *,
        trust_remote_code: bool = False,
        find_method: FindMethod = find_arm_method,
        find_domain: FindDomain = find_domain,
    ) -> Trial:
        """The locked trial, its data read. Raises InputError where data, models or code are not at their paths, or are
        others than they were."""
        spec, _ = self._run.store.asked()
        lines = SourceLines(str(self._base / LOCK))
        try:
            trial = with_data(resolve_spec(spec, lines, find_method, find_domain, trust_remote_code))
            check_before(trial)
        except InputError as error:
            what = error.problem if error.where == lines.path else f"{error.where}: {error.problem}"
            remedy = f"paths are looked for from {self._base.resolve()}: --base FOLDER names another start"
            raise InputError(str(self._run.folder / LOCK), what, remedy) from None
        digests = {name: str(value) for name, value in self._locked.items() if name.endswith("_digest")}
        self.require_same(locked_form(trial, netgain.__version__, digests))
        return trial

    def begin(self, folder: Path, device: str) -> None:
        """Tell what is different about this machine and this installation, and what the record does not say of its own.
        Raises InputError where ``folder``, in which it will run, is the record's."""
        if folder.resolve() == self._run.folder.resolve():
            raise InputError(f"--out {folder}", "is the record itself", "give a folder of its own")
        now, before = describe_machine(device), self._run.store.setup() or RunSetup()
        pairs = {"hardware": (before.hardware, now.hardware)}
        if before.commit and not before.code:  # an older record names its code by the commit alone
            pairs["commit"] = (before.commit, now.commit)
            pairs["uncommitted changes"] = (before.changes or "none", now.changes or "none")
        else:
            pairs["netgain's code"] = (before.code, now.code)
        pairs |= {name: (number, now.versions.get(name, "")) for name, number in before.versions.items()}
        for name, (old, new) in pairs.items():
            if old != new or not old:
                self._say(f"{name} {_pair(old or 'not recorded', new or 'not known')}")
        if not self._told:
            self._tell("nothing differs beforehand: trial, model, data, code, packages and hardware are the record's")

    def require_same(self, form: Mapping[str, Any]) -> None:
        """Hold what is about to be asked, as it will be locked, against the record; tell what differs. Raises
        InputError for what makes it another run."""
        try:
            old, new = without_locations(self._locked, json.loads(canonical(form)))
            found = {name: (_at(old, name), _at(new, name)) for name in differences(old, new)}
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise InputError(str(self._run.folder / LOCK), f"is no locked trial ({problem})") from None
        other = [name for name, values in found.items() if not (name.startswith(OF_THE_CODE) or ABSENT in values)]
        if other:
            told = ", ".join(f"{name} {_pair(*found[name])}" for name in other[:SHOWN])
            commit = (self._run.store.setup() or RunSetup()).commit
            code = f"netgain {shown(self._locked.get('netgain'))}" + (f", commit {commit[:12]}" if commit else "")
            remedy = f"bring back what it was made with ({code}), or say with --base where its paths start"
            raise InputError(str(self._run.folder / LOCK), f"cannot be done again here: {told}", remedy)
        for name, values in found.items():
            self._say(f"{name} {_pair(*values)}")

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self._told_to(line)

    def _say(self, difference: str) -> None:
        if difference not in self._told:
            self._told.add(difference)
            self._tell(f"differs: {difference}")

    def compare(self, folder: Path) -> bool:
        """Tell whether the run in ``folder``, judged, has the record's verdict, answers and ledger, and where not, the
        first thing that differs; whether all are the same."""
        again = KeptRun(folder)
        found = {
            "verdict": _of_verdicts(self._run, again),
            "answers": _of_answers(self._run, again),
            "ledger": _of_ledgers(self._run, again),
        }
        for name, difference in found.items():
            self._tell(f"the same: {name}" if not difference else f"differs: {name}: {difference}")
        for difference in sorted(self._told):
            self._tell(f"differed beforehand: {difference}")
        return not any(found.values())


def _at(tree: Any, path: str) -> Any:
    """The value at a path that :func:`differences` named; :data:`ABSENT` where there is none."""
    while isinstance(tree, dict) and path:
        key = max((key for key in tree if path == key or path.startswith(f"{key}.")), key=len, default=None)
        if key is None:
            return ABSENT
        tree, path = tree[key], path[len(key) + 1 :]
    return tree


def _pair(before: object, now: object) -> str:
    return f"is {shown(now, LONGEST)}, was {shown(before, LONGEST)}"


def _first(before: Any, now: Any, path: str = "") -> str:
    """The first place in which two trees of plain values differ, with both values; empty where they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        parts = ((key, before.get(key, ABSENT), now.get(key, ABSENT)) for key in keys)
        return next((found for key, old, new in parts if (found := _first(old, new, f"{path}.{key}"))), "")
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        parts = ((str(place), old, new) for place, (old, new) in enumerate(zip(before, now, strict=True)))
        return next((found for key, old, new in parts if (found := _first(old, new, f"{path}.{key}"))), "")
    return "" if before == now else f"{path.removeprefix('.')} {_pair(before, now)}"


def _of_verdicts(record: KeptRun, again: KeptRun) -> str:
    """The first difference of two verdicts, but for the circumstances, which are told apart."""
    forms = []
    for run in (record, again):
        try:
            verdict = Verdict.model_validate_json((run.folder / VERDICT).read_bytes())
        except (OSError, ValueError):
            return f"{run.folder / VERDICT} is missing, or not of a form that netgain {netgain.__version__} reads"
        form = json.loads(verdict.model_dump_json(by_alias=True))
        setup = {key: value for key, value in (form["setup"] or {}).items() if key not in CIRCUMSTANCES}
        forms.append({key: value for key, value in form.items() if key not in OF_ATTEMPTS} | {"setup": setup})
    return _first(forms[0], forms[1])


def _of_answers(record: KeptRun, again: KeptRun) -> str:
    """The first answer that differs; or, where all are the same, the first row that does."""
    if read_samples(record.samples) == read_samples(again.samples):
        return ""
    if len(record.rows) != len(again.rows):
        return f"{len(again.rows)} rows, {len(record.rows)} before"
    pairs = list(zip(record.rows, again.rows, strict=True))
    for old, new in pairs:
        if isinstance(old, Adaptation) and isinstance(new, Adaptation) and old.answers != new.answers:
            texts = [row.model_dump(mode="json")["answers"] for row in (old, new)]
            return f"{_named(old)}: {_first(texts[0], texts[1], 'answers')}"
    found = ((old, _first(old.model_dump(mode="json"), new.model_dump(mode="json"))) for old, new in pairs)
    return next((f"all are the same, but not {_named(old)}: {first}" for old, first in found if first), "")


def _named(row: Row) -> str:
    fields = dict(row)
    at = [f"{name} {fields[name]}" for name in ("seed", "rung", "problem") if name in fields]
    return f"{row.row} of {row.arm} in {row.domain} ({', '.join(at)})" if at else f"{row.row} of {row.arm}"


def _of_ledgers(record: KeptRun, again: KeptRun) -> str:
    """The first task whose charges are others: purposes, operations and costs, without clocks; what attempts took that
    were cut off, or found again, is no difference."""
    if not record.has_journals:
        return "the record holds no journals, which alone tell it"
    wanted = {task.name: _charges(task) for task in record.journals()}
    for task in again.journals():
        before, now = wanted.pop(task.name, None), _charges(task)
        if before is None:
            return f"{task.name} is not in the record"
        for charge in (now - before) + (before - now):
            purpose, operation, cost, useful = charge
            kind = f"{purpose} by {operation}{'' if useful else ', thrown away'}: {dict(cost)}"
            return f"{task.name}, {kind}: {now[charge]} times, {before[charge]} times before"
    return f"{next(iter(wanted))} is missing" if wanted else ""


def _charges(task: KeptTask) -> Counter[tuple[str, str, tuple[tuple[str, float], ...], bool]]:
    standing, _ = replay(task.journal)
    counted = (one for one in standing.charges.values() if one.outcome != "moved" and one.discarded != LOST)
    return Counter((str(one.purpose), one.operation, _without_clocks(one.cost), one.useful) for one in counted)


def _without_clocks(cost: Cost) -> tuple[tuple[str, float], ...]:
    return tuple((name, value) for name, value in sorted(cost.known().items()) if name not in KNOWN_AFTERWARDS)
