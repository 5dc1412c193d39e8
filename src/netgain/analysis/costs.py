"""What each arm of a claim cost: folds over its charges, per problem and in all."""

from dataclasses import dataclass
from typing import final

from netgain.analysis import amortisation
from netgain.metering import ledger
from netgain.records.claim import Arm, Claim, Purpose, Terms
from netgain.records.cost import Cost, Currency

MATCHING_CURRENCIES = (Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.FLOPS)
TRIAL_CURRENCIES = (
    *(Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.TOKENS_TRAINING),
    *(Currency.TOKENS_GENERATED, Currency.FLOPS),
)
TRAINING = (Purpose.ADAPT, Purpose.LEARN)


@final
@dataclass(frozen=True, slots=True)
class ArmCost:
    """What an arm's training cost. ``adapt``: for its problems, in all. ``bill``: for its outer-loop rounds, at least.

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
        """Training cost of one problem, None where unknown."""
        amount = self.adapt.exact(currency)
        return None if amount is None or not self.problems else amount / self.problems

    def charged(self, currency: Currency) -> float | None:
        """Training cost of one problem with its share of the bill (at least, where that is incomplete)."""
        adapt = self.adapt_per_problem(currency)
        if not self.invested or adapt is None:
            return adapt
        if not self.deployments:
            return None
        return amortisation.per_problem(adapt, self.bill.amount(currency) or 0.0, self.deployments)


def arm_cost(claim: Claim, arm: Arm) -> ArmCost:
    """Fold the charges of an arm and of the outer-loop rounds that it stands on."""
    if claim.terms is not None:
        return _trial_cost(claim, arm, claim.terms)
    charges = ledger.of(claim.charges, arm.name, Purpose.ADAPT)
    adapt = ledger.sum_up(charges)
    covered = next((charge.problems for charge in charges if charge.problems is not None), arm.n_problems)
    if not arm.invests and not arm.invests_unpublished:
        return ArmCost(covered, arm.n_problems, adapt, Cost.zero(), (), invested=False)
    rounds = [ledger.of(claim.charges, run, *TRAINING) for run in arm.invests]
    bill = ledger.sum_up(charge for charges in rounds for charge in charges)
    complete = bool(rounds) and all(rounds) and not arm.invests_unpublished
    incomplete = bill.incomplete if complete else tuple(Currency)
    return ArmCost(covered, arm.n_problems, adapt, bill.at_least, incomplete, invested=True)


def _trial_cost(claim: Claim, arm: Arm, terms: Terms) -> ArmCost:
    """The same from a trial's charges: all purposes but evaluation; the bill is that of one investment on average."""
    charges = ledger.of(claim.charges, arm.name)
    covered = next((charge.problems for charge in charges), None)
    bills = [charge for name in arm.invests for charge in ledger.of(claim.charges, name)]
    times = next((charge.count for charge in bills if charge.count), 1)
    bill = ledger.sum_up(bills)
    cost = bill.at_least * (1 / times)
    return ArmCost(
        covered, terms.deployments, ledger.sum_up(charges), cost, bill.incomplete, invested=bool(arm.invests)
    )
