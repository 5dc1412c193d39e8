"""SEAL: self-edits, each trained on and examined for its reward, and an outer loop that learns to write better ones.

Zweiger et al. 2025, arXiv 2506.10943. Knowledge incorporation keeps the best edit of each context (the paper's
footnote); few-shot learning keeps every edit that helps (``keep: positive``, against the accuracy without any edit).

``select`` isolates what the reward is worth:

``reward``    the published rule: ``candidates`` edits, each evaluated ``repeats`` times, the best mean kept
``random``    the same work, rewards measured and paid for; the edit to keep is drawn by lot
``adaptive``  as many evaluations, spent by successive halving with shrinkage over more edits (``selection.py``)

Presets hold the published settings. ``seal-v1`` is the paper's first version (single passage; its inner loop has ten
epochs, so it leaves what a larger budget would pay for); ``seal-v1-cpt`` the same with what v1 used for continued
pretraining (LoRA, 3 epochs, 5 edits a passage). ``seal-v2`` is v2's continued pretraining: full fine-tuning instead of
LoRA; its learning rate, epochs and batch size were not published where we could read them, and ours are guesses
(1e-5, 3, 8: within the grid of v1's appendix but for the rate).
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field

from netgain.methods.finetune import SEVEN
from netgain.methods.fit import Count
from netgain.methods.method import Desk
from netgain.methods.outer_loop import LoopSettings, OuterLoop
from netgain.methods.selection import RELIABILITY, Rule, best, halving, uniform
from netgain.methods.trial_edits import Context
from netgain.streams import stream

_LOOP = {
    "rounds": 2,
    "contexts": 50,
    "candidates": 5,
    "repeats": 3,
    "keep": "best",
    "format": "implications",
    "temperature": 1.0,
    "top_p": 0.95,
    "with_passage": True,
    "rank": 32,
    "alpha": 64.0,
    "target_modules": ("q_proj", "v_proj"),
    "reward_epochs": 10,
    "reward_learning_rate": 1e-3,
    "outer_rank": 64,
    "outer_alpha": 128.0,
    "outer_modules": SEVEN,
    "outer_epochs": 2,
    "outer_batch": 10,
    "outer_learning_rate": 3e-4,
    "max_length": 2048,
}


@final
class SealSettings(LoopSettings):
    """``wide`` is how many edits adaptive selection begins with; it spends ``candidates`` x ``repeats`` evaluations.

    ``reliability`` is the reward's, for one evaluation (ICC(1,1)); 0.13 on SEAL's published rewards.
    """

    select: Literal["reward", "random", "adaptive"] = "reward"
    keep: Literal["best", "positive"] = "best"
    wide: Count = 8
    reliability: Annotated[float, Field(gt=0, lt=1)] = RELIABILITY


@final
class Seal(OuterLoop):
    """The outer loop as published, and what tells its parts apart."""

    Settings = SealSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "seal-v1": {**_LOOP, "learning_rate": 1e-3, "batch_size": 1, "max_epochs": 10, "edits": 1},
        "seal-v1-cpt": {**_LOOP, "learning_rate": 1e-3, "batch_size": 1, "max_epochs": 3, "edits": 5},
        "seal-v2": {**_LOOP, "kind": "full", "learning_rate": 1e-5, "batch_size": 8, "max_epochs": 3, "edits": 5},
        "random": {"select": "random"},
        "adaptive": {"select": "adaptive"},
    }

    @property
    def candidates(self) -> int:
        """More where selection is adaptive."""
        return int(self.settings.wide if self.settings.select == "adaptive" else self.settings.candidates)

    @property
    def wants_baseline(self) -> bool:
        """What an edit must beat where every one that helps is kept."""
        return bool(self.settings.keep == "positive")

    def rule(self) -> Rule:
        """Uniform, or by halving."""
        settings = self.settings
        if settings.select == "adaptive":
            return halving(settings.candidates * settings.repeats, settings.reliability)
        return uniform(settings.repeats)

    def keep(self, desk: Desk, contexts: Sequence[Context]) -> list[tuple[Context, int]]:
        """The best edit of each context or a drawn one; or all that beat the baseline, or as many drawn ones."""
        return [(context, edit) for context in contexts for edit in self._kept(desk, context)]

    def _kept(self, desk: Desk, context: Context) -> list[int]:
        settings = self.settings
        shrinking = settings.reliability if settings.select == "adaptive" else None
        chosen = [best(context.tally, shrinking)]
        if settings.keep == "positive":
            scores = context.tally.means() if shrinking is None else context.tally.shrunk(shrinking)
            chosen = [edit for edit, score in enumerate(scores) if score > (context.baseline or 0.0)]
        if settings.select != "random":
            return chosen
        lot = stream(desk.draw("lot", context.name), "keep").permutation(len(context.edits))
        return sorted(int(edit) for edit in lot[: len(chosen)])
