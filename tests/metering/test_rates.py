"""Dollars and joules: exact where known, unknown where not, never nothing by mistake."""

import builtins
import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from netgain.errors import InputError, MissingExtraError
from netgain.metering.rates import DeviceRate, NvmlEnergy, api_price
from netgain.records.cost import Cost


def test_an_hour_of_a_device_costs_its_rate() -> None:
    rate = DeviceRate(3.6, "a price list")
    assert rate.price(Cost(seconds=1800, flops=5)) == Cost(seconds=1800, flops=5, dollars=1.8)


def test_unknown_seconds_cost_an_unknown_amount() -> None:
    assert DeviceRate(3.6, "x").price(Cost(flops=5)).dollars is None


def test_the_same_work_is_not_paid_twice() -> None:
    with pytest.raises(ValueError, match="already"):
        DeviceRate(3.6, "x").price(Cost(seconds=1, dollars=0))


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf")])
def test_a_rate_is_a_finite_amount(rate: float) -> None:
    with pytest.raises(InputError, match="finite"):
        DeviceRate(rate, "x")


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name in ("genai_prices", "pynvml"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("no_extras")
def test_a_missing_extra_is_named_with_its_pip_line() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'netgain\[prices\]'"):
        api_price("gpt-4o", 1, 1)
    with pytest.raises(MissingExtraError, match=r"pip install 'netgain\[energy\]'"):
        NvmlEnergy()


def test_a_listed_model_has_its_price_without_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("genai_prices", reason="the extra 'prices' is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    price = api_price("gpt-4o", 1_000_000, 100_000, at=datetime(2026, 11, 1, tzinfo=UTC))
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


def test_without_a_device_its_energy_is_one_clear_line() -> None:
    pynvml = pytest.importorskip("pynvml", reason="the extra 'energy' is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        with pytest.raises(InputError, match="device 0: its energy cannot be read"):
            NvmlEnergy()
    else:
        counter = NvmlEnergy()
        assert counter.joules() <= counter.joules()
