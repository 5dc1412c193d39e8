"""Full fine-tuning: all weights of one model trained, with the data, clip, schedule and failure rules of adapters."""

from dataclasses import dataclass
from math import isfinite
from typing import Any, final

import torch
from torch import nn

from netgain.engine.hooks import label_losses
from netgain.engine.jobs import Failure, InnerLoopJob, check
from netgain.engine.memory import is_out_of_memory
from netgain.engine.ops import BETA1, BETA2, EPSILON
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.work import Work


@final
@dataclass(frozen=True, slots=True)
class FullOutcome:
    """The loss of every step done, the work it took, and why it ended early where it did."""

    key: str
    losses: tuple[float, ...]
    work: Work
    failure: Failure | None


def train_fully(model: nn.Module, job: InnerLoopJob) -> FullOutcome:
    """Train all weights of ``model`` in place on a job's sequences (its rank, alpha and targets do not matter).

    After a failure the weights are those of the last sound step. Dropout stays off.
    """
    network: Any = model
    config: Any = network.config
    context = int(getattr(config, "max_position_embeddings", None) or config.n_positions)
    failure = check(job, context, int(config.vocab_size))
    if failure is not None:
        return FullOutcome(job.key, (), Work(), failure)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=job.learning_rate, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=0.0)
    model.eval()
    losses: list[float] = []
    work = Work()
    for done, indices in enumerate(job.steps()):
        step = SlotStep(0, tuple(job.example(i) for i in indices))
        pack = pack_steps([step], weights[0].dtype, weights[0].device)
        work += _work(step)
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = job.learning_rate * (1 - done / job.total_steps)
        try:
            loss = label_losses(network, pack).sum()
            loss.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = Failure("out_of_memory", f"a step of {step.rows} rows does not fit", done)
            break
        losses.append(float(loss.detach()))
        norm = float(nn.utils.clip_grad_norm_(weights, job.max_grad_norm))
        if not (isfinite(losses[-1]) and isfinite(norm)):
            failure = Failure("not_finite", f"loss {losses[-1]}, gradient norm {norm}", done)
            break
        optimizer.step()
        work += Work(updates=1)
    optimizer.zero_grad(set_to_none=True)
    return FullOutcome(job.key, tuple(losses), work, failure)


def _work(step: SlotStep) -> Work:
    longest = max(len(example.tokens) for example in step.examples)
    labelled = sum(1 for example in step.examples for weight in example.weights if weight)
    return Work(
        real=sum(example.text for example in step.examples),
        positions=longest * len(step.examples),
        training=labelled,
        head_positions=longest * len(step.examples),
        context=longest * longest * len(step.examples),
    )
