"""Dollars: exact where known, unknown where not, never nothing by mistake."""

import builtins
import socket
from typing import Any

import pytest

from netgain.errors import InputError, MissingExtraError
from netgain.metering.rates import DeviceRate, api_price


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf")])
def test_a_rate_is_a_finite_amount(rate: float) -> None:
    with pytest.raises(InputError, match="finite"):
        DeviceRate(rate, "x")


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "genai_prices":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("no_extras")
def test_a_missing_extra_is_named_with_its_pip_line() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'netgain\[prices\]'"):
        api_price("gpt-4o", 1, 1)


def test_a_listed_model_has_its_price_without_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("genai_prices", reason="the extra 'prices' is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    price = api_price("gpt-4o", 1_000_000, 100_000)
    assert price.dollars == pytest.approx(2.5 + 1.0)
    assert "openai/gpt-4o" in price.source


def test_an_unlisted_model_costs_an_unknown_amount() -> None:
    pytest.importorskip("genai_prices", reason="the extra 'prices' is not installed")
    price = api_price("nobody/knows-this-7b", 1000, 1000)
    assert price.dollars is None
    assert "is not in it" in price.source
    assert api_price("gpt-4o", 1, 1, provider="nobody").dollars is None


def test_a_listed_model_without_a_price_for_its_tokens_costs_an_unknown_amount() -> None:
    types = pytest.importorskip("genai_prices.types", reason="the extra 'prices' is not installed")
    from netgain.metering import rates

    half = types.ModelPrice(input_mtok=1)
    assert rates._lacks_price(half, 10, 10)
    assert not rates._lacks_price(half, 10, 0)
