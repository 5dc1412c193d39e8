"""Pack: the steps of several adapters as one batch of rows without padding, at most one step of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from netgain.engine.jobs import Example


@final
@dataclass(frozen=True, slots=True)
class Extent:
    """One sequence in a pack: its rows, how many of them others may attend to, how many have a label."""

    rows: int
    keys: int
    labelled: int


@final
@dataclass(frozen=True, slots=True)
class Footprint:
    """What one sequence makes a backend run: positions, those with logits, pairs (query, key) attended in a layer."""

    positions: int
    head_positions: int
    pairs: int


@final
@dataclass(frozen=True, slots=True)
class SlotStep:
    """One step of one adapter: its slot and the sequences of the step (usually one)."""

    slot: int
    examples: tuple[Example, ...]

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
    and ``label_group`` [n], where a step's weights sum to 1. Integers are int64.
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

    @property
    def rows(self) -> int:
        """T."""
        return len(self.tokens)


def pack_steps(steps: Sequence[SlotStep], dtype: torch.dtype, device: torch.device | str = "cpu") -> Pack:
    """Lay steps of different slots end to end. A step's label weights are scaled to sum to 1 (its mean loss)."""
    if len({step.slot for step in steps}) != len(steps):
        raise ValueError("a pack holds at most one step of each adapter")
    tokens: list[int] = []
    positions: list[int] = []
    start, keys, group_start = [0], [], [0]
    label_rows: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    label_group: list[int] = []
    for group, step in enumerate(steps):
        total = sum(sum(example.weights) for example in step.examples)
        for example in step.examples:
            first = len(tokens)
            tokens += example.tokens
            positions += example.positions
            chosen = [i for i, weight in enumerate(example.weights) if weight]
            label_rows += [first + i for i in chosen]
            targets += [example.targets[i] for i in chosen]
            weights += [example.weights[i] / total for i in chosen]
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
    )
