"""TRL's SFTTrainer as an arm of a trial: a LoRA adapter on the passage, until the budget is used."""

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

import netgain

task = netgain.task()  # before anything is trained: what trains off the meter is noticed from here on
torch.use_deterministic_algorithms(mode=True)
trainer = SFTTrainer(
    AutoModelForCausalLM.from_pretrained(task.model, dtype=task.dtype),
    SFTConfig(
        "checkpoints",
        max_steps=100_000,  # the budget ends the training
        per_device_train_batch_size=1,
        learning_rate=task.options.get("learning_rate", 1e-3),
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        bf16=False,
        seed=task.seed,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=Dataset.from_dict({"text": list(task.texts)}),
    processing_class=AutoTokenizer.from_pretrained(task.model),
    peft_config=LoraConfig(r=32, lora_alpha=64, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
)
with task.meter(trainer.model):
    trainer.train()
trainer.save_model(str(task.output))
