"""What the grid model is trained on: tasks of known families as token ids, and a few settings to write.

Drawing a task costs more than a training step on it, so a pool of tasks is kept: every use permutes the colours 1 to 9
of the whole task, which no family of the world minds, and the order of its pairs; a share of the pool is drawn anew for
every batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from grid_tokenizer import (
    BEFORE_INPUT,
    BEFORE_OUTPUT,
    BEFORE_SETTINGS,
    BETWEEN_PAIRS,
    EPOCHS,
    RATES,
    SPECIAL,
    STRATEGIES,
    TOOLS,
    WORDS,
    build,
    settings_text,
)

from netgain.domains.grid import Grid
from netgain.domains.grid_world import COMPOSED, KNOWN, draw
from netgain.errors import InputError
from netgain.streams import stream

IDS = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
# Families that are learnt early, and the others, which come three times as often at first.
EASY = ("background", "trail", "edge", "frame", "half", "fold", "line", "commonest")
SLOW = tuple(name for name in KNOWN if name not in EASY)
MIXES = {
    "families": KNOWN,
    "slow": (*EASY, *SLOW, *SLOW, *SLOW, *COMPOSED),
    "composed": (*KNOWN, *KNOWN, *COMPOSED, *COMPOSED, *COMPOSED),
}
FIRST_COLOUR = IDS["0"]
# Few epochs are the likelier: on all augmentations of a task more than three are too many steps for SEAL's limit.
LIKELY = (0.22, 0.22, 0.18, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02)  # of EPOCHS
Row = tuple[np.ndarray, np.ndarray]  # token ids, and which of them have a loss


def grid_ids(grid: Grid) -> list[int]:
    """A grid's tokens, as the tokenizer makes them of its text."""
    ids: list[int] = []
    for row in grid:
        ids += [FIRST_COLOUR + cell for cell in row]
        ids.append(IDS["\n"])
    return ids[:-1]


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """One shown pair as tokens, with its separators, and which tokens are of the output."""

    ids: np.ndarray
    answer: np.ndarray


def pair_of(before: Grid, after: Grid) -> Pair:
    """The tokens of a pair; the mark behind the output is part of the answer."""
    head = [IDS[BEFORE_INPUT], *grid_ids(before), IDS[BEFORE_OUTPUT]]
    tail = [*grid_ids(after), IDS[BETWEEN_PAIRS]]
    return Pair(np.array(head + tail, np.int64), np.array([False] * len(head) + [True] * len(tail)))


class Pool:
    """Tasks to train on, used again and again under other colours and in another order."""

    def __init__(self, seed: int, size: int, sides: tuple[int, int], mix: str) -> None:
        self._seed, self._sides = seed, sides
        self._names = MIXES[mix]
        self._drawn = 0
        self._tasks: list[list[Pair]] = []
        self.renew(size)

    def renew(self, count: int) -> None:
        """Draw so many tasks more; beyond the pool's first size each takes the place of the oldest."""
        first = not self._tasks
        for _ in range(count):
            name = self._names[self._drawn % len(self._names)]
            examples = 3 + self._drawn // len(self._names) % 3
            try:
                task = draw(name, "pretraining", self._drawn, self._seed, examples=examples, sides=self._sides)
            except InputError:
                self._drawn += 1
                continue
            pairs = [pair_of(pair.input, pair.output) for pair in (*task.examples, *task.tests)]
            if first:
                self._tasks.append(pairs)
            else:
                self._tasks[self._drawn % len(self._tasks)] = pairs
            self._drawn += 1

    def row(self, rng: np.random.Generator) -> Row:
        """One task under drawn colours, its pairs in a drawn order; the loss is on every output but the first."""
        pairs = self._tasks[int(rng.integers(len(self._tasks)))]
        order = rng.permutation(len(pairs))
        ids = np.concatenate([[IDS["<s>"]], *(pairs[place].ids for place in order)])
        first = len(pairs[order[0]].ids)
        answer = np.concatenate([[False], *(pairs[place].answer for place in order)])
        answer[: first + 1] = False
        table = np.arange(len(IDS))
        table[FIRST_COLOUR + 1 : FIRST_COLOUR + 10] = FIRST_COLOUR + 1 + rng.permutation(9)
        ids = table[ids]
        ids[-1] = IDS["</s>"]  # the last answer ends the text, as an answer to a question does
        return ids, answer

    def settings_row(self, rng: np.random.Generator) -> Row:
        """The same task as a prompt for settings, with a valid self-edit that is drawn at random behind it."""
        ids, _ = self.row(rng)
        ids[-1] = IDS[BETWEEN_PAIRS]
        tools = [bool(bit) for bit in rng.integers(2, size=len(TOOLS))]
        text = settings_text(tools, _one(STRATEGIES, rng), _one(RATES, rng), EPOCHS[rng.choice(len(EPOCHS), p=LIKELY)])
        said = [*build(1024)(text)["input_ids"][1:], IDS["</s>"]] if text not in _SAID else _SAID[text]
        _SAID[text] = said
        prompt = np.concatenate([ids, [IDS[BEFORE_SETTINGS]]])
        answer = np.array([False] * len(prompt) + [True] * len(said))
        return np.concatenate([prompt, said]), answer


_SAID: dict[str, list[int]] = {}


def _one(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def rows(pool: Pool, seed: int, start: int, settings_share: float, fresh: float) -> Iterator[Row]:
    """Rows without end, from the ``start``-th on; ``fresh`` tasks are drawn anew for each (below 1: now and then)."""
    number = start
    while True:
        rng = stream(seed, "grids", "rows", str(number))
        if rng.random() < fresh:
            pool.renew(1)
        yield pool.settings_row(rng) if rng.random() < settings_share else pool.row(rng)
        number += 1
