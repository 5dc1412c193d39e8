"""Own questions: what the model asks, and answers, about a passage that it was given."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netgain.domains.edits import begun
from netgain.domains.problem import Material
from netgain.methods.method import Desk
from netgain.methods.propose import find_format, propose
from netgain.model.lockstep import Steps

_PAIR = re.compile(
    r"^\s*(?:question|q)\s*\d*\s*[:.]\s*(?P<question>.+?)\s*(?:\n\s*|\s)(?:answer|a)\s*\d*\s*[:.]\s*(?P<answer>\S.*?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer, both the model's own, and the material that they are about."""

    material: Material
    question: str
    answer: str

    def training_text(self, desk: Desk) -> str:
        """As the domain trains on questions with answers."""
        return desk.prompts.answered.format(question=self.question, answer=self.answer)


def parsed(material: Material, text: str) -> list[Pair]:
    """The questions in a text that are followed by an answer."""
    return [Pair(material, found["question"], found["answer"]) for found in _PAIR.finditer(text)]


def own_questions(
    desk: Desk, materials: Sequence[Material], name: str, count: int, *, share: float = 0.25
) -> Steps[list[Pair]]:
    """What the model asks about the materials in ``count`` texts each, no question twice."""
    edits = yield from propose(desk, materials, find_format(desk, name), count, share=share)
    texts = [(edit.ask.material, begun(edit.raw, edit.ask.format)) for edit in edits]
    pairs = [pair for material, text in texts for pair in parsed(material, text)]
    return list({(pair.material.id, pair.question): pair for pair in pairs}.values())
