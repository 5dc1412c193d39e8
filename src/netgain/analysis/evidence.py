"""Evidence: one claim joined, priced and ready to be asked; the only state that the rows of a verdict are made from."""

from dataclasses import dataclass, field
from typing import Self, final

import numpy as np

from netgain.analysis import intervals, table
from netgain.analysis.costs import ArmCost, arm_cost
from netgain.analysis.table import AnswerTable, Floats
from netgain.records.claim import Arm, Claim, Role
from netgain.streams import stream

ENOUGH_OVERLAP = 0.9


def accuracy_of(arm: Arm) -> float | None:
    """Accuracy regenerated from the verdicts, averaged as the authors do; as stated where there are no verdicts."""
    return arm.accuracy if arm.correct is None else table.published_mean(arm.correct, arm.averaged)


@final
@dataclass(frozen=True)
class Evidence:
    """A claim with its answer table and its arms' costs. Bootstrap weights are shared by all with as many problems."""

    claim: Claim
    answers: AnswerTable
    costs: dict[str, ArmCost]
    accuracies: dict[str, float | None]
    seed: int
    _weights: dict[int, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, claim: Claim, seed: int) -> Self:
        costs = {arm.name: arm_cost(claim, arm) for arm in claim.arms}
        accuracies = {arm.name: accuracy_of(arm) for arm in claim.arms}
        return cls(claim, table.build(claim), costs, accuracies, seed)

    def weights(self, units: int) -> Floats:
        """Bootstrap weights for this many problems: the same for every statistic, so that parts add up."""
        if units not in self._weights:
            self._weights[units] = intervals.resample_weights(units, self.rng("bootstrap", str(units)))
        return self._weights[units]

    def rng(self, *names: str) -> np.random.Generator:
        """The named random stream of this analysis."""
        return stream(self.seed, "analysis", *names)

    def arms_in(self, setting: str) -> list[Arm]:
        """The arms of one setting, in the claim's order."""
        return [arm for arm in self.claim.arms if arm.setting == setting]

    def rivals_of(self, arm: Arm) -> list[Arm]:
        """The other conventional arms of the arm's setting that answered (nearly) all the questions it answered."""
        others = [other for other in self.arms_in(arm.setting) if other.conventional and other.name != arm.name]
        return [other for other in others if self._comparable(arm, other)]

    def _comparable(self, arm: Arm, other: Arm) -> bool:
        if arm.correct is None and other.correct is None:
            return other.accuracy is not None
        return self.overlap(arm.name, other.name) >= ENOUGH_OVERLAP

    def overlap(self, row: str, other: str) -> float:
        """The share of a row's questions that another row answered too; 0 where one of them has no verdicts."""
        if row not in self.answers or other not in self.answers:
            return 0.0
        asked = int(self.answers.common(row).sum())
        return int(self.answers.common(row, other).sum()) / asked if asked else 0.0

    def proportion(self, accuracy: float | None, asked: int | None) -> intervals.Estimate | None:
        """An accuracy that was only stated, with Wilson's interval; None where it or its n is unknown."""
        return None if accuracy is None or not asked else intervals.wilson(accuracy * asked, asked)

    def share_questions(self, *rows: str) -> bool:
        """Whether all these rows have verdicts and some question in common."""
        return all(row in self.answers for row in rows) and bool(self.answers.common(*rows).any())

    def last_rounds(self) -> list[Arm]:
        """Of each setting and prompt the self-improving arm of the highest round; the headline arm first."""
        last: dict[tuple[str, str], Arm] = {}
        for arm in self.claim.arms:
            if arm.role is Role.SELF_IMPROVING:
                key = (arm.setting, arm.prompt)
                if key not in last or (arm.round or 0) > (last[key].round or 0):
                    last[key] = arm
        chosen = list(last.values())
        if self.claim.headline and self.claim.headline not in {arm.name for arm in chosen}:
            chosen.append(self.claim.arm(self.claim.headline))
        return sorted(chosen, key=lambda arm: arm.name != self.claim.headline)
