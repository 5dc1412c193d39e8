"""The ledger's folds: every total is computed from the charges, each time anew. There is no second counter."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from netgain.records.claim import Charge, Purpose
from netgain.records.cost import Cost, Currency, known_total

OUTSIDE_THE_BUDGET = frozenset({Purpose.EVALUATE})


@final
@dataclass(frozen=True, slots=True)
class Spent:
    """What some charges come to: at least ``cost``; the currencies in ``incomplete`` have parts that are unknown."""

    cost: Cost
    incomplete: tuple[Currency, ...]
    flops_unpadded: float | None
    estimated: frozenset[Currency]

    def exact(self, currency: Currency) -> float | None:
        """The amount where every part of it is known, else None."""
        return None if currency in self.incomplete else self.cost.amount(currency)


def spent(charges: Iterable[Charge]) -> Spent:
    """The total of these charges, as a lower bound where parts are unknown."""
    rows = list(charges)
    cost, incomplete = known_total(charge.cost for charge in rows)
    unpadded = [charge.flops_unpadded for charge in rows if charge.flops_unpadded is not None]
    return Spent(
        cost, incomplete, sum(unpadded) if unpadded else None, frozenset(c for charge in rows for c in charge.estimated)
    )


def of(charges: Iterable[Charge], arm: str, *purposes: Purpose) -> list[Charge]:
    """The charges of one arm, for the given purposes (default: all that lie inside a matched budget)."""
    wanted = set(purposes) or set(Purpose) - OUTSIDE_THE_BUDGET
    return [charge for charge in charges if charge.arm == arm and charge.purpose in wanted]
