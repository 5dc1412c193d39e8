"""Problem: one thing to adapt to. A method may see its material; its questions are the exam's alone.

How a model is asked (for answers, for self-edits) is plain data, :class:`Prompts`, so that a method can be given the
wording without being given the domain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, final

from netgain.records.claim import RIGHT, GradeName

Split = Literal["train", "development", "test"]
Splitting = Literal["lines", "document", "questions"]


@final
@dataclass(frozen=True, slots=True)
class Material:
    """What a method may see of a problem: a passage with its title. ``id`` names the problem in every record."""

    id: str
    title: str
    text: str


@final
@dataclass(frozen=True, slots=True)
class Question:
    """What only the exam may see: a question, the answers that count as right (the reference first), and its kind.

    ``kind`` says what it examines: ``knowledge`` (told in the passage), ``reasoning`` (two hops), or a kind of control,
    such as ``seen`` (facts the base model knew) and ``skill`` (things it could do). ``passage`` is what a control of
    reading comprehension is answered from; it is shown with the question, as the prompt for an open book says.
    """

    text: str
    answers: tuple[str, ...]
    kind: str = "knowledge"
    passage: Material | None = None


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to adapt to, whole."""

    material: Material
    questions: tuple[Question, ...]

    @property
    def id(self) -> str:
        """The name of the problem in every record."""
        return self.material.id


@final
@dataclass(frozen=True, slots=True)
class EditFormat:
    """One way to ask for a self-edit, and how what comes back is cut into training sequences.

    ``template`` has the fields ``{title}`` and ``{text}``. ``splitting``: one sequence for each line, the whole edit as
    one document, or one sequence for each question with its answer. ``begins_after`` is the marker behind which the
    edit begins (what is thought aloud before it is not trained on).
    """

    name: str
    template: str
    max_new_tokens: int
    splitting: Splitting = "lines"
    stop: tuple[str, ...] = ()
    begins_after: str = ""

    def prompt(self, material: Material) -> str:
        """The text that the model continues with a self-edit."""
        return self.template.format(title=material.title, text=material.text)


@final
@dataclass(frozen=True, slots=True)
class Prompts:
    """How a domain asks. ``closed`` has the field ``{question}``, ``open_book`` also ``{title}`` and ``{text}``.

    ``answered`` (with ``{question}`` and ``{answer}``) is a question with its answer as a training text; ``titled``
    (with ``{title}`` and ``{text}``) is a training sequence about a passage; ``formats`` are the ways to ask for a
    self-edit, the domain's own choice first.
    """

    closed: str
    open_book: str
    answered: str
    formats: Mapping[str, EditFormat]
    titled: str = "{text}"
    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()

    def ask(self, question: str, context: Sequence[Material] = ()) -> str:
        """The prompt for a question, with or without passages to look it up in."""
        if not context:
            return self.closed.format(question=question)
        text = "\n".join(material.text for material in context)
        return self.open_book.format(question=question, title=context[0].title, text=text)


@final
@dataclass(frozen=True, slots=True)
class Grade:
    """How an answer was graded, in every way, and which way ``decides``.

    ``exact``: it equals an accepted answer, or is right by whatever rule a domain has of its own. ``f1``: SQuAD's, 0 to
    1. ``contains``: an accepted answer stands in it (None: a domain's own grader does not say). ``judged``: a judge's
    verdict (None: none was asked, or none could be read; then exact match stands).
    """

    exact: bool
    f1: float
    contains: bool | None = None
    judged: bool | None = None
    decides: GradeName = "exact"

    @property
    def score(self) -> float:
        """What the answer counts, 0 to 1."""
        if self.decides == "f1":
            return self.f1
        if self.decides == "judge" and self.judged is not None:
            return float(self.judged)
        return float(self.contains or False) if self.decides == "contains" else float(self.exact)

    @property
    def correct(self) -> bool:
        """Whether it counts as right where that is asked with yes or no: a score of one half or more."""
        return self.score >= RIGHT


# Short, and what the shipped model was taught; any other model understands them as well.
PLAIN_PROMPTS = Prompts(
    closed="Question: {question}\nAnswer:",
    open_book="{title}\n{text}\nQuestion: {question}\nAnswer:",
    answered="Question: {question}\nAnswer: {answer}",
    titled="{text}",
    max_new_tokens=8,
    stop=("\n",),
    formats=MappingProxyType(
        {
            format_.name: format_
            for format_ in (
                EditFormat("implications", "{title}\n{text}\nImplications:\n", 96),
                EditFormat("implications-long", "{title}\n{text}\nA long list of implications:\n", 128),
                EditFormat("implications-very-long", "{title}\n{text}\nA very long list of implications:\n", 192),
                EditFormat("rewrite", "{title}\n{text}\nThe passage in other words:\n", 96, "document"),
                EditFormat("self-qa", "{title}\n{text}\nQuestions and answers:\n", 160, "questions"),
                EditFormat("no-prompt", "{title}\n{text}\n", 96),
                EditFormat(
                    "implications-cot",
                    "{title}\n{text}\nThoughts, then implications:\n",
                    160,
                    begins_after="Implications:\n",
                ),
            )
        }
    ),
)
