"""Self-evaluation: a method's own exams, paid from its budget; and discarding what lost."""

from collections.abc import Iterable, Sequence

from netgain.domains.problem import Problem
from netgain.exam.exam import Answerer, Marked, accuracy, put_question, sit
from netgain.methods.method import Desk
from netgain.methods.writing import Pair
from netgain.model.program import Steps, ask, together
from netgain.model.requests import Score
from netgain.records.cost import Purpose

ADAPTED = 3.0  # an answer with an adapter costs less than three without one; quotes need no adapter to exist yet


def score(desk: Desk, answerer: Answerer, problem: Problem) -> Steps[float]:
    """The accuracy of ``answerer`` on one training problem's questions, 0 to 1."""
    (marked,) = yield from examine(desk, [(answerer, problem)])
    return accuracy(marked)


def examine(desk: Desk, exams: Sequence[tuple[Answerer, Problem]]) -> Steps[list[tuple[Marked, ...]]]:
    """The graded answers of each answerer to its problem's questions, as one batch, charged under ``score``."""
    account = desk.pay(Purpose.SCORE)
    sittings = [
        sit(answerer, problem.questions, desk.prompts, account, desk.grade, few_shot=desk.few_shot)
        for answerer, problem in exams
    ]
    return (yield from together(sittings))


def exam_quote(desk: Desk, problem: Problem) -> float:
    """An upper bound on one exam of an adapter on this problem, in the trial's currency."""
    account = desk.pay(Purpose.SCORE)
    put = [
        put_question(Answerer(model=desk.model), question, desk.prompts, account, desk.few_shot)
        for question in problem.questions
    ]
    requests = [request for parts in put for views in parts for _, request in views]
    return ADAPTED * sum(desk.bounds(requests))


def likelihood(desk: Desk, answerer: Answerer, pairs: Sequence[Pair]) -> Steps[float]:
    """The mean log-likelihood of these answers to their questions; minus infinity where none can be scored."""
    account = desk.pay(Purpose.SCORE)
    requests = [
        Score(
            account=account,
            prompt=desk.prompts.ask(pair.question),
            continuation=desk.prompts.said(pair.answer),
            adapter=answerer.adapter,
        )
        for pair in pairs
    ]
    results = yield from ask(answerer.model, requests)
    scores = [result.value.log_likelihood for result in results if result.value]
    return sum(scores) / len(scores) if scores else float("-inf")


def discard(desk: Desk, charges: Iterable[int], reason: str) -> None:
    """Mark finished work as thrown away: it stays paid for and no longer counts as useful."""
    desk.account.book.discard(list(charges), reason)
