"""Methods, domains and readers are found alike: by name, by entry point, or in a file; what is wrong is said."""

import inspect
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from netgain import extensions
from netgain.domains import Domain
from netgain.domains.squad import Squad
from netgain.errors import InputError
from netgain.extensions import (
    BUILT_IN,
    FORMS,
    Kind,
    find,
    find_domain,
    find_method,
    names,
    relative_to,
    said_by,
    source_digest,
    where_raised,
)
from netgain.records.claim import Role

KINDS: tuple[Kind, ...] = ("method", "domain", "reader")
DOMAIN = "from netgain.domains import Domain\nclass Mine(Domain):\n    def problems(self, split, count, seed): ..."
READER = """
from netgain.audit import Reader
class Mine(Reader):
    def recognises(self, folder): ...
    def read(self, folder, tokens): ...
"""
METHOD = """
from netgain.methods.method import Method
from netgain.records.claim import Role
class Mine(Method):
    role = Role.OTHER
    def adapt(self, desk, materials, learned): ...
"""
OWN = {"domain": DOMAIN, "reader": READER, "method": METHOD}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in BUILT_IN[kind]])
def test_everything_that_ships_is_found_and_fills_in_its_form(kind: Kind, name: str) -> None:
    found = find(kind, name)
    assert found.__name__ == BUILT_IN[kind][name].partition(":")[2]
    assert FORMS[kind].partition(":")[2] in {base.__name__ for base in found.__mro__}
    assert source_digest(found) == ""
    assert (inspect.getdoc(found) or "").strip()


@pytest.mark.parametrize("name", sorted(BUILT_IN["method"]))
def test_presets_and_searched_values_are_settings(name: str) -> None:
    method = find_method(name)
    if name == "settings-search":
        pytest.importorskip("optuna", reason="one of its presets samples by Optuna: pip install 'netgain[optuna]'")
    assert isinstance(method.role, Role)
    assert isinstance(method().settings, method.Settings)
    for values in method.presets.values():
        settings = method.Settings.model_validate(values)
        assert {field: getattr(settings, field) for field in values} == values
    for field, choices in method.Settings.search.items():
        for choice in choices:
            method.Settings.model_validate({field: choice})


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_ones_own_is_found_relative_to_the_folder_that_names_it(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN[kind])
    found = find(kind, "own.py:Mine", tmp_path)
    assert found.__name__ == "Mine"
    assert find(kind, f"{tmp_path}/own.py:Mine").__module__ == found.__module__
    before = source_digest(found)
    (tmp_path / "own.py").write_text(OWN[kind] + "\n# changed")
    assert before
    assert source_digest(find(kind, "own.py:Mine", tmp_path)) != before
    with pytest.raises(InputError, match="there is no file"):
        find(kind, "own.py:Mine", tmp_path / "elsewhere")


def test_an_option_is_written_as_in_the_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_to("own.py:Mine", tmp_path) == "own.py:Mine"
    assert relative_to("own.py:Mine", tmp_path / "trials") == f"{tmp_path}/own.py:Mine"
    assert relative_to("seal", tmp_path) == "seal"


def test_installed_packages_are_found_by_their_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("theirs", "netgain.domains.squad:Squad", "netgain.domains"),
        EntryPoint("broken", "netgain.domains.squad:Sqaud", "netgain.domains"),
        EntryPoint("absent", "netgain.domains.nowhere:Squad", "netgain.domains"),
        EntryPoint("bare", "netgain.domains.reading:Shares", "netgain.domains"),
    ]
    monkeypatch.setattr(extensions, "entry_points", lambda **wanted: EntryPoints(entries).select(**wanted))
    assert find_domain("theirs") is Squad
    assert {"theirs", "squad"} <= set(names("domain"))
    for name, problem in (
        ("broken", "has no class 'Sqaud'.*did you mean 'Squad'"),
        ("absent", "cannot be imported"),
        ("bare", "is not a netgain Domain.*derive it from netgain.domains.Domain"),
    ):
        with pytest.raises(InputError, match=problem):
            find_domain(name)


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [("method", "fine-tune", "finetune"), ("domain", "squat", "squad"), ("reader", "sea", "seal")],
)
def test_a_mistyped_name_is_answered_with_the_nearest(kind: Kind, name: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"did you mean '{nearest}'"):
        find(kind, name)


def test_a_name_may_be_written_with_underscores() -> None:
    assert find_method("in_context") is find_method("in-context")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "has no class 'Mine'"),
        ("Mine = 3", "Mine is not a netgain Method"),
        ("import nothing_of_the_kind", "cannot be run: ModuleNotFoundError"),
        ("raise SystemExit(0)", "SystemExit"),  # else the command would end as if all had gone well
        ("from netgain.methods.method import Method\nclass Mine(Method): pass", "does not define adapt"),
        (METHOD.replace("    role = Role.OTHER\n", ""), "does not set role"),
        (METHOD.replace("class Mine", "class Mien"), "did you mean 'Mien'"),
        (METHOD.replace("class Mine", "class Other"), "has no class 'Mine'; valid: Other$"),
    ],
)
def test_what_is_wrong_with_a_users_file_is_said(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        find_method("own.py:Mine", tmp_path)


def test_a_mistake_in_a_users_class_is_traced_to_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(DOMAIN.replace(": ...", ":\n        return tuple(map(float.fromhex, 'xy'))"))
    mine = find_domain("own.py:Mine", tmp_path)
    with pytest.raises(ValueError, match="hexadecimal") as raised:
        mine().problems("test", 1, 0)
    assert where_raised(raised.value, mine) == f"{tmp_path / 'own.py'}:4"
    assert said_by(raised.value).startswith("ValueError: invalid hexadecimal")


def test_a_domain_needs_its_problems_only(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(DOMAIN)
    domain: Any = find_domain("own.py:Mine", tmp_path)()
    assert isinstance(domain, Domain)
    assert domain.controls(4, 0) == ()
    assert domain.settings == domain.Settings()
