"""What a trial found reaches the trackers that people have, by the real libraries and without a network."""

import sqlite3
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.methods.policy_gradient import NOTE
from netgain.model import Generate
from netgain.records.cost import Cost, Purpose
from netgain.report import trackers
from netgain.report.trackers import Following, TrackedRun, following
from netgain.trials.progress import Progress
from netgain.trials.run import EDITS
from netgain.trials.schedule import run_trial
from netgain.trials.store import Store
from netgain.trials.tasks import Task, tasks
from tests.made_verdict import arm, verdict
from tests.methods.examples import chooser, settings
from tests.trials import world
from tests.trials.test_chosen import LOOP
from tests.trials.test_chosen import trial as letters_trial

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


# -- while a trial runs

Points = list[tuple[str, int | None, Mapping[str, float]]]


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    """What the tracker ``fake`` is given: run, step, values."""
    found: Points = []

    def start(name: str, told: trackers.Config) -> TrackedRun:
        assert told["arm"]
        return TrackedRun(lambda values, step: found.append((name, step, values)), lambda: None)

    monkeypatch.setitem(trackers.TRACKERS, "fake", lambda folder: start)
    return found


def followed(folder: Path, names: list[str], warned: list[str]) -> tuple[Following, Task]:
    trial = world.resolved(world.spec(seeds=1))
    found = Following(folder, names, warned.append)
    found.take(Progress(trial, every := tasks(trial.spec)))
    return found, next(task for task in every if task.arm == "edits" and task.stage == "run")


def test_curves_grow_with_the_journal_of_a_running_task(tmp_path: Path, points: Points) -> None:
    found, task = followed(tmp_path, ["fake"], [])
    journal = Store(tmp_path).journal(task)
    journal.parent.mkdir(parents=True)
    names = ["towns", "edits", "run", "learn", "x1", "step 1"]
    step = {"step": 1, "reward": 0.25, "kl": 0.01, "development": 0.5, "flops": 7.0}
    run = f"towns/{task.name}"
    with Book.open(journal, software="t") as book:
        account = book.account("towns", purpose=Purpose.LEARN)
        charge(account, 3.0)
        found.look()
        assert points == [(run, 1, {"spent/flops": 3.0})]
        found.look()
        assert len(points) == 1  # nothing new
        book.note(NOTE, {"names": names, **step})
        book.note(NOTE, {"names": names, "step": "first"})  # of another form
        book.note(EDITS, {"names": names, "round": 1, "contexts": []})  # said by the step already
        edits = [{"problem": "p", "text": "secret", "scores": [0.0, 1.0], "kept": True}, {"problem": "p", "text": "-"}]
        book.note(EDITS, {"names": [*names[:4], "x2", "round 3"], "round": 3, "contexts": [edits]})
        charge(account, 4.0)
        found.look()
    assert points[1] == (f"{run}/x1", 1, {"reward": 0.25, "kl": 0.01, "development": 0.5, "flops": 7.0} | ZEROS)
    assert points[2] == (f"{run}/x2", 3, {"edits": 2.0, "kept": 1.0, "spent/flops": 3.0, "reward": 0.5})
    assert points[3:] == [(run, 2, {"spent/flops": 7.0})]
    later, _ = followed(tmp_path, ["fake"], [])
    with Book.open(journal, software="t") as book:
        charge(book.account("towns", purpose=Purpose.LEARN), 1.0)
    later.look()
    assert points[4:] == [(f"{run} attempt 2", 3, {"spent/flops": 8.0})]  # what was told before is not told again


def test_each_round_of_an_outer_loop_reaches_a_tracker_before_the_next_ends(tmp_path: Path, points: Points) -> None:
    """Of a whole trial with a real loop, not of a journal written for it; who writes the edits looks every time."""
    known: set[int] = set()

    def write(request: Generate) -> str:
        found.look()
        known.add(sum("/run-" in name and name.endswith("/x1") for name, *_ in points))
        return settings("backwards", epochs=1) if request.seed % 3 else "Let me think."

    rival = {"method": "test-time-training", "max_epochs": 1}
    trial = letters_trial(seal={"method": "seal", **LOOP, "rounds": 2}, fixed=rival)
    found = Following(tmp_path, ["fake"], pytest.fail)
    done = run_trial(trial, tmp_path, show=found.take, load=lambda *_: chooser(write), device="cpu")
    found.look()
    assert done.failed == {}
    assert known == {0, 1, 2}  # the first round while the second was written, both before the test problems' edits
    curves = [(step, values) for name, step, values in points if name == "letters/run-letters-seal-0/x1"]
    assert [step for step, _ in curves] == [1, 2]
    for _, values in curves:
        assert values["edits"] == 12  # 3 contexts with 4 candidates each
        assert 0 <= values["reward"] <= 1
        assert values["kept"] <= 12
    assert 0 < curves[0][1]["spent/flops"] < curves[1][1]["spent/flops"]


ZEROS = {"groups": 0.0, "texts": 0.0, "invalid": 0.0, "updates": 0.0}


def charge(account: Any, flops: float) -> None:
    account.reserve("train", Cost(flops=flops)).settle(Cost(flops=flops))


def test_a_tracker_that_fails_is_one_warning_and_the_trial_goes_on(
    tmp_path: Path, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str, told: trackers.Config) -> TrackedRun:
        raise ConnectionError("no such host")

    monkeypatch.setitem(trackers.TRACKERS, "broken", lambda folder: fails)
    warned: list[str] = []
    with following(tmp_path, ["broken", "fake"], warned.append, every=0.05) as found:
        done = world.run(tmp_path, world.spec(seeds=1), show=found.take)
    assert done.complete
    assert warned == ["warning: broken gets no more of this run, which goes on: ConnectionError: no such host"]
    assert found.working == ["fake"]
    last = {name: values["spent/flops"] for name, _, values in points}
    assert last.keys() >= {f"towns/{task.name}" for task in done.finished if task.arm != "frozen"}
    found.report(FOUND)
    assert points[-1][0] == "t/s/seal@1"
    assert len(warned) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "trackers"]


def test_a_tracker_that_is_not_there_is_said_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with (
        pytest.raises(InputError, match="needs trackio, which is not installed"),
        following(tmp_path, ["trackio"], pytest.fail),
    ):
        pytest.fail("it began")
    with following(tmp_path, [], pytest.fail) as found:
        assert found.working == []
    assert list(tmp_path.iterdir()) == []


def offline(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tracker, which writes into the folder and to no server; skips where it is not installed."""
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    monkeypatch.setenv("WANDB_SILENT", "true")
    for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    return pytest.importorskip(name, reason=f"needs {name}: pip install {name}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["trackio", "wandb", "mlflow", "tensorboard"])
def test_a_real_tracker_takes_steps_of_several_runs_side_by_side(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = offline(name, tmp_path, monkeypatch)
    (start,) = trackers.opened([name], tmp_path).values()
    runs = [start(f"t/run-{arm}", {"arm": arm}) for arm in ("seal", "sft")]
    for step in range(2):
        for run in runs:
            run.log({"reward": 0.25 + step}, step)
    for run in runs:
        run.close()
    assert b"reward" in written(library, tmp_path)


def written(library: Any, folder: Path) -> bytes:
    """All that a tracker wrote."""
    home = Path(library.utils.TRACKIO_DIR) if library.__name__ == "trackio" else folder  # where it was first imported
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["trackio", "wandb", "mlflow", "tensorboard"])
def test_a_real_tracker_follows_a_whole_trial(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = offline(name, tmp_path, monkeypatch)
    with following(tmp_path, [name], pytest.fail, every=0.05) as found:
        done = world.run(tmp_path, world.spec(seeds=1), show=found.take)
    assert done.complete
    assert found.working == [name]
    data = written(library, tmp_path)
    assert b"spent/flops" in data
    for task in done.finished:
        assert name == "tensorboard" or f"towns/{task.name}".encode() in data  # which names a folder by it
    if name == "mlflow":  # every point whole, with its step, and the runs closed
        steps = values(tmp_path / "mlflow.db", "metrics", "spent/flops")
        assert len(steps) >= len(done.finished)
        assert not values(tmp_path / "mlflow.db", "runs", "RUNNING")
