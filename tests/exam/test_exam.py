"""The exam: every question asked and graded in its order, paid by whom the law says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.problem import Grade, Material, Prompts, Question
from netgain.errors import BudgetExceeded
from netgain.exam.exam import Answerer, Marked, accuracy, sit
from netgain.metering.account import Account, Book
from netgain.model import Generate, Model, scripted_model
from netgain.model.program import Steps, run
from netgain.model.requests import Answered, Failure, Finish, Result
from netgain.records.cost import Cost, Currency, Purpose

PROMPTS = Prompts(closed="{question}", open_book="{text}|{question}", answered="", formats={}, max_new_tokens=3)
QUESTIONS = (Question("town?", ("Rome",)), Question("pet?", ("cat", "a cat")), Question("job?", ("none",)))


def grade(question: Question, answer: str) -> Grade:
    return Grade(answer in question.answers, 0.5)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def evaluation(book: Book) -> Account:
    return book.account("exam").under(Purpose.EVALUATE)


def finish(steps: Steps[Any]) -> Any:
    ((_, ended),) = run({0: steps})
    if ended.error is not None:
        raise ended.error
    return ended.value


def sat(answerer: Answerer, account: Account, questions: tuple[Question, ...] = QUESTIONS) -> tuple[Marked, ...]:
    return tuple(finish(sit(answerer, questions, PROMPTS, account, grade)))


KNOWS = {"town?": " Rome\n", "pet?": "a cat", "job?": "baker"}


def test_questions_are_answered_in_their_order_and_graded(evaluation: Account) -> None:
    marked = sat(Answerer(model=scripted_model(KNOWS)), evaluation)
    assert [(mark.question.text, mark.answer, mark.grade.correct) for mark in marked] == [
        ("town?", "Rome", True),
        ("pet?", "a cat", True),
        ("job?", "baker", False),
    ]
    assert accuracy(marked) == pytest.approx(2 / 3)
    assert {charge.purpose for charge in evaluation.book.charges()} == {Purpose.EVALUATE}


def test_a_passage_stands_before_the_question_in_context(evaluation: Account) -> None:
    model = scripted_model({"It is Rome.|town?": "Rome"})
    answerer = Answerer(model=model, context=(Material("a", "A", "It is Rome."),))
    assert sat(answerer, evaluation, QUESTIONS[:1])[0].grade.correct


def test_what_an_arm_reads_is_not_shown_with_control_questions_nor_are_they_voted_on(book: Book) -> None:
    """They are about the weights: a passage that has nothing to do with a question would only confuse."""
    told, river = Material("a", "A", "It is Rome."), Material("b", "B", "It is the Po.")
    model = scripted_model({"It is Rome.|town?": "Rome", "pet?": "cat", "It is the Po.|river?": "Po"})
    voter = book.account("votes", limit=Cost(flops=3)).under(Purpose.ADAPT)
    answerer = Answerer(model=model, context=(told,), voter=voter)
    controls = (QUESTIONS[1], Question("river?", ("Po",), "skill", river))
    account = book.account("exam").under(Purpose.EVALUATE)
    marked = finish(sit(answerer, QUESTIONS[:1], PROMPTS, account, grade, controls))
    assert [(mark.answer, mark.grade.correct, mark.votes) for mark in marked] == [
        ("Rome", True, 4),
        ("cat", True, 1),
        ("Po", True, 1),
    ]


def test_a_failed_answer_counts_as_wrong_and_says_why(evaluation: Account) -> None:
    marked = sat(Answerer(model=scripted_model({"town?": "Rome"})), evaluation)
    assert [mark.grade.correct for mark in marked] == [True, False, False]
    assert "refused" in marked[1].failed
    assert (marked[0].failed, marked[1].answer) == ("", "")


def test_nobody_sits_an_exam_that_is_not_paid_for(book: Book) -> None:
    poor = book.account("poor", limit=Cost(flops=2)).under(Purpose.SCORE)
    with pytest.raises(BudgetExceeded):
        sat(Answerer(model=scripted_model(KNOWS)), poor)
    assert poor.spent(Currency.FLOPS) == 0


def test_an_exam_without_questions_costs_nothing_and_has_no_accuracy(evaluation: Account) -> None:
    assert sat(Answerer(model=scripted_model({})), evaluation, ()) == ()
    with pytest.raises(ValueError, match="without questions"):
        accuracy(())


def wavering() -> Model:
    """Greedily wrong, by chance mostly right."""

    def answer(request: Generate) -> str:
        if request.temperature == 0:
            return "wrong"
        return "Rome" if request.seed % 3 else f"other {request.seed}"

    return scripted_model(answer)


def test_the_votes_of_a_majority_are_paid_by_the_voter(book: Book, evaluation: Account) -> None:
    voter = book.account("arm", limit=Cost(flops=9)).under(Purpose.ADAPT)
    (mark,) = sat(Answerer(model=wavering(), voter=voter), evaluation, QUESTIONS[:1])
    assert (mark.answer, mark.votes) == ("Rome", 10)
    assert (voter.spent(Currency.FLOPS), evaluation.spent(Currency.FLOPS)) == (9, 1)


def test_votes_are_shared_out_evenly_and_nothing_is_left_over(book: Book, evaluation: Account) -> None:
    voter = book.account("arm", limit=Cost(flops=7)).under(Purpose.ADAPT)
    marked = sat(Answerer(model=wavering(), voter=voter), evaluation)
    assert [mark.votes for mark in marked] == [4, 3, 3]
    assert voter.spent(Currency.FLOPS) == 7


def test_a_voter_without_money_leaves_the_greedy_answer(book: Book, evaluation: Account) -> None:
    voter = book.account("arm", limit=Cost(flops=0)).under(Purpose.ADAPT)
    (mark,) = sat(Answerer(model=wavering(), voter=voter), evaluation, QUESTIONS[:1])
    assert (mark.answer, mark.votes) == ("wrong", 1)


def test_the_first_given_wins_among_equals(book: Book, evaluation: Account) -> None:
    voter = book.account("arm", limit=Cost(flops=1)).under(Purpose.ADAPT)
    model = scripted_model(lambda request: "greedy" if request.temperature == 0 else "drawn")
    assert sat(Answerer(model=model, voter=voter), evaluation, QUESTIONS[:1])[0].answer == "greedy"


def test_a_budget_that_does_not_count_answers_buys_no_votes(book: Book, evaluation: Account) -> None:
    voter = book.account("arm", limit=Cost(updates=9)).under(Purpose.ADAPT)
    (mark,) = sat(Answerer(model=wavering(), voter=voter, currency=Currency.UPDATES), evaluation, QUESTIONS[:1])
    assert (mark.answer, mark.votes) == ("wrong", 1)


def test_an_answer_that_was_as_long_as_it_may_be_is_known_as_cut_and_graded_as_far_as_it_goes(
    evaluation: Account,
) -> None:
    ends: tuple[Finish, ...] = ("length", "stop", "eos")
    results: list[Any] = [Result(Answered("Rome", 3, end), None, (), Cost()) for end in ends]
    results.append(Result(None, Failure("malformed", "no text", 1), (), Cost()))
    steps = sit(Answerer(model=scripted_model({})), (QUESTIONS[0],) * 4, PROMPTS, evaluation, grade)
    next(steps)
    with pytest.raises(StopIteration) as ended:
        steps.send([results])
    marked: tuple[Marked, ...] = ended.value.value
    assert [(mark.cut, mark.grade.correct) for mark in marked] == [
        *((True, True), (False, True), (False, True)),
        (False, False),
    ]
    assert accuracy(marked) == 0.75


def test_where_f1_decides_the_mean_is_over_fractions() -> None:
    scores = (1.0, 0.5, 0.2)
    marked = [Marked(QUESTIONS[0], "x", Grade(False, f1, decides="f1")) for f1 in scores]
    assert accuracy(marked) == pytest.approx(1.7 / 3)
