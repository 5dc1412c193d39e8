"""Costs add with the unknown staying unknown."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgain.records.cost import CURRENCIES, Cost, Currency, known_total, total

amounts = st.one_of(st.none(), st.integers(0, 10**12).map(float))
costs = st.builds(Cost, **{name: amounts for name in CURRENCIES if name != "tokens_padded"})


@given(costs, costs, costs)
def test_addition_is_commutative_and_associative(a: Cost, b: Cost, c: Cost) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Cost.zero() == a


@given(st.lists(costs, max_size=5))
def test_a_currency_unknown_in_one_part_is_unknown_in_the_total_and_named_in_the_lower_bound(parts: list[Cost]) -> None:
    exact, (least, incomplete) = total(parts), known_total(parts)
    for currency in Currency:
        unknown = any(part.amount(currency) is None for part in parts)
        assert (exact.amount(currency) is None) == unknown
        assert (currency in incomplete) == unknown
        known = [value for part in parts if (value := part.amount(currency)) is not None]
        assert least.amount(currency) == (sum(known) if known else None)


def test_nothing_costs_zero_and_that_is_known() -> None:
    assert set(Cost.zero().known().values()) == {0.0}
    assert Cost().known() == {}


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_cost_is_finite_and_not_negative(bad: float) -> None:
    with pytest.raises(ValueError, match="flops"):
        Cost(flops=bad)


def test_padding_only_adds_positions() -> None:
    with pytest.raises(ValueError, match="padding only adds"):
        Cost(tokens_real=10, tokens_padded=9)


def test_an_unknown_amount_is_not_within_a_limit() -> None:
    limit = Cost(flops=10)
    assert Cost(flops=10).beyond(limit) == ()
    assert Cost(flops=11).beyond(limit) == (Currency.FLOPS,)
    assert Cost(updates=1).beyond(limit) == (Currency.FLOPS,)


def test_a_cost_scales_and_pickles() -> None:
    cost = Cost(updates=3, dollars=0.5) * 4
    assert cost.known() == {"updates": 12, "dollars": 2.0}
    assert pickle.loads(pickle.dumps(cost)) == 1 * cost  # noqa: S301
