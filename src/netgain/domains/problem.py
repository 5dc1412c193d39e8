"""Problem: one thing to adapt to. A method may see its material; its questions are the exam's alone.

A :class:`Domain` makes problems and grades answers. How a model is asked (for answers, for self-edits) is plain data,
:class:`Prompts`, so that a method can be given the wording without being given the domain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, final

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
    such as ``seen`` (facts the base model knew) and ``skill`` (things it could do).
    """

    text: str
    answers: tuple[str, ...]
    kind: str = "knowledge"


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
    """How an answer was graded: right or wrong, and SQuAD's F1 (0 to 1) beside it."""

    correct: bool
    f1: float


class Domain(Protocol):
    """A family of problems. Pure: the same arguments give the same problems, and no two splits share a fact."""

    @property
    def name(self) -> str:
        """The domain's name, as a trial calls it."""

    @property
    def prompts(self) -> Prompts:
        """How it asks."""

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` problems of a split under this seed. Raises InputError where there are not as many."""

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """About ``count`` questions of each kind of control: what the base model could do before any adaptation."""

    def grade(self, question: Question, answer: str) -> Grade:
        """Grade a model's answer."""

    def oracle(self, material: Material, seed: int) -> str | None:
        """What a perfect writer would write about this material, a statement a line; None where there is none."""
