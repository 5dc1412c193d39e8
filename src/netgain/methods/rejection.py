"""Rejection: the best of several edits, by questions that the model asks itself. There is no outer loop.

At adaptation nobody gives questions, so the held-out half is the model's own: it writes questions with answers about
the passage, half of which join the training texts; the others stay held out. Each candidate is trained on for a while,
and its score is how likely that makes the held-out answers (log-likelihood a question, closed book). The best is
trained on with all that is left. Questions, candidates, their trainings and their scores are all paid from the same
budget; those that lose are marked as thrown away. Where no question came of it, the first candidate is taken and
nothing is tried.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.fit import Count, fit, fit_and_tell
from netgain.methods.method import Desk, Learned
from netgain.methods.own_questions import Pair, own_questions
from netgain.methods.propose import Edit, asks, find_format, write
from netgain.methods.score import discard
from netgain.methods.synthetic import Synthetic, SyntheticSettings, passages
from netgain.model.interface import Score
from netgain.model.lockstep import Steps, ask, together
from netgain.records.purpose import Purpose

LOST = "lost: another candidate made the held-out answers likelier"


@final
class RejectionSettings(SyntheticSettings):
    """``candidates`` edits are tried with ``trial_share`` of the budget between them, on questions asked in ``asking``.

    ``asking`` is the domain's format for questions with answers.
    """

    candidates: Annotated[int, Field(ge=2, le=1000)] = 5
    trial_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    asking: str = "self-qa"
    questions: Count = 2


@final
class Rejection(Synthetic):
    """Best of k by a held-out half of the model's own questions."""

    Settings = RejectionSettings
    presets: ClassVar = {}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Ask, write, try, and train on the best."""
        settings = self.settings
        pairs = yield from own_questions(desk.at("questions"), materials, settings.asking, settings.questions)
        told, held = pairs[::2], pairs[1::2]
        form = find_format(desk, settings.format)
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p}
        wanted = asks(materials, form, settings.candidates * settings.edits)
        written = yield from write(desk.at("candidates"), wanted, **sampling, share=0.4)
        common = [pair.training_text(desk) for pair in told]
        common += passages(desk, materials) if settings.with_passage else []
        edits = _grouped(written, settings.edits * len(materials))
        chosen = yield from self._best(desk, edits, common, held)
        answerer = yield from fit(desk.at("final"), [*_texts(chosen), *common], settings)
        return answerer

    def _best(
        self, desk: Desk, edits: Sequence[Sequence[Edit]], common: Sequence[str], held: Sequence[Pair]
    ) -> Steps[Sequence[Edit]]:
        if not edits:
            return []
        if len(edits) == 1 or not held:
            discard(desk, _charges(edits[1:]), LOST)
            return edits[0]
        share = self.settings.trial_share / len(edits)
        trials = [
            fit_and_tell(desk.at(f"candidate {place}"), [*_texts(one), *common], self.settings, share=share)
            for place, one in enumerate(edits)
        ]
        tried = yield from together(trials)
        scores = yield from together([likelihood(desk, answerer, held) for answerer, _ in tried])
        best = max(range(len(edits)), key=lambda place: (scores[place], -place))
        lost = _charges([one for place, one in enumerate(edits) if place != best])
        discard(desk, [*lost, *(row for _, rows in tried for row in rows)], LOST)
        return edits[best]


def likelihood(desk: Desk, answerer: Answerer, pairs: Sequence[Pair]) -> Steps[float]:
    """The mean log-likelihood of these answers to their questions; minus infinity where none can be scored."""
    account = desk.pay(Purpose.SCORE)
    requests = [
        Score(
            account=account,
            prompt=desk.prompts.ask(pair.question),
            continuation=f" {pair.answer}",
            adapter=answerer.adapter,
        )
        for pair in pairs
    ]
    results = yield from ask(answerer.model, requests)
    found = [result.product.log_likelihood for result in results if not result.failure and result.product]
    return sum(found) / len(found) if found else float("-inf")


def _grouped(written: Sequence[Edit | None], size: int) -> list[list[Edit]]:
    """The candidates: ``size`` texts each, less those that were rejected; none of them empty."""
    groups = [written[first : first + size] for first in range(0, len(written), size)]
    found = [[edit for edit in group if edit is not None] for group in groups]
    return [group for group in found if group]


def _texts(edits: Sequence[Edit]) -> list[str]:
    return [text for edit in edits for text in edit.texts]


def _charges(groups: Sequence[Sequence[Edit]]) -> list[int]:
    return [row for edits in groups for edit in edits for row in edit.charges]
