"""docs/methods.md: its examples run as they stand, and its tables name what is there."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netgain import methods
from netgain.extensions import find_method
from netgain.metering.account import Book
from netgain.model import Model
from netgain.records.cost import Currency

from .conftest import MATERIAL, by_purpose, finish, problem

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
MINE, CHOOSING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SMALL = {"rank": 4, "alpha": 8.0}


def example(folder: Path, source: str, name: str) -> Any:
    (folder / "mine.py").write_text(source, encoding="utf-8")
    return find_method(f"{folder / 'mine.py'}:{name}")


def test_the_first_example_is_short_and_fills_its_budget(tmp_path: Path, tiny: Model, make_desk: Any) -> None:
    assert len(MINE.splitlines()) <= 60
    method = example(tmp_path, MINE, "Mine")
    desk = make_desk(tiny, 1e8, "own")
    answerer = finish(method(method.Settings(**SMALL, edits=1)).adapt(desk, [MATERIAL], None))
    assert answerer.adapter is not None
    assert 0.99e8 <= desk.account.spent(Currency.FLOPS) <= 1e8


def test_the_example_that_learns_scores_itself_and_writes_in_what_it_learned(
    tmp_path: Path, tiny: Model, make_desk: Any, book: Book
) -> None:
    made = example(tmp_path, CHOOSING, "Choosing")
    method = made(made.Settings(**SMALL))
    desk = make_desk(tiny, 1e9, "learn")
    learned = finish(method.learn(desk, [problem(1), problem(2)]))
    assert learned in desk.prompts.formats
    assert {purpose.value for purpose in by_purpose(book)} == {"propose", "learn", "score"}
    assert finish(method.adapt(make_desk(tiny, 1e8, "adapt"), [MATERIAL], learned)).adapter is not None


def test_every_step_has_the_arguments_that_the_page_names() -> None:
    rows = re.findall(r"^\| `(\w+)\((desk|model|parts)(.*?)\)` \|", PAGE, re.MULTILINE)
    assert len(rows) >= 14
    for name, first, rest in rows:
        arguments = [first, *(part for part in rest.replace("*", "").split(", ") if part)]
        assert arguments == [*inspect.signature(vars(methods)[name]).parameters], name


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+)\([\w, *]*\)`", PAGE))))
def test_every_function_that_the_page_names_is_exported(name: str) -> None:
    assert name in methods.__all__


def test_what_methods_need_is_imported_without_torch() -> None:
    assert methods.__all__ == sorted(methods.__all__, key=lambda name: (name[0].islower(), name))
    code = "import sys, netgain.methods; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "peft"} & set(loaded)
