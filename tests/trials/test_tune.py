"""Every arm tries as many settings, pays for them under tune, and keeps the best."""

from pathlib import Path

from netgain.metering.verification import verify
from netgain.records.samples import Tuning, read_rows
from netgain.trials.tasks import Task, adaptations, candidates
from tests.trials import world


def test_tuning_is_equal_and_charged(tmp_path: Path) -> None:
    world.run(tmp_path)
    rows = {row.arm: row for row in read_rows(tmp_path / "samples.jsonl") if isinstance(row, Tuning)}
    assert {arm: len(row.attempts) for arm, row in rows.items()} == {"frozen": 0, "passage": 2, "edits": 2}
    for arm, row in rows.items():
        journal = tmp_path / "units" / f"tune-towns-{arm}" / "journal"
        assert {charge.purpose for charge in verify(journal).charges} == {"tune"}
        assert set(row.spent) == {"tune"}
    # two tries and two questions each time, at the rung of the comparison: what edits invest, passage spends
    assert rows["passage"].spent["tune"]["flops"] == 2 * (8 + 8 + 2 * 2)  # type: ignore[index]
    assert rows["edits"].spent["tune"]["flops"] == 2 * (4 + 4 + 2 * 2)  # type: ignore[index]
    assert rows["passage"].development == 1.0
    assert rows["frozen"].development == 0.0


def test_the_first_candidate_is_the_settings_as_given_and_none_comes_twice() -> None:
    trial = world.resolved(world.spec(tuning={"trials": 10}))
    drawn = candidates(trial.spec, "towns", trial.arms["passage"])
    assert drawn[0] == {"steps": 1}
    assert sorted(one["steps"] for one in drawn) == [1, 2, 3, 4]
    assert drawn == candidates(trial.spec, "towns", trial.arms["passage"])
    assert candidates(trial.spec, "towns", trial.arms["frozen"]) == []


def test_an_arm_and_its_control_are_tuned_alike(tmp_path: Path) -> None:
    """Arms that adapt alike differ in what their tuning chose only by luck, which would pass for the method's part."""
    arms = {"edits": {"method": "edits"}, "control": {"method": "edits", "label": "another name"}}
    world.run(tmp_path, world.spec(arms, compare={"arm": "edits", "against": "control"}))
    one, other = (row for row in read_rows(tmp_path / "samples.jsonl") if isinstance(row, Tuning))
    assert [row.settings for row in one.attempts] == [row.settings for row in other.attempts]
    assert one.model_copy(update={"arm": ""}) == other.model_copy(update={"arm": ""})


def test_what_is_planned_to_be_tried_is_what_is_tried() -> None:
    """The settings as given count as a try, whether or not they stand in the grid."""
    arms = {"edits": {"method": "edits"}, "passage": {"method": "passage", "tune": {"steps": [2, 3]}}}
    trial = world.resolved(world.spec(arms, tuning={"trials": 3}))
    assert len(candidates(trial.spec, "towns", trial.arms["passage"])) == 3
    assert adaptations(trial, Task("tune", "towns", "passage")) == 3 * trial.spec.problems.development
