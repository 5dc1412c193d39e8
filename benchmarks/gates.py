"""The gates: what must hold before a speed counts. Small shapes, minutes at most; the tests check the same and more."""

import argparse
import json
import random
from typing import Any

import torch
from reference import adapter_weights, answer_reference, build_model, train_reference
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from netgain.engine.decoding import DecodeRequest
from netgain.engine.jobs import InnerLoopJob, Sampling
from netgain.engine.lora import Adapter, fresh
from netgain.engine.planned import PlannedBackend
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.engine.trainer import MultiLoraTrainer

LIMITS = {
    "fp64_max_weight_difference": 1e-10,
    "fp32_max_loss_difference": 1e-4,
    "answers_differing": 0.0,
    "bf16_max_loss_difference": 0.1,  # to our own float32 over the same 90 steps, of losses that begin at 8
}


def _norm_in_own_precision(self: Any, x: Tensor) -> Tensor:
    """HF's RMSNorm rounds to float32 even in a float64 model; the reference of the float64 gate must not."""
    result: Tensor = self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))
    return result


def _jobs(count: int, sequences: int, epochs: int) -> list[InnerLoopJob]:
    rng = random.Random(5)  # noqa: S311
    return [
        InnerLoopJob(
            key=str(i),
            sequences=[[rng.randrange(2, 4096) for _ in range(rng.randrange(8, 60))] for _ in range(sequences)],
            epochs=epochs,
            learning_rate=1e-3,
            seed=i,
        )
        for i in range(count)
    ]


def _compare(dtype: torch.dtype, jobs: list[InnerLoopJob], ask: int, device: str) -> tuple[float, float, int]:
    """Largest difference of weights and of losses between packs and one-by-one, and how many answers differ.

    An answer may differ only where the reference's two best logits are closer than 1e-3 at the first difference.
    """
    model = build_model("1M", dtype, device)
    backend = PlannedBackend(model)
    outcomes = {outcome.key: outcome for outcome in MultiLoraTrainer(backend, resident=4, budget=256).run(jobs)}
    weights, losses, differing = 0.0, 0.0, 0
    for job in jobs:
        outcome = outcomes[job.key]
        if outcome.adapter is None:
            raise SystemExit(f"gate job {job.key} failed: {outcome.failure}")
        first = fresh(outcome.adapter.layout, job.seed, dtype)
        order = [list(job.sequences[step[0]]) for step in job.steps()]
        run = train_reference(model, order, None, first=_named(first))
        wanted = dict(run.model.named_parameters())
        for name, weight in _named(outcome.adapter).items():
            weights = max(weights, float((wanted[name].detach().cpu() - weight).abs().max()))
        losses = max(losses, *(abs(a - b) for a, b in zip(run.losses, outcome.losses, strict=True)))
        for i in range(ask):
            prompt = tuple(job.sequences[i][:12])
            got = MultiLoraDecoder(backend).generate(
                [DecodeRequest(prompt=prompt, adapter=0, sampling=Sampling(max_new_tokens=32))], [outcome.adapter]
            )
            said = answer_reference(run.model, prompt, 32)
            differing += _differs(run.model, prompt, said, list(got[0].tokens))
        run.model.unload()
    return weights, losses, differing


def _differs(model: Any, prompt: tuple[int, ...], said: list[int], got: list[int]) -> int:
    for i, (a, b) in enumerate(zip(said, got, strict=True)):
        if a != b:
            with torch.inference_mode():
                top = (
                    model(input_ids=torch.tensor([[*prompt, *said[:i]]], device=model.device))
                    .logits[0, -1]
                    .topk(2)
                    .values
                )
            return int(float(top[0] - top[1]) >= 1e-3)
    return 0


def _named(adapter: Adapter) -> dict[str, Tensor]:
    return adapter_weights((t.path, adapter.a(t), adapter.b(t)) for t in adapter.layout.targets)


def _half(jobs: list[InnerLoopJob], device: str) -> float:
    """Largest difference of a loss in bfloat16 to ours in float32."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        trainer = MultiLoraTrainer(PlannedBackend(build_model("1M", dtype, device)), resident=4, budget=256)
        losses = {outcome.key: outcome.losses for outcome in trainer.run(jobs)}
        found.append([loss for job in jobs for loss in losses[job.key]])
    return max(abs(a - b) for a, b in zip(*found, strict=True))


def check_gates(device: str = "cpu") -> dict[str, float]:
    """The gates' figures. Ends the program where one is missed."""
    usual = LlamaRMSNorm.forward
    LlamaRMSNorm.forward = _norm_in_own_precision  # type: ignore[method-assign]
    try:
        exact, _, _ = _compare(torch.float64, _jobs(4, 6, 5), 0, device)
    finally:
        LlamaRMSNorm.forward = usual  # type: ignore[method-assign]
    _, losses, differing = _compare(torch.float32, _jobs(3, 9, 10), 4, device)
    figures = {
        "fp64_max_weight_difference": exact,
        "fp32_max_loss_difference": losses,
        "answers_differing": float(differing),
        "bf16_max_loss_difference": _half(_jobs(3, 9, 10), device),
    }
    missed = [f"{name} = {value:g}, limit {LIMITS[name]:g}" for name, value in figures.items() if value > LIMITS[name]]
    if missed:
        raise SystemExit("gate missed: " + "; ".join(missed))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    torch.set_num_threads(1)
    print(json.dumps(check_gates(parser.parse_args().device), indent=2))
