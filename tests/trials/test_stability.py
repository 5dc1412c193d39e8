"""What a model could do before is measured again after a trial's adaptations, and paid for as evaluation."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.metering.account import Account
from netgain.metering.verification import verify
from netgain.model import Model, Score, scripted_model
from netgain.model.program import ask, run
from netgain.model.scripted import ScriptedAdapter
from netgain.records.claim import Role
from netgain.records.measurements import Ability
from netgain.records.samples import Adaptation, Row, read_rows
from netgain.report.page import render
from netgain.trials import spec as specs
from netgain.trials.resolve import Trial, resolve, with_data
from netgain.trials.store import SAMPLES, locked_form, spec_hash, task_identity
from netgain.trials.tasks import Task
from netgain.trials.trial_claim import claim_of
from tests.trials import world

ROLES = {"edits": Role.SELF_IMPROVING, "frozen": Role.FROZEN, "passage": Role.PASSAGE}


class FakeHarness:
    """Two documents, of which a trained model gets the second wrong; asking takes one request each."""

    def __init__(self, tasks: Sequence[str], *_: Any) -> None:
        self.tasks = tasks

    def abilities(self, answerer: Answerer, account: Account) -> tuple[Ability, ...]:
        scores = [Score(account=account, prompt="a", continuation=text) for text in ("b", "c")]
        list(run({0: ask(answerer.model, scores)}))
        right = "10" if answerer.adapter is not None else "11"
        name = f"{self.tasks[0]} acc"
        return (Ability(name=name, value=right.count("1") / 2, count=2, better="higher", correct=right),)


def load(trial: Trial, device: str) -> Model:
    """A model to which every byte of a text is less likely the more it was trained on."""
    worse = 1.0
    return scripted_model(
        world.answer,
        name="scripted",
        scores=lambda request: -len(request.continuation) * (1 + worse * isinstance(request.adapter, ScriptedAdapter)),
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specs, "Harness", FakeHarness)
        result = world.run(folder, asked(), load=load)
    assert result.failed == {}
    return folder, read_rows(folder / SAMPLES)


def asked(**exam: Any) -> specs.TrialSpec:
    given = {"controls": 1, "drift": 0, "text": "prose", "lm_eval": {"tasks": ["sums"], "problems": 2}}
    return world.spec(exam=given | exam)


def test_the_untouched_model_is_measured_once_and_every_adaptation_at_its_level(rows: tuple[Path, list[Row]]) -> None:
    found = [row for row in rows[1] if isinstance(row, Adaptation)]
    measured = {(r.arm, r.seed, r.rung, r.problem): [one.name for one in r.abilities] for r in found if r.abilities}
    assert [names for key, names in measured.items() if key[0] == "frozen"] == [["text", "sums acc"]]
    for arm in ("passage", "edits"):
        mine = {key: names for key, names in measured.items() if key[0] == arm}
        assert {rung for _, _, rung, _ in mine} == {1.0}
        assert list(mine.values()) == [["text", "sums acc"], ["text", "sums acc"], ["text"], ["text"]] * 2


def test_what_it_took_is_evaluation_and_in_the_rows(rows: tuple[Path, list[Row]]) -> None:
    folder, found = rows
    claim = claim_of(asked(), found, ROLES)
    charged = sum(charge.cost.flops or 0 for charge in claim.charges)
    booked = sum(charge.cost.flops or 0 for path in folder.glob("units/*/journal") for charge in verify(path).charges)
    assert charged == booked


def test_the_verdict_and_the_page_tell_before_and_after_and_what_broke(rows: tuple[Path, list[Row]]) -> None:
    verdict = judge(claim_of(asked(), rows[1], ROLES))
    told = {(row.arm, row.name): row for row in verdict.abilities}
    assert set(told) == {(f"towns/{arm}@1", name) for arm in ("passage", "edits") for name in ("text", "sums acc")}
    text, sums = told["towns/edits@1", "text"], told["towns/edits@1", "sums acc"]
    assert (text.before, text.after, text.adaptations, text.seeds, text.fixed) == (1.0, 2.0, 8, 2, None)
    assert text.change is not None
    assert text.change.value == 1.0
    assert (sums.before, sums.after, sums.adaptations) == (1.0, 0.5, 4)
    assert (sums.fixed, sums.broken, sums.previously_correct) == (0, 4, 8)
    page = " ".join(re.sub(r"<[^>]+>", " ", render(verdict)).split())
    assert "2.7 → 7.4" in page  # perplexity
    assert "sums acc (lm-eval)" in page
    assert "4 of 8" in page


def test_a_trial_that_measures_neither_has_the_identity_that_it_had(tmp_path: Path) -> None:
    trial = world.resolved()
    assert set(locked_form(trial, "1", {})["trial"]["exam"]) == {"controls", "drift", "at", "stream"}
    assert set(locked_form(trial, "1", {})["data"]) == {"towns"}


def test_a_text_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    text = "A heron stood in the ditch.\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(text)

    def identities(path: Path) -> tuple[str, str]:
        locked = locked_form(world.resolved(asked(text=str(path), lm_eval=None)), "1", {"model_digest": "m"})
        locked = {"netgain": "1", "model_digest": "m", "teacher_digest": "t", **locked}
        task = Task("run", "towns", "frozen", 0)
        return task_identity(task, {}, locked), spec_hash(locked)

    first, second = identities(tmp_path / "a.txt"), identities(tmp_path / "b.txt")
    assert first[0] == second[0]
    (tmp_path / "b.txt").write_text("Another text.\n")
    assert identities(tmp_path / "b.txt")[0] != first[0]


@pytest.mark.parametrize(
    ("exam", "message"),
    [
        ("{text: nowhere.txt}", r"mine.yaml:9.*nowhere.txt: cannot be read"),
        ("{lm_eval: {tasks: []}}", r"mine.yaml:9.*exam.lm_eval.tasks"),
        ("{lm_eval: {tasks: [a], problem: 1}}", r"mine.yaml:9.*did you mean 'problems'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_before_anything_is_spent(tmp_path: Path, exam: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nmodel: shipped\ndomains:\n  people: {kind: people, style: plain}\n"
        "problems: {train: 0, development: 1, test: 2}\nbudget: {per_problem: 1.0e+9}\n"
        "arms: {passage: {method: finetune}, own: {method: synthetic}}\ncompare: {arm: own, against: passage}\n"
        f"exam: {exam}\n"
    )
    with pytest.raises(InputError) as caught:
        with_data(resolve(tmp_path / "mine.yaml"))
    assert re.search(message, str(caught.value))
