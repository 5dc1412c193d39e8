"""What test-time training gives the grid model: accuracy before and after it, by family, for some rates and epochs.

Usage: PYTHONPATH=src python training/grids/adapt_grids.py FOLDER --kind held-out --tasks 4

Each task's shown pairs become SEAL's training sequences (leave-1-out, leave-2-out, the chosen augmentations); a LoRA
on all seven projections is trained on them; the test input is then asked once, greedily, with all pairs shown.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from measure_grids import ENDS, prompt_ids
from sequences import IDS, grid_ids
from transformers import LlamaForCausalLM

from netgain.domains.augment import training_tasks
from netgain.domains.grid import GridTask
from netgain.domains.grid_world import NAMES, draw
from netgain.engine import DecodeRequest, InnerLoopJob, MultiLoraTrainer, Sampling, backend_for, decoder_for

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def job_of(key: str, task: GridTask, asked: argparse.Namespace) -> InnerLoopJob:
    """One task's training."""
    sequences, masks = [], []
    for lesson in training_tasks(task.examples, asked.tools, asked.seed, cap=asked.cap):
        head = prompt_ids(lesson, lesson.tests[0].input)
        tail = [*grid_ids(lesson.tests[0].output), IDS["</s>"]]
        sequences.append([*head, *tail])
        masks.append([False] * len(head) + [True] * len(tail))
    return InnerLoopJob(
        key=key,
        sequences=sequences,
        epochs=asked.epochs,
        learning_rate=asked.rate,
        seed=0,
        rank=asked.rank,
        alpha=2.0 * asked.rank,
        target_modules=SEVEN,
        batch_size=2,
        loss_masks=masks if asked.loss == "answers" else None,
        schedule="cosine",
    )


def answers(backend: Any, tasks: list[GridTask], adapters: list[Any]) -> list[bool]:
    """Whether each task is answered rightly, with its adapter or none."""
    longest = max(len(grid_ids(task.tests[0].output)) for task in tasks) + 1
    sampling = Sampling(max_new_tokens=longest)
    own = [index if adapters else None for index in range(len(tasks))]
    requests = [
        DecodeRequest(prompt=tuple(prompt_ids(task, task.tests[0].input)), adapter=adapter, sampling=sampling)
        for task, adapter in zip(tasks, own, strict=True)
    ]
    said = [list(decoded.tokens) for decoded in decoder_for(backend).generate(requests, adapters)]
    cut = [tokens[: next((i for i, token in enumerate(tokens) if token in ENDS), len(tokens))] for tokens in said]
    return [tokens == grid_ids(task.tests[0].output) for tokens, task in zip(cut, tasks, strict=True)]


def main() -> None:
    """Print accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--kind", default="held-out", choices=tuple(NAMES))
    parser.add_argument("--part", default="development")
    parser.add_argument("--tasks", type=int, default=4, help="a family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sides", type=int, nargs=2, default=(3, 3))
    parser.add_argument("--tools", nargs="*", default=[])
    parser.add_argument("--cap", type=int, default=250)
    parser.add_argument("--loss", default="answers", choices=("answers", "all"))
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3])
    parser.add_argument("--epochs-of", type=int, nargs="+", default=[4])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(asked.model, dtype=torch.float32).eval()
    backend = backend_for(model)
    named = [(name, number) for name in NAMES[asked.kind] for number in range(asked.tasks)]
    tasks = [draw(name, asked.part, number, asked.seed, sides=tuple(asked.sides)) for name, number in named]
    tell(asked, "in context", named, answers(backend, tasks, []), 0.0, 0)
    for rate in asked.rates:
        for epochs in asked.epochs_of:
            asked.rate, asked.epochs, started = rate, epochs, time.process_time()
            jobs = [job_of(str(index), task, asked) for index, task in enumerate(tasks)]
            done = {outcome.key: outcome for outcome in MultiLoraTrainer(backend).run(jobs)}
            adapters = [done[job.key].adapter for job in jobs]
            right = answers(backend, tasks, adapters)
            seconds = (time.process_time() - started) / len(tasks)
            tell(
                asked,
                f"rate {rate} epochs {epochs}",
                named,
                right,
                seconds,
                sum(j.total_steps for j in jobs) / len(jobs),
            )


def tell(asked: argparse.Namespace, what: str, named: Any, right: list[bool], seconds: float, steps: float) -> None:
    """One line of figures."""
    shares: dict[str, list[bool]] = {}
    for (name, _), answer in zip(named, right, strict=True):
        shares.setdefault(name, []).append(answer)
    by_family = {name: round(sum(values) / len(values), 2) for name, values in shares.items()}
    line = {"what": what, "tools": asked.tools, "loss": asked.loss, "right": round(sum(right) / len(right), 3)}
    print(json.dumps(line | {"seconds": round(seconds, 1), "steps": round(steps), **by_family}), flush=True)


if __name__ == "__main__":
    main()
