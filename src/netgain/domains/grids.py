"""Grids: an endless world of small-grid tasks, whose families the shipped grid model has not seen.

A task shows a few pairs and asks for the output of one more input. Tasks are of *held-out* families of transformations
or of *held-out compositions* of known ones; controls are tasks of the families and compositions that the shipped model
was trained on, asked in the very same form. Held-out families and compositions are shared out among the splits once and
for all, and so are the inputs: whoever learns from training problems, be it from their labels, meets another family
and other grids in the exam.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, final

from pydantic import Field, model_validator

from netgain.domains.augment import CAP
from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.grid import GridTask
from netgain.domains.grid_shots import GRID_PROMPTS, MAX_TOKENS, GridShots, grade_grid, grid_problem, grid_question
from netgain.domains.grid_world import EXAMPLES, NAMES, SIDES, Kind, draw, draw_kind
from netgain.domains.problem import Grade, Problem, Question, Split
from netgain.domains.voting import ATTEMPTS
from netgain.errors import InputError
from netgain.streams import stream

# The held-out families, and as many compositions, in an order of their own, are dealt out in this turn.
TURN: tuple[Split, ...] = ("test", "train", "test", "development")
WORLD = 0  # names the stream that every seed shares
AGAIN = 5  # further tasks of a family that are tried where none was found
ROOM = 8  # tokens of an answer beside its cells


@final
class GridsSettings(DomainSettings):
    """What tasks are like and how all arms are asked.

    A task shows ``examples`` pairs and asks for ``tests`` outputs, all of which must be right; the sides of its inputs
    are between the two of ``sides``. Every ``compositions``-th problem is a held-out composition (0: none).
    ``prediction`` is ``augmented`` (many views and a two-stage vote, as SEAL's) or ``greedy``; one of ``attempts``
    answers has to be right. At most ``sequences`` training sequences are made of a task, each of at most
    ``max_tokens``, counted as in :class:`~netgain.domains.grid_shots.GridShots`.
    """

    examples: Annotated[int, Field(ge=2, le=10)] = EXAMPLES
    tests: Annotated[int, Field(ge=1, le=4)] = 1
    sides: tuple[int, int] = SIDES
    compositions: Annotated[int, Field(ge=0)] = 4
    prediction: Literal["augmented", "greedy"] = "augmented"
    attempts: Annotated[int, Field(ge=1, le=3)] = ATTEMPTS
    sequences: Annotated[int, Field(ge=1, le=100_000)] = CAP
    max_tokens: Annotated[int, Field(ge=100)] = MAX_TOKENS

    @model_validator(mode="after")
    def _sides_rise(self) -> Self:
        if not 3 <= self.sides[0] <= self.sides[1] <= 12:
            raise ValueError(f"sides {list(self.sides)}: must be two numbers from 3 to 12, the smaller first")
        return self

    @property
    def shape(self) -> dict[str, Any]:
        """What a task is drawn with."""
        return {"examples": self.examples, "tests": self.tests, "sides": self.sides}


@cache
def shared_out(kind: Kind) -> dict[Split, tuple[str, ...]]:
    """The families or compositions of a kind by split: half of them for the exam. None is in two."""
    order = stream(WORLD, "grids", "splits", kind).permutation(len(NAMES[kind]))
    dealt = [(TURN[place % len(TURN)], NAMES[kind][number]) for place, number in enumerate(order)]
    return {split: tuple(name for where, name in dealt if where == split) for split in dict.fromkeys(TURN)}


@final
class Grids(Domain):
    """Small-grid tasks of held-out families and compositions: the shipped grid model's own world, without end."""

    Settings: ClassVar[type[GridsSettings]] = GridsSettings
    prompts = GRID_PROMPTS
    characters_per_token = 1.0

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        own: GridsSettings = self.settings
        augmented = own.prediction == "augmented"
        self.few_shot = GridShots(
            augmented=augmented, attempts=own.attempts, max_tokens=own.max_tokens, cap=own.sequences
        )
        # No output has more cells than an input doubled; a cell and the space behind it are at most two tokens.
        self.prompts = replace(GRID_PROMPTS, max_new_tokens=4 * own.sides[1] ** 2 + ROOM)

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` tasks of a split under this seed: its families take turns, and so do its compositions."""
        if seed < 0 or count < 0:
            raise InputError(f"count {count}, seed {seed}", "must be 0 or more")
        every, found = self.settings.compositions, []
        for number in range(count):
            composed = number // every if every else 0
            if every and number % every == every - 1:
                found.append(self._problem("held-out composition", split, composed, seed))
            else:
                found.append(self._problem("held-out", split, number - composed, seed))
        return tuple(found)

    def _problem(self, kind: Kind, split: Split, number: int, seed: int) -> Problem:
        names = shared_out(kind)[split]
        turn, place = divmod(number, len(names))
        order = stream(seed, "grids", "turn", kind, split, str(turn)).permutation(len(names))
        task = _drawn(names[order[place]], split, turn, seed, tuple(self.settings.shape.items()))
        return grid_problem(task, kind)

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """``count`` tasks of families that the shipped model was trained on (``known``), and as many of compositions
        (``composition``), under inputs that it was not."""
        kinds: Sequence[Kind] = ("known", "composition")
        tasks = [(draw_kind(kind, "test", number, seed, **self.settings.shape), kind) for kind in kinds
                 for number in range(count)]  # fmt: skip
        return tuple(grid_question(task, kind) for task, kind in tasks)

    def grade(self, question: Question, answer: str) -> Grade:
        """Right in every cell or wrong; F1 is the share of right cells."""
        return grade_grid(question, answer)


@cache
def _drawn(name: str, split: Split, number: int, seed: int, shape: tuple[tuple[str, Any], ...]) -> GridTask:
    """The task of this number; the next of the family that can be found where there is none, far from the others."""
    for again in range(AGAIN):
        try:
            return draw(name, split, number + again * 10**6, seed, **dict(shape))
        except InputError:
            if again == AGAIN - 1:
                raise
    raise AssertionError
