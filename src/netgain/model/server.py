"""What a server may not do to a run: keep a request open for ever, send more than fits, or hand back a secret.

No text, header or count that a server sends is believed further than here. The HTTP library is the one that ``openai``
uses, and is handed in.
"""

import base64
import contextlib
import json
import re
import socket
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal, final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from netgain.engine.jobs import LocalKind, RemoteKind
from netgain.errors import FaultError, InputError
from netgain.model.requests import Result

MOST_BYTES = 8 * 2**20  # of a body; the longest answer that is asked for takes a hundredth of it
LONGEST_PAUSE = 60.0  # seconds between two attempts, unless the server asks for more
LONGEST_WAIT = 600.0  # seconds that a server may ask for; one that asks for more is not asked again
REDACTED = "[key]"
PART = 8  # letters of a key in a row that are taken for a part of it
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # keeps the length of every text


@final
@dataclass(frozen=True, slots=True)
class RetryRule:
    """What follows from a failed attempt: whether another may help (``again``), and what it ``costs``.

    ``ours``: the server took offence at this one request. Else it is the server that failed (or does not let us in): no
    method is to blame, and what is under way has to be done again once that is mended.
    """

    again: bool
    costs: Literal["nothing", "quote"]
    ours: bool = False


RULES: Mapping[LocalKind | RemoteKind, RetryRule] = {
    "unreachable": RetryRule(again=True, costs="nothing"),  # no connection was made
    "busy": RetryRule(again=True, costs="nothing"),  # 408, 409, 425, 429: not taken now
    "server": RetryRule(again=True, costs="quote"),  # 5xx, or the connection broke: nobody says how much was done
    "timeout": RetryRule(again=True, costs="quote"),  # nor here
    "malformed": RetryRule(again=True, costs="quote"),  # nor where the answer cannot be read, or is too large
    "denied": RetryRule(again=False, costs="nothing"),  # 401, 402, 403, 404 and others: not to be asked like this
    "refused": RetryRule(again=False, costs="nothing", ours=True),  # 400, 413, 422: this request is not taken
}
BUSY, REFUSED = (408, 409, 425, 429), (400, 413, 422)


def kind_of(status: int) -> RemoteKind:
    """What an HTTP status that is no success means."""
    if status in BUSY:
        return "busy"
    if status in REFUSED:
        return "refused"
    return "server" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "denied"


def wait_asked(headers: Mapping[str, str]) -> float:
    """The seconds that a server asks to wait (``Retry-After``, in seconds or as a date); 0 where it asks for none."""
    stated = headers.get("retry-after", "")
    try:
        return max(0.0, float(stated)) if stated.strip()[:1].isdigit() else _until(stated)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())


def require_served(name: str, results: Sequence[Result[Any]]) -> None:
    """Raise FaultError where the server of the model ``name`` did not serve one of these in all its attempts, and
    ValueError where it took none of them."""
    failures = [one.failure for one in results if one.failure is not None and one.failure.kind in RULES]
    for failure in failures:
        if not RULES[failure.kind].ours:
            attempts = f"{failure.step} attempt{'' if failure.step == 1 else 's'}"
            raise FaultError(f"model {name}", f"gave no answer in {attempts} ({failure.kind}: {failure.detail})")
    if failures and len(failures) == len(results):
        raise ValueError(f"model {name} refused every request ({failures[0].detail})")


# -- secrets


def check_key(key: str, shown: str) -> str:
    """The same key. Raises InputError, before anything is sent or charged, for one that no header can carry."""
    if not re.fullmatch(r"[!-~]+", key):
        problem = "holds a line break, a blank or a letter that is not ASCII, which no key has"
        raise InputError(f"environment variable {shown}", problem, "set it again without what stands around the key")
    return key


@final
class Secret:
    """A key, to be taken out of texts in whatever form a server repeats it. It is never shown itself."""

    __slots__ = ("_parts", "_whole")

    def __init__(self, key: str) -> None:
        encoded = [encode(key.encode()).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)]
        forms = {key, repr(key)[1:-1], json.dumps(key)[1:-1], quote(key, safe=""), *encoded} if key else set()
        self._whole = (
            sorted(forms, key=len, reverse=True) if len(key) < PART else []
        )  # a short one is a word like EMPTY
        longer = [] if len(key) < PART else [form.translate(_LOWER) for form in forms]
        self._parts = {form[at : at + PART] for form in longer for at in range(len(form) - PART + 1)}

    def hide(self, text: str) -> str:
        """A text without the key, without parts of it and in no case or escaping; lone surrogates, which nothing can
        write down, are replaced."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for form in self._whole:
            text = text.replace(form, REDACTED)
        lowered = text.translate(_LOWER)
        known = [part for part in self._parts if part in lowered]
        if not known:
            return text
        hidden = [False] * len(text)
        for part in known:
            at = lowered.find(part)
            while at >= 0:
                hidden[at : at + PART] = [True] * PART
                at = lowered.find(part, at + 1)
        pairs = zip(text, hidden, [False, *hidden], strict=False)
        return "".join("" if now and before else REDACTED if now else letter for letter, now, before in pairs)


# -- bounds on time and size


class BodyTooLarge(Exception):  # noqa: N818 - said of a body
    """A server sent more than is read."""


@final
class BoundedTransport:
    """Sends requests over ``library`` (httpx, or what took its place): each ends after ``seconds`` in all, however
    slowly its answer drips, and no body is read beyond ``MOST_BYTES``."""

    def __init__(self, library: Any, base_url: str, seconds: float) -> None:
        # Every request has a connection of its own, so that its socket is known and can be closed from outside.
        limits = library.Limits(max_keepalive_connections=0)
        self._library, self._seconds = library, seconds
        self._inner = library.HTTPTransport(limits=limits, proxy=_proxy(base_url))

    def handle_request(self, request: Any) -> Any:
        """Send one request and read its whole answer. Raises what ``library`` raises, and BodyTooLarge."""
        line = _Line()
        request.headers["Accept-Encoding"] = "identity"  # what is packed small may unpack to anything
        request.extensions = {**request.extensions, "trace": line.trace}
        timer = threading.Timer(self._seconds, line.cut)
        timer.daemon = True
        timer.start()
        try:
            response = self._inner.handle_request(request)
            body = _read(response)
        except Exception:
            if line.expired and line.connected:
                raise self._late(request) from None
            raise
        finally:
            timer.cancel()
        if line.expired:
            raise self._late(request)
        kept = [(n, v) for n, v in response.headers.multi_items() if n not in ("content-length", "transfer-encoding")]
        return self._library.Response(response.status_code, headers=kept, content=body)

    def _late(self, request: Any) -> Exception:
        error: Exception = self._library.ReadTimeout(f"no whole answer in {self._seconds:g} s", request=request)
        return error

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def __enter__(self) -> "BoundedTransport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(response: Any) -> bytes:
    try:
        body = bytearray()
        for chunk in response.stream:
            body += chunk
            if len(body) > MOST_BYTES:
                raise BodyTooLarge(f"its body is larger than {MOST_BYTES:,} bytes")
        return bytes(body)
    finally:
        response.close()


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for this server."""
    url = urlsplit(base_url)
    if proxy_bypass(url.hostname or ""):
        return None
    known = getproxies()
    return known.get(url.scheme) or known.get("all")


@final
class _Line:
    """The connection of one request, which a timer may cut."""

    def __init__(self) -> None:
        self.expired, self.connected = False, False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of the socket, as soon as there is one (and again when it has become a TLS one)."""
        tell: Callable[[str], Any] | None = getattr(info.get("return_value"), "get_extra_info", None)
        found = tell("socket") if tell is not None else None
        if isinstance(found, socket.socket):
            with self._lock:
                self._socket, self.connected = found, True
            if self.expired:
                self.cut()

    def cut(self) -> None:
        """End whatever waits on the socket. Closing it would not: that wakes nobody who reads."""
        with self._lock:
            self.expired, line = True, self._socket
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def undrawn(model: str) -> InputError:
    """Said of a model whose tokens are not drawn here, where an answer is to be held to a form."""
    problem = "its tokens are not drawn here: no answer can be held to a form"
    return InputError(f"model {model!r}", problem, "leave constrained (or form) out, or use a local model")
