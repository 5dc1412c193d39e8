"""Totals are one fold over the charges of a claim or a journal; unknown is never taken for zero."""

from pathlib import Path

import pytest

from netgain.metering import ledger
from netgain.metering.account import Book
from netgain.metering.budget import Booking
from netgain.metering.verification import Verification, verify
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


@pytest.fixture
def journal(tmp_path: Path) -> Verification:
    """Two arms, two seeds; one failure, one discarded result, one remote teacher of unknown FLOPs, one exam."""
    path = tmp_path / "j"
    with Book.open(path) as book:
        for arm, seed in (("seal", 0), ("seal", 1), ("frozen", 0)):
            root = book.account(f"{arm}/{seed}", run="r", arm=arm, seed=seed)
            train = root.under(Purpose.ADAPT)
            train.reserve("train", Cost(flops=10)).settle(Cost(flops=8, seconds=1))
            train.reserve("train", Cost(flops=10)).fail("NaN", Cost(flops=3, seconds=1))
            rejected = train.reserve("generate", Cost(flops=10))
            rejected.settle(Cost(flops=2, seconds=1))
            book.discard([rejected], "rejected")
            if arm == "seal":
                root.under(Purpose.TEACH).reserve("ask", Cost(dollars=1)).settle(Cost(dollars=0.5, tokens_real=70))
            root.under(Purpose.EVALUATE).reserve("exam", Cost(flops=100)).settle(Cost(flops=90, seconds=2))
    return verify(path)


def of_arm(seen: Verification, arm: str) -> list[Booking]:
    return [c for c in seen.charges if c.opened.arm == arm and c.purpose not in ledger.OUTSIDE_THE_BUDGET]


def test_an_arm_is_charged_for_everything_but_evaluation() -> None:
    total = ledger.sum_up(ledger.of(CHARGES, "a"))
    assert total.at_least.flops == 5
    assert total.exact(Currency.UPDATES) == 10


def test_an_unknown_part_makes_the_total_a_lower_bound() -> None:
    total = ledger.sum_up(ledger.of(CHARGES, "a"))
    assert Currency.FLOPS in total.incomplete
    assert total.exact(Currency.FLOPS) is None


def test_a_purpose_can_be_asked_for_by_name() -> None:
    assert ledger.sum_up(ledger.of(CHARGES, "a", Purpose.EVALUATE)).at_least.flops == 99
    assert ledger.of(CHARGES, "nobody") == []


def test_failed_and_rejected_work_is_spent_and_not_useful(journal: Verification) -> None:
    frozen = of_arm(journal, "frozen")
    total, useful = ledger.sum_up(frozen), ledger.sum_up(c for c in frozen if c.useful)
    assert (total.spent.flops, useful.spent.flops, total.charges) == (13, 8, 3)
    assert (total.spent.seconds, useful.spent.seconds) == (3, 1)


def test_an_unknown_amount_of_a_journal_leaves_a_lower_bound_too(journal: Verification) -> None:
    seal = ledger.sum_up(of_arm(journal, "seal"))
    assert seal.spent.flops is None
    assert (seal.at_least.flops, seal.at_least.dollars) == (26, 1)
    assert ledger.sum_up(c for c in of_arm(journal, "seal") if c.useful).at_least.flops == 16
    assert {Currency.FLOPS, Currency.DOLLARS} <= set(seal.incomplete)


def test_the_parts_of_a_journal_add_up_to_the_whole(journal: Verification) -> None:
    parts = [ledger.sum_up(c for c in journal.charges if c.purpose is purpose) for purpose in Purpose]
    assert sum(part.at_least.flops or 0 for part in parts) == journal.totals.at_least.flops
    assert sum(part.charges for part in parts) == journal.totals.charges
    assert parts[list(Purpose).index(Purpose.EVALUATE)].spent.flops == 270


def test_a_journal_without_charges_spent_nothing_and_a_claim_without_charges_is_unknown() -> None:
    nothing = ledger.sum_up([])
    assert (nothing.spent, nothing.charges) == (Cost.zero(), 0)
    assert (nothing.at_least, nothing.exact(Currency.FLOPS)) == (Cost(), None)


def test_real_tokens_of_which_the_padding_is_unknown_still_have_a_lower_bound(tmp_path: Path) -> None:
    with Book.open(tmp_path / "j") as book:
        account = book.account("a", purpose=Purpose.TEACH)
        account.reserve("ask", Cost()).settle(Cost(tokens_real=70))
        account.reserve("train", Cost()).settle(Cost(tokens_real=10, tokens_padded=20))
    bound = verify(tmp_path / "j").totals.at_least
    assert (bound.tokens_real, bound.tokens_padded) == (80, 80)
