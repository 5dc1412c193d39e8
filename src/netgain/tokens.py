"""Counting tokens of a text: exactly with a tokenizer, else by estimate, and saying which."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from netgain.errors import InputError, MissingExtraError
from netgain.strict_json import parse_json

CHARACTERS_PER_TOKEN = 4.6
RARE = ("\N{CUNEIFORM SIGN A}", "\N{CUNEIFORM SIGN A TIMES A}")  # told apart only by a vocabulary that spells bytes


class TokenCounter(Protocol):
    """Counts tokens; ``exact`` says whether the counts are exact, ``how`` names the way in a few words."""

    @property
    def exact(self) -> bool: ...

    @property
    def how(self) -> str: ...

    def count(self, texts: Sequence[str]) -> list[float]: ...


@final
@dataclass(frozen=True)
class EstimatedTokens:
    """4.6 characters a token: English prose under a byte-level BPE vocabulary of 100,000 to 150,000; good to 10 %.

    Texts of another kind have another number of ``characters`` a token.
    """

    characters: float = CHARACTERS_PER_TOKEN
    exact: bool = False

    @property
    def how(self) -> str:
        """Where counts are from, in a few words."""
        return f"estimated at {self.characters:g} character{'s' if self.characters != 1 else ''} a token"

    def count(self, texts: Sequence[str]) -> list[float]:
        """Estimated tokens of each text, as fractions of a token."""
        return [len(text) / self.characters for text in texts]


@final
class ExactTokens:
    """Counts with the ``tokenizer.json`` of a Hugging Face folder, without special tokens."""

    exact = True

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _load(folder)
        self.how = f"counted with the tokenizer {folder.name}"

    def count(self, texts: Sequence[str]) -> list[float]:
        """Tokens of each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [float(len(encoding.ids)) for encoding in encodings]

    def unknown(self, words: Sequence[str]) -> list[str]:
        """Those of the words that the vocabulary cannot spell, not even by their bytes."""
        first, second, *encodings = self._tokenizer.encode_batch([*RARE, *words], add_special_tokens=False)
        if not first.ids or first.ids != second.ids:
            return []
        return [word for word, encoding in zip(words, encodings, strict=True) if first.ids[-1] in encoding.ids]


TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
INSTRUCT = re.compile(r"(?:^|[-_ /])(?:instruct|chat|it)(?:$|[-_ ])", re.IGNORECASE)
GGUF_HEADER = 2**25  # bytes; a header with a vocabulary of 262,144 has about a third of that


def has_chat_template(source: str) -> bool:
    """Whether the tokenizer of a model (a folder, a GGUF file or a hub name) has a template for conversations.

    No weights are read and nothing is fetched. Of a hub name that was never loaded here, what the name says
    (``-Instruct``, ``-it``).
    """
    path = Path(source)
    if path.is_dir():
        return any(_is_template(path / name) for name in TEMPLATE_FILES)
    if path.is_file():
        with path.open("rb") as opened:
            return b"tokenizer.chat_template" in opened.read(GGUF_HEADER)
    try:
        from huggingface_hub import try_to_load_from_cache

        found = [try_to_load_from_cache(source, name) for name in TEMPLATE_FILES]
    except (ImportError, ValueError):  # not installed; no name that a hub could have
        found = []
    files = [Path(file) for file in found if isinstance(file, str)]
    return any(map(_is_template, files)) if files else bool(INSTRUCT.search(source))


def _is_template(file: Path) -> bool:
    if not file.is_file():
        return False
    if file.suffix == ".jinja":
        return True
    try:
        return parse_json(file.read_text(encoding="utf-8")).get("chat_template") is not None
    except (ValueError, AttributeError):
        return False


def _load(folder: Path) -> Any:
    file = folder / "tokenizer.json" if folder.is_dir() else folder
    if not file.is_file():
        raise InputError(f"--tokenizer {folder}", "no tokenizer.json there", "give a Hugging Face model folder")
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("--tokenizer", "tokenizer") from error
    try:
        parse_json(file.read_text(encoding="utf-8"))
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for a malformed file
        raise InputError(str(file), f"not a tokenizer that can be loaded: {error}") from error
