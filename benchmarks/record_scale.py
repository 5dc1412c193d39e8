"""What it takes to verify and to judge a large run: processor seconds and memory, by rows.

A journal of so many rows is written through the book, in batches as a run writes them; and the rows of a trial of so
many adaptations. Each is then verified, or judged, in a process of its own, whose peak memory is that above an empty
one's::

    python benchmarks/record_scale.py                # 200,000 rows in a journal, 20,000 adaptations
    python benchmarks/record_scale.py 1000000 50000
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.records.claim import Role
from netgain.records.cost import Cost, Purpose
from netgain.records.identity import digest
from netgain.records.samples import Adaptation, GradedAnswer, WrittenText, read_rows, write_rows
from netgain.trials.spec import TrialSpec
from netgain.trials.trial_claim import claim_of

BATCH = 64
SPEC = {
    "name": "scale",
    "domains": {"towns": {"kind": "people"}},
    "problems": {"train": 1, "development": 1, "test": 1},
    "budget": {"per_problem": 8, "ladder": [1]},
    "arms": {"frozen": {"method": "frozen"}, "passage": {"method": "finetune"}},
    "compare": {"arm": "passage", "against": "frozen"},
}


def write_journal(path: Path, rows: int) -> None:
    """A journal of about so many rows: an account for every batch of charges."""
    with Book.open(path) as book:
        root = book.account("towns", run="run#1", arm="passage", seed=0)
        for number in range(rows // (2 * BATCH + 1)):
            account = root.child(f"problem {number}", purpose=Purpose.ADAPT)
            held = [account.reserve("train", Cost(flops=2.0, updates=1.0)) for _ in range(BATCH)]
            for reservation in held:
                reservation.settle(Cost(flops=2.0, updates=1.0))


def write_samples(path: Path, rows: int) -> None:
    """The rows of two arms on half as many problems, five questions each, with one edit."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            arm, problem = ("frozen", "passage")[number % 2], f"p{number // 2}"
            asked = [digest("q", f"{problem} {index}") for index in range(5)]
            answers = tuple(
                GradedAnswer(question=question, kind="knowledge", text="a town", correct=index > 2, f1=0.5)
                for index, question in enumerate(asked)
            )
            edit = WrittenText(purpose=Purpose.PROPOSE, text=f"{problem} lies in a valley by a river. " * 8)
            spent = {Purpose.ADAPT: {"flops": 8.0, "updates": 4.0}}
            row = Adaptation(
                domain="towns", arm=arm, seed=0, rung=1.0, problem=problem, spent=spent, answers=answers, edits=(edit,)
            )
            file.write(write_rows([row]))


def judge(path: Path) -> int:
    """The claim of a file of rows: how many arms it has."""
    spec = TrialSpec.model_validate(SPEC)
    return len(claim_of(spec, read_rows(path), {"frozen": Role.FROZEN, "finetune": Role.PASSAGE}).arms)


def alone(what: str, path: Path) -> None:
    """Print what one of these takes in this process, beyond what its imports take."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if what == "verify":
        found = verify(path)
        assert found.ok
        rows = found.rows
    else:
        rows = path.read_bytes().count(b"\n")
        assert judge(path) == 2
    memory = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    seconds = time.process_time() - began
    print(json.dumps({"what": what, "rows": rows, "seconds": round(seconds, 2), "bytes_a_row": round(memory / rows)}))


def main(journal_rows: int, sample_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for what, rows, write in (("verify", journal_rows, write_journal), ("judge", sample_rows, write_samples)):
            path = Path(folder) / what
            write(path, rows)
            subprocess.run([sys.executable, __file__, what, str(path)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("verify", "judge"):
        alone(sys.argv[1], Path(sys.argv[2]))
    else:
        main(*(int(word) for word in sys.argv[1:] or ("200000", "20000")))
