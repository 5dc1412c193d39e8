"""A plan is priced without weights, exactly as the work would be charged."""

import json
from pathlib import Path

import pytest

from netgain.errors import InputError
from netgain.metering.estimate import (
    DEVICES,
    Device,
    find_device,
    generation_estimate,
    memory_estimate,
    scoring_estimate,
    shape_of,
    timed,
    training_estimate,
)
from netgain.metering.price import Full, Lora
from netgain.metering.rates import DeviceRate
from netgain.metering.shape import find_shape
from netgain.records.cost import Cost

QWEN = find_shape("Qwen2.5-7B")
SEAL = Lora(32, ("q_proj", "v_proj"))


def test_a_shape_comes_from_a_name_a_folder_or_a_file(tmp_path: Path) -> None:
    fields = {"model_type": "llama", "vocab_size": 260, "hidden_size": 32, "intermediate_size": 80}
    fields |= {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert shape_of(tmp_path).layers == shape_of(tmp_path / "config.json").layers == 3
    assert shape_of("qwen2.5-7b") == QWEN
    with pytest.raises(InputError, match=r"Qwen2\.5-7B"):
        shape_of("Qwen/Qwen2.5-7")


def test_seals_inner_loop_on_qwen_costs_four_flops_a_weight_and_token() -> None:
    cost = training_estimate(QWEN, [2048] * 8, training=SEAL, epochs=10)
    tokens = 8 * 2048 * 10
    assert (cost.updates, cost.tokens_padded, cost.tokens_training) == (80, tokens, 80 * 2047)
    assert cost.flops == pytest.approx(4 * 7.1e9 * tokens, rel=0.1)
    full = training_estimate(QWEN, [2048] * 8, training=Full(), epochs=10)
    assert (full.flops or 0) / (cost.flops or 1) == pytest.approx(1.5, rel=0.05)


def test_steps_that_are_cut_cost_their_share() -> None:
    whole = training_estimate(QWEN, [100, 200, 300], training=SEAL, epochs=4)
    half = training_estimate(QWEN, [100, 200, 300], training=SEAL, epochs=4, max_steps=6)
    assert 2 * (half.flops or 0) == pytest.approx(whole.flops)
    assert half.updates == 6
    assert training_estimate(QWEN, [], training=SEAL, epochs=4).flops == 0
    batched = training_estimate(QWEN, [100, 200, 300], training=SEAL, epochs=4, batch_size=2, padded_to=300)
    assert (batched.updates, batched.tokens_padded, batched.tokens_real) == (8, 3600, 2400)


def test_answers_and_scores_cost_two_flops_a_weight_and_token() -> None:
    answer = generation_estimate(QWEN, 40, 64, count=5)
    assert answer.tokens_generated == 5 * 64
    assert answer.flops == pytest.approx(2 * 7.1e9 * 5 * 103, rel=0.1)
    score = scoring_estimate(QWEN, 40, 10, adapter=SEAL)
    assert (score.tokens_padded, score.tokens_generated) == (50, 0)
    assert (score.flops or 0) > (scoring_estimate(QWEN, 40, 10).flops or 0)


def test_seconds_are_the_longer_of_arithmetic_and_reading_and_dollars_follow_the_rate() -> None:
    device = Device("slow", 1e12, 1e12, 1e9, "this test", utilisation=0.5)
    training = timed(training_estimate(QWEN, [100], training=SEAL), QWEN, device, rate=DeviceRate(3.6, "this test"))
    assert training.seconds == pytest.approx((training.flops or 0) / 5e11)
    assert training.dollars == pytest.approx((training.seconds or 0) / 1000)
    one, many = (
        timed(generation_estimate(QWEN, 10, 64, count=64), QWEN, find_device("h200"), rows=rows) for rows in (1, 64)
    )
    assert one.seconds == pytest.approx(64 * 64 * QWEN.stored_weights * 2 / 4.8e12)
    assert (many.seconds or 0) < (one.seconds or 0) / 20
    assert timed(Cost(), QWEN, device).seconds is None


def test_memory_says_what_fits_where() -> None:
    answering, lora, full = (memory_estimate(QWEN, how, 2048) for how in (None, SEAL, Full()))
    assert 15e9 < answering < lora < 26e9 < full
    assert full == pytest.approx(4 * QWEN.stored_weights * 2, rel=0.2)
    assert memory_estimate(QWEN, SEAL, 2048, resident=16) - lora == pytest.approx(15 * 16 * SEAL.weights(QWEN))


def test_an_unknown_device_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'H200'"):
        find_device("H20")
    with pytest.raises(InputError, match="utilisation"):
        Device("odd", 1.0, 1.0, 1.0, "", utilisation=2.0)
    assert all(device.source for device in DEVICES.values())
