"""A user's own passages as problems: a folder of Markdown files, or JSON Lines.

In Markdown a file is a passage: ``# Title``, its text, then ``## Questions`` with a ``Q:`` line and one or more ``A:``
lines for each. In JSON Lines a line is one: ``{"title": ..., "text": ..., "questions": [{"question": ..., "answers":
[...]}]}``. Which split a passage is in may be said (a folder ``train``, ``development`` or ``test``, or the field
``split``); those that say nothing are shared out by title.
"""

from pathlib import Path
from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from netgain.domains import grading
from netgain.domains.passage_files import Entry, read_passages
from netgain.domains.problem import Grade, Material, Problem, Prompts, Question, Split
from netgain.domains.reading import READING, asked, looked_up
from netgain.domains.splits import Part, Shares, share_out, take
from netgain.domains.squad import problem_id
from netgain.errors import InputError
from netgain.streams import stream


@final
class PassagesSettings(BaseModel):
    """Where the passages are and, for those that name no split, how their titles are shared out among the splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    shares: Shares = Shares()
    order_seed: int = Field(default=42, ge=0)


@final
class Passages:
    """The domain; see the module. Its prompts, grading and controls are those of ``squad``."""

    name: ClassVar[str] = "passages"
    prompts: ClassVar[Prompts] = READING
    Settings: ClassVar[type[PassagesSettings]] = PassagesSettings

    def __init__(self, settings: PassagesSettings) -> None:
        """Raises InputError for what cannot be read, and where one title is said to be in two splits."""
        self._where = str(settings.path)
        entries = read_passages(settings.path)
        said = _said(entries)
        silent = [entry.title for entry in entries if entry.title not in said]
        parts: dict[str, Part] = {**said, **share_out(silent, settings.shares, settings.order_seed)}
        names: tuple[Part, ...] = ("train", "development", "test", "controls")
        self._pools = {part: tuple(entry for entry in entries if parts[entry.title] == part) for part in names}

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` passages of a split in the seed's order. Raises InputError for more than there are."""
        return tuple(_problem(entry) for entry in take(self._pools[split], split, count, seed, self._where))

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """Up to ``count`` questions of the kind ``skill``: to be answered from a passage that is told, of no split."""
        return looked_up(self._pools["controls"], count, stream(seed, "passages", "controls"))

    def grade(self, question: Question, answer: str) -> Grade:
        """Exact match and F1, as SQuAD defines them."""
        return grading.grade(question, answer)

    def oracle(self, material: Material, seed: int) -> str | None:
        """None: nobody has written down what a perfect writer would say of a passage."""
        return None


def _said(entries: tuple[Entry, ...]) -> dict[str, Part]:
    said: dict[str, Part] = {}
    for entry in entries:
        if entry.split is not None and said.setdefault(entry.title, entry.split) != entry.split:
            problem = f"{entry.title!r} is in {entry.split}, but another passage of this title in {said[entry.title]}"
            raise InputError(entry.where, problem, "keep all passages of a title in one split")
    return said


def _problem(entry: Entry) -> Problem:
    questions = tuple(Question(asked(entry.title, text), answers) for text, answers in entry.questions)
    return Problem(Material(problem_id(entry.title, entry.text), entry.title, entry.text), questions)
