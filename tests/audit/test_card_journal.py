"""A journal that a script wrote alone, and its answers, are rows of a claim card; what lies is refused."""

import json
import sqlite3
from pathlib import Path

import pytest

from netgain.audit.audit import audit, read_claim
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.records.claim import Claim
from netgain.records.cost import Cost, Purpose

CARD = """\
title: My script against fine-tuning
headline: mine
rival: tuned
frozen: base
arms:
  base: {role: frozen, accuracy: 0.3, n_questions: 8, n_problems: 4}
  tuned: {role: passage, accuracy: 0.4, n_questions: 8, n_problems: 4, updates: 5, flops: 50}
  mine: {role: self_improving, accuracy: 0.6, n_questions: 8, n_problems: 4, cost: {journal: my.journal, account: mine}}
"""
STEP = Cost(flops=10.0, updates=1.0, tokens_real=3.0, tokens_padded=4.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal: of the account ``mine`` eight steps, two of writing, four of learning and an exam; and another's."""
    with Book.open(tmp_path / "my.journal") as book:
        account = book.account("mine")
        work = {Purpose.ADAPT: 8, Purpose.PROPOSE: 2, Purpose.LEARN: 4, Purpose.EVALUATE: 3}
        for purpose, steps in work.items():
            for _ in range(steps):
                account.under(purpose).reserve("train", STEP).settle(STEP)
        other = book.account("other", purpose=Purpose.ADAPT)
        other.reserve("train", STEP).settle(Cost(flops=10.0))
    return tmp_path


def read(folder: Path, text: str = CARD) -> Claim:
    (folder / "card.yaml").write_text(text, encoding="utf-8")
    return read_claim(folder / "card.yaml")


def test_an_arm_is_charged_for_all_that_the_journal_holds_but_its_evaluation(folder: Path) -> None:
    claim = read(folder)
    row = audit(claim).arm("mine")
    assert row.updates_per_problem == pytest.approx((8 + 2) / 4)  # what it learned is a bill, which all problems share
    (learned,) = [charge for charge in claim.charges if charge.arm == "mine: learning"]
    assert (learned.cost.flops, learned.cost.updates) == (40, 4)
    assert claim.arms[2].invests == ("mine: learning",)
    (exam,) = [charge for charge in claim.charges if charge.purpose is Purpose.EVALUATE]
    assert exam.cost.flops == 30
    (adapting,) = [c for c in claim.charges if c.operation == "adapt on account mine"]
    assert adapting.source.file == "my.journal"
    assert "8 charges; head " in adapting.source.note


def test_the_number_of_problems_that_a_journal_covers_may_be_stated(folder: Path) -> None:
    row = audit(read(folder, CARD.replace("account: mine}", "account: mine, problems: 2}"))).arm("mine")
    assert row.updates_per_problem == pytest.approx((8 + 2) / 2)


def test_what_the_journal_does_not_know_stays_unknown(folder: Path) -> None:
    claim = read(folder, CARD.replace("account: mine}", "account: other}"))
    (charge,) = [one for one in claim.charges if one.arm == "mine"]
    assert (charge.cost.flops, charge.cost.updates) == (10, None)


REFUSED = {
    "no journal": (
        ("my.journal", "your.journal"),
        r"no journal .*your.journal; paths are relative to the card",
    ),
    "no account": (("account: mine", "account: mines"), r"no account 'mines'; did you mean 'mine'"),
    "stated as well": (("cost:", "updates: 4, cost:"), r"card.yaml:8: .*updates is stated beside a cost"),
    "another head": (("account: mine", "account: mine, head: 'ab0'"), r"no row has the published hash ab0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_cost_that_cannot_be_had_is_refused(what: str, folder: Path) -> None:
    (old, new), said = REFUSED[what]
    with pytest.raises(InputError, match=said):
        read(folder, CARD.replace(old, new))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE events SET record = replace(record, '\"flops\":10', '\"flops\":1')", "row 3"),
        ("DELETE FROM events WHERE seq > 10", "rows are missing at the end"),
        ("UPDATE events SET hash = replace(hash, 'a', 'b')", "row 0"),
    ],
)
def test_a_journal_that_was_edited_or_has_wrong_hashes_is_refused(folder: Path, change: str, said: str) -> None:
    with sqlite3.connect(folder / "my.journal") as journal:
        journal.execute(change)
    with pytest.raises(InputError, match=rf"card.yaml: arms.mine.cost: journal .* does not hold: .*{said}"):
        read(folder)


def answers(folder: Path, name: str, right: int) -> None:
    """Eight answers to two questions about each of four passages, the first ones right."""
    pairs = [(f"p{problem}", f"Where is {problem}, {question}?") for problem in range(4) for question in range(2)]
    rows = [{"problem": p, "question": q, "correct": number < right} for number, (p, q) in enumerate(pairs)]
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def test_its_evaluation_is_read_from_a_file_of_answers(folder: Path) -> None:
    text = CARD.replace("accuracy: 0.6, n_questions: 8, n_problems: 4", "answers: mine.jsonl")
    text = text.replace("accuracy: 0.4, n_questions: 8, n_problems: 4", "answers: tuned.jsonl")
    answers(folder, "mine.jsonl", 6)
    answers(folder, "tuned.jsonl", 3)
    claim = read(folder, text)
    mine, tuned = claim.arms[2], claim.arms[1]
    assert (mine.accuracy, mine.n_questions, mine.n_problems, mine.correct) == (0.75, 8, 4, ("11", "11", "11", "00"))
    assert tuned.correct == ("11", "10", "00", "00")
    assert "Where is" not in claim.model_dump_json()
    verdict = audit(claim)
    row = next(row for row in verdict.comparisons if {"mine", "tuned"} <= {row.a, row.b})
    assert row.difference == pytest.approx(3 / 8)


def test_a_file_of_answers_that_is_none_is_refused_with_its_line(folder: Path) -> None:
    text = CARD.replace("accuracy: 0.6, n_questions: 8, n_problems: 4", "answers: mine.jsonl")
    answers(folder, "mine.jsonl", 6)
    whole = (folder / "mine.jsonl").read_text().splitlines()
    for line, said in (
        ("{", "is not JSON"),
        ('{"problem": "p"}', "question: Field required"),
        (whole[0], "was answered before"),
    ):
        (folder / "mine.jsonl").write_text("\n".join([*whole, line]))
        with pytest.raises(InputError, match=f"mine.jsonl:9: .*{said}"):
            read(folder, text)
    (folder / "mine.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no answers"):
        read(folder, text)
