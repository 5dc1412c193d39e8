"""The grid model that ships: small, and it knows in context what it was trained on, and not what was held out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import netgain
from netgain.domains.grid import GridTask, read, written_pairs, written_question
from netgain.domains.grid_shots import TOOLS
from netgain.domains.grid_world import Kind, draw_kind
from netgain.metering.account import Account, Book
from netgain.methods.settings_edit import read_settings, settings_form
from netgain.model import Generate
from netgain.records.cost import Purpose

FOLDER = Path(netgain.__file__).parent / "shipped" / "grids"


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
    results = model.generate([Generate(account=account, prompt=prompt, **settings) for prompt in prompts])
    return [result.get() for result in results]


def share_right(model: Any, account: Account, tasks: Sequence[GridTask]) -> float:
    prompts = [written_question(task.examples, task.tests[0].input) for task in tasks]
    given = answers(model, account, prompts, max_new_tokens=80, stop=("\n\n",))
    right = [read(answer.text) == task.tests[0].output for answer, task in zip(given, tasks, strict=True)]
    return sum(right) / len(right)


def test_the_folder_is_small_and_holds_no_pickle() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4.5e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert (FOLDER / "README.md").is_file()


def test_its_tokenizer_has_one_token_for_a_cell_and_one_for_the_end_of_a_row(model: Any) -> None:
    task = draw_kind("known", "test", 0, 0)
    pair = task.tests[0]
    cells = sum(len(grid) * (len(grid[0]) + 1) for grid in (pair.input, pair.output))
    text = written_pairs([pair])
    assert len(model.tokenize(text, special=False)) == cells + 1
    tokens = model.tokenize(text)
    assert 3 not in tokens, "an unknown word"


@pytest.mark.parametrize(("kind", "least", "most"), [("known", 0.85, 1.0), ("held-out", 0.0, 0.15)])
def test_it_knows_in_context_what_it_was_trained_on_and_not_what_was_held_out(
    kind: Kind, least: float, most: float, model: Any, account: Account
) -> None:
    tasks = [draw_kind(kind, "test", number, 0) for number in range(38)]
    assert least <= share_right(model, account, tasks) <= most


def test_it_writes_settings_as_json_that_end_and_that_vary(model: Any, account: Account) -> None:
    prompts = [f"{written_pairs(draw_kind('held-out', 'test', n, 0).examples)}Settings:\n" for n in range(12)]
    given = answers(model, account, prompts, max_new_tokens=64, temperature=0.8)
    edits = [json.loads(answer.text) for answer in given if answer.finish == "eos"]
    assert len(edits) >= 11
    for edit in edits:
        assert set(edit) == {"data_generation", "training"}
        assert set(edit["training"]) == {"strategy", "learning_rate", "num_train_epochs"}
    assert len({json.dumps(edit) for edit in edits}) >= 6


def test_held_to_the_schema_every_self_edit_is_valid_however_wildly_it_is_drawn(model: Any, account: Account) -> None:
    """At temperature 3 hardly one is without it; every token is charged as any other."""
    tools = tuple(TOOLS)
    prompt = f"{written_pairs(draw_kind('held-out', 'test', 0, 0).examples)}Settings:\n"
    how: dict[str, Any] = {"max_new_tokens": 128, "temperature": 3.0, "stop": ("\n\n",)}
    free = model.generate([Generate(account=account, prompt=prompt, seed=n, **how) for n in range(6)])
    form = settings_form(tools)
    held = model.generate([Generate(account=account, prompt=prompt, seed=n, form=form, **how) for n in range(6)])
    assert sum(not read_settings(one.get().text, tools).refused for one in free) <= 1
    chosen = [read_settings(one.get().text, tools) for one in held]
    assert {one.refused for one in chosen} == {""}
    assert len({one.model_dump_json() for one in chosen}) == 6
    assert {one.get().finish for one in held} == {"stop"}
    charges = {charge.reservation: charge for charge in account.book.charges()}
    for one in held:
        assert sum(charges[row].cost.tokens_generated or 0 for row in one.charges) == len(one.get().ids)
