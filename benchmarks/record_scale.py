"""What it takes to verify, to fold and to report a large run: processor seconds and peak memory, by rows.

A journal of so many rows is written through the book, in batches as a run writes them, then verified, and opened again
as a run does that goes on (its ledger is folded). A folder of a run whose journals have about so many rows together is
made with the scripted model, then verified and reported whole. Each is done in a process of its own, whose peak memory
is counted above what its imports take::

    python benchmarks/record_scale.py                # 30,000 and 100,000 rows
    python benchmarks/record_scale.py 1000000
    python benchmarks/record_scale.py --kept FOLDER 100000    # the inputs are kept there and found again
"""

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netgain import api
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.records.cost import Cost, Purpose

BATCH = 64
SEEDS = 5
A_PROBLEM = 58  # rows of journals that one more problem of the trial below makes, over its arms and seeds
MILLION = 1_000_000


def write_journal(path: Path, rows: int) -> None:
    """A journal of about so many rows: an account for every batch of charges."""
    with Book.open(path) as book:
        root = book.account("towns", run="run#1", arm="passage", seed=0)
        for number in range(rows // (2 * BATCH + 1)):
            account = root.child(f"problem {number}", purpose=Purpose.ADAPT)
            held = [account.reserve("train", Cost(flops=2.0, updates=1.0)) for _ in range(BATCH)]
            for reservation in held:
                reservation.settle(Cost(flops=2.0, updates=1.0))


def write_run(folder: Path, rows: int) -> None:
    """A whole run whose journals have about so many rows: three arms, five seeds, one budget level."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tests.trials import world

    problems = {"train": 4, "development": 2, "test": max(2, rows // (A_PROBLEM * SEEDS))}
    budget = {"per_problem": 8, "ladder": [1], "deployments": 8}
    exam = {"controls": 0, "drift": 0}
    asked = world.spec(problems=problems, seeds=SEEDS, budget=budget, exam=exam, tuning={"trials": 1})
    world.run(folder, asked, jobs=1)


def rows_of(path: Path) -> int:
    """How many rows the journals of a run have, or one journal."""
    journals = [path] if path.is_file() else [path / "history", *path.glob("units/*/journal")]
    found = 0
    for journal in journals:
        with sqlite3.connect(journal) as database:
            found += database.execute("SELECT COUNT(*) FROM events").fetchone()[0]
    return found


def verify_journal(path: Path) -> None:
    assert verify(path).ok


def fold_journal(path: Path) -> None:
    with Book.open(path) as book:
        assert book.standing.totals()


def verify_run(path: Path) -> None:
    assert api.verify_run(path) == []


def report_run(path: Path) -> None:
    assert not api.judge_folder(path).doubts


DONE: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], None]]] = {
    "verify a journal": (write_journal, verify_journal),
    "fold a journal": (write_journal, fold_journal),
    "report a run": (write_run, report_run),
    "verify a run": (write_run, verify_run),
}


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage also counts what the parent held before it started this one
        return 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(what: str, path: Path) -> None:
    """Print what one of these takes in this process, beyond what its imports take."""
    rows = rows_of(path)
    before, began = peak(), time.process_time()
    DONE[what][1](path)
    seconds, memory = time.process_time() - began, peak() - before
    figures = {"seconds": round(seconds, 2), "seconds_a_million": round(seconds / rows * MILLION, 1)}
    print(json.dumps({"what": what, "rows": rows, **figures, "bytes_a_row": round(memory / rows)}), flush=True)


def main(sizes: list[int], home: Path) -> None:
    for rows in sizes:
        for write in (write_journal, write_run):
            sound, path = home / f"{write.__name__}-{rows}", home / "now"
            if not sound.exists():
                write(sound, rows)
            _ = shutil.copytree(sound, path) if sound.is_dir() else shutil.copyfile(sound, path)
            for what in (what for what, (made_by, _) in DONE.items() if made_by is write):
                subprocess.run([sys.executable, __file__, "--alone", what, str(path)], check=True)
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--alone"]:
        alone(words[1], Path(words[2]))
    elif words[:1] == ["--kept"]:
        Path(words[1]).mkdir(parents=True, exist_ok=True)
        main([int(word) for word in words[2:]] or [30_000, 100_000], Path(words[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main([int(word) for word in words] or [30_000, 100_000], Path(folder))
