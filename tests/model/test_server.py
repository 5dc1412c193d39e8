"""No server keeps a request open for ever, fills memory, hands a key back, or is believed against the texts."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from netgain.engine.jobs import Failure
from netgain.errors import FaultError, InputError
from netgain.metering.account import Account, Book
from netgain.model import Generate, Model, remote_model
from netgain.model.requests import Result
from netgain.model.server import MOST_BYTES, RULES, Secret, check_key, kind_of, require_served, wait_asked
from netgain.records.cost import Cost, Purpose

KEY = "sk-Can'ary-\"5f1d\\0c7e91"


# -- what needs no server


def test_a_key_is_hidden_whole_in_parts_in_any_case_and_escaped() -> None:
    hide = Secret(KEY).hide
    forms = [KEY, KEY.upper(), KEY.lower(), repr(KEY)[1:-1], json.dumps(KEY)[1:-1], quote(KEY, safe="")]
    forms += [KEY[:11], KEY[11:], KEY[5:16].upper(), base64.b64encode(KEY.encode()).decode().rstrip("=")]
    for form in forms:
        assert hide(f"it is ({form}).") == "it is ([key]).", form
    assert hide("a river, and 5f1d") == "a river, and 5f1d"
    assert Secret("EMPTY").hide("an empty glass, EMPTY") == "an empty glass, [key]"
    assert Secret("").hide("anything") == "anything"


def test_what_nothing_can_write_down_is_replaced() -> None:
    assert Secret("").hide("a\ud800b \ud83d\ude00") == "a\ufffdb \N{GRINNING FACE}"


@pytest.mark.parametrize("key", ["sk-1\n", "sk 1", "sk-\N{LATIN SMALL LETTER E WITH ACUTE}", "\tsk", "sk\r\nX-A: 1"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InputError, match="environment variable CANARY_KEY: holds a line break") as error:
        check_key(key, "CANARY_KEY")
    assert "sk" not in str(error.value)


def test_every_status_has_one_rule() -> None:
    kinds = {status: kind_of(status) for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 529)}
    assert [s for s, kind in kinds.items() if RULES[kind].again] == [408, 409, 429, 500, 503, 529]
    assert [s for s, kind in kinds.items() if RULES[kind].costs == "quote"] == [500, 503, 529]
    assert [s for s, kind in kinds.items() if RULES[kind].ours] == [400, 413, 422]


def test_how_long_a_server_asks_to_wait_is_read_in_seconds_and_as_a_date() -> None:
    assert wait_asked({"retry-after": "2.5"}) == 2.5
    assert 25 < wait_asked({"retry-after": formatdate(time.time() + 30, usegmt=True)}) < 31
    assert [wait_asked({"retry-after": text}) for text in ("", "soon", "-3", "9" * 400)] == [0, 0, 0, float("inf")]


def test_a_server_that_failed_is_no_answer_and_one_that_refuses_everything_neither() -> None:
    def results(*kinds: Any) -> list[Result[Any]]:
        return [Result(None, None if kind is None else Failure(kind, "why", 3), (), Cost.zero()) for kind in kinds]

    require_served("m", results(None, "refused", "not_finite"))
    for kind, rule in RULES.items():
        with pytest.raises(ValueError if rule.ours else FaultError, match="why"):
            require_served("m", results(kind))
    with pytest.raises(FaultError, match=r"model m: gave no answer in 3 attempts \(server: why\)"):
        require_served("m", results(None, None, "server"))


# -- a server that says what it is told to, byte by byte


class Raw:
    """Sends the chunks of ``script`` to whoever connects, ``pause`` seconds apart, until the other end hangs up."""

    def __init__(self, script: Callable[[], Iterator[bytes]], pause: float = 0.0) -> None:
        self._script, self._pause, self.requests = script, pause, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.requests += 1
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        try:
            line.recv(65536)
            for chunk in self._script():
                line.sendall(chunk)
                time.sleep(self._pause)
        except OSError:
            pass
        finally:
            line.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(text: str, usage: Any = None, head: bytes = HEAD) -> Callable[[], Iterator[bytes]]:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    body = json.dumps({"id": "1", "object": "x", "created": 1, "model": "m", "choices": [message], "usage": usage})
    return lambda: iter([head + b"Content-Length: %d\r\n\r\n" % len(body), body.encode()])


@pytest.fixture
def start() -> Iterator[Callable[..., Raw]]:
    pytest.importorskip("openai", reason="the client is the extra `teacher`")
    running: list[Raw] = []

    def start(script: Callable[[], Iterator[bytes]], pause: float = 0.0) -> Raw:
        running.append(Raw(script, pause))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as book:
        yield book.account("arm", arm="arm", seed=0).under(Purpose.TEACH)


def connect(server: Raw, **settings: Any) -> Model:
    return remote_model("m", base_url=server.url, **{"backoff": 0.0, "timeout": 1.0, "attempts": 1, **settings})


def asked(model: Model, account: Account, tokens: int = 50) -> Result[Any]:
    return model.generate([Generate(account=account, prompt="Where?", max_new_tokens=tokens)])[0]


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_is_cut_off_in_the_end(start: Callable[..., Raw], account: Account, part: str) -> None:
    def drip() -> Iterator[bytes]:
        yield HEAD if part == "head" else HEAD + b"Content-Length: 100000\r\n\r\n"
        yield from (b"X-A: 1\r\n" if part == "head" else b" " for _ in range(1000))

    model, begun = connect(start(drip, 0.05), deadline=1.0), time.monotonic()
    failure = asked(model, account).failure
    assert failure is not None
    assert failure.kind == "timeout"
    assert time.monotonic() - begun < 3


def test_no_more_of_a_body_is_read_than_fits(start: Callable[..., Raw], account: Account) -> None:
    def endless() -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 3000000000\r\n\r\n"
        while True:
            yield b" " * 65536

    result = asked(connect(start(endless), timeout=20.0), account)
    assert result.failure is not None
    assert (result.failure.kind, result.failure.detail) == (
        "malformed",
        f"its body is larger than {MOST_BYTES:,} bytes",
    )


def test_an_answer_longer_than_was_asked_for_is_none(start: Callable[..., Raw], account: Account) -> None:
    result = asked(connect(start(whole("word " * 10_000))), account)
    assert result.failure is not None
    assert result.failure.detail == "the answer has 50,000 characters, although 50 tokens were asked for"


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out"), [(7, 1), (7, 0), (0, 400), (7, 900_000), (900_000, 400), (7, True)]
)
def test_a_usage_that_cannot_be_is_not_believed(
    start: Callable[..., Raw], account: Account, tokens_in: Any, tokens_out: Any
) -> None:
    class Letters:
        exact, how = True, "counted by hand"

        def count(self, texts: Any) -> list[float]:
            return [len(text) / 2 for text in texts]

    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": 1}
    model = connect(start(whole("a river. " * 200, usage)), counter=Letters())
    result = asked(model, account, tokens=500)
    assert (result.cost.tokens_real, result.cost.tokens_generated) == (3, 900)
    assert result.estimated.endswith("counted by hand")


def test_a_usage_that_can_be_is_believed(start: Callable[..., Raw], account: Account) -> None:
    usage = {"prompt_tokens": 300, "completion_tokens": 400, "total_tokens": 700}  # a template of the server's own
    result = asked(connect(start(whole("a river. " * 200, usage))), account, tokens=500)
    assert (result.cost.tokens_real, result.cost.tokens_generated, result.estimated) == (300, 400, "")


def test_a_lone_surrogate_is_replaced_at_the_door(start: Callable[..., Raw], account: Account) -> None:
    assert asked(connect(start(whole("a\ud800b"))), account).get().text == "a\ufffdb"


def test_a_server_is_asked_again_no_sooner_than_it_says(start: Callable[..., Raw], account: Account) -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0.6\r\nContent-Length: 2\r\n\r\n{}"
    server, begun = start(lambda: iter([head])), time.monotonic()
    asked(connect(server, attempts=2), account)
    assert time.monotonic() - begun > 0.6
    assert server.requests == 2
    never = start(lambda: iter([head.replace(b"0.6", b"86400")]))
    assert asked(connect(never, attempts=5), account).failure is not None
    assert never.requests == 1


def test_a_key_with_a_line_break_is_refused_before_anything_is_charged(
    start: Callable[..., Raw], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", "sk-1234567\n")
    server = start(whole("a"))
    with pytest.raises(InputError, match="CANARY_KEY"):
        connect(server, api_key_env="CANARY_KEY")
    assert (server.requests, account.book.charges()) == (0, ())


def test_a_key_that_a_server_echoes_in_pieces_reaches_no_record(
    start: Callable[..., Raw], account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    error = json.dumps({"error": {"message": f"{KEY!r} and {KEY.upper()}"}}).encode()
    bad = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(error) + error
    echo = whole(f"{KEY[:12]} | {KEY[12:]} | {KEY.upper()}")
    results = [asked(connect(start(s), api_key_env="CANARY_KEY"), account) for s in (echo, lambda: iter([bad]))]
    account.book.close()
    kept = (repr(results) + (tmp_path / "journal").read_text(encoding="latin-1")).lower()
    assert not [part for part in (KEY[i : i + 8].lower() for i in range(len(KEY) - 7)) if part in kept]
    assert results[0].get().text == "[key] | [key] | [key]"
