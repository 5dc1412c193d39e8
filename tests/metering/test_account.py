"""Accounts: reserve before running, book whatever ran, never more than the budget."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from netgain.errors import BudgetExceeded, InputError, JournalError, OverrunError
from netgain.metering.account import Account, Book
from netgain.metering.verification import replay, verify
from netgain.records.chain import read
from netgain.records.cost import Cost, Currency, Purpose

FLOPS = Currency.FLOPS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def arm(book: Book, flops: float = 100) -> Account:
    return book.account("seal", run="r1", arm="seal", seed=0, limit=Cost(flops=flops))


def test_what_is_reserved_run_and_settled_is_spent(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        reservation = account.reserve("train", Cost(flops=40))
        assert (account.reserved(FLOPS), account.spent(FLOPS)) == (40, 0)
        reservation.settle(Cost(flops=30, seconds=0.5))
        assert (account.reserved(FLOPS), account.spent(FLOPS)) == (0, 30)
        assert arm(book).remaining() == {FLOPS: 70}
        (charge,) = book.charges()
    assert (charge.opened.run, charge.opened.arm, charge.opened.seed) == ("r1", "seal", 0)
    assert (charge.purpose, charge.operation, charge.cost) == ("adapt", "train", Cost(flops=30, seconds=0.5))
    assert charge.useful


def test_a_refused_reservation_leaves_no_trace_and_names_everything(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        account.reserve("train", Cost(flops=40)).settle(Cost(flops=40))
        account.reserve("train", Cost(flops=50))
        with pytest.raises(BudgetExceeded) as caught:
            account.reserve("train", Cost(flops=20))
        rows = len(read(path).records)
    text = "budget of seal: 20 flops asked by seal/adapt, but of 100 40 are spent and 50 reserved"
    assert str(caught.value) == text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text  # noqa: S301 - our own bytes
    assert rows == len(read(path).records) - 1  # only the closing row came after


def test_siblings_spend_from_one_budget_and_keep_their_own(path: Path) -> None:
    with Book.open(path) as book:
        root = arm(book)
        first = root.child("p1", purpose=Purpose.ADAPT, limit=Cost(flops=60))
        second = root.child("p2", purpose=Purpose.ADAPT, limit=Cost(flops=60))
        first.reserve("train", Cost(flops=60)).settle(Cost(flops=60))
        with pytest.raises(BudgetExceeded, match=r"^budget of seal/p1: 1 flops asked by seal/p1/again, but"):
            first.child("again").reserve("train", Cost(flops=1))
        with pytest.raises(BudgetExceeded, match=r"^budget of seal/p1: 1 flops asked, but"):
            first.reserve("train", Cost(flops=1))
        with pytest.raises(BudgetExceeded, match=r"^budget of seal: 50 flops asked by seal/p2"):
            second.reserve("train", Cost(flops=50))
        assert second.remaining() == {FLOPS: 40}


def test_children_inherit_who_they_spend_for(path: Path) -> None:
    with Book.open(path) as book:
        child = arm(book).child("problem 3").under(Purpose.SCORE)
        assert (child.opened.run, child.opened.arm, child.opened.seed) == ("r1", "seal", 0)
        assert child.title == "seal/problem 3/score"
        assert child.child("part").opened.purpose == Purpose.SCORE


def test_an_account_without_a_purpose_spends_nothing(path: Path) -> None:
    with Book.open(path) as book, pytest.raises(InputError, match="it has no purpose; reserve on a child"):
        arm(book).reserve("train", Cost(flops=1))


def test_a_purpose_cannot_be_changed_below_an_account(path: Path) -> None:
    with Book.open(path) as book, pytest.raises(InputError, match="is for evaluate; open it beside"):
        arm(book).under(Purpose.EVALUATE).under(Purpose.ADAPT)


def test_evaluation_needs_no_room_in_the_budget(path: Path) -> None:
    with Book.open(path) as book:
        root = arm(book, flops=1)
        root.under(Purpose.EVALUATE).reserve("exam", Cost(flops=50)).settle(Cost(flops=50))
        assert root.spent(FLOPS) == 0
        assert root.remaining() == {FLOPS: 1}


def test_failed_work_is_paid_as_far_as_it_went(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        account.reserve("train", Cost(flops=40)).fail(ArithmeticError("NaN loss in step 3"), Cost(flops=11))
        assert account.spent(FLOPS) == 11
        (charge,) = book.charges()
        assert (charge.outcome, charge.error) == ("failed", "ArithmeticError: NaN loss in step 3")


def test_failed_work_of_unknown_extent_is_paid_in_full(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        with pytest.raises(KeyboardInterrupt), account.reserve("train", Cost(flops=40)):
            raise KeyboardInterrupt
        account.reserve("generate", Cost(flops=9)).fail("refused at once", Cost.zero())
        assert account.spent(FLOPS) == 40


def test_work_left_without_settling_is_an_error_and_paid_in_full(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        with pytest.raises(ValueError, match="left without settling"), account.reserve("train", Cost(flops=40)):
            pass
        assert account.spent(FLOPS) == 40


def test_a_charge_is_booked_once(path: Path) -> None:
    with Book.open(path) as book:
        reservation = arm(book).under(Purpose.ADAPT).reserve("train", Cost(flops=40))
        reservation.settle(Cost(flops=1))
        for again in (lambda: reservation.settle(Cost(flops=1)), lambda: reservation.fail("x")):
            with pytest.raises(ValueError, match="already settled"):
                again()
        assert arm(book).spent(FLOPS) == 1


def test_an_overrun_is_booked_in_full_recorded_and_raised(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        with pytest.raises(OverrunError, match=r"seal/adapt: train took 130 flops, above the 90 reserved"):
            account.reserve("train", Cost(flops=90)).settle(Cost(flops=130))
        assert account.spent(FLOPS) == 130
        assert account.remaining() == {FLOPS: 0}
        with pytest.raises(BudgetExceeded):
            account.reserve("train", Cost(flops=1))
    assert verify(path).ok
    assert verify(path).charges[0].cost == Cost(flops=130)


def test_any_error_text_can_be_booked(path: Path) -> None:
    with Book.open(path) as book:
        arm(book).under(Purpose.ADAPT).reserve("train", Cost(flops=1)).fail("\udcff" + "x" * 10_000)
    (charge,) = verify(path).charges
    assert charge.error.startswith("?x")
    assert len(charge.error) == 2000


def test_opening_a_book_again_finds_the_accounts_with_what_they_spent(path: Path) -> None:
    with Book.open(path) as book:
        arm(book).under(Purpose.ADAPT).reserve("train", Cost(flops=30)).settle(Cost(flops=25))
    with Book.open(path) as book:
        assert arm(book).spent(FLOPS) == 25
        assert arm(book).under(Purpose.ADAPT).remaining() == {FLOPS: 75}
        assert len({arm(book).row, arm(book).row}) == 1


def test_a_promised_budget_cannot_be_changed(path: Path) -> None:
    with Book.open(path) as book:
        arm(book, 100)
        with pytest.raises(InputError, match=r"its budget is \{'flops': 100\}, not \{'flops': 200\}"):
            arm(book, 200)


def test_a_killed_attempt_is_charged_when_the_book_is_opened_again(path: Path) -> None:
    code = f"""
import os, signal
from netgain.metering.account import Book
from netgain.records.cost import Cost
from netgain.records.cost import Purpose
book = Book.open({str(path)!r})
account = book.account("seal", run="r1", arm="seal", seed=0, limit=Cost(flops=100)).under(Purpose.ADAPT)
account.reserve("train", Cost(flops=30)).settle(Cost(flops=20))
account.reserve("train", Cost(flops=40))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    before = verify(path)
    assert before.ok
    assert [charge.quote.flops for charge in before.open] == [40]
    assert (before.totals.spent.flops, before.useful.spent.flops, before.lost.spent.flops) == (60, 20, 40)
    with Book.open(path) as book:
        assert arm(book).spent(FLOPS) == 60
        assert [charge.outcome for charge in book.charges()] == ["completed", "lost"]
    after = verify(path)
    assert (after.open, after.totals) == ((), before.totals)


def test_results_thrown_away_stay_paid(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.PROPOSE)
        kept, rejected = (account.reserve("write", Cost(flops=9)) for _ in range(2))
        kept.settle(Cost(flops=5))
        rejected.settle(Cost(flops=6))
        book.discard([rejected], "reward 0")
        book.discard([], "nothing")
        book.note("selected", {"candidate": 1})
    seen = verify(path)
    assert (seen.totals.spent.flops, seen.useful.spent.flops) == (11, 5)


def test_the_state_in_use_is_the_fold_over_the_journal(path: Path) -> None:
    with Book.open(path) as book:
        account = arm(book).under(Purpose.ADAPT)
        account.reserve("a", Cost(flops=0.1)).settle(Cost(flops=0.1))
        account.reserve("b", Cost(flops=0.2)).fail("x")
        account.reserve("c", Cost(flops=0.7))
        assert replay(read(path).records) == (book._standing, None)


def test_concurrent_reservations_never_promise_more_than_there_is(path: Path) -> None:
    granted: list[float] = []
    with Book.open(path) as book:
        root = arm(book, flops=50)
        start = threading.Barrier(8)

        def work(purpose: Purpose) -> None:
            account = root.under(purpose)
            start.wait()
            for _ in range(12):
                try:
                    reservation = account.reserve("step", Cost(flops=3))
                except BudgetExceeded:
                    continue
                granted.append(3)
                reservation.settle(Cost(flops=3))

        threads = [threading.Thread(target=work, args=(p,)) for p in list(Purpose)[:4] * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert root.spent(FLOPS) == sum(granted) == 48
    seen = verify(path)
    assert seen.ok
    assert seen.totals.spent.flops == 48
    assert len({charge.account for charge in seen.charges}) <= 4


def test_a_book_whose_journal_cannot_be_written_only_refuses(path: Path) -> None:
    book = Book.open(path)
    account = arm(book).under(Purpose.ADAPT)
    reservation = account.reserve("train", Cost(flops=1))
    book.journal._head = "0" * 64  # as if another process had written
    with pytest.raises(JournalError, match="cannot be written"):
        reservation.settle(Cost(flops=1))
    with pytest.raises(JournalError, match="closed"):
        account.reserve("train", Cost(flops=1))
    book.close()
    with Book.open(path) as again:
        assert [charge.outcome for charge in again.charges()] == ["lost"]


@pytest.mark.parametrize("data", [{"x": object()}, {"x": float("nan")}])
def test_a_note_that_cannot_be_written_harms_nothing(path: Path, data: dict[str, object]) -> None:
    with Book.open(path) as book:
        with pytest.raises((TypeError, ValueError)):
            book.note("bad", data)
        arm(book).under(Purpose.ADAPT).reserve("train", Cost(flops=1)).settle(Cost(flops=1))
    assert verify(path).ok


def test_a_second_book_on_the_same_file_is_refused(path: Path) -> None:
    with Book.open(path), pytest.raises(JournalError, match=f"process {os.getpid()} on host"):
        Book.open(path)


def test_a_book_is_opened_again_without_its_rows_in_memory(tmp_path: Path) -> None:
    with Book.open(tmp_path / "j") as book:
        account = book.account("a", purpose=Purpose.ADAPT)
        for number in range(300):
            book.note("seen", {"number": number, "text": "x" * 5_000})
        account.reserve("train", Cost(flops=2.0)).settle(Cost(flops=1.0))
        book.note("last", {"text": "kept"})
    tracemalloc.start()
    with Book.open(tmp_path / "j") as book:
        assert tracemalloc.get_traced_memory()[1] < 750_000  # of 1,500,000 that the rows hold
        assert book.noted("last") == {"text": "kept"}
        assert (book.noted("seen") or {})["number"] == 299
        assert book.account("a", purpose=Purpose.ADAPT).spent(Currency.FLOPS) == 1.0
    tracemalloc.stop()
