"""Training at test time on a few examples, with settings that nobody wrote as a self-edit: SEAL's rivals there.

Fixed ones (Akyurek et al. 2024, arXiv 2411.07279: LoRA on leave-one-out tasks made of the shown pairs and of their
augmentations), ones drawn at random, and the fixed ones that do best on the training problems, with their labels: what
an outer loop's investment buys where nobody has to learn to write. The searches are in :mod:`settings_search`.
"""

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from netgain.domains.problem import Material, Problem
from netgain.errors import InputError, nearest
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.fitting import Count, Inner, Rate, Recipe, fit, train
from netgain.methods.method import Desk, Learned, Learning, Method
from netgain.methods.self_evaluation import discard, exam_quote, examine
from netgain.methods.settings_edit import MOST_STEPS, fit_recipe, job_of_recipe, recipe_of
from netgain.model.program import Steps
from netgain.model.requests import Train
from netgain.records.claim import ChosenTraining, Role
from netgain.records.cost import Purpose
from netgain.streams import stream

Loss = Literal["all", "answers"]
ADAPTED_MODULES = ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
LABELLED = "lost: other settings did better on the training problems"
# Akyurek et al.'s optimum, as SEAL's "oracle" (its appendix A.3): for a Llama of 1B parameters
FIXED: dict[str, Any] = {
    **{"rank": 128, "alpha": 16.0, "target_modules": ADAPTED_MODULES, "max_length": 8192},
    **{"batch_size": 2, "learning_rate": 1e-4, "max_epochs": 2, "loss": "answers", "tools": None},
    **{"schedule": "cosine", "warmup_steps": 11},
}


def _check_tools(desk: Desk, tools: Sequence[str] | None) -> tuple[str, ...]:
    """The named tools, all where none are named. Raises InputError for one that the domain has not."""
    if desk.few_shot is None:
        raise InputError("tools", "are made of a few examples, which this domain's problems have not", "use finetune")
    known = desk.few_shot.tools
    unknown = [tool for tool in tools or () if tool not in known]
    if unknown:
        raise InputError(f"tool {unknown[0]!r}", "is none that this domain has", nearest(unknown[0], known))
    return tuple(known if tools is None else tools)


class TestTimeSettings(Inner):
    """``tools`` are the domain's groups of augmentations to train on, beside the shown pairs (None: all of them)."""

    __test__ = False  # pytest would take it for a test

    tools: tuple[str, ...] | None = None
    loss: Loss = "answers"


@final
class TestTimeTraining(Method):
    """Trains on sequences made of the shown pairs, with fixed settings, until the budget is used.

    ``akyurek`` has the settings that were best for a Llama of 1B parameters, two epochs among them.
    """

    __test__ = False

    role: ClassVar[Role] = Role.PASSAGE
    Settings = TestTimeSettings
    settings: TestTimeSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"akyurek": FIXED}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """One training on all of the materials' sequences."""
        tools = _check_tools(desk, self.settings.tools)
        texts = [
            lesson
            for material in materials
            for lesson in (desk.few_shot.lessons(material, tools, desk.draw("lessons", material.id)) if desk.few_shot else ())
        ]
        return (yield from fit(desk, texts, self.settings))


# -- what may be chosen


class ChoiceSettings(Inner):
    """What is chosen among: every combination of the domain's tools, ``losses``, ``rates`` and ``epochs``.

    As in a self-edit of settings, no more than ``most_steps`` optimizer steps are asked for.
    """

    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = ("all", "answers")
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
    epochs: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    most_steps: Count = MOST_STEPS

    def draw(self, tools: Sequence[str], rng: np.random.Generator) -> ChosenTraining:
        """Each of them by lot, every tool with even chances."""
        return ChosenTraining(
            tools=tuple(tool for tool in tools if rng.random() < 0.5),
            loss=self.losses[int(rng.integers(len(self.losses)))],
            learning_rate=self.rates[int(rng.integers(len(self.rates)))],
            epochs=self.epochs[int(rng.integers(len(self.epochs)))],
        )


@final
class RandomSettings(Method):
    """Trains with settings drawn by lot, from the choices that a self-edit has: what choosing is worth at all."""

    role: ClassVar[Role] = Role.PASSAGE
    Settings = ChoiceSettings
    settings: ChoiceSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """One draw and one training; as for a self-edit, too many steps are refused and leave the model as it is."""
        tools = _check_tools(desk, None)
        material = single(materials)
        chosen = self.settings.draw(tools, stream(desk.draw("settings"), material.id))
        recipe = recipe_of(desk, material, chosen, self.settings, self.settings.most_steps)
        return (yield from fit_recipe(desk, recipe, self.settings))


def single(materials: Sequence[Material]) -> Material:
    """The only one. Raises InputError for several: settings are chosen for one task."""
    if len(materials) != 1:
        problem = f"are chosen for one task, and {len(materials)} are adapted to at once"
        raise InputError("settings", problem, "set problems.passages to 1")
    return materials[0]
