"""How the grid model stands: the share of tasks answered rightly from the shown pairs, by family.

Usage: PYTHONPATH=src python training/grids/measure_grids.py FOLDER --part development --tasks 20
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from grid_tokenizer import BEFORE_INPUT, BEFORE_OUTPUT
from sequences import IDS, grid_ids, pair_of
from transformers import LlamaForCausalLM

from netgain.domains.grid import Grid, GridTask
from netgain.domains.grid_world import NAMES, draw

ENDS = (IDS["</s>"], IDS["\n\n"])


def prompt_ids(task: GridTask, asked: Grid) -> list[int]:
    """The tokens of a question, as the tokenizer makes them of its text."""
    shown = [token for pair in task.examples for token in pair_of(pair.input, pair.output).ids.tolist()]
    return [IDS["<s>"], *shown, IDS[BEFORE_INPUT], *grid_ids(asked), IDS[BEFORE_OUTPUT]]


@torch.no_grad()
def shares_right(model: Any, tasks: Sequence[GridTask], at_once: int = 64) -> list[bool]:
    """Whether each task's first test is answered rightly, greedily.

    Greedy decoding is right where every token of the true answer is the likeliest one behind those before it, so one
    forward pass answers it. Either of the two marks that end an answer counts.
    """
    right = []
    for start in range(0, len(tasks), at_once):
        part = tasks[start : start + at_once]
        heads = [prompt_ids(task, task.tests[0].input) for task in part]
        tails = [grid_ids(task.tests[0].output) for task in part]
        width = max(len(head) + len(tail) for head, tail in zip(heads, tails, strict=True))
        ids = torch.zeros(len(part), width, dtype=torch.long)
        for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
            ids[row, : len(head) + len(tail)] = torch.tensor(head + tail)
        likeliest = model(ids).logits.argmax(-1).tolist()
        for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
            said = likeliest[row][len(head) - 1 : len(head) + len(tail)]
            right.append(said[:-1] == tail and said[-1] in ENDS)
    return right


def main() -> None:
    """Print shares by family and means by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--part", default="development")
    parser.add_argument("--tasks", type=int, default=20, help="a family")
    parser.add_argument("--examples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sides", type=int, nargs=2, default=(3, 3))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(asked.model, dtype=torch.float32).eval()
    for kind, names in NAMES.items():
        shares = {}
        for name in names:
            tasks = [
                draw(name, asked.part, number, asked.seed, examples=asked.examples, sides=tuple(asked.sides))
                for number in range(asked.tasks)
            ]
            shares[name] = round(sum(shares_right(model, tasks)) / asked.tasks, 3)
        print(json.dumps({"kind": kind, "mean": round(sum(shares.values()) / len(shares), 3), **shares}), flush=True)


if __name__ == "__main__":
    main()
