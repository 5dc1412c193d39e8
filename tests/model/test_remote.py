"""A model behind a server: every attempt is booked, every fault is a recorded failure with its cost, no key leaks.

Faults come from a small proxy on loopback. Behind it stands either a canned answer or a real ``transformers serve``.
"""

import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="the client is the extra `teacher`")

from netgain.errors import InputError
from netgain.metering.account import Account, Book
from netgain.model import Generate, Message, Model, Score, remote_model, scripted_model
from netgain.model.remote import TokenPrices
from netgain.records.chain import read
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Noted

pytestmark = pytest.mark.contract
KEY = "sk-CANARY-5f1d0c7e"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
GOOD = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a river"}}],
    "usage": USAGE,
}
PRICES = TokenPrices(dollars_in=1.0, dollars_out=4.0, source="this test")


class Proxy:
    """A server on loopback: one queued fault for each request, then what is behind it."""

    def __init__(self, behind: str | None = None) -> None:
        self.behind, self.faults, self.seen = behind, list[str](), list[dict[str, Any]]()
        self.keys: list[str] = []
        self.good: Any = GOOD
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.seen.append(json.loads(body))
                proxy.keys.append(self.headers["Authorization"])
                fault = proxy.faults.pop(0) if proxy.faults else ""
                if fault == "hang":
                    proxy.release.wait(20)
                elif fault == "cut":
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif fault.startswith("status"):
                    message = f"no: {self.headers['Authorization']}"
                    self._say(int(fault.split()[1]), json.dumps({"error": {"message": message}}))
                elif fault:
                    self._say(200, fault)
                elif proxy.behind is None:
                    self._say(200, json.dumps(proxy.good))
                else:
                    self._forward(body)

            def _forward(self, body: bytes) -> None:
                headers = {"Content-Type": "application/json"}
                address = proxy.behind + self.path.removeprefix("/v1")
                request = urllib.request.Request(address, body, headers)  # noqa: S310
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                        self._say(answer.status, answer.read().decode())
                except urllib.error.HTTPError as error:
                    self._say(error.code, error.read().decode())

            def _say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None: ...

        return Handler


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm", arm="arm", seed=0, limit=Cost(dollars=1.0)).under(Purpose.TEACH)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    monkeypatch.setenv("CANARY_KEY", KEY)

    def connect(proxy: Proxy, **settings: Any) -> Model:
        wanted = {"prices": PRICES, "api_key_env": "CANARY_KEY", "backoff": 0.0, "timeout": 5.0} | settings
        return remote_model("m", base_url=proxy.url, **wanted)

    return connect


def ask(account: Account, **settings: Any) -> list[Generate]:
    return [Generate(account=account, prompt="Where?", max_new_tokens=5, **settings)]


def test_an_answer_costs_the_tokens_that_the_server_counted(
    proxy: Proxy, connect: Callable[..., Model], account: Account
) -> None:
    (result,) = connect(proxy).generate(ask(account, stop=("er",), seed=3))
    assert (result.get().text, result.get().tokens, result.get().finish) == ("a riv", 3, "stop")
    assert (result.cost.tokens_real, result.cost.tokens_generated, result.cost.dollars) == (7, 3, 19e-6)
    assert (result.cost.flops, result.cost.seconds, result.estimated) == (None, None, "")
    assert proxy.seen[0]["messages"] == [{"role": "user", "content": "Where?"}]
    assert (proxy.seen[0]["max_tokens"], proxy.seen[0]["stop"]) == (5, ["er"])
    assert proxy.keys == [f"Bearer {KEY}"]


def test_a_stop_string_of_white_space_is_looked_for_here(
    proxy: Proxy, connect: Callable[..., Model], account: Account
) -> None:
    """A server would end an answer that begins with an empty line before it has said anything."""
    (result,) = connect(proxy).generate(ask(account, stop=("\n", " r", "nothing")))
    assert (result.get().text, result.get().finish) == ("a", "stop")
    assert proxy.seen[0]["stop"] == [" r", "nothing"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("status 500", "server"),
        ("hang", "timeout"),
        ("cut", "server"),
        ("no JSON", "malformed"),
        ("[1, 2]", "malformed"),
        ('{"choices": []}', "malformed"),
        ('{"object": "error"}', "malformed"),
    ],
)
def test_a_fault_is_a_recorded_failure_at_its_whole_quote(
    proxy: Proxy, connect: Callable[..., Model], account: Account, fault: str, kind: str
) -> None:
    proxy.faults = [fault]
    model = connect(proxy, attempts=1, timeout=0.5 if fault == "hang" else 5.0)
    (quote,) = model.quote(ask(account))
    (result,) = model.generate(ask(account))
    assert result.failure is not None
    assert result.failure.kind == kind
    (charge,) = account.book.charges()
    assert (charge.outcome, charge.cost.dollars) == ("failed", quote.dollars)
    assert charge.error.startswith(kind)
    assert result.estimated == "bounded by its quote"


def test_every_attempt_is_a_charge_of_its_own(proxy: Proxy, connect: Callable[..., Model], account: Account) -> None:
    proxy.faults = ["status 500", "status 429"]
    (result,) = connect(proxy).generate(ask(account))
    assert result.get().text == "a river"
    charges = account.book.charges()
    assert [charge.outcome for charge in charges] == ["failed", "failed", "completed"]
    assert [charge.reservation for charge in charges] == list(result.charges)
    assert (charges[0].cost.dollars or 0) > 0
    assert charges[1].cost.dollars == 0
    assert len(proxy.seen) == 3


def test_attempts_end(proxy: Proxy, connect: Callable[..., Model], account: Account) -> None:
    proxy.faults = ["status 503"] * 9
    (result,) = connect(proxy, attempts=3).generate(ask(account))
    assert (len(proxy.seen), len(result.charges)) == (3, 3)


@pytest.mark.parametrize(("status", "kind"), [(400, "refused"), (401, "denied"), (403, "denied"), (404, "denied")])
def test_a_request_that_the_server_does_not_take_is_not_tried_again(
    proxy: Proxy, connect: Callable[..., Model], account: Account, status: int, kind: str
) -> None:
    proxy.faults = [f"status {status}"]
    (result,) = connect(proxy).generate(ask(account))
    assert result.failure is not None
    assert (result.failure.kind, result.cost.dollars, len(proxy.seen)) == (kind, 0, 1)


def test_a_server_that_is_not_there_costs_nothing(account: Account) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = remote_model("m", base_url=f"http://127.0.0.1:{port}/v1", prices=PRICES, attempts=2, backoff=0.0)
    (result,) = model.generate(ask(account))
    assert result.failure is not None
    assert (result.failure.kind, len(result.charges), result.cost.dollars) == ("unreachable", 2, 0)


@pytest.mark.parametrize("usage", [None, USAGE | {"completion_tokens": 0}, USAGE | {"prompt_tokens": -1}])
def test_tokens_that_nobody_counted_are_estimated_and_marked(
    proxy: Proxy, connect: Callable[..., Model], account: Account, tmp_path: Path, usage: Any
) -> None:
    proxy.good = GOOD | {"usage": usage}
    (result,) = connect(proxy).generate(ask(account))
    assert result.get().text == "a river"
    assert "4.6 characters a token" in result.estimated
    assert (result.cost.tokens_generated or 0) > 0
    account.book.close()
    notes = [record.event for record in read(tmp_path / "journal").records if isinstance(record.event, Noted)]
    assert notes[-1].data["charge"] == result.charges[0]


def test_an_answer_without_text_is_malformed_and_paid_by_its_usage(
    proxy: Proxy, connect: Callable[..., Model], account: Account
) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None}}
    proxy.good = GOOD | {"choices": [choice]}
    (result,) = connect(proxy, attempts=1).generate(ask(account))
    assert result.failure is not None
    assert (result.failure.kind, result.cost.dollars) == ("malformed", 19e-6)


def test_the_key_reaches_no_record_log_error_or_repr(
    proxy: Proxy,
    connect: Callable[..., Model],
    account: Account,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy.faults = ["status 401", "status 500", "cut", f"not JSON {KEY}"]
    model = connect(proxy, attempts=1)
    results = [model.generate(ask(account))[0] for _ in range(4)]
    assert "[key]" in str(results[0].failure)
    proxy.good = json.loads(json.dumps(GOOD).replace("a river", f"it is {KEY}"))
    results += model.generate(ask(account))
    with pytest.raises(ValueError) as error:
        results[0].get()
    account.book.close()
    backend = model._Model__backend  # type: ignore[attr-defined]
    shown = [repr(model), repr(results), repr(vars(backend)), str(error.value), caplog.text, *capfd.readouterr()]
    assert KEY not in "".join(shown)
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(proxy.keys) == 5


def test_a_key_given_in_place_of_its_variables_name_is_not_repeated(proxy: Proxy) -> None:
    with pytest.raises(InputError) as error:
        remote_model("m", base_url=proxy.url, api_key_env=KEY)
    assert KEY not in str(error.value)
    with pytest.raises(InputError, match="without a name and password"):
        remote_model("m", base_url=f"http://user:{KEY}@127.0.0.1/v1")


def test_flops_are_unknown_unless_they_are_declared_and_then_marked(
    proxy: Proxy, connect: Callable[..., Model], book: Book, tmp_path: Path
) -> None:
    account = book.account("free").under(Purpose.TEACH)
    assert connect(proxy).generate(ask(account))[0].cost.flops is None
    declared = TokenPrices(active_parameters=1e9)
    assert connect(proxy, prices=declared).generate(ask(account))[0].cost.flops == 2e9 * 10
    book.close()
    notes = [record.event.data for record in read(tmp_path / "journal").records if isinstance(record.event, Noted)]
    assert [data["flops"] is None for data in notes] == [True, False]
    assert str(notes[1]["flops"]).startswith("declared")


def test_a_price_that_nobody_knows_does_not_fit_a_budget_in_dollars(
    proxy: Proxy, connect: Callable[..., Model], account: Account
) -> None:
    with pytest.raises(Exception, match="unknown amount dollars"):
        connect(proxy, prices=TokenPrices()).generate(ask(account))
    assert proxy.seen == []


def test_a_remote_model_says_what_it_cannot_do(proxy: Proxy, connect: Callable[..., Model], account: Account) -> None:
    model = connect(proxy)
    with pytest.raises(InputError, match="generates only"):
        model.score([Score(account=account, prompt="a", continuation="b")])
    with pytest.raises(InputError, match="takes none"):
        model.generate(ask(account, adapter="x"))
    with pytest.raises(InputError, match="server only"):
        model.tokenize("a")


@pytest.mark.parametrize("place", [0, 1])
def test_an_answer_that_is_to_be_held_to_a_form_is_refused_before_anything_is_asked_or_spent(
    proxy: Proxy, connect: Callable[..., Model], account: Account, place: int
) -> None:
    requests = ask(account) * 2
    requests[place] = replace(requests[place], form=(("yes", "no"),))
    said = r"held to a form; leave constrained \(or form\) out, or use a local model$"
    for model in (connect(proxy), scripted_model(lambda request: "yes")):
        with pytest.raises(InputError, match=said):
            model.generate(requests)
    assert not proxy.seen
    assert not account.book.charges()


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory, save: Callable[..., Path]) -> Iterator[tuple[str, str]]:
    """(address, model name) of a ``transformers serve`` with a small random model."""
    if not all(importlib.util.find_spec(name) for name in ("transformers", "torch", "fastapi", "uvicorn")):
        pytest.skip("needs a real server: pip install 'transformers[serving]'")
    serve = Path(str(importlib.import_module("transformers.cli.serve").__file__))
    if "typer.Argument(" not in serve.read_text(encoding="utf-8"):
        pytest.skip("early releases of transformers 5 serve no completions and tell no usage")
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    folder = save(tmp_path_factory.mktemp("served") / "tiny", template=template)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [str(Path(sys.executable).parent / "transformers"), "serve", "tiny", "--host", "127.0.0.1"]
    with (folder.parent / "log").open("wb") as log:  # the process has it open for itself
        process = subprocess.Popen(
            [*program, "--port", str(port), "--device", "cpu"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.parent,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder.parent / "log")
        yield f"http://127.0.0.1:{port}/v1", "tiny"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"no server after 120 s: {log.read_text()[-2000:]}")


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_real_server_answers_and_its_usage_is_booked(
    real_server: tuple[str, str], account: Account, api: Any
) -> None:
    address, name = real_server
    model = remote_model(name, base_url=address, prices=PRICES, api=api, timeout=60.0)
    prompts = ("The river", (Message("system", "Be brief."), Message("user", "Hello")))
    asked = [Generate(account=account, prompt=prompt, max_new_tokens=6) for prompt in prompts]
    first, second = model.generate(asked)
    assert first.failure is None
    assert 0 < first.get().tokens <= 6
    assert first.estimated == ""
    spoken = "<user>The river<assistant>" if api == "chat" else "The river"
    assert len(spoken) <= (first.cost.tokens_real or 0) <= len(spoken) + 1
    assert second.failure is None
    spent = account.spent(Currency.DOLLARS)
    assert spent == pytest.approx(sum(charge.cost.dollars or 0 for charge in account.book.charges()))
    assert spent > 0


def test_faults_before_a_real_server_are_paid_and_overcome(real_server: tuple[str, str], account: Account) -> None:
    address, name = real_server
    proxy = Proxy(behind=address)
    try:
        proxy.faults = ["status 500", "hang", "no JSON"]
        model = remote_model(name, base_url=proxy.url, prices=PRICES, attempts=4, timeout=3.0, backoff=0.0)
        (result,) = model.generate([Generate(account=account, prompt="The river", max_new_tokens=4)])
    finally:
        proxy.close()
    assert result.failure is None
    errors = [charge.error.split(":")[0] for charge in account.book.charges()]
    assert errors == ["server", "timeout", "malformed", ""]
    assert all((charge.cost.dollars or 0) > 0 for charge in account.book.charges())
