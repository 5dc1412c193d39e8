"""What was asked is written down before any of it runs, and the record and the page say whether it was."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from netgain.api import judge_folder
from netgain.domains.domain import Domain
from netgain.domains.problem import Problem, Split
from netgain.errors import InputError
from netgain.metering.verification import verify
from netgain.model.metered import Model
from netgain.records.chain import read
from netgain.records.events import Noted
from netgain.report.page import render
from netgain.trials.executor import LocalExecutor
from netgain.trials.history import History, notes
from netgain.trials.schedule import register_trial, run_trial
from netgain.trials.store import LOCK, SAMPLES, Store, locked_form, spec_hash
from netgain.trials.tasks import tasks
from tests.trials import world

SMALL: dict[str, Any] = {"arms": {"frozen": {"method": "frozen"}, "passage": {"method": "passage"}}, "seeds": 1} | {
    "compare": {"arm": "passage", "against": "frozen"}
}


def register(folder: Path, **changes: Any) -> dict[str, str]:
    return register_trial(world.resolved(world.spec(**(SMALL | changes))), folder, device="cpu", load=world.load)


def run(folder: Path, **changes: Any) -> None:
    assert world.run(folder, world.spec(**(SMALL | changes))).complete


def test_registering_writes_the_lock_and_spends_nothing(tmp_path: Path) -> None:
    stated = register(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    locked = yaml.safe_load((tmp_path / LOCK).read_text())
    assert locked["registered"] == stated
    assert stated["hash"] == spec_hash(locked)
    assert locked["trial"]["seed"] == 0
    assert locked["model_digest"]
    assert set(locked["problems"]["towns"]) == {"development", "test"}


def test_the_hash_holds_no_clock_and_registering_again_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = register(tmp_path / "a")
    text = (tmp_path / "a" / LOCK).read_text()
    monkeypatch.setattr("netgain.trials.store.time.strftime", lambda *_: "2030-01-01T00:00:00Z")
    assert register(tmp_path / "b")["hash"] == first["hash"]
    assert register(tmp_path / "a") == first
    assert (tmp_path / "a" / LOCK).read_text() == text


def test_another_trial_than_the_registered_one_is_refused_by_name(tmp_path: Path) -> None:
    register(tmp_path)
    with pytest.raises(InputError, match=r"what differs: .*trial\.seeds"):
        run(tmp_path, seeds=2)
    with pytest.raises(InputError, match=r"what differs: .*trial\.compare\.exam"):
        register(tmp_path, compare={"arm": "passage", "against": "frozen", "exam": "reasoning"})
    assert not (tmp_path / "units").exists()


def test_other_people_on_the_same_seed_are_another_trial(tmp_path: Path) -> None:
    class Others(world.Towns):
        def problems(self, split: Any, count: int, seed: int) -> Any:
            return super().problems(split, count, seed + (split == "test"))

    def find(kind: str, folder: Path | None = None) -> type[Domain]:
        return Others

    register(tmp_path)
    trial = world.resolve_spec(world.spec(**SMALL), world.SourceLines("trial"), world.find_method, find)
    with pytest.raises(InputError, match=r"what differs: .*problems\.towns\.test;"):
        run_trial(trial, tmp_path, device="cpu", load=world.load)


def test_a_registration_that_was_edited_is_refused(tmp_path: Path) -> None:
    register(tmp_path)
    text = (tmp_path / LOCK).read_text()
    (tmp_path / LOCK).write_text(text.replace("seeds: 1", "seeds: 2"))
    with pytest.raises(InputError, match="was edited after it was registered"):
        run(tmp_path, seeds=2)


def test_what_was_begun_cannot_be_registered_any_more(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(InputError, match="begun here before it was registered"):
        register(tmp_path)


@pytest.mark.parametrize("registered", [True, False])
def test_record_and_page_say_whether_it_was_registered(tmp_path: Path, registered: bool) -> None:
    stated = register(tmp_path) if registered else None
    run(tmp_path)
    verdict = judge_folder(tmp_path)
    assert verdict.setup is not None
    assert verdict.setup.history is not None
    name = verdict.setup.history.spec.removeprefix("sha256:")[:12]
    if stated is None:
        assert verdict.setup.history.registered == ""
        assert f"not registered before it ran; hash {name}" in render(verdict)
    else:
        assert verdict.setup.history.registered == stated["at"]
        assert stated["hash"] == verdict.setup.history.spec
        assert f"{stated['at'][:10]}, hash {name}" in render(verdict)


def test_a_registered_trial_gives_the_rows_that_it_gives_unregistered(tmp_path: Path) -> None:
    register(tmp_path / "a")
    run(tmp_path / "a")
    run(tmp_path / "b")
    assert (tmp_path / "a" / SAMPLES).read_bytes() == (tmp_path / "b" / SAMPLES).read_bytes()


# -- what happens to a run is written down beside its tasks


def noted(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(note.text, note.data) for note in notes(read(folder / "history").records)]


def told(folder: Path) -> list[tuple[str, str]]:
    return [(text, str(data.get("task", ""))) for text, data in noted(folder)]


def test_a_folder_has_a_history_of_what_was_asked_begun_and_finished(tmp_path: Path) -> None:
    run(tmp_path)
    found = told(tmp_path)
    assert found[0] == ("asked", "")
    assert found[-1] == ("done", "")
    for name in ("tune-towns-frozen", "tune-towns-passage", "run-towns-frozen-0", "run-towns-passage-0"):
        assert found.index(("begun", name)) < found.index(("finished", name))
        (data,) = (data for text, data in noted(tmp_path) if (text, data.get("task")) == ("finished", name))
        journal = read(tmp_path / "units" / name / "journal").records
        assert journal[-2].hash == data["head"]
        result = journal[-2].event
        assert isinstance(result, Noted)
        assert result.text == "result"
        assert (result.data["identity"], result.data["asked"]) == (data["identity"], noted(tmp_path)[0][1]["hash"])
        assert result.data["problems"] == (Store(tmp_path).locked() or {})["problems"]["towns"]
        (opened,) = (d for text, d in noted(tmp_path) if (text, d.get("task")) == ("opened", name))
        assert opened["head"] in {row.hash for row in journal}
    assert verify(tmp_path / "history").ok


def test_a_task_that_was_deleted_and_done_again_leaves_a_trace(tmp_path: Path) -> None:
    run(tmp_path)
    shutil.rmtree(tmp_path / "units" / "run-towns-passage-0")
    run(tmp_path)
    assert told(tmp_path).count(("finished", "run-towns-passage-0")) == 2
    assert told(tmp_path).count(("finished", "run-towns-frozen-0")) == 1


def test_two_runs_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    shutil.rmtree(tmp_path / "units" / "run-towns-passage-0")
    with History.open(tmp_path), pytest.raises(InputError, match=r"a run is going on here \(process \d+ on host"):
        run(tmp_path)
    run(tmp_path)


def test_a_second_run_can_wait_for_the_first_and_is_told_who_it_is_and_since_when(tmp_path: Path) -> None:
    first, told = History.open(tmp_path), list[str]()

    def wait(holder: str) -> None:
        told.append(holder)
        first.__exit__(None, None, None)

    assert world.run(tmp_path, world.spec(seeds=1), wait=wait).failed == {}
    (holder,) = told
    assert re.fullmatch(rf"process {os.getpid()} on host \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", holder)


def test_whoever_comes_second_is_sent_away_before_a_model_is_loaded(tmp_path: Path) -> None:
    def load(*_: object) -> Model:
        raise AssertionError("nothing is loaded")

    with History.open(tmp_path), pytest.raises(InputError, match=r"a run is going on here .* since .*--wait"):
        world.run(tmp_path, world.spec(seeds=1), load=load)


def test_data_that_change_between_two_tasks_of_one_launch_fail_the_later_ones(tmp_path: Path) -> None:
    """A worker that starts later reads the files anew."""
    trial = world.resolved(world.spec(seeds=1))

    class Changed(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            found = super().problems(split, count, seed)
            question = replace(found[0].questions[0], answers=("elsewhere",))
            return (replace(found[0], questions=(question, *found[0].questions[1:])), *found[1:])

    executor = LocalExecutor(trial, tmp_path, load=world.load)
    Store(tmp_path).lock(locked_form(trial, "1", executor.digests()))
    trial._read["towns"] = Changed(trial.kinds["towns"][1])
    task = tasks(trial.spec)[0]
    done = executor.perform((task, "sha256:0", None), lambda update: None)
    assert "the data were changed after the trial had begun" in done.error
    assert not Store(tmp_path).journal(task).exists()
