"""The audit: what was published, read; what it supports, judged; what is wrong with it, found."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.audit.card import read_card
from netgain.audit.checks import run_checks
from netgain.audit.joining import JoinedPart, JoiningCard, folder_names, join, joins_folders, one_folder
from netgain.audit.questions import answer_all
from netgain.errors import InputError, NetgainError, nearest
from netgain.extensions import find, names, said_by, source_digest, where_raised
from netgain.records.claim import Claim, Finding
from netgain.strict_json import parse_json
from netgain.strict_yaml import read_yaml
from netgain.tokens import EstimatedTokens, TokenCounter

PACKAGED = "seal"


class Reader(ABC):
    """Base of all readers: one for each layout of published results. Made without arguments."""

    joins: ClassVar[bool] = False  # whether other readers may have something to say about the same folder

    @abstractmethod
    def recognises(self, folder: Path) -> bool:
        """Whether the folder holds results of this layout. Must be cheap and must not raise."""

    @abstractmethod
    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim in the folder; ``tokens.count(texts)`` counts tokens where the results hold only texts.

        Missing, truncated or changed files become findings of the claim; raises InputError only where nothing at all
        can be used. Whatever is not published stays None: unknown, never zero.
        """


def find_readers(folder: Path, name: str | None = None) -> list[Reader]:
    """Who reads this folder: the first by name that knows it as a whole, else everyone whose logs are in it.

    ``name`` names one (or ``file.py:Class``). Raises InputError for a name that is not known, where it, or every
    reader, does not recognise the folder, and where a reader itself fails.
    """
    known = names("reader") if name is None else [name]
    joining: list[Reader] = []
    for candidate in known:
        found = find("reader", candidate)
        reader: Reader = _asked(found, "", found)
        if _asked(found, f".recognises({folder})", partial(reader.recognises, folder)):
            if not reader.joins or name is not None:
                return [reader]
            joining.append(reader)
        elif name is not None:
            raise InputError(f"--reader {name}", f"{found.__name__} does not recognise {folder}", "see its recognises")
    if joining:
        return joining
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
        return one_folder(_read_folder(path, reader, tokens or EstimatedTokens()))
    if not exists:
        raise InputError(str(path), "there is no such file or folder", _neighbour(path))
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _read_joining_card(path, tokens) if joins_folders(path) else read_card(path)
    if path.suffix.lower() == ".json":
        return _from_json(_read(path), str(path))
    raise InputError(str(path), f"is neither a folder nor a .yaml card nor a .json claim (it ends in {path.suffix!r})")


def read_joined(
    arguments: Sequence[str],
    tokens: TokenCounter | None = None,
    reader: str | None = None,
    *,
    treated: str | None = None,
    baseline: str | None = None,
    frozen: str | None = None,
) -> Claim:
    """One claim from several folders (or cards, or claims), each an arm: ``FOLDER`` or ``NAME=FOLDER,FOLDER``.

    Of a single path without anything said about who is who it is :func:`read_claim`. Raises InputError for whatever
    cannot be read or joined.
    """
    if len(arguments) == 1 and not (treated or baseline or frozen) and _is_plain(arguments[0]):
        return read_claim(Path(arguments[0]), tokens, reader)
    plain = [Path(argument) for argument in arguments if _is_plain(argument)]
    short = dict(zip(map(str, plain), folder_names(plain), strict=True)) if plain else {}
    parts = []
    for argument in arguments:
        named = not _is_plain(argument)
        name, _, rest = argument.partition("=")
        paths = [Path(part) for part in rest.split(",")] if named else [Path(argument)]
        claims = tuple(read_claim(path, tokens, reader) for path in paths)
        parts.append(JoinedPart(name if named else short[str(paths[0])], claims))
    return join(parts, treated=treated, baseline=baseline, frozen=frozen)


def _read_joining_card(path: Path, tokens: TokenCounter | None) -> Claim:
    """The claim of the folders that a card names, relative to where it lies."""
    card, lines = read_yaml(path, JoiningCard)
    for field, name in (("headline", card.headline), ("rival", card.rival), ("frozen", card.frozen)):
        if name is not None and name not in card.arms:
            raise lines.error((field,), f"{field} = {name!r} is not one of the arms", nearest(name, card.arms))
    parts = []
    for name, arm in card.arms.items():
        folders = [path.parent / folder for folder in arm.folders]
        missing = next((folder for folder in folders if not folder.is_dir()), None)
        if missing is not None:
            raise lines.error(
                ("arms", name, "folders"), f"there is no folder {missing}", "paths are relative to the card"
            )
        parts.append(JoinedPart(name, tuple(read_claim(folder, tokens) for folder in folders), arm.role))
    return join(parts, treated=card.headline, baseline=card.rival, frozen=card.frozen, title=card.title)


def _is_plain(argument: str) -> bool:
    """Whether an argument is a path as it stands, and not NAME=FOLDER,FOLDER."""
    return "=" not in argument or Path(argument).exists()


def audit(claim: Claim, *, seed: int = 0, asked: list[tuple[str, str]] | None = None) -> Verdict:
    """The verdict on a claim with the checks' findings and the four questions answered."""
    verdict = judge(claim, seed=seed, asked=asked)
    return verdict.model_copy(update={"findings": run_checks(claim, verdict), "questions": answer_all(claim, verdict)})


def _read_folder(folder: Path, name: str | None, tokens: TokenCounter) -> list[Claim]:
    """What each reader makes of a folder. One that finds nothing to use is left out where another does."""
    claims: list[Claim] = []
    errors: list[InputError] = []
    for reader in find_readers(folder, name):
        call = f".read({folder})"
        try:
            claim = _asked(type(reader), call, partial(reader.read, folder, tokens))
        except InputError as error:
            errors.append(error)
            continue
        if not isinstance(claim, Claim):
            where = f"{type(reader).__name__}{call}"
            raise InputError(where, f"returned {type(claim).__name__}, not a Claim", "return Claim(...)")
        claims.append(claim)
    if not claims:
        raise errors[0]
    told = tuple(Finding(check="file-unreadable", severity="low", message=str(error)) for error in errors)
    claims[0] = claims[0].model_copy(update={"findings": (*claims[0].findings, *told)}) if told else claims[0]
    return claims


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
        return Claim.model_validate(parse_json(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f"field {place!r}: {first['msg']}" if place else first["msg"]
        raise InputError(where, f"is not a claim; {problem}", "a folder of result files can be given instead") from None
    except ValueError as error:
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
