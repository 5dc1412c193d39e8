"""`netgain run` as a user meets it: killed, it goes on; with a method of one's own; on several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netgain import run as run_trial
from netgain.analysis.verdict import Verdict
from netgain.records.samples import Adaptation, read_rows
from tests.command_line import netgain

pytest.importorskip("torch", reason="the models need torch")

TRIAL = """\
name: small
model: {model}
domains:
  plain: {{kind: people, style: plain}}
problems: {{train: 2, development: 1, test: 3}}
seeds: 2
budget: {{per_problem: 1.0e+8, ladder: [0.5, 1, 2]}}
tuning: {{trials: 2}}
arms:
  frozen: {{method: frozen}}
  passage: {{method: finetune, rank: 4}}
compare: {{arm: passage, against: frozen}}
exam: {{controls: 1, drift: 1, stream: 2}}
"""
OWN = """\
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Inner, fit
from netgain.methods.method import Method
from netgain.records.claim import Role


class Backwards(Method):
    role = Role.OTHER
    Settings = Inner

    def adapt(self, desk, materials, learned):
        texts = [" ".join(reversed(material.text.split())) for material in materials]
        return (yield from fit(desk, texts, self.settings))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.model.conftest import save_model

    place = tmp_path_factory.mktemp("trial")
    save_model(place / "model", max_position_embeddings=1024)
    (place / "trial.yaml").write_text(TRIAL.format(model=place / "model"))
    (place / "own.py").write_text(OWN)
    return place


def test_a_killed_run_goes_on_on_several_processes_to_the_same_bytes(folder: Path) -> None:
    assert netgain("run", "trial.yaml", "--out", "whole", "--jobs", "1", cwd=folder).returncode == 0
    command = [sys.executable, "-m", "netgain", "run", "trial.yaml", "--out", "cut", "--jobs", "2"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list(folder.glob("cut/units/run-*/journal")) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    time.sleep(1)
    done = netgain("run", "trial.yaml", "--out", "cut", "--jobs", "2", cwd=folder)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    for name in ("samples.jsonl", "spec.lock.yaml"):
        assert (folder / "whole" / name).read_bytes() == (folder / "cut" / name).read_bytes()
    whole, cut = (json.loads((folder / name / "verdict.json").read_bytes()) for name in ("whole", "cut"))
    assert cut["setup"].pop("history") != whole["setup"].pop("history")  # that it was cut is told
    for one, other in zip(cut.pop("card"), whole.pop("card"), strict=True):  # and what that took, which is lost work
        lost = one["spent"].pop("cut off")
        assert not other["spent"].pop("cut off").get("flops")
        assert one["spent"] == other["spent"]
        assert one["total"]["flops"] == pytest.approx(other["total"]["flops"] + lost.get("flops", 0.0))
    assert cut == whole
    verified = netgain("verify", "cut", cwd=folder)
    assert verified.returncode == 0
    assert verified.stdout.count("verified: ") == 6 + 2  # the history, and the record as a whole
    assert netgain("pack", "cut", "--out", "kept", cwd=folder).returncode == 0
    kept = netgain("verify", "kept", cwd=folder)
    assert (kept.returncode, kept.stdout.count("verified: ")) == (0, 8)
    assert netgain("report", "kept", "-q", cwd=folder).returncode == 0
    assert (folder / "kept" / "verdict.json").read_bytes() == (folder / "cut" / "verdict.json").read_bytes()
    (folder / "kept" / "verdict.json").write_text("{}")
    lying = netgain("verify", "kept", cwd=folder)
    assert (lying.returncode, lying.stdout.splitlines()[-1]) == (
        1,
        "kept: not verified: verdict.json: is not the verdict that the records give",
    )


def test_a_users_own_method_is_an_arm_more_and_its_budget_is_filled(folder: Path) -> None:
    done = netgain("run", "trial.yaml", "--out", "own", "--jobs", "1", "--method", "own.py:Backwards", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = [row for row in read_rows(folder / "own" / "samples.jsonl") if isinstance(row, Adaptation)]
    for row in rows:
        spent = sum(amounts["flops"] for amounts in row.spent.values())
        assert row.status == "ok"
        assert row.budget is not None
        assert spent <= row.budget
        assert row.arm == "frozen" or spent >= 0.99 * row.budget
    assert {row.arm for row in rows} == {"frozen", "passage", "backwards"}
    changed = (folder / "own.py").read_text().replace("reversed", "sorted")
    (folder / "own.py").write_text(changed)
    refused = netgain("run", "trial.yaml", "--out", "own", "--method", "own.py:Backwards", cwd=folder)
    assert (refused.returncode, "arms.backwards.source" in refused.stderr) == (2, True)


def test_a_report_is_made_again_from_the_records(folder: Path) -> None:
    netgain("run", "trial.yaml", "--out", "whole", "--jobs", "1", "-q", cwd=folder)
    page = (folder / "whole" / "report.html").read_bytes()
    (folder / "whole" / "report.html").unlink()
    assert netgain("report", "whole", "-q", cwd=folder).returncode == 0
    assert (folder / "whole" / "report.html").read_bytes() == page
    assert netgain("report", "nowhere", cwd=folder).returncode == 2


def test_a_plan_prints_what_it_takes(folder: Path) -> None:
    done = netgain("plan", "trial.yaml", "--device", "H100", cwd=folder)
    assert done.returncode == 0
    assert "figures and intervals, no verdict: 2 seeds cannot show the luck of training" in done.stdout
    enough = netgain("plan", "trial.yaml", "--set", "seeds=3", "--set", "problems.test=12", cwd=folder).stdout
    assert "smallest that is found four times in five" in enough
    assert '"estimated_total"' in netgain("plan", "trial.yaml", "--json", cwd=folder).stdout


def test_python_goes_on_where_the_command_line_was(folder: Path) -> None:
    netgain("run", "trial.yaml", "--out", "whole", "--jobs", "1", "-q", cwd=folder)
    result = run_trial(folder / "trial.yaml", out=folder / "whole", jobs=1)
    assert result.failed == {}
    assert result.verdict == Verdict.model_validate_json((folder / "whole" / "verdict.json").read_bytes())
