"""Optimizer steps under a meter: which weights of the model they step, what that costs, when an update is complete.

An *update* is one logical step of the model, however many optimizers share it: several of them over weights of their
own after one backward pass (Muon beside AdamW), or one a weight, stepped in the backward pass itself, make one. It ends
when a weight is stepped a second time, or when a new backward pass begins after a step. Accumulated gradients are one.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netgain.errors import InputError
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.model.calls import OPEN
from netgain.records.cost import Cost

# The functions behind ``step`` that are known to work element by element. Any other one may hold matrix products or
# whole loops (SOAP, LBFGS), which a price for each weight would leave out: it is refused until its user names a price.
_TORCH = ("adadelta.Adadelta", "adagrad.Adagrad", "adam.Adam", "adamax.Adamax", "asgd.ASGD", "nadam.NAdam")
_TORCH_TOO = ("radam.RAdam", "rmsprop.RMSprop", "rprop.Rprop", "sgd.SGD", "sparse_adam.SparseAdam")
_OTHERS = ("torch.optim._adafactor.Adafactor", "transformers.optimization.Adafactor")
ELEMENTWISE = frozenset((*(f"torch.optim.{name}" for name in (*_TORCH, *_TORCH_TOO)), *_OTHERS))
MUON = "torch.optim._muon.Muon"
OUTSIDE = -1  # what torch calls the graph task where no backward pass is running

Prices = Mapping[type[Optimizer], float]  # FLOPs of a step for each weight


def elementwise(weights: list[nn.Parameter]) -> float:
    """12 operations for each of these weights."""
    return float(OPTIMIZER_FLOPS_PER_WEIGHT * sum(weight.numel() for weight in weights))


def update_quote(flops: float) -> Cost:
    """One update of this many FLOPs, before it runs."""
    return replace(Cost.zero(), **OPEN, updates=1.0, flops=flops)


def step_flops(optimizer: Optimizer, weights: list[nn.Parameter], prices: Prices) -> float:
    """What a step of ``weights`` takes: 12 operations a weight, the user's own price, for Muon its products as well.

    Raises InputError for an optimizer without a price.
    """
    for kind, price in prices.items():
        if isinstance(optimizer, kind):
            return price * sum(weight.numel() for weight in weights)
    step = inspect.unwrap(type(optimizer).step)
    name = f"{step.__module__}.{step.__qualname__}".removesuffix(".step")
    if name in ELEMENTWISE:
        return elementwise(weights)
    if name == MUON:
        return elementwise(weights) + _newton_schulz(optimizer, weights)
    kind = type(optimizer)
    raise InputError(
        f"the optimizer {kind.__module__}.{kind.__qualname__}",
        "has no price: its step may do more than a few operations a weight",
        f"give the meter one, in FLOPs a weight: optimizer_flops={{{kind.__name__}: 12}}",
    )


def _newton_schulz(optimizer: Optimizer, weights: list[nn.Parameter]) -> float:
    """Muon's orthogonalization (Jordan et al. 2024): X X^T, its square and their product with X, in each iteration."""
    iterations = {weight: int(group["ns_steps"]) for group in optimizer.param_groups for weight in group["params"]}
    flops = 0.0
    for weight in weights:
        small, large = sorted(weight.shape)
        flops += iterations[weight] * (4.0 * small**2 * large + 2.0 * small**3)
    return flops


def has_closure(arguments: Any, named: Any) -> bool:
    """Whether ``step`` was given a closure, from the arguments as torch's step hooks see them: the optimizer first."""
    return any(given is not None for given in (*arguments[1:2], named.get("closure")))


def is_skipped(optimizer: Optimizer) -> bool:
    """Whether a gradient scaler found an overflow and a fused optimizer, which is called nevertheless, did nothing."""
    found = optimizer.__dict__.get("found_inf")
    return isinstance(found, Tensor) and bool(found.any())


@final
class Updates:
    """Counts the updates of one model. ``passes``: with a gradient, since the last update began."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._own: set[nn.Parameter] | None = None
        self._trained = 0
        self._stepped: set[nn.Parameter] = set()
        self._task = OUTSIDE
        self._begun: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._steps = 0
        self.passes = 0

    def renew(self) -> None:
        """The model may have other weights, or train others, from now on."""
        self._own = None

    def flops_bound(self) -> float:
        """The most that an update of all trained weights takes, element by element."""
        return elementwise([weight for weight in self._weights() if weight.requires_grad])

    def begin(self, optimizer: Optimizer) -> None:
        """A step of an optimizer begins."""
        self._begun[optimizer] = self._steps

    def end(self, optimizer: Optimizer) -> bool:
        """That step ends; False where a step inside it, of another optimizer or its own class's parent, was counted."""
        return self._begun.pop(optimizer, None) == self._steps

    def weights_of(self, optimizer: Optimizer) -> list[nn.Parameter]:
        """The weights of this model that an optimizer holds."""
        own = self._weights()
        return [weight for group in optimizer.param_groups for weight in group["params"] if weight in own]

    def backward_begins(self) -> None:
        """A gradient reaches the model: what is stepped from now on is a new update, unless it is this very pass's."""
        self.passes += 1
        if self._stepped and self._task != torch._C._current_graph_task_id():
            self._stepped.clear()

    def require_passes(self, weights: list[nn.Parameter]) -> None:
        """Raises InputError where a new update begins though no pass with a gradient was seen since the last one."""
        if not self.passes and self._is_new(weights):
            raise InputError(
                "the optimizer's step",
                "passes were not seen: weights of the metered model have gradients, but no pass with a gradient ran"
                " under the meter since the last update",
                "keep forward pass, backward pass and step in one metered block, call the model itself (its layers, a"
                " captured graph or another process are not seen), and step once for each backward pass",
            )

    def add(self, weights: list[nn.Parameter]) -> int:
        """These weights were stepped: 1 where that begins an update, else 0."""
        began = self._is_new(weights)
        if began:
            self._stepped.clear()
            self.passes = 0
        self._steps += 1
        self._stepped.update(weights)
        self._task = torch._C._current_graph_task_id()
        return int(began)

    @property
    def complete(self) -> bool:
        """Whether every trained weight has been stepped."""
        self._weights()
        return len(self._stepped) >= self._trained

    def _is_new(self, weights: list[nn.Parameter]) -> bool:
        return not self._stepped or not self._stepped.isdisjoint(weights)

    def _weights(self) -> set[nn.Parameter]:
        if self._own is None:  # not model.parameters(), which spends its time on names
            self._own, left = set(), [self._model]
            while left:
                module = left.pop()
                left += (child for child in module._modules.values() if child is not None)
                self._own.update(weight for weight in module._parameters.values() if weight is not None)
            self._trained = sum(weight.requires_grad for weight in self._own)
        return self._own
