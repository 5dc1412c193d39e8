"""Files of trackers: one run of what each says, in every format the same; a restart's steps count twice.

The fixtures are written by hand, byte by byte where need be; the last tests write with the trackers themselves, where
they are installed.
"""

import importlib.util
import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.audit.runs.spoiling import endures

from netgain.audit.audit import Reader, find_readers, read_claim
from netgain.audit.runs.llama_factory_reader import LlamaFactoryReader
from netgain.audit.runs.mlflow_reader import MlflowReader
from netgain.audit.runs.tensorboard_reader import TensorboardReader
from netgain.audit.runs.trackio_reader import TrackioReader
from netgain.audit.runs.wandb_reader import WandbReader
from netgain.audit.runs.wire import level_records, message, tf_records
from netgain.errors import InputError
from netgain.records.claim import Claim
from netgain.records.cost import Cost

SETTINGS = {"learning_rate": 1e-4, "seed": 42, "model_name": "Qwen/Qwen2.5-0.5B", "gradient_accumulation_steps": 2}
ROWS = [
    {"train/loss": 2.0 / i, "train/global_step": 10 * i, "train/num_tokens": 4000.0 * i, "eval/accuracy": 0.1 * i}
    for i in range(1, 6)
]

# -- writing the formats


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: float | str | bytes, single: bool = False) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | (5 if single else 1)) + struct.pack("<f" if single else "<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tf_record(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + b"\0" * 4 + data + b"\0" * 4


def level_log(records: list[bytes], header: bytes) -> bytes:
    out = header
    for record in records:
        rest, first = record, True
        while first or rest:
            left = 32768 - len(out) % 32768
            if left < 7:
                out, left = out + b"\0" * left, 32768
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            out, first = out + struct.pack("<IHB", 0, len(piece), kind) + piece, False
    return out


def events(path: Path, rows: list[dict[str, float]], text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    out = tf_record(field(1, 1.0) + field(3, "brain.Event:2"))
    if text:
        tensor = field(1, 7) + field(8, text)
        out += tf_record(field(1, 1.0) + field(5, field(1, field(1, "args/text_summary") + field(8, tensor))))
    for row in rows:
        values = b"".join(field(1, field(1, key) + field(2, float(value), single=True)) for key, value in row.items())
        out += tf_record(field(1, 2.0) + field(2, int(row["train/global_step"])) + field(5, values))
    path.write_bytes(out)
    return path


def tensorboard(folder: Path) -> Path:
    events(folder / "run" / "events.out.tfevents.100.host.1.0", ROWS[:3], json.dumps(SETTINGS))
    events(folder / "run" / "events.out.tfevents.200.host.2.0", ROWS[1:])
    return folder


def items(number: int, values: dict[str, Any], wrap: bool = False) -> bytes:
    found = {key: json.dumps({"value": value} if wrap else value) for key, value in values.items()}
    return field(number, b"".join(field(1, field(1, key) + field(16, text)) for key, text in found.items()))


def wandb(folder: Path) -> Path:
    home = folder / "offline-run-1-abc"
    home.mkdir(parents=True)
    config = b"".join(field(1, field(1, k) + field(16, json.dumps(v))) for k, v in SETTINGS.items())
    records = [field(1, 1) + field(17, field(1, "abc") + field(4, config) + field(8, "grpo"))]
    records += [
        field(1, 2) + items(2, row | {"_step": number, "text": "x" * 20_000}) for number, row in enumerate(ROWS)
    ]
    records.append(items(3, {"_runtime": 29982, "train/global_step": 50}))
    (home / "run-abc.wandb").write_bytes(level_log(records, b":W&B\xe1\xbe\0"))
    return folder


def synced(folder: Path) -> Path:
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "wandb-summary.json").write_text(json.dumps(ROWS[-1] | {"_runtime": 9.5}))
    lines = "".join(f"{key}:\n  value: {json.dumps(value)}\n" for key, value in SETTINGS.items())
    (folder / "files" / "config.yaml").write_text(lines)
    return folder


def trackio(folder: Path) -> Path:
    folder.mkdir(parents=True)
    connection = sqlite3.connect(folder / "p.db")
    connection.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id, run_name, step, metrics)")
    connection.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id, run_name, config)")
    connection.execute("INSERT INTO configs VALUES (1, 'x', 'grpo', ?)", (json.dumps(SETTINGS).encode(),))
    rows = [(number + 1, "x", "grpo", number, json.dumps(row).encode()) for number, row in enumerate(ROWS)]
    connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return folder


def mlflow_database(folder: Path) -> Path:
    folder.mkdir(parents=True)
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.execute("CREATE TABLE runs (run_uuid, name, status, start_time, end_time, lifecycle_stage)")
    connection.execute("CREATE TABLE params (key, value, run_uuid)")
    connection.execute("CREATE TABLE metrics (key, value, timestamp, run_uuid, step)")
    connection.execute("INSERT INTO runs VALUES ('u', 'grpo', 'FINISHED', 0, 60000, 'active')")
    connection.execute("INSERT INTO runs VALUES ('v', 'gone', 'FINISHED', 0, 1, 'deleted')")
    connection.executemany("INSERT INTO params VALUES (?, ?, 'u')", [(k, str(v)) for k, v in SETTINGS.items()])
    found = [(k.removeprefix("train/"), v, 1, row["train/global_step"]) for row in ROWS for k, v in row.items()]
    connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, 'u', ?)", found)
    connection.commit()
    connection.close()
    return folder


def mlflow_folder(folder: Path) -> Path:
    home = folder / "mlruns" / "1" / "run"
    for sub in ("metrics/eval", "params", "tags"):
        (home / sub).mkdir(parents=True)
    (home / "meta.yaml").write_text(
        "run_name: grpo\nstatus: 3\nstart_time: 0\nend_time: 60000\nlifecycle_stage: active\n"
    )
    for key, value in SETTINGS.items():
        (home / "params" / key).write_text(str(value))
    for key in ROWS[0]:
        lines = [f"1 {row[key]} {row['train/global_step']}" for row in ROWS]
        (home / "metrics" / key.removeprefix("train/")).write_text("\n".join(lines))
    return folder


def llama_factory(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {"current_steps": 10 * i, "total_steps": 50, "loss": 2.0 / i, "elapsed_time": f"1 day, 0:0{i}:00"}
        for i in range(1, 6)
    ]
    twice = [json.dumps(row) for row in rows for _ in range(2)]
    (folder / "trainer_log.jsonl").write_text("\n".join(twice))
    return folder


WRITERS: dict[str, tuple[Callable[[Path], Path], Reader]] = {
    "tensorboard": (tensorboard, TensorboardReader()),
    "wandb": (wandb, WandbReader()),
    "wandb-synced": (synced, WandbReader()),
    "trackio": (trackio, TrackioReader()),
    "mlflow": (mlflow_database, MlflowReader()),
    "mlruns": (mlflow_folder, MlflowReader()),
    "llama-factory": (llama_factory, LlamaFactoryReader()),
}


def cost(claim: Claim) -> Cost:
    (charge,) = claim.charges
    return charge.cost


# -- what is read


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "wandb-synced", "trackio", "mlflow", "mlruns"])
def test_every_tracker_tells_the_same_of_a_run(tmp_path: Path, name: str) -> None:
    write, reader = WRITERS[name]
    folder = write(tmp_path / "logs")
    assert type(find_readers(folder)[0]) is type(reader)
    claim = read_claim(folder)
    (arm,) = claim.arms
    assert (arm.model, arm.accuracy) == ("Qwen/Qwen2.5-0.5B", pytest.approx(0.5))
    assert "seed 42" in arm.sources[0].note
    assert arm.training is not None
    assert (arm.training.learning_rate, arm.training.grad_accumulation) == (1e-4, 2)
    assert cost(claim).tokens_real == 20_000
    assert cost(claim).seconds is None  # wall-clock on nobody says how many devices
    assert cost(claim).updates == (60 if name == "tensorboard" else 50)


def test_a_restart_leaves_two_files_of_one_run_and_its_repeated_steps_are_paid(tmp_path: Path) -> None:
    claim = read_claim(tensorboard(tmp_path / "logs"))
    told = next(finding for finding in claim.findings if finding.check == "run-restarted")
    assert "begins at step 20, the file before it had reached 30" in told.message
    assert len(claim.arms[0].curves[0].points) == 5


def test_two_ranks_write_every_row_and_each_counts_once(tmp_path: Path) -> None:
    claim = read_claim(llama_factory(tmp_path / "logs"))
    told = {finding.check: finding.message for finding in claim.findings}
    assert "every row stands there 2 times" in told["rows-repeated"]
    assert "it took 86,700 s, on how many devices is not stated" in told["ranks-unknown"]
    assert cost(claim).updates == 50


def test_an_exported_history_is_a_run(tmp_path: Path) -> None:
    lines = ["_step,_runtime,train/global_step,eval/accuracy", "0,1.5,10,0.4", "1,3.0,20,"]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    claim = read_claim(tmp_path)
    assert (cost(claim).updates, claim.arms[0].accuracy) == (20, 0.4)


@pytest.mark.parametrize("axis", ["_step", "step"])
def test_steps_that_may_be_epochs_or_calls_are_no_optimizer_steps(tmp_path: Path, axis: str) -> None:
    lines = [f"{axis},_step,_runtime,eval/accuracy", "0,0,1.5,0.4", "7,7,3.0,0.5"]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    claim = read_claim(tmp_path)
    assert cost(claim).updates is None
    assert [point.step for point in claim.arms[0].curves[0].points] == [0, 7]
    assert "7 steps of what is not stated" in next(f for f in claim.findings if f.check == "steps-unclear").message


def test_a_database_of_many_runs_gives_each_its_own(tmp_path: Path) -> None:
    folder = mlflow_database(tmp_path / "logs")
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.execute("INSERT INTO runs VALUES ('w', 'other', 'RUNNING', 0, 1, 'active')")
    connection.execute("INSERT INTO params VALUES ('max_steps', '9', 'w')")
    connection.executemany("INSERT INTO metrics VALUES ('eval/accuracy', ?, 1, 'w', ?)", [(0.25, 3), (0.75, 8)])
    connection.commit()
    connection.close()
    claim = read_claim(folder)
    assert [(arm.label, arm.accuracy) for arm in claim.arms] == [("grpo", 0.5), ("other", 0.75)]
    assert [charge.cost.updates for charge in claim.charges] == [50, 8]


def test_a_database_that_nobody_closed_is_read_with_its_log_of_writes(tmp_path: Path) -> None:
    folder = trackio(tmp_path / "logs")
    connection = sqlite3.connect(folder / "p.db")
    connection.execute("PRAGMA journal_mode=WAL")
    late = json.dumps({"train/global_step": 60})
    connection.execute("INSERT INTO metrics VALUES (9, 'x', 'grpo', 9, ?)", (late,))
    connection.commit()
    before = sorted(path.name for path in folder.iterdir())
    assert cost(read_claim(folder)).updates == 60
    assert sorted(path.name for path in folder.iterdir()) == before  # nothing is written beside it
    connection.close()


def test_two_trackers_of_one_run_are_one_run(tmp_path: Path) -> None:
    llama_factory(tmp_path / "run")
    state = {"global_step": 50, "max_steps": 50, "log_history": [{"step": 50, "num_tokens": 999.0}]}
    (tmp_path / "run" / "trainer_state.json").write_text(json.dumps(state))
    claim = read_claim(tmp_path / "run")
    assert (cost(claim).updates, cost(claim).tokens_real) == (50, 999)
    (tmp_path / "run" / "trainer_state.json").write_text(json.dumps(state | {"global_step": 40}))
    state["log_history"] = [{"step": 40}]
    (tmp_path / "run" / "trainer_state.json").write_text(json.dumps(state | {"global_step": 40}))
    apart = read_claim(tmp_path / "run")
    assert len(apart.arms) == 2
    assert "logs-disagree" in {finding.check for finding in apart.findings}


def test_the_binary_formats_say_where_they_are_damaged() -> None:
    data = tf_record(b"one") + tf_record(b"two")
    assert list(tf_records(data)) == [b"one", b"two"]
    long = b"x" * 70_000
    assert list(level_records(level_log([b"a", long, b"b"], b"header!"), 7)) == [b"a", long, b"b"]
    assert [part.real for part in message(field(1, 2.5) + field(2, 7) + field(3, 0.5, single=True))] == [2.5, 7.0, 0.5]
    for broken in (data[:-5], struct.pack("<Q", 1 << 60) + b"\0" * 20):
        with pytest.raises(ValueError, match="cut off"):
            list(tf_records(broken))
    for broken in (b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x08" + b"\xff" * 12):
        with pytest.raises(ValueError, match=r"beyond|wire type|too long"):
            list(message(broken))


@pytest.mark.parametrize("name", WRITERS)
def test_300_spoiled_variants_are_a_claim_or_one_line(tmp_path: Path, name: str) -> None:
    write, reader = WRITERS[name]
    endures(reader, write(tmp_path / "logs"), tmp_path)


# -- written by the trackers themselves

SCRIPTS = {
    "tensorboard": "from torch.utils.tensorboard import SummaryWriter\nw = SummaryWriter('logs/run')\n"
    "w.add_text('args', json.dumps(settings))\n"
    "for r in rows:\n  for k, v in r.items():\n    w.add_scalar(k, v, r['train/global_step'])\nw.close()",
    "trackio": "import trackio\ntrackio.init(project='p', name='grpo', config=settings)\n"
    "for r in rows:\n  trackio.log(r)\ntrackio.finish()",
    "wandb": "import wandb\nrun = wandb.init(project='p', name='grpo', config=settings)\n"
    "for r in rows:\n  run.log(r)\nrun.finish()\nimport time; time.sleep(1)",
    "mlflow": "import mlflow\nmlflow.set_tracking_uri('logs')\nmlflow.set_experiment('p')\n"
    "with mlflow.start_run(run_name='grpo'):\n  mlflow.log_params(settings)\n"
    "  for r in rows:\n    found = {k.replace('train/', ''): v for k, v in r.items()}\n"
    "    mlflow.log_metrics(found, step=r['train/global_step'])",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_files_of_the_trackers_themselves(tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name}, which the project does not depend on")
    (tmp_path / "logs").mkdir()
    logs = str(tmp_path / "logs")
    more = {"WANDB_MODE": "offline", "WANDB_DIR": logs, "TRACKIO_DIR": logs, "MLFLOW_ALLOW_FILE_STORE": "true"}
    code = f"import json\nsettings, rows = {SETTINGS!r}, {ROWS!r}\n{SCRIPTS[name]}"
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=os.environ | more, capture_output=True, check=True, timeout=120)
    claim = read_claim(tmp_path / "logs")
    assert (cost(claim).updates, cost(claim).tokens_real) == (50, 20_000)
    assert claim.arms[0].model == "Qwen/Qwen2.5-0.5B"


def parquet(folder: Path) -> Path:
    pyarrow, written = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder.mkdir()
    steps = list(range(1, 6))
    columns = {"_step": steps, "_runtime": [60.0 * n for n in steps], "eval/accuracy": [None, 0.2, None, 0.5, 0.3]}
    written.write_table(pyarrow.table(columns), folder / "history.parquet")
    return folder


def test_a_history_in_parquet_is_read_as_its_csv_is(tmp_path: Path) -> None:
    claim = read_claim(parquet(tmp_path / "run"))
    (tmp_path / "csv").mkdir()
    rows = ["_step,_runtime,eval/accuracy", *(f"{n},{60.0 * n},{a}" for n, a in enumerate(["", 0.2, "", 0.5, 0.3], 1))]
    (tmp_path / "csv" / "history.csv").write_text("\n".join(rows) + "\n")
    other = read_claim(tmp_path / "csv")
    assert [arm.accuracy for arm in claim.arms] == [arm.accuracy for arm in other.arms]
    assert len(claim.charges) == len(other.charges)


@pytest.mark.parametrize("cut", [0, 4, 200, -9])
def test_a_spoiled_parquet_is_one_line(tmp_path: Path, cut: int) -> None:
    path = parquet(tmp_path / "run") / "history.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:cut] + (b"_step" if cut > 0 else b"") + b"\xff" * 40 + data[cut:][60:])
    with pytest.raises(InputError):
        read_claim(path.parent)


def test_parquet_without_pyarrow_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow: pip install pyarrow, or export the history as CSV"):
        read_claim(path)
