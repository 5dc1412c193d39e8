"""What runs and what is trained in a live Hugging Face model, in the words of the price list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import nn
from transformers import PreTrainedModel

from netgain.errors import InputError
from netgain.metering.price import HEAD, Full, Lora, Training
from netgain.metering.shape import ModelShape, Projection

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
