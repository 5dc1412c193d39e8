"""Score: a method's own exams on training problems, paid for; and what becomes of what lost."""

from collections.abc import Iterable, Sequence

from netgain.domains.problem import Problem
from netgain.exam.exam import Answerer, Marked, accuracy, sit
from netgain.methods.method import Desk
from netgain.model.lockstep import Steps, together
from netgain.records.purpose import Purpose


def score(desk: Desk, answerer: Answerer, problem: Problem) -> Steps[float]:
    """The accuracy of what answers on one training problem's questions."""
    (marked,) = yield from examine(desk, [(answerer, problem)])
    return accuracy(marked)


def examine(desk: Desk, sitters: Sequence[tuple[Answerer, Problem]]) -> Steps[list[tuple[Marked, ...]]]:
    """The graded answers of several to a problem's questions each, side by side, booked under ``score``."""
    account = desk.pay(Purpose.SCORE)
    marked = yield from together(
        [sit(answerer, problem.questions, desk.prompts, account, desk.grade) for answerer, problem in sitters]
    )
    return marked


def discard(desk: Desk, charges: Iterable[int], reason: str) -> None:
    """Mark finished work as thrown away: it stays paid and stops being useful."""
    desk.account.book.discard(list(charges), reason)
