"""Training at test time on a few examples, with settings that nobody wrote as a self-edit: SEAL's rivals there.

Fixed ones (Akyurek et al. 2024, arXiv 2411.07279: LoRA on leave-one-out tasks made of the shown pairs and of their
augmentations), ones drawn by lot, and those that do best on the training problems, with their labels: what an outer
loop's investment buys where nobody has to learn to write. Searches at test time are in :mod:`settings_search`. Those
that do best on the exam itself are an upper bound, and nobody's rival.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal, Self, final

import numpy as np
from pydantic import Field, model_validator

from netgain.domains.few_shot import FewShot
from netgain.domains.problem import EditFormat, Material, Problem
from netgain.errors import InputError, nearest
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.edit_rewards import Context, evaluate_once
from netgain.methods.fitting import Inner, Positive, Rate, Recipe, fit, fit_with_charges
from netgain.methods.method import Desk, Learned, Learning, Method
from netgain.methods.policy import UNLIMITED
from netgain.methods.self_evaluation import discard, exam_quote, examine
from netgain.methods.settings_edit import MOST_STEPS, SEAL_ARC, fit_recipe, recipe_of, single, written_settings
from netgain.methods.writing import Ask, SelfEdit
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.learning import ChosenTraining
from netgain.streams import stream

Loss = Literal["all", "answers"]
LABELLED = "lost: other settings did better on the training problems"
BY_LABELS = "lost: other settings did better on the exam's own labels"
MOST_CANDIDATES = 200
AS_WRITTEN = EditFormat("settings", "{text}", 1, "settings")  # of a choice by rule that stands where edits do
# Akyurek et al.'s optimum, as SEAL's oracle has it (its appendix A.3), for a Llama of 1B parameters
BEST = {"tools": None, "loss": "answers", "learning_rate": 1e-4, "max_epochs": 2}


def examples_of(desk: Desk) -> FewShot:
    """What the domain offers. Raises InputError for one whose problems are no examples."""
    if desk.few_shot is None:
        problem = "trains on a few shown examples, and this domain's problems have none"
        raise InputError("the method", problem, "choose a domain of examples, such as grids")
    return desk.few_shot


def tools_of(examples: FewShot, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """These of the domain's tools; None: all of them. Raises InputError for one that is none."""
    unknown = [tool for tool in wanted or () if tool not in examples.tools]
    if unknown:
        raise InputError(f"tool {unknown[0]!r}", "is none of this domain's", nearest(unknown[0], examples.tools))
    return tuple(examples.tools if wanted is None else wanted)


# -- fixed settings


@final
class FixedSettings(Inner):
    """``tools`` are the domain's groups of augmentations to train on beside the shown pairs (None: all of them)."""

    tools: tuple[str, ...] | None = None
    loss: Loss = "answers"


@final
class FewShotTraining(Method):
    """Trains on sequences made of the shown examples, with fixed settings, until the budget is used.

    ``akyurek`` has the settings that were best for a Llama of 1B parameters, two epochs among them.
    """

    role: ClassVar[Role] = Role.PASSAGE
    Settings = FixedSettings
    settings: FixedSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"akyurek": SEAL_ARC | BEST}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """One training on all of the materials' sequences."""
        examples = examples_of(desk)
        tools = tools_of(examples, self.settings.tools)
        found = [examples.lessons(material, tools, desk.draw("lessons", material.id)) for material in materials]
        return (yield from fit(desk, [lesson for lessons in found for lesson in lessons], self.settings))


# -- settings by lot


class ChoiceSettings(Inner):
    """What is chosen among: every combination of the domain's tools, of ``losses``, ``rates`` and ``epochs``.

    Where that is more than ``most_steps`` optimizer steps, the epochs are as many as the limit allows.
    """

    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = ("all", "answers")
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
    epochs: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    most_steps: Positive = MOST_STEPS

    def draw(self, tools: Sequence[str], rng: np.random.Generator) -> ChosenTraining:
        """Each of them by lot, every tool with even chances."""
        return ChosenTraining(
            tools=tuple(tool for tool in tools if rng.random() < 0.5),
            loss=self.losses[int(rng.integers(len(self.losses)))],
            learning_rate=self.rates[int(rng.integers(len(self.rates)))],
            epochs=self.epochs[int(rng.integers(len(self.epochs)))],
        )

    def recipe(self, desk: Desk, material: Material, chosen: ChosenTraining) -> Recipe:
        """What is trained with this choice, its epochs within the limit. Nothing where one epoch is above it."""
        recipe = recipe_of(desk, material, chosen, self, self.most_steps)
        steps, epochs = (recipe.chosen.steps or 0, chosen.epochs or 1) if recipe.chosen else (0, 1)
        fewer = self.most_steps * epochs // steps if steps > self.most_steps else 0
        return recipe_of(desk, material, chosen.model_copy(update={"epochs": fewer}), self) if fewer else recipe


@final
class RandomSettings(Method):
    """Trains on the shown examples with settings drawn by lot: what it is worth to choose them at all."""

    role: ClassVar[Role] = Role.PASSAGE
    Settings = ChoiceSettings
    settings: ChoiceSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"seal-arc": SEAL_ARC}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """One draw and one training."""
        material, tools = single(materials), tuple(examples_of(desk).tools)
        chosen = self.settings.draw(tools, stream(desk.draw("settings"), material.id))
        return (yield from fit_recipe(desk, self.settings.recipe(desk, material, chosen), self.settings))


# -- settings that did best on the training problems


@final
class TunedSettings(ChoiceSettings, Learning):
    """``candidates`` choices are compared, the first with all tools and the middle of each setting, the rest by lot.

    After ``problems_each`` training problems the worse half of them is left out, and again, down to two.
    """

    candidates: Annotated[int, Field(ge=2, le=1000)] = 16
    problems_each: Positive = 4

    def middle(self, tools: Sequence[str]) -> ChosenTraining:
        """All tools, and the middle of what there is of every other setting."""
        middle = [values[len(values) // 2] for values in (sorted(self.rates), sorted(self.epochs))]
        return ChosenTraining(tools=tuple(tools), loss=self.losses[-1], learning_rate=middle[0], epochs=int(middle[1]))


@final
class BestSettings(Method):
    """Learns which settings of a training on examples do best on the training problems, and trains with those.

    Its investment buys evaluations with the training problems' own answers, as an outer loop's rewards are, by
    successive halving. With an investment without a limit it is the best fixed choice that there is: an upper bound.
    """

    role: ClassVar[Role] = Role.OTHER
    Settings = TunedSettings
    settings: TunedSettings
    learns: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"seal-arc": SEAL_ARC}

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The best of the candidates after as many training problems as the investment pays for."""
        settings, tools = self.settings, tuple(examples_of(desk).tools)
        if not problems:
            raise InputError("problems.train 0", "settings are compared on training problems", "give some")
        rng = stream(desk.draw("candidates"), "settings")
        candidates = [settings.middle(tools), *(settings.draw(tools, rng) for _ in range(settings.candidates - 1))]
        alive, scores, rows = list(range(len(candidates))), [0.0] * len(candidates), list[int]()
        order = stream(desk.draw("problems"), "order").permutation(len(problems))
        examined, most = 0, len(problems) if desk.left() == UNLIMITED else 10**6
        while examined < most:
            problem = problems[order[examined % len(problems)]]
            context, before = self._context(desk, f"context {examined}", problem, candidates), desk.left()
            done = yield from evaluate_once(desk, [(context, edit) for edit in alive], settings, 0.0)
            rows += [row for charges in context.charges for row in charges]
            if done < len(alive) or desk.left() == before < UNLIMITED:
                break  # it is not paid for, or costs nothing and would go on for ever
            scores = [score + max(0.0, mean) for score, mean in zip(scores, context.tally.means(), strict=True)]
            alive.sort(key=lambda edit: (-scores[edit], edit))
            examined += 1
            if examined % settings.problems_each == 0:
                alive = alive[: max(2, len(alive) // 2)]
        discard(desk, rows, LABELLED)
        desk.note("best settings", {"chosen": candidates[alive[0]].model_dump(), "problems": examined})
        return candidates[alive[0]]

    def _context(self, desk: Desk, name: str, problem: Problem, candidates: Sequence[ChosenTraining]) -> Context:
        """The problem with every candidate as if it had been written about it."""
        raw = [written_settings(chosen, tuple(examples_of(desk).tools)) for chosen in candidates]
        edits = [SelfEdit(Ask(problem.material, AS_WRITTEN, ""), text, (text,), ()) for text in raw]
        recipes = [self.settings.recipe(desk, problem.material, chosen) for chosen in candidates]
        return Context(name, problem, edits, recipes)

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """One training with what was best."""
        material, tools = single(materials), tuple(examples_of(desk).tools)
        chosen = learned if isinstance(learned, ChosenTraining) else self.settings.middle(tools)
        return (yield from fit_recipe(desk, self.settings.recipe(desk, material, chosen), self.settings))


# -- settings by the exam's own labels


@final
class LabelledSettings(Inner):
    """The stated set: every combination of ``tool_sets`` (None: all of the domain's tools), ``losses``, ``rates`` and
    ``epochs`` (None: until the budget is used). Each may take the budget of an adaptation, and answering one more.
    """

    tool_sets: Annotated[tuple[tuple[str, ...] | None, ...], Field(min_length=1)] = ((), None)
    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = ("answers",)
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (3e-4, 1e-3, 3e-3)
    epochs: Annotated[tuple[Positive | None, ...], Field(min_length=1)] = (None,)

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if self.candidates > MOST_CANDIDATES:
            raise ValueError(f"{self.candidates} combinations: at most {MOST_CANDIDATES} are tried for each problem")
        return self

    @property
    def candidates(self) -> int:
        """How many settings are tried for each problem."""
        return len(self.tool_sets) * len(self.losses) * len(self.rates) * len(self.epochs)

    @property
    def budgets(self) -> float:
        """One for each of the candidates, and one for their answers."""
        return self.candidates + 1.0

    def choices(self, examples: FewShot) -> list[ChosenTraining]:
        """The candidates in the order in which they are tried."""
        sets = [tools_of(examples, wanted) for wanted in self.tool_sets]
        return [
            ChosenTraining(tools=tools, loss=loss, learning_rate=rate, epochs=epochs)
            for epochs, loss, rate, tools in product(self.epochs, self.losses, self.rates, sets)
        ]


@final
class OracleSettings(Method):
    """Trains with those of a stated set of settings that do best on the exam's own labels: an upper bound, no rival.

    Each candidate is trained as fixed settings are, with one budget, and answers the very questions of the exam. All of
    it is paid, so that the arm takes as many budgets as there are candidates, unless one has everything right before.
    Among equals the one with more of its answers right in part (F1) is taken, then the earlier one.
    """

    role: ClassVar[Role] = Role.ORACLE
    Settings = LabelledSettings
    settings: LabelledSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"seal-arc": SEAL_ARC}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The candidates one after another; the winner's own adapter answers the exam."""
        settings, material, examples = self.settings, single(materials), examples_of(desk)
        (problem,) = desk.exam or (None,)
        if problem is None:
            raise InputError("oracle-settings", "needs the exam's labels, which nothing but a trial's own arm is given")
        once, best, answers = desk.left() / settings.budgets, (-1.0, -1.0), Answerer(model=desk.model)
        paid, tried = list[int](), 0
        for number, chosen in enumerate(settings.choices(examples)):
            own = desk.at(f"trial {number}")
            texts = examples.lessons(material, chosen.tools, own.draw("lessons", material.id))
            changed = {"learning_rate": chosen.learning_rate, "max_epochs": chosen.epochs, "loss": chosen.loss}
            share = 1.0 if desk.left() == UNLIMITED else min(1.0, once / max(once, desk.left()))
            inner = settings.model_copy(update=changed)
            try:
                answerer, charges = yield from fit_with_charges(own, texts, inner, share=share)
            except ValueError:  # it diverged, say: paid for, and no candidate any more
                continue
            if exam_quote(own, problem) > desk.left():
                discard(desk, charges, BY_LABELS)
                break
            (marked,) = yield from examine(own, [(answerer, problem)])
            tried += 1
            score = (accuracy(marked), fmean(mark.grade.f1 for mark in marked))
            lost: Sequence[int] = charges
            if score > best:
                lost, paid = paid, list(charges)
                best, answers = score, replace(answerer, chosen=(chosen,))
            discard(desk, lost, BY_LABELS)
            if score[0] == 1.0:
                break
        desk.note("settings tried", {"trials": tried, "of": settings.candidates})
        return answers
