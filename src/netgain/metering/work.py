"""Work: what a machine ran, counted. Together with a model's shape it decides the price.

Everything a decoder does is linear in four counts: positions it processed, key positions these attended to,
positions at which logits were computed, and optimizer updates.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self, final

from netgain.engine import work as engine

Kernel = Literal["full", "causal"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Counts of work that add up. Totals over all sequences and steps.

    ``positions``       positions processed, padding included
    ``real``            those with text
    ``context``         sum over positions of the keys that each was multiplied with, masked ones included if the
                        kernel runs them
    ``head_positions``  positions at which logits were computed
    ``training``        positions with a loss
    ``generated``       tokens decoded
    ``updates``         optimizer steps
    """

    positions: float = 0.0
    real: float = 0.0
    context: float = 0.0
    head_positions: float = 0.0
    training: float = 0.0
    generated: float = 0.0
    updates: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __mul__(self, times: float) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) * times for f in fields(self)})

    __rmul__ = __mul__

    @classmethod
    def counted(cls, ran: engine.Work) -> Self:
        """What the engine counted, in the words of the price list."""
        return cls(
            positions=ran.padded_positions,
            real=ran.real_positions,
            context=ran.attended_context,
            head_positions=ran.head_positions,
            training=ran.labelled_positions,
            generated=ran.generated_tokens,
            updates=ran.updates,
        )


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


def train_on(
    lengths: Sequence[int],
    labelled: float,
    *,
    padded_to: int | None = None,
    kernel: Kernel = "full",
    head_positions: float | None = None,
    updates: float = 1.0,
) -> Work:
    """Training passes over these sequences with ``labelled`` positions that have a loss, in ``updates`` steps."""
    ran = pass_over(lengths, padded_to=padded_to, kernel=kernel, head_positions=head_positions)
    return ran + Work(training=float(labelled), updates=float(updates))


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
