"""Every arm tries as many settings, pays for them under tune, and keeps the best."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError
from netgain.metering.verification import verify
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.records.claim import Role
from netgain.records.samples import Tuning, read_rows
from netgain.trials.kept import KeptRun
from netgain.trials.progress import status_of
from netgain.trials.tasks import Task, adaptations, planned_trials
from netgain.trials.trial_claim import claim_of
from netgain.trials.tuning import KnobSearch, Values, search
from tests.trials import world


def tunings(folder: Path) -> dict[str, Tuning]:
    return {row.arm: row for row in read_rows(folder / "samples.jsonl") if isinstance(row, Tuning)}


def test_tuning_is_equal_and_charged(tmp_path: Path) -> None:
    world.run(tmp_path)
    rows = tunings(tmp_path)
    assert {arm: len(row.attempts) for arm, row in rows.items()} == {"frozen": 0, "passage": 2, "edits": 2}
    for arm, row in rows.items():
        journal = tmp_path / "units" / f"tune-towns-{arm}" / "journal"
        assert {charge.purpose for charge in verify(journal).charges} == {"tune"}
        assert set(row.spent) == {"tune"}
    # two tries, and in each two problems at level 1 and their two questions; edits invests half of it beforehand
    assert rows["passage"].spent["tune"]["flops"] == 2 * (8 + 8 + 2 * 2)  # type: ignore[index]
    assert rows["edits"].spent["tune"]["flops"] == 2 * (16 + 4 + 4 + 2 * 2)  # type: ignore[index]
    assert rows["passage"].development == 1.0
    assert rows["frozen"].development == 0.0


def test_a_task_whose_tuning_failed_is_told_like_any_other_that_failed(tmp_path: Path) -> None:
    def answer(request: Generate) -> str:
        raise MemoryError

    arms = {"passage": world.ARMS["passage"], "frozen": world.ARMS["frozen"]}
    spec = world.spec(arms, compare={"arm": "passage", "against": "frozen"}, seeds=1, tuning={"trials": 1})
    done = world.run(tmp_path, spec, load=lambda trial, device: scripted_model(answer))
    why = "its tuning failed: MemoryError"
    assert done.failed["run-towns-passage-0"] == why
    assert (tmp_path / "units" / "run-towns-passage-0" / "failed.txt").read_text() == f"{why}\n"
    status = status_of(tmp_path)
    assert (status.waiting, status.failed["run-towns-passage-0"]) == ((), why)
    history = KeptRun(tmp_path).history()
    assert history is not None
    assert f"run-towns-passage-0: {why}" in history.failed
    assert world.run(tmp_path, spec).complete  # the same command does it again
    assert not list(tmp_path.rglob("failed.txt"))


def test_an_arm_and_its_control_are_tuned_alike(tmp_path: Path) -> None:
    """Arms that adapt alike differ in what their tuning chose only by luck, which would pass for the method's part."""
    arms = {"edits": {"method": "edits"}, "control": {"method": "edits", "label": "another name"}}
    world.run(tmp_path, world.spec(arms, compare={"arm": "edits", "against": "control"}))
    one, other = tunings(tmp_path).values()
    assert [row.settings for row in one.attempts] == [row.settings for row in other.attempts]
    assert one.model_copy(update={"arm": ""}) == other.model_copy(update={"arm": ""})


def test_what_is_planned_to_be_tried_is_what_is_tried() -> None:
    """The settings as given count as a try, whether or not they are among the values to try."""
    arms = {"edits": {"method": "edits"}, "passage": {"method": "passage", "tune": {"steps": [2, 3]}}}
    trial = world.resolved(world.spec(arms, tuning={"trials": 3}))
    assert planned_trials(trial, Task("tune", "towns", "passage")) == 3
    assert adaptations(trial, Task("tune", "towns", "passage")) == 3 * trial.spec.problems.development


# -- one rule for all arms


def knobs(arms: Mapping[str, Any], **tuning: Any) -> dict[str, dict[str, tuple[Any, ...]]]:
    trial = world.resolved(world.spec(arms, tuning={"trials": 3, **tuning}))
    return {name: dict(arm.knobs) for name, arm in trial.arms.items()}


def test_what_one_arm_may_tune_every_arm_that_has_it_may_tune() -> None:
    arms = {**world.ARMS, "edits": {"method": "edits", "tune": {"steps": [7, 8]}}}
    found = knobs(arms)
    assert found["frozen"] == {}
    assert set(found["passage"]["steps"]) == set(found["edits"]["steps"]) == {1, 2, 3, 4, 7, 8}
    found = knobs(world.ARMS, knobs={"steps": [5, 6], "split": [0.2, 0.4]})
    assert found["passage"] == {"steps": (5, 6)}
    assert found["edits"] == {"steps": (5, 6), "split": (0.2, 0.4)}


def test_a_rival_that_keeps_a_setting_fixed_is_told_of(tmp_path: Path) -> None:
    arms = {**world.ARMS, "passage": {"method": "passage", "fixed": ["steps"]}}
    asked = world.spec(arms, tuning={"trials": 2, "knobs": {"steps": [1, 2]}})
    arm = world.resolved(asked).arms["passage"]
    assert (arm.name, arm.knobs) == ("passage", {})
    world.run(tmp_path, asked)
    claim = claim_of(asked, read_rows(tmp_path / "samples.jsonl"), {"edits": Role.SELF_IMPROVING})
    told = {finding.check: finding for finding in claim.findings}
    assert (told["fixed-where-others-tune"].severity, told["fixed-where-others-tune"].evidence) == ("high", ("steps",))


def test_a_value_that_some_arm_cannot_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"tuning\.knobs\.split"):
        knobs(world.ARMS, knobs={"split": [2.0]})


# -- the search


def searched(
    score: Callable[[Values], float], knobs: Mapping[str, list[Any]], given: Values, trials: int, widen: int = 0
) -> KnobSearch:
    return search(knobs, given, trials, widen, lambda values: 0 < values.get("rate", 1) <= 1, score)


def test_the_search_begins_with_what_is_given_and_tries_nothing_twice() -> None:
    found = searched(lambda values: 0.0, {"a": [1, 2, 3], "b": ["x", "y"]}, {"a": 1, "b": "x"}, 100)
    assert found.tried[0][0] == {"a": 1, "b": "x"}
    assert len(found.tried) == 1 + 2 + 1  # nothing is better, so only the neighbours of the given settings are tried
    assert found.best == 0


def test_the_search_goes_on_from_the_best_so_far() -> None:
    """The best pair of values is found although neither of its values is the given one."""
    found = searched(lambda v: v["a"] + (v["b"] == "y"), {"a": [1, 2], "b": ["x", "y"]}, {"a": 1, "b": "x"}, 10)
    assert found.values == {"a": 2, "b": "y"}


def test_no_more_is_tried_than_may_be() -> None:
    found = searched(lambda values: values["a"], {"a": list(range(50))}, {"a": 0}, 7)
    assert len(found.tried) == 7


def test_a_best_value_at_an_end_widens_the_search_until_it_is_none() -> None:
    peak = 4e-3
    found = searched(lambda v: -abs(v["rate"] - peak), {"rate": [5e-4, 1e-3, 2e-3]}, {"rate": 1e-3}, 3, widen=4)
    assert [values["rate"] for values, _ in found.tried] == pytest.approx([1e-3, 5e-4, 2e-3, 4e-3, 8e-3])
    assert (found.values["rate"], found.widened, found.edges) == (pytest.approx(peak), 2, ())


def test_a_best_value_that_is_still_at_an_end_is_named() -> None:
    found = searched(lambda v: v["rate"], {"rate": [0.01, 0.02]}, {"rate": 0.01}, 2, widen=1)
    assert (found.values["rate"], found.edges) == (pytest.approx(0.04), ("rate",))


def test_the_end_of_what_a_setting_can_be_is_no_edge() -> None:
    found = searched(lambda v: v["rate"], {"rate": [0.25, 0.5]}, {"rate": 0.25}, 2, widen=5)
    assert (found.values["rate"], found.edges) == (1.0, ())


def test_whole_numbers_stay_whole_and_small_steps_are_differences() -> None:
    found = searched(lambda v: v["edits"], {"edits": [2, 4]}, {"edits": 2}, 2, widen=1)
    assert found.values["edits"] == 8
    found = searched(lambda v: v["rate"], {"rate": [0.8, 0.9]}, {"rate": 0.8}, 2, widen=1)
    assert found.values["rate"] == 1.0


def test_words_have_no_end() -> None:
    found = searched(lambda v: v["form"] == "b", {"form": ["a", "b"]}, {"form": "a"}, 2, widen=3)
    assert (found.values, found.widened, found.edges) == ({"form": "b"}, 0, ())
