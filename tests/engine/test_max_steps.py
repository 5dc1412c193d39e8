"""A job that is cut short is the job that Hugging Face's Trainer runs with the same ``max_steps``."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments

from netgain.engine.backend import backend_for
from netgain.engine.jobs import InnerLoopJob
from netgain.engine.lora import fresh
from netgain.engine.trainer import MultiLoraTrainer, train_fully

from .small import job, peft_model, small_model, train_alone

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),
]


class _Ordered(Trainer):
    """Steps in data order, every loss kept unrounded."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.losses: list[float] = []

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        loss = super().compute_loss(*arguments, **named)
        self.losses.append(float(loss.detach()))
        return loss


def hugging_face(model: Any, wanted: InnerLoopJob, folder: Path) -> list[float]:
    """The losses of HF's Trainer over the job's whole order, told to stop after ``max_steps``."""
    order = list(chain.from_iterable(_uncut(wanted).steps()))
    rows = [{"input_ids": torch.tensor(list(wanted.sequences[i]))} for i in order]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=wanted.max_steps or -1,
        num_train_epochs=1,
        per_device_train_batch_size=1,
        learning_rate=wanted.learning_rate,
        max_grad_norm=wanted.max_grad_norm,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )

    def join(one: list[dict[str, Any]]) -> dict[str, Any]:
        row = one[0]["input_ids"][None]
        labels = row.clone()
        labels[:, 0] = -100  # nothing predicts it, and some families count it in the mean
        return {"input_ids": row, "labels": labels}

    trainer = _Ordered(model, arguments, train_dataset=rows, data_collator=join)
    trainer.train()
    return trainer.losses


def _uncut(wanted: InnerLoopJob) -> InnerLoopJob:
    return job(wanted.key, sequences=wanted.sequences, seed=wanted.seed, epochs=wanted.epochs)


def cut_job(**settings: Any) -> InnerLoopJob:
    """Seven steps, so that the second of three epochs of four sequences ends early."""
    return job("cut", **{"max_steps": 7, "learning_rate": 1e-3} | settings)


@pytest.mark.parametrize("kind", ["planned", "hooks"])
def test_a_job_cut_at_k_steps_is_the_trainer_stopped_at_k_steps(kind: Any, tmp_path: Path) -> None:
    wanted = cut_job()
    model = small_model()
    backend = backend_for(model, kind)
    (outcome,) = MultiLoraTrainer(backend).run([wanted])
    start = fresh(backend.layout(wanted.target_modules, wanted.rank, wanted.alpha), wanted.seed)
    losses = hugging_face(peft_model(model, start), wanted, tmp_path)
    assert len(losses) == wanted.total_steps == outcome.work.updates == 7
    assert outcome.losses == pytest.approx(losses, abs=1e-4)


def test_full_training_cut_at_k_steps_is_the_trainer_stopped_at_k_steps(tmp_path: Path) -> None:
    wanted = cut_job()
    outcome = train_fully(small_model(), wanted)
    assert outcome.losses == pytest.approx(hugging_face(small_model(), wanted, tmp_path), abs=1e-4)
    assert outcome.work.updates == 7


@pytest.mark.parametrize("kind", ["planned", "hooks"])
def test_cut_jobs_in_one_pack_are_sequential_peft(kind: Any) -> None:
    model = small_model()
    jobs = [job(str(i), seed=i, max_steps=steps, batch_size=size) for i, (steps, size) in enumerate([(1, 1), (5, 3)])]
    outcomes = {outcome.key: outcome for outcome in MultiLoraTrainer(backend_for(model, kind)).run(jobs)}
    for wanted in jobs:
        adapter = outcomes[wanted.key].adapter
        assert adapter is not None
        _, losses = train_alone(model, wanted, adapter)
        assert outcomes[wanted.key].losses == pytest.approx(losses, abs=1e-4)
