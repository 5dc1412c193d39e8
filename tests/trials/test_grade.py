"""What an answer counts by is fixed before the run; every other grade is recorded beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from netgain.api import judge_folder
from netgain.errors import InputError
from netgain.records.claim import GradeName
from netgain.records.identity import canonical
from netgain.records.samples import Adaptation, GradedAnswer, Tuning, read_rows
from netgain.trials.kept import KeptRun
from netgain.trials.recheck import recheck
from netgain.trials.store import LOCK, SAMPLES, Store, locked_form, renamed
from tests.trials import world

SMALL: dict[str, Any] = {"seeds": 1, "problems": {"train": 2, "development": 1, "test": 2}}
SMALL |= {"budget": {"per_problem": 4.0, "ladder": [1.0]}}


def answers(folder: Path) -> list[GradedAnswer]:
    rows = [row for row in read_rows(folder / SAMPLES) if isinstance(row, Adaptation)]
    return [answer for row in rows for answer in row.answers]


def run(folder: Path, **changes: Any) -> list[Any]:
    assert world.run(folder, world.spec(**SMALL | changes)).failed == {}
    return read_rows(folder / SAMPLES)


@pytest.fixture(scope="module")
def by_f1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("f1")
    run(folder, grade="f1")
    return folder


def test_every_answer_is_recorded_with_every_grade(by_f1: Path, tmp_path: Path) -> None:
    exact = run(tmp_path)
    for one, other in zip(answers(by_f1), answers(tmp_path), strict=True):
        assert (one.cut, other.cut) == (False, False)
        assert one.contains == other.contains == (one.text not in ("", "unknown"))
        assert (one.correct, one.exact) == (one.f1 >= 0.5, other.correct)
        assert other.exact is None
    chosen = {row.arm: row.development for row in exact if isinstance(row, Tuning)}
    assert chosen == {row.arm: row.development for row in read_rows(by_f1 / SAMPLES) if isinstance(row, Tuning)}


def test_the_verdict_of_a_trial_tells_every_grade_and_verifies(by_f1: Path) -> None:
    verdict = judge_folder(by_f1)
    assert [(row.grade, row.decides) for row in verdict.grades] == [("exact", False), ("contains", False), ("f1", True)]
    assert all(set(row.scores) == {"exact", "contains", "f1"} and row.cut == 0 for row in verdict.answers)
    assert recheck(KeptRun(by_f1)).found == []


def test_another_grade_is_another_trial(by_f1: Path) -> None:
    for grade in ("exact", "contains"):
        with pytest.raises(InputError, match=r"what differs: trial\.grade"):
            run(by_f1, grade=grade)


def test_a_lock_from_before_the_grade_had_its_name_is_read_and_goes_on(tmp_path: Path) -> None:
    """With a judge it stood there as grades; without one there was no choice, and nothing stood there."""
    lock = tmp_path / LOCK
    now = locked_form(world.resolved(world.spec(**SMALL)), "0", {})
    assert "grade" not in now["trial"]
    for grade in ("exact", "judge"):
        trial = now["trial"] | {"judge": {"model": "m"}, "grades": grade}
        lock.write_text(yaml.safe_dump(json.loads(canonical(now | {"trial": trial}))))
        assert Store(tmp_path).asked()[0].grade == grade
        assert renamed(trial).get("grade", "exact") == grade


def test_the_old_name_is_refused_with_the_new_one(tmp_path: Path) -> None:
    from netgain.trials.resolve import all_problems

    path = tmp_path / "trial.yaml"
    fields = world.spec().model_dump(mode="json", exclude={"grade"}) | {"grades": "judge"}
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if text.startswith("grades"))
    (problem,) = all_problems(path)
    assert str(problem) == f"{path}:{line}: unknown field 'grades'; did you mean 'grade'?"


@pytest.mark.parametrize("grade", ["strict", "F1", ""])
def test_a_grade_that_is_none_is_refused(grade: GradeName) -> None:
    with pytest.raises(ValueError, match="'exact', 'contains', 'f1' or 'judge'"):
        world.spec(grade=grade)
