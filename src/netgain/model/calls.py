"""What runs and what is trained in a live Hugging Face model, and one call of it under a meter: counted and priced."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from netgain.engine.jobs import Work
from netgain.errors import InputError
from netgain.metering.account import Reservation
from netgain.metering.price import HEAD, Full, Lora, Training, coefficients, forward_cost, training_cost
from netgain.metering.shape import ModelShape, Projection
from netgain.records.cost import Cost

ADAPTER = re.compile(r"(?P<path>.+)\.lora_A\.(?P<adapter>[^.]+)\.weight$")
NUMBER = re.compile(r"\.(\d+)\.")
REMEDY = "train adapters of one rank and one set of matrices, whole layers, or everything"


@final
@dataclass(frozen=True, slots=True)
class Setup:
    """The adapter that runs beside the weights (None: none) and what is trained (None: nothing)."""

    adapter: Lora | None
    training: Training | None


def causal_lm(model: nn.Module) -> PreTrainedModel:
    """The causal LM inside a model as users hold it: PEFT's wrapper, or itself. Raises InputError for none."""
    found: Any
    for found in model.modules():
        if isinstance(found, PreTrainedModel) and found.get_output_embeddings() is not None:  # type: ignore[no-untyped-call]
            return found
    raise InputError(type(model).__name__, "holds no Hugging Face causal language model", "give one, or PEFT's wrapper")


def describe(model: PreTrainedModel, shape: ModelShape) -> Setup:
    """What runs and what is trained in ``model``.

    Raises InputError where no price fits: several ranks, adapters beside trained weights, layers trained in part.
    """
    active: dict[str, int] = {}
    trained: dict[str, int] = {}
    weights: dict[str, bool] = {}
    for path, weight in model.named_parameters():
        found = ADAPTER.match(path)
        if found is not None:
            module: Any = model.get_submodule(found["path"])
            if _is_used(module, found["adapter"]):
                active[found["path"]] = len(weight)
                if weight.requires_grad:
                    trained[found["path"]] = len(weight)
        elif ".lora_" not in path and weight.dim() > 1:
            weights[path] = weight.requires_grad
    adapter = _lora(active, shape) if active else None
    whole = {path for path, is_trained in weights.items() if is_trained}
    if trained and whole:
        raise InputError("what is trained", f"adapters and weights ({sorted(whole)[0]}) at once have no price", REMEDY)
    if trained:
        return Setup(adapter, _lora(trained, shape))
    if whole and adapter is not None:
        raise InputError("what is trained", "weights beside frozen adapters have no price", "merge the adapters first")
    return Setup(adapter, _full(weights, whole) if whole else None)


@final
@dataclass(frozen=True, slots=True)
class Survey:
    """What may change between two calls: equal surveys have equal setups. Cheap."""

    trained: int
    weights: int
    switches: tuple[object, ...]
    checkpointed: bool


def survey(model: nn.Module) -> Survey:
    """Look over all modules once. ``checkpointed``: transformers' layers run a second time in the backward pass."""
    trained = weights = 0
    switches: list[object] = []
    checkpointed = False
    left: list[nn.Module | None] = [model]  # not model.modules(), which spends its time on names
    while left:
        module = left.pop()
        if module is None:
            continue
        left += module._modules.values()
        for weight in module._parameters.values():
            if weight is not None:
                weights += 1
                trained += weight.requires_grad
        if "lora_A" in module._modules:
            adapter: Any = module
            switches += (adapter.disable_adapters, adapter.merged, *adapter.active_adapters)
        checkpointed = checkpointed or bool(module.__dict__.get("gradient_checkpointing"))
    return Survey(trained, weights, tuple(switches), checkpointed and model.training)


def _is_used(module: Any, adapter: str) -> bool:
    return adapter in module.active_adapters and not module.disable_adapters and not module.merged


def _lora(ranks: Mapping[str, int], shape: ModelShape) -> Lora:
    places: dict[str, set[int]] = {}
    for path in ranks:
        if path.endswith(HEAD):
            places.setdefault(HEAD, set()).update(range(shape.layers))
            continue
        layer, part = _place(path, shape)
        places.setdefault(part.name, set()).add(layer)
    layers = next(iter(places.values()))
    if len(set(ranks.values())) > 1 or any(other != layers for other in places.values()):
        raise InputError("the adapters", "have several ranks or lie in several sets of layers", REMEDY)
    everywhere = len(layers) == shape.layers
    return Lora(next(iter(ranks.values())), tuple(sorted(places)), None if everywhere else tuple(sorted(layers)))


def _place(path: str, shape: ModelShape) -> tuple[int, Projection]:
    number = NUMBER.search(f"{path}.")
    layer = int(number[1]) if number else -1
    if 0 <= layer < shape.layers:
        for part in shape.layer(layer):
            if part.adaptable and path.endswith(f".{part.name}"):
                return layer, part
    raise InputError(f"an adapter on {path}", "has no price", REMEDY)


def _full(weights: Mapping[str, bool], whole: set[str]) -> Full:
    if len(whole) == len(weights):
        return Full()
    numbers = {path: NUMBER.search(path) for path in weights}
    layers = {int(number[1]) for path in whole if (number := numbers[path])}
    expected = {path for path, number in numbers.items() if number and int(number[1]) in layers}
    if expected != whole:
        odd = sorted(expected ^ whole)[0]
        raise InputError("what is trained", f"{odd} makes it neither everything nor whole layers", REMEDY)
    return Full(tuple(sorted(layers)))


# Tensors that a decoder may be given without another price than their rectangle has.
_SEEN = ("input_ids", "inputs_embeds", "attention_mask", "position_ids", "cache_position", "token_type_ids", "seq_idx")
_PASSED_ON = ("cu_seq_lens_q", "cu_seq_lens_k", "labels", "shift_labels", "num_items_in_batch", "logits_to_keep")
PRICED_INPUTS = frozenset((*_SEEN, *_PASSED_ON))
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device)


def past_of(decoder: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> int:
    """Positions that a call of ``decoder`` finds in its cache: whatever keyword brings a ``Cache``, it is read.

    Libraries rename such keywords (``past_key_values`` became ``cache`` in transformers 5.24). So what may be given
    besides a cache is listed: raises InputError for anything else that could carry positions or cost.
    """
    names = signature(decoder.forward).parameters if arguments else ()
    past = 0
    for name, value in [*zip(names, arguments, strict=False), *named.items()]:
        if isinstance(value, Cache):
            past = max(past, int(value.get_seq_length()))
        elif name not in PRICED_INPUTS and not isinstance(value, PLAIN):
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise InputError(
                f"the argument {name} of {type(decoder).__name__}",
                f"a {kind} may carry positions of earlier calls; the meter has no price for it",
                "give a transformers Cache, or leave it out",
            )
    return past


@final
@dataclass(slots=True, eq=False)
class Call:
    """One forward pass over ``rows`` x ``columns`` positions after ``past`` cached ones, and what followed from it.

    ``real`` of the positions have text, ``heads`` of them went through the output head (``fused``: in TRL's way, which
    forms the logits again in the backward pass). ``late`` says that only backward passes are charged here, the forward
    pass having been settled before. ``probes`` are numbers that must be finite.
    """

    reservation: Reservation
    setup: Setup
    rows: int
    columns: int
    past: int
    real: Tensor | float
    started: float
    heads: float = 0.0
    fused: bool = False
    labels: Tensor | float | None = None
    checkpointed: bool = False
    forwarded: bool = False
    late: bool = False
    backwards: int = 0
    updates: int = 0
    update_flops: float = 0.0
    embedded: Tensor | None = None
    loss: Tensor | None = None
    probes: list[Tensor] = field(default_factory=list)
    ended: bool = False

    def work(self) -> Work:
        """What the forward pass processed."""
        positions = float(self.rows * self.columns)
        return Work(
            positions=positions,
            real=min(positions, float(self.real)),
            context=positions * (self.past + self.columns),
            head_positions=self.heads,
        )

    def training(self) -> Training | None:
        """What is trained; whether the embedding's output needs a gradient, it says itself."""
        if self.setup.training is None or self.embedded is None or not self.embedded.requires_grad:
            return self.setup.training
        return replace(self.setup.training, to_embedding=True)

    def trouble(self) -> str:
        """What of a training step is not finite, in words; empty where all is well."""
        if self.loss is not None and not bool(torch.isfinite(self.loss).all()):
            return f"not_finite: the loss is {float(self.loss.float().mean())}"
        if self.probes and not bool(torch.isfinite(torch.stack([probe.float() for probe in self.probes])).all()):
            return "not_finite: a gradient is not finite"
        return ""


@final
class CallPrices:
    """Prices of calls of one model."""

    def __init__(self, shape: ModelShape, model: Any) -> None:
        self.shape, self._model = shape, model

    def quote(self, setup: Setup, rows: int, columns: int, past: int, graded: bool) -> Cost:
        """A bound on a call, its update apart: logits everywhere; with a gradient, all back-propagated, repeated."""
        positions = float(rows * columns)
        work = Work(positions=positions, real=positions, context=positions * (past + columns), head_positions=positions)
        forward = forward_cost(self.shape, work, setup.adapter)
        if not graded or setup.training is None:
            return forward
        whole = replace(setup.training, to_embedding=True)
        cost = training_cost(self.shape, work + Work(training=positions), whole)
        return replace(cost, flops=(cost.flops or 0.0) + (forward.flops or 0.0))

    def cost(self, call: Call) -> Cost:
        """What a call took. Training tokens are unknown if the loss was formed outside the model."""
        cost = replace(Cost.zero() if call.late else forward_cost(self.shape, call.work(), call.setup.adapter), **OPEN)
        for _ in range(call.backwards):
            cost += self.backward(call)
        return replace(cost, updates=float(call.updates), flops=_flops(cost) + call.update_flops)

    def backward(self, call: Call) -> Cost:
        """One backward pass, with what it computes again. Its positions were counted with the forward pass."""
        training = call.training()
        if training is None:
            return replace(Cost.zero(), **OPEN)
        work, adapter = call.work(), call.setup.adapter
        flops = _flops(training_cost(self.shape, work, training)) - _flops(forward_cost(self.shape, work, adapter))
        if call.checkpointed:
            flops += _flops(forward_cost(self.shape, replace(work, head_positions=0.0), adapter))
            flops -= self._not_repeated(call) * work.positions
        if call.fused:
            flops += coefficients(self.shape).head * work.head_positions
        labelled = None if call.labels is None else float(call.labels)
        return replace(Cost.zero(), **OPEN, flops=flops, tokens_training=labelled)

    def _not_repeated(self, call: Call) -> float:
        """FLOPs a position of each checkpointed layer's last product, which torch does not form a second time."""
        held = (getattr(module, "_gradient_checkpointing_func", None) for module in self._model.modules())
        function: Any = next(found for found in held if found is not None)
        if function.keywords.get("use_reentrant", True) or self.shape.experts:
            return 0.0
        adapter, skipped = call.setup.adapter, 0.0
        for number in range(self.shape.layers):
            last = self.shape.layer(number)[-1]
            rank = adapter.rank_of(last, number) if adapter else 0
            skipped += 2.0 * rank * last.outputs if rank else 2.0 * last.weights
        return skipped


OPEN: dict[str, Any] = {"seconds": None, "joules": None, "dollars": None}  # a clock knows the first, nobody the others


def _flops(cost: Cost) -> float:
    return cost.flops or 0.0
