"""How a passage of real text is asked about: the prompts of ``squad`` and ``passages``.

The ways to ask for a self-edit are SEAL's (Zweiger et al. 2025, arXiv 2506.10943, appendix B; the two without a prompt
and with thoughts are its second version's) in our own words. A question is asked with its topic, closed-book, and
answered in at most 64 tokens, as there.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from netgain.domains.problem import EditFormat, Prompts, Question

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
    max_new_tokens=64,
    stop=("\n",),
    formats=MappingProxyType({format_.name: format_ for format_ in _FORMATS}),
)


def asked(title: str, question: str) -> str:
    """A question with the topic it is about: without a passage it would not say which of many it means."""
    return f"Topic: {title}\nQuestion: {question}"


class _Passage(Protocol):
    """A passage with its questions: (question, answers)."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def questions(self) -> Sequence[tuple[str, tuple[str, ...]]]: ...


def looked_up(passages: Sequence[_Passage], count: int, rng: np.random.Generator) -> tuple[Question, ...]:
    """Up to ``count`` questions of the kind ``skill``, drawn from these passages and each asked behind its passage."""
    pool = [(passage, *question) for passage in passages for question in passage.questions]
    chosen = [pool[number] for number in rng.permutation(len(pool))[:count]]
    return tuple(Question(f"{p.title}\n{p.text}\n{asked(p.title, q)}", a, "skill") for p, q, a in chosen)
