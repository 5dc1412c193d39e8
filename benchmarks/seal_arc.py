"""Count SEAL's few-shot procedure on its own tasks: which are trained and examined, on how many sequences, in how many
updates, and what its guard lets through.

Usage: python benchmarks/seal_arc.py FOLDER

FOLDER holds the four files of SEAL's lists (``few-shot/data/*_filtered_*.json`` of the authors' repository at 4cb1e7d).
The table goes to ``benchmarks/results/seal_arc.md``. No model and no tokenizer is needed: in SEAL's text form a row of
``w`` cells is 2 w + 1 tokens of Llama 3's (digits, spaces and brackets), and what stands around the grids is taken to
be 6 tokens a pair and 80 in all.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from netgain.domains.arc import SEAL_TEST, SEAL_TRAIN, read_tasks
from netgain.domains.augment import CAP, training_tasks
from netgain.domains.grid import Grid, GridTask

GROUPS = ("basic", "size", "chain", "repeat")  # that a self-edit of SEAL's may choose
BATCH = 2
MOST_STEPS = 375  # the guard: above it the edit is trained for 0 epochs
MAX_TOKENS = 8192
LISTS = {"train": "training_{}_filtered_1B_training_set", "test": "evaluation_{}_filtered_1B_eval_set"}
EDITED, EXAMINED = {"train": 12, "test": 10}, {"train": 11, "test": 9}  # --n_tasks and --num_examples of the README
EDITS = {"train": 15, "test": 5}  # of each task
RESULTS = Path(__file__).parent / "results" / "seal_arc.md"


def edited(tasks: Sequence[GridTask], count: int) -> tuple[str, ...]:
    """The tasks for which edits are written and trained: the first ``count`` test grids, where every second grid of a
    task takes a place and is then passed over (``self-edit.py``)."""
    grids = [(task.id, number) for task in tasks for number in range(len(task.tests))]
    return tuple(name for name, number in grids[:count] if number != 1)


def examined(tasks: Sequence[GridTask], count: int, seed: int = 0) -> tuple[str, ...]:
    """The tasks whose adapted models are scored, in the file's order: ``count`` test grids after NumPy's shuffle of the
    old generator with this seed (``eval-self-edits.py``)."""
    grids = [(task.id, number) for task in tasks for number in range(len(task.tests))]
    np.random.RandomState(seed).shuffle(grids)
    there = {name for name, _ in grids[:count]}
    return tuple(task.id for task in tasks if task.id in there)


def tokens(task: GridTask) -> int:
    """How long a training sequence is, as estimated."""
    grids = [grid for pair in (*task.examples, *task.tests) for grid in (pair.input, pair.output)]
    return 80 + sum(3 + _cells(grid) for grid in grids)


def _cells(grid: Grid) -> int:
    return len(grid) * (2 * len(grid[0]) + 1)


@dataclass(frozen=True)
class Counts:
    """What one choice of groups comes to for one task: sequences before and after the cap, and the lengths of these."""

    uncapped: int
    lengths: tuple[int, ...]

    @property
    def sequences(self) -> int:
        """How many are trained on."""
        return len(self.lengths)

    def updates(self, epochs: int) -> int:
        """Optimizer steps of so many epochs."""
        return epochs * -(-self.sequences // BATCH)

    @property
    def most_epochs(self) -> int:
        """How many epochs the guard lets through; with one more the edit is not trained at all."""
        return next(epochs - 1 for epochs in range(1, 10_000) if epochs * self.sequences // BATCH > MOST_STEPS)


def count(task: GridTask, groups: Sequence[str]) -> Counts:
    """The counts of one choice of groups."""
    made = training_tasks(task.examples, groups, 0, cap=10**9, fits=lambda one: tokens(one) < MAX_TOKENS)
    kept = (
        made
        if len(made) <= CAP
        else training_tasks(task.examples, groups, 0, fits=lambda one: tokens(one) < MAX_TOKENS)
    )
    return Counts(len(made), tuple(tokens(one) for one in kept))


def choices() -> Iterator[tuple[str, ...]]:
    """All sixteen choices of groups, none first."""
    for bits in product((False, True), repeat=len(GROUPS)):
        yield tuple(group for group, bit in zip(GROUPS, bits, strict=True) if bit)


def read_lists(folder: Path) -> dict[str, tuple[GridTask, ...]]:
    """SEAL's two lists from the folder. Raises InputError where a file cannot be read."""
    names = {part: f"arc-agi_{name}.json" for part, name in LISTS.items()}
    return {
        part: read_tasks(folder / name.format("challenges"), folder / name.format("solutions"))
        for part, name in names.items()
    }


def selection_lines(lists: Mapping[str, Sequence[GridTask]]) -> Iterator[str]:
    """Which tasks are listed, edited and examined."""
    yield "| | listed | with a second test grid | edits written for | examined | both |"
    yield "|---|---:|---|---:|---:|---:|"
    for part, tasks in lists.items():
        some, others = edited(tasks, EDITED[part]), examined(tasks, EXAMINED[part])
        two = ", ".join(task.id for task in tasks if len(task.tests) > 1)
        yield (
            f"| {'training' if part == 'train' else 'evaluation'} tasks | {len(tasks)} | {two} | {len(some)} | "
            f"{len(others)} | {len({*some} & {*others})} |"
        )


def task_lines(tasks: Sequence[GridTask], counts: Mapping[tuple[str, tuple[str, ...]], Counts]) -> Iterator[str]:
    """A row a task: sequences of each group alone and of all, updates, the guard, lengths."""
    names = (*GROUPS, "all four", "kept", "updates, 2 epochs", "most epochs", "longest, tokens", "padded / real")
    yield f"| task | pairs | no tools | {' | '.join(names)} |"
    yield "|---|" + "---:|" * 12
    for task in tasks:
        alone = [counts[task.id, some].uncapped for some in ((), *((group,) for group in GROUPS))]
        whole = counts[task.id, GROUPS]
        padded = max(whole.lengths) * whole.sequences / sum(whole.lengths)
        cells = (len(task.examples), *alone, whole.uncapped, whole.sequences, whole.updates(2), whole.most_epochs)
        yield f"| {task.id} | {' | '.join(map(str, cells))} | {max(whole.lengths):,} | {padded:.1f} |"


def guard_lines(counts: Mapping[tuple[str, tuple[str, ...]], Counts]) -> Iterator[str]:
    """How many of all choices of groups are trained with a number of epochs."""
    yield "| epochs | choices of tools, over all tasks, that are trained | most updates |"
    yield "|---:|---:|---:|"
    for epochs in (1, 2, 3, 4, 5, 8, 10):
        trained = [one for one in counts.values() if epochs <= one.most_epochs]
        most = max((one.updates(epochs) for one in trained), default=0)
        yield f"| {epochs} | {len(trained)} of {len(counts)} ({100 * len(trained) / len(counts):.0f} %) | {most} |"


def report(lists: Mapping[str, Sequence[GridTask]]) -> str:
    """The page."""
    chosen = [task for part in lists for task in lists[part] if task.id in (*SEAL_TRAIN, *SEAL_TEST)]
    counts = {(task.id, groups): count(task, groups) for task in chosen for groups in choices()}
    return "\n".join(
        [HEAD, *selection_lines(lists), "", SEQUENCES, *task_lines(chosen, counts), "", GUARD, *guard_lines(counts), ""]
    )


HEAD = """# SEAL's few-shot procedure, counted

`python benchmarks/seal_arc.py FOLDER` on the lists in the authors' repository (4cb1e7d), by the commands of its
`few-shot/README.md`.

## Why the lists name 12 and 10 tasks and the paper 11 and 8

A task with two test grids counts as two. Edits are written for the first 12 (training) and 10 (evaluation) *test grids*
of a list; the second grid of a task takes a place and is passed over, which leaves 11 and 9 tasks. Examined are 11 and
9 test grids after a shuffle with seed 0: of the evaluation list both of b1fc8b8e and those of seven other tasks, just
the 8 of the shipped `final_results.json`. Two things follow. Of the 11 training tasks that have edits only 10 are
rewarded: 5bd6f4ac is never scored. And of the 8 tasks examined only 7 have adapters: ce8d95cc stands eleventh, so that
no edit is written for it, and a task without adapter is not asked and counts as wrong. The commands as released cannot
score above 35 of 40.
"""
SEQUENCES = """## Sequences and updates

Training sequences of each group of tools alone and of all four: leave-1-out and leave-2-out, each once more with other
colours and in another order, shorter than 8,192 tokens. *Kept* is at most 250. *Most epochs* is what the guard (375
steps; the comment above it says 250) lets through at batch 2: an edit that asks for one more is trained for none.
*Padded / real*: all sequences of a task are padded to its longest, and the padding has a loss. The counts without tools
differ by a few from seed to seed, because a random order of the pairs may be the one that is there.
"""
GUARD = """## What the guard does to a random choice

All 16 choices of tools for each of the 19 tasks.
"""


def main() -> None:
    """Count and write."""
    RESULTS.write_text(report(read_lists(Path(sys.argv[1]))), encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
