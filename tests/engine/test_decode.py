"""The gates of the decoders: answers are HF generate's, whoever else is in the batch, and failures stay alone."""

from typing import Any

import pytest
import torch

from netgain.engine.backend import backend_for, decoder_for
from netgain.engine.decoding import DecodeRequest
from netgain.engine.jobs import Sampling
from netgain.engine.lora import Adapter, fresh
from netgain.engine.planned import PlannedBackend
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.engine.torch_ops import TorchOps
from netgain.errors import InputError

from .small import ALL, CONTEXT, VOCABULARY, peft_model, small_model, texts

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]
KINDS = ["native", "torch", "hooks"]


def _backend(model: Any, kind: str) -> Any:
    if kind == "torch":
        return PlannedBackend(model, TorchOps())
    return backend_for(model, "hooks" if kind == "hooks" else "auto")


def _adapters(backend: Any, count: int, targets: tuple[str, ...] = ALL) -> list[Adapter]:
    found = []
    for seed in range(count):
        adapter = fresh(backend.layout(targets, 4, 8.0), seed)
        adapter.row.add_(torch.randn(adapter.row.shape, generator=torch.Generator().manual_seed(seed)) * 0.2)
        found.append(adapter)
    return found


def _requests(adapters: int, **settings: Any) -> list[DecodeRequest]:
    prompts = texts(4 * adapters, seed=8, longest=20)
    shared = texts(1, seed=9, longest=12)[0]
    return [
        DecodeRequest(
            prompt=(*shared[: 3 * (i % adapters)], *prompt),
            adapter=i % adapters,
            sampling=Sampling(**{"max_new_tokens": 12} | settings),
        )
        for i, prompt in enumerate(prompts)
    ]


def _generate(model: Any, request: DecodeRequest) -> list[int]:
    prompt = torch.tensor([list(request.prompt)])
    with torch.inference_mode():
        out = model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=request.sampling.max_new_tokens,
            min_new_tokens=request.sampling.max_new_tokens, do_sample=False, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    return [int(token) for token in out[0, prompt.shape[1] :]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gpt2"])
def test_greedy_answers_are_those_of_hf_generate_and_peft(family: str, kind: str) -> None:
    if family == "gpt2" and kind != "hooks":
        pytest.skip("GPT-2 has no plan")
    model = small_model(family)
    backend = _backend(model, kind)
    adapters = _adapters(backend, 3, ("c_attn", "c_fc") if family == "gpt2" else ALL)
    requests = _requests(3)
    answers = decoder_for(backend, rows=7).generate(requests, adapters)
    for number, adapter in enumerate(adapters):
        wrapped = peft_model(model, adapter)
        for request, answer in zip(requests, answers, strict=True):
            if request.adapter == number:
                assert list(answer.tokens) == _generate(wrapped, request)
                assert answer.finish == "length"
        wrapped.unload()


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_model_answers_beside_its_adapters(kind: str) -> None:
    model = small_model()
    backend = _backend(model, kind)
    prompt = tuple(texts(1, seed=3)[0])
    requests = [
        DecodeRequest(prompt=prompt, adapter=adapter, sampling=Sampling(max_new_tokens=10)) for adapter in (0, None, 1)
    ]
    answers = decoder_for(backend).generate(requests, _adapters(backend, 2))
    assert list(answers[1].tokens) == _generate(model, requests[1])
    alone = decoder_for(backend).generate([requests[1]])
    assert alone[0].tokens == answers[1].tokens


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_answers_do_not_depend_on_their_batch_mates(kind: str) -> None:
    backend = _backend(small_model(), kind)
    adapters = _adapters(backend, 2)
    requests = [
        DecodeRequest(
            prompt=r.prompt, adapter=r.adapter, sampling=Sampling(max_new_tokens=9, temperature=0.9, top_p=0.8, seed=i)
        )
        for i, r in enumerate(_requests(2))
    ]
    together = decoder_for(backend, rows=8).generate(requests, adapters)
    for i in (0, 3, 6):
        assert decoder_for(backend).generate([requests[i]], adapters)[0].tokens == together[i].tokens
    other = DecodeRequest(
        prompt=requests[0].prompt, adapter=0, sampling=Sampling(max_new_tokens=9, temperature=0.9, top_p=0.8, seed=77)
    )
    assert decoder_for(backend).generate([other], adapters)[0].tokens != together[0].tokens


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_ends_with_eos_or_a_stop_string_and_frees_its_row(kind: str) -> None:
    backend = _backend(small_model(), kind)
    adapters = _adapters(backend, 2)
    requests = _requests(2)
    full = decoder_for(backend).generate(requests, adapters)
    changed = list(requests)
    eos = full[0].tokens[4]
    changed[0] = DecodeRequest(prompt=requests[0].prompt, adapter=0, eos=(eos,), sampling=Sampling(max_new_tokens=12))
    stop = f"<{full[3].tokens[5]}><{full[3].tokens[6]}>"
    changed[3] = DecodeRequest(prompt=requests[3].prompt, adapter=1, sampling=Sampling(max_new_tokens=12, stop=(stop,)))
    decoder = decoder_for(backend, rows=3, text_of=lambda tokens: "".join(f"<{token}>" for token in tokens))
    answers = decoder.generate(changed, adapters)
    assert answers[0].finish == "eos"
    assert answers[0].tokens == full[0].tokens[: full[0].tokens.index(eos) + 1]
    assert answers[3].finish == "stop"
    assert len(answers[3].tokens) <= 7
    for i in (1, 2, 4, 5, 6, 7):
        assert answers[i].tokens == full[i].tokens


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_beyond_the_context_and_an_adapter_of_nans_fail_alone(kind: str) -> None:
    backend = _backend(small_model(), kind)
    adapters = _adapters(backend, 3)
    requests = _requests(3)
    clean = decoder_for(backend).generate(requests, adapters)
    adapters[1].row[:] = float("nan")
    requests[0] = DecodeRequest(prompt=(3,) * CONTEXT, adapter=0)
    requests[3] = DecodeRequest(prompt=(3, VOCABULARY), adapter=0)
    answers = decoder_for(backend).generate(requests, adapters)
    for i, (answer, request) in enumerate(zip(answers, requests, strict=True)):
        if i in (0, 3):
            assert answer.failure is not None
            assert answer.failure.kind == ("too_long" if i == 0 else "bad_token")
            assert answer.work.positions == 0
        elif request.adapter == 1:
            assert answer.failure is not None
            assert answer.failure.kind == "not_finite"
            assert answer.work.real > 0
        else:
            assert answer.tokens == clean[i].tokens


def test_an_answer_stops_at_the_end_of_the_context() -> None:
    prompt = (5,) * (CONTEXT - 3)
    for kind in KINDS:
        answer = decoder_for(_backend(small_model(), kind)).generate(
            [DecodeRequest(prompt=prompt, sampling=Sampling(max_new_tokens=50))]
        )[0]
        assert (answer.finish, len(answer.tokens)) == ("length", 3)


def test_what_all_prompts_share_is_run_and_booked_once() -> None:
    backend = backend_for(small_model())
    shared = (7, 8, 9, 10)
    requests = [
        DecodeRequest(prompt=(*shared, 20 + i, 30 + i), adapter=0, sampling=Sampling(max_new_tokens=3))
        for i in range(3)
    ]
    answers = decoder_for(backend).generate(requests, _adapters(backend, 1))
    assert [answer.work.real for answer in answers] == [4 + 2 + 2, 2 + 2, 2 + 2]
    assert [answer.work.generated for answer in answers] == [3, 3, 3]
    own = sum(4 + i for i in range(1, 5))
    assert [answer.work.context for answer in answers] == [10 + own, own, own]
    alone = decoder_for(backend).generate(requests[1:2], _adapters(backend, 1))
    assert alone[0].tokens == answers[1].tokens


@pytest.mark.parametrize("kind", ["native", "hooks"])
def test_when_memory_runs_out_the_batch_is_halved(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import netgain.engine.hooks as hooked
    import netgain.engine.planned_decode as planned

    backend = _backend(small_model(), kind)
    adapters, requests = _adapters(backend, 2), _requests(2)
    clean = decoder_for(backend).generate(requests, adapters)
    module: Any = hooked if kind == "hooks" else planned
    usual, calls = module.choose, []

    def short(logits: Any, choosers: Any) -> Any:
        calls.append(len(choosers))
        if len(choosers) > 3 and len(calls) > 3:
            raise torch.OutOfMemoryError("simulated")
        return usual(logits, choosers)

    monkeypatch.setattr(module, "choose", short)
    answers = decoder_for(backend).generate(requests, adapters)
    assert [answer.tokens for answer in answers] == [answer.tokens for answer in clean]
    assert sum(a.work.generated for a in answers) > sum(len(a.tokens) for a in answers)


def test_requests_that_make_no_sense_are_refused() -> None:
    backend = backend_for(small_model())
    with pytest.raises(InputError, match="at least one token"):
        DecodeRequest(prompt=())
    with pytest.raises(InputError, match="top_p"):
        DecodeRequest(prompt=(1,), sampling=Sampling(top_p=0.0))
    with pytest.raises(InputError, match="0 adapters"):
        decoder_for(backend).generate([DecodeRequest(prompt=(1,), adapter=0)])
    with pytest.raises(InputError, match="text_of"):
        decoder_for(backend).generate([DecodeRequest(prompt=(1,), sampling=Sampling(stop=("a",)))])
    with pytest.raises(InputError, match="at least one"):
        MultiLoraDecoder(backend, rows=0)  # type: ignore[arg-type]
