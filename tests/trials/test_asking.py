"""A trial fixes how its model is asked: by its template or not, with which demonstrations, and what is the answer."""

from pathlib import Path
from typing import Any

import pytest

import netgain
from netgain.domains.problem import text_of
from netgain.errors import InputError
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.trials.preview import CLOSED, OPEN, Preview
from netgain.trials.resolve import Trial, with_data
from netgain.trials.store import Store, locked_form, task_identity
from netgain.trials.tasks import Task
from tests.trials import world

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


def model_folder(folder: Path, template: str | None) -> str:
    """What tells of a tokenizer's template; no weights are there."""
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text("{}")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return str(folder)


def towns(**changes: Any) -> Trial:
    return world.resolved(world.spec(**changes))


def test_an_instruct_model_is_asked_by_its_template_and_a_base_model_is_not(tmp_path: Path) -> None:
    instruct, base = model_folder(tmp_path / "i", TEMPLATE), model_folder(tmp_path / "b", None)
    for model, chat, asked in ((instruct, "auto", True), (instruct, "base", False), (base, "auto", False)):
        prompts = towns(model=model, chat=chat).prompts("towns")
        assert isinstance(prompts.ask("Which?"), tuple) == asked
        assert (
            isinstance(prompts.formats["list"].prompt(world.Towns().problems("test", 1, 0)[0].material), tuple) == asked
        )
    with pytest.raises(InputError, match=r"chat = template: the tokenizer of .* has no chat template") as refused:
        with_data(towns(model=base, chat="template"))
    assert "\n" not in str(refused.value)


def test_demonstrations_are_of_training_problems_and_the_same_for_all(tmp_path: Path) -> None:
    trial = with_data(towns(shots=2))
    prompts = trial.prompts("towns")
    training = {problem.id for problem in world.Towns().problems("train", 100, trial.spec.seed)}
    assert len(prompts.shots) == 2
    assert {material.id for material, _ in prompts.shots} <= training
    assert {question.kind for _, question in prompts.shots} == {trial.spec.compare.exam}
    assert towns(shots=2).prompts("towns") == prompts
    assert text_of(prompts.ask("Which?")).count("Q: ") == 3
    with pytest.raises(InputError, match=r"shots = 9: towns has . training problems"):
        with_data(towns(shots=9))


def test_an_old_lock_still_fits_and_another_wording_is_another_trial(tmp_path: Path) -> None:
    digests = {"model_digest": "m", "teacher_digest": ""}
    form = locked_form(towns(), netgain.__version__, digests)
    assert not {"chat", "shots", "cut"} & set(form["trial"]), "what was not chosen is as it was before it could be"
    before = {name: value for name, value in form.items() if name != "prompts"}
    store = Store(tmp_path)
    store.lock(before)
    store.lock(form)
    task = Task("run", "towns", "edits", 0)
    plain = task_identity(task, {}, before)
    assert plain != task_identity(task, {}, form)
    named = Store(tmp_path / "new")
    named.lock(form)
    for changed in ({"shots": 1}, {"cut": "sentence"}, {"cut": ["Q:"]}):
        other = locked_form(towns(**changed), netgain.__version__, digests)
        with pytest.raises(InputError, match=r"what differs: .*prompts.towns"):
            named.lock(other)


def test_what_demonstrations_take_is_charged_to_every_arm(tmp_path: Path) -> None:
    """The scripted model sees them before every question of the exam."""
    seen: list[str] = []

    def said(request: Generate) -> str:
        seen.append(text_of(request.prompt))
        return world.answer(request)

    asked = world.spec(shots=1, seeds=1, tuning={"trials": 0}, exam={"controls": 0, "drift": 0})
    assert world.run(tmp_path, asked, load=lambda trial, device: scripted_model(said, name="scripted")).failed == {}
    shown = text_of(world.resolved(asked).prompts("towns").ask("?")).partition("\n\n")[0]
    questions = [prompt for prompt in seen if not prompt.startswith("List")]
    assert questions
    assert all(prompt.startswith(shown) for prompt in questions if prompt.count("Q: ") > 1)
    assert sum(prompt.count("Q: ") == 2 for prompt in questions) > 0.9 * len(questions)  # but for its own question


def test_a_preview_shows_each_way_of_asking_once_with_the_arms_that_use_it(tmp_path: Path) -> None:
    preview = Preview(towns(shots=1), 1, "test")
    ways = {way.name: way for way in preview.ways}
    assert set(ways) >= {CLOSED}
    assert "frozen" in ways[CLOSED].arms
    assert OPEN not in ways or "frozen" not in ways[OPEN].arms
    said = preview.answered(world.model(), ways[CLOSED])
    assert [len(ways[CLOSED].questions), said[0].shown] == [len(said), text_of(ways[CLOSED].prompts[0])]
    assert {one.grade["exact"] for one in said} == {False}
    with pytest.raises(InputError, match="--problem 0"):
        Preview(towns(), 0)
    with pytest.raises(InputError, match="is no domain of this trial"):
        Preview(towns(), 1, name="moons")
