"""A domain is found by its kind, and a mistyped kind or setting is answered with the nearest that there is."""

import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from netgain.domains import find
from netgain.domains.find import find_domain, make_domain
from netgain.domains.passages import Passages
from netgain.domains.squad import Squad
from netgain.errors import InputError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
TABLE: dict[str, str] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][find.GROUP]


@pytest.fixture(autouse=True)
def _as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry points that the project declares, also where an older one is installed."""
    extra = {"broken": "netgain.domains.squad:Sqaud", "bare": "netgain.domains.splits:Shares"}
    entries = [EntryPoint(name, value, find.GROUP) for name, value in (TABLE | extra).items()]

    def declared(**wanted: Any) -> EntryPoints:
        return EntryPoints(entries).select(**wanted)

    monkeypatch.setattr(find, "entry_points", declared)


def test_every_declared_domain_loads_and_has_settings() -> None:
    assert {"squad", "passages"} <= set(TABLE)
    for kind in TABLE:
        assert find_domain(kind).Settings is not None
    assert find_domain("squad") is Squad


def test_a_mistyped_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'squad'"):
        find_domain("squat")


def test_a_domain_that_cannot_be_loaded_or_has_no_settings_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        find_domain("broken")
    with pytest.raises(InputError, match="has no Settings"):
        find_domain("bare")


def test_a_domain_is_made_with_paths_relative_to_its_trial(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(
        '{"title": "A", "text": "B", "questions": [{"question": "C", "answers": ["D"]}]}'
    )
    domain = make_domain("passages", {"path": "mine.jsonl"}, base=tmp_path)
    assert isinstance(domain, Passages)
    assert domain.name == "passages"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "a", "order_sed": 1}, "trial.yaml:7: unknown setting 'order_sed'; did you mean 'order_seed'"),
        ({"path": "a", "order": "seals"}, "trial.yaml:7: order = 'seals': Input should be 'titles' or 'seal'"),
        ({}, "trial.yaml:7: give either path"),
        ({"path": "a", "shares": {"train": 2}}, "trial.yaml:7: shares.train = 2: Input should be less than or equal"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_named_with_its_place(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        make_domain("squad", settings, where="trial.yaml:7")
    assert str(raised.value).startswith(message)
