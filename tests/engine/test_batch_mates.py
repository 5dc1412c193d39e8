"""Answers, scores and training are the same alone and beside others, whatever the architecture makes of lengths."""

from typing import Any

import pytest
import torch
import transformers

from netgain.engine.decoding import DecodeRequest
from netgain.engine.hooks import HooksBackend, HooksDecoder, rope_switch, together
from netgain.engine.jobs import InnerLoopJob, Sampling, Work
from netgain.engine.scoring import Scorer, ScoreRequest
from netgain.engine.trainer import MultiLoraTrainer
from netgain.errors import InputError

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::FutureWarning")]
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 96}
SIZES |= {"num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1}
SIZES |= {"eos_token_id": 2}
LIMIT = 16
LONG: dict[str, Any] = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
LONG |= {"original_max_position_embeddings": LIMIT}
NTK = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "phi3 longrope": ("phi3", {"rope_parameters": LONG, "original_max_position_embeddings": LIMIT}),
    "llama longrope": ("llama", {"rope_parameters": LONG}),
    "llama dynamic": ("llama", {"rope_parameters": NTK}),
    "llama yarn": (
        "llama",
        {"rope_parameters": NTK | {"rope_type": "yarn", "original_max_position_embeddings": LIMIT}},
    ),
    "mistral window": ("mistral", {"sliding_window": 6}),
    "gemma2 window": ("gemma2", {"sliding_window": 6, "head_dim": 8}),
    "gemma3 window": ("gemma3_text", {"sliding_window": 6, "head_dim": 8}),
    "qwen2 window": ("qwen2", {"sliding_window": 6, "use_sliding_window": True, "max_window_layers": 1}),
    "mixtral": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gpt2": ("gpt2", {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64}),
    "gpt_neox": ("gpt_neox", {}),
    "starcoder2": ("starcoder2", {}),
}
# Shorter than the limit throughout, on the limit, across it, beyond it.
LENGTHS, NEW = (3, 9, LIMIT, 14, 21, 30), 5


def model_of(name: str) -> Any:
    family, settings = FAMILIES[name]
    torch.manual_seed(0)
    own = (
        {}
        if family == "gpt2"
        else {k: v for k, v in SIZES.items() if k != "num_key_value_heads" or family != "gpt_neox"}
    )
    shared = {key: SIZES[key] for key in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")}
    config = transformers.AutoConfig.for_model(family, **(shared | own | settings))
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    return model


def texts() -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [tuple(torch.randint(3, 96, (length,), generator=generator).tolist()) for length in LENGTHS]


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_and_scores_are_the_same_alone_and_beside_others(name: str) -> None:
    model = model_of(name)
    backend = HooksBackend(model)
    decoder, scorer = HooksDecoder(backend, rows=8), Scorer(backend, rows=8, positions=512)
    asked = [DecodeRequest(prompt=text, sampling=Sampling(max_new_tokens=NEW)) for text in texts()]
    alone = [decoder.generate([one])[0].tokens for one in asked]
    assert [one.tokens for one in decoder.generate(asked)] == alone
    for text, answer in zip(texts(), alone, strict=True):
        assert answer == greedy_from_scratch(model, text)
    scored = [ScoreRequest(text[:-2], text[-2:]) for text in texts()]
    single = [scorer.score([one])[0].value for one in scored]
    assert [one.value for one in scorer.score(scored)] == pytest.approx(single, abs=1e-4)


def greedy_from_scratch(model: Any, text: tuple[int, ...]) -> tuple[int, ...]:
    """Every token from a whole pass over the text so far, by itself: no cache, no batch, no padding."""
    tokens = list(text)
    with torch.no_grad():
        while len(tokens) < len(text) + NEW and (len(tokens) == len(text) or tokens[-1] != 2):
            tokens.append(int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    return tuple(tokens[len(text) :])


def test_phi3_answers_as_in_hugging_face_on_both_sides_of_its_limit_and_across_it() -> None:
    model = model_of("phi3 longrope")
    asked = [DecodeRequest(prompt=text, sampling=Sampling(max_new_tokens=NEW)) for text in texts()]
    for text, answer in zip(texts(), HooksDecoder(HooksBackend(model)).generate(asked), strict=True):
        ids = torch.tensor([text])
        whole = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, eos_token_id=None
        )
        assert answer.tokens == tuple(whole[0, len(text) :].tolist())


def test_reading_again_across_the_limit_is_counted() -> None:
    decoder = HooksDecoder(HooksBackend(model_of("phi3 longrope")))
    (answer,) = decoder.generate([DecodeRequest(prompt=texts()[3], sampling=Sampling(max_new_tokens=NEW))])
    assert len(answer.tokens) == NEW
    read = [14, 1, 1, LIMIT + 1, 1]  # new positions of each pass
    pairs = 14 * 14 + 15 + 16 + (LIMIT + 1) ** 2 + 18
    assert answer.work == Work(real=sum(read), positions=sum(read), context=pairs, head_positions=NEW, generated=NEW)


def test_a_long_job_does_not_change_how_a_short_one_is_trained() -> None:
    backend = HooksBackend(model_of("phi3 longrope"))
    short, long = texts()[1], texts()[5]

    def job(key: str, text: tuple[int, ...]) -> InnerLoopJob:
        targets = ("qkv_proj",)
        return InnerLoopJob(key=key, sequences=[text], epochs=3, learning_rate=1e-2, seed=1, target_modules=targets)

    def losses(*jobs: InnerLoopJob) -> dict[str, tuple[float, ...]]:
        return {one.key: one.losses for one in MultiLoraTrainer(backend, resident=4).run(jobs)}

    both = losses(job("short", short), job("long", long))
    assert both["short"] == pytest.approx(losses(job("short", short))["short"], rel=1e-6)
    assert both["long"] == pytest.approx(losses(job("long", long))["long"], rel=1e-6)


def test_only_requests_on_one_side_of_the_limit_run_together() -> None:
    rows = [
        DecodeRequest(prompt=(3,) * length, sampling=Sampling(max_new_tokens=NEW)) for length in (3, 13, 12, 17, 9, 30)
    ]
    assert together(rows, 2, 64, LIMIT) == [[0, 2], [4], [1], [3, 5]]
    assert together(rows, 4, 64, None) == [[0, 1, 2, 3], [4, 5]]


def test_a_rotary_embedding_that_nobody_knows_is_refused() -> None:
    config = model_of("llama yarn").config
    config.rope_parameters = {"rope_type": "batchwise", "rope_theta": 1e4}
    with pytest.raises(InputError, match="'batchwise': whether a row's answer depends on its batch is not known"):
        rope_switch(config, 64)
    config.rope_parameters = {"full_attention": LONG, "sliding_attention": {"rope_type": "default"}}
    assert (rope_switch(config, 64), rope_switch(config, LIMIT)) == (LIMIT, None)
