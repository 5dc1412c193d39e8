"""Budgets as folds: what counts, against whom, and what contradicts itself."""

import pytest

from netgain.errors import BudgetExceeded
from netgain.metering.budget import Standing, overruns
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Closed, Discarded, Event, Failed, Lost, Moved, Noted, Opened, Reserved, Settled


def after(*events: Event) -> Standing:
    standing = Standing()
    for seq, event in enumerate(events):
        standing.apply(seq, event)
    return standing


ROOT = Opened(name="arm", limit=Cost(flops=100))
LEAF = Opened(name="adapt", parent=0, purpose=Purpose.ADAPT, limit=Cost(updates=2))
ASK = Reserved(account=1, operation="train", quote=Cost(flops=60, updates=1))


def test_an_open_reservation_counts_with_its_quote_for_every_account_above() -> None:
    standing = after(ROOT, LEAF, ASK)
    assert [standing.reserved(row, Currency.FLOPS) for row in (0, 1)] == [60, 60]
    assert [standing.spent(row, Currency.FLOPS) for row in (0, 1)] == [0, 0]
    assert standing.remaining(1) == {Currency.FLOPS: 40, Currency.UPDATES: 1}


def test_settled_work_counts_with_what_it_took_and_frees_the_rest() -> None:
    standing = after(ROOT, LEAF, ASK, Settled(reservation=2, cost=Cost(flops=10, updates=1)))
    assert standing.spent(0, Currency.FLOPS) == 10
    assert standing.remaining(1) == {Currency.FLOPS: 90, Currency.UPDATES: 1}


def test_an_unknown_actual_amount_counts_with_its_quote() -> None:
    standing = after(ROOT, LEAF, ASK, Settled(reservation=2, cost=Cost(updates=1)))
    assert standing.spent(0, Currency.FLOPS) == 60
    assert standing.charges[2].cost.flops is None


def test_failed_work_counts_with_the_part_that_was_done() -> None:
    standing = after(ROOT, LEAF, ASK, Failed(reservation=2, cost=Cost(flops=30, updates=0), error="x"))
    assert standing.remaining(1) == {Currency.FLOPS: 70, Currency.UPDATES: 2}
    assert not standing.charges[2].useful


@pytest.mark.parametrize(
    ("quote", "currency", "owner", "asked"),
    [
        (Cost(flops=41, updates=0), "flops", "arm", 41),
        (Cost(flops=1, updates=2), "updates", "arm/adapt", 2),
        (Cost(flops=41, updates=9), "flops", "arm", 41),
        (Cost(flops=1), "updates", "arm/adapt", None),
    ],
)
def test_a_refusal_names_the_budget_nearest_the_root(
    quote: Cost, currency: str, owner: str, asked: float | None
) -> None:
    standing = after(ROOT, LEAF, ASK)
    with pytest.raises(BudgetExceeded) as caught:
        standing.apply(3, Reserved(account=1, operation="more", quote=quote))
    assert (caught.value.currency, caught.value.owner, caught.value.asked) == (currency, owner, asked)
    assert standing == after(ROOT, LEAF, ASK)


def test_the_whole_budget_may_be_spent_and_not_a_bit_more() -> None:
    standing = after(ROOT, LEAF, Reserved(account=1, operation="all", quote=Cost(flops=100, updates=2)))
    assert standing.remaining(1) == {Currency.FLOPS: 0, Currency.UPDATES: 0}
    with pytest.raises(BudgetExceeded):
        standing.apply(3, Reserved(account=1, operation="bit", quote=Cost(flops=1e-9, updates=0)))


def test_evaluation_is_recorded_outside_the_budgets_above_it() -> None:
    exam = Opened(name="exam", parent=0, purpose=Purpose.EVALUATE, limit=Cost(flops=1000))
    part = Opened(name="part", parent=1, purpose=Purpose.EVALUATE)
    standing = after(
        ROOT,
        exam,
        part,
        Reserved(account=2, operation="x", quote=Cost(flops=900)),
        Settled(reservation=3, cost=Cost(flops=900)),
    )
    assert [standing.spent(row, Currency.FLOPS) for row in (0, 1, 2)] == [0, 900, 900]
    assert standing.totals() == {"0": {"flops": 900}}
    with pytest.raises(BudgetExceeded, match="arm/exam"):
        standing.require(2, Cost(flops=101))


def test_lost_work_is_charged_at_its_quote_and_never_useful() -> None:
    standing = after(ROOT, LEAF, ASK, Lost(reservation=2, cost=ASK.quote))
    assert standing.spent(0, Currency.FLOPS) == 60
    assert (standing.charges[2].outcome, standing.charges[2].useful) == ("lost", False)


def test_a_discarded_result_stays_spent() -> None:
    done = Settled(reservation=2, cost=Cost(flops=10, updates=1))
    standing = after(ROOT, LEAF, ASK, done, Discarded(reservations=(2,), reason="rejected"))
    assert standing.spent(0, Currency.FLOPS) == 10
    assert (standing.charges[2].useful, standing.charges[2].discarded) == (False, "rejected")


CONTRADICTIONS: list[tuple[tuple[Event, ...], str]] = [
    ((Opened(name="x", parent=0),), "row 0 as its parent"),
    ((ROOT, ROOT), "was opened before, in row 0"),
    ((ROOT, LEAF, Opened(name="y", parent=1, purpose=Purpose.SCORE)), "another purpose than the account above it"),
    ((ROOT, Reserved(account=0, operation="x", quote=Cost())), "opened no account with a purpose"),
    ((ROOT, Reserved(account=7, operation="x", quote=Cost())), "opened no account with a purpose"),
    ((Settled(reservation=0, cost=Cost()),), "row 0 is no open reservation"),
    ((ROOT, LEAF, ASK, Lost(reservation=2, cost=Cost(flops=1))), "not charged at its quote"),
    (
        (ROOT, LEAF, ASK, Failed(reservation=2, cost=Cost(), error=""), Settled(reservation=2, cost=Cost())),
        "row 2 is no open reservation",
    ),
    ((ROOT, LEAF, ASK, Settled(reservation=2, cost=Cost(flops=61))), "does not say truly"),
    ((ROOT, LEAF, ASK, Settled(reservation=2, cost=Cost(), overrun=(Currency.FLOPS,))), "does not say truly"),
    ((ROOT, LEAF, ASK, Discarded(reservations=(2,), reason="")), "no finished work"),
    ((ROOT, Discarded(reservations=(0,), reason="")), "no finished work"),
    ((ROOT, Closed(spent={"0": {"flops": 1}})), "the totals on closing"),
]


@pytest.mark.parametrize(("events", "problem"), CONTRADICTIONS)
def test_events_that_contradict_each_other_are_refused_and_change_nothing(
    events: tuple[Event, ...], problem: str
) -> None:
    standing = after(*events[:-1])
    with pytest.raises(ValueError, match=problem):
        standing.apply(len(events) - 1, events[-1])
    assert standing == after(*events[:-1])


def test_notes_change_nothing() -> None:
    assert after(ROOT, LEAF, Noted(text="x")) == after(ROOT, LEAF)


def test_rounding_is_no_overrun_and_unknown_amounts_are_not_compared() -> None:
    quote = Cost(flops=1e15, updates=1)
    assert overruns(quote, Cost(flops=1e15 * (1 + 1e-12), seconds=5)) == ()
    assert overruns(quote, Cost(flops=1e15 * (1 + 1e-8), updates=2)) == (Currency.UPDATES, Currency.FLOPS)


AGAIN = (
    Opened(name="arm", run="second", limit=Cost(flops=100)),
    Opened(name="adapt", parent=4, run="second", purpose=Purpose.ADAPT),
)


def test_work_that_is_found_again_is_charged_to_the_later_attempt_alone() -> None:
    done = Cost(flops=10, updates=1)
    events = (ROOT, LEAF, ASK, Settled(reservation=2, cost=done), *AGAIN)
    later = Reserved(account=5, operation="train", quote=Cost(flops=60, updates=1))
    standing = after(*events, later, Settled(reservation=6, cost=done), Moved(reservation=2, to=6))
    assert standing.charges[2].outcome == "moved"
    assert standing.charges[2].cost == Cost.zero()
    assert standing.totals() == {"0": Cost.zero().known(), "4": done.known()}


@pytest.mark.parametrize(
    ("account", "operation", "cost"),
    [(1, "train", Cost(flops=10)), (5, "score", Cost(flops=10)), (5, "train", Cost(flops=9))],
)
def test_work_cannot_be_moved_to_other_work(account: int, operation: str, cost: Cost) -> None:
    asked = Reserved(account=account, operation=operation, quote=Cost(flops=20, updates=1))
    standing = after(ROOT, LEAF, ASK, Settled(reservation=2, cost=Cost(flops=10)), *AGAIN, asked)
    standing.apply(7, Settled(reservation=6, cost=cost))
    with pytest.raises(ValueError, match="row 2 cannot be moved to row 6"):
        standing.apply(8, Moved(reservation=2, to=6))
