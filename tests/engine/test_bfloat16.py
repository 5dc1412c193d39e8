"""Frozen weights and activations in bfloat16: how near training and answers stay to float32, with all kernels."""

from typing import Any

import pytest
import torch

from netgain.engine.backend import backend_for, decoder_for
from netgain.engine.decoding import DecodeRequest
from netgain.engine.hooks import HooksBackend
from netgain.engine.jobs import Sampling
from netgain.engine.kernels import NativeOps, library, ops_for
from netgain.engine.lora import AdapterBank
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.planned import PlannedBackend
from netgain.engine.torch_ops import TorchOps
from netgain.engine.trainer import MultiLoraTrainer

from .small import ALL, job, small_model, texts

HALF = torch.bfloat16
OPS = [pytest.param(TorchOps, id="torch")]
if library() is not None:
    OPS.append(pytest.param(lambda: NativeOps(HALF), id="native"))


def _gradients(backend: Any) -> tuple[list[float], torch.Tensor]:
    bank = AdapterBank(backend.layout(ALL, 5, 9.0), 2, dtype=backend.bank_dtype)
    generator = torch.Generator().manual_seed(3)
    bank.alloc(0), bank.alloc(1)
    bank.weights.copy_(torch.randn(bank.weights.shape, generator=generator) * 0.1)
    examples = [job("a").example(i) for i in range(3)]
    steps = [SlotStep(1, (examples[0],)), SlotStep(0, (examples[1], examples[2]))]
    return backend.gradients(pack_steps(steps, bank.weights.dtype), bank), bank.gradients


@pytest.mark.parametrize("make", OPS)
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_gradients_are_those_of_float32_within_half_precision(family: str, make: Any) -> None:
    model = small_model(family, HALF)
    exact_losses, exact = _gradients(HooksBackend(small_model(family).to(HALF).float()))  # the same rounded weights
    losses, gradients = _gradients(PlannedBackend(model, make()))
    assert gradients.dtype == torch.float32
    assert losses == pytest.approx(exact_losses, abs=0.01)
    for slot in (0, 1):
        cosine = torch.cosine_similarity(gradients[slot], exact[slot], dim=0)
        assert float(cosine) > 0.999


def test_a_whole_training_stays_beside_float32_and_both_backends_agree() -> None:
    model = small_model("llama")
    wanted = job("a", count=8, epochs=10)  # 80 steps
    exact = next(MultiLoraTrainer(backend_for(small_model("llama"))).run([wanted])).losses
    for name in ("planned", "hooks"):
        outcome = next(MultiLoraTrainer(backend_for(small_model("llama").to(HALF), name)).run([wanted]))
        assert outcome.adapter is not None
        assert outcome.adapter.row.dtype == torch.float32
        assert max(abs(a - b) for a, b in zip(outcome.losses, exact, strict=True)) < 0.15
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("make", OPS)
def test_answers_continue_the_prompt_as_one_pass_over_it_would(make: Any) -> None:
    backend = PlannedBackend(small_model("llama", HALF), make())
    outcome = next(MultiLoraTrainer(backend).run([job("a")]))
    assert outcome.adapter is not None
    prompts = [tuple(texts(1, seed)[0]) for seed in range(4)]
    prompts = [(*prompts[0], *prompt) for prompt in prompts]  # a shared beginning
    asked = [DecodeRequest(prompt=p, adapter=0, sampling=Sampling(max_new_tokens=6)) for p in prompts]
    together = [answer.tokens for answer in decoder_for(backend).generate(asked, [outcome.adapter])]
    alone = [decoder_for(backend).generate([one], [outcome.adapter])[0].tokens for one in asked]
    model = small_model("llama").to(HALF).float()
    exact = [answer.tokens for answer in decoder_for(backend_for(model)).generate(asked, [outcome.adapter])]
    same = sum(a == b for one, other in zip(together, exact, strict=True) for a, b in zip(one, other, strict=True))
    assert same >= 20  # of 24 tokens: a tie within rounding may fall either way
    assert sum(a == b for a, b in zip(together, alone, strict=True)) >= 3


@pytest.mark.skipif(library() is None, reason="no C++ compiler here")
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 3, 5), (7, 16, 64), (101, 131, 77), (13, 2500, 200)])
def test_products_are_rounded_sums_in_float32_and_a_row_does_not_see_its_neighbours(
    rows: int, inputs: int, outputs: int
) -> None:
    ops, generator = NativeOps(HALF), torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(shape, generator=generator).to(HALF) for shape in ((outputs, inputs), (outputs,)))
    x, dy = (torch.randn(rows, width, generator=generator).to(HALF) for width in (inputs, outputs))
    frozen = ops.freeze(weight, bias)
    y, dx = torch.full((rows, outputs), 9.0, dtype=HALF), torch.full((rows, inputs), 9.0, dtype=HALF)
    ops.linear(frozen, x, y)
    ops.linear_back(frozen, dy, dx)
    for found, exact in ((y, x.float() @ weight.float().t() + bias.float()), (dx, dy.float() @ weight.float())):
        assert float((found.float() - exact).abs().max()) <= 2**-8 * float(exact.abs().max())
    first = torch.empty(1, outputs, dtype=HALF)
    ops.linear(frozen, x[-1:], first)
    assert torch.equal(first, y[-1:])


def test_rounding_keeps_what_is_not_a_number() -> None:
    x = torch.tensor([[1.0, float("nan"), float("inf"), -2.0] * 8], dtype=HALF)
    out = torch.empty(1, 16, dtype=HALF)
    ops_for(HALF, torch.device("cpu")).swiglu(x, out)
    assert bool(out[0, 1].isnan())
    assert not bool(out[0, 0].isnan())
