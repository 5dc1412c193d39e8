"""Totals are folds, and evaluation lies outside the budget."""

from netgain.metering import ledger
from netgain.records.claim import Charge, Purpose
from netgain.records.cost import Cost, Currency
from netgain.records.provenance import Source


def charge(arm: str, purpose: Purpose, **cost: float) -> Charge:
    return Charge(arm=arm, purpose=purpose, operation="work", cost=Cost(**cost), source=Source(file="f"))


CHARGES = [
    charge("a", Purpose.ADAPT, updates=10, flops=5),
    charge("a", Purpose.PROPOSE, updates=0),
    charge("a", Purpose.EVALUATE, updates=0, flops=99),
    charge("b", Purpose.ADAPT, updates=7, flops=1),
]


def test_an_arm_is_charged_for_everything_but_evaluation() -> None:
    spent = ledger.spent(ledger.of(CHARGES, "a"))
    assert spent.cost.flops == 5
    assert spent.exact(Currency.UPDATES) == 10


def test_an_unknown_part_makes_the_total_a_lower_bound() -> None:
    spent = ledger.spent(ledger.of(CHARGES, "a"))
    assert Currency.FLOPS in spent.incomplete
    assert spent.exact(Currency.FLOPS) is None


def test_a_purpose_can_be_asked_for_by_name() -> None:
    assert ledger.spent(ledger.of(CHARGES, "a", Purpose.EVALUATE)).cost.flops == 99
    assert ledger.of(CHARGES, "nobody") == []
