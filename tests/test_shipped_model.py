"""The model that ships: small, safe to load, and it knows, reads and writes what the people world asks of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import netgain
from netgain.domains.people import People, PeopleSettings, Style
from netgain.domains.problem import Question
from netgain.domains.wording import PLAIN_PROMPTS as PROMPTS
from netgain.metering.account import Account, Book
from netgain.model import Generate
from netgain.records.cost import Purpose

FOLDER = Path(netgain.__file__).parent / "shipped" / "people"
STYLES: tuple[Style, ...] = ("plain", "narrative")


@pytest.fixture(scope="module")
def model() -> Any:
    pytest.importorskip("torch", reason="the model needs torch")
    from netgain.model import load_model

    return load_model(FOLDER)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as book:
        yield book.account("test", arm="test", seed=0).under(Purpose.EVALUATE)


def answers(model: Any, account: Account, prompts: Sequence[str], **settings: Any) -> list[Any]:
    settings = {"max_new_tokens": PROMPTS.max_new_tokens, "stop": PROMPTS.stop} | settings
    results = model.generate([Generate(account=account, prompt=prompt, **settings) for prompt in prompts])
    return [result.get() for result in results]


def right(model: Any, account: Account, asked: Sequence[tuple[str, Question]]) -> float:
    """The share of questions that are answered rightly after their prompts."""
    given = answers(model, account, [prompt for prompt, _ in asked])
    marks = [People().grade(question, answer.text).correct for (_, question), answer in zip(asked, given, strict=True)]
    return sum(marks) / len(marks)


def test_the_folder_is_small_and_holds_no_pickle() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 9e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".jsonl"}
    assert (FOLDER / "README.md").is_file()


@pytest.mark.parametrize("kind", ["seen", "skill"])
def test_it_can_do_what_the_controls_ask(kind: str, model: Any, account: Account) -> None:
    controls = [question for question in People().controls(60, 5) if question.kind == kind]
    assert right(model, account, [(PROMPTS.ask(question.text), question) for question in controls]) >= 0.9


@pytest.mark.parametrize("style", STYLES)
def test_it_answers_from_a_passage_about_somebody_it_never_met(style: Style, model: Any, account: Account) -> None:
    problems = People(PeopleSettings(style=style)).problems("test", 20, 5)
    asked = [(PROMPTS.ask(q.text, (p.material,)), q) for p in problems for q in p.questions if q.kind == "knowledge"]
    assert right(model, account, asked) >= 0.9


def test_without_the_passage_it_can_only_guess(model: Any, account: Account) -> None:
    problems = People().problems("test", 20, 5)
    asked = [(PROMPTS.ask(q.text), q) for p in problems for q in p.questions if q.kind == "knowledge"]
    assert right(model, account, asked) <= 0.12  # chance is 1 in 24


@pytest.mark.parametrize("form", list(PROMPTS.formats))
def test_it_writes_self_edits_that_end_and_that_vary(form: str, model: Any, account: Account) -> None:
    problems = People(PeopleSettings(style="narrative")).problems("test", 4, 5)
    wanted = PROMPTS.formats[form]
    prompts = [wanted.prompt(problem.material) for problem in problems]
    settings = {"max_new_tokens": wanted.max_new_tokens, "stop": wanted.stop, "temperature": 1.0}
    first = answers(model, account, prompts, seed=0, **settings)
    second = answers(model, account, prompts, seed=1, **settings)
    assert sum(answer.finish == "eos" for answer in [*first, *second]) >= 7
    assert sum(one.text != other.text for one, other in zip(first, second, strict=True)) >= 3
    assert all(wanted.begins_after.strip() in answer.text for answer in first)
