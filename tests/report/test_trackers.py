"""What a trial found reaches the trackers that people have, by the real libraries and without a network."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError
from netgain.report import trackers
from tests.made_verdict import arm, verdict

ARM = arm(
    "s/seal@1",
    "self_improving",
    method="seal",
    accuracy=0.5,
    low=0.4,
    high=0.6,
    seeds=2,
    by_seed=[0.4, 0.6],
    spent_per_problem={"flops": 2e9, "seconds": None},
)
FOUND = verdict(arms=[ARM, arm("s/frozen@1", "frozen", accuracy=None)], model="m/one", claim="t", netgain="0")


def test_an_arm_is_told_with_what_is_known_and_nothing_else() -> None:
    told = trackers.metrics(ARM)
    assert told["accuracy"] == 0.5
    assert told["spent_per_problem/flops"] == 2e9
    assert "spent_per_problem/seconds" not in told
    assert trackers.config(FOUND, ARM)["method"] == "seal"
    assert "learning_rate" not in trackers.config(FOUND, ARM)


def test_an_unknown_tracker_is_one_line_before_anything_is_handed_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no tracker that netgain knows"):
        trackers.report(FOUND, ["tensorboard", "wandbb"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_a_folder_for_each_arm(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install tensorboard")
    from netgain.audit.audit import read_claim

    assert trackers.report(FOUND, ["tensorboard"], tmp_path) == 1
    (events,) = tmp_path.glob("tensorboard/t_s_seal@1/events.out.tfevents.*")
    data = events.read_bytes()
    assert b"accuracy_of_seed" in data
    assert read_claim(tmp_path / "tensorboard").arms  # our own reader reads it again


@pytest.mark.filterwarnings("ignore")
def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs wandb: pip install wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert trackers.report(FOUND, ["wandb"], tmp_path) == 1
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data = run.read_bytes()
    assert b"accuracy_of_seed" in data
    assert b"seal" in data


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_every_arm_in_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="needs trackio: pip install trackio")
    assert trackers.report(FOUND, ["trackio"], tmp_path) == 1
    assert values(next(tmp_path.glob("**/netgain.db")), "metrics", "0.5")


@pytest.mark.filterwarnings("ignore")
def test_mlflow_writes_to_a_file_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="needs mlflow: pip install mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert trackers.report(FOUND, ["mlflow"], tmp_path) == 1
    assert values(tmp_path / "mlflow.db", "metrics", "accuracy_of_seed")
    assert values(tmp_path / "mlflow.db", "params", "seal")


def values(database: Path, table: str, wanted: str) -> list[Any]:
    connection = sqlite3.connect(database)
    rows = [row for row in connection.execute(f"SELECT * FROM {table}") if wanted in str(row)]  # noqa: S608
    connection.close()
    return rows
