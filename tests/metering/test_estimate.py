"""A plan is priced without weights, exactly as the work would be charged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.engine.backend import decoder_for
from netgain.engine.decoding import DecodeRequest
from netgain.engine.jobs import InnerLoopJob, Sampling
from netgain.engine.lora import AdapterBank
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.planned import PlannedBackend, Workspace
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.errors import InputError
from netgain.metering.estimate import (
    DEVICES,
    Device,
    Load,
    Memory,
    find_device,
    generation_estimate,
    hidden_row,
    pace_of,
    peak_memory,
    scoring_estimate,
    shape_of,
    training_estimate,
)
from netgain.metering.price import Full, Lora
from netgain.metering.shape import ModelShape, find_shape
from netgain.records.cost import Cost

QWEN = find_shape("Qwen2.5-7B")
SEAL = Lora(32, ("q_proj", "v_proj"))
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


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


def test_a_batch_is_one_update_and_nothing_costs_nothing() -> None:
    assert training_estimate(QWEN, [], training=SEAL, epochs=4).flops == 0
    batched = training_estimate(QWEN, [100, 200, 300], training=SEAL, epochs=4, batch_size=2)
    assert (batched.updates, batched.tokens_padded, batched.tokens_real) == (8, 2400, 2400)


def test_answers_and_scores_cost_two_flops_a_weight_and_token() -> None:
    answer = generation_estimate(QWEN, 40, 64, count=5)
    assert answer.tokens_generated == 5 * 64
    assert answer.flops == pytest.approx(2 * 7.1e9 * 5 * 103, rel=0.1)
    score = scoring_estimate(QWEN, 40, 10)
    assert (score.tokens_padded, score.tokens_generated) == (50, 0)
    assert score.flops == pytest.approx(2 * QWEN.body_weights * 50 + 2 * QWEN.head_weights * 11, rel=0.01)


def test_seconds_are_the_longer_of_arithmetic_and_reading_the_weights() -> None:
    device = Device("slow", 1e12, 1e12, 1e9, "this test", utilisation=0.5)
    training = pace_of(device, QWEN).training(training_estimate(QWEN, [100], training=SEAL))
    assert training.seconds == pytest.approx((training.flops or 0) / 5e11)
    prompt, answers = generation_estimate(QWEN, 10, 1, count=64), generation_estimate(QWEN, 10, 64, count=64)
    one, many = (pace_of(find_device("h200"), QWEN, rows=rows).writing(answers, prompt) for rows in (1, 64))
    assert one.seconds == pytest.approx(64 * 63 * QWEN.stored_weights * 2 / 4.8e12, rel=0.1)
    assert (many.seconds or 0) < (one.seconds or 0) / 20
    assert pace_of(device, QWEN).training(Cost()).seconds is None


def test_memory_says_what_fits_where() -> None:
    memory = Memory.guessed(QWEN, planned=False)
    exam = Load(jobs=0, length=0, asked=1, prompt=2048, new=16, adapters=0)
    answering = peak_memory(memory, QWEN, None, exam)
    lora, four = (
        peak_memory(memory, QWEN, SEAL, Load(jobs=n, length=512, asked=0, prompt=0, new=0, adapters=0)) for n in (1, 4)
    )
    full = peak_memory(memory, QWEN, Full(), Load(jobs=1, length=512, asked=0, prompt=0, new=0, adapters=0))
    assert 15e9 < answering < lora < four < 26e9 < full
    # Beyond 1,024 rows a pack does not grow, and each adapter has four numbers a weight.
    rows = 512 * (memory.row + hidden_row(SEAL, QWEN))
    assert four - lora == pytest.approx(3 * 16 * SEAL.weights(QWEN) + rows)


def test_every_adapter_that_waits_for_its_exam_and_every_merged_model_is_in_the_memory() -> None:
    memory = Memory.guessed(QWEN)
    alone = Load(jobs=1, length=100, asked=0, prompt=0, new=0, adapters=0)
    bare = peak_memory(memory, QWEN, SEAL, alone)
    waiting = peak_memory(memory, QWEN, SEAL, replace(alone, adapters=64, copies=2))
    assert waiting - bare == pytest.approx(64 * 4 * SEAL.weights(QWEN) + 2 * memory.copy)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [Lora(1, ("q_proj",)), Lora(24, SEVEN)])
def test_a_row_of_a_pack_holds_what_the_engines_buffers_hold(name: str, lora: Lora) -> None:
    torch = pytest.importorskip("torch")
    model, shape = tiny_model()
    dtype = getattr(torch, name)
    backend = PlannedBackend(model.to(dtype))
    bank = AdapterBank(backend.layout(lora.targets, lora.rank, 1.0), 1, dtype=torch.float32, device=torch.device("cpu"))
    slot, rows = bank.alloc(0), 640
    example = InnerLoopJob(key="", sequences=[[1] * rows], epochs=1, learning_rate=1e-3, seed=0).example(0)
    backend.gradients(pack_steps([SlotStep(slot, (example,))], torch.float32), bank)
    held = sum(buffer.nbytes for name, buffer in backend._space._held.items() if name != "logits")
    row = Memory.guessed(shape, weight_bytes=dtype.itemsize).row + hidden_row(lora, shape)
    assert row == pytest.approx(held / rows, rel=0.1)
    alone = Load(jobs=1, length=rows, asked=0, prompt=0, new=0, adapters=0)
    memory = replace(Memory.guessed(shape, weight_bytes=dtype.itemsize), base=0.0)
    trained = sum(part.nbytes for part in (bank.weights, bank.gradients, bank.first, bank.second))
    whole = backend._space.held_bytes + trained
    assert peak_memory(memory, shape, lora, alone) == pytest.approx(whole, rel=0.12)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize(("asked", "prompt", "new"), [(40, 48, 16), (12, 300, 20), (60, 20, 76)])
def test_answering_holds_what_the_decoders_buffers_hold(name: str, asked: int, prompt: int, new: int) -> None:
    torch = pytest.importorskip("torch")
    model, shape = tiny_model()
    dtype = getattr(torch, name)
    decoder = decoder_for(PlannedBackend(model.to(dtype)))
    assert isinstance(decoder, MultiLoraDecoder)
    held: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Workspace, "release", lambda space: held.append(space.held_bytes))
        prompts = [(one, *(2 for _ in range(prompt - 1))) for one in range(asked)]
        decoder.generate([DecodeRequest(prompt=p, sampling=Sampling(max_new_tokens=new)) for p in prompts])
    memory = replace(Memory.guessed(shape, weight_bytes=dtype.itemsize), base=0.0)
    load = Load(jobs=0, length=0, asked=asked, prompt=prompt, new=new, adapters=0)
    assert peak_memory(memory, shape, None, load) == pytest.approx(held[-1], rel=0.2)


def test_scoring_holds_its_logits_and_an_adapter_for_every_row_that_fits_a_batch() -> None:
    memory = replace(Memory.guessed(QWEN), base=0.0)
    load = Load(jobs=0, length=0, asked=64, prompt=500, new=12, adapters=0, scored=True)
    rows = 16  # of 512 tokens fit into a batch
    one = peak_memory(memory, QWEN, None, load)
    assert peak_memory(memory, QWEN, SEAL, load) - one == 4 * rows * SEAL.weights(QWEN)
    assert peak_memory(memory, QWEN, SEAL, replace(load, per_adapter=4)) - one == rows * SEAL.weights(QWEN)
    assert peak_memory(memory, QWEN, None, replace(load, asked=16)) == one
    assert one > 4 * rows * 13 * QWEN.vocabulary


def tiny_model() -> tuple[Any, ModelShape]:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=300, num_hidden_layers=6, max_position_embeddings=1024, **sizes)
    return LlamaForCausalLM(config).eval(), ModelShape.from_config(config.to_dict())


def test_an_unknown_device_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'H200'"):
        find_device("H20")
    with pytest.raises(InputError, match="utilisation"):
        Device("odd", 1.0, 1.0, 1.0, "", utilisation=2.0)
    assert all(device.source for device in DEVICES.values())
