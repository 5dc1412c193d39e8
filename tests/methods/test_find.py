"""A method is found by its name or in a user's file; what is wrong is said with the nearest valid word."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError
from netgain.methods.find import BUILT_IN, GROUP, find_method, load_file, names
from netgain.methods.method import Method
from netgain.model import Model
from netgain.records.claim import Role
from netgain.records.cost import Currency

from .conftest import MATERIAL, finish

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_method_is_found_and_its_presets_are_settings(name: str) -> None:
    method = find_method(name)
    assert issubclass(method, Method)
    assert isinstance(method.role, Role)
    assert isinstance(method().settings, method.Settings)
    for values in method.presets.values():
        settings = method.Settings.model_validate(values)
        assert {field: getattr(settings, field) for field in values} == values
    for field, choices in method.Settings.search.items():
        for choice in choices:
            method.Settings.model_validate({field: choice})


def test_the_built_in_methods_are_registered_as_everybody_elses_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"][GROUP] == BUILT_IN
    assert set(BUILT_IN) <= set(names())


def test_a_name_may_be_written_with_underscores() -> None:
    assert find_method("in_context") is find_method("in-context")


def test_a_wrong_word_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'finetune'"):
        find_method("fine-tune")


def test_the_example_of_a_users_own_method_is_short_and_fills_its_budget(tiny: Model, make_desk: Any) -> None:
    file = ROOT / "examples" / "method_shuffled.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60
    method = load_file(f"{file}:Shuffled")
    settings = method.Settings.model_validate({**method.presets["many"], "rank": 4, "alpha": 8})
    assert settings.orders == 32
    desk = make_desk(tiny, 1e8, "own")
    answerer = finish(method(settings).adapt(desk, [MATERIAL], None))
    assert answerer.adapter is not None
    assert 0.99e8 <= desk.account.spent(Currency.FLOPS) <= 1e8


@pytest.mark.parametrize(
    ("text", "wanted", "problem"),
    [
        ("x = 1", "Mine", "has no class 'Mine'"),
        ("Mine = 3", "Mine", "is no netgain Method"),
        ("import nothing_of_the_kind", "Mine", "cannot be run: ModuleNotFoundError"),
        ("from netgain.methods.method import Method\nclass Mine(Method): pass", "Mine", "does not fill in adapt"),
        ("from netgain.methods.baselines import Frozen as Mien", "Mine", "did you mean 'Mien'"),
    ],
)
def test_what_is_wrong_with_a_users_file_is_said(tmp_path: Path, text: str, wanted: str, problem: str) -> None:
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        find_method(f"{tmp_path}/own.py:{wanted}")
    with pytest.raises(InputError, match="there is no such file"):
        find_method(f"{tmp_path}/other.py:{wanted}")


def test_a_file_that_ends_the_program_is_an_error(tmp_path: Path) -> None:
    """Otherwise the command would end at once, without a word, as if all had gone well."""
    (tmp_path / "m.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(InputError, match="SystemExit"):
        load_file(f"{tmp_path / 'm.py'}:Mine")


def test_a_method_without_a_role_is_refused(tmp_path: Path) -> None:
    text = "from netgain.methods.method import Method\nclass Mine(Method):\n    def adapt(self, *_): ..."
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="has no role"):
        find_method(f"{tmp_path}/own.py:Mine")


def test_every_method_has_a_row_in_the_documentation() -> None:
    rows = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").splitlines()
    named = {row.split("`")[1] for row in rows if row.startswith("| `")}
    assert set(BUILT_IN) <= named
