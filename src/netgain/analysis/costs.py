"""What each arm of a claim cost: folds over its charges, per problem and in all."""

from dataclasses import dataclass
from typing import final

from netgain.metering import ledger
from netgain.records.claim import Arm, Claim, Purpose
from netgain.records.cost import Cost, Currency

MATCHING_CURRENCIES = (Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.FLOPS)


@final
@dataclass(frozen=True, slots=True)
class ArmCost:
    """``adapt``: training for the arm's problems, in all. ``bill``: its outer-loop rounds, at least.

    ``bill_incomplete`` names the currencies in which parts of the bill are unknown.
    """

    problems: int | None
    adapt: ledger.Spent
    bill: Cost
    bill_incomplete: tuple[Currency, ...]

    def adapt_per_problem(self, currency: Currency) -> float | None:
        """Training cost of one problem, None where unknown."""
        amount = self.adapt.exact(currency)
        return None if amount is None or not self.problems else amount / self.problems

    def with_bill(self, currency: Currency, deployments: int) -> float | None:
        """Training cost of one problem with its share of the known bill over ``deployments`` problems."""
        adapt = self.adapt_per_problem(currency)
        return None if adapt is None else adapt + (self.bill.amount(currency) or 0.0) / deployments


def arm_cost(claim: Claim, arm: Arm) -> ArmCost:
    """Fold the charges of an arm and of the outer-loop rounds that it stands on."""
    adapt = ledger.spent(ledger.of(claim.charges, arm.name, Purpose.ADAPT))
    if not arm.invests and not arm.invests_unpublished:
        return ArmCost(arm.n_problems, adapt, Cost.zero(), ())
    bill = ledger.spent(charge for run in arm.invests for charge in ledger.of(claim.charges, run))
    incomplete = tuple(Currency) if arm.invests_unpublished else bill.incomplete
    return ArmCost(arm.n_problems, adapt, bill.cost, incomplete)
