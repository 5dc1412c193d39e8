"""A learned baseline: what reward is still to come, read off the last hidden state of the policy that draws.

The head is linear, and nothing of it reaches the model: it is fitted on the states of a batch while the policy is
trained on their tokens. Advantages are generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438) with
rewards undiscounted, brought to mean 0 and deviation 1 over a batch; the head's loss is clipped as the policy's
(Schulman et al. 2017, arXiv 1707.06347, and TRL's ``PPOTrainer``: ``cliprange_value``)::

    loss = mean(max((V - R)^2, (clip(V, V_old - c, V_old + c) - R)^2)) / 2,   R = advantage + V_old

What it takes is charged by the products that are formed: ``2 n d`` to predict ``n`` values from ``d`` numbers each,
twice that for every pass of fitting, and the optimizer's steps.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from netgain.metering.account import Account
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.records.cost import Cost

Floats = NDArray[np.float64]
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def predicted(states: Any, weights: Any, bias: float) -> Any:
    """The values [n, 1] of states [n, d] under weights [d, 1]; arrays of numpy or of torch."""
    return states @ weights + bias


def gradient(states: Any, values: Any, old: Any, returns: Any, clip: float) -> tuple[Any, Any, Any]:
    """The clipped loss of these values [n, 1], and its gradient by weights [d, 1] and bias, for states [n, d]."""
    low, high = old - clip, old + clip
    held = (values < low) * low + (values > high) * high + ((values >= low) & (values <= high)) * values
    free, tied = (values - returns) ** 2, (held - returns) ** 2
    moves = (free >= tied) | ((values >= low) & (values <= high))  # where the clip decides, nothing is learnt
    slope = moves * (values - returns) / len(values)
    loss = ((free >= tied) * free + (free < tied) * tied).sum() / (2 * len(values))
    return loss, states.T @ slope, slope.sum()


def estimates(rewards: Sequence[Floats], values: Sequence[Floats], decay: float) -> list[Floats]:
    """Generalised advantage estimates of every token of each text, from its rewards and values by token; what follows
    the last token is worth nothing."""
    found = []
    for given, known in zip(rewards, values, strict=True):
        errors = given + np.append(known[1:], 0.0) - known
        advantages, later = np.zeros_like(errors), 0.0
        for place in range(len(errors) - 1, -1, -1):
            later = errors[place] + decay * later
            advantages[place] = later
        found.append(advantages)
    return found


def whitened(advantages: Sequence[Floats]) -> list[Floats]:
    """The same over a batch with mean 0 and deviation 1; all 0 where they do not differ."""
    whole = np.concatenate(advantages) if advantages else np.zeros(0)
    deviation = float(whole.std()) if len(whole) > 1 else 0.0
    if deviation < EPSILON:
        return [np.zeros_like(one) for one in advantages]
    return [(one - whole.mean()) / (deviation + EPSILON) for one in advantages]


def prediction_cost(tokens: int, width: int) -> Cost:
    """What predicting so many values takes."""
    return _cost(2.0 * tokens * width)


def fitting_cost(tokens: int, width: int, passes: int) -> Cost:
    """What fitting takes, a step of the optimizer for every pass over all tokens."""
    return _cost(passes * (4.0 * tokens * width + OPTIMIZER_FLOPS_PER_WEIGHT * (width + 1)))


def _cost(flops: float) -> Cost:
    """Arithmetic beside the model: no token passes through it, and the model is not updated."""
    return Cost(updates=0.0, tokens_real=0.0, tokens_padded=0.0, tokens_training=0.0, tokens_generated=0.0, flops=flops)


@final
class ValueHead:
    """The head and its optimizer (Adam). Before it is fitted every value is 0."""

    def __init__(self, *, learning_rate: float, clip: float, passes: int) -> None:
        self._rate, self._clip, self._passes = learning_rate, clip, passes
        self._weights: Floats | None = None  # [d, 1], and behind them the bias
        self._moments = (np.zeros(0), np.zeros(0))
        self._steps = 0
        self.losses: list[float] = []

    def values(self, account: Account, states: Sequence[NDArray[np.float32]]) -> list[Floats]:
        """The value of every token of each text, whose states [tokens, d] are given; charged to the account."""
        if self._weights is None:
            return [np.zeros(len(one)) for one in states]
        whole = np.concatenate(states).astype(np.float64)
        cost = prediction_cost(len(whole), whole.shape[1])
        with account.reserve("value head", cost, {"passes": 0}) as step:
            began = perf_counter()
            found = predicted(whole, self._weights[:-1], float(self._weights[-1, 0]))[:, 0]
            step.settle(replace(cost, seconds=perf_counter() - began))
        return np.split(found, np.cumsum([len(one) for one in states])[:-1])

    def fit(
        self,
        account: Account,
        states: Sequence[NDArray[np.float32]],
        returns: Sequence[Floats],
        old: Sequence[Floats],
    ) -> None:
        """Fit to the returns of these texts' tokens, starting where the last batch ended; charged to the account."""
        whole = np.concatenate(states).astype(np.float64)
        wanted, before = np.concatenate(returns)[:, None], np.concatenate(old)[:, None]
        if self._weights is None:
            self._weights = np.zeros((whole.shape[1] + 1, 1))
            self._moments = (np.zeros_like(self._weights), np.zeros_like(self._weights))
        cost = fitting_cost(len(whole), whole.shape[1], self._passes)
        began = perf_counter()
        with account.reserve("value head", cost, {"passes": self._passes}) as step:
            for _ in range(self._passes):
                self._pass(whole, wanted, before, self._weights)
            step.settle(replace(cost, seconds=perf_counter() - began))

    def _pass(self, states: Floats, returns: Floats, old: Floats, weights: Floats) -> None:
        values = predicted(states, weights[:-1], float(weights[-1, 0]))
        loss, slope, lean = gradient(states, values, old, returns, self._clip)
        found = np.append(slope, [[lean]], axis=0)
        self._steps += 1
        first, second = self._moments
        first *= BETA1
        first += (1 - BETA1) * found
        second *= BETA2
        second += (1 - BETA2) * found**2
        rate = self._rate / (1 - BETA1**self._steps)
        weights -= rate * first / (np.sqrt(second / (1 - BETA2**self._steps)) + EPSILON)
        self.losses.append(float(loss))
