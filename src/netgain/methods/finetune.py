"""Fine-tuning: on the passage itself, on rearrangements of it by rule, or after conventional training data."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from netgain.domains.problem import Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.methods.fit import Count, Inner, Rate, fit, merging
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.paraphrase import paraphrases
from netgain.methods.synthetic import passages
from netgain.model.interface import Merge
from netgain.model.lockstep import Steps, ask
from netgain.model.metered import Model
from netgain.records.claim import Role
from netgain.records.purpose import Purpose
from netgain.streams import stream

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class FinetuneSettings(Inner):
    """``paraphrases`` is how many rearrangements of each passage are trained on beside it; see ``paraphrase.py``."""

    paraphrases: Annotated[int, Field(ge=0, le=1000)] = 0


class Finetune(Method):
    """Read the passage over and over: SEAL's ``no self-edit``."""

    role: ClassVar[Role] = Role.PASSAGE
    Settings = FinetuneSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paraphrases": {"paraphrases": 10}}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """All passages, and rearrangements of them, in one training."""
        texts = [*passages(desk, materials), *passages(desk, self._rearranged(desk, materials))]
        answerer = yield from fit(desk, texts, self.settings)
        return answerer

    def _rearranged(self, desk: Desk, materials: Sequence[Material]) -> list[Material]:
        found = []
        for material in materials:
            rng = stream(desk.draw("paraphrases"), material.id)
            texts = paraphrases(material.text, self.settings.paraphrases, rng)
            found += [Material(material.id, material.title, text) for text in texts]
        return found


class Outer(Inner):
    """How a method trains in ``learn``: SEAL's outer fine-tuning by default (its ``train_SFT.sh``)."""

    outer_rank: Count = 64
    outer_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 128.0
    outer_modules: Annotated[tuple[str, ...], Field(min_length=1)] = SEVEN
    outer_epochs: Count | None = 2
    outer_batch: Count = 10
    outer_learning_rate: Rate = 3e-4

    def outer(self) -> Inner:
        """The settings of the outer training, as those of a training."""
        return Inner(
            rank=self.outer_rank,
            alpha=self.outer_alpha,
            target_modules=self.outer_modules,
            learning_rate=self.outer_learning_rate,
            batch_size=self.outer_batch,
            max_epochs=self.outer_epochs,
            max_length=self.max_length,
        )


class ConventionalSettings(FinetuneSettings, Outer):
    """``with_passages`` trains on the training problems' passages beside their questions (pre-instruction-tuning).

    ``outer_epochs`` None (the default here) trains until the investment is used. Few problems are then read very often,
    which can do harm: a lower ``outer_learning_rate`` is worth an arm of its own. Tuning cannot try it, for it does not
    learn.
    """

    outer_epochs: Count | None = None
    with_passages: bool = True


class Conventional(Finetune):
    """Conventional data first: questions with answers of the training problems, and their passages; then the passage.

    What an outer loop's investment buys when it is spent on labelled data instead (cf. Jiang et al. 2024,
    arXiv 2402.12847).
    """

    role: ClassVar[Role] = Role.OTHER
    Settings = ConventionalSettings
    learns: ClassVar[bool] = True

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """A model that was trained on the training problems."""
        if not problems:
            raise InputError("problems.train 0", "there is nothing to learn from", "give training problems")
        texts = [
            desk.prompts.answered.format(question=question.text, answer=question.answers[0])
            for problem in problems
            for question in problem.questions
        ]
        if self.settings.with_passages:
            texts += passages(desk, [problem.material for problem in problems])
        outer = self.settings.outer()
        desk = desk.at("conventional")
        trained = yield from fit(desk, texts, outer, spare=merging(desk, outer), purpose=Purpose.LEARN)
        model = yield from merged(desk, trained)
        return model

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Fine-tune the model that has learnt."""
        answerer = yield from super().adapt(desk.at(model=learned), materials, None)
        return answerer


def merged(desk: Desk, answerer: Answerer) -> Steps[Model]:
    """The model with its adapter in its weights; as it is without one."""
    if answerer.adapter is None:
        return answerer.model
    request = Merge(account=desk.pay(Purpose.LEARN), adapter=answerer.adapter)
    (result,) = yield from ask(answerer.model, [request])
    model: Model = result.get()
    return model
