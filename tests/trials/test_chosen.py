"""What self-edits of settings choose goes from the adaptation to the page, and so do the tasks it was chosen for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.chosen import AFTER, ALWAYS, BEFORE
from netgain.analysis.verdict import Verdict
from netgain.api import judge_folder
from netgain.domains.domain import Domain
from netgain.domains.wording import settings_format
from netgain.errors import InputError
from netgain.extensions import find_method
from netgain.model import Generate, Model
from netgain.records.samples import Adaptation, Investment, read_rows
from netgain.report.page import render
from netgain.strict_yaml import SourceLines
from netgain.trials.refusals import check_trial
from netgain.trials.resolve import Trial, resolve_spec
from netgain.trials.schedule import run_trial
from netgain.trials.spec import TrialSpec
from netgain.trials.store import SAMPLES
from tests.methods.examples import chooser, settings
from tests.trials import letters

LOOP = {"rounds": 1, "contexts": 3, "candidates": 4, "repeats": 1, "keep": "positive", "with_passage": False}


class Shifts(letters.Shifts):
    """The letters' tasks, about which settings can be chosen."""

    prompts = replace(letters.Shifts.prompts, formats={"settings": settings_format(letters.Letters.tools)})


def model(*_: Any) -> Model:
    def write(request: Generate) -> str:
        chosen = (settings("backwards", epochs=1), settings("order", rate=0.01, epochs=3), "Let me think.")
        return chosen[request.seed % 3]

    return chooser(write)


def trial(**arms: Any) -> Trial:
    fields = {
        "name": "letters",
        "domains": {"letters": {"kind": "letters"}},
        "problems": {"train": 3, "development": 2, "test": 4},
        "seeds": 1,
        "budget": {"per_problem": 1e12, "ladder": [1]},
        "tuning": {"trials": 0},
        "arms": {"frozen": {"method": "frozen"}, "seal": {"method": "seal", **LOOP}, **arms},
        "compare": {"arm": "seal", "exam": "held-out"},
        "exam": {"controls": 0, "drift": 0},
    }

    def find_domain(kind: str, folder: Path | None = None) -> type[Domain]:
        return Shifts

    return resolve_spec(TrialSpec.model_validate(fields), SourceLines("trial"), find_method, find_domain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = trial(own={"method": "synthetic"}, fixed={"method": "test-time-training", "max_epochs": 1})
    found = tmp_path_factory.mktemp("chosen")
    assert run_trial(asked, found, load=model, device="cpu").failed == {}
    return found


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    return judge_folder(folder)


def test_a_row_has_what_its_adaptation_was_trained_with(folder: Path) -> None:
    rows = read_rows(folder / SAMPLES)
    for row in (row for row in rows if isinstance(row, Adaptation)):
        assert row.status == "ok", row.error
        assert len(row.chosen) == (row.arm in ("own", "seal"))
    (learnt,) = (row for row in rows if isinstance(row, Investment))
    assert [len(run.chosen) for run in learnt.rewards] == [12]


def test_the_verdict_counts_what_was_chosen_before_and_after_the_outer_loop(verdict: Verdict) -> None:
    found = {(row.arm.split("/")[1].split("@")[0], row.stage): row for row in verdict.chosen}
    assert found.keys() == {("own", ALWAYS), ("seal", BEFORE), ("seal", AFTER)}
    before = found["seal", BEFORE]
    assert before.written == 12
    assert before.valid + before.refused["no JSON object"] == 12
    assert sum(before.tools.values()) == sum(before.rates.values()) == sum(before.epochs.values()) == before.valid
    assert before.rates.keys() == {"0.001", "0.01"}
    assert before.score is not None
    assert found["own", ALWAYS].written == found["seal", AFTER].written == 4


def test_the_tasks_are_shown_with_what_each_compared_arm_answered_and_chose(verdict: Verdict) -> None:
    assert verdict.setup is not None
    assert [task.problem for task in verdict.setup.tasks] == [f"test-{number}" for number in range(4)]
    problem = letters.Shifts().problems("test", 1, 0)[0]
    task = verdict.setup.tasks[0]
    assert task.expected == problem.questions[0].answers
    assert task.inputs == (problem.questions[0].text.split("\n")[-1].removesuffix(" >"),)
    answers = [answer for answer in verdict.shown if answer.problem == "test-0"]
    assert [answer.arm for answer in answers] == ["letters/frozen@1", "letters/seal@1"]
    for answer in answers:
        assert answer.right == (answer.given == task.expected)
        assert (answer.chosen is None) == ("seal" not in answer.arm)


def test_the_page_tells_all_of_it(verdict: Verdict) -> None:
    page = render(verdict)
    for words in ("What was chosen of each training", "Some of the tasks", "no JSON object", "chose: ", BEFORE):
        assert words in page, words


@pytest.mark.parametrize("method", ["rejection", "self-consistency"])
def test_a_method_that_compares_texts_writes_no_settings(method: str) -> None:
    with pytest.raises(InputError, match="'settings': chooses a training"):
        check_trial(trial(other={"method": method}), None, {})
    check_trial(trial(other={"method": "synthetic"}), None, {})
