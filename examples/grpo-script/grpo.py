"""TRL's GRPOTrainer as an arm of a trial: it learns once to answer training questions, then adapts to each passage.

The same script does both: the trial starts it with the stage ``learn`` before all problems, and with ``adapt`` for each
of them, on the model that came of the first.
"""

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

import netgain

task = netgain.task()  # before anything is trained: what trains off the meter is noticed from here on
torch.use_deterministic_algorithms(mode=True)
tokenizer = AutoTokenizer.from_pretrained(task.model, padding_side="left")
common: dict[str, Any] = {
    "max_steps": 100_000,  # the budget ends the training
    "lr_scheduler_type": "constant",
    "gradient_checkpointing": False,
    "bf16": False,
    "seed": task.seed,
    "use_cpu": not torch.cuda.is_available(),
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
shared: dict[str, Any] = {
    "model": AutoModelForCausalLM.from_pretrained(task.model, dtype=task.dtype),
    "processing_class": tokenizer,
    "peft_config": LoraConfig(r=32, lora_alpha=64, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
}


def right(completions: Sequence[str], answer: Sequence[str], **_: Any) -> list[float]:
    """1 for a completion whose first line is the answer to its question, else 0."""
    said = [text.strip().partition("\n")[0].strip(" .").lower() for text in completions]
    return [float(mine == wanted.lower()) for mine, wanted in zip(said, answer, strict=True)]


def by_reward() -> GRPOTrainer:
    """Answers to training questions, closed book, rewarded by whether they are right."""
    answers = [question.answers[0] for problem in task.problems for question in problem.questions]
    settings = GRPOConfig(
        "checkpoints",
        per_device_train_batch_size=8,
        num_generations=8,
        max_completion_length=12,
        temperature=1.0,
        beta=0.0,
        learning_rate=task.options.get("grpo_learning_rate", 1e-4),
        **common,
    )
    data = Dataset.from_dict({"prompt": list(task.prompts), "answer": answers})
    return GRPOTrainer(reward_funcs=right, args=settings, train_dataset=data, **shared)


def on_passages() -> SFTTrainer:
    """The passages themselves."""
    rate = task.options.get("learning_rate", 1e-3)
    settings = SFTConfig("checkpoints", per_device_train_batch_size=1, learning_rate=rate, **common)
    return SFTTrainer(args=settings, train_dataset=Dataset.from_dict({"text": list(task.texts)}), **shared)


trainer = by_reward() if task.stage == "learn" else on_passages()
with task.meter(trainer.model):
    trainer.train()
trainer.save_model(str(task.output))
