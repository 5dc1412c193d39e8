"""A domain in a user's own file: its text is part of a run's identity, and what it raises is said in one line."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from netgain.errors import InputError
from netgain.report.plan_view import plan_page
from netgain.trials.plan import make_plan, unknown_words
from netgain.trials.resolve import resolve, with_data
from netgain.trials.store import locked_form, portable

OWN = """
from netgain.domains import Domain, Material, Problem, Question
class Own(Domain):
    def problems(self, split, count, seed):
        return tuple(
            Problem(Material(name, name, f"{name} is red."), (Question(f"Which colour has {name}?", ("red",)),))
            for name in (f"{split} {number}" for number in range(count))
        )
"""
TRIAL = """
name: own
domains: {own: {kind: own.py:Own}}
budget: {per_problem: 4, ladder: [1, 2]}
problems: {train: 0, development: 1, test: 2}
tuning: {trials: 0}
arms: {frozen: {method: frozen}, passage: {method: finetune}}
compare: {arm: passage, against: frozen}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "trial.yaml").write_text(TRIAL)
    return tmp_path / "trial.yaml"


def test_the_text_of_its_file_is_part_of_a_runs_identity(file: Path) -> None:
    before = locked_form(resolve(file), "0", {})["data"]["own"]["source"]
    (file.parent / "own.py").write_text(OWN.replace("red", "blue"))
    assert locked_form(resolve(file), "0", {})["data"]["own"]["source"] != before


def test_where_its_file_lies_is_not(file: Path) -> None:
    trial = locked_form(resolve(file), "0", {})["trial"]
    trial["domains"]["own"]["kind"] = f"{file.parent}/own.py:Own"
    assert portable(trial, {})["domains"]["own"]["kind"] == "own.py:Own"


def test_an_error_in_it_names_file_and_line(file: Path) -> None:
    assert with_data(resolve(file)).domains["own"].problems("test", 2, 0)
    (file.parent / "own.py").write_text(OWN.replace("return tuple(", "return nothing("))
    with pytest.raises(InputError, match=r"own.py:5: NameError: name 'nothing' is not defined"):
        with_data(resolve(file))


ELEMENTS = """
from netgain.domains import Domain, Material, Problem, Question
class Own(Domain):
    def problems(self, split, count, seed):
        return tuple(
            Problem(Material(name, name, f"{name} is a white gas."), (Question(f"What is {name}?", ("gas",)),))
            for name in (f"{split}ium{number}" for number in range(count))
        )
"""


def test_words_that_the_models_tokenizer_does_not_know_are_said_by_plan_and_its_json(file: Path) -> None:
    pytest.importorskip("tokenizers")
    (file.parent / "own.py").write_text(ELEMENTS)
    plan = make_plan(resolve(file))
    (warning,) = plan.warnings
    assert re.match(r"\d\d% of the words of domain own are unknown to the tokenizer of model shipped \(", warning)
    assert "testium0" in warning
    assert plan.dump()["warnings"] == (warning,)
    screen = Console(width=300, record=True, file=io.StringIO())
    screen.print(plan_page(plan))
    assert f"warning: {warning}" in screen.export_text()


def test_words_that_the_model_knows_are_not_warned_of() -> None:
    pytest.importorskip("tokenizers")
    assert unknown_words(with_data(resolve(None))) == ()
