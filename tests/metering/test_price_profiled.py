"""The closed form against the profiler: every family, every operation, within 1 % and in fact exactly.

The profiler sees matrix products only, so the optimizer's element-wise work is compared with neither side.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netgain.engine.hooks import cache_keyword
from netgain.engine.jobs import Work
from netgain.metering import shape as shapes
from netgain.metering.account import Book
from netgain.metering.estimate import generate, pass_over
from netgain.metering.price import (
    OPTIMIZER_FLOPS_PER_WEIGHT,
    Full,
    Lora,
    Training,
    forward_cost,
    training_cost,
)
from netgain.metering.shape import ModelShape
from netgain.metering.verification import verify
from netgain.records.cost import Cost, Purpose

torch = pytest.importorskip("torch", reason="the profiler that is compared with comes with torch")
transformers = pytest.importorskip("transformers", reason="the models that are profiled come with transformers")
peft = pytest.importorskip("peft", reason="the adapters that are profiled come with peft")
flop_counter = pytest.importorskip("torch.utils.flop_counter")
from tests.profiled import EXACT  # noqa: E402

pytestmark = [  # complaints of PEFT about transformers and about itself
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
]

COMMON = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": COMMON,
    "qwen2": COMMON | {"tie_word_embeddings": True},
    "qwen3": COMMON | {"head_dim": 16},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 3, "vocab_size": 96, "n_positions": 128, "bos_token_id": 1}
    | {"eos_token_id": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "mixtral": COMMON | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": COMMON
    | {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "mlp_only_layers": [1]}
    | {"head_dim": 16},
    "qwen2_moe": COMMON
    | {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40}
    | {"decoder_sparse_step": 2},
    "gpt_neox": {k: v for k, v in COMMON.items() if k != "num_key_value_heads"} | {"attention_dropout": 0.0},
    "phi3": COMMON,
    "gemma2": COMMON | {"head_dim": 16},
    "starcoder2": COMMON,
    "olmoe": COMMON | {"num_experts": 4, "num_experts_per_tok": 2},
    "olmo2": COMMON,
    "granite": COMMON,
    "smollm3": COMMON,
    "mistral": COMMON,
    "gemma": COMMON | {"head_dim": 16},
    "gemma3_text": COMMON | {"head_dim": 16},
}
QUERY_VALUE = {"gpt2": ("c_attn",), "gpt_neox": ("query_key_value",), "phi3": ("qkv_proj",)}
VALUE = {"gpt2": ("mlp.c_proj",), "gpt_neox": ("attention.dense",), "phi3": ("gate_up_proj",)}
BATCH, LENGTH, NEW = 3, 17, 5


def build(family: str) -> tuple[Any, ModelShape]:
    """A small random model of this family, and its shape as derived from the configuration alone."""
    config = transformers.AutoConfig.for_model(family, **FAMILIES[family])
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval(), ModelShape.from_config(config.to_dict())


def counted(run: Callable[[], object]) -> float:
    with flop_counter.FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def ids(batch: int = BATCH, length: int = LENGTH) -> Any:
    return torch.randint(3, 96, (batch, length), generator=torch.Generator().manual_seed(1))


def train_once(model: Any) -> Callable[[], object]:
    def step() -> None:
        model(input_ids=ids(), labels=ids(), use_cache=False).loss.backward()

    return step


def with_lora(model: Any, lora: Lora, targets: Any = None) -> Any:
    config = peft.LoraConfig(
        r=lora.rank,
        target_modules=targets or list(lora.targets),
        layers_to_transform=None if lora.layers is None else list(lora.layers),
        layers_pattern=None if lora.layers is None else ["layers", "h"],
        task_type="CAUSAL_LM",
        fan_in_fan_out=model.config.model_type == "gpt2",
    )
    return peft.get_peft_model(model, config)


def passes(shape: ModelShape, training: Training) -> float:
    """The price of one training step over the batch without the optimizer, which the profiler does not see."""
    work = pass_over([LENGTH] * BATCH) + Work(training=BATCH * (LENGTH - 1))
    return training_cost(shape, work, training).flops or 0.0


def check(model: Any, shape: ModelShape, training: Training) -> None:
    assert passes(shape, training) == pytest.approx(counted(train_once(model)), rel=EXACT)


def prefill(family: str) -> None:
    model, shape = build(family)
    seen = counted(lambda: model(input_ids=ids(), logits_to_keep=1, use_cache=True))
    work = pass_over([LENGTH] * BATCH, head_positions=BATCH)
    assert forward_cost(shape, work).flops == pytest.approx(seen, rel=EXACT)


def scoring(family: str) -> None:
    model, shape = build(family)
    seen = counted(lambda: model(input_ids=ids(), use_cache=False))
    assert forward_cost(shape, pass_over([LENGTH] * BATCH)).flops == pytest.approx(seen, rel=EXACT)


def padded_scoring(family: str) -> None:
    model, shape = build(family)
    lengths = [5, 9, LENGTH]
    mask = torch.tensor([[1] * length + [0] * (LENGTH - length) for length in lengths])
    seen = counted(lambda: model(input_ids=ids(), attention_mask=mask, use_cache=False))
    cost = forward_cost(shape, pass_over(lengths, padded_to=LENGTH))
    assert cost.flops == pytest.approx(seen, rel=EXACT)
    assert (cost.tokens_real, cost.tokens_padded) == (31, 51)


def decode(family: str) -> None:
    model, shape = build(family)
    settings = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}
    mask = torch.ones_like(ids())
    seen = counted(lambda: model.generate(input_ids=ids(), attention_mask=mask, **settings))
    cost = forward_cost(shape, generate([LENGTH] * BATCH, [NEW] * BATCH))
    assert cost.flops == pytest.approx(seen, rel=EXACT)
    assert cost.tokens_generated == NEW * BATCH


def adapted_scoring(family: str) -> None:
    model, shape = build(family)
    lora = Lora(4, QUERY_VALUE.get(family, ("q_proj", "v_proj")))
    adapted = with_lora(model, lora).eval()
    seen = counted(lambda: adapted(input_ids=ids(), use_cache=False))
    assert forward_cost(shape, pass_over([LENGTH] * BATCH), lora).flops == pytest.approx(seen, rel=EXACT)


def lora_query_value(family: str) -> None:
    model, shape = build(family)
    lora = Lora(4, QUERY_VALUE.get(family, ("q_proj", "v_proj")))
    check(with_lora(model, lora), shape, lora)


def lora_one_target(family: str) -> None:
    model, shape = build(family)
    lora = Lora(4, VALUE.get(family, ("v_proj",)))
    check(with_lora(model, lora), shape, lora)


def lora_key_and_output(family: str) -> None:
    model, shape = build(family)
    lora = Lora(4, VALUE.get(family, ("k_proj", "o_proj")))
    check(with_lora(model, lora), shape, lora)


def all_linear(shape: ModelShape, rank: int) -> Lora:
    """PEFT's ``target_modules="all-linear"``, but for the stacked experts of a model without a shared one."""
    names = (part.name for number in range(shape.layers) for part in shape.layer(number) if part.adaptable)
    return Lora(rank, tuple(dict.fromkeys(names)))


def lora_all_linear(family: str) -> None:
    model, shape = build(family)
    stacked_experts = shape.experts and not shape.shared_intermediate
    if family == "qwen2_moe" and peft.__version__.startswith(("0.19", "0.20")):
        pytest.skip("PEFT before 0.21 refuses all-linear for Qwen2-MoE")
    adapted = with_lora(model, all_linear(shape, 4), None if stacked_experts else "all-linear")
    check(adapted, shape, all_linear(shape, 4))
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert all_linear(shape, 4).weights(shape) == trained


def lora_in_one_upper_layer(family: str) -> None:
    model, shape = build(family)
    lora = Lora(4, QUERY_VALUE.get(family, ("q_proj", "v_proj")), layers=(1,))
    check(with_lora(model, lora), shape, lora)


def full_fine_tuning(family: str) -> None:
    model, shape = build(family)
    check(model.train(), shape, Full())


def full_fine_tuning_of_the_top_layer(family: str) -> None:
    model, shape = build(family)
    for name, weight in model.named_parameters():
        weight.requires_grad_(".2." in name)
    check(model, shape, Full(layers=(2,)))


OPERATIONS = [
    prefill,
    scoring,
    padded_scoring,
    decode,
    adapted_scoring,
    lora_query_value,
    lora_one_target,
    lora_key_and_output,
    lora_all_linear,
    lora_in_one_upper_layer,
    full_fine_tuning,
    full_fine_tuning_of_the_top_layer,
]


THOROUGHLY = ("llama", "qwen2", "qwen3", "gpt2", "mixtral", "qwen3_moe")
BRIEFLY = (scoring, lora_all_linear, lora_one_target, full_fine_tuning_of_the_top_layer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda run: run.__name__)
@pytest.mark.parametrize("family", THOROUGHLY)
def test_the_closed_form_agrees_with_the_profiler(family: str, operation: Callable[[str], None]) -> None:
    operation(family)


@pytest.mark.parametrize("operation", BRIEFLY, ids=lambda run: run.__name__)
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(THOROUGHLY)))
def test_the_other_families_agree_with_the_profiler_too(family: str, operation: Callable[[str], None]) -> None:
    operation(family)


def test_the_journal_of_a_whole_inner_loop_adds_up_to_what_the_profiler_saw(tmp_path: Path) -> None:
    model, shape = build("qwen2")
    lora = Lora(4, ("q_proj", "v_proj"))
    adapted = with_lora(model, lora)
    optimizer = torch.optim.AdamW([weight for weight in adapted.parameters() if weight.requires_grad])
    seen = 0.0
    with Book.open(tmp_path / "j") as book:
        arm = book.account("seal", arm="seal", seed=0, limit=Cost(flops=1e12))
        for length in (17, 5, 9):
            quote = training_cost(shape, pass_over([length]) + Work(training=length - 1, updates=1), lora)
            with arm.under(Purpose.ADAPT).reserve("train", quote) as reservation:
                batch = ids(1, length)
                seen += counted(lambda batch=batch: adapted(input_ids=batch, labels=batch).loss.backward())
                optimizer.step()
                optimizer.zero_grad()
                reservation.settle(quote)
        for prompt, most, wanted in ((6, 8, 3), (11, 8, 5)):
            quote = forward_cost(shape, generate([prompt], [most]), lora)
            with arm.under(Purpose.SCORE).reserve("answer", quote) as reservation:
                settings = {"max_new_tokens": wanted, "min_new_tokens": wanted, "do_sample": False}
                batch = ids(1, prompt)
                ones = torch.ones_like(batch)
                seen += counted(
                    lambda b=batch, o=ones, s=settings: adapted.generate(input_ids=b, attention_mask=o, **s)
                )
                reservation.settle(forward_cost(shape, generate([prompt], [wanted]), lora))
    spent = verify(tmp_path / "j").totals.spent
    optimizer_steps = 3 * OPTIMIZER_FLOPS_PER_WEIGHT * lora.weights(shape)
    assert (spent.flops or 0) - optimizer_steps == pytest.approx(seen, rel=EXACT)
    assert (spent.updates, spent.tokens_generated) == (3, 8)


def test_every_family_that_has_a_price_is_profiled() -> None:
    """Here, or as a row of docs/models.md: tests/model/test_models_page.py runs those that are not here."""
    assert set(FAMILIES) <= set(shapes.FAMILIES)


def test_a_shared_prefix_is_charged_once() -> None:
    model, shape = build("qwen3")
    prefix, suffixes, keyword = ids(1, 11), ids(BATCH, 6), cache_keyword(model)

    def run() -> None:
        cache = model(input_ids=prefix, logits_to_keep=0, use_cache=True)[keyword]
        cache.batch_repeat_interleave(BATCH)
        output = model(input_ids=suffixes, **{keyword: cache}, logits_to_keep=1)
        for _ in range(NEW - 1):
            token = output.logits[:, -1:].argmax(-1)
            output = model(input_ids=token, **{keyword: output[keyword]})

    work = generate([17] * BATCH, [NEW] * BATCH, shared_prefix=11)
    head_of_the_prefix = 2.0 * shape.head_weights * 11  # logits_to_keep=0 means all of them to transformers
    assert (forward_cost(shape, work).flops or 0) + head_of_the_prefix == pytest.approx(counted(run), rel=EXACT)
    assert work.positions == 11 + BATCH * 6 + BATCH * (NEW - 1)


def test_a_rectangular_batch_is_charged_for_its_padding_and_its_longest_row() -> None:
    model, shape = build("llama")
    lengths = [4, 9, LENGTH]
    mask = torch.tensor([[0] * (LENGTH - length) + [1] * length for length in lengths])
    settings = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}
    seen = counted(lambda: model.generate(input_ids=ids(), attention_mask=mask, **settings))
    cost = forward_cost(shape, generate(lengths, [2, 3, NEW], rectangular=True))
    assert cost.flops == pytest.approx(seen, rel=EXACT)
    assert (cost.tokens_generated, cost.tokens_real, cost.tokens_padded) == (10, 30 + 7, 3 * LENGTH + 3 * (NEW - 1))


@pytest.mark.parametrize("targets", [("lm_head",), ("q_proj", "lm_head")])
def test_an_adapter_on_the_head_is_priced(targets: tuple[str, ...]) -> None:
    model, shape = build("llama")
    check(with_lora(model, Lora(4, targets)), shape, Lora(4, targets))
