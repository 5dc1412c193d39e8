"""Fine-tuning: on the passage itself, on rearrangements of it by rule, or after an investment in labelled data."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material, Problem, Prompt
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Inner, Outer, Positive, fit, merge_quote, merged
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.paraphrase import paraphrases
from netgain.methods.writing import by_sentence, passages
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.streams import stream

PRESETS: dict[str, dict[str, Any]] = {"paraphrases": {"paraphrases": 10}}


class FinetuneSettings(Inner):
    """``paraphrases`` is how many rearrangements of each passage are trained on beside it; see ``paraphrase.py``.
    ``sentences`` also trains on each of its sentences by itself; see :class:`~netgain.methods.writing.Beside`."""

    paraphrases: Annotated[int, Field(ge=0, le=1000)] = 0
    sentences: bool = False


@final
class Finetune(Method):
    """Trains on the passage, again and again: SEAL's arm without self-edits."""

    role: ClassVar[Role] = Role.PASSAGE
    Settings = FinetuneSettings
    settings: FinetuneSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """All passages, and their rearrangements, in one training."""
        return (yield from fit_passages(desk, materials, self.settings))


def fit_passages(desk: Desk, materials: Sequence[Material], settings: FinetuneSettings) -> Steps[Answerer]:
    """Fine-tuning on the passages, with the rearrangements and sentences that the settings ask for."""
    rearranged = [
        Material(material.id, material.title, text)
        for material in materials
        for text in paraphrases(material.text, settings.paraphrases, stream(desk.draw("paraphrases"), material.id))
    ]
    single = by_sentence(materials) if settings.sentences else []
    return (yield from fit(desk, passages(desk, [*materials, *rearranged, *single]), settings))


@final
class ConventionalSettings(FinetuneSettings, Outer):
    """``with_passages`` trains on the training problems' passages beside their questions (pre-instruction-tuning).

    ``outer_epochs`` None (the default here) trains until the investment is used. Few problems are then read very often,
    which can do harm: a lower ``outer_learning_rate`` is worth trying, in an arm of its own or by tuning.
    """

    outer_epochs: Positive | None = None
    with_passages: bool = True


@final
class Conventional(Method):
    """Invests in labelled data, the training problems' questions with answers; then trains on the passage.

    What an outer loop's investment buys when it is spent on labels instead of on rewards (cf. Jiang et al. 2024,
    arXiv 2402.12847).
    """

    role: ClassVar[Role] = Role.OTHER
    Settings = ConventionalSettings
    settings: ConventionalSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS
    learns: ClassVar[bool] = True

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after training on the training problems."""
        if not problems:
            raise InputError("problems.train 0", "there is nothing to learn from", "give training problems")
        texts: list[Prompt] = [
            desk.prompts.lesson(part.text, part.answers[0])
            for problem in problems
            for question in problem.questions
            for part in question.asked
        ]
        if self.settings.with_passages:
            texts += passages(desk, [problem.material for problem in problems])
        outer = self.settings.outer()
        desk = desk.at("conventional")
        trained = yield from fit(desk, texts, outer, spare=merge_quote(desk, outer), purpose=Purpose.LEARN)
        return (yield from merged(desk, trained))

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Fine-tune the model that has learned."""
        return (yield from fit_passages(desk.at(model=learned), materials, self.settings))
