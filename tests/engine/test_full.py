from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the usual name)

from netgain.engine.jobs import InnerLoopJob
from netgain.engine.trainer import train_fully

from .small import job, small_model

pytestmark = pytest.mark.contract


def _by_hand(model: Any, wanted: InnerLoopJob) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=wanted.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1 - done / wanted.total_steps)
    losses = []
    for step in wanted.steps():
        row = torch.tensor([list(wanted.sequences[step[0]])])
        loss = F.cross_entropy(model(input_ids=row).logits[0, :-1], row[0, 1:])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), wanted.max_grad_norm)
        optimizer.step()
        schedule.step()
    return losses


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_full_training_is_the_plain_loop(family: str) -> None:
    wanted = job("a", learning_rate=1e-3)
    model, other = small_model(family, torch.float64), small_model(family, torch.float64)
    outcome = train_fully(model, wanted)
    assert outcome.losses == pytest.approx(_by_hand(other, wanted), abs=1e-6)
    assert outcome.failure is None
    assert outcome.work.updates == 12
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert float((mine - theirs).detach().abs().max()) < 1e-5


def test_a_loss_that_is_not_finite_ends_training_before_it_spoils_the_weights() -> None:
    model = small_model()
    outcome = train_fully(model, job("wild", learning_rate=1e25))
    assert outcome.failure is not None
    assert outcome.failure.kind == "not_finite"
    assert outcome.work.updates == outcome.failure.step >= 1
    assert len(outcome.losses) == outcome.work.updates + 1


def test_an_empty_training_set_is_a_failure_without_work() -> None:
    outcome = train_fully(small_model(), job("none", sequences=[]))
    assert outcome.failure is not None
    assert outcome.failure.kind == "empty"
    assert outcome.work.real == 0


def test_running_out_of_memory_is_recorded_with_its_work() -> None:
    model = small_model()

    def short(*_: object) -> None:
        raise torch.OutOfMemoryError("simulated")

    model.model.layers[1].register_forward_pre_hook(short)
    outcome = train_fully(model, job("a"))
    assert outcome.failure is not None
    assert outcome.failure.kind == "out_of_memory"
    assert outcome.work.real > 0
    assert outcome.work.updates == 0
