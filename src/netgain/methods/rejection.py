"""Rejection: the best of several edits, by questions that the model asks itself. There is no outer loop.

No questions are given at adaptation, so the model writes its own, with answers, about the passage. Half of them join
the training texts; the others are held out. Each candidate is trained on for a while, and its score is how likely that
makes the held-out answers (mean log-likelihood of an answer, closed book). The best is trained on with all that is
left. Questions, candidates, their trainings and their scores are paid from the same budget; those that lose are marked
as discarded. Where the model wrote no question, the first candidate is taken and nothing is tried.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Count, fit, fit_with_charges
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.self_evaluation import discard, likelihood
from netgain.methods.synthetic import SyntheticSettings
from netgain.methods.writing import Pair, SelfEdit, asks, own_questions, passages, write
from netgain.model.program import Steps, together
from netgain.records.claim import Role

LOST = "lost: another candidate made the held-out answers likelier"


@final
class RejectionSettings(SyntheticSettings):
    """``candidates`` edits are tried, with ``trial_share`` of what is left between them.

    They are tried on ``questions`` texts of questions for each passage, written in the domain's format ``asking``.
    """

    candidates: Annotated[int, Field(ge=2, le=1000)] = 5
    trial_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    asking: str = "self-qa"
    questions: Count = 2


@final
class Rejection(Method):
    """Trains on the best of k edits, chosen by held-out questions of the model's own."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = RejectionSettings
    settings: RejectionSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Ask, write, try, and train on the best."""
        settings = self.settings
        pairs = yield from own_questions(desk.at("questions"), materials, settings.asking, settings.questions)
        trained, held_out = pairs[::2], pairs[1::2]
        written = yield from write(
            desk.at("candidates"),
            asks(materials, settings.formats(desk), settings.candidates * settings.edits),
            temperature=settings.temperature,
            top_p=settings.top_p,
            share=0.4,
        )
        common = [pair.training_text(desk) for pair in trained]
        common += passages(desk, materials) if settings.with_passage else []
        candidates = _grouped(written, settings.edits * len(materials))
        chosen = yield from self._best(desk, candidates, common, held_out)
        return (yield from fit(desk.at("final"), [*_texts(chosen), *common], settings))

    def _best(
        self,
        desk: Desk,
        candidates: Sequence[Sequence[SelfEdit]],
        common: Sequence[str],
        held_out: Sequence[Pair],
    ) -> Steps[Sequence[SelfEdit]]:
        """The candidate after whose training the held-out answers are likeliest; ``common`` is trained on with each."""
        if not candidates:
            return []
        if len(candidates) == 1 or not held_out:
            discard(desk, _charges(candidates[1:]), LOST)
            return candidates[0]
        share = self.settings.trial_share / len(candidates)
        trials = [
            fit_with_charges(desk.at(f"candidate {index}"), [*_texts(edits), *common], self.settings, share=share)
            for index, edits in enumerate(candidates)
        ]
        trained = yield from together(trials)
        scores = yield from together([likelihood(desk, answerer, held_out) for answerer, _ in trained])
        best = max(range(len(candidates)), key=lambda index: (scores[index], -index))
        losers = [edits for index, edits in enumerate(candidates) if index != best]
        # the winner's trial is discarded too: it is trained again, with all that is left
        discard(desk, [*_charges(losers), *(row for _, rows in trained for row in rows)], LOST)
        return candidates[best]


def _grouped(written: Sequence[SelfEdit | None], size: int) -> list[list[SelfEdit]]:
    """The candidates: ``size`` texts each, less those that were rejected; none of them empty."""
    groups = [written[first : first + size] for first in range(0, len(written), size)]
    kept = [[edit for edit in group if edit is not None] for group in groups]
    return [group for group in kept if group]


def _texts(edits: Sequence[SelfEdit]) -> list[str]:
    return [text for edit in edits for text in edit.texts]


def _charges(candidates: Sequence[Sequence[SelfEdit]]) -> list[int]:
    return [row for edits in candidates for edit in edits for row in edit.charges]
