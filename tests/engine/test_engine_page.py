"""The page about the engine: its example runs as it stands, and its names are there."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="the engine needs transformers")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, object] = {}
    exec(compile(code, "docs/engine.md", "exec"), scope)  # noqa: S102 - our own page
    assert sorted(path.name for path in (tmp_path / "adapters").iterdir()) == ["ada", "bob"]
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_its_names_are_public() -> None:
    from netgain import engine

    named = {
        name for row in PAGE.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named <= set(engine.__all__)
