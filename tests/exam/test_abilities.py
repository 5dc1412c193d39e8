"""What the model could do before: the likelihood of unrelated text, and lm-eval's tasks, asked through the one door."""

import json
import math
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError, MissingExtraError
from netgain.exam.drift import WINDOW, paragraphs, text_ability
from netgain.exam.exam import Answerer
from netgain.exam.harness import Harness
from netgain.metering.account import Account, Book
from netgain.model import Generate, Model, Score, scripted_model
from netgain.model.program import run
from netgain.model.scripted import ScriptedAdapter
from netgain.records.cost import Currency, Purpose
from netgain.trials.spec import PROSE

needs_lm_eval = pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed (netgain[lm-eval])")
TRAINED = ScriptedAdapter("a", ((1,),))
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: "{target}"
{more}
"""


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as book:
        yield book.account("exam").under(Purpose.EVALUATE)


def test_a_text_is_scored_once_token_by_token_in_nats(account: Account) -> None:
    """The scripted model's tokens are bytes, each of which it gives a half: ln 2 nats a token."""

    def score(request: Score) -> float:
        assert request.prompt == ""
        return -math.log(2) * len(request.continuation)

    text = ("a" * (WINDOW + 10), "b" * 20)
    answerer = Answerer(model=scripted_model({}, scores=score))
    ((_, ended),) = run({0: text_ability(answerer, text, account)})
    assert ended.value is not None
    assert (ended.value.name, ended.value.count, ended.value.better) == ("text", WINDOW + 30, "lower")
    assert ended.value.value == pytest.approx(math.log(2))
    assert account.spent(Currency.FLOPS) == 3


def test_a_text_of_which_a_part_cannot_be_scored_has_no_value(account: Account) -> None:
    def score(request: Score) -> float:
        if request.continuation[:1] == (ord("b"),):
            raise ValueError("too long")
        return -1.0

    ((_, ended),) = run({0: text_ability(Answerer(model=scripted_model({}, scores=score)), ("a", "b"), account)})
    assert (ended.value, ended.error) == (None, None)


def test_the_text_that_ships_has_a_few_paragraphs_and_a_file_without_text_is_refused(tmp_path: Path) -> None:
    assert 3 <= len(paragraphs(PROSE)) <= 8
    (tmp_path / "empty.txt").write_text("\n\n  \n")
    for name, message in (("empty.txt", "holds no text"), ("none.txt", "cannot be read")):
        with pytest.raises(InputError, match=message):
            paragraphs(tmp_path / name)


def test_without_lm_eval_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtraError) as caught:
        Harness(["hellaswag"])
    assert str(caught.value) == "exam.lm_eval needs an optional dependency: pip install 'netgain[lm-eval]'"


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three local tasks: one of choices, one of answers, one of perplexity."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [{"question": f"{n} + 1?", "choices": [str(n + 1), str(n)], "answer": str(n + 1)} for n in range(4)]
    data = folder / "data.json"
    data.write_text("\n".join(map(json.dumps, rows)))
    choice = 'doc_to_choice: "{{choices}}"\nmetric_list: [{metric: acc}]'
    free = 'generation_kwargs: {until: ["\\n"], max_gen_toks: 5}\nmetric_list: [{metric: exact_match}]'
    rolling = "metric_list: [{metric: bits_per_byte}]"
    for name, kind, target, more in (
        ("mine_choice", "multiple_choice", "0", choice),
        ("mine_free", "generate_until", "{{answer}}", free),
        ("mine_text", "loglikelihood_rolling", "{{question}}", rolling),
    ):
        text = TASK.format(name=name, data=data, kind=kind, target=target, more=more)
        (folder / f"{name}.yaml").write_text(text)
    if find_spec("lm_eval") is not None:
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return folder


def knowing() -> Model:
    """Adds one; after a training it has forgotten how to with a 3."""

    def right(request: Any) -> str:
        number = int(str(request.prompt).partition("Q: ")[2].partition(" ")[0])
        return str(number if request.adapter is not None and number == 3 else number + 1)

    def score(request: Score) -> float:
        said = request.continuation
        if request.prompt == "":
            return -math.log(2) * 8 * len(said)
        return -1.0 if str(said).strip() == right(request) else -5.0

    def answer(request: Generate) -> str:
        assert (request.max_new_tokens, request.stop, request.temperature) == (5, ("\n",), 0.0)
        return right(request)

    return scripted_model(answer, scores=score)


@needs_lm_eval
@pytest.mark.filterwarnings("default")
def test_tasks_of_lm_eval_are_put_to_the_metered_model_before_and_after(tasks: Path, account: Account) -> None:
    model, found = knowing(), Harness(["mine_choice", "mine_free", "mine_text"], tasks)
    before = {one.name: one for one in found.abilities(Answerer(model=model), account)}
    assert {name: (one.value, one.count, one.correct) for name, one in before.items()} == {
        "mine_choice acc": (1.0, 4, "1111"),
        "mine_free exact_match": (1.0, 4, "1111"),
        "mine_text bits_per_byte": (pytest.approx(8.0), 4, ""),
    }
    assert [one.better for one in before.values()] == ["higher", "higher", "lower"]
    charged = account.spent(Currency.FLOPS)
    assert charged == 4 * 2 + 4 + 4
    after = {one.name: one for one in found.abilities(Answerer(model=model, adapter=TRAINED), account)}
    assert (after["mine_choice acc"].correct, after["mine_free exact_match"].value) == ("1110", 0.75)
    assert {charge.purpose for charge in account.book.charges()} == {Purpose.EVALUATE}


@needs_lm_eval
@pytest.mark.filterwarnings("default")
def test_a_task_that_lm_eval_does_not_know_is_refused_with_the_nearest(
    tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval.tasks

    def few(include_path: str, **_: Any) -> Any:  # its own thousands take seconds to list
        return manager(include_path=include_path, include_defaults=False)

    manager = lm_eval.tasks.TaskManager
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", few)
    with pytest.raises(InputError, match=r"no task 'mine_chioce'; did you mean 'mine_choice'\?"):
        Harness(["mine_chioce"], tasks)


@needs_lm_eval
@pytest.mark.filterwarnings("default")
def test_a_request_that_the_model_fails_is_no_wrong_answer(tasks: Path, account: Account) -> None:
    def fails(request: Generate) -> str:
        raise ValueError("the prompt is longer than the model's context")

    with pytest.raises(InputError, match="longer than the model's context"):
        Harness(["mine_free"], tasks, limit=2).abilities(Answerer(model=scripted_model(fails)), account)
