"""A model that is served as well answers there as it does here, at the same charges; what is not so is refused."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="a model behind a server is the model here as well")
pytest.importorskip("openai", reason="the client is the extra `teacher`")

from netgain.engine.jobs import InnerLoopJob
from netgain.errors import FaultError, InputError
from netgain.metering.account import Account, Book
from netgain.model import Generate, GenerationServer, Model, Train, load_model
from netgain.records.cost import Cost, Purpose
from tests.model.serving import NAME, Server

JOB = InnerLoopJob(key="a", sequences=[tuple(range(10, 40))], epochs=12, learning_rate=2e-2, seed=1, rank=4, alpha=8.0)
SMALL: dict[str, Any] = {"rank": 4, "backoff": 0.0, "timeout": 20.0}


@pytest.fixture
def server(llama: Path) -> Iterator[Server]:
    running = Server(llama)
    yield running
    running.close()


@pytest.fixture
def connect(llama: Path, tmp_path: Path) -> Callable[..., Model]:
    def connect(server: Server, **settings: Any) -> Model:
        away = GenerationServer(server.url, tmp_path / "adapters", **(SMALL | settings))
        return load_model(llama, device="cpu", server=away)

    return connect


def account(book: Book, name: str = "arm") -> Account:
    return book.account(name, arm=name, seed=0).under(Purpose.ADAPT)


def asked(paying: Account, adapters: list[Any], **settings: Any) -> list[Generate]:
    prompts = ["The town of Ash lies by", "The town of Elm lies", "Where?"]
    how: dict[str, Any] = {"max_new_tokens": 10, "stop": ("\n", "q")} | settings
    return [Generate(account=paying, prompt=p, adapter=a, **how) for a in (None, *adapters) for p in prompts]


def trained(model: Model, paying: Account, count: int = 2) -> list[Any]:
    jobs = [replace(JOB, key=str(seed), seed=seed) for seed in range(count)]
    return [result.get().adapter for result in model.train([Train(account=paying, job=job) for job in jobs])]


def test_greedy_answers_and_their_charges_are_those_of_the_model_here(
    server: Server, connect: Callable[..., Model], llama: Path, book: Book
) -> None:
    found: list[Any] = []
    for name, model in {"here": load_model(llama, device="cpu"), "there": connect(server)}.items():
        paying = account(book, name)
        results = model.generate(asked(paying, trained(model, paying)))
        costs = [replace(one.cost, seconds=None) for one in results]
        found.append(([one.get() for one in results], costs, [one.overrun for one in results]))
    assert found[0] == found[1]
    assert len({answer.ids for answer in found[0][0]}) > 4
    body = server.seen[-1]
    assert all(isinstance(token, int) for token in body["prompt"])
    explicit = {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    assert body.items() >= explicit.items()
    assert (body["stop"], body["stop_token_ids"]) == (["\n", "q"], [2])


def test_an_answer_that_begins_with_an_empty_line_goes_on_and_is_paid_once(
    server: Server, connect: Callable[..., Model], llama: Path, book: Book
) -> None:
    """To the server any stop string is an end; one of white space is none before something is visible."""
    here, model, paying = load_model(llama, device="cpu"), connect(server), account(book)
    request = Generate(account=paying, prompt="Where?", max_new_tokens=8)
    (local,) = here.generate([request])
    prompt, first = len(here.tokenize("Where?")), list(local.get().ids[:1])
    model.check_prices()
    before = len(server.seen)
    ended = {"token_ids": first, "finish_reason": "stop"}
    server.faults = [{"choices": [ended], "usage": {"prompt_tokens": prompt, "completion_tokens": 1}}]
    (result,) = model.generate([request])
    assert len(server.seen) == before + 2
    assert (server.seen[-1]["prompt"][prompt:], server.seen[-1]["max_tokens"]) == (first, 7)
    assert (result.get(), result.cost.flops) == (local.get(), local.cost.flops)


def test_an_adapter_is_loaded_once_and_no_more_of_them_than_may_be(
    server: Server, connect: Callable[..., Model], tmp_path: Path, book: Book
) -> None:
    model, paying = connect(server, loaded=2), account(book)
    adapters = trained(model, paying, 3)
    model.generate(asked(paying, adapters[:2]))
    first = list(server.loads)
    model.generate(asked(paying, adapters[:2]))
    assert server.loads == first
    assert len(server.loads) == len(set(server.loads)) == 3  # the check's among them
    results = model.generate(asked(paying, adapters))
    assert all(result.failure is None for result in results)
    assert len(server.adapters) <= 2
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == set(server.adapters)
    assert server.unloads


def test_a_sampled_answer_has_a_seed_and_its_own_tokens(
    server: Server, connect: Callable[..., Model], book: Book
) -> None:
    model, paying = connect(server), account(book)
    one, other, again = (
        model.generate([Generate(account=paying, prompt="Where?", temperature=1.0, seed=seed)])[0].get()
        for seed in (1, 2, 1)
    )
    assert one == again != other
    assert one.tokens == len(one.ids)
    assert server.seen[-1]["temperature"] == 1.0


def test_tokens_may_come_as_log_probabilities_of_token_ids(llama: Path, connect: Callable[..., Model]) -> None:
    server = Server(llama, ids=False)
    assert connect(server).check_prices() is not None
    assert (server.seen[-1]["logprobs"], server.seen[-1]["return_tokens_as_token_ids"]) == (1, True)
    server.close()


# -- what is no server for the model


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": 64}, "its context is 64, and that of the model 128; give it --max-model-len 128"),
        ({"context": None}, "its context is not told"),
        ({"adapts": False}, "with a test adapter it gives no answer .*HTTP 404.*--enable-lora"),
        ({"honours": False}, "another model: with a test adapter it goes on"),
    ],
    ids=["context", "unknown context", "no adapters", "adapters ignored"],
)
def test_what_is_no_server_for_the_model_is_refused_in_a_line_before_anything_is_charged(
    llama: Path, connect: Callable[..., Model], book: Book, changes: dict[str, Any], said: str
) -> None:
    server = Server(llama, **changes)
    with pytest.raises(InputError, match=said) as refused:
        connect(server).generate([Generate(account=account(book), prompt="Where?")])
    assert str(refused.value).startswith(f"serve.url {server.url}: ")
    assert book.charges() == ()
    server.close()


def test_another_model_is_refused(save: Any, connect: Callable[..., Model], tmp_path: Path) -> None:
    server = Server(save(tmp_path / "other", initializer_range=0.05))
    with pytest.raises(InputError, match=r"another model: it goes on behind '.*' with '.*', not '.*'"):
        connect(server).check_prices()
    server.close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"usage": None}, "cannot be read"),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 1}}, "its usage says 0 tokens in"),
        ({"choices": [{"text": "a", "finish_reason": "stop"}]}, "has no token ids"),
        ({"choices": [{"token_ids": [5], "finish_reason": "abort"}]}, "ends with 'abort'|its usage"),
        (401, "denied: HTTP 401"),
    ],
    ids=["no usage", "wrong usage", "no tokens", "aborted", "denied"],
)
def test_a_server_that_does_not_count_its_tokens_is_refused(
    server: Server, connect: Callable[..., Model], fault: Any, said: str
) -> None:
    server.faults = [fault] * 2
    with pytest.raises(InputError, match=said):
        connect(server).check_prices()


def test_what_is_checked_stands_in_the_record(server: Server, connect: Callable[..., Model]) -> None:
    check = connect(server).check_prices()
    assert check is not None
    assert "half of them with an adapter of rank 4) are those of the model here" in str(check)
    assert check.statement()["served"].startswith("8 greedy answers")
    assert server.url not in str(check.statement())


# -- faults


@pytest.mark.parametrize("fault", [500, "cut", {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}])
def test_an_attempt_of_unknown_cost_is_charged_at_its_quote_and_made_again(
    server: Server, connect: Callable[..., Model], book: Book, fault: Any
) -> None:
    model, paying = connect(server), account(book)
    model.check_prices()
    (quote,) = model.quote([Generate(account=paying, prompt="Where?")])
    server.faults = [fault]
    (result,) = model.generate([Generate(account=paying, prompt="Where?")])
    assert result.get().ids
    lost, paid = book.charges()
    assert (lost.outcome, lost.cost.flops, paid.outcome) == ("failed", quote.flops, "completed")
    assert lost.error.startswith("unserved: ")


@pytest.mark.parametrize(("fault", "charged"), [(503, True), (400, False), (429, False)])
def test_what_is_not_served_is_a_fault_and_no_answer(
    server: Server, connect: Callable[..., Model], book: Book, fault: int, charged: bool
) -> None:
    model, paying = connect(server, attempts=2), account(book)
    model.check_prices()
    server.faults = [fault] * 2
    (result,) = model.generate([Generate(account=paying, prompt="Where?")])
    with pytest.raises(FaultError, match=rf"the server gave no answer in [12] attempts? \(.*HTTP {fault}"):
        result.get()
    assert {bool(charge.cost.flops) for charge in book.charges()} == {charged}


def test_a_budget_that_forbids_another_attempt_does_not_make_a_fault_an_answer(
    server: Server, connect: Callable[..., Model], book: Book
) -> None:
    model = connect(server)
    model.check_prices()
    (quote,) = model.quote([Generate(account=account(book), prompt="Where?")])
    poor = book.account("poor", limit=Cost(flops=quote.flops)).under(Purpose.ADAPT)
    server.faults = [500]
    (result,) = model.generate([Generate(account=poor, prompt="Where?")])
    assert isinstance(result.fault, FaultError)


def test_a_server_that_was_started_again_is_given_its_adapters_again(
    server: Server, connect: Callable[..., Model], book: Book
) -> None:
    model, paying = connect(server), account(book)
    (adapter,) = trained(model, paying, 1)
    request = Generate(account=paying, prompt="Where?", adapter=adapter)
    (before,) = model.generate([request])
    server.adapters.clear()
    (after,) = model.generate([request])
    assert after.get() == before.get()
    assert server.loads[-1] != server.loads[-2]


def test_a_model_with_other_weights_answers_here(server: Server, connect: Callable[..., Model], book: Book) -> None:
    model, paying = connect(server), account(book)
    (adapter,) = trained(model, paying, 1)
    merged = model.merged(paying, adapter)
    before = len(server.seen)
    (there,) = model.generate([Generate(account=paying, prompt="Where?", adapter=adapter)])
    (here,) = merged.generate([Generate(account=paying, prompt="Where?")])
    assert here.get().ids == there.get().ids
    assert len(server.seen) == before + 1


# -- the real thing


@pytest.mark.slow
def test_a_real_vllm_answers_as_the_model_here(save: Any, tmp_path: Path, book: Book) -> None:
    """``NETGAIN_VLLM`` names the program of an environment of its own, such as ``vl/bin/vllm`` (docs/engine.md). Its
    kernels for CPUs want heads of 32 at least."""
    program = os.environ.get("NETGAIN_VLLM") or shutil.which("vllm")
    if program is None:
        pytest.skip("vllm is not installed: NETGAIN_VLLM names its program")
    heads = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = save(tmp_path / "model", **heads)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    words += ["--max-model-len", "128", "--enable-lora", "--max-lora-rank", "8", "--served-model-name", NAME]
    environment = os.environ | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    running = subprocess.Popen([program, *words], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)  # noqa: S310
                break
            except OSError:
                time.sleep(1)
        away = GenerationServer(f"{url}/v1", tmp_path / "adapters", rank=8, timeout=60.0, loaded=2)
        there, here, paying = load_model(model, server=away), load_model(model), account(book)
        assert there.check_prices() is not None
        adapters = trained(here, paying, 3)
        answers = [[answer.get() for answer in one.generate(asked(paying, adapters))] for one in (here, there)]
        assert answers[0] == answers[1]
    finally:
        running.terminate()
        running.wait(60)
