"""TRL's SFTTrainer and GRPOTrainer as arms beside SEAL on the shipped model: the scripts of ``examples/``, in a trial
that is killed in the middle of one of them and run on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the shipped model needs torch")
pytest.importorskip("peft", reason="the adapters are PEFT's")
pytest.importorskip("trl", reason="the trainers are TRL's: pip install 'netgain[trl]'")

from netgain.metering.verification import verify
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, Investment, read_rows

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIAL = """\
name: trl
model: shipped
domains: {people: {kind: people, style: plain}}
problems: {train: 2, development: 0, test: 1}
seeds: 1
budget: {per_problem: 4.0e+9, ladder: [1], deployments: 10}
tuning: {trials: 0}
arms:
  frozen: {method: frozen}
  seal: {method: seal, rounds: 1, split: 0.5, candidates: 2, repeats: 1}
  sft: {method: script, command: [python, killing.py, sft.py], reads: [sft.py]}
  grpo: {method: learning-script, command: [python, grpo.py], split: 0.5}
compare: {arm: seal, against: sft}
exam: {controls: 0, drift: 0}
"""
# Runs a script, whose third step kills the trial the first time.
KILLING = """\
import os, runpy, signal, sys
from pathlib import Path
from torch.optim.optimizer import register_optimizer_step_post_hook

folder = Path(__file__).parent
script, steps = folder / Path(sys.argv[1]).name, []

def kill(*_):
    steps.append(1)
    if len(steps) == 3:
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)

if not (folder / "killed").exists():
    register_optimizer_step_post_hook(kill)
sys.path.insert(0, str(folder))
runpy.run_path(str(script), run_name="__main__")
"""


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "netgain", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def ended(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.contract
@pytest.mark.timeout(1200)
def test_scripts_of_trl_are_arms_beside_seal_and_a_killed_trial_goes_on(tmp_path: Path) -> None:
    for script in ("sft-script/sft.py", "grpo-script/grpo.py"):
        shutil.copy(EXAMPLES / script, tmp_path)
    (tmp_path / "killing.py").write_text(textwrap.dedent(KILLING))
    (tmp_path / "trial.yaml").write_text(TRIAL)
    words = ("run", "trial.yaml", "--out", "out", "--jobs", "1", "-q")
    assert run(tmp_path, *words).returncode == -signal.SIGKILL
    assert ended(int((tmp_path / "killed").read_text()))  # the script went with the trial
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert run(tmp_path, "verify", "out").returncode == 0
    rows = read_rows(tmp_path / "out" / "samples.jsonl")
    adapted = {row.arm: row for row in rows if isinstance(row, Adaptation)}
    assert {row.error for row in rows if isinstance(row, Adaptation | Investment)} == {""}
    for arm in ("sft", "grpo"):
        row = adapted[arm]
        spent = row.spent[Purpose.ADAPT]
        assert row.budget is not None
        assert 0.5 * row.budget < spent["flops"] <= row.budget
        assert spent["updates"] >= 2
        assert not row.unmetered
        assert row.exposed == ()
    (invested,) = [row for row in rows if isinstance(row, Investment) and row.arm == "grpo"]
    assert invested.spent[Purpose.LEARN]["tokens_generated"] > 0
    assert invested.spent[Purpose.LEARN]["updates"] >= 1
    assert adapted["sft"].answers != adapted["frozen"].answers
    unit: dict[str, Any] = json.loads((tmp_path / "out" / "units" / "run-people-sft-0" / "unit.json").read_text())
    assert unit["attempts"] == 2
    assert unit["lost"]["spent"]["adapt"]["flops"] == 4e9  # what a killed run took nobody knows: its whole budget
    journal = verify(tmp_path / "out" / "units" / "run-people-sft-0" / "journal")
    beside = [one.cost.seconds or 0 for one in journal.charges if one.operation == "script" and one.useful]
    assert sum(beside) > 1  # the start of a process, which nobody's budget pays and everybody sees
