"""Domain: a family of problems, as a small form to fill in."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from netgain.domains.few_shot import FewShot
from netgain.domains.grading import check_answer, grade
from netgain.domains.problem import Grade, Material, Problem, Prompts, Question, Split
from netgain.domains.wording import PLAIN_PROMPTS
from netgain.tokens import CHARACTERS_PER_TOKEN


class DomainSettings(BaseModel):
    """Base of a domain's settings, the fields beside ``kind`` in a trial. An unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(ABC):
    """Base of all domains: fill in ``problems``; replace what else differs from the usual.

    A domain is pure: the same arguments give the same problems, and no two splits share a title, a passage or a
    question (a trial checks that before it spends anything). It is made from its ``Settings``, and reads its data then,
    raising InputError for whatever is wrong with it; ``notes`` then tell what was left out, as a trial's plan shows.
    ``language`` (a key of ``netgain.domains.languages.ARTICLES``) decides what the words of an answer are. A domain
    whose problems are a few examples sets ``few_shot``; one whose texts are no prose sets ``characters_per_token``, by
    which a plan estimates their lengths where it has no tokenizer.
    """

    Settings: ClassVar[type[DomainSettings]] = DomainSettings
    prompts: Prompts = PLAIN_PROMPTS
    notes: tuple[str, ...] = ()
    language: str = "en"
    few_shot: FewShot | None = None
    characters_per_token: float = CHARACTERS_PER_TOKEN

    def __init__(self, settings: Any = None) -> None:
        self.settings: Any = settings if settings is not None else self.Settings()

    @abstractmethod
    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` problems of a split under this seed; fewer for a smaller ``count``, never others.

        Raises InputError where there are not as many.
        """

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """About ``count`` questions of each kind of control: what the base model could do before any adaptation.

        Usually none, and then forgetting is not measured.
        """
        return ()

    def grade(self, question: Question, answer: str) -> Grade:
        """Grade a model's answer: usually by exact match, F1 (as SQuAD defines them) and by what it contains."""
        return grade(question, answer, self.language)

    def check(self, problems: Sequence[Problem], name: str) -> None:
        """Raise InputError, beginning with the domain's ``name``, for an accepted answer that no answer can be: it has
        no word, and the domain grades as usual."""
        if type(self).grade is not Domain.grade:
            return
        for problem in problems:
            for question in chain.from_iterable(one.asked for one in problem.questions):
                for answer in question.answers:
                    check_answer(answer, self.language, f"{name}: {problem.id}: {question.text[:60]!r}")

    def oracle(self, material: Material, seed: int) -> str | None:
        """What a perfect writer would write about this material, a statement a line; usually nobody knows, None."""
        return None
