"""What counted work costs: by a model's shape, by a server's tokens, or one unit a call. No torch here."""

from dataclasses import asdict, dataclass, replace
from typing import Any, final

from netgain.metering.price import declared_flops, forward_cost, merging_cost, training_cost
from netgain.metering.rates import api_price
from netgain.metering.shape import ModelShape
from netgain.model.requests import Part
from netgain.records.cost import Cost


@final
@dataclass(frozen=True, slots=True)
class ShapePrices:
    """The closed form of :mod:`netgain.metering.price` for a model of this shape."""

    shape: ModelShape
    timed: bool = True

    def cost(self, part: Part) -> Cost:
        """Exact FLOPs and tokens; joules and dollars unknown. Raises InputError for a LoRA target without a price."""
        if part.merged is not None:
            return merging_cost(self.shape, part.merged)
        if part.training is not None:
            return training_cost(self.shape, part.work, part.training)
        return forward_cost(self.shape, part.work, part.adapter)

    def statement(self) -> dict[str, Any]:
        """The shape."""
        return {"flops": "closed form", "shape": asdict(self.shape)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """What a remote model's tokens cost. Its FLOPs and device seconds are known to its server only, and unknown here.

    ``dollars_in`` and ``dollars_out`` are dollars for a million tokens, and ``source`` says where they are from; where
    both are None, the price list of the extra ``prices`` is asked for ``listed`` (a model's name there, at
    ``provider``), and without that dollars are unknown. ``active_parameters`` declares how many weights a token meets:
    FLOPs are then an estimate, which the record says.
    """

    dollars_in: float | None = None
    dollars_out: float | None = None
    source: str = ""
    listed: str = ""
    provider: str | None = None
    active_parameters: float | None = None
    timed: bool = False

    def cost(self, part: Part) -> Cost:
        """Tokens, with dollars and declared FLOPs where these are known."""
        work = part.work
        tokens = work.positions + work.generated
        return Cost(
            updates=0.0,
            tokens_real=work.real,
            tokens_padded=work.positions,
            tokens_training=0.0,
            tokens_generated=work.generated,
            flops=None if self.active_parameters is None else declared_flops(self.active_parameters, tokens),
            dollars=self._dollars(work.positions, work.generated),
        )

    def _dollars(self, tokens_in: float, tokens_out: float) -> float | None:
        if self.dollars_in is not None and self.dollars_out is not None:
            return (tokens_in * self.dollars_in + tokens_out * self.dollars_out) / 1e6
        if not self.listed:
            return None
        return api_price(self.listed, round(tokens_in), round(tokens_out), provider=self.provider).dollars

    @property
    def shape(self) -> None:
        """Nobody knows it."""

    def statement(self) -> dict[str, Any]:
        """The prices, and that FLOPs are declared where they are."""
        known: dict[str, Any] = {"dollars_per_million_in": self.dollars_in, "dollars_per_million_out": self.dollars_out}
        if self.dollars_in is None and self.listed:
            known |= {"dollars": api_price(self.listed, 1, 1, provider=self.provider).source}
        declared = None if self.active_parameters is None else "declared: 2 x active parameters x tokens"
        return {**known, "source": self.source, "flops": declared, "active_parameters": self.active_parameters}


UNIT = Cost(
    **{"updates": 0.0, "tokens_real": 1.0, "tokens_padded": 1.0, "tokens_training": 0.0, "tokens_generated": 0.0},
    **{"flops": 1.0, "seconds": 1.0, "joules": 1.0, "dollars": 1.0},
)


@final
@dataclass(frozen=True, slots=True)
class UnitPrices:
    """One unit a call in every currency that the call has: see :mod:`netgain.model.scripted`."""

    timed: bool = False

    def cost(self, part: Part) -> Cost:
        """One unit, times the calls in ``part`` (its positions)."""
        calls, training, generated = part.work.positions, part.work.training, part.work.generated
        return replace(UNIT * calls, updates=part.work.updates, tokens_training=training, tokens_generated=generated)

    @property
    def shape(self) -> None:
        """Nobody knows it."""

    def statement(self) -> dict[str, Any]:
        """One unit a call."""
        return {"flops": "one a call"}
