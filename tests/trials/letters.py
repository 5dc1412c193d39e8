"""A tiny domain of examples, for trials on the scripted model: letters are shifted, by how much the pairs tell.

A model that reads the pairs knows the shift only where the words are short; one that was trained on a lesson of the
problem knows it, but not for words put backwards, which it gets wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.few_shot import FewShot, Lesson, View, Vote
from netgain.domains.problem import Grade, Material, Problem, Prompts, Question, Split
from netgain.engine.jobs import InnerLoopJob
from netgain.errors import InputError, nearest
from netgain.exam.exam import Answerer
from netgain.methods.method import Desk, Learned, Method, Settings
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Generate, Train
from netgain.model.scripted import ScriptedAdapter, scripted_model
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.streams import stream

WORD = 10  # letters


def shifted(word: str, by: int) -> str:
    return "".join(chr((ord(letter) - 97 + by) % 26 + 97) for letter in word)


def written(pairs: Sequence[tuple[str, str]], word: str = "") -> str:
    lines = [f"{one} > {other}" for one, other in pairs] + ([f"{word} >"] if word else [])
    return "\n".join(lines)


def read(text: str) -> tuple[tuple[str, str], ...]:
    lines = [line.partition(" >") for line in text.split("\n")]
    return tuple((one, other.strip()) for one, _, other in lines)


@final
class Letters(FewShot):
    """Words may be put backwards: the shift stays the same."""

    tools: Mapping[str, str] = MappingProxyType({"backwards": "each word from its end", "order": "the pairs reordered"})

    def __init__(self, views: int = 1, attempts: int = 1) -> None:
        self._count, self.attempts = views, attempts

    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        for tool in tools:
            if tool not in self.tools:
                raise InputError(f"tool {tool!r}", "is none", nearest(tool, self.tools))
        pairs, rng = read(material.text), stream(seed, "letters")
        made = [pairs, *([[(a[::-1], b[::-1]) for a, b in pairs]] if "backwards" in tools else [])]
        lessons = []
        for these in made:
            for number, (word, answer) in enumerate(these):
                rest = [pair for place, pair in enumerate(these) if place != number]
                order = rng.permutation(len(rest)) if "order" in tools else range(len(rest))
                lessons.append(Lesson(written([rest[place] for place in order], word), answer))
        return tuple(lessons)

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        pairs = read(material.text)
        folds = [([*pairs[:index], *pairs[index + 1 :]], pair) for index, pair in enumerate(pairs)]
        return tuple(
            Problem(Material(f"{material.id}-{word}", "", written(rest)), (Question(written(rest, word), (answer,)),))
            for rest, (word, answer) in folds
        )

    def views(self, question: Question) -> tuple[View, ...]:
        backwards = "\n".join(" >".join(part[::-1] for part in line.split(" >")) for line in question.text.split("\n"))
        again = [View(question.text, "again") for _ in range(self._count - 2)]
        return (View(question.text), View(backwards, "backwards", lambda said: said[::-1]), *again)[: self._count]

    def elect(self, question: Question, given: Sequence[Vote]) -> tuple[str, ...]:
        straight = [answer for category, answer in given if category != "backwards"]
        return tuple(dict.fromkeys([*straight, *(answer for _, answer in given)]))[: self.attempts]

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        return read(text)

    def forms(self, answer: str) -> tuple[str, ...]:
        return answer, answer[::-1]


class LettersSettings(DomainSettings):
    views: int = 1
    attempts: int = 1
    inputs: int = 1  # to each task
    clash: bool = False  # whether the splits ask for the same pairs


class Shifts(Domain):
    """Every task has its own shift."""

    Settings = LettersSettings
    prompts = Prompts(closed="{question}", open_book="{question}", answered="{question} {answer}", formats={})

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.few_shot = Letters(self.settings.views, self.settings.attempts)

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        return tuple(self._problem("all" if self.settings.clash else split, split, seed, n) for n in range(count))

    def _problem(self, world: str, split: str, seed: int, number: int) -> Problem:
        rng = stream(seed, "shifts", world, str(number))
        by = 1 + int(rng.integers(25))
        words = [
            "".join(chr(97 + int(n)) for n in rng.integers(26, size=WORD)) for _ in range(3 + self.settings.inputs)
        ]
        pairs = [(word, shifted(word, by)) for word in words[:3]]
        asked = [Question(written(pairs, word), (shifted(word, by),), "held-out") for word in words[3:]]
        if len(asked) == 1:
            question = asked[0]
        else:
            question = Question(
                "\n".join(one.text for one in asked), tuple(a.answers[0] for a in asked), "held-out", parts=tuple(asked)
            )
        return Problem(Material(f"{split}-{number}", "", written(pairs)), (question,))

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        return tuple(Question(f"ab > bc\n{chr(97 + n)} >", (chr(98 + n),), "seen") for n in range(count))

    def grade(self, question: Question, answer: str) -> Grade:
        same = sum(one == other for one, other in zip(answer, question.answers[0], strict=False))
        return Grade(
            answer == question.answers[0], same / max(1, len(question.answers[0])), answer == question.answers[0]
        )


def answer(request: Generate) -> str:
    """Right for a word that was trained on among its pairs; the question itself, or backwards, is otherwise wrong."""
    *pairs, (word, _) = read(str(request.prompt))
    by = (ord(pairs[0][1][0]) - ord(pairs[0][0][0])) % 26
    if len(word) == 1:
        return shifted(word, by)
    learnt = ""
    if isinstance(request.adapter, ScriptedAdapter):
        learnt = " ".join(bytes(one).decode() for one in request.adapter.sequences)
    return shifted(word, by) if " > ".join(pairs[0]) in learnt else word


def model() -> Model:
    return scripted_model(answer, name="scripted")


class TrainedSettings(Settings):
    tools: tuple[str, ...] = ()
    cheat: str = ""  # what is trained on beside the lessons
    forged: str = ""  # a material of its own, of which lessons are made


class Trained(Method):
    """Trains once on the lessons that the shown pairs give."""

    role = Role.PASSAGE
    Settings = TrainedSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        assert isinstance(self.settings, TrainedSettings)
        assert desk.few_shot is not None
        lessons = desk.few_shot.lessons(materials[0], self.settings.tools, desk.draw("lessons"))
        if self.settings.forged:
            lessons += desk.few_shot.lessons(replace(materials[0], text=self.settings.forged), (), 0)
        texts = [f"{lesson.prompt} {lesson.answer}" for lesson in lessons]
        texts += [self.settings.cheat] if self.settings.cheat else []
        job = InnerLoopJob(
            key="/".join(desk.names),
            sequences=[desk.model.tokenize(text) for text in texts],
            epochs=1,
            learning_rate=1e-3,
            seed=desk.draw("job"),
        )
        (result,) = yield from ask(desk.model, [Train(account=desk.pay(Purpose.ADAPT), job=job)])
        return Answerer(model=desk.model, adapter=result.get().adapter)


class Reader(Method):
    """The model as it is: it reads the pairs."""

    role = Role.FROZEN

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        yield from ()
        return Answerer(model=desk.model)


METHODS: dict[str, type[Method]] = {"frozen": Reader, "trained": Trained}


def find_method(name: str, folder: Path | None = None) -> type[Method]:
    return METHODS[name]


def find_domain(kind: str, folder: Path | None = None) -> type[Domain]:
    return Shifts
