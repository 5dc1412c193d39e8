"""The audit: what was published, read; what it supports, judged; what is wrong with it, found."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.audit.card import read_card
from netgain.audit.checks import run_checks
from netgain.audit.questions import answer_all
from netgain.errors import InputError, NetgainError, nearest
from netgain.extensions import find, names, said_by, source_digest, where_raised
from netgain.records.claim import Claim
from netgain.tokens import EstimatedTokens, TokenCounter

PACKAGED = "seal"


class Reader(ABC):
    """Base of all readers: one for each layout of published results. Made without arguments."""

    @abstractmethod
    def recognises(self, folder: Path) -> bool:
        """Whether the folder holds results of this layout. Must be cheap and must not raise."""

    @abstractmethod
    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim in the folder; ``tokens.count(texts)`` counts tokens where the results hold only texts.

        Missing, truncated or changed files become findings of the claim; raises InputError only where nothing at all
        can be used. Whatever is not published stays None: unknown, never zero.
        """


def find_reader(folder: Path, name: str | None = None) -> Reader:
    """The reader of this name (or ``file.py:Class``); without one, the first by name that recognises the folder.

    Raises InputError for a name that is not known, where it, or every reader, does not recognise the folder, and where
    a reader itself fails.
    """
    known = names("reader") if name is None else [name]
    for candidate in known:
        found = find("reader", candidate)
        reader: Reader = _asked(found, "", found)
        if _asked(found, f".recognises({folder})", partial(reader.recognises, folder)):
            return reader
        if name is not None:
            raise InputError(f"--reader {name}", f"{found.__name__} does not recognise {folder}", "see its recognises")
    raise InputError(
        str(folder),
        f"no result files that a reader knows were found in it (readers: {', '.join(known)})",
        "give the folder that the authors published, name a reader of your own with --reader file.py:Class, "
        "or write a claim card with `netgain audit --new-card`",
    )


def read_claim(path: Path | None = None, tokens: TokenCounter | None = None, reader: str | None = None) -> Claim:
    """A claim from a folder of results, a card (.yaml) or a distilled claim (.json); the packaged one for None.

    Tokens are estimated unless a counter is given. ``reader`` names who reads a folder (or ``file.py:Class``); without
    it, whoever recognises the folder. Raises InputError for whatever cannot be read.
    """
    if path is None:
        return _from_json((files("netgain.audit") / "published" / f"{PACKAGED}.json").read_bytes(), PACKAGED)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise InputError(_short(path), f"cannot be looked at: {error.strerror}") from None
    if is_folder:
        return _read_folder(find_reader(path, reader), path, tokens or EstimatedTokens())
    if not exists:
        raise InputError(str(path), "there is no such file or folder", _neighbour(path))
    if path.suffix.lower() in {".yaml", ".yml"}:
        return read_card(path)
    if path.suffix.lower() == ".json":
        return _from_json(_read(path), str(path))
    raise InputError(str(path), f"is neither a folder nor a .yaml card nor a .json claim (it ends in {path.suffix!r})")


def audit(claim: Claim, *, seed: int = 0, asked: list[tuple[str, str]] | None = None) -> Verdict:
    """The verdict on a claim with the checks' findings and the four questions answered."""
    verdict = judge(claim, seed=seed, asked=asked)
    return verdict.model_copy(update={"findings": run_checks(claim, verdict), "questions": answer_all(claim, verdict)})


def _read_folder(reader: Reader, folder: Path, tokens: TokenCounter) -> Claim:
    call = f".read({folder})"
    claim = _asked(type(reader), call, partial(reader.read, folder, tokens))
    if not isinstance(claim, Claim):
        where = f"{type(reader).__name__}{call}"
        raise InputError(where, f"returned {type(claim).__name__}, not a Claim", "return Claim(...)")
    return claim


def _asked(kind: type[Reader], call: str, ask: Callable[[], Any]) -> Any:
    """What a reader answers. Raises InputError with its own line for whatever it raises: its author has to mend it."""
    try:
        return ask()
    except NetgainError:
        raise
    except Exception as error:
        remedy = "mend the reader" if source_digest(kind) else "please report it: this reader should have said so"
        raise InputError(where_raised(error, kind), f"{kind.__name__}{call}: {said_by(error)}", remedy) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def _from_json(data: bytes, where: str) -> Claim:
    try:
        return Claim.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f"field {place!r}: {first['msg']}" if place else first["msg"]
        raise InputError(where, f"is not a claim; {problem}", "a folder of result files can be given instead") from None
    except (ValueError, RecursionError) as error:
        raise InputError(where, f"is not JSON that can be read: {error}") from None


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 100 else text[:97] + "..."


def _neighbour(path: Path) -> str:
    folder = path.parent
    try:
        there = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    except OSError:
        there = []
    if not there:
        return f"the folder {folder} does not exist or is empty"
    said = nearest(path.name, there)
    return said if said.startswith("did you mean") else ""
