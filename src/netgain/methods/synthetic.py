"""Synthetic: the model's own self-edits, taken as they come. SEAL's inner loop without its outer loop (round 0)."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.fit import Count, Inner, fit
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.propose import Edit, find_format, propose
from netgain.model.lockstep import Steps
from netgain.records.claim import Role

FORMATS = (
    *("implications", "implications-long", "implications-very-long", "rewrite", "self-qa", "no-prompt"),
    "implications-cot",
)


class SyntheticSettings(Inner):
    """``format`` is one of the domain's ways to ask (empty: its own choice), ``edits`` how many texts a passage."""

    format: str = ""
    edits: Count = 1
    with_passage: bool = True
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95


class Synthetic(Method):
    """Write, then train on what was written, with the passage beside it. A preset for each of SEAL's prompts."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = SyntheticSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {name: {"format": name} for name in FORMATS}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """All materials' edits and passages in one training."""
        settings = self.settings
        form = find_format(desk, settings.format)
        edits = yield from propose(
            desk, materials, form, settings.edits, temperature=settings.temperature, top_p=settings.top_p
        )
        answerer = yield from fit(desk, texts_of(desk, materials, edits, settings.with_passage), settings)
        return answerer


def texts_of(desk: Desk, materials: Sequence[Material], edits: Sequence[Edit], with_passage: bool) -> list[str]:
    """The training texts of these edits, and each passage once."""
    found = [text for edit in edits for text in edit.texts]
    return [*found, *passages(desk, materials)] if with_passage else found


def passages(desk: Desk, materials: Sequence[Material]) -> list[str]:
    """The passages as training texts."""
    return [desk.prompts.titled.format(title=material.title, text=material.text) for material in materials]
