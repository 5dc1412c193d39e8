"""A judge is asked in one batch and paid by the exam's account; what it fails to say is never taken for a verdict."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from netgain.domains.problem import Grade, Question, text_of
from netgain.errors import FaultError
from netgain.exam.exam import Judge, Marked, judged
from netgain.metering.account import Account, Book
from netgain.model.program import run
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.records.cost import Purpose


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as book:
        yield book.account("exam", purpose=Purpose.EVALUATE)


def marked(answer: str, *, exact: bool) -> Marked:
    return Marked(Question("By which river?", ("Elbe",)), answer, Grade(exact, 0.5))


def verdicts(
    said: Callable[[Generate], str], answers: Sequence[Marked], account: Account, *, decides: bool
) -> tuple[Marked, ...]:
    judge = Judge(scripted_model(said), decides=decides)
    ((_, ended),) = run({"": judged(judge, answers, account)})
    assert ended.value is not None
    return ended.value


def by_answer(request: Generate) -> str:
    """Says yes to what speaks of the Elbe, nothing that can be read to what is unclear, and no to all else."""
    answer = text_of(request.prompt).rpartition("<<<\n")[2].partition("\n>>>")[0]
    if answer == "broken":
        raise ValueError("the judge broke")
    return "yes" if "Elbe" in answer else "perhaps" if "unclear" in answer else "no"


ANSWERS = [
    marked("Elbe", exact=True),
    marked("the Elbe river", exact=False),
    marked("Oder", exact=False),
    marked("unclear", exact=True),
    marked("broken", exact=True),
    marked("", exact=False),
]


def test_beside_the_grade_a_verdict_changes_nothing(account: Account) -> None:
    found = verdicts(by_answer, ANSWERS, account, decides=False)
    assert [mark.grade.judged for mark in found] == [True, True, False, None, None, None]
    assert [mark.grade.score for mark in found] == [mark.grade.score for mark in ANSWERS]
    assert {mark.grade.decides for mark in found} == {"exact"}


def test_where_it_decides_what_cannot_be_read_stays_on_exact_match(account: Account) -> None:
    found = verdicts(by_answer, ANSWERS, account, decides=True)
    assert [mark.grade.correct for mark in found] == [True, True, False, True, True, False]
    assert [mark.grade.exact for mark in found] == [True, False, False, True, True, False]
    assert {mark.grade.f1 for mark in found} == {0.5}


def test_where_it_decides_and_its_server_fails_nobody_elses_grade_stands_in(account: Account) -> None:
    def dead(request: Generate) -> str:
        raise ConnectionError("HTTP 503")

    with pytest.raises(FaultError, match=r"model scripted: gave no answer in 1 attempt \(server: HTTP 503\)"):
        verdicts(dead, ANSWERS[:2], account, decides=True)
    assert [charge.outcome for charge in account.book.charges()] == ["failed", "failed"]
    beside = verdicts(dead, ANSWERS[:2], account, decides=False)
    assert [(mark.grade.judged, mark.grade.correct) for mark in beside] == [(None, True), (None, False)]


def test_every_question_is_paid_under_evaluate_and_empty_answers_are_not_asked(account: Account) -> None:
    verdicts(by_answer, ANSWERS, account, decides=False)
    charges = account.book.charges()
    assert len(charges) == 5  # the one that broke is paid as well
    assert {(charge.purpose, charge.opened.name, charge.cost.flops) for charge in charges} == {
        (Purpose.EVALUATE, "judge", 1.0)
    }
    assert all(account.holds(charge) for charge in charges)


def test_without_anything_to_ask_nothing_is_opened(account: Account) -> None:
    before = account.book.length
    assert verdicts(by_answer, [ANSWERS[-1]], account, decides=True) == (ANSWERS[-1],)
    assert account.book.length == before
