"""What each arm of a claim cost: the one fold over its charges, for one problem and in all."""

import math
from dataclasses import dataclass
from typing import final

from netgain.metering import ledger
from netgain.records.claim import Arm, Charge, Claim, Purpose
from netgain.records.cost import Cost, Currency

PUBLISHED_CURRENCIES = (Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.FLOPS)
TRIAL_CURRENCIES = (
    *(Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.TOKENS_TRAINING),
    *(Currency.TOKENS_GENERATED, Currency.FLOPS),
)


def currencies_of(claim: Claim) -> tuple[Currency, ...]:
    """The currencies in which the arms of a claim are matched."""
    return TRIAL_CURRENCIES if claim.terms else PUBLISHED_CURRENCIES


@final
@dataclass(frozen=True, slots=True)
class ArmCost:
    """What an arm cost. ``adapt``: for its problems, in all. ``bill``: for one investment (its outer loop), at least.

    Published arms are matched on training alone: what a teacher or a grader computed is not published, so that a bill
    with them could not be held against anything. In a trial of our own everything but the exams counts. ``problems`` is
    how many problems ``adapt`` covers, ``deployments`` how many share the bill. ``bill_incomplete`` names the
    currencies in which parts of the bill are unknown.
    """

    problems: int | None
    deployments: int | None
    adapt: ledger.Totals
    bill: Cost
    bill_incomplete: tuple[Currency, ...]
    invested: bool

    def adapt_per_problem(self, currency: Currency) -> float | None:
        """The cost of one problem without the bill, None where unknown."""
        amount = self.adapt.exact(currency)
        return None if amount is None or not self.problems else amount / self.problems

    def charged(self, currency: Currency) -> float | None:
        """The cost of one problem with its share of the bill (at least, where that is incomplete)."""
        return self.shared_by(self.deployments, currency)

    def shared_by(self, deployments: float | None, currency: Currency) -> float | None:
        """The same with the bill shared by so many problems; by infinitely many it is free."""
        adapt = self.adapt_per_problem(currency)
        if not self.invested or adapt is None:
            return adapt
        return adapt + (self.bill.amount(currency) or 0.0) / deployments if deployments else None

    def exactly(self, deployments: float | None, currency: Currency) -> float | None:
        """The same, but None where some part of the bill is unknown."""
        unknown = self.invested and currency in self.bill_incomplete and deployments != math.inf
        return None if unknown else self.shared_by(deployments, currency)

    def known_bill(self, currency: Currency) -> float | None:
        """The whole bill: 0 where nothing was invested, None where some part is unknown."""
        if not self.invested:
            return 0.0
        return None if currency in self.bill_incomplete else self.bill.amount(currency)


def arm_cost(claim: Claim, arm: Arm) -> ArmCost:
    """Fold the charges of an arm and of the investments that it stands on."""
    terms = claim.terms
    adapting, investing = ((), ()) if terms else ((Purpose.ADAPT,), (Purpose.ADAPT, Purpose.LEARN))
    charges = ledger.of(claim.charges, arm.name, *adapting)
    covered = next((charge.problems for charge in charges if charge.problems is not None), arm.n_problems)
    deployments = terms.deployments if terms else arm.n_problems
    rounds = [ledger.of(claim.charges, name, *investing) for name in arm.invests]
    bill = ledger.sum_up(charge for found in rounds for charge in found)
    complete = bool(rounds) and all(rounds) and not arm.invests_unpublished
    invested = bool(arm.invests or arm.invests_unpublished)
    incomplete = (bill.incomplete if complete else tuple(Currency)) if invested else ()
    once = bill.at_least * (1 / (_times(rounds) if terms else 1)) if invested else Cost.zero()
    return ArmCost(covered, deployments, ledger.sum_up(charges), once, incomplete, invested)


def _times(rounds: list[list[Charge]]) -> int:
    """How many seeds a trial's investment was made under: its charges cover all of them."""
    return next((charge.count for found in rounds for charge in found if charge.count), 1)
