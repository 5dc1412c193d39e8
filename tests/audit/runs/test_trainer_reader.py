"""What a Trainer and TRL leave on disk: one run of what its files say together, and unknown where none says it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.audit.runs.spoiling import endures

from netgain.audit.audit import audit, find_readers, read_claim
from netgain.audit.runs.trainer_reader import TrainerReader
from netgain.records.claim import Claim
from netgain.records.cost import Cost

ROWS = [
    {"step": 10, "epoch": 0.5, "loss": 2.0, "grad_norm": 1.0, "learning_rate": 1e-4},
    {"step": 10, "epoch": 0.5, "eval_loss": 1.9, "eval_accuracy": 0.41, "eval_runtime": 1.0},
    {"step": 20, "epoch": 1.0, "loss": 1.0, "grad_norm": 1.0, "learning_rate": 5e-5},
    {"step": 20, "epoch": 1.0, "eval_loss": 1.5, "eval_accuracy": 0.55, "eval_runtime": 1.0},
    {"step": 30, "epoch": 1.5, "eval_loss": 1.7, "eval_accuracy": 0.40, "eval_runtime": 1.0},
    {"step": 30, "epoch": 1.5, "total_flos": 3e15, "train_loss": 1.4, "train_runtime": 120.0},
]
STATE: dict[str, Any] = {
    **{"global_step": 30, "max_steps": 30, "num_input_tokens_seen": 0, "total_flos": 3e15, "train_batch_size": 8},
    **{"best_model_checkpoint": None, "num_train_epochs": 2, "epoch": 1.5, "log_history": ROWS},
}
ADAPTER = {"base_model_name_or_path": "Qwen/Qwen2.5-0.5B", "r": 16, "lora_alpha": 32, "peft_type": "LORA"}
CARD = """---
base_model: Qwen/Qwen2.5-0.5B
datasets:
- gsm8k
---
# a run
- learning_rate: 0.0001
- seed: 42
- num_devices: 2
- gradient_accumulation_steps: 4
- num_epochs: 2.0
### Framework versions
- Datasets: 5.2.0
"""
GRPO: list[dict[str, Any]] = [
    {"step": s, "reward": 0.1 * s, "num_tokens": 500.0 * s, "frac_reward_zero_std": 0.5, "kl": 0.1, "entropy": 1.0}
    for s in range(1, 7)
]


def write(folder: Path, state: dict[str, Any] = STATE, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps(state))
    for name, value in more.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / (f"{name}.md" if name == "README" else f"{name}.json")).write_text(text)
    return folder


def cost(claim: Claim, name: str | None = None) -> Cost:
    return next(charge.cost for charge in claim.charges if name in (None, charge.arm))


def checks(claim: Claim) -> set[str]:
    return {finding.check for finding in claim.findings}


def test_the_files_beside_a_state_say_what_it_leaves_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", adapter_config=ADAPTER, README=CARD)
    claim = read_claim(folder)
    arm = claim.arms[0]
    assert (arm.model, arm.seeds, arm.accuracy) == ("Qwen/Qwen2.5-0.5B", 1, 0.40)
    assert arm.training is not None
    assert (arm.training.rank, arm.training.batch_size, arm.training.grad_accumulation) == (16, 8, 4)
    assert "seed 42, ranks 2, data gsm8k" in arm.sources[0].note
    assert cost(claim).updates == 30
    assert cost(claim).seconds == 240  # 120 s on two devices
    assert cost(claim).tokens_real is None  # a counter at 0 after 30 steps has counted nothing


def test_a_state_says_more_than_the_results_beside_it(tmp_path: Path) -> None:
    claim = read_claim(write(tmp_path / "sft", all_results={"train_runtime": 120.0, "epoch": 2.0}))
    assert [arm.name for arm in claim.arms] == ["sft"]
    assert cost(claim).updates == 30


def test_what_no_file_says_stays_unknown(tmp_path: Path) -> None:
    claim = read_claim(write(tmp_path / "run"))
    assert claim.arms[0].model == ""
    assert cost(claim).seconds is None
    assert "ranks-unknown" in checks(claim)
    assert claim.reported["training tokens"] is None
    assert claim.headline is None


def test_a_trainer_that_did_not_count_spent_an_unknown_number_of_flops(tmp_path: Path) -> None:
    log = [*GRPO, {"step": 6, "total_flos": 0.0, "train_runtime": 9.0}]
    state = STATE | {
        "total_flos": 0.0,
        "log_history": log,
        "global_step": 6,
        "max_steps": 6,
        "num_input_tokens_seen": 3000,
    }
    claim = read_claim(write(tmp_path / "grpo", state))
    assert cost(claim).flops is None
    assert cost(claim).tokens_real == 3000
    equal = next(f for f in claim.findings if f.check == "groups-without-signal")
    assert "in 50% of its groups" in equal.message
    assert "inside its 3,000 tokens" in equal.message


def test_flops_follow_from_the_models_shape_where_it_ships(tmp_path: Path) -> None:
    rows = [{"step": 6, "num_tokens": 1e6}]
    folder = write(tmp_path / "run", STATE | {"log_history": rows}, adapter_config=ADAPTER)
    charge = read_claim(folder).charges[0]
    assert charge.cost.flops == pytest.approx(4 * 494e6 * 1e6, rel=0.01)
    assert [currency.value for currency in charge.estimated] == ["flops"]


def test_a_count_with_or_without_padding_is_neither(tmp_path: Path) -> None:
    claim = read_claim(write(tmp_path / "run", STATE | {"num_input_tokens_seen": 4096}))
    assert (cost(claim).tokens_real, cost(claim).tokens_padded) == (None, None)
    assert "tokens-ambiguous" in checks(claim)


def test_a_peak_is_not_the_end(tmp_path: Path) -> None:
    found = {f.check: f for f in audit(read_claim(write(tmp_path / "run"))).findings}
    assert "55.0% at step 20, 40.0% at step 30" in found["peak-is-not-the-end"].message


def test_of_a_runs_checkpoints_the_last_counts_and_runs_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("sft", "grpo"):
        for step in (4, 8, 12):
            write(tmp_path / name / f"checkpoint-{step}", STATE | {"global_step": step, "log_history": ROWS[:1]})
    claim = read_claim(tmp_path)
    assert {arm.name for arm in claim.arms} == {"sft", "grpo"}
    assert cost(claim, "sft").updates == 12
    assert "run-unfinished" in checks(claim)


def test_a_pickle_beside_a_state_is_not_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    (folder / "training_args.bin").write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    claim = read_claim(folder)
    assert any("was not opened" in note for note in claim.notes)


def test_300_spoiled_variants_are_a_claim_or_one_line(tmp_path: Path) -> None:
    results = {"train_loss": 1.4, "train_runtime": 120.0, "total_flos": 3e15}
    write(tmp_path / "runs" / "a", adapter_config=ADAPTER, README=CARD, all_results=results)
    write(tmp_path / "runs" / "b", STATE | {"log_history": GRPO})
    endures(TrainerReader(), tmp_path / "runs", tmp_path)


def test_the_reader_knows_its_folders(tmp_path: Path) -> None:
    assert isinstance(find_readers(write(tmp_path / "run"))[0], TrainerReader)
    assert not TrainerReader().recognises(tmp_path / "nowhere")


def test_files_of_the_trainer_itself(tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=32, **shape))
    rows = [{"input_ids": torch.arange(8) + i, "labels": torch.arange(8) + i} for i in range(8)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=4,
        max_steps=3,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        include_num_input_tokens_seen="all",
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=rows)
    done = trainer.train()
    trainer.save_state()
    trainer.save_metrics("train", done.metrics)
    claim = read_claim(tmp_path / "out")
    assert cost(claim).updates == 3
    assert cost(claim).flops == trainer.state.total_flos > 0
    assert {"ranks-unknown", "tokens-ambiguous"} <= checks(claim)
