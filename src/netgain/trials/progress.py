"""How far a trial is, as values: what units report, and what that adds up to. Whoever shows it only reads."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from netgain.trials.candidates import candidates
from netgain.trials.narrow import Trial
from netgain.trials.unit import Unit, adapt_limit, compared_rung, learn_limit


@final
@dataclass(frozen=True, slots=True)
class ArmProgress:
    """One arm over all its units: adaptations done, of how many, and what is spent of what, in the trial's currency."""

    arm: str
    label: str
    done: int
    of: int
    spent: float
    budget: float


@final
@dataclass(slots=True, eq=False)
class Progress:
    """The state of all units. ``note`` is the newest thing worth a line."""

    trial: Trial
    units: Sequence[Unit]
    clock: Callable[[], float] = time.monotonic
    note: str = ""
    ended: bool = False
    _at: dict[str, tuple[int, float]] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _before: float = 0.0
    _start: float | None = None

    def tell(self, unit: Unit, done: int, spent: float) -> None:
        """A unit under way has done so many adaptations and spent so much."""
        self._start = self.clock() if self._start is None else self._start
        self._at[unit.name] = (done, spent)

    def finish(self, unit: Unit, spent: float, *, now: bool) -> None:
        """A unit is finished; ``now`` if it was done by this process."""
        self._at[unit.name] = (sittings(self.trial, unit), spent)
        self._done.add(unit.name)
        if not now:
            self._before += sittings(self.trial, unit)

    def arms(self) -> list[ArmProgress]:
        """Every arm in the trial's order."""
        return [self._arm(name) for name in self.trial.arms]

    def _arm(self, name: str) -> ArmProgress:
        mine = [unit for unit in self.units if unit.arm == name]
        at = [self._at.get(unit.name, (0, 0.0)) for unit in mine]
        return ArmProgress(
            arm=name,
            label=self.trial.arms[name].label,
            done=sum(done for done, _ in at),
            of=sum(sittings(self.trial, unit) for unit in mine),
            spent=sum(spent for _, spent in at),
            budget=sum(budget(self.trial, unit) for unit in mine),
        )

    @property
    def finished(self) -> int:
        """How many units are finished."""
        return len(self._done)

    def seconds_left(self) -> float | None:
        """An estimate from the adaptations of this process so far; None where there are too few."""
        done = sum(done for done, _ in self._at.values()) - self._before
        left = sum(sittings(self.trial, unit) for unit in self.units) - done - self._before
        if self._start is None or done < 1:
            return None
        return (self.clock() - self._start) * left / done


def sittings(trial: Trial, unit: Unit) -> int:
    """How many adaptations a unit does: in a tuning those of every candidate, or of the settings as given; in a run
    those to the test problems, and to the development problems of an arm that learns."""
    spec = trial.spec
    development = -(-spec.problems.development // spec.problems.passages)
    if unit.stage == "run":
        tested = -(-spec.problems.test // spec.problems.passages) * len(spec.budget.ladder)
        return tested + (development if trial.arms[unit.arm].method.learns else 0)
    return development * max(1, len(candidates(spec, unit.domain, trial.arms[unit.arm])))


def budget(trial: Trial, unit: Unit) -> float:
    """The most that a unit may spend inside the matched budget (tuning included), in the trial's currency."""
    spec, method = trial.spec, trial.arms[unit.arm].method
    one = adapt_limit(spec, 1.0).amount(spec.budget.currency) or 0.0
    if unit.stage == "run":
        learn = learn_limit(spec).amount(spec.budget.currency) or 0.0
        learning = learn + one * spec.problems.development if method.learns else 0.0
        return one * spec.problems.test * sum(spec.budget.ladder) + learning
    return one * compared_rung(spec, method.learns) * sittings(trial, unit) * spec.problems.passages
