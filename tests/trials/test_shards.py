"""A trial in parts: the same records whatever their number, each task done once, and nobody in anybody's way."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from netgain.api import judge_folder, verify_run
from netgain.cli import main
from netgain.errors import InputError
from netgain.model.metered import Model
from netgain.model.scripted import scripted_model
from netgain.records.chain import read
from netgain.trials.disk import clean
from netgain.trials.history import FINISHED, HISTORY, hold, notes
from netgain.trials.kept import KeptRun
from netgain.trials.progress import status_of
from netgain.trials.recheck import recheck
from netgain.trials.resolve import Trial
from netgain.trials.schedule import TrialResult
from netgain.trials.shards import SHARDS, Shard
from netgain.trials.store import LOCK, SAMPLES
from netgain.trials.tasks import tasks
from tests.trials import world

CURVE = {"budget": {"per_problem": 8, "ladder": [1], "curve": {"deployments": [8], "arms": ["edits"], "seeds": 1}}}

SMALL: dict[str, Any] = {"seeds": 1, "budget": {"per_problem": 4, "ladder": [1]}, "tuning": {"trials": 1}} | {
    "problems": {"train": 2, "development": 1, "test": 2}
}


def run(folder: Path, **how: Any) -> TrialResult:
    return world.run(folder, world.spec(**SMALL), **how)


def never(trial: Trial, device: str) -> Model:
    raise AssertionError("the model was loaded")


def result(folder: Path) -> dict[str, Any]:
    """All that a run ends in."""
    judge_folder(folder)
    assert verify_run(folder) == []
    return {name: (folder / name).read_bytes() for name in (SAMPLES, LOCK, "verdict.json", "report.html")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run in one piece ends in."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return result(folder)


@pytest.mark.parametrize("order", [[1, 2], [3, 1, 2]])
def test_the_same_bytes_whatever_the_number_of_parts_and_their_order(
    tmp_path: Path, whole: dict[str, Any], order: list[int]
) -> None:
    for index in order:
        assert run(tmp_path, shard=Shard(index, len(order))).complete
        assert not (tmp_path / SAMPLES).exists()
    done = run(tmp_path, load=never)  # the parts did everything
    assert len(done.finished) == len(tasks(world.spec(**SMALL)))
    assert result(tmp_path) == whole
    assert not (tmp_path / SHARDS).exists()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_task_is_in_one_part_and_beside_its_tuning(count: int) -> None:
    spec = world.spec(**CURVE)
    every = tasks(spec)
    planned = {task.name: {"frozen": 1.0, "passage": 4.0, "edits": 4.0}[task.arm] for task in every}
    parts = [Shard(index, count).tasks(every, planned) for index in range(1, count + 1)]
    assert sorted(task.name for part in parts for task in part) == sorted(task.name for task in every)
    for part in parts:
        assert all(task.tuning is None or task.tuning in part for task in part)
        assert list(part) == [task for task in every if task in part]
    assert sum(bool(part) for part in parts) == min(count, 3)
    noisy = {name: work * (1 + 1e-12 * len(name)) for name, work in planned.items()}
    assert parts == [Shard(index, count).tasks(every, noisy) for index in range(1, count + 1)]


def test_a_part_beyond_the_arms_does_nothing_and_touches_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "run", shard=Shard(9, 9), load=never).finished == ()
    assert not (tmp_path / "run").exists()


def test_a_whole_run_does_what_parts_left_undone(tmp_path: Path, whole: dict[str, Any]) -> None:
    run(tmp_path, shard=Shard(2, 2))
    assert run(tmp_path).complete
    assert result(tmp_path) == whole


def test_a_part_that_goes_on_is_another_launch_and_does_nothing_twice(tmp_path: Path, whole: dict[str, Any]) -> None:
    calls = 0

    class Dies(BaseException):
        pass

    def load(trial: Trial, device: str) -> Model:
        def answer(request: Any) -> str:
            nonlocal calls
            calls += 1
            if calls > 8:
                raise Dies
            return world.answer(request)

        return scripted_model(answer, name="scripted")

    with pytest.raises(Dies):
        run(tmp_path, shard=Shard(1, 2), load=load)
    for index in (1, 2):
        assert run(tmp_path, shard=Shard(index, 2)).complete
    run(tmp_path, load=never)
    assert (tmp_path / SAMPLES).read_bytes() == whole[SAMPLES]
    history = judge_folder(tmp_path).setup.history  # type: ignore[union-attr]
    assert history is not None
    assert (history.launches, history.stopped, history.repeated) == (2, ("Dies",), ())
    assert sum(history.cut_off.values()) == 1


def test_what_was_joined_is_not_joined_again(tmp_path: Path) -> None:
    run(tmp_path, shard=Shard(1, 2))
    kept = tmp_path / SHARDS / "1-of-2" / HISTORY
    before = kept.read_bytes()
    run(tmp_path)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(before)  # as where the process died before it could remove it
    run(tmp_path, load=never)
    noted = [note.data["task"] for note in notes(read(tmp_path / HISTORY).records) if note.text == FINISHED]
    assert sorted(noted) == sorted(task.name for task in tasks(world.spec(**SMALL)))
    assert verify_run(tmp_path)[1:] == []  # no verdict was written yet


def test_nobody_works_in_anybodys_way(tmp_path: Path) -> None:
    said: list[str] = []

    def load(trial: Trial, device: str) -> Model:
        for how in ({"shard": Shard(1, 2)}, {"shard": Shard(2, 3)}, {}):
            with pytest.raises(InputError, match=r"a run is going on here \(process \d+ on host") as refused:
                run(tmp_path, load=never, **how)
            said.append(refused.value.problem)
        said.append(status_of(tmp_path).holder if (tmp_path / LOCK).exists() else "")
        assert run(tmp_path, shard=Shard(2, 2)).complete  # side by side
        return world.model()

    assert run(tmp_path, shard=Shard(1, 2), load=load).complete
    assert ["on shard 1/2" in problem for problem in said[:3]] == [False, True, True]
    lock = hold(tmp_path)
    try:
        with pytest.raises(InputError, match="on the whole trial"):
            run(tmp_path, shard=Shard(1, 2), load=never)
    finally:
        lock.release()
    assert run(tmp_path, load=never).complete


def test_another_trial_is_refused_in_a_part_too(tmp_path: Path) -> None:
    run(tmp_path, shard=Shard(1, 2))
    with pytest.raises(InputError, match=r"another trial was begun here; what differs: .*trial\.seeds"):
        world.run(tmp_path, world.spec(**SMALL | {"seeds": 3}), shard=Shard(2, 2))


def test_until_it_is_joined_a_run_in_parts_is_unfinished_and_no_lie(tmp_path: Path) -> None:
    run(tmp_path, shard=Shard(1, 1))
    found = verify_run(tmp_path)
    assert any("are not joined yet" in line for line in found)
    with pytest.raises(InputError, match="a run in shards is judged by netgain run without --shard"):
        judge_folder(tmp_path)


def test_a_history_of_a_part_that_was_edited_is_refused(tmp_path: Path) -> None:
    run(tmp_path, shard=Shard(1, 1))
    path = tmp_path / SHARDS / "1-of-1" / HISTORY
    data = path.read_bytes()
    path.write_bytes(data.replace(b"run-towns-frozen-0", b"run-towns-frozen-9"))
    with pytest.raises(Exception, match="keep it as evidence"):
        run(tmp_path)


@pytest.mark.parametrize(("order", "deleted", "found"), [([1, 2], 1, True), ([1, 2], 2, False)])
def test_a_part_that_is_deleted_and_done_again_is_missed_where_another_part_had_seen_it(
    tmp_path: Path, order: list[int], deleted: int, *, found: bool
) -> None:
    for index in order:
        done = run(tmp_path, shard=Shard(index, 2))
        if index == deleted:
            again = [task.name for task in done.finished]
    shutil.rmtree(tmp_path / SHARDS / f"{deleted}-of-2")
    for name in again:
        shutil.rmtree(tmp_path / "units" / name)
    run(tmp_path, shard=Shard(deleted, 2))
    run(tmp_path, load=never)
    verdict = judge_folder(tmp_path, answers=False)
    assert ("attempts-deleted" in {finding.check for finding in verdict.findings}) is found
    told = recheck(KeptRun(tmp_path))
    assert told.wrong == ()  # what is there is true
    assert any("shards/1-of-2: its history, which another part had seen" in line for line in told.unknown) is found


def test_files_of_processes_on_other_machines_are_left_alone(tmp_path: Path) -> None:
    for name in (".setup.json.1@elsewhere", ".setup.json.4194999"):
        (tmp_path / name).touch()
    clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".setup.json.1@elsewhere"]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/4/2", "-1/4", "²/4", "1/999999"])
def test_what_is_no_part_is_one_line(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--out", str(tmp_path / "out"), "--shard", text])
    lines = capsys.readouterr().err.splitlines()
    assert (ended.value.code, len(lines)) == (2, 1)
    assert "is no part of a whole" in lines[0]
