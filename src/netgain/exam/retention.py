"""Retention: what is left of earlier adaptations after later ones on the same weights (SEAL's continual experiment).

A model adapts to problem 1, the adapter is merged into its weights, it adapts to problem 2, and so on; after each the
questions of all the problems are asked. What is kept outside the weights (passages before the question) stays with its
own problem, as a library does.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from netgain.domains.few_shot import FewShot
from netgain.domains.grading import Grader
from netgain.domains.problem import Problem, Prompts
from netgain.errors import NetgainError, is_fault
from netgain.exam.exam import Answerer, Judge, Marked, accuracy, judged, sit
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps, together

Matrix = tuple[tuple[float | None, ...], ...]


def stream(
    adapt: Callable[[int, Problem, Model], Steps[Answerer]],
    merge: Callable[[Answerer, int], Model],
    model: Model,
    problems: Sequence[Problem],
    prompts: Prompts,
    account: Account,
    grade: Grader,
    judge: Judge | None = None,
    few_shot: FewShot | None = None,
) -> Steps[tuple[Matrix, str]]:
    """The matrix (row k: accuracy on every problem after k adaptations) and why it ended early, empty where it did not.

    ``adapt`` adapts a model to a problem, ``merge`` gives the model with the k-th adaptation in its weights.
    A ``judge`` is asked where its verdicts are what counts. A fault of the machine or a server is raised.
    """
    kept: dict[str, Answerer] = {}
    judge = judge if judge is not None and judge.decides else None
    matrix = [(yield from _ask_all(model, kept, problems, prompts, account, grade, judge, few_shot))]
    for number, problem in enumerate(problems):
        try:
            answerer = yield from adapt(number, problem, model)
            model = merge(answerer, number)
        except (NetgainError, ValueError, TypeError) as error:
            if is_fault(error):
                raise
            return tuple(matrix), f"problem {problem.id}: {error}"
        kept[problem.id] = answerer
        matrix.append((yield from _ask_all(model, kept, problems, prompts, account, grade, judge, few_shot)))
    return tuple(matrix), ""


def _ask_all(
    model: Model,
    kept: dict[str, Answerer],
    problems: Sequence[Problem],
    prompts: Prompts,
    account: Account,
    grade: Grader,
    judge: Judge | None,
    few_shot: FewShot | None,
) -> Steps[tuple[float | None, ...]]:
    exams = [
        sit(_answerer(kept.get(problem.id), model), problem.questions, prompts, account, grade, few_shot=few_shot)
        for problem in problems
    ]
    marks: list[tuple[Marked, ...]] = yield from together(exams)
    if judge is not None:
        marks = yield from together([judged(judge, marked, account) for marked in marks])
    return tuple(accuracy(marked) if marked else None for marked in marks)


def _answerer(earlier: Answerer | None, model: Model) -> Answerer:
    """The weights as they are now, and what the problem's own adaptation keeps outside them."""
    return Answerer(model=model) if earlier is None else replace(earlier, model=model, adapter=None, voter=None)
