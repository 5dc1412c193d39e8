"""What work would cost before there are any weights: from a model's shape alone. Pure; the prices are price.py's.

A plan needs no model: its ``config.json`` or its name in the catalogue gives the shape (:func:`shape_of`), lengths give
the counts of :class:`netgain.engine.jobs.Work` that a pass or a generation will run, and both give FLOPs and tokens
exactly as they would be charged. Seconds, dollars and memory are estimates, and say by what assumptions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from netgain.engine.jobs import Work
from netgain.errors import InputError, nearest
from netgain.metering.price import Lora, Training, forward_cost, training_cost
from netgain.metering.rates import DeviceRate
from netgain.metering.shape import ModelShape, find_shape
from netgain.records.cost import Cost

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


Engine = Literal["hooks", "planned"]
HALF = 2  # bytes of a weight in bfloat16


def shape_of(source: str | Path) -> ModelShape:
    """The shape of a local folder or ``config.json``, or of a name in the catalogue (``Qwen2.5-7B``)."""
    path = Path(source)
    return ModelShape.from_config(path) if path.exists() else find_shape(str(source))


def training_estimate(
    shape: ModelShape,
    lengths: Sequence[int],
    *,
    training: Training,
    epochs: int = 1,
    max_steps: int | None = None,
    batch_size: int = 1,
    padded_to: int | None = None,
    engine: Engine = "hooks",
) -> Cost:
    """An inner loop over sequences of these lengths (tokens), one after another, labelled everywhere.

    Whole epochs are exact; of an epoch that ``max_steps`` cuts short its share is charged. With ``batch_size`` above 1
    sequences are padded as ``padded_to`` says (None: not at all, which is a lower bound). ``engine`` as in
    ``load_model``: ``hooks`` forms logits everywhere and attends to the full square, ``planned`` neither.
    """
    if batch_size < 1 or epochs < 0:
        raise InputError("training estimate", f"epochs {epochs}, batch size {batch_size}: too small")
    each = -(-len(lengths) // batch_size)
    steps = epochs * each if max_steps is None else min(epochs * each, max_steps)
    labelled = float(sum(max(0, length - 1) for length in lengths))
    kernel: Kernel = "full" if engine == "hooks" else "causal"
    heads = None if engine == "hooks" else labelled
    epoch = pass_over(lengths, padded_to=padded_to, kernel=kernel, head_positions=heads) + Work(training=labelled)
    share = steps / each if each else 0.0
    return training_cost(shape, share * epoch + Work(updates=steps), training)


def generation_estimate(
    shape: ModelShape,
    prompt: int,
    new_tokens: int,
    *,
    count: int = 1,
    adapter: Lora | None = None,
    engine: Engine = "hooks",
) -> Cost:
    """``count`` answers of ``new_tokens`` tokens after prompts of ``prompt`` tokens, decoded with a cache."""
    kernel: Kernel = "full" if engine == "hooks" else "causal"
    return forward_cost(shape, count * generate([prompt], [new_tokens], kernel=kernel), adapter)


def scoring_estimate(
    shape: ModelShape, prompt: int, continuation: int, *, count: int = 1, adapter: Lora | None = None
) -> Cost:
    """The log-likelihoods of ``count`` continuations after prompts, in tokens."""
    work = pass_over([prompt + continuation], head_positions=continuation + 1)
    return forward_cost(shape, count * work, adapter)


@final
@dataclass(frozen=True, slots=True)
class Device:
    """What one device does in a second: ``flops`` at its peak (dense), ``bandwidth`` in bytes; ``memory`` in bytes.

    ``utilisation`` is the share of the peak that training is assumed to reach: 0.3 unless it was measured.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float
    source: str
    utilisation: float = 0.3

    def __post_init__(self) -> None:
        if not (self.flops > 0 and self.bandwidth > 0 and 0 < self.utilisation <= 1):
            raise InputError(f"device {self.name!r}", "flops and bandwidth are above 0, utilisation within (0, 1]")


DEVICES = {
    device.name: device
    for device in (
        Device("H200", 989e12, 4.8e12, 141e9, "NVIDIA H200 data sheet, BF16 dense"),
        Device("H100", 989e12, 3.35e12, 80e9, "NVIDIA H100 SXM data sheet, BF16 dense"),
        Device("A100", 312e12, 2.039e12, 80e9, "NVIDIA A100 80 GB SXM data sheet, BF16 dense"),
        Device("L40S", 362e12, 0.864e12, 48e9, "NVIDIA L40S data sheet, BF16 dense"),
        Device("RTX 4090", 165e12, 1.008e12, 24e9, "NVIDIA Ada architecture paper, BF16 dense, FP32 accumulation"),
    )
}


def find_device(name: str) -> Device:
    """A device of :data:`DEVICES`, in any case. Raises InputError with the nearest name for an unknown one."""
    found = {known.lower(): device for known, device in DEVICES.items()}.get(name.strip().lower())
    if found is None:
        raise InputError(f"device {name!r}", "its speed is not known here", nearest(name, DEVICES))
    return found


def timed(
    cost: Cost,
    shape: ModelShape,
    device: Device,
    *,
    rate: DeviceRate | None = None,
    rows: int = 1,
    weight_bytes: int = HALF,
) -> Cost:
    """``cost`` with the seconds it would take on one device, and the dollars where a ``rate`` is given.

    The longer of two times: its FLOPs at the assumed share of the peak, and reading all weights once for each token
    that is generated, ``rows`` answers at a time (the bound of Pope et al. 2022, arXiv 2211.05102, section 2).
    """
    if cost.flops is None:
        return cost
    arithmetic = cost.flops / (device.flops * device.utilisation)
    reading = (cost.tokens_generated or 0.0) / rows * shape.stored_weights * weight_bytes / device.bandwidth
    seconds = replace(cost, seconds=max(arithmetic, reading))
    return seconds if rate is None else rate.price(seconds)


def memory_estimate(
    shape: ModelShape,
    training: Training | None,
    positions: int,
    *,
    resident: int = 1,
    weight_bytes: int = HALF,
) -> float:
    """Bytes that training (None: answering) needs on a device, for ``positions`` tokens at a time. Good to a third.

    The weights; of what is trained, a gradient and two moments beside the weight itself (adapters in 4 bytes, one set
    for each of the ``resident`` ones); activations at 34 x hidden bytes a position and layer (Korthikanti et al. 2022,
    arXiv 2205.05198, equation 1, without the attention matrix that fused kernels do not keep) and logits twice in 4.
    """
    weights = float(shape.stored_weights * weight_bytes)
    if training is None:
        return weights + positions * (4.0 * shape.layers * shape.kv_heads * shape.head_dim + 4.0 * shape.vocabulary)
    trained = training.weights(shape)
    state = 16.0 * trained * resident if isinstance(training, Lora) else 3.0 * trained * weight_bytes
    activations = positions * (34.0 * shape.hidden * shape.layers + 8.0 * shape.vocabulary)
    return weights + state + activations
