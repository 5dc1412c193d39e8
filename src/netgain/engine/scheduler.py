"""StepScheduler: which steps of which adapters share the next pack. Continuous batching, no torch."""

from collections.abc import Iterator, Sequence
from typing import final

from netgain.engine.jobs import Example, InnerLoopJob
from netgain.engine.packs import SlotStep
from netgain.errors import InputError


@final
class Resident:
    """A job that holds a slot: where it is in its order of steps, and the rows of its next step."""

    def __init__(self, job: InnerLoopJob, slot: int, arrival: int) -> None:
        self.job, self.slot, self.arrival = job, slot, arrival
        self.done = 0
        self._examples: dict[int, Example] = {}
        self._order: Iterator[tuple[int, ...]] = job.steps()
        self.next = self._draw()

    @property
    def remaining(self) -> int:
        """Steps still to do."""
        return self.job.total_steps - self.done

    @property
    def learning_rate(self) -> float:
        """The rate of the next step: linear decay to 0 over the job's own steps."""
        return self.job.learning_rate * max(0.0, self.remaining / self.job.total_steps)

    def advance(self) -> None:
        """Book the step and draw the next one."""
        self.done += 1
        if self.remaining:
            self.next = self._draw()

    def _draw(self) -> SlotStep:
        return SlotStep(self.slot, tuple(self._example(i) for i in next(self._order)))

    def _example(self, index: int) -> Example:
        if index not in self._examples:
            self._examples[index] = self.job.example(index)
        return self._examples[index]


@final
class StepScheduler:
    """Fills packs up to ``budget`` rows with at most one step of each resident job.

    The jobs with most steps left go first (ties by arrival), so that all finish close together; a step that does not
    fit waits for the next pack. A step longer than the budget gets a pack of its own.
    """

    def __init__(self, budget: int) -> None:
        if budget < 1:
            raise InputError("budget", f"{budget} rows: a pack holds at least one")
        self.budget = budget

    def choose(self, residents: Sequence[Resident]) -> list[Resident]:
        """The members of the next pack, in order of slot."""
        chosen: list[Resident] = []
        rows = 0
        for resident in sorted(residents, key=lambda r: (-r.remaining, r.arrival)):
            if not chosen or rows + resident.next.rows <= self.budget:
                chosen.append(resident)
                rows += resident.next.rows
        return sorted(chosen, key=lambda r: r.slot)
