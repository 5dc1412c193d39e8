"""The README's Python runs as it stands there, on a small random model."""

import re
from pathlib import Path
from typing import Any

import pytest

from netgain.records.cost import Currency

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(code: str, **names: Any) -> dict[str, Any]:
    scope = dict(names)
    exec(compile(code, "README.md", "exec"), scope)  # noqa: S102 - our own README
    return scope


def test_the_audit_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    run(BLOCKS[0])
    said = capsys.readouterr().out
    assert "SEAL implications R2 gains +13.7 [+9.0, +18.2] points over the frozen model, but no" in said
    assert Path("page.html").is_file()


def test_a_model_on_the_books(llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope = run(BLOCKS[1].replace("path/to/model", str(llama)))
    assert len(scope["trained"]) == 8
    assert "80.0 updates" in capsys.readouterr().out


def test_a_script_of_ones_own_on_the_books(llama: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train(model: Any) -> None:
        tokens = torch.arange(3, 11)[None]
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()

    scope = run(BLOCKS[2], model=model, train=train)
    assert scope["account"].spent(Currency.UPDATES) == 1
