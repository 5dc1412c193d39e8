"""What domains of real passages share: how a passage is asked about, and which title belongs to which split.

The ways to ask for a self-edit are SEAL's (Zweiger et al. 2025, arXiv 2506.10943, appendix B; the two without a prompt
and with thoughts are its second version's) in our own words. A question is asked with its topic, closed-book, and
answered in at most 64 tokens, as there.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from netgain.domains.problem import (
    EditFormat,
    Material,
    Problem,
    Prompts,
    Question,
    Split,
)
from netgain.domains.wording import BRIEFLY, EXAMPLES, INSTRUCTIONS
from netgain.errors import InputError, shown
from netgain.records.identity import short_hash
from netgain.streams import stream
from netgain.strict_json import parse_json

T = TypeVar("T")
Part = Literal["train", "development", "test", "controls"]
Pair = tuple[str, tuple[str, ...]]  # a question and the answers that count as right, the reference first
Share = Annotated[float, Field(ge=0, le=1)]
PARTS: tuple[Part, ...] = ("train", "development", "test", "controls")

_TOPICAL = "Topic: {title}\nQuestion: {question}"
_PASSAGE = "Here is a passage.\n\nTitle: {title}\n{text}\n\n"
_ENDS = ("\n\n\n", "\nHere is a passage.")
_IMPLICATIONS = "what follows from the passage, said in it or implied by it, one statement on each line"
_FORMATS = (
    EditFormat("implications", f"{_PASSAGE}Here is a list of {_IMPLICATIONS}.\n\n1.", 512, stop=_ENDS),
    EditFormat("implications-long", f"{_PASSAGE}Here is a long list of {_IMPLICATIONS}.\n\n1.", 1024, stop=_ENDS),
    EditFormat(
        "implications-very-long",
        f"{_PASSAGE}Here is a very long list of {_IMPLICATIONS}, with everything that can be said.\n\n1.",
        2048,
        stop=_ENDS,
    ),
    EditFormat(
        "rewrite",
        f"{_PASSAGE}Here is the passage told again in several other ways, each of them whole and on a line of its own."
        "\n\n1.",
        1024,
        stop=_ENDS,
    ),
    EditFormat(
        "self-qa",
        f"{_PASSAGE}Here are questions about the passage, each with its answer.\n\nQuestion 1:",
        1024,
        "questions",
        stop=_ENDS,
    ),
    EditFormat("no-prompt", "Title: {title}\n{text}\n\n", 512, stop=_ENDS),
    EditFormat(
        "implications-cot",
        f"{_PASSAGE}Here are some thoughts about what matters in it, and after the word Implications a list of "
        f"{_IMPLICATIONS}.\n\nThoughts:",
        1024,
        stop=_ENDS,
        begins_after="Implications:",
    ),
)

READING = Prompts(
    closed="Answer the question directly, in as few words as possible.\n{question}\nAnswer:",
    open_book=(
        "Read the passage, then answer the question directly, in as few words as possible.\n\n"
        "Title: {title}\n{text}\n\n{question}\nAnswer:"
    ),
    answered="{question}\nAnswer: {answer}",
    titled="{title}\n{text}",
    topical=_TOPICAL,
    max_new_tokens=64,
    chat_closed=f"{BRIEFLY}\n\n{{question}}",
    chat_open_book=f"Title: {{title}}\n{{text}}\n\n{BRIEFLY}\n\n{{question}}",
    examples=EXAMPLES,
    formats=MappingProxyType(
        {format_.name: replace(format_, instruction=INSTRUCTIONS[format_.name]) for format_ in _FORMATS}
    ),
)


@final
@dataclass(frozen=True, slots=True)
class Passage:
    """A passage with its questions, each with the answers that count as right, the reference first.

    ``where`` is the file and line it stands in; ``split`` the one that its file or folder names, if any. ``questions``
    are told in the passage (the kind ``knowledge``); ``two_hop`` ones take two of its facts (``reasoning``).
    """

    title: str
    text: str
    questions: tuple[Pair, ...]
    where: str = ""
    split: Part | None = None
    two_hop: tuple[Pair, ...] = ()

    def problem(self) -> Problem:
        """The passage as a problem; its id is the title in plain letters and a digest of title and text."""
        words = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:40]
        material = Material(f"{words or 'passage'}-{short_hash(self.title, self.text)}", self.title, self.text)
        told = [Question(asked(self.title, text), right) for text, right in self.questions]
        two_hop = [Question(asked(self.title, text), right, "reasoning") for text, right in self.two_hop]
        return Problem(material, (*told, *two_hop))


def asked(title: str, question: str) -> str:
    """A question with the topic it is about: without a passage it would not say which of many it means."""
    return _TOPICAL.format(title=title, question=question)


def looked_up(passages: Sequence[Passage], count: int, rng: np.random.Generator) -> tuple[Question, ...]:
    """Up to ``count`` questions of the kind ``skill``, drawn from these passages, each to be answered from its passage.

    They are asked as an arm that reads is asked: what is measured is reading, not what the model makes of a prompt
    that it knows without a passage.
    """
    pool = [(passage, *question) for passage in passages for question in passage.questions]
    chosen = [pool[number] for number in rng.permutation(len(pool))[:count]]
    return tuple(Question(asked(p.title, q), a, "skill", p.problem().material) for p, q, a in chosen)


def text_of(item: Any, key: str, where: str, remedy: str) -> str:
    """The text at a key of what JSON held, its line ends ``\\n``. Raises InputError unless it is one and not empty."""
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(where, f"{key} = {shown(value)} is not a text", remedy)
    return value.replace("\r\n", "\n").strip()


def read_json(path: Path, remedy: str) -> Any:
    """What a JSON file in UTF-8 holds. Raises InputError where it cannot be read, and for a name that stands twice in
    one object: the second would silently take the place of the first."""
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"), once=True)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", remedy) from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}", f"is not JSON ({error.msg})") from error
    except ValueError as error:
        raise InputError(str(path), f"is not JSON that can be read ({error})") from error


@final
class Shares(BaseModel):
    """The shares of the titles that go to each split. What is left is for controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Share = 0.4
    development: Share = 0.1
    test: Share = 0.4

    def ends(self) -> dict[Part, float]:
        """Where each split ends when all titles are one long line of length 1."""
        train, development = self.train, self.train + self.development
        ends: dict[Part, float] = {"train": train, "development": development}
        return ends | {"test": min(1.0, development + self.test), "controls": 1.0}


def share_out(titles: Iterable[str], shares: Shares | None = None, order_seed: int = 0) -> dict[str, Part]:
    """The split of each title, or ``controls``: no title is in two. Without shares, the usual ones.

    Depends on the set of titles, the shares and ``order_seed`` only. Raises InputError for shares above 1 in all.
    """
    shares = shares or Shares()
    given = shares.train + shares.development + shares.test
    if given > 1 + 1e-9:
        raise InputError("shares", f"they add up to {given:g}, more than 1", "what they leave over is for controls")
    known = sorted(set(titles))
    order = stream(order_seed, "domains", "titles").permutation(len(known))
    found: dict[str, Part] = {}
    for place, number in enumerate(order):
        middle = (place + 0.5) / len(known)
        found[known[number]] = next((part for part, end in shares.ends().items() if middle < end), "controls")
    return found


def take(pool: Sequence[T], split: Split, count: int, seed: int, where: str) -> tuple[T, ...]:
    """The first ``count`` of a split's pool under this seed, which decides their order.

    Raises InputError, beginning with ``where``, if the pool has fewer.
    """
    check_count(len(pool), split, count, where)
    order = stream(seed, "domains", "problems", split).permutation(len(pool))
    return tuple(pool[number] for number in order[:count])


def check_count(there: int, split: str, count: int, where: str) -> None:
    """Raise InputError if a split has fewer problems than are asked for."""
    if not 0 <= count <= there:
        raise InputError(
            f"{where}: {count} {split} problems", f"there are {there}", "ask for fewer, or share otherwise"
        )
