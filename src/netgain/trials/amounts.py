"""From charges to amounts in rows: folds over the journal, without clocks: the same work gives the same bytes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from netgain.metering.account import Account, Book
from netgain.metering.budget import Booking
from netgain.metering.ledger import sum_up
from netgain.records.cost import Currency, Purpose
from netgain.records.samples import Amounts

CLOCKS = (Currency.SECONDS, Currency.JOULES)
LOST = "the attempt was cut off"


@final
class ChargesBelow:
    """All charges of a book by the account above them, read once."""

    def __init__(self, book: Book, accounts: Iterable[Account]) -> None:
        rows = {account.row for account in accounts}
        self._charges: dict[int, list[Booking]] = {row: [] for row in rows}
        for charge in book.charges():
            for row in book.lineage(charge):
                if row in rows:
                    self._charges[row].append(charge)

    def of(self, *accounts: Account) -> list[Booking]:
        """The charges on these accounts and those below them."""
        return [charge for account in accounts for charge in self._charges[account.row]]


def amounts(charges: Iterable[Booking], currency: Currency, share: float = 1.0) -> Amounts:
    """Their sum in every currency that is known and no clock's; ``currency``, the budget's, as budgets count it."""
    charges = list(charges)
    known = sum_up(charges).spent.known()
    known[currency.value] = sum(charge.counted().get(currency.value, 0.0) for charge in charges)
    return {name: amount * share for name, amount in known.items() if name not in CLOCKS}


def by_purpose(charges: Sequence[Booking], currency: Currency, share: float = 1.0) -> dict[Purpose, Amounts]:
    """The same by purpose, for those that there are."""
    parts = {purpose: [c for c in charges if c.purpose is purpose] for purpose in Purpose}
    return {purpose: amounts(part, currency, share) for purpose, part in parts.items() if part}


def spent_and_rejected(charges: Sequence[Booking], currency: Currency, share: float = 1.0) -> dict[str, Any]:
    """``spent`` and ``rejected`` as the rows hold them; evaluation is not in it."""
    matched = [charge for charge in charges if charge.purpose is not Purpose.EVALUATE]
    rejected = [charge for charge in matched if not charge.useful]
    return {
        "spent": by_purpose(matched, currency, share),
        "rejected": amounts(rejected, currency, share) if rejected else {},
    }


def seconds(charges: Iterable[Booking]) -> float:
    """Device seconds, as far as they were measured."""
    return sum(charge.cost.seconds or 0.0 for charge in charges)


def discard_earlier(book: Book, root: Account, currency: Currency) -> Mapping[str, Any]:
    """Mark the work of earlier attempts as thrown away; how many charges that is, and what they took by purpose."""
    earlier = [charge for charge in book.charges() if charge.opened.run != root.opened.run]
    book.discard([c.reservation for c in earlier if c.outcome != "open" and not c.discarded], LOST)
    spent = {purpose.value: part for purpose, part in by_purpose(earlier, currency).items()}
    return {"charges": len(earlier), "spent": spent}
