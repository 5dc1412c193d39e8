import math

import pytest
import torch

from netgain.engine.lora import AdapterBank, Layout, fresh
from netgain.errors import InputError

MODULES = [
    ("m.0.attn.q_proj", 8, 12),
    ("m.0.attn.k_proj", 8, 4),
    ("m.0.attn.v_proj", 8, 4),
    ("m.0.mlp.down_proj", 20, 8),
]


def _layout(*names: str) -> Layout:
    return Layout.of(MODULES, names or ("q_proj", "v_proj"), 3, 6.0)


def test_targets_that_share_an_input_lie_in_one_block() -> None:
    layout = _layout("q_proj", "v_proj", "down_proj")
    assert [[target.name for target in block.targets] for block in layout.blocks] == [
        ["q_proj", "v_proj"],
        ["down_proj"],
    ]
    first, second = layout.blocks[0].targets
    assert second.a == first.a + 3 * 8
    assert layout.weights == 3 * ((8 + 12) + (8 + 4) + (20 + 8))
    assert layout.width % 16 == 0


def test_initial_weights_are_pefts_and_depend_on_the_seed_alone() -> None:
    layout = _layout()
    one, same, other = fresh(layout, 1), fresh(layout, 1), fresh(layout, 2)
    assert torch.equal(one.row, same.row)
    assert not torch.equal(one.row, other.row)
    for target in layout.targets:
        assert float(one.b(target).abs().max()) == 0
        assert 0.5 / math.sqrt(8) < float(one.a(target).abs().max()) <= 1 / math.sqrt(8)


def test_a_slot_is_cleared_when_it_is_freed_and_reused_lowest_first() -> None:
    bank = AdapterBank(_layout(), 3)
    slots = [bank.alloc(seed) for seed in range(3)]
    assert slots == [0, 1, 2]
    bank.weights[1] = float("nan")
    bank.first[1] = 7
    bank.free(1)
    assert bank.alloc(9) == 1
    assert torch.equal(bank.adapter(1).row, fresh(bank.layout, 9).row)
    assert float(bank.first[1].abs().max()) == 0


def test_a_full_bank_refuses_and_a_free_slot_cannot_be_freed() -> None:
    bank = AdapterBank(_layout(), 1)
    bank.alloc(0)
    with pytest.raises(InputError, match="all 1 slots"):
        bank.alloc(1)
    bank.free(0)
    with pytest.raises(InputError, match="not in use"):
        bank.free(0)


def test_an_adapter_of_another_layout_is_refused() -> None:
    with pytest.raises(InputError, match="differ"):
        AdapterBank(_layout(), 1).load(fresh(_layout("k_proj"), 0))


def test_a_target_that_fits_nothing_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'q_proj'"):
        _layout("q_prj")


def test_a_bank_that_is_only_read_hands_nothing_back() -> None:
    bank = AdapterBank(_layout(), 1, trained=False)
    slot = bank.alloc(0)
    assert not len(bank.gradients)
    with pytest.raises(InputError, match="only read"):
        bank.adapter(slot)
