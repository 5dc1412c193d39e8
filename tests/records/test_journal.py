"""The journal: durable, chained, one writer, and a clear finding for whatever happens to the file."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import JournalError
from netgain.records.chain import ROOT, TABLES, chain, encode, read
from netgain.records.events import Began, Noted
from netgain.records.journal import Journal, WriterLock, is_remote, writer_of


def write(path: Path, *texts: str) -> None:
    journal, _ = Journal.open(path)
    with journal:
        for text in texts:
            journal.append(Noted(text=text))


def texts(path: Path) -> list[str]:
    return [record.event.text for record in read(path).records if isinstance(record.event, Noted)]


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_rows_read_back_in_order_with_their_times(tmp_path: Path) -> None:
    times = iter([1.0, 2.5, 2.0])
    journal, before = Journal.open(tmp_path / "j", software="test 1", clock=lambda: next(times))
    with journal:
        first = journal.append(Noted(text="a"))
        second = journal.append(Noted(text="b"), Noted(text="c"))
    records = read(tmp_path / "j").records
    assert records == before + first + second
    assert [record.seq for record in records] == [0, 1, 2, 3]
    assert [record.at for record in records] == [1.0, 2.5, 2.0, 2.0]
    began = records[0].event
    assert isinstance(began, Began)
    assert (began.software, began.pid) == ("test 1", os.getpid())


def test_every_hash_follows_from_the_row_and_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "j", "a", "b")
    previous = ROOT
    for record in read(tmp_path / "j").records:
        assert record.hash == chain(previous, encode(record.seq, record.at, record.event))
        previous = record.hash


def test_opening_again_goes_on_where_it_ended(tmp_path: Path) -> None:
    write(tmp_path / "j", "a")
    write(tmp_path / "j", "b")
    reading = read(tmp_path / "j")
    assert texts(tmp_path / "j") == ["a", "b"]
    assert not reading.findings
    assert sum(isinstance(record.event, Began) for record in reading.records) == 2


def test_a_row_is_there_for_others_as_soon_as_append_returns(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    with journal:
        for number in range(5):
            journal.append(Noted(text=str(number)))
            assert texts(tmp_path / "j")[-1] == str(number)


def test_rows_are_forced_to_the_disk_and_not_only_handed_to_the_system(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    with journal:  # what a loss of power would show, no test can
        settings = [
            journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        ]
    assert settings == [2, "wal"]


def test_a_closed_journal_is_one_file_and_readable_where_nothing_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / "j", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "j.lock"]
    (tmp_path / "j.lock").unlink()
    (tmp_path / "j").chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert texts(tmp_path / "j") == ["a"]
    finally:
        tmp_path.chmod(0o755)


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    with journal:
        with pytest.raises(JournalError, match=rf"process {os.getpid()} on host .* is writing to it"):
            Journal.open(tmp_path / "j")
        assert f"process {os.getpid()} " in (writer_of(tmp_path / "j") or "")
        journal.append(Noted(text="still mine"))
    assert writer_of(tmp_path / "j") is None
    write(tmp_path / "j", "mine now")


def test_a_writer_in_another_process_is_refused_as_well(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    code = f"from netgain.records.journal import Journal; Journal.open({str(tmp_path / 'j')!r})"
    with journal:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} on host" in done.stderr


def test_the_lock_of_a_dead_writer_is_no_obstacle(tmp_path: Path) -> None:
    code = (
        "import os; from netgain.records.journal import Journal; from netgain.records.events import Noted\n"
        f"journal, _ = Journal.open({str(tmp_path / 'j')!r}); journal.append(Noted(text='last words')); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert writer_of(tmp_path / "j") is None
    write(tmp_path / "j", "next")
    assert texts(tmp_path / "j") == ["last words", "next"]


def test_a_forked_process_does_not_write_into_its_parents_journal(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    journal._pid += 1  # as it looks to the child of a fork
    with pytest.raises(JournalError, match="which forked"):
        journal.append(Noted(text="child"))
    journal._pid -= 1
    journal.append(Noted(text="parent"))
    journal.close()
    assert texts(tmp_path / "j") == ["parent"]


def test_threads_share_a_journal_without_losing_a_row(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    with journal:

        def run(name: str) -> None:
            for number in range(25):
                journal.append(Noted(text=f"{name}{number}"))

        threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not read(tmp_path / "j").findings
    assert sorted(texts(tmp_path / "j")) == sorted(f"{name}{number}" for name in "abcd" for number in range(25))


def test_a_closed_journal_takes_no_more(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.append(Noted(text="x"))


def test_all_events_of_one_append_are_written_or_none(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    with journal:
        with pytest.raises(TypeError):
            journal.append(Noted(text="a"), Noted(text="b", data={"x": object()}))
        journal.append(Noted(text="c"))
    assert texts(tmp_path / "j") == ["c"]


def test_rows_of_a_stranger_stop_the_writer(tmp_path: Path) -> None:
    journal, _ = Journal.open(tmp_path / "j")
    sql(tmp_path / "j", "UPDATE head SET hash = 'other'")
    with pytest.raises(JournalError, match="another process has written to it"):
        journal.append(Noted(text="x"))
    journal.close()


def test_a_full_disk_is_named_with_what_is_free_and_costs_no_row(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are a Unix matter")
    code = f"""
import resource, signal
from netgain.errors import JournalError
from netgain.records.events import Noted
from netgain.records.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal, _ = Journal.open({str(tmp_path / "j")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(1000):
        journal.append(Noted(text=str(number), data={{"x": "y" * 1000}}))
        print(number, flush=True)
except JournalError as error:
    print(error)
"""
    assert resource
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *acknowledged, error = done.stdout.splitlines()
    assert "cannot be written" in error
    assert "bytes are free" in error
    assert texts(tmp_path / "j") == acknowledged
    assert len(acknowledged) > 10


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0", b"SQLite format 3\0" + b"x" * 5000])
def test_what_is_no_journal_gives_a_finding(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    reading = read(tmp_path / "j")
    assert reading.findings
    assert not reading.records


def test_a_missing_journal_gives_a_finding(tmp_path: Path) -> None:
    assert "there is no journal" in str(read(tmp_path / "j").findings[0])
    assert not (tmp_path / "j").exists()


def test_a_database_of_something_else_is_not_a_journal_and_is_left_alone(tmp_path: Path) -> None:
    sql(tmp_path / "j", "CREATE TABLE events (seq INTEGER)")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalError, match="tables are not those of one"):
        Journal.open(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == before
    assert writer_of(tmp_path / "j") is None


TRAPS = [
    ("UPDATE events SET record = replace(record, 'two', 'too') WHERE seq = 2", 2, "hash does not belong"),
    ("UPDATE events SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 1", 1, "hash does not belong"),
    ("DELETE FROM events WHERE seq = 2", 2, "row 2 is missing"),
    ("DELETE FROM events WHERE seq = 0", 0, "row 0 is missing"),
    ("DELETE FROM events WHERE seq = 3", 3, "rows are missing at the end"),
    ("DELETE FROM events", 0, "rows are missing at the end"),
    ("UPDATE head SET seq = 2", 4, "rows are missing at the end"),
    ("DELETE FROM head", 4, "rows are missing at the end"),
    ("INSERT INTO events SELECT 4, record, hash FROM events WHERE seq = 3", 4, "hash does not belong"),
    ("INSERT INTO events SELECT -1, record, hash FROM events WHERE seq = 3", 0, "numbered -1"),
    ("UPDATE events SET record = x'00' WHERE seq = 1", 1, "does not hold text"),
    ("UPDATE events SET record = CAST(x'ff' AS TEXT) WHERE seq = 1", 1, "UTF-8"),
    ("UPDATE events SET record = 5 WHERE seq = 1", 1, "hash does not belong"),
    ("UPDATE events SET record = (SELECT record FROM events WHERE seq = 1) WHERE seq = 3", 3, "hash does not belong"),
    ("CREATE VIEW more AS SELECT 1", None, "tables are not those of one"),
    ("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM head; END", None, "tables are not those of one"),
]


@pytest.mark.parametrize(("statement", "row", "problem"), TRAPS)
def test_the_first_row_that_lies_is_named_and_those_before_it_are_kept(
    tmp_path: Path, statement: str, row: int | None, problem: str
) -> None:
    write(tmp_path / "j", "one", "two", "three")
    whole = read(tmp_path / "j").records
    sql(tmp_path / "j", statement)
    reading = read(tmp_path / "j")
    assert reading.findings[0].row == row
    assert problem in reading.findings[0].problem
    assert reading.records == whole[: len(reading.records)]
    if row is not None:
        assert len(reading.records) == row
    with pytest.raises(JournalError, match=str(tmp_path)):
        Journal.open(tmp_path / "j")


def forge(path: Path, seq: int, text: str) -> None:
    """Rewrite a row and every hash from there on, as someone would who knows how."""
    records = read(path).records
    previous = records[seq - 1].hash if seq else ROOT
    connection = sqlite3.connect(path, isolation_level=None)
    for record in records[seq:]:
        line = text if record.seq == seq else encode(record.seq, record.at, record.event)
        previous = chain(previous, line)
        connection.execute("UPDATE events SET record = ?, hash = ? WHERE seq = ?", (line, previous, record.seq))
    connection.execute("UPDATE head SET hash = ?", (previous,))
    connection.close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"at":1,"event":{"kind":"noted","text":"x","data":{}},"seq":2}', "not canonical"),
        ('{"at":1,"event":{"data":{},"kind":"noted","text":"x"},"seq":3}', "its number"),
        ('{"at":1,"event":{"data":{},"kind":"nothing","text":"x"},"seq":2}', "nothing"),
        ('{"at":"x","event":{"data":{},"kind":"noted","text":"x"},"seq":2}', "could not convert"),
        ('{"at":NaN,"event":{},"seq":2}', "finite"),
        ("[" * 100_000, "not a record"),
        ("7", "not a record"),
        ("", "Expecting value"),
    ],
)
def test_a_forged_row_with_right_hashes_must_still_be_a_record(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path / "j", "one", "two", "three")
    forge(tmp_path / "j", 2, text)
    reading = read(tmp_path / "j")
    assert reading.findings[0].row == 2
    assert problem in reading.findings[0].problem
    assert reading.untrusted == 2


def test_a_truncated_file_gives_findings_and_never_an_exception(tmp_path: Path) -> None:
    write(tmp_path / "j", *(f"{number:x>400}" for number in range(60)))
    content = (tmp_path / "j").read_bytes()
    whole = read(tmp_path / "j").records
    for size in range(0, len(content), 1024):
        (tmp_path / "cut").write_bytes(content[:size])
        reading = read(tmp_path / "cut")
        assert reading.findings
        assert reading.records == whole[: len(reading.records)]


def test_network_file_systems_are_told_from_the_table_of_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    net = tmp_path / "net"
    mounts.write_text(f"/dev/a / ext4 rw\nserver:/x {net} nfs4 rw\n/dev/b {net}/own\\040disk xfs rw\nbad\n")
    assert not is_remote(tmp_path / "j", mounts)
    assert is_remote(tmp_path / "net" / "j", mounts)
    assert not is_remote(tmp_path / "net" / "own disk" / "j", mounts)
    assert not is_remote(tmp_path / "j", tmp_path / "none")


def test_on_a_network_file_system_no_write_ahead_log_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netgain.records.journal.is_remote", lambda path: True)
    journal, _ = Journal.open(tmp_path / "j")
    with journal:
        journal.append(Noted(text="a"))
        assert not (tmp_path / "j-wal").exists()
        assert texts(tmp_path / "j") == ["a"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be opened for writing"):
        Journal.open(tmp_path / "file" / "j")


def test_a_folder_in_place_of_the_journal_is_one_clear_line_and_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    with pytest.raises(JournalError, match="cannot be opened for writing"):
        Journal.open(tmp_path / "j")
    assert writer_of(tmp_path / "j") is None


def test_a_broken_lock_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "j.lock").write_text("no database " * 100)
    with pytest.raises(JournalError, match="delete the lock file"):
        Journal.open(tmp_path / "j")
    assert writer_of(tmp_path / "j") is None


def test_the_same_journal_by_another_name_has_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "j")
    journal, _ = Journal.open(tmp_path / "j")
    with journal, pytest.raises(JournalError, match="is writing to it"):
        Journal.open(tmp_path / "link")


@pytest.mark.parametrize("statements", [[], ["PRAGMA journal_mode = WAL"], [*TABLES.values()]])
def test_a_writer_that_died_before_its_first_row_left_a_journal_to_begin(tmp_path: Path, statements: list[str]) -> None:
    (tmp_path / "j").touch()
    sql(tmp_path / "j", *statements)
    write(tmp_path / "j", "first")
    assert texts(tmp_path / "j") == ["first"]


@pytest.mark.parametrize("since", [1e18, -1e18, float("inf"), "yesterday"])
def test_a_lock_that_was_taken_at_no_time_of_any_clock_still_says_by_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: Any
) -> None:
    monkeypatch.setattr("netgain.records.journal.PATIENCE", 0.05)
    lock = WriterLock(tmp_path / "journal")
    lock._connection.execute("ROLLBACK")
    lock._connection.execute("UPDATE holder SET since = ?", (since,))
    lock._connection.execute("BEGIN IMMEDIATE")
    assert str(writer_of(tmp_path / "journal")).startswith(f"process {os.getpid()} on host ")
    with pytest.raises(JournalError, match=rf"process {os.getpid()} on host \S+ is writing to it"):
        WriterLock(tmp_path / "journal")
    lock.release()


def test_a_lock_names_who_has_it_though_two_took_it_at_the_same_moment(tmp_path: Path) -> None:
    class Late:
        """A connection of which another one takes its turn after the first commit."""

        def __init__(self, real: sqlite3.Connection, path: Path) -> None:
            self.real, self.path, self.turns = real, path, 0

        def execute(self, statement: str, *given: Any) -> Any:
            found = self.real.execute(statement, *given)
            if statement == "COMMIT" and not self.turns:
                self.turns += 1
                with sqlite3.connect(self.path, timeout=0.1) as other:
                    other.execute("UPDATE holder SET pid = 1")
            return found

        def close(self) -> None:
            self.real.close()

    lock = WriterLock(tmp_path / "journal")
    lock._connection.execute("ROLLBACK")
    lock._connection = late = Late(lock._connection, lock.path)  # type: ignore[assignment]
    lock._take()
    assert late.turns == 1
    assert str(writer_of(tmp_path / "journal")).startswith(f"process {os.getpid()} on host ")
    lock.release()
