"""The folder of a run: what was asked, what each unit wrote down, and all rows in one file.

::

    spec.lock.yaml          the whole resolved trial, with digests; a run with another one is refused
    setup.json              example questions, hardware, date, versions: what the page shows and nothing depends on
    units/<unit>/journal    every charge, those of attempts that were cut off included
    units/<unit>/rows.jsonl written in one go when the unit is finished; unit.json beside it says of what work
    units/<unit>/failed.txt why the last attempt ended, until one succeeds
    samples.jsonl           the rows of all finished units, in the trial's order

Files appear under their names only when they are whole. A finished unit is known by the identity of all that decides
it, and is never done again.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, final

import yaml

from netgain.errors import InputError
from netgain.records.chain import read
from netgain.records.claim import Role
from netgain.records.events import Began
from netgain.records.identity import canonical, identity
from netgain.records.provenance import RunSetup
from netgain.records.samples import Row, write_rows
from netgain.trials.narrow import Trial
from netgain.trials.spec import TrialSpec
from netgain.trials.unit import Unit

LOCK, SAMPLES, UNITS, SETUP = "spec.lock.yaml", "samples.jsonl", "units", "setup.json"
SCHEMA = "netgain.trial/1"


@final
@dataclass(frozen=True, slots=True)
class Finished:
    """What a finished unit left: its identity, the settings its arm ran with or was tuned to, and what it took."""

    identity: str
    settings: dict[str, Any]
    attempts: int
    spent: dict[str, dict[str, float]]
    seconds: float
    lost: dict[str, Any]
    head: str


@final
class Store:
    """The folder of one run. Making one writes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- what was asked

    def locked(self) -> dict[str, Any] | None:
        """What stands in ``spec.lock.yaml``, None where there is none yet. Raises InputError for a damaged one."""
        path = self.folder / LOCK
        if not path.is_file():
            return None
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as problem:
            raise InputError(str(path), f"cannot be read ({problem})", "give another folder with --out") from None
        if not isinstance(data, dict):
            raise InputError(str(path), "is no locked trial", "give another folder with --out")
        return data

    def lock(self, wanted: Mapping[str, Any]) -> None:
        """Fix what was asked. Raises InputError, naming what differs, where something else was asked before."""
        before = self.locked()
        if before is None:
            text = yaml.safe_dump(json.loads(canonical(wanted)), sort_keys=False, allow_unicode=True, width=100)
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.folder / LOCK, text)
            return
        differing = differences(before, json.loads(canonical(wanted)))
        if differing:
            shown = ", ".join(differing[:8]) + (f" and {len(differing) - 8} more" if len(differing) > 8 else "")
            raise InputError(
                str(self.folder / LOCK),
                f"another trial was begun here; what differs: {shown}",
                "keep the trial as it was, or give another folder with --out",
            )

    def asked(self) -> tuple[TrialSpec, dict[str, Role]]:
        """The locked trial, and the role of each method in it. Raises InputError where there is none."""
        path, data = self.folder / LOCK, self.locked()
        if data is None:
            raise InputError(str(path), "there is no such file", "give the folder of a run")
        try:
            spec = TrialSpec.model_validate(data["trial"])
            return spec, {arm.method: Role(data["arms"][name]["role"]) for name, arm in spec.arms.items()}
        except (KeyError, TypeError, ValueError) as problem:
            raise InputError(str(path), f"is no locked trial ({str(problem).splitlines()[0]})") from None

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

    def place(self, unit: Unit) -> Path:
        """The folder of a unit."""
        return self.folder / UNITS / unit.name

    def journal(self, unit: Unit) -> Path:
        """Its journal."""
        return self.place(unit) / "journal"

    def attempts(self, unit: Unit) -> int:
        """How many processes have begun it."""
        path = self.journal(unit)
        return sum(isinstance(record.event, Began) for record in read(path).records) if path.is_file() else 0

    def finished(self, unit: Unit, wanted: str) -> Finished | None:
        """What it left, None where it is not finished or was other work than ``wanted`` (an identity).

        Raises InputError where its rows are not those that were written.
        """
        place = self.place(unit)
        try:
            found = Finished(**json.loads((place / "unit.json").read_text(encoding="utf-8")))
            rows = (place / "rows.jsonl").read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        name, _, hashed = found.identity.partition("#")
        if name != wanted:
            return None
        if sha256(rows).hexdigest() != hashed:
            remedy = "bring them back, or delete its folder to do it again"
            raise InputError(str(place / "rows.jsonl"), "holds other rows than were written there", remedy)
        return found

    def finish(self, unit: Unit, rows: Sequence[Row], found: Finished) -> None:
        """Write a unit's rows, then that it is finished."""
        place = self.place(unit)
        text = write_rows(rows)
        write(place / "rows.jsonl", text)
        named = f"{found.identity}#{sha256(text.encode()).hexdigest()}"
        fields = {name: getattr(found, name) for name in Finished.__slots__} | {"identity": named}
        write(place / "unit.json", json.dumps(fields, indent=1, sort_keys=True) + "\n")
        (place / "failed.txt").unlink(missing_ok=True)

    def fail(self, unit: Unit, error: str) -> None:
        """Keep why an attempt ended."""
        self.place(unit).mkdir(parents=True, exist_ok=True)
        write(self.place(unit) / "failed.txt", error.rstrip() + "\n")

    def assemble(self, finished: Sequence[Unit]) -> Path:
        """Write ``samples.jsonl`` from these units' rows, in this order."""
        rows = [(self.place(unit) / "rows.jsonl").read_text(encoding="utf-8") for unit in finished]
        write(self.folder / SAMPLES, "".join(rows))
        return self.folder / SAMPLES


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing: beside it first, on the disk, then under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(path)


def locked_form(trial: Trial, version: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """What ``spec.lock.yaml`` holds: the whole trial, and by content what stands behind its words."""
    spec = trial.spec.model_dump(mode="json")
    if trial.spec.judge is None:
        del spec["grades"]  # without a judge there is no choice, and a lock from before there was one still fits
    if trial.spec.limited_from is None:
        del spec["limited_from"]
    arms = {
        name: {
            "label": arm.label,
            "role": arm.method.role.value,
            "learns": arm.method.learns,
            "settings": arm.settings.model_dump(mode="json"),
            "grid": list(arm.grid),
            "source": arm.source,
        }
        for name, arm in trial.arms.items()
    }
    primary = identity("comparison", {"compare": spec["compare"], "budget": spec["budget"]})
    header = {"schema": SCHEMA, "netgain": version, **digests}
    return {**header, "primary": primary, "trial": spec, "arms": arms}


def unit_identity(trial: Trial, unit: Unit, settings: Mapping[str, Any], locked: Mapping[str, Any]) -> str:
    """The identity of a unit's work: of all that decides its rows, and of nothing else."""
    spec = locked["trial"]
    parts = {name: spec[name] for name in ("problems", "seed", "budget", "teacher", "judge", "dtype")}
    named = ["netgain", "model_digest", "teacher_digest"]
    if spec["judge"] is not None:
        parts["grades"] = spec["grades"]
        named.append("judge_digest")
    stage = (
        {"exam": spec["exam"]} if unit.stage == "run" else {"tuning": spec["tuning"], "kind": spec["compare"]["exam"]}
    )
    return identity(
        "unit",
        {
            **{name: locked[name] for name in named},
            **parts,
            **stage,
            "unit": unit.name,
            "domain": spec["domains"][unit.domain],
            "arm": {**locked["arms"][unit.arm], "label": ""},
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
            found for key, old, new in pairs for found in differences(old, new, f"{name}.{key}" if name else str(key))
        ]
    return [] if before == after else [name]
