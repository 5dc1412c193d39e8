"""Verification: every hash, number and total is derived again, and the first row that lies is named."""

import json
import sqlite3
from pathlib import Path

import pytest

from netgain.errors import JournalError
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.records.chain import ROOT, chain, encode, read
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Closed, Event, Lost, Opened, Reserved, Settled
from netgain.records.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "j"
    with Book.open(path) as book:
        account = book.account("arm", arm="a", limit=Cost(flops=100)).under(Purpose.ADAPT)
        account.reserve("train", Cost(flops=60)).settle(Cost(flops=50))
        account.reserve("train", Cost(flops=40)).settle(Cost(flops=40))
    return path


def forge(path: Path, seq: int, event: Event) -> None:
    """Replace the event of a row and rewrite every hash from there on."""
    records = read(path).records
    previous = records[seq - 1].hash if seq else ROOT
    connection = sqlite3.connect(path, isolation_level=None)
    for record in records[seq:]:
        text = encode(record.seq, record.at, event if record.seq == seq else record.event)
        previous = chain(previous, text)
        connection.execute("UPDATE events SET record = ?, hash = ? WHERE seq = ?", (text, previous, record.seq))
    connection.execute("UPDATE head SET hash = ?", (previous,))
    connection.close()


def test_a_whole_journal_verifies(path: Path) -> None:
    seen = verify(path)
    assert seen.ok
    assert (seen.rows, seen.first_lie, seen.open, seen.writer) == (8, None, (), None)
    assert seen.totals.spent == Cost(flops=90)
    assert str(seen).startswith(f"{path}: verified: 8 rows, 2 charges, head ")


def test_the_summary_is_plain_json(path: Path) -> None:
    summary = json.loads(json.dumps(verify(path).summary()))
    assert (summary["ok"], summary["charges"], summary["spent"]) == (True, 2, {"flops": 90})
    path.write_bytes(b"")
    assert json.loads(json.dumps(verify(path).summary()))["findings"][0]["row"] is None


@pytest.mark.parametrize(
    ("seq", "event", "problem"),
    [
        (0, Closed(), "a journal begins with the writer that began it"),
        (1, Opened(name="arm", arm="a", limit=Cost(flops=89)), "budget of arm: 40 flops asked by arm/adapt"),
        (3, Reserved(account=1, operation="train", quote=Cost(flops=60)), "opened no account with a purpose"),
        (3, Reserved(account=2, operation="train", quote=Cost(flops=49)), "does not say truly"),
        (4, Settled(reservation=3, cost=Cost(flops=51)), "the totals on closing"),
        (4, Settled(reservation=5, cost=Cost(flops=50)), "row 5 is no open reservation"),
        (4, Settled(reservation=3, cost=Cost(flops=50), overrun=(Currency.FLOPS,)), "does not say truly"),
        (4, Settled(reservation=3, cost=Cost(flops=500), overrun=(Currency.FLOPS,)), "budget of arm: 40 flops"),
        (6, Lost(reservation=5, cost=Cost(flops=40)), None),
        (7, Closed(spent={"1": {"flops": 89}}), "the totals on closing"),
    ],
)
def test_a_rewritten_journal_with_right_hashes_is_found_out_by_what_it_says(
    path: Path, seq: int, event: Event, problem: str | None
) -> None:
    head = read(path).head
    forge(path, seq, event)
    assert not read(path).findings
    seen = verify(path)
    if problem is None:
        assert seen.ok
        assert "was rewritten or cut off" in str(verify(path, head=head))
        return
    assert problem in str(seen.first_lie)
    assert seen.first_lie is not None
    assert seen.rows == seen.first_lie.row
    assert seen.untrusted == 8 - seen.rows
    assert "not verified" in str(seen)


def test_a_published_head_holds_while_the_journal_grows(path: Path) -> None:
    head = verify(path).head
    with Book.open(path):
        pass
    assert verify(path, head=head).ok
    assert not verify(path, head="0" * 64).ok


def test_a_forged_contradiction_is_not_written_on(path: Path) -> None:
    forge(path, 4, Settled(reservation=5, cost=Cost(flops=50)))
    with pytest.raises(JournalError, match="contradict each other: row 5 is no open reservation"):
        Book.open(path)
    journal, _ = Journal.open(path)  # and the lock is free again
    journal.close()


def test_work_in_progress_is_no_lie(path: Path) -> None:
    with Book.open(path) as book:
        account = book.account("arm", arm="a", limit=Cost(flops=100)).under(Purpose.ADAPT)
        account.reserve("train", Cost(flops=5))
        seen = verify(path)
        assert seen.ok
        assert [charge.outcome for charge in seen.open] == ["open"]
        assert "1 without an end (process " in str(seen)
    assert "1 without an end (their writer is gone)" in str(verify(path))


def test_what_is_no_journal_is_a_finding_and_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("hello")
    for name in ("j", "none"):
        seen = verify(tmp_path / name)
        assert not seen.ok
        assert (seen.rows, seen.totals.charges) == (0, 0)
        assert str(seen)
