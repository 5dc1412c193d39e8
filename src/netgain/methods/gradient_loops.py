"""GRPO, RLOO and PPO as outer loops: SEAL's edits and rewards, learnt from by policy gradients instead of imitation.

A round of the outer loop is one step of the policy gradient (:mod:`netgain.methods.policy_gradient`): edits about some
contexts are drawn from the policy as it is (temperature 1, nothing cut off), trained on and examined, and all of them
count, those that nothing could be trained on as well. Adaptation is the inner loop alone, as SEAL's.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.problem import EditFormat, Material, Problem
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Context, context_quote, evaluate
from netgain.methods.fitting import Positive
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy import Improvement, Kept
from netgain.methods.policy_gradient import (
    SMALLEST_GROUP,
    Advantage,
    GradientPolicy,
    GradientSettings,
    Group,
    Loss,
    Penalty,
    Ratio,
    apart,
)
from netgain.methods.seal import LoopSettings, outer_loop
from netgain.methods.selection import uniform
from netgain.methods.synthetic import PRESETS, write_and_fit
from netgain.methods.writing import asks, write
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.cost import Purpose

LEAST = float("-1e300")  # an edit that was never evaluated has minus infinity
CHECKED = 1.2  # a check costs about what the one before it cost


class EditGradientSettings(GradientSettings, LoopSettings):
    """``rounds`` are the steps of the policy gradient, ``candidates`` the size of a group.

    ``temperature`` and ``top_p`` are those of adaptation.
    """

    rounds: Positive = 8
    candidates: Annotated[int, Field(ge=2, le=1000)] = 5
    repeats: Positive = 1


@final
class EditGradient(Improvement):
    """A round's edits as the groups of a step, and the checks between steps."""

    invalid: ClassVar[bool] = True

    def __init__(self, settings: EditGradientSettings, held_out: Sequence[Problem]) -> None:
        self.policy = GradientPolicy(settings)
        self._settings, self._held_out = settings, held_out
        self._price: float | None = None

    def kept(self, desk: Desk, contexts: Sequence[Context]) -> Kept:
        """Every edit: what did worse than its group is learnt from as well."""
        return [(context, edit) for context in contexts for edit in range(len(context.edits))]

    def learns_from(self, context: Context) -> bool:
        """Where its group has at least two texts: the advantage of one alone is 0, whatever its reward."""
        return super().learns_from(context) and len(_group(context).ids) >= SMALLEST_GROUP

    def bound(self, desk: Desk, material: Material, form: EditFormat, edits: int) -> float:
        """A group of edits as long as they may be."""
        prompt = form.prompt(material)
        longest = desk.model.tokenize(prompt)[-1:] * form.max_new_tokens
        return self.policy.cost(desk, [Group(prompt, [longest] * edits, [0.0] * edits)])

    def held(self, desk: Desk, contexts: Sequence[Context]) -> float:
        """All of it: what a step takes does not depend on the rewards."""
        return self.cost(desk, contexts)

    def cost(self, desk: Desk, contexts: Sequence[Context]) -> float:
        """The update, the merge, and the check where one is due."""
        return self.policy.cost(desk, [_group(context) for context in contexts]) + self._check_price(desk)

    def improve(self, desk: Desk, contexts: Sequence[Context], reserved: float) -> Steps[Model]:
        """The model after one more step."""
        due = self._due()
        groups = [_group(context) for context in contexts]
        model = yield from self.policy.step(desk, groups, reserved + self._check_price(desk))
        development = (yield from self.check(desk.at(model=model))) if due else None
        self.policy.report(desk, model, development)
        return model

    def check(self, desk: Desk) -> Steps[float | None]:
        """The mean reward of one edit about each problem held out, paid as tuning; None where money does not last."""
        settings, before = self._settings, desk.left()
        own = desk.at("check", account=desk.pay(Purpose.TUNE))
        requested = [one for problem in self._held_out for one in asks([problem.material], settings.formats(desk), 1)]
        written = yield from write(own, requested, invalid=True, top_p=1.0)
        found = []
        for problem, edit in zip(self._held_out, written, strict=True):
            edits = [edit] if edit is not None and edit.texts else []
            recipes = [settings.recipe(own, one, settings.reward_training()) for one in edits]
            found.append(Context(f"held out {problem.id}", problem, edits, recipes))
        yield from evaluate(own, found, uniform(1), settings.reward_training(), 0.0)
        if desk.left() < before:
            self._price = CHECKED * (before - desk.left())
        means = [context.tally.means() for context in found]
        known = all(mean[0] >= 0 for mean in means if mean) and None not in written
        return sum(mean[0] for mean in means if mean) / len(means) if known and means else None

    def _due(self) -> bool:
        done, every = sum(one.step > 0 for one in self.policy.curve) + 1, self._settings.check_every
        return bool(every) and (done % every == 0 or done == self._settings.rounds)

    def _check_price(self, desk: Desk) -> float:
        if not self._due():
            return 0.0
        if self._price is not None:
            return self._price
        form, longest = self._settings.formats(desk)[0], self._settings.longest
        return sum(context_quote(desk, one, form, longest(desk, one.material, form), 1, 1) for one in self._held_out)


def _group(context: Context) -> Group:
    """A context's edits with their rewards, those that were evaluated once any was. One that nothing could be trained
    on did no better than the worst, or than nothing."""
    rewarded, pairs = any(context.tally.counts()), zip(context.edits, context.tally.means(), strict=True)
    known = [(edit, mean if rewarded else 0.0) for edit, mean in pairs if edit.ids and (mean >= LEAST or not rewarded)]
    least = min([0.0, *(mean for _, mean in known)])
    drawn = [*known, *((edit, least) for edit in context.invalid if edit.ids)]
    prompt = drawn[0][0].ask.prompt if drawn else ""
    invalid = len(context.invalid) + len(context.edits) - len(context.usable)
    return Group(prompt, [edit.ids for edit, _ in drawn], [reward for _, reward in drawn], invalid)


class _EditGradientLoop(Method):
    """SEAL's outer loop with policy gradients."""

    role: ClassVar[Role] = Role.SELF_IMPROVING
    Settings: ClassVar[type[EditGradientSettings]] = EditGradientSettings
    settings: EditGradientSettings
    learns: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after all steps, or after the best of those that were checked."""
        settings = self.settings
        training, held_out = apart(desk, problems, settings)
        improvement = EditGradient(settings, held_out)
        if held_out:
            began = yield from improvement.check(desk.at("step 0"))
            improvement.policy.report(desk.at("step 0"), desk.model, began)
        loop = settings.model_copy(update={"temperature": 1.0, "top_p": 1.0})
        rule, candidates = uniform(settings.repeats), settings.candidates
        end: Model = yield from outer_loop(desk, training, loop, candidates=candidates, rule=rule, keep=improvement)
        return improvement.policy.kept(desk, end)

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The inner loop, by the model that has learned: it writes the edits and is trained on them."""
        return (yield from write_and_fit(desk.at(model=learned), materials, self.settings))


@final
class Grpo(_EditGradientLoop):
    """SEAL's outer loop by GRPO: every edit learnt from by how much better than its group it did, near the model as it
    began."""


@final
class RlooSettings(EditGradientSettings):
    """RLOO's terms."""

    advantage: Advantage = "leave-one-out"
    penalty: Penalty = "reward"
    ratio: Ratio = "product"
    kl: Annotated[float, Field(ge=0, le=100)] = 0.05


@final
class Rloo(_EditGradientLoop):
    """SEAL's outer loop by RLOO: a whole edit is one action, and the other edits' mean reward its baseline."""

    Settings = RlooSettings


@final
class PpoSettings(EditGradientSettings):
    """PPO's terms, with the group's mean for a baseline unless it is to be learned (``baseline: value``)."""

    advantage: Advantage = "mean"
    penalty: Penalty = "reward"
    policy_loss: Loss = "bnpo"
    kl: Annotated[float, Field(ge=0, le=100)] = 0.05


@final
class Ppo(_EditGradientLoop):
    """SEAL's outer loop by PPO, clipped, with its group's mean reward as an edit's baseline."""

    Settings = PpoSettings
