"""What work would cost before there are any weights: from a model's shape alone. Pure; the prices are price.py's.

A plan needs no model: its ``config.json`` or its name in the catalogue gives the shape (:func:`shape_of`), lengths give
the counts of :class:`netgain.engine.jobs.Work` that a pass or a generation will run, and both give FLOPs and tokens
exactly as they would be charged. Seconds, dollars and memory are estimates, and say by what assumptions.
"""

import contextlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from netgain.engine.jobs import HEAD_ROWS, POSITIONS, RESIDENT, ROWS, SCORED, Work
from netgain.errors import InputError, nearest
from netgain.metering.price import Full, Lora, Training, forward_cost, training_cost
from netgain.metering.shape import ModelShape, find_shape
from netgain.records.cost import Cost

Kernel = Literal["full", "causal"]
GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")


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
BYTES = {"float32": 4, "bfloat16": HALF, "float16": HALF}
INTERPRETER = 4.5e8  # bytes that Python holds with torch, transformers, a model's own code and a tokenizer
TOKEN = 600  # bytes that a tokenizer holds for each of its tokens


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
    batch_size: int = 1,
    engine: Engine = "hooks",
) -> Cost:
    """An inner loop over sequences of these lengths (tokens), one after another, labelled everywhere.

    With ``batch_size`` above 1 sequences are taken as not padded, which is a lower bound. ``engine`` as in
    ``load_model``: ``hooks`` forms logits everywhere and attends to the full square, ``planned`` neither.
    """
    if batch_size < 1 or epochs < 0:
        raise InputError("training estimate", f"epochs {epochs}, batch size {batch_size}: too small")
    labelled = float(sum(max(0, length - 1) for length in lengths))
    kernel: Kernel = "full" if engine == "hooks" else "causal"
    heads = None if engine == "hooks" else labelled
    epoch = pass_over(lengths, kernel=kernel, head_positions=heads) + Work(training=labelled)
    updates = epochs * -(-len(lengths) // batch_size)
    return training_cost(shape, epochs * epoch + Work(updates=updates), training)


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


def scoring_estimate(shape: ModelShape, prompt: int, continuation: int) -> Cost:
    """The log-likelihood of a continuation after a prompt, in tokens."""
    work = pass_over([prompt + continuation], head_positions=continuation + 1)
    return forward_cost(shape, work)


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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """FLOPs that one worker does in a second: while it trains, reads prompts, and writes one token after another.

    ``load`` are the seconds before it begins, ``source`` says where the numbers are from.
    """

    train: float
    read: float
    write: float
    load: float = 0.0
    source: str = ""

    def training(self, cost: Cost) -> Cost:
        """The cost of a training with the seconds that it would take."""
        return cost if cost.flops is None else replace(cost, seconds=cost.flops / self.train)

    def reading(self, cost: Cost) -> Cost:
        """The same of passes over texts that are there, such as scoring."""
        return cost if cost.flops is None else replace(cost, seconds=cost.flops / self.read)

    def writing(self, cost: Cost, prompts: Cost) -> Cost:
        """The same of generating, of which reading the ``prompts`` is a part."""
        if cost.flops is None or prompts.flops is None:
            return cost
        return replace(cost, seconds=prompts.flops / self.read + (cost.flops - prompts.flops) / self.write)


def pace_of(device: Device, shape: ModelShape, *, rows: int = 64, weight_bytes: int = HALF) -> Pace:
    """What a data sheet promises at the assumed share of the peak.

    Writing takes the longer of two times: its arithmetic, and reading all weights once for each token, ``rows`` answers
    at a time (the bound of Pope et al. 2022, arXiv 2211.05102, section 2).
    """
    speed = device.flops * device.utilisation
    token = 2.0 * (shape.body_weights + shape.head_weights)
    reading = shape.stored_weights * weight_bytes / device.bandwidth / rows
    return Pace(train=speed, read=speed, write=token / max(token / speed, reading), source=device.source)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that one worker holds: the interpreter with the model (``base``), a further ``copy`` of the model with an
    adapter merged, a ``row`` of a training pack, a ``token`` of a prompt that is answered (its keys and values, and
    what its pass needs), an ``entry`` of a token's keys and values alone, and a ``weight`` of an adapter.
    """

    base: float
    copy: float
    row: float
    token: float
    entry: float
    weight: int = 4

    @classmethod
    def guessed(cls, shape: ModelShape, *, weight_bytes: int = HALF, planned: bool = True) -> "Memory":
        """From the shape: what the engine's buffers hold, row by row (a test holds them to it).

        The planned backend keeps a layer's inputs, outputs and the feed-forward block's; others keep what autograd
        does, 34 x hidden bytes a position and layer in 16 bits (Korthikanti et al. 2022, arXiv 2205.05198, equation 1,
        without the attention matrix), and the logits with their gradient in 4 bytes.
        """
        query, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        kept = 4 * shape.hidden + 2 * query + 2 * kv + 2 * shape.intermediate
        passing = 4 * shape.hidden + 3 * query + 2 * kv + 3 * shape.intermediate
        autograd = 17.0 * weight_bytes * shape.hidden * shape.layers + 8.0 * shape.vocabulary
        stored = float(shape.stored_weights * weight_bytes)
        panels = 2.0 * (shape.body_weights + shape.head_weights) * weight_bytes if planned else 0.0
        exact = max(4, weight_bytes) if planned else weight_bytes  # it keeps keys and values in float32
        entry = 2.0 * shape.layers * kv * exact
        return cls(
            base=INTERPRETER + stored + panels,
            copy=stored + panels,
            row=float(weight_bytes * (kept * shape.layers + passing)) if planned else autograd,
            token=entry + weight_bytes * passing,
            entry=entry,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a worker has in hand at its fullest: ``jobs`` trainings of ``length`` tokens a step, or ``asked`` prompts of
    ``prompt`` tokens with up to ``new`` further ones, ``adapters`` kept meanwhile, and ``copies`` of the model. Of the
    prompts ``per_adapter`` have the same adapter. Where they are ``scored`` the further tokens are there already, and
    the model's own code reads all of them at once."""

    jobs: int
    length: float
    asked: int
    prompt: float
    new: float
    adapters: int
    per_adapter: float = 1.0
    copies: int = 0
    scored: bool = False


def peak_memory(memory: Memory, shape: ModelShape, training: Training | None, load: Load) -> float:
    """Bytes that one worker holds at its fullest: the larger of training and answering, whose buffers are let go of
    when they end.

    A training keeps four numbers a weight (it, its gradient, two moments) for each adapter that is resident, up to
    :data:`RESIDENT`, a pack of up to :data:`POSITIONS` rows (of each what its adapters compute as well) and the logits
    of :data:`HEAD_ROWS`; answering keeps up to :data:`ROWS` prompts and the adapters among them.
    """
    weights = 0.0 if training is None else float(training.weights(shape))
    one = memory.weight * weights if isinstance(training, Lora) else 0.0
    row = memory.row
    if isinstance(training, Full):  # another model: weights with gradients and two moments
        training_state, rows = 4.0 * memory.weight * weights, load.length
    else:
        resident = min(RESIDENT, load.jobs)
        training_state, rows = 4.0 * resident * one, min(max(POSITIONS, load.length), resident * load.length)
        row += 0.0 if training is None else hidden_row(training, shape)
    logits = 4.0 * min(rows, HEAD_ROWS) * shape.vocabulary
    held = memory.base + load.copies * memory.copy + load.adapters * one
    return held + max(training_state + rows * row + logits, _answering(memory, shape, one, load))


def hidden_row(training: Lora, shape: ModelShape) -> float:
    """Bytes of what the adapters of one position compute between their two matrices, in float32, in all layers."""
    return 4.0 * training.rank * len(training.targets) * shape.layers


def _answering(memory: Memory, shape: ModelShape, adapter: float, load: Load) -> float:
    """Bytes for the prompts that are answered or scored at a time, with the ``adapter`` bytes of each that they have.

    Answering keeps keys and values, and the logits of one position; scoring those of every scored token, of one row
    three times more in float64, and nothing from layer to layer.
    """
    asked = min(ROWS, load.asked)
    if load.scored:
        asked = min(asked, max(1, int(SCORED * POSITIONS // (load.prompt + load.new))))
        read = asked * (load.prompt + load.new) * (memory.token - memory.entry)
        found = read + (4.0 * asked + 24.0) * (load.new + 1) * shape.vocabulary
    else:
        found = asked * (load.prompt * memory.token + load.new * memory.entry + 4.0 * shape.vocabulary)
    return found + adapter * min(asked, -(-asked // max(1.0, load.per_adapter)))


def free_memory() -> float:
    """Bytes that processes may still take: what the machine has available, less where a container allows less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else 8e9
    try:
        most, used = (Path(path).read_text(encoding="utf-8").strip() for path in GROUP)
        return free if most == "max" else min(free, max(0.0, float(most) - float(used)))
    except (OSError, ValueError):
        return free


def memory_left() -> str:
    """In words, what memory this machine has left for its processors, and whether the process may have it."""
    told = [f"{free_memory() / 2**20:,.0f} MiB of the machine's memory are free"]
    with contextlib.suppress(OSError, ValueError):
        limits = Path("/proc/self/limits").read_text(encoding="ascii").splitlines()
        limit = next((line.split()[3] for line in limits if line.startswith("Max address space")), "unlimited")
        told += [] if limit == "unlimited" else [f"this process may have {int(limit) / 2**20:,.0f} MiB in all"]
    return ", ".join(told)


def gigabytes(size: float) -> str:
    """Bytes in words: 0.512 GB, 12.3 GB, 1,024 GB."""
    return f"{size / 1e9:,.0f} GB" if size >= 1e11 else f"{size / 1e9:.3g} GB"
