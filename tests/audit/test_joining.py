"""Several folders as one claim: who is who is said, in a line or on a card, and never guessed."""

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netgain.audit.audit import audit, read_claim, read_joined
from netgain.cli import app
from netgain.errors import InputError
from netgain.records.claim import Claim
from netgain.records.cost import Purpose

STAMP = "2026-01-21T03-44-18.458309"
SHARES = {"base": 0.3, "sft": 0.5, "grpo": 0.6}
CARD = """title: GRPO against SFT
headline: ours
rival: sft
frozen: base
arms:
  ours: {role: self_improving, folders: [grpo/run, grpo/evals]}
  sft: {folders: [sft]}
  base: {folders: [base]}
"""


def examined(folder: Path, share: float, task: str = "gsm8k") -> None:
    draw = random.Random(0)  # noqa: S311
    folder.mkdir(parents=True)
    right = [float(draw.random() < share) for _ in range(200)]
    results = {
        "results": {task: {"acc,none": sum(right) / 200}},
        "versions": {task: 1},
        "n-samples": {task: {"effective": 200}},
        "config": {"model_args": {"pretrained": str(folder)}},
    }
    (folder / f"results_{STAMP}.json").write_text(json.dumps(results))
    rows = [{"doc_hash": f"d{i}", "filter": "none", "acc": value} for i, value in enumerate(right)]
    (folder / f"samples_{task}_{STAMP}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def trained(folder: Path, steps: int) -> None:
    folder.mkdir(parents=True)
    state = {"global_step": steps, "max_steps": steps, "log_history": [{"step": steps, "num_tokens": 4000.0 * steps}]}
    (folder / "trainer_state.json").write_text(json.dumps(state))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three folders: the base model examined, two runs with what came of them."""
    monkeypatch.chdir(tmp_path)
    for name, share in SHARES.items():
        examined(tmp_path / name / "evals", share)
    trained(tmp_path / "sft" / "run", 300)
    trained(tmp_path / "grpo" / "run", 300)
    return tmp_path


def check(claim: Claim, treated: str) -> None:
    verdict = audit(claim)
    row = next(row for row in verdict.decomposition if row.arm == treated and row.currency == "updates")
    assert (row.budget_per_problem, row.rival, row.n_questions) == (300.0, "sft", 200)
    assert row.gap is not None
    assert row.method_part is not None
    assert verdict.stability  # flips against the frozen model
    assert verdict.comparisons[0].only_a is not None  # paired


def test_a_line_says_which_folder_is_treated_and_which_the_baseline(study: Path) -> None:
    assert study
    check(read_joined(["base", "sft/", "grpo"], treated="grpo", baseline="sft", frozen="base"), "grpo")


def test_an_arm_may_have_its_run_and_its_evaluations_in_two_folders(study: Path) -> None:
    line = ["base", "sft", "ours=grpo/run,grpo/evals"]
    check(read_joined(line, treated="ours", baseline="sft", frozen="base"), "ours")
    (study / "card.yaml").write_text(CARD)
    claim = read_claim(study / "card.yaml")
    assert claim.title == "GRPO against SFT"
    assert claim.arm("ours").role == "self_improving"
    check(claim, "ours")


def test_of_one_folder_with_several_models_the_line_says_who_is_who(study: Path) -> None:
    for name in ("sft", "grpo"):
        (study / name / "run" / "trainer_state.json").unlink()
    claim = read_joined(["."], treated=str(study / "grpo" / "evals"), baseline=str(study / "sft" / "evals"))
    assert claim.headline is not None
    assert audit(claim).comparisons[0].only_a is not None


def test_without_a_word_on_who_is_who_nobody_is_compared(study: Path) -> None:
    assert study
    claim = read_joined(["base", "sft", "grpo"])
    assert claim.headline is None
    assert "no headline arm" in audit(claim).headline.sentence


def test_of_several_runs_beside_an_evaluation_none_is_taken_for_the_one_examined(study: Path) -> None:
    trained(study / "sft" / "other", 100)
    claim = read_claim(study / "sft")
    assert "run-unknown" in {finding.check for finding in claim.findings}
    named = [arm for arm in claim.arms if arm.correct is not None]
    assert not [c for c in claim.charges if c.arm == named[0].name and c.purpose is not Purpose.EVALUATE]


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ({"treated": "gpro"}, "--treated gpro: is neither a folder nor an arm here; did you mean 'grpo'"),
        ({"baseline": "sft"}, "--baseline sft: needs --treated"),
        ({"treated": "grpo", "frozen": "sft"}, "--frozen sft: its files show a training run of 300 updates"),
        ({"treated": "grpo", "baseline": "other"}, "has nothing in the same setting"),
    ],
)
def test_what_cannot_be_joined_is_one_line(study: Path, who: dict[str, str], problem: str) -> None:
    examined(study / "other" / "evals", 0.5, task="arc")
    with pytest.raises(InputError, match=problem):
        read_joined(["base", "sft", "grpo", "other"], **who)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rival: sft", "rival: sff", r"card.yaml:3: rival = 'sff' is not one of the arms; did you mean 'sft'"),
        ("[base]", "[bass]", r"card.yaml:8: there is no folder .*bass"),
        ("folders: [sft]", "folders: []", r"card.yaml:7"),
    ],
)
def test_a_mistake_on_a_card_has_its_line(study: Path, old: str, new: str, problem: str) -> None:
    (study / "card.yaml").write_text(CARD.replace(old, new))
    with pytest.raises(InputError, match=problem):
        read_claim(study / "card.yaml")


def test_the_command_takes_several_folders(study: Path) -> None:
    assert study
    line = ["audit", "base", "sft", "grpo", "--treated", "grpo", "--baseline", "sft", "--frozen", "base", "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["headline"]["kind"] in ("nothing left", "method", "unmatched")
