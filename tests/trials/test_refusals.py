"""What a run could only fail at is refused by plan and by run alike, in the same words, before anything is spent."""

import contextlib
import json
import pickle
import re
import shutil
from pathlib import Path

import pytest

from netgain.errors import InputError
from netgain.trials.executor import load_model
from netgain.trials.plan import check_before, make_plan
from netgain.trials.resolve import SHIPPED_FOLDER, resolve, with_data

TRIAL = """\
name: mine
model: shipped
domains:
  people: {kind: people}
problems: {train: 8, development: 4, test: 12}
budget: {per_problem: 8.0e+9, ladder: [1]}
arms:
  frozen: {method: frozen}
  passage: {method: finetune, rank: 8}
  seal: {method: seal, format: self-qa, rounds: 1}
compare: {arm: seal}
"""
CASES = [
    ("per_problem: 8.0e+9", "per_problem: 1.0e+6", "does not pay for even one context of a round"),
    *(
        (
            "seal: {method: seal, format: self-qa, rounds: 1}",
            f"seal: {{method: {method}, format: self-qa, rounds: 11}}",
            "does not pay for even one context of a round",
        )
        for method in ("grpo", "rloo", "ppo")
    ),
    ("seal: {method: seal,", "seal: {method: teacher}\n  other: {method: seal,", "this trial has none"),
    (
        "budget: {per_problem: 8.0e+9, ladder: [1]}\narms:",
        "budget: {per_problem: 1.0e+6, ladder: [1]}\narms:\n  rl: {method: rl-conventional}",
        "does not pay for even one question of a step",
    ),
    ("format: self-qa", "format: riddles", "is no edit format"),
    ("arms:", "tuning: {trials: 2, knobs: {format: [self-qa, riddles]}}\narms:", "is no edit format"),
    (
        "seal: {method: seal,",
        "seal: {method: teacher, teacher_format: riddles}\n  other: {method: seal,",
        "is no edit format",
    ),
    ("compare:", "exam: {at: [1, 2], text: prose}\ncompare:", "level 2 is not on the ladder [1]"),
    ("rank: 8", "target_modules: [q_prj]", "did you mean 'q_proj'?"),
    ("model: shipped", "model: ../nowhere/at/all", "there is no such folder"),
    ("compare:", "teacher: somebody\ncompare:", "write oracle, or a mapping with model"),
    ("compare:", "teacher: {folder: x}\ncompare:", "names no model"),
    ("rounds: 1", "rounds: 1, reward: rubric", "a judge rates the edits, and this trial has none"),
    ("arms:", "tuning: {trials: 2, knobs: {reward: [exam, rubric]}}\narms:", "a judge rates the edits"),
    (
        "rounds: 1}",
        "rounds: 1, reward: rubric}\njudge: {url: 'http://127.0.0.1:1/v1', model: m}",
        "nobody says what this server's takes in FLOPs",
    ),
    ("rounds: 1", "rounds: 1, reward: own-questions, asking: rewrite", "cut into questions with answers"),
    ("rounds: 1", "rounds: 1, reward: own-questions, asking: riddles", "cut into questions with answers"),
]

TRUST = "a model's own code is run only where the command line says so, with --trust-remote-code"
CODE = """\
import pathlib
from transformers import LlamaConfig, LlamaForCausalLM

class Config(LlamaConfig):  # of its own: transformers marks the classes that a model brings
    pass

class LM(LlamaForCausalLM):
    config_class = Config

pathlib.Path({ran!r}).touch()
"""

pytestmark = pytest.mark.skipif(not SHIPPED_FOLDER.is_dir(), reason="needs the shipped model")


@pytest.mark.parametrize(("old", "new", "words"), CASES)
def test_plan_and_run_refuse_alike(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TRIAL
    file = tmp_path / "trial.yaml"
    file.write_text(TRIAL.replace(old, new, 1))
    said = []
    for ask in (lambda: make_plan(resolve(file), "cpu"), lambda: check_before(with_data(resolve(file)))):
        with pytest.raises(InputError) as caught:
            ask()
        said.append(str(caught.value))
    assert words in said[0]
    assert said[0] == said[1]


@pytest.mark.parametrize("rounds", [1, 11])
def test_a_trial_that_can_be_run_is_refused_by_neither(tmp_path: Path, rounds: int) -> None:
    """Nor is one whose rounds pay for an edit and its reward, which is too little for a group that is compared."""
    file = tmp_path / "trial.yaml"
    file.write_text(TRIAL.replace("rounds: 1", f"rounds: {rounds}"))
    check_before(with_data(resolve(file)))
    assert make_plan(resolve(file), "cpu").hours > 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("trust_remote_code: true", f"the trial sets trust_remote_code: {TRUST}"),
        ("teacher: {model: x, trust_remote_code: true}", f"teacher sets trust_remote_code: {TRUST}"),
        ("judge: {model: x, trust_remote_code: false}", f"judge sets trust_remote_code: {TRUST}"),
        ("teacher: {model: x, allow_pickle: true}", "teacher sets allow_pickle: pickled weights can run code"),
    ],
)
def test_no_file_can_consent_to_a_models_own_code(tmp_path: Path, fields: str, said: str) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(f"{TRIAL}{fields}\n")
    with pytest.raises(InputError, match=re.escape(said)):
        resolve(file)


def test_a_models_own_code_runs_with_the_consent_of_the_command_line_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    model, ran, file = tmp_path / "m", tmp_path / "ran", tmp_path / "trial.yaml"
    shutil.copytree(SHIPPED_FOLDER, model)
    config = json.loads((model / "config.json").read_text())
    own = {"model_type": "homemade", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.LM"}}
    (model / "config.json").write_text(json.dumps(config | own))
    (model / "own.py").write_text(CODE.format(ran=str(ran)))
    file.write_text(TRIAL.replace("model: shipped", "model: m"))
    with pytest.raises(InputError, match=r"own code, which is not run.*--trust-remote-code"):
        load_model(resolve(file), "cpu")
    assert not ran.exists()
    trial = resolve(file, trust_remote_code=True)
    with contextlib.suppress(InputError):  # what the code makes of the model is its own affair
        load_model(pickle.loads(pickle.dumps(trial)), "cpu")  # noqa: S301 - as a worker gets it
    assert ran.exists()


@pytest.mark.parametrize(
    ("domain", "arm", "words"),
    [
        ("people", "{method: synthetic, constrained: true}", "edits of text have no form"),
        ("grids", "{method: grpo, format: settings, constrained: true}", "a policy gradient weighs its edits"),
    ],
)
def test_edits_are_held_to_a_schema_where_they_have_one_and_their_chances_are_not_needed(
    tmp_path: Path, domain: str, arm: str, words: str
) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(
        f"name: held\ndomains: {{mine: {{kind: {domain}}}}}\nproblems: {{train: 2, development: 0, test: 2}}\n"
        f"tuning: {{trials: 0}}\nbudget: {{per_problem: 1.0e+12}}\narms: {{frozen: {{method: frozen}}, held: {arm}}}\n"
        f"compare: {{arm: held, against: frozen, exam: {'knowledge' if domain == 'people' else 'held-out'}}}\n"
    )
    with pytest.raises(InputError, match=words):
        check_before(with_data(resolve(file)))
