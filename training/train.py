"""Train the model that ships in the package, from a seed: the copying circuit first, then the people world.

Usage: PYTHONPATH=src python training/train.py --out FIRST --steps 2500
       PYTHONPATH=src python training/train.py --resume FIRST --out SECOND --tokens 4e6 --falling 1
The second model that ships, whose writer saw no planted errors, was made by the same commands with ``--faithful``.

A document a row, cut into micro-batches of like length so that little is padding; no two documents share a row. The
first ``--copying`` tokens are random sequences said twice; without them in-context look-up does not form for a long
time. The learning rate is constant after a short rise and falls linearly over the last fifth. A checkpoint, a Hugging
Face folder, is written every ``--every`` steps beside ``log.jsonl``.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from corpus import Corpus, Document, repeated, vocabulary
from measure import measure
from tokenizer import build
from torch import distributed, multiprocessing
from transformers import LlamaConfig, LlamaForCausalLM

from netgain.streams import stream

LONGEST = 320
SHAPE = {
    "hidden_size": 160,
    "intermediate_size": 448,
    "num_hidden_layers": 5,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": LONGEST,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
}
Row = tuple[list[int], list[float]]


def rows(corpus: Corpus, tokenizer: Any) -> Iterator[Row]:
    """Token ids of each document with the weights of their losses; the end always has one."""
    documents = corpus.documents()
    while True:
        batch: list[Document] = list(islice(documents, 512))
        pieces = [text for document in batch for text, _ in document]
        encoded = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
        for document in batch:
            tokens, weights = [tokenizer.bos_token_id], [0.0]
            for _, weight in document:
                ids = next(encoded)
                tokens, weights = tokens + ids, weights + [weight] * len(ids)
            yield [*tokens, tokenizer.eos_token_id][:LONGEST], [*weights, 1.0][:LONGEST]


def micro_batches(batch: Sequence[Row], budget: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of like length together, at most ``budget`` positions each: token ids and the weights of their losses."""
    ordered = sorted(batch, key=lambda row: len(row[0]))
    while ordered:
        count = 1
        while count < len(ordered) and (count + 1) * len(ordered[count][0]) <= budget:
            count += 1
        part, ordered = ordered[:count], ordered[count:]
        width = len(part[-1][0])
        ids, weights = torch.zeros(count, width, dtype=torch.long), torch.zeros(count, width)
        for i, (tokens, weighed) in enumerate(part):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            weights[i, : len(tokens)] = torch.tensor(weighed)
        yield ids, weights


class Replica:
    """The model twice: weights in float32 that are kept and stepped, and a copy in bfloat16 that is run.

    Attention is the plain product: at these lengths it is faster on a CPU than the fused one.
    """

    def __init__(self, model: Any, ranks: int) -> None:
        self.kept, self._ranks = model, ranks
        self._run = LlamaForCausalLM(model.config).to(torch.bfloat16)
        self._run.set_attn_implementation("eager")
        self._pairs = list(zip(self.kept.parameters(), self._run.parameters(), strict=True))
        for weight, _ in self._pairs:
            weight.grad = torch.zeros_like(weight)

    @torch.no_grad()
    def _refresh(self) -> None:
        for weight, copy in self._pairs:
            copy.copy_(weight)
            weight.grad.zero_()

    @torch.no_grad()
    def _collect(self) -> None:
        for weight, copy in self._pairs:
            weight.grad += copy.grad
            copy.grad = None

    def step(self, batch: Sequence[Row], whole: float, budget: int) -> float:
        """Gradients of the weighted mean loss; ``whole`` is the weight of all processes' rows together."""
        self._refresh()
        loss_sum = torch.zeros(1)
        for ids, weights in micro_batches(batch, budget):
            hidden = self._run.model(ids, use_cache=False).last_hidden_state[:, :-1]
            where = weights[:, 1:] > 0
            logits = self._run.lm_head(hidden[where]).float()
            each = torch.nn.functional.cross_entropy(logits, ids[:, 1:][where], reduction="none")
            loss = (each * weights[:, 1:][where]).sum() / whole
            loss.backward()
            self._collect()
            loss_sum += loss.detach()
        if self._ranks > 1:
            flat = torch.cat([loss_sum, *(weight.grad.flatten() for weight, _ in self._pairs)])
            distributed.all_reduce(flat)
            loss_sum, rest = flat[:1], flat[1:]
            for weight, part in zip(
                [w for w, _ in self._pairs], rest.split([w.numel() for w, _ in self._pairs]), strict=True
            ):
                weight.grad.copy_(part.view_as(weight))
        return float(loss_sum)


def rate(at: float, total: float, highest: float, falling: float) -> float:
    """The learning rate after ``at`` of all tokens: a rise over 240,000, then level, and down at the end."""
    return highest * min(1.0, at / 2.4e5, max(0.01, (1 - at / total) / falling))


def main() -> None:
    """Train, measure, write checkpoints and the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="weights to go on from, with the second stage of the corpus")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faithful", action="store_true", help="no writer of self-edits makes a mistake")
    parser.add_argument("--tokens", type=float, default=24e6)
    parser.add_argument("--steps", type=int, help="stop after this many, whatever the tokens")
    parser.add_argument("--copying", type=float, default=2.5e6)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--falling", type=float, default=0.2, help="the share of tokens at the end with a falling rate")
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--port", type=int, default=29531, help="where the processes meet")
    parser.add_argument("--ranks", type=int, default=2, help="processes that share each batch, a core each")
    asked = parser.parse_args()
    if asked.ranks == 1:
        work(0, asked)
    else:
        multiprocessing.spawn(work, (asked,), nprocs=asked.ranks)


def work(rank: int, asked: argparse.Namespace) -> None:
    """One process: it builds the same model and draws the same batches as the others, and runs its share of each."""
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    if asked.ranks > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(asked.port)}
        distributed.init_process_group("gloo", rank=rank, world_size=asked.ranks)
    tokenizer = build(vocabulary(), LONGEST)
    if asked.resume:
        model: Any = LlamaForCausalLM.from_pretrained(asked.resume)
        asked.copying = 0
    else:
        ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SHAPE, **ends))
    train(model, tokenizer, asked, rank)


def train(model: Any, tokenizer: Any, asked: argparse.Namespace, rank: int) -> None:
    """Both stages."""
    replica = Replica(model, asked.ranks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=asked.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    copies: Iterator[Row] = (
        (ids, [1.0] * len(ids)) for ids in repeated(stream(asked.seed, "copying"), len(tokenizer), 4)
    )
    texts = rows(Corpus(asked.seed, 2 if asked.resume else 1, asked.faithful), tokenizer)
    asked.out.mkdir(parents=True, exist_ok=True)
    done, number, started = 0, 0, time.perf_counter()
    losses: list[float] = []
    while done < asked.tokens and number != asked.steps:
        copying = done < asked.copying
        batch = list(islice(copies if copying else texts, asked.batch))
        for group in optimizer.param_groups:
            group["lr"] = rate(done, asked.tokens, asked.rate, asked.falling)
        whole = sum(sum(weights[1:]) for _, weights in batch)
        shared = sorted(batch, key=lambda row: len(row[0]))[rank :: asked.ranks]
        losses.append(replica.step(shared, whole, 1024))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        number, done = number + 1, done + sum(len(tokens) for tokens, _ in batch)
        if rank == 0 and (number % 100 == 0 or done >= asked.tokens):
            told: dict[str, Any] = {"step": number, "tokens": done, "copying": copying}
            told |= {"loss": round(sum(losses) / len(losses), 4), "seconds": round(time.perf_counter() - started)}
            losses = []
            if not copying and (number % asked.every == 0 or done >= asked.tokens):
                told |= measure(model, tokenizer)
                model.save_pretrained(asked.out)
                build(vocabulary(), LONGEST).save_pretrained(asked.out)  # measuring has set this one to pad
            with (asked.out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(told) + "\n")
            print(told, flush=True)


if __name__ == "__main__":
    main()
