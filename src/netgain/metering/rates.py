"""From seconds and tokens to dollars: device rates, API prices.

What is not known stays unknown: a model without a list price costs an unknown amount, never nothing.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import final

from netgain.errors import InputError, MissingExtraError


@final
@dataclass(frozen=True, slots=True)
class DeviceRate:
    """What an hour of one device costs, in dollars, and where that figure comes from."""

    dollars_per_hour: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.dollars_per_hour < float("inf"):
            raise InputError(f"rate {self.dollars_per_hour!r}", "dollars per hour are a finite number of 0 or more")


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


def api_price(model: str, input_tokens: int, output_tokens: int, *, provider: str | None = None) -> ApiPrice:
    """Today's list price of one API call, from the price list of the package ``genai-prices`` (an extra).

    ``provider`` is that list's name for who serves the model. A model that is not in the list, or has no price for its
    tokens, costs an unknown amount. Nothing is looked up over the network. Raises MissingExtraError without the
    package.
    """
    try:
        import genai_prices
    except ImportError as missing:
        raise MissingExtraError("the price of API calls", "prices") from missing
    source = f"genai-prices {version('genai-prices')}"
    usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        found = genai_prices.calc_price(usage, model, provider_id=provider)
    except LookupError:
        return ApiPrice(None, f"{source}: {model} is not in it")
    if _lacks_price(found.model_price, input_tokens, output_tokens):
        return ApiPrice(None, f"{source}: it has no price for the tokens of {model}")
    return ApiPrice(float(found.total_price), f"{source}: {found.provider.id}/{found.model.id}")


def _lacks_price(price: object, input_tokens: int, output_tokens: int) -> bool:
    asked = {"input_mtok": input_tokens, "output_mtok": output_tokens}
    return any(tokens and getattr(price, name) is None for name, tokens in asked.items())
