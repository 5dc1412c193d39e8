"""Cost: what work took, in every currency at once, and why it was done.

An unknown amount is ``None`` and stays unknown in every sum that contains it; it is never taken for zero. Where a
lower bound is wanted instead, :func:`known_total` says what is known and names what is not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Self, final

INFINITY = float("inf")


@final
class Currency(StrEnum):
    """The units in which work is counted; the values are the field names of :class:`Cost`."""

    UPDATES = "updates"
    TOKENS_REAL = "tokens_real"
    TOKENS_PADDED = "tokens_padded"
    TOKENS_TRAINING = "tokens_training"
    TOKENS_GENERATED = "tokens_generated"
    FLOPS = "flops"
    SECONDS = "seconds"
    JOULES = "joules"
    DOLLARS = "dollars"


@final
class Purpose(StrEnum):
    """Why work was done. ``evaluate`` is recorded but lies outside a matched budget."""

    PROPOSE = "propose"
    ADAPT = "adapt"
    SCORE = "score"
    LEARN = "learn"
    TEACH = "teach"
    TUNE = "tune"
    EVALUATE = "evaluate"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some work took. Every field is a non-negative number, or ``None`` where it is not known.

    ``updates``           optimizer steps
    ``tokens_real``       positions with text that the model processed (forward passes over the same text count again)
    ``tokens_padded``     all positions the machine processed, padding included; never below ``tokens_real``
    ``tokens_training``   positions that had a loss
    ``tokens_generated``  tokens sampled or decoded from a model
    ``flops``             floating point operations (one multiply-add is two), padding included
    ``seconds``           device seconds (one device busy for a second)
    ``joules``            energy at the device
    ``dollars``           money, at list prices
    """

    updates: float | None = None
    tokens_real: float | None = None
    tokens_padded: float | None = None
    tokens_training: float | None = None
    tokens_generated: float | None = None
    flops: float | None = None
    seconds: float | None = None
    joules: float | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        for value in self.amounts:
            if value is not None and not 0 <= value < INFINITY:
                name = CURRENCIES[self.amounts.index(value)]
                raise ValueError(f"{name} = {value!r}: a cost is a finite number >= 0, or None where unknown")
        real, padded = self.tokens_real, self.tokens_padded
        if real is not None and padded is not None and padded < real * (1 - 1e-12):
            raise ValueError(f"tokens_padded = {padded!r} is below tokens_real = {real!r}; padding only adds positions")

    @classmethod
    def zero(cls) -> Self:
        """The cost of doing nothing: every currency known to be 0."""
        return cls(**dict.fromkeys(CURRENCIES, 0.0))

    @property
    def amounts(self) -> tuple[float | None, ...]:
        """The amounts in all currencies, in their order."""
        return _AMOUNTS(self)

    def amount(self, currency: Currency) -> float | None:
        """The amount in one currency, ``None`` where unknown."""
        value: float | None = getattr(self, currency.value)
        return value

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: _sum(getattr(self, name), getattr(other, name)) for name in CURRENCIES})

    def __mul__(self, times: float) -> Self:
        return type(self)(**{name: _product(getattr(self, name), times) for name in CURRENCIES})

    __rmul__ = __mul__

    def beyond(self, limit: Self) -> tuple[Currency, ...]:
        """The currencies that ``limit`` names in which this cost is above it or unknown."""
        pairs = ((currency, self.amount(currency), limit.amount(currency)) for currency in Currency)
        return tuple(c for c, mine, cap in pairs if cap is not None and (mine is None or mine > cap))

    def known(self) -> dict[str, float]:
        """The known amounts by currency name, for records and JSON."""
        return {name: value for name, value in zip(CURRENCIES, self.amounts, strict=True) if value is not None}


CURRENCIES = tuple(field.name for field in fields(Cost))
_AMOUNTS: Callable[[Cost], tuple[float | None, ...]] = attrgetter(*CURRENCIES)


def total(costs: Iterable[Cost]) -> Cost:
    """The exact sum: a currency that is unknown in any part is unknown in the total."""
    result = Cost.zero()
    for cost in costs:
        result = result + cost
    return result


def known_total(costs: Iterable[Cost]) -> tuple[Cost, tuple[Currency, ...]]:
    """A lower bound: per currency the sum of what is known, and the currencies of which some part was unknown.

    A currency that no part knows is unknown in the sum as well. Padding only adds positions, so the bound on padded
    tokens is never below that on real ones, also where only the latter are known of some part.
    """
    parts = list(costs)
    sums: dict[str, float | None] = {}
    incomplete = []
    columns = zip(*map(_AMOUNTS, parts), strict=True) if parts else ((),) * len(CURRENCIES)
    for currency, column in zip(Currency, columns, strict=True):
        values = [value for value in column if value is not None]
        sums[currency.value] = sum(values) if values else None
        if len(values) < len(column):
            incomplete.append(currency)
    if sums["tokens_padded"] is not None:
        sums["tokens_padded"] = max(sums["tokens_padded"], sums["tokens_real"] or 0.0)
    return Cost(**sums), tuple(incomplete)


def _sum(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left + right


def _product(value: float | None, times: float) -> float | None:
    return None if value is None else value * times
