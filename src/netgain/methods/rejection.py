"""Rejection: more is written at adaptation than is trained on, without labels and without an outer loop.

Of edits (:class:`Rejection`), by questions that the model asks itself. No questions are given at adaptation, so the
model writes its own, with answers, about the passage. Half of them join the training texts; the others are held out.
Each candidate is trained on for a while, and its score is how likely that makes the held-out answers (mean
log-likelihood of an answer, closed book). The best is trained on with all that is left. Questions, candidates, their
trainings and their scores are paid from the same budget; those that lose are marked as discarded. Where the model wrote
no question, the first candidate is taken and nothing is tried.

Of training sequences (:class:`SelfConsistency`), by agreement among the texts of one passage: a question keeps the
answer that most of them give it (as votes do in Wang et al. 2022, arXiv 2203.11171), any other sequence has to be said
by several. Counting takes no compute, so all of the budget goes to writing and training; ranking by the model's own
likelihood would take a pass over the passage for every line.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material, Prompt
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Positive, fit, fit_with_charges
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.self_evaluation import discard, likelihood
from netgain.methods.synthetic import PRESETS, SyntheticSettings, own_edits
from netgain.methods.writing import Pair, SelfEdit, asks, own_questions, pair_in, texts_of, write
from netgain.model.program import Steps, together
from netgain.records.claim import Role

LOST = "lost: another candidate made the held-out answers likelier"
ALONE = "lost: no other text said any of it"
_BESIDE_WORDS = re.compile(r"[\W_]+")


@final
class RejectionSettings(SyntheticSettings):
    """``candidates`` edits are tried, with ``trial_share`` of what is left between them.

    They are tried on ``questions`` texts of questions for each passage, written in the domain's format ``asking``.
    """

    candidates: Annotated[int, Field(ge=2, le=1000)] = 5
    trial_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    asking: str = "self-qa"
    questions: Positive = 2


@final
class Rejection(Method):
    """Trains on the best of k edits, chosen by held-out questions of the model's own."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = RejectionSettings
    settings: RejectionSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Ask, write, try, and train on the best."""
        settings = self.settings
        pairs = yield from own_questions(
            desk.at("questions"),
            materials,
            settings.asking,
            settings.questions,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        trained, held_out = pairs[::2], pairs[1::2]
        written = yield from write(
            desk.at("candidates"),
            asks(materials, settings.formats(desk), settings.candidates * settings.edits),
            temperature=settings.temperature,
            top_p=settings.top_p,
            share=0.4,
        )
        common: list[Prompt] = [pair.lesson(desk) for pair in trained]
        common += settings.passages(desk, materials)
        candidates = _grouped(written, settings.edits * len(materials))
        chosen = yield from self._best(desk, candidates, common, held_out)
        return (yield from fit(desk.at("final"), [*texts_of(desk, chosen), *common], settings))

    def _best(
        self,
        desk: Desk,
        candidates: Sequence[Sequence[SelfEdit]],
        common: Sequence[Prompt],
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
            fit_with_charges(
                desk.at(f"candidate {index}"), [*texts_of(desk, edits), *common], self.settings, share=share
            )
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


def _charges(candidates: Sequence[Sequence[SelfEdit]]) -> list[int]:
    return [row for edits in candidates for edit in edits for row in edit.charges]


@final
class SelfConsistencySettings(SyntheticSettings):
    """A question is trained on with the answer that most of its passage's ``edits`` texts give it.

    Any other sequence is where at least ``agree`` of them have it. They are compared by their words alone, whatever
    their case and punctuation.
    """

    edits: Positive = 8
    agree: Annotated[int, Field(ge=2, le=1000)] = 2


@final
class SelfConsistency(Method):
    """Writes many edits and trains on what several of them say alike, with the passage beside it."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = SelfConsistencySettings
    settings: SelfConsistencySettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Write, count, and train on what is left; a text of which nothing is left is discarded."""
        settings = self.settings
        edits = yield from own_edits(desk, materials, settings)
        kept = [
            edit
            for material in materials
            for edit in agreeing(desk, [e for e in edits if e.ask.material == material], settings.agree)
        ]
        used = {row for edit in kept for row in edit.charges}
        discard(desk, [row for edit in edits for row in edit.charges if row not in used], ALONE)
        return (yield from fit(desk, texts_of(desk, kept, settings, materials), settings))


def agreeing(desk: Desk, edits: Sequence[SelfEdit], least: int) -> list[SelfEdit]:
    """One passage's edits with only those sequences on which they agree; those left with none are left out.

    A question is kept with the answer that most edits give it, the first among equals; any other sequence where
    ``least`` edits have it, or, where none is had by so many, where the most edits do: of a single edit, all.
    """
    said = [[_said(desk, edit, text) for text in edit.texts] for edit in edits]
    counts = Counter(one for own in said for one in dict.fromkeys(own))  # in the order in which they were first said
    least = min(least, max((count for (question, _), count in counts.items() if not question), default=0))
    elected: dict[str, str] = {}
    for (question, answer), _ in counts.most_common():
        elected.setdefault(question, answer)
    kept = []
    for edit, own in zip(edits, said, strict=True):
        agreed = [elected[one[0]] == one[1] if one[0] else counts[one] >= least for one in own]
        kept.append(replace(edit, texts=tuple(compress(edit.texts, agreed))))
    return [edit for edit in kept if edit.texts]


def _said(desk: Desk, edit: SelfEdit, text: str) -> tuple[str, str]:
    """A sequence in words: a question and its answer, or nothing and the sequence."""
    pair = pair_in(desk, edit.ask.material, text)
    return ("", _words(text)) if pair is None else (_words(pair.question), _words(pair.answer))


def _words(text: str) -> str:
    return _BESIDE_WORDS.sub(" ", text.casefold()).strip()
