"""How far a trial is, as values: what tasks report, and what that adds up to. Whoever shows it only reads."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from netgain.trials.resolve import Trial
from netgain.trials.tasks import Task, adaptations, budget


@final
@dataclass(frozen=True, slots=True)
class ArmProgress:
    """One arm over all its tasks: adaptations done, of how many, and what is spent of what, in the trial's currency."""

    arm: str
    label: str
    done: int
    of: int
    spent: float
    budget: float


@final
@dataclass(slots=True, eq=False)
class Progress:
    """The state of all tasks. ``note`` is the newest thing worth a line."""

    trial: Trial
    tasks: Sequence[Task]
    clock: Callable[[], float] = time.monotonic
    note: str = ""
    ended: bool = False
    _at: dict[str, tuple[int, float]] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _before: float = 0.0
    _start: float | None = None

    def tell(self, task: Task, done: int, spent: float) -> None:
        """A task under way has done so many adaptations and spent so much."""
        self._start = self.clock() if self._start is None else self._start
        self._at[task.name] = (done, spent)

    def finish(self, task: Task, spent: float, *, now: bool) -> None:
        """A task is finished; ``now`` if it was done by this process."""
        self._at[task.name] = (adaptations(self.trial, task), spent)
        self._done.add(task.name)
        if not now:
            self._before += adaptations(self.trial, task)

    def arms(self) -> list[ArmProgress]:
        """Every arm in the trial's order."""
        return [self._arm(name) for name in self.trial.arms]

    def _arm(self, name: str) -> ArmProgress:
        arm_tasks = [task for task in self.tasks if task.arm == name]
        at = [self._at.get(task.name, (0, 0.0)) for task in arm_tasks]
        return ArmProgress(
            arm=name,
            label=self.trial.arms[name].label,
            done=sum(done for done, _ in at),
            of=sum(adaptations(self.trial, task) for task in arm_tasks),
            spent=sum(spent for _, spent in at),
            budget=sum(budget(self.trial, task) for task in arm_tasks),
        )

    @property
    def finished(self) -> int:
        """How many tasks are finished."""
        return len(self._done)

    def seconds_left(self) -> float | None:
        """An estimate from the adaptations of this process so far; None where there are too few."""
        done = sum(done for done, _ in self._at.values()) - self._before
        left = sum(adaptations(self.trial, task) for task in self.tasks) - done - self._before
        if self._start is None or done < 1:
            return None
        return (self.clock() - self._start) * left / done
