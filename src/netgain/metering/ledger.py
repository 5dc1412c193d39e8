"""The ledger: every total is one fold over charges, made anew each time. There is no second counter.

A charge is a claim's (:class:`netgain.records.claim.Charge`) or a journal's (:class:`netgain.metering.budget.Booking`).
Rejected, failed and lost work is charged like any other. Unknown amounts stay unknown: a total is exact or unknown in
each currency, and beside it stands what it is at least.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, final

from netgain.records.claim import Charge, Purpose
from netgain.records.cost import Cost, Currency, known_total

OUTSIDE_THE_BUDGET = frozenset({Purpose.EVALUATE})


class Charged(Protocol):
    """What a total is made from."""

    @property
    def cost(self) -> Cost:
        """What the work took."""

    @property
    def flops_unpadded(self) -> float | None:
        """What it would have taken without padding; None if nobody knows."""

    @property
    def estimated(self) -> tuple[Currency, ...]:
        """Currencies whose amounts rest on an estimate."""


@final
@dataclass(frozen=True, slots=True)
class Totals:
    """The sum of some charges: ``at_least`` this much; currencies in ``incomplete`` have parts that are unknown."""

    charges: int
    at_least: Cost
    incomplete: tuple[Currency, ...]
    flops_unpadded: float | None
    estimated: frozenset[Currency]

    @property
    def spent(self) -> Cost:
        """The exact sum: a currency that is unknown in any part is unknown; a journal without charges spent nothing."""
        if not self.charges:
            return Cost.zero()
        return replace(self.at_least, **{currency.value: None for currency in self.incomplete})

    def exact(self, currency: Currency) -> float | None:
        """The amount in one currency, or None if any of it is unknown: a claim without charges is not free."""
        return None if currency in self.incomplete else self.at_least.amount(currency)


def sum_up(charges: Iterable[Charged]) -> Totals:
    """The total of these charges."""
    rows = list(charges)
    bound, incomplete = known_total(charge.cost for charge in rows)
    unpadded = [charge.flops_unpadded for charge in rows if charge.flops_unpadded is not None]
    estimated = frozenset(currency for charge in rows for currency in charge.estimated)
    return Totals(len(rows), bound, incomplete, sum(unpadded) if unpadded else None, estimated)


def of(charges: Iterable[Charge], arm: str, *purposes: Purpose) -> list[Charge]:
    """One arm's charges for the given purposes (default: all that count against a matched budget)."""
    wanted = set(purposes) or set(Purpose) - OUTSIDE_THE_BUDGET
    return [charge for charge in charges if charge.arm == arm and charge.purpose in wanted]
