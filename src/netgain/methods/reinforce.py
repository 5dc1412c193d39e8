"""Reinforce: an outer loop in which every edit counts by how much better than its group it did.

Reward-weighted regression with group-normalised advantages: the policy is fine-tuned on each edit with the weight
``max(0, (reward - group mean) / group deviation)``, by repetition. Its expected gradient is that of the policy gradient
with advantages clipped at 0 and samples drawn from the current policy (Peters and Schaal 2007; Peng et al. 2019, AWR);
the normalisation within a group is GRPO's (Shao et al. 2024). It is **not** GRPO: edits below their group's mean are
not pushed away, and there is no ratio, clip or KL term. SEAL's authors found GRPO and PPO unstable and gave no
settings.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material, Problem
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Context
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.seal import LoopSettings, outer_loop
from netgain.methods.selection import advantages, copies, uniform
from netgain.methods.synthetic import PRESETS, write_and_fit
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.streams import stream


@final
class ReinforceSettings(LoopSettings):
    """``strength`` is how many copies an edit one deviation above its group's mean is trained on in an epoch."""

    strength: Annotated[float, Field(gt=0, le=10)] = 1.0


@final
class Reinforce(Method):
    """SEAL's outer loop with all edits weighted by their advantages instead of the best one kept."""

    role: ClassVar[Role] = Role.SELF_IMPROVING
    Settings = ReinforceSettings
    settings: ReinforceSettings
    learns: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after all rounds."""
        settings = self.settings
        return (
            yield from outer_loop(
                desk,
                problems,
                settings,
                candidates=settings.candidates,
                rule=uniform(settings.repeats),
                keep=self._keep,
            )
        )

    def _keep(self, desk: Desk, context: Context) -> list[int]:
        """Every edit above its group's mean, in as many copies as its advantage says, rounded at random."""
        weights = [self.settings.strength * max(0.0, advantage) for advantage in advantages(context.tally)]
        rng = stream(desk.draw("copies", context.name), "keep")
        return [edit for edit, times in enumerate(copies(weights, rng)) for _ in range(times)]

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The inner loop, by the model that has learned: it writes the edits and is trained on them."""
        return (yield from write_and_fit(desk.at(model=learned), materials, self.settings))
