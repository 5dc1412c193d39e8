"""What work costs: the one place with FLOPs formulas.

For a decoder with ``P`` weights in matrix products, ``T`` positions processed, ``L`` layers, ``H`` heads of size ``h``
and ``C`` the sum over positions of the keys each is multiplied with:

- forward        ``2 P T + 4 L H h C``; the output head ``2 V d`` only at positions where logits are computed
- input gradient ``2 P T`` more, and attention's backward pass, twice its forward
- weight gradient ``2 p T`` more for the ``p`` weights that are trained
- an adapter of rank ``r`` on a matrix of ``i`` inputs and ``o`` outputs: ``2 r (i + o)`` forward, twice that backward
- nothing below the lowest trained weight is back-propagated, and nothing is charged for it: what the lowest layer
  leaves out is followed matrix by matrix and, in attention, product by product
- experts: the router and the experts that a token passes
- an optimizer step is charged at 12 operations a trained weight (AdamW)

One multiply-add is two operations. Every price is linear in four counts (:class:`netgain.engine.jobs.Work`), so it
is kept as four coefficients of a model and what is trained in it. ``C`` counts what the kernel runs: the full square
for eager attention over a rectangle, the causal half for kernels that skip masked blocks.

Not counted: element-wise work (norms, activations, rotary embedding, softmax, loss, dropout, residual sums, the
routing of experts, gradient clipping), embedding look-ups and their gradients, biases, activations that are computed
again (gradient checkpointing), data movement. Adapters on experts are refused, not left out. A sliding window is
charged as full context. Fused attention computes the scores once more in its backward pass; that is not charged.

Source of the 2/4/6 rule: Kaplan et al. 2020 (arXiv 2001.08361), section 2.1; the attention term as in Chowdhery et
al. 2022 (arXiv 2204.02311), appendix B. The matrix products agree with ``torch.utils.flop_counter.FlopCounterMode``
(eager attention); see ``tests/metering/test_price_profiled.py``.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self, final

from netgain.engine.jobs import Work
from netgain.errors import InputError, nearest
from netgain.metering.shape import ModelShape, Projection, find_shape
from netgain.records.cost import Cost

OPTIMIZER_FLOPS_PER_WEIGHT = 12
HEAD = "lm_head"


@final
@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA set-up: its rank, the matrices it adapts (PEFT's ``target_modules``) and the layers (None: all).

    ``to_embedding`` says that the embedding's output is made to need a gradient (transformers'
    ``enable_input_require_grads``), so that everything is back-propagated, though nothing is trained down there.
    """

    rank: int
    targets: tuple[str, ...]
    layers: tuple[int, ...] | None = None
    to_embedding: bool = False

    def weights(self, shape: ModelShape) -> int:
        """Trained weights over all layers of ``shape``. Raises InputError for a target that the shape lacks."""
        self.check(shape)
        body = sum(self.rank_of(part, number) * (part.inputs + part.outputs) for number, part in _parts(shape))
        return body + self.head_rank * (shape.hidden + shape.vocabulary)

    def check(self, shape: ModelShape) -> None:
        """Raise InputError, naming the nearest valid word, where a target means no matrix of ``shape``."""
        known = {part.name: part for _, part in _parts(shape) if part.adaptable}
        for target in self.targets:
            if target != HEAD and not any(part.is_target(target) for part in known.values()):
                problem = f"{shape.name or 'the model'} has no such projection"
                raise InputError(f"LoRA target {target!r}", problem, nearest(target, [*known, HEAD]))
        outside = [layer for layer in self.layers or () if not 0 <= layer < shape.layers]
        if outside:
            raise InputError(f"LoRA layer {outside[0]}", f"{shape.name or 'the model'} has {shape.layers} layers")

    def rank_of(self, part: Projection, layer: int) -> int:
        """The rank of the adapter on a matrix of this layer, 0 where it has none."""
        if self.layers is not None and layer not in self.layers:
            return 0
        return self.rank if any(part.is_target(target) for target in self.targets) else 0

    @property
    def head_rank(self) -> int:
        """The rank of the adapter on the output head, 0 where it has none."""
        return self.rank if HEAD in self.targets else 0

    def trains_weight(self, layer: int | None) -> bool:
        """Adapters leave the weights themselves alone."""
        return False

    @property
    def trains_embedding(self) -> bool:
        """Whether the embedding's output needs a gradient. No adapter on the embedding itself has a price."""
        return self.to_embedding


@final
@dataclass(frozen=True, slots=True)
class Full:
    """Full fine-tuning: every weight, embeddings and head too; or, with ``layers``, only all of those.

    ``to_embedding`` as in :class:`Lora`.
    """

    layers: tuple[int, ...] | None = None
    to_embedding: bool = False

    def weights(self, shape: ModelShape) -> int:
        """Trained weights (norms and biases apart)."""
        if self.layers is None:
            return shape.stored_weights
        self.check(shape)
        return sum(p.inputs * p.outputs * p.stored for number, p in _parts(shape) if number in self.layers)

    def check(self, shape: ModelShape) -> None:
        """Raise InputError for a layer that ``shape`` lacks."""
        outside = [layer for layer in self.layers or () if not 0 <= layer < shape.layers]
        if outside:
            raise InputError(f"trained layer {outside[0]}", f"{shape.name or 'the model'} has {shape.layers} layers")

    def rank_of(self, part: Projection, layer: int) -> int:
        """No adapters."""
        return 0

    @property
    def head_rank(self) -> int:
        """No adapter."""
        return 0

    def trains_weight(self, layer: int | None) -> bool:
        """Whether the matrices of this layer (None: embeddings and head) are trained."""
        return self.layers is None or (layer is not None and layer in self.layers)

    @property
    def trains_embedding(self) -> bool:
        """Whether the lowest weights of all are trained, so that every layer's input needs a gradient."""
        return self.layers is None or self.to_embedding


Training = Lora | Full


@final
@dataclass(frozen=True, slots=True)
class Coefficients:
    """FLOPs per position, per attended key, per position with logits, and per optimizer update."""

    position: float = 0.0
    context: float = 0.0
    head: float = 0.0
    update: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.position + other.position,
            self.context + other.context,
            self.head + other.head,
            self.update + other.update,
        )

    def flops(self, work: Work) -> float:
        """The price of this work."""
        return (
            self.position * work.positions
            + self.context * work.context
            + self.head * work.head_positions
            + self.update * work.updates
        )


@lru_cache(maxsize=1024)
def coefficients(shape: ModelShape, adapter: Lora | None = None) -> Coefficients:
    """Forward prices: the model alone, or with an adapter that runs beside its weights (a merged one costs nothing)."""
    base = Coefficients(
        position=2.0 * shape.body_weights,
        context=4.0 * shape.layers * shape.heads * shape.head_dim,  # a score and a weighted value: 2 operations each
        head=2.0 * shape.head_weights,
    )
    if adapter is None:
        return base
    adapter.check(shape)
    beside = sum(2.0 * adapter.rank_of(p, n) * (p.inputs + p.outputs) for n, p in _parts(shape))
    return base + Coefficients(position=beside, head=2.0 * adapter.head_rank * (shape.hidden + shape.vocabulary))


@lru_cache(maxsize=1024)
def training_coefficients(shape: ModelShape, training: Training) -> Coefficients:
    """Prices of forward and backward passes and of the optimizer, exact for each layer."""
    training.check(shape)
    result = coefficients(shape, training if isinstance(training, Lora) else None)
    gradient = training.trains_embedding
    for number in range(shape.layers):
        gradient, backward = _layer_backward(shape, training, number, gradient)
        result += backward
    update = OPTIMIZER_FLOPS_PER_WEIGHT * float(training.weights(shape))
    return result + _head_backward(shape, training, gradient) + Coefficients(update=update)


def _layer_backward(shape: ModelShape, training: Training, number: int, gradient: bool) -> tuple[bool, Coefficients]:
    """Whether this layer's output needs a gradient, given whether its input does, and what its backward pass costs."""
    # Autograd forms a gradient only on the way to something trained. So this follows which tensors need one, in the
    # order of the forward pass, and charges each product's backward only if one of its sides does.
    parts = shape.layer(number)
    position = 0.0
    gradient = gradient or (shape.input_norm and training.trains_weight(number))
    needs: dict[str, bool] = {}
    for part in parts:
        if part.stage == "attention_in":
            position += _matrix_backward(part, training, number, gradient)
            needs[part.name] = gradient or _is_trained(part, training, number)
    # One joined matrix (GPT-2) gives all three; then they need a gradient together or not at all.
    query, key, value = list(needs.values()) if len(needs) == 3 else list(needs.values()) * 3
    # Of attention's four backward products, the value's and the weights' gradient, then the query's and the key's.
    products = value + (query or key) + query + key
    stream = gradient
    for part in parts:
        if part.stage == "attention_out":
            position += _matrix_backward(part, training, number, query or key or value)
            stream = stream or query or key or value or _is_trained(part, training, number)
    read = gradient if shape.parallel else stream
    into = {part.branch: read for part in parts}
    for part in parts:
        if part.stage == "feed_in":
            position += _matrix_backward(part, training, number, read)
            into[part.branch] = into[part.branch] or _is_trained(part, training, number)
    for part in parts:
        if part.stage == "feed_out":
            position += _matrix_backward(part, training, number, into[part.branch])
        if part.stage in ("feed_in", "feed_out"):
            stream = stream or _is_trained(part, training, number)
    return stream, Coefficients(position=position, context=2.0 * shape.heads * shape.head_dim * products)


def _matrix_backward(part: Projection, training: Training, number: int, gradient: bool) -> float:
    """FLOPs per position of one matrix' backward pass; ``gradient`` says whether its input needs one.

    A matrix whose output needs no gradient either costs nothing, which is the case exactly where neither holds.
    """
    rank = training.rank_of(part, number)
    flops = 2.0 * part.weights if gradient else 0.0
    flops += 2.0 * part.weights if training.trains_weight(number) else 0.0
    # y = B (A x): dB and the gradient of A x take 2 r o each, dA takes 2 r i; only the last product, to x, depends on
    # whether x needs a gradient.
    flops += 2.0 * rank * (part.inputs + 2 * part.outputs) if rank else 0.0
    return flops + (2.0 * rank * part.inputs if gradient else 0.0)


def _is_trained(part: Projection, training: Training, number: int) -> bool:
    return training.trains_weight(number) or training.rank_of(part, number) > 0


def _head_backward(shape: ModelShape, training: Training, gradient: bool) -> Coefficients:
    rank = training.head_rank
    flops = 2.0 * shape.head_weights if gradient else 0.0
    flops += 2.0 * shape.head_weights if training.trains_weight(None) else 0.0
    flops += 2.0 * rank * (shape.hidden + 2 * shape.vocabulary) + (2.0 * rank * shape.hidden if gradient else 0.0)
    return Coefficients(head=flops)


def _parts(shape: ModelShape) -> list[tuple[int, Projection]]:
    return [(number, part) for number in range(shape.layers) for part in shape.layer(number)]


def forward_flops(shape: ModelShape, positions: float, context: float, head_positions: float) -> float:
    """FLOPs of forward passes over ``positions``, with logits at ``head_positions`` of them."""
    work = Work(positions=positions, context=context, head_positions=head_positions)
    return coefficients(shape, None).flops(work)


def training_flops(
    shape: ModelShape,
    training: Training,
    positions: float,
    context: float,
    head_positions: float,
    updates: float = 1.0,
) -> float:
    """FLOPs of training: forward, backward down to the lowest trained weight, adapters' products, the optimizer.

    ``positions``, ``context`` and ``head_positions`` are totals over all steps; ``updates`` is the number of steps.
    Raises InputError for a LoRA target that the shape lacks.
    """
    work = Work(positions=positions, context=context, head_positions=head_positions, updates=updates)
    return training_coefficients(shape, training).flops(work)


def forward_cost(shape: ModelShape, work: Work, adapter: Lora | None = None) -> Cost:
    """The cost of prefill, decoding or scoring; seconds, joules and dollars are unknown until they are measured."""
    return work_cost(work, coefficients(shape, adapter).flops(work))


def training_cost(shape: ModelShape, work: Work, training: Training) -> Cost:
    """The cost of training; seconds, joules and dollars are unknown until they are measured."""
    return work_cost(work, training_coefficients(shape, training).flops(work))


def merging_cost(shape: ModelShape, lora: Lora) -> Cost:
    """The cost of forming ``B A`` of every adapted matrix, to be added to its weights: no tokens, no updates."""
    lora.check(shape)
    body = sum(2.0 * lora.rank_of(part, number) * part.inputs * part.outputs for number, part in _parts(shape))
    return work_cost(Work(), body + 2.0 * lora.head_rank * shape.head_weights)


def work_cost(work: Work, flops: float) -> Cost:
    """The cost of this work at its FLOPs; what nobody has measured is unknown."""
    return Cost(
        updates=work.updates,
        tokens_real=work.real,
        tokens_padded=work.positions,
        tokens_training=work.training,
        tokens_generated=work.generated,
        flops=flops,
    )


def declared_flops(active_parameters: float, tokens: float) -> float:
    """An estimate for a model whose shape nobody knows, such as a remote teacher: ``2 x active parameters x tokens``.

    It is a declaration, not a count, and records mark it as one.
    """
    return 2.0 * active_parameters * tokens


def rough_training_flops(weights: float, tokens: float, trained: Literal["lora", "full"]) -> float:
    """The rule of thumb where only the number of weights is known: ``4 P T`` for LoRA, ``6 P T`` for full fine-tuning.

    Leaves out attention and the adapters' own products (Kaplan et al. 2020, section 2.1).
    """
    return (4.0 if trained == "lora" else 6.0) * weights * tokens


def known_weights(name: str) -> float | None:
    """Weights in the matrix products of a model whose shape ships with netgain; None for any other."""
    try:
        shape = find_shape(name)
    except InputError:
        return None
    return float(shape.body_weights + shape.head_weights)
