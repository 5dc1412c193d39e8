"""The price formulas where arithmetic suffices; `test_price_profiled.py` holds them against the profiler."""

import pytest

from netgain.engine.jobs import Work
from netgain.errors import InputError
from netgain.metering.estimate import context_sum, generate, pass_over
from netgain.metering.price import (
    OPTIMIZER_FLOPS_PER_WEIGHT,
    Full,
    Lora,
    Training,
    declared_flops,
    forward_cost,
    forward_flops,
    rough_training_flops,
    training_cost,
    training_flops,
)
from netgain.metering.shape import ModelShape, find_shape

TINY = ModelShape(name="tiny", layers=2, hidden=4, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=10)


def test_the_weights_of_a_tiny_shape_are_those_counted_by_hand() -> None:
    attention = 4 * 4 + 4 * 2 + 4 * 2 + 4 * 4
    assert sum(part.weights for part in TINY.layer(0)) == attention + 3 * 4 * 8
    assert TINY.body_weights == 2 * (attention + 3 * 4 * 8)
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
    step = training_flops(TINY, lora, 3, 9, 3)
    lowest = 4 * 4 + 4 * 2 + 4 * 2
    keys_of_the_lowest = 2 * 2 * 2 * 9  # nothing there depends on a trained weight
    attention = 2 * (4 * 2 * 2 * 2 * 9) - keys_of_the_lowest
    backward = 2 * (TINY.body_weights - lowest) * 3 + attention + 2 * 40 * 3
    adapters = 6 * 28 * 3 - 2 * (4 + 4) * 3  # the two adapters at the bottom pass nothing further down
    assert step == forward_flops(TINY, 3, 9, 3) + backward + adapters + 12 * 28


def test_a_mixture_of_experts_is_charged_for_the_experts_a_token_passes() -> None:
    dense = find_shape("Qwen/Qwen3-8B")
    sparse = find_shape("qwen3-30b-a3b")
    assert 2.5e9 < sparse.body_weights + sparse.head_weights < 3.5e9
    assert 7e9 < dense.body_weights + dense.head_weights < 8.2e9


ONE_STEP = Work(training=20, updates=1)


def test_logits_only_where_there_is_a_label_cost_less() -> None:
    shape = find_shape("Qwen2.5-0.5B")
    everywhere = training_cost(shape, pass_over([100]) + ONE_STEP, Full())
    labelled = training_cost(shape, pass_over([100], head_positions=20) + ONE_STEP, Full())
    assert (everywhere.flops or 0) - (labelled.flops or 0) == 6.0 * shape.head_weights * 80


def test_the_optimizer_is_charged_once_an_update() -> None:
    shape, lora = find_shape("Qwen2.5-0.5B"), Lora(8, ("q_proj", "v_proj"))
    one, three = (training_flops(shape, lora, 10, 100, 10, updates) for updates in (1, 3))
    assert three - one == 2 * OPTIMIZER_FLOPS_PER_WEIGHT * lora.weights(shape)


def test_lora_is_near_four_and_full_fine_tuning_near_six_per_weight_and_token() -> None:
    shape = find_shape("Qwen2.5-7B")
    per_pass = shape.body_weights + shape.head_weights
    lora = training_flops(shape, Lora(1, ("q_proj", "v_proj")), 1, 0, 1, 0)
    assert lora / per_pass == pytest.approx(4, rel=0.01)
    assert training_flops(shape, Full(), 1, 0, 1, 0) / per_pass == pytest.approx(6)


def test_a_priced_operation_says_what_it_knows_and_no_more() -> None:
    cost = training_cost(
        find_shape("Qwen2.5-0.5B"), pass_over([5, 9], padded_to=16) + Work(training=6, updates=2), Full()
    )
    known = cost.known()
    assert {name: known[name] for name in known if name != "flops"} == {
        "updates": 2,
        "tokens_real": 14,
        "tokens_padded": 32,
        "tokens_training": 6,
        "tokens_generated": 0,
    }
    assert cost.seconds is None
    assert cost.dollars is None


def test_prices_add_as_their_work_does() -> None:
    shape = find_shape("Qwen2.5-0.5B")
    first, second = generate([30], [8]), pass_over([12, 13], padded_to=16)
    both = forward_cost(shape, first + second).flops
    apart = (forward_cost(shape, work).flops or 0 for work in (first, second))
    assert both == pytest.approx(sum(apart))
    assert forward_flops(shape, 2, 3, 0) == 4.0 * (shape.body_weights + shape.layers * shape.heads * shape.head_dim * 3)
    assert forward_cost(shape, Work()).flops == 0


@pytest.mark.parametrize(
    ("targets", "advice"), [(("q_porj",), "did you mean 'q_proj'?"), (("c_attn",), "valid: "), (("up",), "valid: ")]
)
def test_a_target_that_the_model_lacks_is_refused_with_the_nearest(targets: tuple[str, ...], advice: str) -> None:
    with pytest.raises(InputError, match="no such projection") as caught:
        training_flops(find_shape("Qwen2.5-0.5B"), Lora(4, targets), 1, 1, 1)
    assert advice in str(caught.value)


def test_adapters_on_stacked_experts_are_refused_and_not_given_away() -> None:
    with pytest.raises(InputError, match="no such projection"):
        Lora(4, ("up_proj",)).weights(find_shape("Qwen3-30B-A3B"))


@pytest.mark.parametrize("training", [Lora(4, ("q_proj",), layers=(24,)), Full(layers=(-1,))])
def test_a_layer_that_the_model_lacks_is_refused(training: Training) -> None:
    with pytest.raises(InputError, match="has 24 layers"):
        training_flops(find_shape("Qwen2.5-0.5B"), training, 1, 1, 1)


def test_a_remote_model_has_a_declared_price() -> None:
    assert declared_flops(2e9, 1000) == 4e12


def test_the_rule_of_thumb_is_four_or_six_operations_a_weight_and_token() -> None:
    assert rough_training_flops(7e9, 100, "lora") == 4 * 7e9 * 100
    assert rough_training_flops(7e9, 100, "full") == 6 * 7e9 * 100
