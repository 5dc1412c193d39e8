"""Problem: one thing to adapt to. A method may see its material; its questions are the exam's alone.

How a model is asked (for answers, for self-edits) is plain data, :class:`Prompts`, so that a method can be given the
wording without being given the domain. A base model continues a text, with demonstrations before it; an instruct model
is asked in a conversation, in which demonstrations are earlier turns (lm-evaluation-harness calls that
``fewshot_as_multiturn``). A domain brings both wordings, and a trial decides which of them is used.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Literal, Self, final

from netgain.records.claim import RIGHT, GradeName
from netgain.records.identity import canonical, short_hash

Cut = Literal["line", "sentence", "whole"] | tuple[str, ...]
Split = Literal["train", "development", "test"]
Splitting = Literal["lines", "document", "questions", "settings"]
_LIST_HEAD = re.compile(r"^1[.)]|^\s*(?:question|q)\s*\d*\s*[:.]", re.IGNORECASE)
# A full stop behind an initial or a short capitalised word (St., Dr., Mrs.) is taken to be one of an abbreviation.
_SENTENCE_END = re.compile(r"(?<![A-Z])(?<!\b[A-Z][a-z])(?<!\b[A-Z][a-z]{2})[.!?]+[\"')\]]*(?=\s)")


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

    A question of several ``parts`` (a task with several test inputs) asks each of them by itself, and is answered right
    only if all of them are; ``text`` and ``answers`` are then what records name it by, and are not asked.
    """

    text: str
    answers: tuple[str, ...]
    kind: str = "knowledge"
    passage: Material | None = None
    parts: tuple["Question", ...] = ()

    @property
    def asked(self) -> tuple["Question", ...]:
        """What is asked: its parts, or itself."""
        return self.parts or (self,)


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
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = str | tuple[Message, ...]  # a text that is continued as it stands, or a conversation for the model's template


def text_of(prompt: Prompt) -> str:
    """A prompt as one text: the contents of a conversation, a blank line between them."""
    return prompt if isinstance(prompt, str) else "\n\n".join([message.content for message in prompt])


def in_turns(prompt: Prompt) -> str:
    """A prompt to be read by people: of a conversation every turn under its role."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"[{message.role}]\n{message.content}" for message in prompt)


def _asked(chat: bool, shots: Sequence[tuple[str, str]], last: str) -> Prompt:
    """What is asked last, behind demonstrations: each what was asked and what was said."""
    if not chat:
        return "".join(f"{asked}{said}\n\n" for asked, said in shots) + last
    turns = [(Message("user", asked), Message("assistant", said)) for asked, said in shots]
    return (*chain.from_iterable(turns), Message("user", last))


@final
@dataclass(frozen=True, slots=True)
class EditFormat:
    """One way to ask for a self-edit, and how what comes back is cut into training sequences.

    ``template`` has the fields ``{title}`` and ``{text}``. ``splitting``: one sequence for each line, the whole edit as
    one document, or one sequence for each question with its answer; ``settings`` are not cut: such an edit is JSON that
    chooses how the model is trained on examples. ``begins_after`` is the marker behind which the
    edit begins (what is thought aloud before it is not trained on). ``instruction``, with the same fields, is what an
    instruct model is told (empty: the template); it is where ``chat``. ``example`` is a passage with its edit, which
    is shown first.
    """

    name: str
    template: str
    max_new_tokens: int
    splitting: Splitting = "lines"
    stop: tuple[str, ...] = ()
    begins_after: str = ""
    instruction: str = ""
    example: tuple[Material, str] | None = None
    chat: bool = False

    def prompt(self, material: Material, **further: str) -> Prompt:
        """What the model answers with a self-edit; ``further`` are fields that the template has beside the usual."""
        shots = [] if self.example is None else [(self._filled(self.example[0], further), self._said(self.example[1]))]
        return _asked(self.chat, shots, self._filled(material, further))

    @property
    def wording(self) -> str:
        """What is asked, before its fields are filled in."""
        return (self.chat and self.instruction) or self.template

    def _filled(self, material: Material, further: Mapping[str, str]) -> str:
        return self.wording.format(title=material.title, text=material.text, **further)

    def _said(self, edit: str) -> str:
        rest = edit if self.chat else edit.removeprefix(self.head)
        follows = self.chat or self.template[-1:].isspace() or rest[:1].isspace()
        return rest if follows else f" {rest}"

    @property
    def head(self) -> str:
        """What a text to be continued begins of the edit itself: its last line, where that is the head of a list."""
        line = self.template.rpartition("\n")[2]
        return line if not self.chat and _LIST_HEAD.match(line) and "{" not in line else ""


@final
@dataclass(frozen=True, slots=True)
class Prompts:
    """How a domain asks. ``closed`` has the field ``{question}``, ``open_book`` also ``{title}`` and ``{text}``.

    ``answered`` (with ``{question}`` and ``{answer}``) is a question with its answer as a text; ``topical`` (with
    ``{title}`` and ``{question}``) is a question about a passage as an exam without the passage words it; ``titled``
    (with ``{title}`` and ``{text}``) is a training sequence about a passage; ``formats`` are the ways to ask for a
    self-edit, the domain's own choice first. ``chat_closed`` and ``chat_open_book`` are what an instruct model is told
    instead (empty: the same), ``examples`` a passage with its edit for each format that has one.

    ``cut`` says what of a generation is the answer: its first ``line`` that has text, the first ``sentence`` of that,
    the ``whole``, or all before the first of some stop strings.

    ``lead`` is what stands between a prompt and its answer where a text is continued.

    A trial fills in the rest, by :meth:`used`: whether it asks in a ``chat``, and ``shots``, questions of training
    problems with the passage that each is about.
    """

    closed: str
    open_book: str
    answered: str
    formats: Mapping[str, EditFormat]
    titled: str = "{text}"
    topical: str = "{question}"
    max_new_tokens: int = 64
    cut: Cut = "line"
    lead: str = " "
    chat_closed: str = ""
    chat_open_book: str = ""
    examples: Mapping[str, tuple[Material, str]] = field(default_factory=dict)
    chat: bool = False
    shots: tuple[tuple[Material, Question], ...] = ()

    def used(self, *, chat: bool, shots: Sequence[tuple[Material, Question]] = (), cut: Cut | None = None) -> Self:
        """The same as a trial uses them: with ``shots`` formats show their example; ``cut`` None leaves it as it is."""
        shown = self.examples if shots else {}
        formats = {name: replace(form, chat=chat, example=shown.get(name)) for name, form in self.formats.items()}
        return replace(self, formats=formats, chat=chat, shots=tuple(shots), cut=cut or self.cut)

    def ask(self, question: str, context: Sequence[Material] = ()) -> Prompt:
        """The prompt for a question, with or without passages to look it up in.

        Demonstrations have their own passage where the question has. None is of the question itself or, with passages,
        of one that is shown anyway.
        """
        shots = [
            (self._filled(shot.text, [own] if context else ()), self.said(shot.answers[0]))
            for own, shot in self.shots
            if shot.text != question and own not in context
        ]
        return _asked(self.chat, shots, self._filled(question, context))

    @property
    def _closed(self) -> str:
        return (self.chat and self.chat_closed) or self.closed

    @property
    def _open_book(self) -> str:
        return (self.chat and self.chat_open_book) or self.open_book

    def _filled(self, question: str, context: Sequence[Material]) -> str:
        if not context:
            return self._closed.format(question=question)
        text = "\n".join(material.text for material in context)
        return self._open_book.format(question=question, title=context[0].title, text=text)

    def said(self, answer: str) -> str:
        """An answer as it stands behind the prompt of its question."""
        return answer if self.chat else f"{self.lead}{answer}"

    def lesson(self, question: str, answer: str) -> Prompt:
        """A question with its answer as a training text, in the form in which it will be asked.

        Trained on in another form, a model may know the answer and not say it.
        """
        if not self.chat:
            return self.answered.format(question=question, answer=answer)
        return (Message("user", self._filled(question, ())), Message("assistant", answer))

    def about(self, material: Material, question: str) -> str:
        """A question about a passage, worded as the exam words its own."""
        return self.topical.format(title=material.title, question=question)

    def bare(self, question: str) -> str:
        """A question without what :meth:`about` words around it."""
        pattern = re.escape(self.topical).replace(r"\{title\}", ".*?").replace(r"\{question\}", "(?P<own>.*)")
        match = re.fullmatch(pattern, question, re.DOTALL)
        return match["own"] if match else question

    def adopted(self, form: EditFormat) -> EditFormat:
        """A format that is not the domain's own, asked as the domain's are."""
        return replace(form, chat=self.chat)

    @property
    def stop(self) -> tuple[str, ...]:
        """The texts at which an answer need not be continued."""
        if isinstance(self.cut, tuple):
            return self.cut
        return () if self.cut == "whole" else ("\n",)

    def answer(self, text: str) -> str:
        """What of a generation is the answer, as ``cut`` says."""
        text = text.strip()
        if isinstance(self.cut, tuple):
            return min((text.partition(stop)[0] for stop in self.cut), key=len, default=text).strip()
        line = text if self.cut == "whole" else text.partition("\n")[0].strip()
        end = _SENTENCE_END.search(line) if self.cut == "sentence" else None
        return line[: end.end()] if end else line

    @property
    def wording(self) -> tuple[str, ...]:
        """All texts that a model may be shown beside a problem's own, demonstrations included."""
        own = (self._closed, self._open_book, self.answered)
        told = [form.wording for form in self.formats.values()]
        shots = [text for own, shot in self.shots for text in (own.title, own.text, shot.text, shot.answers[0])]
        edits = [form.example for form in self.formats.values() if form.example is not None]
        return (*own, *told, *shots, *(text for own, edit in edits for text in (own.title, own.text, edit)))

    @property
    def version(self) -> str:
        """10 hexadecimal digits that change with anything that decides what is asked and what counts as the answer."""
        forms = [asdict(form) for form in self.formats.values()]
        shots = [[asdict(material), shot.text, shot.answers[0]] for material, shot in self.shots]
        rest = [self.closed, self.open_book, self.answered, self.titled, self.chat_closed, self.chat_open_book]
        rest += [] if self.topical == "{question}" else [self.topical]
        rest += [] if self.lead == " " else [self.lead]
        return short_hash(canonical([forms, shots, rest, self.max_new_tokens, self.cut, self.chat]))


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
