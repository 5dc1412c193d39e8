"""Real runs of TRL under the meter: charged what the profiler sees; what a killed run spent stays spent."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
peft = pytest.importorskip("peft", reason="the adapters are PEFT's")
trl = pytest.importorskip("trl", reason="the trainers are TRL's: pip install trl")

import datasets  # noqa: E402
import transformers  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import netgain  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT  # noqa: E402
from netgain.metering.verification import verify  # noqa: E402
from netgain.records.cost import Cost, Purpose  # noqa: E402
from tests.profiled import EXACT  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
TEXTS = ["The river is wide.", "A market by the river", "boats", "Seven boats went by the old market place."]
COMMON = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_steps": 1, "save_strategy": "no"}


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("trl", arm="grpo", seed=0, limit=Cost(flops=1e13)).under(Purpose.LEARN)


def sft(folder: Path, out: Path, callbacks: list[Any], config: Any = None, **settings: Any) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    wanted = {"max_steps": 3, "per_device_train_batch_size": 2, "max_length": 32, "bf16": False} | COMMON | settings
    return trl.SFTTrainer(
        model,
        trl.SFTConfig(str(out), **wanted),
        train_dataset=datasets.Dataset.from_dict({"text": TEXTS}),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder),
        peft_config=config,
        callbacks=callbacks,
    )


def grpo(folder: Path, out: Path, callbacks: list[Any], config: Any = None, **settings: Any) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    wanted = {"max_steps": 3, "per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 6}
    wanted |= {"bf16": False, "temperature": 1.0}
    return trl.GRPOTrainer(
        model,
        reward_funcs=lambda completions, **_: [float(len(set(text))) for text in completions],
        args=trl.GRPOConfig(str(out), **wanted | COMMON | settings),
        train_dataset=datasets.Dataset.from_dict({"prompt": TEXTS}),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder, padding_side="left"),
        peft_config=config,
        callbacks=callbacks,
    )


def lora() -> Any:
    return peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def passes(book: Book, trainer: Any) -> float:
    """FLOPs in the book without the optimizer's, which the profiler does not see."""
    weights = sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad)
    steps = sum(charge.cost.updates or 0 for charge in book.charges())
    assert steps == trainer.state.global_step
    total = sum(charge.cost.flops or 0 for charge in book.charges())
    return total - steps * OPTIMIZER_FLOPS_PER_WEIGHT * weights


def profiler() -> Any:
    """The profiler, taught one more product: as it comes, it overlooks the in-place one that TRL's output head uses."""

    def flops(_: Any, left: Any, right: Any, *__: Any, **___: Any) -> int:
        return int(2 * left[0] * left[1] * right[1])

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops})


RUNS: dict[str, tuple[Callable[..., Any], bool, dict[str, Any]]] = {
    "sft full": (sft, False, {"gradient_checkpointing": False}),
    "sft lora": (sft, True, {"gradient_checkpointing": False}),
    "sft lora checkpointed": (sft, True, {"gradient_checkpointing": True}),
    "sft full checkpointed accumulated": (sft, False, {"gradient_accumulation_steps": 2}),
    "grpo full": (grpo, False, {"gradient_checkpointing": False}),
    "grpo lora": (grpo, True, {"gradient_checkpointing": False}),
    "grpo lora reference": (grpo, True, {"beta": 0.1, "num_iterations": 2, "max_steps": 4}),
}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_trl_is_charged_what_the_profiler_sees(
    run: str, llama: Path, book: Book, account: Account, tmp_path: Path
) -> None:
    build, adapted, settings = RUNS[run]
    trainer = build(llama, tmp_path / "out", [netgain.MeterCallback(account)], lora() if adapted else None, **settings)
    with profiler() as counter:
        trainer.train()
    assert passes(book, trainer) == pytest.approx(counter.get_total_flops(), rel=EXACT)
    charges = book.charges()
    assert all(charge.outcome == "completed" for charge in charges)
    assert all((charge.cost.flops or 0) <= (charge.quote.flops or 0) * (1 + 1e-9) for charge in charges)
    assert sum(charge.cost.tokens_training or 0 for charge in charges) > 0
    if build is grpo:
        generated = [charge.cost.tokens_generated or 0 for charge in charges if charge.operation == "generate"]
        assert generated
        assert all(4 <= count <= 24 for count in generated)


def test_the_context_manager_charges_a_trainer_of_trl_too(
    llama: Path, book: Book, account: Account, tmp_path: Path
) -> None:
    trainer = sft(llama, tmp_path / "out", [], lora())
    with profiler() as counter, netgain.meter(trainer.model, account):
        trainer.train()
        trainer.evaluate(trainer.train_dataset)
    assert passes(book, trainer) == pytest.approx(counter.get_total_flops(), rel=EXACT)


PROGRAM = textwrap.dedent("""
    import os, signal, sys, datasets, torch, transformers, trl, netgain
    from netgain import Book, Purpose
    kind, folder, out, how = sys.argv[1:5]
    class Kill(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **named):
            if how == "kill" and state.global_step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    common = dict(max_steps=5, save_steps=2, use_cpu=True, bf16=False, report_to="none", logging_steps=1)
    with Book.open(out + ".journal") as book:
        account = book.account("loop", limit=netgain.Cost(flops=1e13)).under(Purpose.LEARN)
        callbacks = [netgain.MeterCallback(account), Kill()]
        if kind == "sft":
            data = datasets.Dataset.from_dict({"text": ["The river is wide."] * 8})
            settings = trl.SFTConfig(out, per_device_train_batch_size=2, **common)
            trainer = trl.SFTTrainer(
                model, settings, train_dataset=data, processing_class=tokenizer, callbacks=callbacks)
        else:
            data = datasets.Dataset.from_dict({"prompt": ["The river"] * 8})
            settings = trl.GRPOConfig(
                out, per_device_train_batch_size=4, num_generations=4, max_completion_length=6, **common)
            reward = lambda completions, **_: [float(len(set(text))) for text in completions]
            trainer = trl.GRPOTrainer(model, reward_funcs=reward, args=settings, train_dataset=data,
                processing_class=tokenizer, callbacks=callbacks)
        trainer.train(resume_from_checkpoint=how == "resume")
        print("TOTAL", trainer.state.total_flos)
""")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_what_a_killed_run_of_trl_spent_stays_spent_and_a_resumed_one_adds_to_it(
    kind: str, llama: Path, tmp_path: Path
) -> None:
    def run(how: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", PROGRAM, kind, str(llama), str(tmp_path / "out"), how]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)  # noqa: PLW1510

    assert run("kill").returncode == -signal.SIGKILL
    killed = verify(tmp_path / "out.journal")
    assert (killed.ok, killed.totals.at_least.updates) == (True, 3)
    resumed_run = run("resume")
    assert resumed_run.returncode == 0, resumed_run.stderr[-2000:]
    resumed = verify(tmp_path / "out.journal")
    assert (resumed.ok, resumed.totals.at_least.updates) == (True, 3 + 3)  # 1 to 3, then 3 to 5 from checkpoint 2
    spent = resumed.totals.at_least.flops or 0
    assert spent > 1.5 * (killed.totals.at_least.flops or 0)
    if kind == "grpo":
        assert "TOTAL 0" in resumed_run.stdout  # what TRL itself has booked for all of it
        operations = {charge.operation for charge in resumed.charges}
        assert operations >= {"train", "generate"}
