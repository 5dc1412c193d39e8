"""Weights that were changed in place are noticed, and the task in which it happened has failed."""

from pathlib import Path
from typing import Any

import pytest

from netgain.model import scripted
from netgain.trials.schedule import run_trial
from tests.model.conftest import save_model
from tests.trials import world


def test_a_fingerprint_is_that_of_the_weights_in_memory(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    door = pytest.importorskip("netgain.model.hugging_face")
    model: Any = door.load_model(save_model(tmp_path / "tiny"), device="cpu")
    before = model.fingerprint
    weights = model._Model__backend._loaded.model
    assert model.fingerprint == before
    with torch.no_grad():
        first = next(p for p in weights.parameters() if len(p.unique()) > 9).view(-1)[-2:]
        first[0], first[1] = first[1].clone(), first[0].clone()  # the same weights in another order
    assert model.fingerprint != before
    with torch.no_grad():
        first[0], first[1] = first[1].clone(), first[0].clone()
    assert model.fingerprint == before


def test_a_task_in_which_weights_changed_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def fingerprint(_: object) -> str:
        seen.append(1)
        return "as loaded" if len(seen) < 3 else "another"

    monkeypatch.setattr(scripted._Scripted, "fingerprint", property(fingerprint))
    arms = {"frozen": {"method": "frozen"}, "passage": {"method": "passage"}}
    spec = world.spec(arms, compare={"arm": "passage"}, seeds=1, tuning={"trials": 0})
    done = run_trial(world.resolved(spec), tmp_path, load=world.load, device="cpu")
    assert any("no longer those that were loaded" in reason for reason in done.failed.values())
