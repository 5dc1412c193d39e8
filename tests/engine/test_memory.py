"""What a pack takes is known before it runs."""

import pytest
import torch

from netgain.engine.lora import AdapterBank
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.planned import PlannedBackend

from .small import ALL, job, small_model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_memory_of_a_pack_is_what_its_dimensions_say(family: str, dtype: torch.dtype) -> None:
    backend = PlannedBackend(small_model(family, dtype))
    layout = backend.layout(ALL, 5, 9.0)
    bank = AdapterBank(layout, 3, dtype=backend.bank_dtype)
    steps = [SlotStep(bank.alloc(i), (job("a").example(i),)) for i in range(3)]
    pack = pack_steps(steps, bank.weights.dtype)
    backend.gradients(pack, bank)
    said = backend.dimensions(layout).pack_bytes(pack.rows, len(pack.label_rows))
    assert backend.held_bytes == pytest.approx(said, rel=0.03)
    state = (bank.weights, bank.gradients, bank.first, bank.second)
    assert backend.dimensions(layout).bank_bytes(3) == sum(x.numel() * x.itemsize for x in state)
