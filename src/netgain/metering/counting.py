"""What a pass or a generation over sequences of given lengths will run, counted: quotes before anything has run.

Everything a decoder does is linear in four counts of :class:`netgain.engine.work.Work`: positions it processed, key
positions these attended to, positions at which logits were computed, and optimizer updates.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from netgain.engine.work import Work

Kernel = Literal["full", "causal"]


def context_sum(lengths: Collection[int | float], kernel: Kernel = "full", prefix: float = 0.0) -> float:
    """Sum of attended keys over sequences of these lengths (real or padded: what the kernel is given).

    ``full``: every position meets every key, as eager attention computes it; ``causal``: only itself and those
    before it, for kernels that skip masked blocks. ``prefix`` cached keys come before each sequence.
    """
    if kernel == "full":
        return float(sum(length * (length + prefix) for length in lengths))
    return float(sum(length * prefix + length * (length + 1) / 2 for length in lengths))


def pass_over(
    lengths: Sequence[int],
    *,
    padded_to: int | None = None,
    kernel: Kernel = "full",
    prefix: int = 0,
    head_positions: float | None = None,
) -> Work:
    """One pass over sequences of these lengths, each padded to ``padded_to`` where given, after ``prefix`` cached keys.

    Logits are computed at ``head_positions`` positions in all; None means everywhere, padding included. This is
    prefill (one per sequence), scoring (the scored positions) and the forward pass of training.
    """
    widths = list(lengths) if padded_to is None else [padded_to] * len(lengths)
    if any(width < length for width, length in zip(widths, lengths, strict=True)):
        raise ValueError(f"padded_to = {padded_to} is below the longest sequence, {max(lengths)}")
    positions = float(sum(widths))
    return Work(
        positions=positions,
        real=float(sum(lengths)),
        context=context_sum(widths, kernel, prefix),
        head_positions=positions if head_positions is None else float(head_positions),
    )


def generate(
    prompts: Sequence[int],
    new_tokens: Sequence[int],
    *,
    shared_prefix: int = 0,
    rectangular: bool = False,
    kernel: Kernel = "full",
) -> Work:
    """Decoding with a key-value cache: ``new_tokens[i]`` tokens after a prompt of ``prompts[i]``.

    The prompts are processed once, with logits at their last position; every further token is one position at its
    real context, and the last token that is produced is not processed. The first ``shared_prefix`` positions, equal
    in all prompts, are processed once for all. ``rectangular`` pads every prompt to the longest and steps every
    sequence on until the longest is done, as a batch in Hugging Face's ``generate`` does.
    """
    if len(prompts) != len(new_tokens):
        raise ValueError(f"{len(prompts)} prompts, but {len(new_tokens)} numbers of new tokens")
    if shared_prefix and shared_prefix >= min(prompts):
        raise ValueError(f"shared_prefix = {shared_prefix} must leave at least one position of every prompt")
    suffixes = [length - shared_prefix for length in prompts]
    width = max(suffixes, default=0) if rectangular else None
    logits = len(prompts) if any(new_tokens) else 0
    work = pass_over(suffixes, padded_to=width, kernel=kernel, prefix=shared_prefix, head_positions=logits)
    if shared_prefix:
        work += pass_over([shared_prefix], kernel=kernel, head_positions=0)
    longest = max(new_tokens, default=0)
    for suffix, count in zip(suffixes, new_tokens, strict=True):
        start = shared_prefix + (suffix if width is None else width)
        work += _steps(start, count, longest if rectangular else count)
    return work


def _steps(start: int, count: int, ran: int) -> Work:
    """``ran`` decoding steps, less the one that prefill gave, from a context of ``start``; ``count`` are wanted."""
    steps = max(0, ran - 1)
    return Work(
        positions=float(steps),
        real=float(min(steps, max(0, count - 1))),
        context=float(steps * start + steps * (steps + 1) / 2),
        head_positions=float(steps),
        generated=float(count),
    )
