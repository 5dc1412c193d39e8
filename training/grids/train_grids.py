"""Train the grid model that ships in the package, from a seed, on one CPU core.

Usage: PYTHONPATH=src OMP_NUM_THREADS=1 python training/grids/train_grids.py --out FOLDER --minutes 80

A task a row, cut into micro-batches of like length. Weights are kept in float32, products run in bfloat16. The learning
rate is level after a short rise and falls to nothing over the last share ``--falling`` of the minutes (of training, not
of the clock). A checkpoint is written every ``--every`` seconds beside ``log.jsonl``; the same command goes on from it.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid_tokenizer import build
from sequences import IDS, MIXES, Pool, Row, rows
from transformers import LlamaConfig, LlamaForCausalLM

LONGEST = 1024


def shape(layers: int, width: int, heads: int) -> dict[str, Any]:
    """The model's configuration."""
    return {
        "vocab_size": len(IDS),
        "hidden_size": width,
        "intermediate_size": width * 8 // 3 // 32 * 32,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": LONGEST,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def micro_batches(batch: Sequence[Row], budget: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of like length together, at most ``budget`` positions each: token ids, and which have a loss."""
    ordered = sorted(batch, key=lambda row: len(row[0]))
    while ordered:
        count = 1
        while count < len(ordered) and (count + 1) * len(ordered[count][0]) <= budget:
            count += 1
        part, ordered = ordered[:count], ordered[count:]
        ids = np.zeros((count, len(part[-1][0])), np.int64)
        answer = np.zeros(ids.shape, bool)
        for place, (tokens, weighed) in enumerate(part):
            ids[place, : len(tokens)] = tokens
            answer[place, : len(tokens)] = weighed
        yield torch.from_numpy(ids), torch.from_numpy(answer)


class Replica:
    """The model twice: weights in float32 that are kept and stepped, and a copy in bfloat16 that is run."""

    def __init__(self, model: Any) -> None:
        self.kept = model
        self._run = LlamaForCausalLM(model.config).to(torch.bfloat16)
        self._run.set_attn_implementation("eager")  # at these lengths faster on a CPU than the fused one
        self._pairs = list(zip(self.kept.parameters(), self._run.parameters(), strict=True))
        for weight, _ in self._pairs:
            weight.grad = torch.zeros_like(weight)

    def step(self, batch: Sequence[Row], budget: int) -> tuple[float, float]:
        """Gradients of the mean loss; returns it with the share of tokens that are predicted rightly."""
        whole = sum(int(answer.sum()) for _, answer in batch)
        loss_sum, right = 0.0, 0
        with torch.no_grad():
            for weight, copy in self._pairs:
                copy.copy_(weight)
                weight.grad.zero_()
        for ids, answer in micro_batches(batch, budget):
            hidden = self._run.model(ids, use_cache=False).last_hidden_state[:, :-1]
            where = answer[:, 1:]
            logits, target = self._run.lm_head(hidden[where]).float(), ids[:, 1:][where]
            loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum") / whole
            loss.backward()
            loss_sum += float(loss.detach())
            right += int((logits.argmax(-1) == target).sum())
            with torch.no_grad():
                for weight, copy in self._pairs:
                    weight.grad += copy.grad
                    copy.grad = None
        return loss_sum, right / whole


def optimizers_of(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, whose updates have the size of AdamW's, and AdamW for all the rest."""
    layers = [w for w in model.model.layers.parameters() if w.dim() == 2]
    rest = [w for w in model.parameters() if all(w is not other for other in layers)]
    return [
        torch.optim.Muon(layers, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def rate(spent: float, steps: int, asked: argparse.Namespace) -> float:
    """The learning rate after so many steps and seconds."""
    left = max(0.01, (1 - spent / (asked.minutes * 60)) / asked.falling)
    return asked.rate * min(1.0, (steps + 1) / asked.rise, left)


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--minutes", type=float, default=80, help="of training in all; the clock of earlier parts counts"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--sides", type=int, nargs=2, default=(3, 3))
    parser.add_argument("--mix", default="families", choices=tuple(MIXES), help="which tasks, and how often")
    parser.add_argument("--pool", type=int, default=1500)
    parser.add_argument("--fresh", type=float, default=0.1)
    parser.add_argument("--settings", type=float, default=0.02)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--rise", type=int, default=100, help="steps until the learning rate is level")
    parser.add_argument("--falling", type=float, default=0.4)
    parser.add_argument("--every", type=float, default=300)
    parser.add_argument("--begin", type=Path, help="weights to begin from, with new optimizers")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    train(asked)


def train(asked: argparse.Namespace) -> None:
    """The loop; ``state.pt`` holds what a folder of weights doesn't."""
    model: Any = LlamaForCausalLM(LlamaConfig(**shape(asked.layers, asked.width, asked.heads)))
    if asked.begin:
        model = LlamaForCausalLM.from_pretrained(asked.begin, dtype=torch.float32)
    optimizers = optimizers_of(model, asked.rate)
    asked.out.mkdir(parents=True, exist_ok=True)
    state, done = asked.out / "state.pt", {"steps": 0, "tokens": 0, "spent": 0.0}
    if state.exists():
        kept = torch.load(state)
        model.load_state_dict(kept["model"])
        for optimizer, its_state in zip(optimizers, kept["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        done = kept["done"]
    replica = Replica(model)
    pool = Pool(asked.seed + int(done["steps"]), asked.pool, tuple(asked.sides), asked.mix)
    source = rows(pool, asked.seed, int(done["steps"]) * asked.batch, asked.settings, asked.fresh)
    before, saved, told = time.perf_counter() - done["spent"], done["spent"], []
    while done["spent"] < asked.minutes * 60:
        batch = list(islice(source, asked.batch))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(done["spent"], done["steps"], asked)
        told.append(replica.step(batch, 4096))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        done["steps"] += 1
        done["tokens"] += sum(len(ids) for ids, _ in batch)
        done["spent"] = time.perf_counter() - before
        if done["steps"] % 50 == 0:
            loss, right = (round(float(mean), 4) for mean in np.mean(told, axis=0))
            line = {
                **done,
                "spent": round(done["spent"]),
                "loss": loss,
                "right": right,
                "sides": asked.sides,
                "mix": asked.mix,
            }
            with (asked.out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)
            told = []
        if done["spent"] - saved > asked.every or done["spent"] >= asked.minutes * 60:
            states = [optimizer.state_dict() for optimizer in optimizers]
            torch.save({"model": model.state_dict(), "optimizers": states, "done": done}, state)
            model.save_pretrained(asked.out)
            build(LONGEST).save_pretrained(asked.out)
            saved = done["spent"]


if __name__ == "__main__":
    main()
