"""Prices against sums done by hand."""

import pytest

from netgain.errors import InputError
from netgain.metering.price import Lora, context_sum, forward_flops, lora_step_flops, rough_training_flops
from netgain.metering.shape import ModelShape, catalogue, find_shape

TINY = ModelShape(name="tiny", layers=2, hidden=4, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=10)


def test_the_weights_of_a_tiny_shape_are_those_counted_by_hand() -> None:
    attention = 4 * 4 + 4 * 2 + 4 * 2 + 4 * 4
    assert TINY.layer_weights == attention + 3 * 4 * 8
    assert TINY.body_weights == 2 * TINY.layer_weights
    assert TINY.head_weights == 40


def test_a_forward_pass_is_two_operations_a_weight_and_the_attention_on_top() -> None:
    positions, context = 3, context_sum([3])
    assert context == 9
    assert context_sum([3], "causal") == 6
    attention = 4 * 2 * 2 * 2 * 9
    assert forward_flops(TINY, positions, context, 1) == 2 * TINY.body_weights * 3 + attention + 2 * 40


def test_lora_costs_about_twice_a_forward_pass_and_nothing_below_the_lowest_trained_weight() -> None:
    lora = Lora(1, ("q_proj", "v_proj"))
    assert lora.weights(TINY) == 2 * ((4 + 4) + (4 + 2))
    step = lora_step_flops(TINY, lora, 3, 9, 3)
    lowest = 4 * 4 + 4 * 2 + 4 * 2
    backward = 2 * (TINY.body_weights - lowest) * 3 + 2 * (4 * 2 * 2 * 2 * 9) + 2 * 40 * 3
    assert step == forward_flops(TINY, 3, 9, 3) + backward + 6 * 28 * 3 + 12 * 28


def test_a_mixture_of_experts_is_charged_for_the_experts_a_token_passes() -> None:
    dense = find_shape("Qwen/Qwen3-8B")
    sparse = find_shape("qwen3-30b-a3b")
    assert 2.5e9 < sparse.body_weights + sparse.head_weights < 3.5e9
    assert 7e9 < dense.body_weights + dense.head_weights < 8.2e9


@pytest.mark.parametrize(
    ("name", "billions"), [("Qwen2.5-7B", 7.07), ("Llama-3.2-1B", 1.24), ("Llama-3.1-8B", 7.5), ("gpt2", 0.124)]
)
def test_shapes_that_ship_have_the_size_on_the_label(name: str, billions: float) -> None:
    shape = find_shape(name)
    assert (shape.body_weights + shape.head_weights) / 1e9 == pytest.approx(billions, rel=0.01)
    assert shape.source


def test_every_shape_is_named_and_sourced() -> None:
    assert all(shape.name == name and shape.source for name, shape in catalogue().items())


def test_an_unknown_model_or_target_gets_the_nearest_word() -> None:
    with pytest.raises(InputError, match=r"did you mean 'Qwen/Qwen2\.5-7B'"):
        find_shape("Qwen/Qwen2.5-7Bb")
    with pytest.raises(InputError, match="did you mean 'q_proj'"):
        Lora(8, ("q_prj",)).weights(TINY)


def test_the_rule_of_thumb_is_four_or_six_operations_a_weight_and_token() -> None:
    assert rough_training_flops(7e9, 100, "lora") == 4 * 7e9 * 100
    assert rough_training_flops(7e9, 100, "full") == 6 * 7e9 * 100
