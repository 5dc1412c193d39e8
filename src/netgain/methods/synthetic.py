"""Synthetic: the model's own self-edits, unselected. SEAL's inner loop without its outer loop (round 0)."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self, final

from pydantic import model_validator

from netgain.domains.problem import EditFormat, Material
from netgain.engine.jobs import Form
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Inner, Positive, Recipe, Temperature, TopP, fit
from netgain.methods.method import LATER, Desk, Learned, Method
from netgain.methods.settings_edit import MOST_STEPS, SEAL_ARC, fit_edits, no_form, read_edit, recipe_of, settings_form
from netgain.methods.writing import Beside, SelfEdit, find_format, propose, texts_of
from netgain.model.program import Steps
from netgain.records.claim import Role

FORMATS = (
    *("implications", "implications-long", "implications-very-long", "rewrite", "self-qa", "no-prompt"),
    "implications-cot",
)
MIXED = "mixed"
PRESETS: dict[str, dict[str, Any]] = {name: {"format": name} for name in (*FORMATS, MIXED)}


class SyntheticSettings(Beside):
    """``format`` is one of the domain's edit formats (empty: its default), ``edits`` how many texts for each passage.

    With ``mixed`` each text of a passage is in the next of the formats that ``mix`` lists, in turn (empty: all that the
    domain has). ``with_passage`` and ``sentences`` train on the passage beside the edits.

    Where the format is of settings (:mod:`netgain.methods.settings_edit`) an edit chooses what is trained on, with
    which loss, learning rate and epochs, up to ``most_steps`` optimizer steps. Of several ``edits`` the first that is
    not refused is trained with; where they are ``tried``, the best on a shown pair that is held out. ``constrained``
    draws only tokens that keep such an edit to its schema.
    """

    format: str = ""
    mix: tuple[str, ...] = ()
    edits: Positive = 1
    temperature: Temperature = 1.0
    top_p: TopP = 0.95
    most_steps: Annotated[Positive, LATER] = MOST_STEPS
    tried: Annotated[bool, LATER] = False
    constrained: Annotated[bool, LATER] = False

    @model_validator(mode="after")
    def _mixes_what_is_mixed(self) -> Self:
        if self.mix and self.format != MIXED:
            raise ValueError(f"mix lists formats for format: {MIXED}, and format is {self.format!r}")
        return self

    def formats(self, desk: Desk) -> list[EditFormat]:
        """The domain's formats that are written in: one, unless they are mixed. Raises InputError for one it lacks."""
        if self.format != MIXED:
            return [find_format(desk, self.format)]
        return [find_format(desk, name) for name in self.mix or desk.prompts.formats]

    def within(self, desk: Desk) -> Form:
        """What edits are held to as they are drawn; nothing unless they are ``constrained``.

        Raises InputError where they are no edits of settings, which have no form.
        """
        if not self.constrained:
            return ()
        if any(form.splitting != "settings" for form in self.formats(desk)) or desk.few_shot is None:
            raise no_form()
        return settings_form(tuple(desk.few_shot.tools))

    def prompt(self, desk: Desk) -> str:
        """What they are called in a record."""
        return MIXED if self.format == MIXED else self.formats(desk)[0].name

    def recipe(self, desk: Desk, edit: SelfEdit, inner: Inner) -> Recipe:
        """What one edit by itself is trained as; ``inner`` gives what it does not choose."""
        material = edit.ask.material
        if edit.ask.format.splitting == "settings":
            return recipe_of(desk, material, read_edit(desk, edit), inner, self.most_steps)
        return Recipe(texts_of(desk, [edit], self, [material]))


@final
class Synthetic(Method):
    """Writes edits and trains on them as they come, with the passage beside them: no outer loop.

    There is a preset for each of SEAL's prompts, and ``seal-arc`` for its few-shot learning before the outer loop.
    """

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = SyntheticSettings
    settings: SyntheticSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS | {
        "seal-arc": {**SEAL_ARC, "format": "settings", "temperature": 0.8, "top_p": 1.0, "with_passage": False}
    }

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """All materials' edits and passages in one training."""
        return (yield from write_and_fit(desk, materials, self.settings))


def write_and_fit(desk: Desk, materials: Sequence[Material], settings: SyntheticSettings) -> Steps[Answerer]:
    """SEAL's inner loop: the desk's model writes edits about the materials and is then trained on them."""
    edits = yield from own_edits(desk, materials, settings)
    if any(form.splitting == "settings" for form in settings.formats(desk)):
        return (yield from fit_edits(desk, materials, edits, settings, settings.most_steps, tried=settings.tried))
    return (yield from fit(desk, texts_of(desk, edits, settings, materials), settings))


def own_edits(desk: Desk, materials: Sequence[Material], settings: SyntheticSettings) -> Steps[list[SelfEdit]]:
    """What the desk's model writes about the materials, as the settings say."""
    forms = settings.formats(desk)
    return (
        yield from propose(
            desk,
            materials,
            forms,
            settings.edits,
            temperature=settings.temperature,
            top_p=settings.top_p,
            within=settings.within(desk),
        )
    )
