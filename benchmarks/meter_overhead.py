"""What does the meter cost a training loop? The same loop with and without it, alternating in one process.

Usage: python benchmarks/meter_overhead.py [--rounds 8] [--steps 8] [--json]

A random Llama of 10 M weights, full fine-tuning and LoRA (PEFT), and generation; one thread. A round is the same steps
once with the meter and once without, in random order. Two ratios metered / unmetered of CPU-seconds (the machine may be
shared): of the fastest rounds, which noise can only slow down, and the median over rounds, with the quartiles. On a
busy machine both scatter by more than the meter takes, so a third figure, ``direct``, divides what the meter adds to a
model of as many layers and next to no width (medians of paired differences) by the time of the real model. One warm-up
round is not counted. The journal is a real one, on the disk of the temporary folder, with its durable commits.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

import netgain
from netgain import Book, Purpose

ROWS, COLUMNS, NEW = 4, 64, 32


def build(width: int = 320) -> Any:
    """A Llama of 6 layers: at its usual width, of 10 M weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=width,
        num_hidden_layers=6,
        vocab_size=4096,
        intermediate_size=864 * width // 320,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


def adapted(model: Any) -> Any:
    """With LoRA on queries and values."""
    return get_peft_model(model, LoraConfig(r=16, target_modules=["q_proj", "v_proj"]))


def _with(work: Callable[[Any, int], Callable[[], None]], model: Any, steps: int) -> tuple[Any, Callable[[], None]]:
    return model, work(model, steps)


def training(model: Any, steps: int) -> Callable[[], None]:
    """Optimizer steps of AdamW on a padded batch, with clipping as everybody does it."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5)
    tokens = torch.randint(2, 4096, (ROWS, COLUMNS))
    mask = torch.ones_like(tokens)
    mask[0, 40:] = 0
    labels = tokens.masked_fill(mask == 0, -100)
    model.train()

    def run() -> None:
        for _ in range(steps):
            model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return run


def generation(model: Any, steps: int) -> Callable[[], None]:
    """Sampling for a batch of prompts."""
    tokens = torch.randint(2, 4096, (ROWS, COLUMNS))
    settings = {"max_new_tokens": NEW, "do_sample": True, "pad_token_id": 0}
    model.eval()

    def run() -> None:
        for _ in range(max(1, steps // 2)):
            model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), **settings)

    return run


def measure(model: Any, work: Callable[[], None], account: Any, metered: bool) -> tuple[float, float]:
    """(CPU, wall) seconds of the work."""
    with netgain.meter(model, account) if metered else nullcontext():
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        return time.process_time() - cpu, time.perf_counter() - wall


def compare(model: Any, work: Callable[[], None], account: Any, rounds: int) -> dict[str, float]:
    """The ratio metered / unmetered over rounds, in random order within each."""
    order = random.Random(0)  # noqa: S311
    cpu: dict[bool, list[float]] = {False: [], True: []}
    wall: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        sides = [False, True]
        order.shuffle(sides)
        took = {metered: measure(model, work, account, metered) for metered in sides}
        for metered in sides if number else ():
            cpu[metered].append(took[metered][0])
            wall[metered].append(took[metered][1])
    ratios = [metered / plain for metered, plain in zip(cpu[True], cpu[False], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "ratio_of_fastest": min(cpu[True]) / min(cpu[False]),
        "ratio_of_fastest_wall": min(wall[True]) / min(wall[False]),
        "ratio_median": middle,
        "quartile_low": low,
        "quartile_high": high,
        "unmetered_cpu_seconds": min(cpu[False]),
        "added_cpu_seconds": statistics.median(m - p for m, p in zip(cpu[True], cpu[False], strict=True)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    works: dict[str, Callable[[int], tuple[Any, Callable[[], None]]]] = {
        "full fine-tuning": lambda width: _with(training, build(width), options.steps),
        "lora": lambda width: _with(training, adapted(build(width)), options.steps),
        "generation": lambda width: _with(generation, build(width), options.steps),
    }
    found = {}
    with tempfile.TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
        account = book.account("overhead").under(Purpose.LEARN)
        for name, make in works.items():
            found[name] = compare(*make(320), account, options.rounds)
            narrow = compare(*make(20), account, 4 * options.rounds)
            found[name]["direct"] = 1 + narrow["added_cpu_seconds"] / found[name]["unmetered_cpu_seconds"]
        charges = len(book.charges())
    if options.json:
        print(json.dumps({"weights": build().num_parameters(), "charges": charges, "figures": found}, indent=1))
        return
    print(f"{build().num_parameters():,} weights, batch {ROWS} x {COLUMNS}, {charges} charges; metered / unmetered")
    for name, row in found.items():
        spread = f"{row['quartile_low']:.3f} to {row['quartile_high']:.3f}"
        fastest = f"fastest {row['ratio_of_fastest']:.4f} (wall {row['ratio_of_fastest_wall']:.4f})"
        print(f"{name:18} direct {row['direct']:.4f}, {fastest}, median {row['ratio_median']:.4f} ({spread})")


if __name__ == "__main__":
    main()
