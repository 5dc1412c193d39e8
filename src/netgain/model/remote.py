"""Any OpenAI-compatible server behind the metered door, through the package ``openai`` (the extra ``teacher``).

Every attempt is reserved and booked on its own: the client's silent retries are off. What an attempt cost:

- an answer with a usage count that can be: those tokens
- an answer without one (or with one that cannot be): tokens counted from the texts, or estimated, marked as such
- no connection, or a request that the server does not take (4xx): nothing
- an error of the server (5xx), no answer in time, an answer that cannot be read: nobody says how much was done, so the
  whole quote. It bounds the prompt by its bytes (a token has at least one) and the answer by ``max_new_tokens``

``RULES`` in :mod:`netgain.model.server` says what is tried again, with what pauses, and what it costs.

The key comes from an environment variable only. It is kept in the client, and taken out of every text that comes back,
in whatever case or escaping, and in parts.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, Literal, final
from urllib.parse import urlsplit

from netgain.domains.problem import Prompt, text_of
from netgain.engine.jobs import Failure, RemoteKind, Work
from netgain.errors import InputError, MissingExtraError, is_fault
from netgain.metering.price import declared_flops
from netgain.metering.rates import api_price
from netgain.model.metered import Model
from netgain.model.requests import Adapter, Answered, Done, Finish, Generate, Part, Request
from netgain.model.server import (
    LONGEST_PAUSE,
    LONGEST_WAIT,
    RULES,
    BodyTooLarge,
    BoundedTransport,
    Secret,
    check_key,
    kind_of,
    undrawn,
    wait_asked,
)
from netgain.records.cost import Cost
from netgain.records.identity import identity
from netgain.streams import stream
from netgain.tokens import EstimatedTokens, TokenCounter

TURN = 16  # tokens that a server's template may add to a turn of a conversation
TEMPLATE = 1024  # tokens that a server may put before a prompt of its own accord
LONGEST_TOKEN = 64  # bytes of a text for each of its tokens, at most, on the average
LONGEST_DETAIL = 500
HINT = "give the name of the variable, never the key itself"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """What a remote model's tokens cost. Its FLOPs and device seconds are known to its server only, and unknown here.

    ``dollars_in`` and ``dollars_out`` are dollars for a million tokens, and ``source`` says where they are from; where
    both are None, the price list of the extra ``prices`` is asked for ``listed`` (a model's name there, at
    ``provider``), and without that dollars are unknown. ``active_parameters`` declares how many weights a token meets:
    FLOPs are then an estimate, which the record says.
    """

    dollars_in: float | None = None
    dollars_out: float | None = None
    source: str = ""
    listed: str = ""
    provider: str | None = None
    active_parameters: float | None = None
    timed: bool = False

    def cost(self, part: Part) -> Cost:
        """Tokens, with dollars and declared FLOPs where these are known."""
        work = part.work
        tokens = work.positions + work.generated
        return Cost(
            updates=0.0,
            tokens_real=work.real,
            tokens_padded=work.positions,
            tokens_training=0.0,
            tokens_generated=work.generated,
            flops=None if self.active_parameters is None else declared_flops(self.active_parameters, tokens),
            dollars=self._dollars(work.positions, work.generated),
        )

    def _dollars(self, tokens_in: float, tokens_out: float) -> float | None:
        if self.dollars_in is not None and self.dollars_out is not None:
            return (tokens_in * self.dollars_in + tokens_out * self.dollars_out) / 1e6
        if not self.listed:
            return None
        return api_price(self.listed, round(tokens_in), round(tokens_out), provider=self.provider).dollars

    @property
    def shape(self) -> None:
        """Nobody knows it."""

    def statement(self) -> dict[str, Any]:
        """The prices, and that FLOPs are declared where they are."""
        known: dict[str, Any] = {"dollars_per_million_in": self.dollars_in, "dollars_per_million_out": self.dollars_out}
        if self.dollars_in is None and self.listed:
            known |= {"dollars": api_price(self.listed, 1, 1, provider=self.provider).source}
        declared = None if self.active_parameters is None else "declared: 2 x active parameters x tokens"
        return {**known, "source": self.source, "flops": declared, "active_parameters": self.active_parameters}


def remote_model(
    model: str,
    *,
    base_url: str,
    api_key_env: str | None = None,
    prices: TokenPrices | None = None,
    api: Literal["chat", "completions"] = "chat",
    timeout: float = 60.0,
    deadline: float | None = None,
    attempts: int = 5,
    concurrency: int = 8,
    counter: TokenCounter | None = None,
    backoff: float = 1.0,
) -> Model:
    """The model called ``model`` at the server ``base_url`` (such as ``http://127.0.0.1:8000/v1``), metered.

    ``api_key_env`` names the environment variable that holds the key (None: the server wants none). A request is tried
    up to ``attempts`` times where another attempt may help, ``backoff`` seconds apart, doubling up to a minute, give or
    take a quarter, and no sooner than the server asks for. An attempt ends after ``timeout`` seconds without a byte,
    and after ``deadline`` seconds in all (None: twice that). Up to ``concurrency`` requests run at a time. ``prices``
    gives dollars and, as a declaration, FLOPs; both are unknown without it. ``counter`` counts tokens where the server
    does not, or tells what cannot be (None: by estimate).

    It generates; it neither scores nor trains. Raises MissingExtraError without the package, InputError for a variable
    that is not set or holds no key, an address that is none, or counts that make no sense.
    """
    deadline = 2 * timeout if deadline is None else deadline
    if attempts < 1 or concurrency < 1 or not (isfinite(timeout) and timeout > 0 and isfinite(deadline)):
        told = f"attempts {attempts}, concurrency {concurrency}, timeout {timeout}, deadline {deadline}"
        raise InputError(told, "all must be above 0 and finite")
    if deadline < timeout:
        raise InputError(f"deadline {deadline:g}", f"is less than timeout {timeout:g}", "leave it out, or make it more")
    library, client, secret = connect(base_url, api_key_env, timeout, deadline)
    backend = _Remote(model, library, client, secret, api, attempts, concurrency, counter or EstimatedTokens())
    return Model(backend, prices or TokenPrices(), attempts=attempts, pause=pause_by(backoff))


def connect(base_url: str, api_key_env: str | None, timeout: float, deadline: float) -> tuple[Any, Any, Secret]:
    """The package ``openai``, a client of it for a server, and what hides its key. Nothing is sent, and nothing will be
    tried twice. Raises as :func:`remote_model` does."""
    try:
        import openai
    except ImportError as missing:
        raise MissingExtraError("a model behind an OpenAI-compatible server", "teacher") from missing
    if urlsplit(base_url).scheme not in ("http", "https") or urlsplit(base_url).username:
        raise InputError("base_url", "is no http(s) address without a name and password in it", HINT)
    key = _key(api_key_env)
    http = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    transport = BoundedTransport(http, base_url, deadline)
    sender = http.Client(transport=transport, follow_redirects=True, max_redirects=3)
    how: dict[str, Any] = {"max_retries": 0, "timeout": timeout, "http_client": sender}
    return openai, openai.OpenAI(base_url=base_url, api_key=key or "none", **how), Secret(key)


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "")
    shown = variable if variable.isidentifier() else "api_key_env"
    if not key:
        raise InputError(f"environment variable {shown}", "is not set", HINT)
    return check_key(key, shown)


def pause_by(backoff: float) -> Callable[[int, float], None]:
    """A wait between attempts that doubles from ``backoff`` seconds, and is no shorter than what a server asked for."""

    def pause(attempts: int, asked: float) -> None:
        pause = min(LONGEST_PAUSE, backoff * 2 ** (attempts - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        time.sleep(max(pause, asked))

    return pause


@final
@dataclass(frozen=True, slots=True)
class _Said:
    """The server's answer as it came, not yet validated."""

    text: object
    finish: object
    tokens_in: object
    tokens_out: object


@final
class _Remote:
    def __init__(
        self,
        model: str,
        library: Any,
        client: Any,
        secret: Secret,
        api: Literal["chat", "completions"],
        attempts: int,
        concurrency: int,
        counter: TokenCounter,
    ) -> None:
        self.name, self._library, self._client, self._api = model, library, client, api
        self._hide = secret.hide
        self._attempts, self._concurrency, self._counter = attempts, concurrency, counter

    def __repr__(self) -> str:
        return f"remote model {self.name!r}"

    @property
    def digest(self) -> str:
        """By name: nobody but its server knows its weights."""
        return identity("model", {"remote": self.name})

    @property
    def fingerprint(self) -> str:
        """There are no weights here."""
        return ""

    @property
    def ends(self) -> tuple[int, ...]:
        """Unknown here."""
        return ()

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        """Bounds on one attempt at each request."""
        known = [self._checked(request) for request in requests]
        return [(_part(_bytes(request.prompt), request.max_new_tokens),) for request in known]

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        """All requests once, several at a time."""
        with ThreadPoolExecutor(min(self._concurrency, max(1, len(requests)))) as pool:
            asked = [pool.submit(self._try, place, self._checked(one), attempt) for place, one in enumerate(requests)]
            try:
                for ended in as_completed(asked):
                    yield ended.result()
            finally:
                for one in asked:
                    one.cancel()

    def _checked(self, request: Request) -> Generate:
        """The same. Raises InputError for what no server is asked for: a quote does, so nothing has been spent."""
        if not isinstance(request, Generate):
            kind = type(request).__name__.lower()
            raise InputError(f"{kind} request", "a remote model generates only", "use a local one")
        if request.adapter is not None:
            raise InputError("adapter", "a remote model takes none", "use a local model")
        if request.form:
            raise undrawn(self.name)
        return request

    def _try(self, place: int, request: Generate, attempt: int) -> Done:
        try:
            given = self._ask(request)
        except Exception as error:
            kind, detail, wait = ending(self._library, error)
            return self._failed(place, attempt, kind, detail, wait=wait)
        return self._answered(place, request, given, attempt)

    def _failed(
        self,
        place: int,
        attempt: int,
        kind: RemoteKind,
        detail: str,
        *,
        part: Part | None = None,
        estimated: str = "",
        wait: float = 0.0,
    ) -> Done:
        rule = RULES[kind]
        failure = Failure(kind, self._hide(detail)[:LONGEST_DETAIL], attempt)
        parts = () if rule.costs == "nothing" else None if part is None else (part,)
        estimated = estimated or ("bounded by its quote" if parts is None else "")
        again = rule.again and attempt < self._attempts and wait <= LONGEST_WAIT
        return Done(place, None, parts, failure, estimated, again, wait)

    def _ask(self, request: Generate) -> _Said:
        settings: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": int(stream(request.seed, "remote", text_of(request.prompt)).integers(2**31)),
        }
        stop = [text for text in request.stop if text.strip()]
        if stop:  # those of white space are found here: a server would end an answer whose first line is empty
            settings["stop"] = stop
        if self._api == "completions":
            answer = self._client.completions.create(prompt=text_of(request.prompt), **settings)
            text = answer.choices[0].text
        else:
            answer = self._client.chat.completions.create(messages=_turns(request.prompt), **settings)
            text = answer.choices[0].message.content
        usage = answer.usage
        counts = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        return _Said(text, answer.choices[0].finish_reason, *counts)

    def _answered(self, place: int, request: Generate, said: _Said, attempt: int) -> Done:
        """A sound answer; tokens that nobody counted, or miscounted, are counted here."""
        if not isinstance(said.text, str):
            part, estimated = self._usage(request, said, "")
            detail = f"the answer has no text but {type(said.text).__name__}"
            return self._failed(place, attempt, "malformed", detail, part=part, estimated=estimated)
        text = self._hide(said.text)
        most = LONGEST_TOKEN * (request.max_new_tokens + TURN)
        if len(text) > most:
            detail = f"the answer has {len(text):,} characters, although {request.max_new_tokens} tokens were asked for"
            return self._failed(place, attempt, "malformed", detail)
        part, estimated = self._usage(request, said, text)
        end = request.sampling.end(text)
        finish: Finish = "stop" if end >= 0 else "length" if said.finish == "length" else "eos"
        answer = Answered(text[:end] if end >= 0 else text, round(part.work.generated), finish)
        return Done(place, answer, (part,), estimated=estimated)

    def _usage(self, request: Generate, said: _Said, text: str) -> tuple[Part, str]:
        """The tokens that the server counted, where these texts can have so many; else as they are counted here."""
        asked, written = text_of(request.prompt), len(text.encode("utf-8", "replace"))
        known = _is_count(said.tokens_in) and _is_count(said.tokens_out)
        most_in, most_out = _bytes(request.prompt) + TEMPLATE, max(request.max_new_tokens, written) + TURN
        if known and _can_be(said.tokens_in, len(asked), most_in) and _can_be(said.tokens_out, len(text), most_out):
            return _part(int(str(said.tokens_in)), int(str(said.tokens_out))), ""
        counted = self._counter.count([asked, text])
        told = f"{said.tokens_in} tokens for {len(asked):,} characters, {said.tokens_out} for {len(text):,}"
        how = f"the server's usage cannot be ({told})" if known else "the server gave no usage"
        return _part(max(1.0, counted[0]), max(float(bool(text)), counted[1])), f"{how}: {self._counter.how}"

    @property
    def templated(self) -> bool:
        """Its server has one, where it takes conversations."""
        return self._api == "chat"

    def shown(self, prompt: Prompt) -> str:
        """As it is sent; the server's template is unknown here."""
        return text_of(prompt)

    def tokenize(self, text: Prompt, *, special: bool, answer: str = "") -> tuple[int, ...]:
        """Unknown here."""
        raise InputError(f"model {self.name}", "its tokens are known to its server only", "use a local model")

    def decode(self, tokens: Sequence[int]) -> str:
        """Unknown here."""
        raise InputError(f"model {self.name}", "its tokens are known to its server only", "use a local model")

    def save_adapter(self, adapter: Adapter, folder: Path) -> None:
        """It has none."""
        raise InputError(f"model {self.name}", "a remote model has no adapters", "use a local model")

    def keep_adapter(self, adapter: Adapter, file: Path) -> dict[str, Any]:
        """There is none."""
        raise InputError("adapter", f"{self.name} is a remote model and has none")

    def kept_adapter(self, fields: Mapping[str, Any], file: Path) -> Adapter:
        """There is none."""
        raise InputError("adapter", f"{self.name} is a remote model and has none")

    def located(self) -> tuple[str, str]:
        """Nowhere here."""
        raise InputError(f"model {self.name}", "a remote model has no weights to train", "use a local model")

    def with_output(self, folder: Path) -> Adapter:
        """It takes none."""
        return self.load_adapter(folder)

    def load_adapter(self, folder: Path) -> Adapter:
        """It takes none."""
        raise InputError(f"model {self.name}", "a remote model takes no adapters", "use a local model")


def _part(tokens_in: float, tokens_out: float) -> Part:
    return Part(Work(positions=tokens_in, real=tokens_in, generated=tokens_out))


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{"role": message.role, "content": message.content} for message in prompt]


def _bytes(prompt: Prompt) -> int:
    """No fewer than the prompt's tokens under any byte-level vocabulary, template included."""
    turns = 1 if isinstance(prompt, str) else len(prompt)
    return len(text_of(prompt).encode("utf-8", "replace")) + TURN * (turns + 2)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def _can_be(tokens: object, characters: int, most: int) -> bool:
    """Whether a text of so many characters can have so many tokens."""
    return characters / LONGEST_TOKEN <= int(str(tokens)) <= most and (tokens != 0 or not characters)


def ending(library: Any, error: Exception) -> tuple[RemoteKind, str, float]:
    """How an attempt ended that raised: its kind, in words, and the seconds that the server asks to wait. Raises the
    error again where it is the machine's."""
    if isinstance(error, library.APITimeoutError):
        if _never_connected(error):
            return "unreachable", "no connection in time", 0.0
        return "timeout", "no answer in time", 0.0
    if isinstance(error, library.APIStatusError):
        said = error.message.removeprefix(f"Error code: {error.status_code} - ")
        return kind_of(error.status_code), f"HTTP {error.status_code}: {said}", wait_asked(error.response.headers)
    if isinstance(error, library.APIResponseValidationError):
        return "malformed", error.message, 0.0
    too_large = error if isinstance(error, BodyTooLarge) else error.__cause__  # as version 2 of the client has it
    if isinstance(too_large, BodyTooLarge):
        return "malformed", str(too_large), 0.0
    if isinstance(error, library.APIConnectionError):
        if _never_connected(error):
            return "unreachable", "the server cannot be reached", 0.0
        return "server", "the connection broke", 0.0
    if is_fault(error):
        raise error
    # whatever a body that is no JSON or no object makes the client raise
    return "malformed", f"the answer cannot be read ({type(error).__name__}: {error})", 0.0


def _never_connected(error: BaseException) -> bool:
    """Whether not even a connection was made, so that the server cannot have worked."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in ("ConnectError", "ConnectTimeout", "LocalProtocolError", "UnsupportedProtocol"):
            return True
        cause = cause.__cause__
    return False
