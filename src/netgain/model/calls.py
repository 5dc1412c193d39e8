"""What runs and what is trained in a live Hugging Face model, and one call of it under a meter: counted and priced."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from netgain.engine.jobs import Work
from netgain.errors import InputError
from netgain.metering.account import Reservation
from netgain.metering.price import (
    HEAD,
    Full,
    Lora,
    Training,
    coefficients,
    forward_cost,
    training_cost,
)
from netgain.metering.shape import ModelShape, Projection
from netgain.model.profiled import Counts, PassPrice, profile, require_known_adapters
from netgain.records.cost import Cost

ADAPTER = re.compile(r"(?P<path>.+)\.lora_A\.(?P<adapter>[^.]+)\.weight$")
NUMBER = re.compile(r"\.(\d+)\.")
REMEDY = "train adapters of one rank and one set of matrices, whole layers, or everything"
KNOWN = (
    "torch.",
    "transformers.",
    "transformers_modules.",
    "bitsandbytes.",
)  # whose modules the price list is made for
POSITIONS = ("wpe.weight",)  # learnt positions, which are looked up


@final
@dataclass(frozen=True, slots=True)
class Setup:
    """The adapter that runs beside the weights (None: none) and what is trained (None: nothing).

    ``formula`` is False where the price list does not describe it: then passes are priced by the profiler
    (:mod:`netgain.model.profiled`), and ``trained`` is the number of trained weights.
    """

    adapter: Lora | None
    training: Training | None
    formula: bool = True
    trained: int = 0

    @property
    def trains(self) -> bool:
        """Whether anything is trained."""
        return self.training is not None or self.trained > 0


def causal_lm(model: nn.Module) -> PreTrainedModel:
    """The causal LM inside a model as users hold it: PEFT's wrapper, or itself. Raises InputError for none."""
    found: Any
    for found in model.modules():
        if isinstance(found, PreTrainedModel) and found.get_output_embeddings() is not None:  # type: ignore[no-untyped-call]
            return found
    raise InputError(type(model).__name__, "holds no Hugging Face causal language model", "give one, or PEFT's wrapper")


def outermost(model: nn.Module) -> nn.Module:
    """What users call to run the causal LM in ``model``: PEFT's wrapper around it, where there is one.

    Raises InputError for weights around it that are neither its own nor PEFT's.
    """
    inner = causal_lm(model)
    peft = [m for m in model.modules() if any(kind.__module__ == "peft.peft_model" for kind in type(m).__mro__)]
    top = next((one for one in peft if any(module is inner for module in one.modules())), inner)
    known = {id(weight) for weight in top.parameters()}
    for name, weight in model.named_parameters():
        if id(weight) not in known:
            raise InputError(f"the weight {name} around the language model", "has no price", "meter the model inside")
    return top


def describe(model: PreTrainedModel, shape: ModelShape, top: nn.Module | None = None) -> Setup:
    """What runs and what is trained in ``model`` and in its wrapper ``top`` (None: it has none).

    Raises InputError for a kind of adapter that was never held against the profiler.
    """
    top = model if top is None else top
    require_known_adapters(top)
    try:
        return _by_formula(model, shape, top)
    except InputError:
        trained = {id(weight): weight.numel() for weight in top.parameters() if weight.requires_grad}
        return Setup(None, None, formula=False, trained=sum(trained.values()))


def _by_formula(model: PreTrainedModel, shape: ModelShape, top: nn.Module) -> Setup:
    """The set-up as the price list has it.

    Raises InputError where it does not: several ranks, adapters beside trained weights, layers trained in part.
    """
    for path, module in top.named_modules():
        _require_plain(path, module)
    active: dict[str, int] = {}
    trained: dict[str, int] = {}
    weights: dict[str, nn.Parameter] = {}
    for path, weight in model.named_parameters():
        found = ADAPTER.match(path)
        if found is not None:
            module = model.get_submodule(found["path"])
            if _is_used(module, found["adapter"]):
                active[found["path"]] = len(weight)
                if weight.requires_grad:
                    trained[found["path"]] = len(weight)
        elif ".lora_" not in path:
            weights[path] = weight
    _require_all_known(weights, shape, model)
    adapter = _lora(active, shape) if active else None
    whole = {path for path, weight in weights.items() if weight.requires_grad}
    if whole and (trained or adapter is not None):
        raise InputError("what is trained", f"adapters beside weights ({sorted(whole)[0]}) have no formula", REMEDY)
    if trained:
        return Setup(adapter, _lora(trained, shape))
    return Setup(adapter, _full(weights, whole) if whole else None)


def _require_plain(path: str, module: Any) -> None:
    home = type(module).__module__
    if home.startswith("peft.tuners.lora.") and not vars(module).get("lora_variant"):
        biases = vars(module).get("lora_bias") or {}
        if not any(biases.values()) and type(module).__name__ in ("LoraModel", "Linear", "Linear8bitLt", "Linear4bit"):
            return
    elif home == "peft.peft_model":
        if "prompt_encoder" not in module._modules:
            return
    elif home.startswith(KNOWN) or isinstance(module, PreTrainedModel):
        return
    raise InputError(f"{type(module).__name__} at {path}", "has no formula", REMEDY)


def _require_all_known(weights: Mapping[str, nn.Parameter], shape: ModelShape, model: PreTrainedModel) -> None:
    """Every matrix is one of the shape's; a shape that was given by hand is taken at its user's word."""
    try:
        derived = ModelShape.from_config(model.config.to_dict())
    except InputError:
        return
    if replace(derived, name=shape.name, source=shape.source) != shape:
        return
    matrices = [w for path, w in weights.items() if w.dim() > 1 and not path.endswith(POSITIONS)]
    if all(weight.is_floating_point() for weight in matrices):  # else they are packed, and their sizes say nothing
        many = sum(weight.numel() for weight in matrices)
        if many != shape.stored_weights:
            raise InputError(type(model).__name__, f"has {many:,} weights for {shape.stored_weights:,}", REMEDY)


@final
@dataclass(frozen=True, slots=True)
class Survey:
    """What may change between two calls: equal surveys have equal setups. Cheap.

    ``trained`` are the places of the trained weights among all, ``weights`` their number.
    """

    trained: tuple[int, ...]
    weights: int
    switches: tuple[object, ...]
    checkpointed: bool
    training: bool


UNSEEN = Survey((), -1, (), checkpointed=False, training=False)


def survey(model: nn.Module) -> Survey:
    """Look over all modules once. ``checkpointed``: transformers' layers run a second time in the backward pass."""
    weights = 0
    trained: list[int] = []
    switches: list[object] = []
    checkpointed = training = False
    left: list[nn.Module | None] = [model]  # not model.modules(), which spends its time on names
    while left:
        module = left.pop()
        if module is None:
            continue
        left += module._modules.values()
        for weight in module._parameters.values():
            if weight is not None:
                weights += 1
                if weight.requires_grad:
                    trained.append(weights)
        held = module.__dict__
        if "_disable_adapters" in held or "prompt_encoder" in module._modules:
            adapter: Any = module
            active = adapter.active_adapters
            switches += (held.get("_disable_adapters"), tuple(held.get("merged_adapters", ())), "forward" in held)
            switches += [active] if isinstance(active, str) else active
        if module.training:
            training = True
            checkpointed = checkpointed or bool(held.get("gradient_checkpointing"))
    return Survey(tuple(trained), weights, tuple(switches), checkpointed, training)


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


def _full(weights: Mapping[str, object], whole: set[str]) -> Full:
    if len(whole) == len(weights):
        return Full()
    numbers = {path: NUMBER.search(path) for path in weights}
    layers = {int(number[1]) for path in whole if (number := numbers[path])}
    expected = {path for path, number in numbers.items() if number and int(number[1]) in layers}
    if expected != whole:
        odd = sorted(expected ^ whole)[0]
        raise InputError("what is trained", f"{odd} makes it neither everything nor whole layers", REMEDY)
    return Full(tuple(sorted(layers)))


@final
@dataclass(slots=True, eq=False)
class Call:
    """One forward pass over ``rows`` x ``columns`` positions after ``past`` cached ones, and what followed from it.

    ``real`` of the positions have text, ``heads`` of them went through the output head (``fused``: in TRL's way, which
    forms the logits again in the backward pass). ``price`` is the profiler's (None: the price list's). ``late`` says
    that only backward passes are charged here, the forward pass having been settled before. ``probes`` are numbers that
    must be finite.
    """

    reservation: Reservation = field(init=False)
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
    graded: bool = False
    price: PassPrice | None = None
    forwarded: bool = False
    watched: bool = False
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

    def counts(self) -> Counts:
        """The same for the profiler's price."""
        return _counts(self.work(), float(self.rows))

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
    """Prices of calls of one model: by the price list, or by the profiler where that has no formula."""

    def __init__(self, shape: ModelShape, model: Any, top: nn.Module) -> None:
        self.shape, self._model, self._top = shape, model, top
        self._profiled: dict[tuple[object, ...], PassPrice] = {}
        self._profiling = False

    def choose(self, call: Call, *, embedded: bool) -> None:
        """Give a call the profiler's price where it needs one; call this while the model is as in the call.

        ``embedded`` says whether the embedding's output needs a gradient. Raises InputError where nothing has a price.
        """
        if not call.setup.formula or call.checkpointed:
            call.price = self._profile(call.graded, call.graded and embedded, call.labels is not None)

    def _profile(self, graded: bool, embedded: bool, labelled: bool) -> PassPrice:
        key = (survey(self._top), graded, embedded, labelled)
        if key not in self._profiled:
            if self._profiling:  # the copy led back to the model itself
                problem = "has a forward pass of its own that a copy of it cannot run, so it has no price"
                raise InputError(type(self._top).__name__, problem, "meter the model as transformers and PEFT make it")
            self._profiling = True
            try:
                price = profile(self._top, self._model, graded=graded, embedded=embedded, labelled=labelled)
            finally:
                self._profiling = False
            self._profiled[key] = price
        return self._profiled[key]

    def forward(self, setup: Setup, work: Work, *, rows: float, passes: float) -> Cost:
        """Passes of ``generate``: ``rows`` in the first, ``passes`` in all."""
        cost = forward_cost(self.shape, work, setup.adapter)
        if setup.formula:
            return cost
        price = self._profile(graded=False, embedded=False, labelled=False)
        return replace(cost, flops=_counts(work, rows, passes).flops(price.forward))

    def quote(self, call: Call) -> Cost:
        """A bound on a call, its update apart: logits everywhere; with a gradient, all back-propagated, repeated."""
        positions = float(call.rows * call.columns)
        whole = replace(call, heads=positions)
        forward = self._forward(whole)
        if not call.graded:
            return forward
        if call.price is None and call.setup.training is not None:
            training = replace(call.setup.training, to_embedding=True)
            cost = training_cost(self.shape, whole.work() + Work(training=positions), training)
            return replace(cost, flops=_flops(cost) + _flops(forward))
        # A product has at most two in the backward pass, and is formed again at most once.
        return replace(forward, flops=4 * _flops(forward), tokens_training=positions)

    def cost(self, call: Call) -> Cost:
        """What a call took. Training tokens are unknown if the loss was formed outside the model."""
        cost = replace(Cost.zero() if call.late else self._forward(call), **OPEN)
        for _ in range(call.backwards):
            cost += self.backward(call)
        return replace(cost, updates=float(call.updates), flops=_flops(cost) + call.update_flops)

    def _forward(self, call: Call) -> Cost:
        cost = forward_cost(self.shape, call.work(), call.setup.adapter)
        return cost if call.price is None else replace(cost, flops=call.counts().flops(call.price.forward))

    def backward(self, call: Call) -> Cost:
        """One backward pass, with what it computes again. Its positions were counted with the forward pass."""
        training, work = call.training(), call.work()
        if not call.setup.trains:
            return replace(Cost.zero(), **OPEN)
        if call.price is not None:
            flops = call.counts().flops(call.price.backward)
        elif training is not None:
            forward = forward_cost(self.shape, work, call.setup.adapter)
            flops = _flops(training_cost(self.shape, work, training)) - _flops(forward)
        if call.fused:
            flops += coefficients(self.shape).head * work.head_positions
        labelled = None if call.labels is None else float(call.labels)
        return replace(Cost.zero(), **OPEN, flops=flops, tokens_training=labelled)


OPEN: dict[str, Any] = {"seconds": None, "joules": None, "dollars": None}  # a clock knows the first, nobody the others


def _counts(work: Work, rows: float, passes: float = 1.0) -> Counts:
    return Counts(work.positions, work.context, work.head_positions, rows, passes)


def _flops(cost: Cost) -> float:
    return cost.flops or 0.0
