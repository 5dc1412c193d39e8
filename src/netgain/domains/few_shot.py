"""FewShot: what a domain of examples offers to methods and to the exam.

A problem shows a few pairs of an input with its output and asks for the outputs of further inputs. The pairs are what
is known (:class:`~netgain.domains.problem.Material`) and stand in every question, so that whoever answers has read
them: a model that is not trained learns in context. Trained on is what can be made of the pairs alone, a training
sequence for each one that is held out.

A question may be put in several ways (*views*: the examples transformed, the answer transformed back) and answered by
several *attempts*, of which one has to be right. Both belong to the domain: every arm is asked alike.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from netgain.domains.problem import Material, Problem, Question

Vote = tuple[str, str]  # the category of the view that it was given to, and the answer, brought back


@final
@dataclass(frozen=True, slots=True)
class Lesson:
    """A training sequence made of shown pairs: what is asked, in the form of a question, and the answer behind it."""

    prompt: str
    answer: str


def _as_it_is(answer: str) -> str:
    return answer


@final
@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One way to put a question: as it stands, or transformed.

    ``undo`` brings an answer to ``text`` back to the question as it stands; empty where there is nothing in it that
    can be brought back. ``category`` names what is undone: votes are counted within each category first.
    """

    text: str
    category: str = ""
    undo: Callable[[str], str] = _as_it_is


class FewShot(ABC):
    """Base of what domains of examples offer: fill in ``lessons``; replace what else differs from the usual.

    It is pure (the same arguments give the same results) and holds no problem: methods have it at their desk.
    ``tools`` names the groups of augmentations that a method may choose, with what each is; ``attempts`` is how many
    answers to a question are graded, the best of which counts.
    """

    tools: Mapping[str, str] = MappingProxyType({})
    attempts: int = 1

    @abstractmethod
    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        """Training sequences made of the pairs that the material shows, and of nothing else, with these tools.

        Raises InputError for a tool that is none.
        """

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        """For each shown pair a problem that shows the others and asks for its output: on these a method tries what it
        has chosen. None where that cannot be made, such as of a single pair.
        """
        return ()

    def views(self, question: Question) -> tuple[View, ...]:
        """The ways in which a question with one input is put, the plainest first: usually as it stands only."""
        return (View(question.text),)

    def elect(self, question: Question, given: Sequence[Vote]) -> tuple[str, ...]:
        """The attempts, the best first and at most ``attempts``, that these answers come to: usually the commonest.

        ``given`` holds no empty answer; among equals the one that was given first comes first.
        """
        counted = Counter(answer for _, answer in given)
        return tuple(answer for answer, _ in counted.most_common(self.attempts))

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        """The pairs of an input and its output that a material's or a question's text shows, in their order; a
        question's own input comes last, its output empty. By these a trial finds pairs that two of its splits share.
        """
        return ()

    def forms(self, answer: str) -> tuple[str, ...]:
        """An answer under all transformations that can be undone, as it is first: usually as it is alone.

        By these a trial recognises an exam's answers among the sequences that a method trained on.
        """
        return (answer,)
