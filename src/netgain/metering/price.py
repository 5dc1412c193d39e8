"""What work costs: the one place with FLOPs formulas.

For a decoder with ``P`` weights in matrix products, ``T`` positions processed, ``L`` layers, ``H`` heads of size ``h``
and ``C`` the sum over positions of the context each attends to:

- forward        ``2 P T + 4 L H h C``; the output head ``2 V d`` only at positions where logits are computed
- input gradient ``2 P T`` more, and attention's backward pass, twice its forward
- weight gradient ``2 p T`` more for the ``p`` weights that are trained
- nothing below the lowest trained weight is back-propagated, and nothing is charged for it
- an optimizer step is charged at 12 operations a trained weight (AdamW)

One multiply-add is two operations. ``C`` counts what the kernel runs: the full square for eager attention over a
rectangle (every position meets every key), the causal half for kernels that skip masked blocks.

Not counted: element-wise work (norms, activations, rotary embedding, softmax, dropout, residual sums), embedding
look-ups, biases, gradient clipping, data movement. For decoders of 1 M weights and more these are below a few per
cent of the products. Source of the 2/4/6 rule: Kaplan et al. 2020 (arXiv 2001.08361), section 2.1; the attention
term as in Chowdhery et al. 2022 (arXiv 2204.02311), appendix B.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, final

from netgain.errors import InputError
from netgain.metering.shape import ModelShape
from netgain.words import nearest

Kernel = Literal["full", "causal"]
OPTIMIZER_FLOPS_PER_WEIGHT = 12


@final
@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA set-up: its rank and the projections it adapts (PEFT's ``target_modules``)."""

    rank: int
    targets: tuple[str, ...]

    def weights(self, shape: ModelShape) -> int:
        """Trained weights over all layers of ``shape``. Raises InputError for a projection that the shape lacks."""
        return shape.layers * sum(self.rank * (rows + columns) for rows, columns in self._adapted(shape))

    def _adapted(self, shape: ModelShape) -> list[tuple[int, int]]:
        projections = shape.projections()
        for target in self.targets:
            if target not in projections:
                raise InputError(
                    f"LoRA target {target!r}", f"{shape.name} has no such projection", nearest(target, projections)
                )
        return [projections[target] for target in self.targets]


def context_sum(lengths: Collection[int | float], kernel: Kernel = "full") -> float:
    """Sum of attended positions over sequences of these lengths (real or padded: what the kernel is given)."""
    if kernel == "full":
        return float(sum(length * length for length in lengths))
    return float(sum(length * (length + 1) / 2 for length in lengths))


def attention_flops(shape: ModelShape, context: float) -> float:
    """FLOPs of scores and weighted values for ``context`` attended positions, all layers, forward only."""
    return 4.0 * shape.layers * shape.heads * shape.head_dim * context


def forward_flops(shape: ModelShape, positions: float, context: float, head_positions: float) -> float:
    """FLOPs of one forward pass over ``positions``, with logits at ``head_positions`` of them."""
    body = 2.0 * shape.body_weights * positions
    return body + attention_flops(shape, context) + 2.0 * shape.head_weights * head_positions


def lora_step_flops(
    shape: ModelShape, lora: Lora, positions: float, context: float, head_positions: float, updates: float = 1.0
) -> float:
    """FLOPs of LoRA training: forward, input gradients through frozen weights, the adapters' products, the optimizer.

    ``positions``, ``context`` and ``head_positions`` are totals over all steps; ``updates`` is the number of steps.
    In the lowest layer the inputs of the attention projections need no gradient, which is left out of the bill.
    """
    forward = forward_flops(shape, positions, context, head_positions)
    projections = shape.projections()
    lowest = sum(
        rows * columns for name, (rows, columns) in projections.items() if name in {"q_proj", "k_proj", "v_proj"}
    )
    backward = 2.0 * (shape.body_weights - lowest) * positions
    backward += 2.0 * attention_flops(shape, context) + 2.0 * shape.head_weights * head_positions
    adapters = 6.0 * lora.weights(shape) * positions
    return forward + backward + adapters + OPTIMIZER_FLOPS_PER_WEIGHT * lora.weights(shape) * updates


def rough_training_flops(weights: float, tokens: float, trained: Literal["lora", "full"]) -> float:
    """The rule of thumb where only the number of weights is known: ``4 P T`` for LoRA, ``6 P T`` for full fine-tuning.

    Leaves out attention and the adapters' own products (Kaplan et al. 2020, section 2.1).
    """
    return (4.0 if trained == "lora" else 6.0) * weights * tokens
