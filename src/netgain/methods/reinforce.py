"""Reinforce: an outer loop in which every edit counts by how much better than its group it did.

Reward-weighted regression with group-normalised advantages: the policy is fine-tuned on each edit with the weight
``max(0, (reward - group mean) / group deviation)``, by repetition. Its expected gradient is that of the policy gradient
with advantages clipped at 0 and samples drawn from the current policy (Peters and Schaal 2007; Peng et al. 2019, AWR);
the normalisation within a group is GRPO's (Shao et al. 2024). It is **not** GRPO: edits below their group's mean are
not pushed away, and there is no ratio, clip or KL term. SEAL's authors found GRPO and PPO unstable and gave no
settings.
"""

from collections.abc import Sequence
from typing import Annotated, final

from pydantic import Field

from netgain.methods.method import Desk
from netgain.methods.outer_loop import LoopSettings, OuterLoop
from netgain.methods.selection import Rule, advantages, copies, uniform
from netgain.methods.trial_edits import Context
from netgain.streams import stream


@final
class ReinforceSettings(LoopSettings):
    """``strength`` is how many copies an edit one deviation above its group's mean is trained on in an epoch."""

    strength: Annotated[float, Field(gt=0, le=10)] = 1.0


@final
class Reinforce(OuterLoop):
    """All edits, weighted by their advantages."""

    Settings = ReinforceSettings

    def rule(self) -> Rule:
        """Every edit as often as any other."""
        return uniform(self.settings.repeats)

    def keep(self, desk: Desk, contexts: Sequence[Context]) -> list[tuple[Context, int]]:
        """Every edit above its group's mean, in as many copies as its advantage says, rounded by lot."""
        found = []
        for context in contexts:
            weights = [self.settings.strength * max(0.0, one) for one in advantages(context.tally)]
            rng = stream(desk.draw("copies", context.name), "keep")
            found += [(context, edit) for edit, times in enumerate(copies(weights, rng)) for _ in range(times)]
        return found
