"""Weights & Biases: offline runs (.wandb), what a sync leaves (summary, config), exported histories (CSV, Parquet).

An offline run is LevelDB's log of protobuf records; of some thirty kinds an auditor needs history, summary, config and
the run's own. A history exported as Parquet is read where pyarrow is installed.
"""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, final

import yaml

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, head, number, visible, words
from netgain.audit.runs.logged import Logged, values_of
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.audit.runs.wire import BYTES, FIXED64, VARINT, level_records, message
from netgain.records.claim import Claim
from netgain.strict_json import parse_json
from netgain.strict_yaml import plain_yaml
from netgain.tokens import TokenCounter

SUMMARY, CONFIG = "wandb-summary.json", "config.yaml"
MAGIC, HEADER = b":W&B", 7
EXPORTED = ("*.csv", "*.parquet")
PARQUET, MOST_CELLS = b"PAR1", 20_000_000  # a few bytes of Parquet can stand for any number of rows
# Numbers of wandb_internal.proto: fields of a Record, and of an item of history, summary or config.
HISTORY, SUMMARIES, CONFIGS, RUN = 2, 3, 5, 17
KEY, NESTED, BOOLEAN, INTEGER, NUMBER, TEXT, JSON, VALUE = 1, 2, 4, 5, 6, 7, 8, 16


@final
class WandbReader(Reader):
    """Weights & Biases: run-*.wandb, wandb-summary.json with config.yaml, history exported as CSV or Parquet."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether an offline run, a summary, or a table with W&B's columns lies below the folder."""
        return bool(visible(folder, "*.wandb", SUMMARY)) or any(_is_history(p) for p in visible(folder, *EXPORTED))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these runs: of an offline run and its synced files one."""
        files = Lenient(folder)
        sources: dict[Path, list[Path]] = {}
        for path in files.paths("*.wandb", SUMMARY, *EXPORTED):
            exported = path.suffix in (".csv", ".parquet")
            if not exported or _is_history(path):
                home = path.parent.parent if path.parent.name == "files" else path.parent
                sources.setdefault(path if exported else home, []).append(path)
        root = folder.resolve().name
        names = distinct([_place(files, root, home) for home in sources])
        runs = [
            run
            for (_, paths), name in zip(sources.items(), names, strict=True)
            if (run := files.guarded(paths[0], partial(_run, files, paths, name)))
        ]
        files.require(runs, "no W&B run in it", "no run")
        return claim_of_runs(root, "Training runs in W&B", runs, findings=files.findings)


def _is_history(path: Path) -> bool:
    if path.suffix == ".parquet":  # its columns are named at its end
        return head(path, len(PARQUET)) == PARQUET and b"_step" in _tail(path)
    columns = head(path, 8192).split(b"\n")[0].replace(b'"', b"").strip().split(b",")
    return b"_step" in columns and bool({b"_runtime", b"_timestamp"} & set(columns))


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2**20))
            return file.read()
    except OSError:
        return b""


def _parquet(files: Lenient, path: Path) -> list[dict[str, Any]]:
    """The rows of a history in Parquet, cells without a value left out; none, with a finding, where it is not read."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        files.refuse(path, "is Parquet, which needs pyarrow: pip install pyarrow, or export the history as CSV")
        return []
    try:
        table = ParquetFile(BytesIO(files.data(path) or b""))
        if table.metadata.num_rows * table.metadata.num_columns > MOST_CELLS:
            files.refuse(path, f"holds more than {MOST_CELLS:,} cells, left out")
            return []
        rows = table.read().to_pylist()
    except (ArrowException, OSError, ValueError, TypeError, OverflowError) as problem:
        files.refuse(path, f"is no Parquet that can be read: {words(str(problem))}")
        return []
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _place(files: Lenient, root: str, home: Path) -> str:
    return root if home == files.folder else files.name(home)


def _run(files: Lenient, paths: list[Path], name: str) -> RunRecord | None:
    run = Logged(name, files.name(paths[0]))
    label = ""
    for path in paths:
        if path.suffix == ".wandb":
            label = _offline(files, path, run) or label
        elif path.suffix == ".csv":
            run.rows += [{k: v for k, v in row.items() if v != ""} for row in files.table(path)]
        elif path.suffix == ".parquet":
            run.rows += _parquet(files, path)
        else:
            found = files.json(path)
            run.summary |= found if isinstance(found, dict) else {}
            run.settings |= _config(files, path.with_name(CONFIG))
    if not run.rows and not run.summary:
        files.refuse(paths[0], "holds neither a history nor a summary")
        return None
    record = run.record(label)
    if record.seconds is None and (spent := number(run.summary.get("_runtime"))):
        record.notes.append(f"{record.label}: _runtime is {spent:,.0f} s of wall-clock, evaluations and waiting in it.")
    return record


def _config(files: Lenient, path: Path) -> dict[str, Any]:
    text = files.text(path) if path.is_file() else None
    try:
        return values_of(plain_yaml(text)) if text else {}
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        files.refuse(path, "is not YAML")
        return {}


def _offline(files: Lenient, path: Path, run: Logged) -> str:
    """Add the records of an offline run; returns the name that it was given."""
    data, label = files.data(path) or b"", ""
    if not data.startswith(MAGIC):
        files.refuse(path, "is not an offline run of W&B: its first bytes are others")
        return ""
    try:
        for record in level_records(data, HEADER):
            for field in message(record):
                if field.wire != BYTES:
                    continue
                if field.number == HISTORY:
                    run.rows.append(_items(field.raw))
                elif field.number == SUMMARIES:
                    run.summary |= _items(field.raw)
                elif field.number == CONFIGS:
                    run.settings |= values_of(_items(field.raw))
                elif field.number == RUN:
                    label = _described(field.raw, run) or label
    except (ValueError, UnicodeError) as error:
        files.say(f"{files.name(path)}: is read up to where it is damaged: {error}", path)
    return label


def _described(data: bytes, run: Logged) -> str:
    """A RunRecord: 4 its config, 8 the name that is shown."""
    label = ""
    for field in message(data):
        if field.number == 4 and field.wire == BYTES:
            run.settings |= values_of(_items(field.raw))
        elif field.number == 8 and field.wire == BYTES:
            label = words(field.text)
    return label


def _items(data: bytes) -> dict[str, Any]:
    """The items of a history, summary or config: key and value, which is JSON or a plain value of its kind."""
    found = {}
    for item in message(data):
        if item.number != 1 or item.wire != BYTES:
            continue
        key, nested, value = "", [], None
        for field in message(item.raw):
            if field.number == KEY and field.wire == BYTES:
                key = field.text
            elif field.number == NESTED and field.wire == BYTES:
                nested.append(field.text)
            elif field.number in (VALUE, JSON) and field.wire == BYTES:
                value = _json(field.text)
            elif (field.number, field.wire) in ((NUMBER, FIXED64), (INTEGER, VARINT)):
                value = field.real
            elif field.number == TEXT and field.wire == BYTES:
                value = field.text
            elif field.number == BOOLEAN and field.wire == VARINT:
                value = bool(field.varint)
        found[key or "/".join(nested)] = value
    return found


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None
