"""Which steps of which adapters run together, and how they lie in one batch of rows without padding. No model here.

A pack holds at most one step of each adapter: a step's gradient must be taken at the weights that the step before it
left. So the scheduler keeps many jobs resident and fills each pack with the next step of as many as fit. A batch that
does not fit into memory runs in halves.
"""

from collections.abc import Callable, Iterator, Sequence
from ctypes import CDLL
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, final

import torch

from netgain.engine.jobs import Example, Failure, InnerLoopJob, PolicyLoss, Work
from netgain.engine.policy_loss import PolicyTerms


@final
@dataclass(frozen=True, slots=True)
class Extent:
    """One sequence in a pack: its rows, how many of them others may attend to, how many have a label."""

    rows: int
    keys: int
    labelled: int


@final
@dataclass(frozen=True, slots=True)
class SlotStep:
    """One step of one adapter: its slot and the sequences of the step (usually one)."""

    slot: int
    examples: tuple[Example, ...]
    policy: PolicyLoss | None = None

    @property
    def extents(self) -> list[Extent]:
        """The step's sequences as a backend accounts for them."""
        return [
            Extent(len(example.tokens), example.text, sum(1 for weight in example.weights if weight))
            for example in self.examples
        ]

    @property
    def rows(self) -> int:
        """Positions of the step, pads included."""
        return sum(len(example.tokens) for example in self.examples)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Tensors of a batch of T rows, S sequences, G steps (of G different slots), n labelled rows.

    ``tokens``, ``positions`` [T]; ``start`` [S + 1] first row of each sequence; ``keys`` [S] its rows that others may
    attend to; ``group_start`` [G + 1] first row of each step; ``slots`` [G]; ``label_rows``, ``targets``, ``weights``
    and ``label_group`` [n], where a step's weights sum to 1. Integers are int64. With ``policy`` terms the labelled
    rows are learnt by those instead, and their weights are 1.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    start: torch.Tensor
    keys: torch.Tensor
    group_start: torch.Tensor
    slots: torch.Tensor
    label_rows: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    label_group: torch.Tensor
    policy: PolicyTerms | None = None

    @property
    def rows(self) -> int:
        """T."""
        return len(self.tokens)


def pack_steps(steps: Sequence[SlotStep], dtype: torch.dtype, device: torch.device | str = "cpu") -> Pack:
    """Lay steps of different slots end to end. A step's label weights are scaled to sum to 1 (its mean loss)."""
    if len({step.slot for step in steps}) != len(steps):
        raise ValueError("a pack holds at most one step of each adapter")
    policy = steps[0].policy if steps else None
    if len({step.policy and step.policy.kind for step in steps}) > 1:
        raise ValueError("the steps of a pack have one loss")
    tokens: list[int] = []
    positions: list[int] = []
    start, keys, group_start = [0], [], [0]
    label_rows: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    label_group: list[int] = []
    for group, step in enumerate(steps):
        total = sum(sum(example.weights) for example in step.examples)
        # The mean is over the step's labels and never over the pack: a job's loss must not depend on its neighbours.
        for example in step.examples:
            first = len(tokens)
            tokens += example.tokens
            positions += example.positions
            chosen = [i for i, weight in enumerate(example.weights) if weight]
            label_rows += [first + i for i in chosen]
            targets += [example.targets[i] for i in chosen]
            weights += [example.weights[i] / total if policy is None else 1.0 for i in chosen]
            label_group += [group] * len(chosen)
            start.append(len(tokens))
            keys.append(example.text)
        group_start.append(len(tokens))

    def ints(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return Pack(
        tokens=ints(tokens),
        positions=ints(positions),
        start=ints(start),
        keys=ints(keys),
        group_start=ints(group_start),
        slots=ints([step.slot for step in steps]),
        label_rows=ints(label_rows),
        targets=ints(targets),
        weights=torch.tensor(weights, dtype=dtype, device=device),
        label_group=ints(label_group),
        policy=None if policy is None else _terms(policy, steps, dtype, device),
    )


def _terms(
    policy: PolicyLoss, steps: Sequence[SlotStep], dtype: torch.dtype, device: torch.device | str
) -> PolicyTerms:
    labelled = [extent.labelled for step in steps for extent in step.extents]
    return PolicyTerms(policy, [step.examples for step in steps], labelled, dtype, device)


@final
class Resident:
    """A job that holds a slot: where it is in its order of steps, its next step, and what has been booked for it.

    ``before`` is how many steps the adapter that it goes on from has behind it.
    """

    def __init__(self, job: InnerLoopJob, slot: int, arrival: int, before: int = 0) -> None:
        self.job, self.slot, self.arrival, self.before = job, slot, arrival, before
        self.done, self.losses, self.work = 0, list[float](), Work()
        self.clipped: list[float] = []
        self.failure: Failure | None = None
        self._examples: dict[int, Example] = {}
        self._order: Iterator[tuple[int, ...]] = job.steps()
        self.next = self._draw()

    @property
    def remaining(self) -> int:
        """Steps still to do."""
        return self.job.total_steps - self.done

    @property
    def learning_rate(self) -> float:
        """The rate of the next step, by the job's own schedule."""
        return self.job.rate(self.done)

    def advance(self) -> None:
        """Book the step and draw the next one."""
        self.done += 1
        if self.remaining:
            self.next = self._draw()

    def _draw(self) -> SlotStep:
        return SlotStep(self.slot, tuple(self._example(i) for i in next(self._order)), self.job.policy)

    def _example(self, index: int) -> Example:
        if index not in self._examples:
            self._examples[index] = self.job.example(index)
        return self._examples[index]


def choose_members(residents: Sequence[Resident], budget: int) -> list[Resident]:
    """The members of the next pack, in order of slot: at most one step of each job, up to ``budget`` rows in all.

    The jobs with most steps left go first (ties by arrival), so that all finish close together; a step that does not
    fit waits for the next pack. A step longer than the budget gets a pack of its own.
    """
    chosen: list[Resident] = []
    rows = 0
    # Longest first keeps the last packs full: else one long job would finish alone, at the speed of batch size 1.
    for resident in sorted(residents, key=lambda r: (-r.remaining, r.arrival)):
        if not chosen or rows + resident.next.rows <= budget:
            chosen.append(resident)
            rows += resident.next.rows
    return sorted(chosen, key=lambda r: r.slot)


T = TypeVar("T")


def give_back() -> None:
    """Return freed pages to the machine. The GNU C library keeps what lies between memory still in use, such as a
    dropped copy of a model, whose weights are small pieces each; nothing happens under another."""
    trim = getattr(_process(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _process() -> Any:
    try:
        return CDLL(None)
    except (OSError, TypeError):  # a platform on which the process has no names of its own
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on a GPU or in torch's CPU allocator."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def lacking(error: BaseException) -> str:
    """What the allocator says that it was asked for and has, in one short line."""
    told = " ".join(str(error).split())
    return told[max(0, told.lower().find("tried to allocate")) :][:200] or type(error).__name__


def run_in_halves(
    members: list[T],
    run: Callable[[list[T]], None],
    give_up: Callable[[T], None],
    unfinished: Callable[[list[T]], list[T]] = lambda members: members,
) -> None:
    """Run a batch. If memory runs out, run the ``unfinished`` part in halves, down to one that is given up alone."""
    try:
        run(members)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        rest = unfinished(members)
        if len(rest) == 1:
            give_up(rest[0])
            return
        for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            run_in_halves(half, run, give_up, unfinished)
