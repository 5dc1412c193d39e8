"""From seconds and tokens to dollars and joules: device rates, API prices, an energy counter.

What is not known stays unknown: a model without a list price costs an unknown amount, never nothing.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import final

from netgain.errors import InputError, MissingExtraError
from netgain.records.cost import Cost

HOUR = 3600.0  # seconds


@final
@dataclass(frozen=True, slots=True)
class DeviceRate:
    """What an hour of one device costs, in dollars, and where that figure comes from."""

    dollars_per_hour: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.dollars_per_hour < float("inf"):
            raise InputError(f"rate {self.dollars_per_hour!r}", "dollars per hour are a finite number of 0 or more")

    def price(self, cost: Cost) -> Cost:
        """``cost`` with the dollars that its device seconds take at this rate; unknown if the seconds are.

        Raises ValueError where ``cost`` has dollars already: the same work is not paid twice.
        """
        if cost.dollars is not None:
            raise ValueError(f"the cost has {cost.dollars} dollars already")
        return replace(cost, dollars=None if cost.seconds is None else cost.seconds / HOUR * self.dollars_per_hour)


TYPICAL = "typical on-demand price in 2025, an assumption; state your own"
DEVICE_RATES = {
    name: DeviceRate(dollars, TYPICAL)
    for name, dollars in {"H200": 3.99, "H100": 2.99, "A100": 1.79, "L40S": 0.86, "RTX 4090": 0.69}.items()
}


@final
@dataclass(frozen=True, slots=True)
class ApiPrice:
    """Dollars for one call of a remote model, with the list that they are from; both unknown if no list has it."""

    dollars: float | None
    source: str


def api_price(
    model: str, input_tokens: int, output_tokens: int, *, provider: str | None = None, at: datetime | None = None
) -> ApiPrice:
    """The list price of one API call, from the price list of the package ``genai-prices`` (an extra).

    ``provider`` is that list's name for who serves the model; ``at`` picks the price of a day (None: today's).
    A model that is not in the list, or has no price for its tokens, costs an unknown amount. Nothing is looked up
    over the network. Raises MissingExtraError without the package.
    """
    try:
        import genai_prices
    except ImportError as missing:
        raise MissingExtraError("the price of API calls", "prices") from missing
    source = f"genai-prices {version('genai-prices')}"
    usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    moment = at or datetime.now(UTC)
    try:
        found = genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=moment)
    except LookupError:
        return ApiPrice(None, f"{source}: {model} is not in it")
    if _lacks_price(found.model_price, input_tokens, output_tokens):
        return ApiPrice(None, f"{source}: it has no price for the tokens of {model}")
    return ApiPrice(float(found.total_price), f"{source}: {found.provider.id}/{found.model.id}")


def _lacks_price(price: object, input_tokens: int, output_tokens: int) -> bool:
    asked = {"input_mtok": input_tokens, "output_mtok": output_tokens}
    return any(tokens and getattr(price, name) is None for name, tokens in asked.items())


@final
class NvmlEnergy:
    """The energy counter of an NVIDIA device, by NVML (the package ``nvidia-ml-py``, an extra)."""

    def __init__(self, device: int = 0) -> None:
        """Raises MissingExtraError without the package, InputError where this device has no such counter."""
        try:
            import pynvml
        except ImportError as missing:
            raise MissingExtraError("measuring energy", "energy") from missing
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(device)
            self.joules()
        except pynvml.NVMLError as problem:
            raise InputError(f"device {device}", f"its energy cannot be read ({problem})") from problem

    def joules(self) -> float:
        """Joules that the device has used since its driver was loaded (NVML counts millijoules)."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000.0
