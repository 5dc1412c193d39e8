"""The hand-scheduled passes give the gradients that autograd gives, for every family, target and kind of pad."""

from typing import Any

import pytest
import torch
from torch import Tensor

from netgain.engine.frozen_weights import why_not
from netgain.engine.hooks import HooksBackend
from netgain.engine.jobs import PadLoss
from netgain.engine.kernels import NativeOps, library, ops_for
from netgain.engine.lora import AdapterBank
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.planned import PlannedBackend
from netgain.engine.torch_ops import TorchOps
from netgain.errors import InputError

from .small import ALL, exact_norms, job, small_model

OPS = [pytest.param(TorchOps, id="torch")]
if library() is not None:
    OPS.append(pytest.param(lambda: NativeOps(torch.float64), id="native"))


def _run(backend: Any, targets: tuple[str, ...], pads: PadLoss) -> tuple[list[float], Tensor]:
    bank = AdapterBank(backend.layout(targets, 5, 9.0), 4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    for seed in range(4):
        bank.alloc(seed)
    bank.weights.copy_(torch.randn(bank.weights.shape, generator=generator, dtype=torch.float64) * 0.1)
    wanted = job("a", pad_loss=pads)
    examples = [wanted.example(i) for i in range(4)]
    steps = [SlotStep(2, (examples[0],)), SlotStep(0, (examples[1], examples[2])), SlotStep(3, (examples[3],))]
    losses = backend.gradients(pack_steps(steps, torch.float64), bank)
    return losses, bank.gradients


@pytest.mark.parametrize("make", OPS)
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ALL, ("down_proj",), ("up_proj",), ("o_proj",)], ids=len)
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_gradients_equal_autograd(family: str, targets: tuple[str, ...], make: Any) -> None:
    model = small_model(family, torch.float64)
    exact_norms(model)
    pads = PadLoss("probes", 4, 150)
    losses, gradients = _run(PlannedBackend(model, make()), targets, pads)
    wanted_losses, wanted = _run(HooksBackend(model), targets, pads)
    assert losses == pytest.approx(wanted_losses, rel=1e-13)
    assert float((gradients - wanted).abs().max()) < 1e-13 * float(wanted.abs().max()) * 100
    assert float(gradients[1].abs().max()) == 0  # the slot that was not in the pack


@pytest.mark.parametrize("make", OPS)
def test_sequences_longer_than_a_block_and_a_vocabulary_of_odd_size_work(make: Any) -> None:
    model = small_model("llama", torch.float64)
    exact_norms(model)
    pads = PadLoss("exact", length=160)
    losses, gradients = _run(PlannedBackend(model, make()), ("q_proj", "k_proj"), pads)
    wanted_losses, wanted = _run(HooksBackend(model), ("q_proj", "k_proj"), pads)
    assert losses == pytest.approx(wanted_losses, rel=1e-12)
    assert float((gradients - wanted).abs().max()) < 1e-11 * float(wanted.abs().max())


def test_gpt2_has_no_plan_and_says_why() -> None:
    model = small_model("gpt2")
    assert why_not(model) == "gpt2 is not one of llama, qwen2, qwen3"
    with pytest.raises(InputError, match="use the hooks backend"):
        PlannedBackend(model)


def test_a_sliding_window_half_precision_or_dynamic_rope_has_no_plan() -> None:
    model = small_model("qwen2")
    assert why_not(model) is None
    model.config.use_sliding_window, model.config.sliding_window = True, 8
    assert "sliding window" in str(why_not(model))
    model = small_model("llama")
    model.config.rope_parameters["rope_type"] = "dynamic"
    assert "dynamic" in str(why_not(model))
    assert "float16" in str(why_not(small_model("llama", torch.float16)))
    assert why_not(small_model("llama", torch.bfloat16)) is None


def test_the_products_that_ran_are_counted() -> None:
    backend = PlannedBackend(small_model("llama"), TorchOps())
    bank = AdapterBank(backend.layout(("q_proj", "v_proj"), 5, 9.0), 1)
    bank.alloc(0)
    example = job("a").example(0)
    backend.gradients(pack_steps([SlotStep(0, (example,))], torch.float32), bank)
    rows, labelled = len(example.tokens), len(example.tokens) - 1
    layer = 48 * 48 * 2 + 48 * 24 * 2 + 3 * 48 * 72
    expected = 2 * rows * (3 * layer * 2 - 48 * 96)  # in the lowest layer nothing goes below the adapters
    expected += 2 * 2 * labelled * 48 * 131
    expected += 2 * rows * (3 * 3 * 5 * (48 + 48 + 48 + 24) - 2 * 5 * 48)
    expected += 3 * int(3.5 * 4 * rows * rows * 48)
    assert backend.flops == expected


def test_without_a_compiler_plain_torch_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    library.cache_clear()
    monkeypatch.setenv("NETGAIN_KERNELS", "off")
    try:
        assert isinstance(ops_for(torch.float32, torch.device("cpu")), TorchOps)
        with pytest.raises(RuntimeError, match="no compiled kernels"):
            NativeOps(torch.float32)
    finally:
        library.cache_clear()
