"""Context distillation: what the model answers with the passage in context becomes what it answers without.

Snell, Klein and Zhong 2022, arXiv 2209.15189: the teacher is the same model with the context. It asks itself questions
about the passage, answers them with the passage in context, and is trained to give those answers closed book. Targets
are hard (``answers`` samples for each question, the first of them greedy), not distributions: a model hands out texts,
so the divergence that is minimised is estimated from samples.
"""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material, Prompt
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Positive, Temperature, TopP, fit
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.writing import Beside, Pair, affordable, own_questions, passages
from netgain.model.program import Steps, ask
from netgain.model.requests import Generate
from netgain.records.claim import Role
from netgain.records.cost import Purpose


@final
class DistillationSettings(Beside):
    """``questions`` texts of questions are written about each passage in the format ``asking``; ``answers`` to each.

    ``temperature`` and ``top_p`` are those of the questions, and of all answers to one but the first, which is greedy.
    """

    asking: str = "self-qa"
    questions: Positive = 2
    answers: Positive = 1
    temperature: Temperature = 1.0
    top_p: TopP = 0.95


@final
class Distillation(Method):
    """Answers its own questions with the passage in context, and learns to answer them without."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = DistillationSettings
    settings: DistillationSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The answers written along with the questions are dropped: only those given in context are trained on."""
        settings = self.settings
        pairs = yield from own_questions(
            desk.at("questions"),
            materials,
            settings.asking,
            settings.questions,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        answered = yield from self._answered(desk.at("answers"), pairs)
        texts: list[Prompt] = [pair.lesson(desk) for pair in answered]
        texts += settings.passages(desk, materials) or ([] if texts else passages(desk, materials))
        return (yield from fit(desk, texts, settings))

    def _answered(self, desk: Desk, pairs: Sequence[Pair]) -> Steps[list[Pair]]:
        account = desk.pay(Purpose.PROPOSE)
        asked = [(number, pair) for number in range(self.settings.answers) for pair in pairs]
        requests = [
            Generate(
                account=account,
                prompt=desk.prompts.ask(pair.question, [pair.material]),
                max_new_tokens=desk.prompts.max_new_tokens,
                stop=desk.prompts.stop,
                temperature=self.settings.temperature if number else 0.0,
                top_p=self.settings.top_p,
                seed=desk.draw(f"answer {number}") if number else 0,
            )
            for number, pair in asked
        ]
        results = yield from ask(desk.model, affordable(desk, requests, 0.5))
        given = zip((pair for _, pair in asked), results, strict=False)
        return [
            Pair(pair.material, pair.question, answer)
            for pair, result in given
            if result.value is not None and (answer := desk.prompts.answer(result.value.text))
        ]
