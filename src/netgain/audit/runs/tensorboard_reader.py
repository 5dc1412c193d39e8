"""TensorBoard's event files: scalars by step, and the settings that Hugging Face writes beside them as text.

A run that was restarted leaves a file for each start in one folder. Steps that both have were done twice: they were
paid twice, and count twice.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, number, visible, words
from netgain.audit.runs.logged import MOST_NAMES, Logged, plain, step_of
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.audit.runs.wire import BYTES, message, tf_records
from netgain.records.claim import Claim
from netgain.strict_json import parse_json
from netgain.tokens import TokenCounter

EVENTS = "events.out.tfevents.*"
ARGUMENTS = ("args/text_summary", "args")
MODEL = ("model_config/text_summary", "model_config")


@final
class TensorboardReader(Reader):
    """TensorBoard: events.out.tfevents files, those of one folder as one run."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether an event file lies below the folder."""
        return bool(visible(folder, EVENTS))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these runs: one for each folder with event files."""
        files = Lenient(folder)
        homes: dict[Path, list[Path]] = {}
        for path in files.paths(EVENTS):
            homes.setdefault(path.parent, []).append(path)
        names = distinct([f"{folder.resolve().name}/{files.name(home)}/events" for home in homes], skip=1)
        runs = [
            run
            for (home, paths), name in zip(homes.items(), names, strict=True)
            if (run := files.guarded(paths[0], partial(_run, files, paths, name)))
        ]
        files.require(runs, "no TensorBoard log in it", "no scalar")
        return claim_of_runs(folder.resolve().name, "Training runs in TensorBoard", runs, findings=files.findings)


def _run(files: Lenient, paths: list[Path], name: str) -> RunRecord | None:
    """The event files of one folder in the order in which they were begun: their names start with the time."""
    settings: dict[str, Any] = {}
    parts = [(path, rows) for path in sorted(paths, key=_begun) if (rows := _rows(files, path, settings))]
    if not parts:
        return None
    again, last = 0.0, None
    for path, rows in parts:
        steps = [step for row in rows if (step := step_of(row)) is not None]
        trained = [step for row in rows if "loss" in row and (step := step_of(row)) is not None]
        if last is not None and trained and min(trained) < last:
            again += last - min(trained)
            files.say(
                f"{files.name(path)}: begins at step {min(trained):,.0f}, the file before it had reached {last:,.0f}: "
                "a restart, and the steps between were done twice",
                path,
                "run-restarted",
            )
        last = max([*steps, last or 0.0])
    merged: dict[float, dict[str, Any]] = {}
    for _, rows in parts:
        for row in rows:
            merged.setdefault(step_of(row) or 0.0, {}).update(row)
    run = Logged(name, files.name(parts[0][0]), settings, [merged[step] for step in sorted(merged)]).record()
    if again and run.updates is not None:
        run.updates += again
        run.notes.append(f"{name}: {again:,.0f} steps that a restart repeated are part of its updates.")
    return run


def _begun(path: Path) -> tuple[int, str]:
    stamp = path.name.split(".")[3:4]
    return (int(stamp[0]) if stamp and stamp[0].isdigit() else 0, path.name)


def _rows(files: Lenient, path: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The scalars of a file by step; what it says after it is damaged is left out, with a finding."""
    data = files.data(path)
    rows: dict[float, dict[str, Any]] = {}
    try:
        for record in tf_records(data or b""):
            _event(record, rows, settings)
    except (ValueError, UnicodeError) as error:
        files.say(f"{files.name(path)}: is read up to where it is damaged: {error}", path)
    if not rows and data is not None:
        files.refuse(path, "holds no scalar")
    return [row for _, row in sorted(rows.items())]


def _event(record: bytes, rows: dict[float, dict[str, Any]], settings: dict[str, Any]) -> None:
    """An Event: 1 wall time, 2 step, 5 summary."""
    step, summaries = 0.0, []
    for field in message(record):
        if field.number == 2:
            step = field.real
        elif field.number == 5 and field.wire == BYTES:
            summaries.append(field.raw)
    for summary in summaries:
        for value in message(summary):
            if value.number == 1 and value.wire == BYTES:
                _value(value.raw, rows.setdefault(step, {"step": step}), settings)
    if rows.get(step) == {"step": step}:
        del rows[step]


def _value(data: bytes, row: dict[str, Any], settings: dict[str, Any]) -> None:
    """A Summary.Value: 1 tag, 2 a simple value, 8 a tensor (whose 8 are strings, and 5 and 6 single numbers)."""
    tag, simple, texts, numbers = "", None, [], []
    for field in message(data):
        if field.number == 1 and field.wire == BYTES:
            tag = field.text
        elif field.number == 2 and field.wire != BYTES:
            simple = field.real
        elif field.number == 8 and field.wire == BYTES:
            for part in message(field.raw):
                if part.number == 8 and part.wire == BYTES:
                    texts.append(part.text)
                elif part.number in (5, 6) and part.wire != BYTES:
                    numbers.append(part.real)
    if tag in (*ARGUMENTS, *MODEL) and texts:
        _settings(tag, texts[0], settings)
    value = simple if simple is not None else numbers[0] if len(numbers) == 1 else None
    if tag and number(value, -1e30) is not None:
        row[_named(tag)] = value


@lru_cache(MOST_NAMES)
def _named(tag: str) -> str:
    return plain(words(tag))


def _settings(tag: str, text: str, settings: dict[str, Any]) -> None:
    """The arguments of a Trainer as its callback writes them, JSON in a text; the model's own names only its path."""
    try:
        found = parse_json(text)
    except ValueError:
        return
    if isinstance(found, dict):
        kept = found if tag in ARGUMENTS else {"_name_or_path": found.get("_name_or_path")}
        settings |= {str(key): value for key, value in kept.items() if value is not None}
