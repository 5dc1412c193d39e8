"""What the doctor says is what a run would meet."""

import json
import tomllib
from pathlib import Path

import pytest

from netgain.cli import doctor_command as doctor
from netgain.cli import main

pytest.importorskip("torch", reason="the self-check needs torch")


def test_the_doctor_names_versions_checks_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", doctor.EXTRAS | {"new": (("no-such-package",), "what is not there")})
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert found["refusals"] == []
    assert found["missing"][-1] == "new: what is not there (pip install 'netgain[new]')"
    assert set(found["facts"]) == {"versions", "machine", "engine", "self-check"}
    assert all("of torch's profiler" in line for line in found["facts"]["self-check"])


def test_every_extra_of_the_package_is_one_that_the_doctor_knows() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert doctor.EXTRAS.keys() == project["optional-dependencies"].keys()


def test_a_price_that_is_off_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from netgain.model import selfcheck

    monkeypatch.setattr(selfcheck, "TOLERANCE", -1.0)
    found = doctor.examine(tmp_path)
    assert len(found.refusals) == 2
    assert "refuses: the meter with torch" in found.text()


def test_the_tested_versions_ship_with_the_package() -> None:
    tested = doctor.tested_versions()
    assert {"torch", "transformers", "peft", "trl", "numpy"} <= set(tested)
    assert not any("+" in number for number in tested.values())
