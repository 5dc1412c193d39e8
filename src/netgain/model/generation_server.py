"""A client of a server that generates for a model which is here as well: its model, its adapters, its tokens.

The server is vLLM, or any other OpenAI-compatible one that takes prompts as token ids, gives the tokens of its answers
and loads LoRA adapters while it runs (``/v1/load_lora_adapter``). Nothing that it sends is believed beyond its form: a
count of tokens that is not that of the tokens that came is no answer. Requests are tried once; what follows is said in
:mod:`netgain.model.served`.
"""

import secrets
import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, final

from netgain.engine.decoding import DecodeRequest, text_behind
from netgain.engine.jobs import RemoteKind
from netgain.engine.lora import Adapter as LoraAdapter
from netgain.engine.lora import save_adapter
from netgain.errors import InputError, shown
from netgain.model.remote import LONGEST_DETAIL, connect, ending, pause_by
from netgain.strict_json import parse_json

LEAVING = 5.0  # seconds for each adapter that is unloaded in the end
SAME = "serve the very folder, in the same dtype"
PAGE = "docs/engine.md says which servers will do"


@final
class Unserved(Exception):  # noqa: N818 - said of a request
    """How an attempt at a request ended without an answer, and how many tokens had come before that."""

    def __init__(self, kind: RemoteKind, detail: str, wait: float = 0.0) -> None:
        super().__init__(kind, detail, wait)
        self.kind, self.detail, self.wait, self.drawn = kind, detail, wait, 0

    @property
    def unknown(self) -> bool:
        """Whether the server does not know what it was asked for (any more)."""
        return self.detail.startswith("HTTP 404")


@final
class GenerationServer:
    """A server that generates for a model here. Making one sends nothing.

    ``url`` ends in ``/v1``; ``adapters`` is a folder that the server sees under the same path. ``model`` is its name
    for the model (None: the only one that it has). ``loaded`` adapters at most are loaded at a time. An attempt ends
    after ``timeout`` seconds without a byte and twice that in all; there are ``attempts``, ``backoff`` seconds apart,
    doubling; ``concurrency`` requests run at a time. ``rank`` and ``targets`` are those of the adapter that it is
    checked with: the largest that it will be given (no ``targets``: none will be).
    """

    def __init__(
        self,
        url: str,
        adapters: Path,
        *,
        model: str | None = None,
        api_key_env: str | None = None,
        timeout: float = 600.0,
        attempts: int = 5,
        concurrency: int = 32,
        loaded: int = 8,
        backoff: float = 1.0,
        rank: int = 16,
        targets: tuple[str, ...] = ("q_proj", "v_proj"),
    ) -> None:
        self._library, self._client, self._secret = connect(url, api_key_env, timeout, 2 * timeout)
        self.url, self.attempts, self.concurrency, self.loaded = url, attempts, concurrency, loaded
        self.pause, self.rank, self.targets = pause_by(backoff), rank, targets
        self._model, self._adapters = model or "", adapters
        self._mark, self._times, self._with_logprobs = secrets.token_hex(4), 0, False
        # Its names of the adapters that are loaded, by content, the longest unused first.
        self._held: dict[str, str] = {}
        weakref.finalize(self, _leave, self._client, self._adapters, self._held)

    def __repr__(self) -> str:
        return f"GenerationServer({self.url!r})"

    def hide(self, text: str) -> str:
        """A text of the server's without the key in it, and not too long."""
        return self._secret.hide(text)[:LONGEST_DETAIL]

    def error(self, problem: str, remedy: str = SAME) -> InputError:
        """What makes it no server for the model."""
        return InputError(f"serve.url {self.url}", self.hide(problem), remedy)

    def require_model(self, context: int) -> None:
        """Find the model's name there. Raises InputError where it cannot be told, or has another context length."""
        try:
            cards = [dict(card) for card in parse_json(self._send("/models"))["data"]]
            known = {str(card["id"]): card.get("max_model_len") for card in cards if not card.get("parent")}
        except Unserved as problem:
            raise self.error(
                f"{problem.kind}: {problem.detail}", "start the server first, and look at its url"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise self.error("its /models cannot be read", PAGE) from None
        if self._model not in known and (self._model or len(known) != 1):
            names = ", ".join(known) or "none"
            raise self.error(f"it has no model {self._model!r} but {names}", "name it: serve: {model: NAME}")
        self._model = self._model or next(iter(known))
        if known[self._model] != context:
            told = "is not told" if known[self._model] is None else f"is {known[self._model]}"
            raise self.error(
                f"its context {told}, and that of the model {context}", f"give it --max-model-len {context}"
            )

    def _send(self, path: str, body: Mapping[str, Any] | None = None) -> str:
        try:
            if body is None:
                return str(self._client.get(path, cast_to=str))
            return str(self._client.post(path, body=dict(body), cast_to=str))
        except Exception as error:
            raise Unserved(*ending(self._library, error)) from error

    # -- adapters

    def load(self, adapter: LoraAdapter, beside: Sequence[LoraAdapter]) -> str:
        """The name of an adapter there; loaded where it is not, in the place of one that is not ``beside`` it."""
        key, kept = _content(adapter), {_content(other) for other in beside}
        if key in self._held:
            self._held[key] = name = self._held.pop(key)
            return name
        for old in [old for old in self._held if old not in kept][: max(0, len(self._held) + 1 - self.loaded)]:
            self.unload(old)
        # A name of its own for every time: other workers may hold the same adapter there, and a load whose answer was
        # lost may have taken place.
        self._times += 1
        name = f"netgain-{key[:16]}-{self._mark}-{self._times}"
        folder = self._adapters / name
        try:
            save_adapter(adapter, folder, self._model)
            self._send("/load_lora_adapter", {"lora_name": name, "lora_path": str(folder.resolve())})
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._held[key] = name
        return name

    def unload(self, key: str) -> None:
        """Take the adapter of this content out of the server, whether or not it still knows it."""
        name = self._held.pop(key)
        with suppress(Unserved):
            self._send("/unload_lora_adapter", {"lora_name": name})
        shutil.rmtree(self._adapters / name, ignore_errors=True)

    def forget(self, adapter: LoraAdapter) -> None:
        """The server has lost this one, as one that was started again has."""
        name = self._held.pop(_content(adapter), "")
        if name:
            shutil.rmtree(self._adapters / name, ignore_errors=True)

    # -- answers

    def answer(
        self, request: DecodeRequest, adapter: str, room: int, text_of: Callable[[list[int]], str]
    ) -> tuple[tuple[int, ...], int]:
        """The tokens of an answer of up to ``room``, and how many were drawn for it. Raises Unserved."""
        tokens: tuple[int, ...] = ()
        for piece in range(room):
            try:
                more, length = self._continue(request, adapter, tokens, room - len(tokens), piece)
            except Unserved as problem:
                problem.drawn = len(tokens)
                raise
            tokens += more
            end = end_of(request, tokens, text_of)
            if end or length:
                return tokens[:end] if end else tokens, len(tokens)
            # It ended at a stop string of white space before anything was visible, which is no end here: go on.
        return tokens, len(tokens)

    def _continue(
        self, request: DecodeRequest, adapter: str, tokens: tuple[int, ...], most: int, piece: int
    ) -> tuple[tuple[int, ...], bool]:
        """Further tokens, and whether they ended for want of room."""
        sampling, prompt = request.sampling, [*request.prompt, *tokens]
        settings: dict[str, Any] = {
            "model": adapter or self._model,
            "prompt": prompt,
            "max_tokens": most,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": (sampling.seed + piece) % 2**31,
            "stop": list(sampling.stop),
            "stop_token_ids": list(request.eos),
            "return_token_ids": True,
            # what a server may take from the model's generation settings, where nothing is said
            **{"n": 1, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
            **{"presence_penalty": 0.0, "frequency_penalty": 0.0},
        }
        if self._with_logprobs:
            settings |= {"logprobs": 1, "return_tokens_as_token_ids": True}
        return _read(self._send("/completions", settings), prompt, most)

    def require_tokens(self, request: DecodeRequest) -> None:
        """Find out how it gives tokens. Raises InputError where it does not."""
        for self._with_logprobs in (False, True):
            try:
                self._continue(request, "", (), 1, 0)
            except Unserved as problem:
                if self._with_logprobs or problem.kind != "malformed":
                    raise self.error(f"{problem.kind}: {problem.detail}", PAGE) from None
            else:
                return


def _content(adapter: LoraAdapter) -> str:
    layout = adapter.layout
    weights = adapter.row.detach().cpu().contiguous().numpy().tobytes()
    return sha256(f"{layout.rank} {layout.alpha} {layout.names}".encode() + weights).hexdigest()


def _leave(client: Any, folder: Path, held: dict[str, str]) -> None:
    """Unload what is loaded, at the end of the process at the latest; a server that is gone holds nothing."""
    names = list(held.values())
    held.clear()
    with suppress(Exception):  # whatever a client raises while an interpreter ends
        for name in names:
            how = {"timeout": LEAVING}
            client.post("/unload_lora_adapter", body={"lora_name": name}, cast_to=str, options=how)
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


def _read(text: str, prompt: Sequence[int], most: int) -> tuple[tuple[int, ...], bool]:
    """The tokens of an answer as it came, and whether they ended for want of room. Raises Unserved for one that makes
    no sense: tokens that are not given, or counted otherwise than they came."""
    try:
        body = parse_json(text)
        (choice,), usage, tokens = body["choices"], body["usage"], None
        if isinstance(choice.get("token_ids"), list):
            tokens = choice["token_ids"]
        elif isinstance(choice.get("logprobs"), dict):
            tokens = [int(word.removeprefix("token_id:")) for word in choice["logprobs"]["tokens"]]
        told, finish = (usage["prompt_tokens"], usage["completion_tokens"]), choice["finish_reason"]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Unserved("malformed", f"its answer cannot be read ({type(problem).__name__}: {problem})") from None
    if tokens is None or not all(type(token) is int and token >= 0 for token in tokens):
        raise Unserved("malformed", "its answer has no token ids")
    if told != (len(prompt), len(tokens)) or choice.get("prompt_token_ids") not in (None, list(prompt)):
        counts = f"{shown(told[0])} tokens in and {shown(told[1])} out"
        raise Unserved("malformed", f"its usage says {counts}, where it is {len(prompt)} and {len(tokens)}")
    if not 1 <= len(tokens) <= most or finish not in ("stop", "length") or (finish == "length" and len(tokens) < most):
        raise Unserved("malformed", f"its answer ends with {shown(finish)} after {len(tokens)} of {most} tokens")
    return tuple(tokens), finish == "length"


def end_of(request: DecodeRequest, tokens: tuple[int, ...], text_of: Callable[[list[int]], str]) -> int:
    """How many of the tokens are the answer, up to its first end; 0 where it has none yet."""
    last = next((at + 1 for at, token in enumerate(tokens) if token in request.eos), 0)
    count = last or len(tokens)

    def stopped(first: int) -> bool:
        return request.sampling.end(text_behind(request.prompt, tokens[:first], text_of)) >= 0

    if request.sampling.stop and stopped(count):
        while count > 1 and stopped(count - 1):
            count -= 1
        return count
    return last
