"""Faults on purpose: a writer killed at any moment, and every byte of a journal flipped."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.records.chain import Reading, read
from netgain.records.cost import Cost, Currency, Purpose

WRITER = """
import sys
from netgain.metering.account import Book
from netgain.records.cost import Cost
from netgain.records.cost import Purpose
book = Book.open(sys.argv[1])
account = book.account("arm", arm="a", seed=0, limit=Cost(flops=1e12)).under(Purpose.ADAPT)
print("ready", flush=True)
number = 0
while True:
    number += 1
    reservation = account.reserve("step", Cost(flops=float(2 * number)))
    reservation.settle(Cost(flops=float(number)))
    print(reservation.row, number, flush=True)
"""


def kill_once(path: Path, charges: int, seconds: float) -> dict[int, float]:
    """Start a writer, kill it ``seconds`` after this many charges, give all that it had acknowledged by then."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline() for _ in range(charges)]
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.read().splitlines(keepends=True)
    lines = [line.split() for line in said if line.endswith("\n")]
    return {int(row): float(flops) for row, flops in lines}


def kill_often(path: Path, times: int) -> int:
    """Kill writers of one journal again and again; every acknowledged charge must be found after each kill."""
    chance = random.Random(5)  # noqa: S311 - moments to kill at, no secrets
    acknowledged: dict[int, float] = {}
    for _ in range(times):
        acknowledged |= kill_once(path, chance.randint(0, 15), chance.uniform(0.0, 0.01))
        seen = verify(path)
        assert seen.ok, str(seen)
        found = {charge.reservation: charge for charge in seen.charges}
        for row, flops in acknowledged.items():
            assert found[row].outcome == "completed"
            assert found[row].cost.flops == flops
        assert len(seen.open) <= 1
        assert seen.writer is None
    with Book.open(path) as book:
        lost = [charge for charge in book.charges() if charge.outcome == "lost"]
        account = book.account("arm", arm="a", seed=0, limit=Cost(flops=1e12))
        assert account.spent(Currency.FLOPS) == sum(charge.cost.flops or 0 for charge in book.charges())
    assert all(charge.cost == charge.quote and not charge.useful for charge in lost)
    assert verify(path).open == ()
    return len(acknowledged)


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    assert kill_often(tmp_path / "j", 8) > 30


@pytest.mark.slow
def test_a_hundred_killed_writers_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    assert kill_often(tmp_path / "j", 100) > 500


def small_journal(path: Path) -> Reading:
    with Book.open(path) as book:
        account = book.account("arm", run="r", arm="a", seed=1, limit=Cost(flops=100)).under(Purpose.SCORE)
        account.reserve("exam", Cost(flops=7)).settle(Cost(flops=5))
        account.reserve("exam", Cost(flops=3)).fail("broken", Cost(flops=2))
    return read(path)


def notices(path: Path, content: bytes, whole: Reading) -> bool:
    """Whether a changed file is noticed, or gives exactly what the unchanged one gave."""
    path.write_bytes(content)
    seen = verify(path)
    return not seen.ok or read(path).records == whole.records


def test_no_changed_byte_of_a_row_goes_unnoticed(tmp_path: Path) -> None:
    path, trial = tmp_path / "j", tmp_path / "flipped"
    whole = small_journal(path)
    content = path.read_bytes()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT record, hash FROM events").fetchall()
    connection.close()
    for text in (part for row in rows for part in row):
        start = content.index(text.encode())
        for place in range(start, start + len(text.encode())):
            flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            trial.write_bytes(flipped)
            seen = read(trial)
            assert seen.findings, f"byte {place}: {text}"
            assert seen.records == whole.records[: len(seen.records)]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_changed_byte_anywhere_in_the_file_is_noticed_or_changes_nothing(tmp_path: Path, mask: int) -> None:
    path, trial = tmp_path / "j", tmp_path / "flipped"
    whole = small_journal(path)
    content = path.read_bytes()
    for place in range(mask % 13, len(content), 13):
        flipped = content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
        assert notices(trial, flipped, whole), f"byte {place}"


@pytest.mark.slow
def test_every_changed_byte_of_the_whole_file_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path, trial = tmp_path / "j", tmp_path / "flipped"
    whole = small_journal(path)
    content = path.read_bytes()
    for place in range(len(content)):
        for mask in (0x01, 0x10, 0x80, 0xFF):
            flipped = content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
            assert notices(trial, flipped, whole), f"byte {place} ^ {mask}"
