"""Context distillation: what the model says with the passage before it becomes what it says without.

Snell, Klein and Zhong 2022, arXiv 2209.15189: the teacher is the same model with the context. It asks itself questions
about the passage, answers them with the passage in context, and is trained to give those answers closed book. Targets
are hard (answers drawn, ``answers`` for each question, the first of them greedy), not distributions: the door hands out
texts, so the divergence that is minimised is estimated from samples.
"""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.fit import Count, Inner, fit
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.own_questions import Pair, own_questions
from netgain.methods.propose import within
from netgain.methods.synthetic import passages
from netgain.model.interface import Generate
from netgain.model.lockstep import Steps, ask
from netgain.records.claim import Role
from netgain.records.purpose import Purpose


@final
class DistillationSettings(Inner):
    """``questions`` texts of questions are written about each passage in the format ``asking``."""

    asking: str = "self-qa"
    questions: Count = 2
    answers: Count = 1
    with_passage: bool = True


@final
class Distillation(Method):
    """Answer one's own questions with the passage, then learn to answer them without."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = DistillationSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The questions' own answers are not used: those that are learnt are given with the passage in sight."""
        settings = self.settings
        pairs = yield from own_questions(desk.at("questions"), materials, settings.asking, settings.questions)
        answered = yield from self._answered(desk.at("answers"), pairs)
        texts = [pair.training_text(desk) for pair in answered]
        texts += passages(desk, materials) if settings.with_passage or not texts else []
        answerer = yield from fit(desk, texts, settings)
        return answerer

    def _answered(self, desk: Desk, pairs: Sequence[Pair]) -> Steps[list[Pair]]:
        account = desk.pay(Purpose.PROPOSE)
        wanted = [(number, pair) for number in range(self.settings.answers) for pair in pairs]
        requests = [
            Generate(
                account=account,
                prompt=desk.prompts.ask(pair.question, [pair.material]),
                max_new_tokens=desk.prompts.max_new_tokens,
                stop=desk.prompts.stop,
                temperature=1.0 if number else 0.0,
                seed=desk.draw(f"answer {number}") if number else 0,
            )
            for number, pair in wanted
        ]
        results = yield from ask(desk.model, within(desk, requests, 0.5))
        given = zip((pair for _, pair in wanted), results, strict=False)
        return [
            Pair(pair.material, pair.question, result.product.text.strip())
            for pair, result in given
            if result.failure is None and result.product is not None and result.product.text.strip()
        ]
