"""What a task does: an arm's run in a domain under a seed, or its tuning there.

A run invests once, adapts to every test problem at every budget level, and examines. What was learned adapts to the
development problems too: tuning had to do without it.

In tuning every arm tries as many settings on development problems, pays for it under ``tune``, and keeps the best.
Each candidate adapts at the budget level at which the arm is compared, so that nobody is tuned for another budget than
the one it is judged at. An arm that learns is tuned without what it would learn (``learned`` None): to invest anew for
every candidate would cost a run each, and what is tuned is how it adapts; settings that only ``learn`` reads cannot be
told apart here. Random numbers are those of the domain and the problems, not of the arm: arms that adapt alike (an
outer loop and its control) try the same settings, see the same results, and are tuned alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, final

from pydantic import ValidationError

from netgain.domains.problem import Problem
from netgain.exam.drift import BaseContinuation, sample
from netgain.exam.exam import JUDGE, Answerer
from netgain.exam.retention import Matrix, stream
from netgain.metering.account import Account, Book
from netgain.metering.budget import Booking
from netgain.methods.method import Method, Settings
from netgain.model.metered import Model
from netgain.model.program import Steps, run
from netgain.records.chain import read
from netgain.records.claim import RewardRun, Role
from netgain.records.cost import Purpose
from netgain.records.events import Noted
from netgain.records.identity import canonical
from netgain.records.samples import Adaptation, AdaptationStream, Attempt, GradedAnswer, Investment, Row, Tuning
from netgain.trials.context import (
    WIDTH,
    ChargesBelow,
    Evaluation,
    RunContext,
    amounts,
    by_purpose,
    closed_book,
    describe,
    evaluate,
    seconds,
    spent_and_rejected,
)
from netgain.trials.guard import hashed
from netgain.trials.resolve import ResolvedArm
from netgain.trials.tasks import candidates, changed, learn_limit

T = TypeVar("T")
REWARDS = "rewards"  # the word under which methods note their rewards in the journal


@final
@dataclass(frozen=True, slots=True, eq=False)
class LearnResult:
    """What a method learned, what it read and had written on the way, and the exam questions that it trained on."""

    learned: Any = None
    row: Investment | None = None
    given: tuple[str, ...] = ()
    exposed: frozenset[str] = frozenset()
    error: str = ""


def run_arm(context: RunContext, method: Method) -> list[Row]:
    """The rows of one run: its investment, its adaptations by level and problem (development last), its stream."""
    spec = context.spec
    problems = context.problems("test", spec.problems.test)
    learning = _learn(context, method, problems) if method.learns else LearnResult()
    continuations = _continuations(context)
    evaluations = [
        context.evaluation(level, group, **_beside(context, method, level, continuations))
        for level in spec.budget.ladder
        for group in context.groups(problems)
    ]
    if method.learns:  # by these it is chosen among its rivals: its tuning had to do without what it learned
        evaluations += _development(context, method, "development")
    if not learning.error:
        _examine(context, method, learning, evaluations)
    rows: list[Row] = [learning.row] if learning.row else []
    rows += _rows(context, evaluations, learning)
    if spec.exam.stream:
        rows.append(_stream(context, method, learning, problems))
    return rows


def _examine(
    context: RunContext, method: Method, learning: LearnResult, evaluations: Sequence[Evaluation], before: int = 0
) -> None:
    """All adaptations and exams side by side, as one batch wherever they ask for the same at once; ``before`` counts
    the task's earlier adaptations. What a method raises is kept in its evaluation; anything else is raised."""
    programs = {
        index: evaluate(context, method, learning.learned, learning.given, one) for index, one in enumerate(evaluations)
    }
    done: list[int] = []
    for index, ended in run(programs, width=WIDTH, between=lambda: context.progress(before + len(done))):
        _value(ended.value, ended.error)
        done.append(index)
        context.progress(before + len(done))


def _value(value: T | None, error: Exception | None) -> T:
    if error is not None or value is None:
        raise error or RuntimeError("a program ended without a value")
    return value


def _alone(program: Steps[T]) -> T:
    """Run one program to its end, and raise what it raises."""
    ((_, ended),) = run({"": program})
    return _value(ended.value, ended.error)


# -- learning


def _learn(context: RunContext, method: Method, tests: Sequence[Problem]) -> LearnResult:
    training = context.problems("train", context.spec.problems.train)
    account = context.root.child("learn", limit=learn_limit(context.spec))
    desk = context.desk(account, "learn")
    given = [text for problem in training for text in _texts(problem)]
    guard = context.guard(desk, given)
    program = guard.watch(lambda: method.learn(guard.desk, training))
    ((_, ended),) = run({"learn": program}, between=lambda: context.progress(0))
    charges = ChargesBelow(context.book, [account]).of(account)
    error = "" if ended.error is None else f"learn: {describe(ended.error)}"
    if not error and guard.unmetered(seconds(charges)):
        error = f"learn: it worked {guard.seconds:.0f} processor seconds of its own beside what it was charged for"
    row = Investment(
        **context.key,
        status="failed" if error else "ok",
        error=error,
        budget=account.opened.limit.amount(context.spec.budget.currency),
        rewards=_noted_rewards(context.book, context.root),
        **spent_and_rejected(charges, context.spec.budget.currency),
    )
    exposed = guard.exposed([question for problem in tests for question in problem.questions], desk)
    return LearnResult(ended.value, row, (*given, *guard.texts), frozenset(exposed), error)


def _texts(problem: Problem) -> Iterator[str]:
    yield from (problem.material.title, problem.material.text)
    for question in problem.questions:
        yield from (question.text, *question.answers)


def _noted_rewards(book: Book, root: Account) -> tuple[RewardRun, ...]:
    """The rewards that a method noted in this attempt; a note that is none is left out."""
    book.flush()
    rewards = []
    for row in read(book.journal.path).records:
        if row.seq > root.row and isinstance(row.event, Noted) and row.event.text == REWARDS:
            fields = {name: value for name, value in row.event.data.items() if name != "names"}
            try:
                rewards.append(RewardRun.model_validate(fields))
            except ValidationError:
                continue
    return tuple(rewards)


# -- examination


def _development(context: RunContext, method: Method, name: str) -> list[Evaluation]:
    """Adaptations to all development problems at the level at which the arm is compared; part of its tuning."""
    level, problems = context.level(method), context.problems("development", context.spec.problems.development)
    return [
        context.evaluation(level, group, Purpose.TUNE, name=f"{name}: {group[0].id}", stage="development")
        for group in context.groups(problems)
    ]


def _continuations(context: RunContext) -> tuple[BaseContinuation, ...]:
    """What the untouched model goes on with after questions that no problem is about."""
    count, prompts = context.spec.exam.drift, context.domain.prompts
    if not count:
        return ()
    prompted = [prompts.ask(question.text) for question in context.domain.controls(count, context.spec.seed)][:count]
    account = context.root.child("drift", purpose=Purpose.EVALUATE)
    seed = context.desk(account, "drift").draw()
    return _alone(sample(context.model, prompted, account, max_new_tokens=prompts.max_new_tokens, seed=seed))


def _beside(
    context: RunContext, method: Method, level: float, continuations: tuple[BaseContinuation, ...]
) -> dict[str, Any]:
    """What is examined beside the problems' own questions at a level: what adapting did to the weights.

    An arm that only reads at the exam has the frozen model's weights, and its answers to control questions under a
    passage that has nothing to do with them would say nothing about what it forgot.
    """
    exam = context.spec.exam
    if level not in exam.at or method.role is Role.IN_CONTEXT:
        return {}
    controls = context.domain.controls(exam.controls, context.spec.seed) if exam.controls else ()
    return {"controls": tuple(controls), "continuations": continuations}


def _rows(context: RunContext, evaluations: Sequence[Evaluation], learning: LearnResult) -> Iterator[Adaptation]:
    paid = [account for one in evaluations for account in one.accounts]
    judges = [one.exam_account.child(JUDGE) for one in evaluations] if context.judge is not None else []
    charges = ChargesBelow(context.book, [*paid, *judges])
    for index, evaluation in enumerate(evaluations):
        judging = charges.of(judges[index]) if judges else []
        yield from _rows_of(context, evaluation, charges, learning, judging)


def _rows_of(
    context: RunContext,
    evaluation: Evaluation,
    charges: ChargesBelow,
    learning: LearnResult,
    judging: Sequence[Booking],
) -> Iterator[Adaptation]:
    """A row for each problem of the evaluation, which share alike in what it spent."""
    share, currency = 1.0 / len(evaluation.problems), context.spec.budget.currency
    paid, guard = charges.of(evaluation.account), evaluation.guard
    budget = evaluation.account.opened.limit.amount(currency)
    error = learning.error or (evaluation.error if guard else "it was not run")
    answers = _answers(evaluation)
    for index, problem in enumerate(evaluation.problems):
        names = [hashed(question.text) for question in problem.questions]
        exposed = [name for name in names if name in learning.exposed or name in evaluation.exposed]
        yield Adaptation(
            **context.key,
            stage=evaluation.stage,
            rung=evaluation.level,
            problem=problem.id,
            status="failed" if error else "ok",
            error=error,
            budget=None if budget is None else budget * share,
            evaluated=amounts(charges.of(evaluation.exam_account), currency, share),
            judging=amounts(judging, currency, share) if judging else {},
            answers=answers[index],
            edits=tuple(guard.edits) if guard and index == 0 else (),
            exposed=tuple(dict.fromkeys(exposed)),
            unmetered=guard.unmetered(seconds(paid)) if guard else False,
            divergence=evaluation.divergence,
            **spent_and_rejected(paid, currency, share),
        )


def _answers(evaluation: Evaluation) -> list[tuple[GradedAnswer, ...]]:
    """The answers of each problem, in the exam's order; controls are the first problem's.

    Where an adaptation failed, its own questions count as wrong, and the controls were not asked.
    """
    marked = {id(mark.question): mark for mark in evaluation.marked}
    answers = []
    for index, problem in enumerate(evaluation.problems):
        graded = []
        for question in (*problem.questions, *(evaluation.controls if index == 0 and marked else ())):
            mark = marked.get(id(question))
            graded.append(
                GradedAnswer(
                    question=hashed(question.text),
                    kind=question.kind,
                    text=mark.answer if mark else "",
                    correct=mark.grade.correct if mark else False,
                    f1=mark.grade.f1 if mark else 0.0,
                    votes=mark.votes if mark else 1,
                    judged=mark.judged if mark else None,
                    exact=mark.exact if mark else None,
                )
            )
        answers.append(tuple(graded))
    return answers


# -- retention


def _stream(
    context: RunContext, method: Method, learning: LearnResult, problems: Sequence[Problem]
) -> AdaptationStream:
    level, chosen = context.level(method), problems[: context.spec.exam.stream]
    account = context.root.child("exam of the stream", purpose=Purpose.EVALUATE)
    learned, paying = learning.learned, list[Account]()
    first = learned if isinstance(learned, Model) else context.model

    def adapt(number: int, problem: Problem, model: Model) -> Steps[Answerer]:
        evaluation = context.evaluation(level, (problem,), name=f"stream {number + 1}: {problem.id}")
        paying.append(evaluation.account)
        desk = context.desk(evaluation.account, "stream", problem.id).at(model=model)
        guard = context.guard(desk, [*learning.given, problem.material.title, problem.material.text])
        known = model if isinstance(learned, Model) else learned  # weights that were learned go through the stream
        answerer = yield from guard.watch(lambda: method.adapt(guard.desk, evaluation.materials, known))
        return closed_book(method, guard.check_answerer(answerer, evaluation.materials))

    def merge(answerer: Answerer, number: int) -> Model:
        if answerer.adapter is None:
            return answerer.model
        paid = context.root.child(f"stream {number + 1}: merge", purpose=Purpose.ADAPT)
        paying.append(paid)
        return answerer.model.merged(paid, answerer.adapter)

    matrix: Matrix = ()
    error = learning.error
    if not error:
        grade, prompts = context.domain.grade, context.domain.prompts
        matrix, error = _alone(stream(adapt, merge, first, chosen, prompts, account, grade, context.judge))
    charges, currency = ChargesBelow(context.book, [*paying, account]), context.spec.budget.currency
    return AdaptationStream(
        **context.key,
        rung=level,
        problems=tuple(problem.id for problem in chosen),
        matrix=matrix,
        spent=by_purpose(charges.of(*paying), currency),
        evaluated=amounts(charges.of(account), currency),
        status="failed" if error else "ok",
        error=error,
    )


# -- tuning


def tune_arm(context: RunContext, arm: ResolvedArm) -> tuple[Tuning, Settings]:
    """The row of one tuning, and the settings with which the arm then runs: the best tried, or those it was given."""
    currency = context.spec.budget.currency
    changes = candidates(context.spec, context.task.domain, arm)
    tried = [changed(arm.settings, change) for change in changes] or [arm.settings]
    trials: list[list[Evaluation]] = []
    for index, settings in enumerate(tried, start=1):
        method = arm.method(settings)
        evaluations = _development(context, method, f"trial {index}" if changes else "as given")
        _examine(context, method, LearnResult(), evaluations, before=sum(map(len, trials)))
        trials.append(evaluations)
    accuracies = [_accuracy(context, evaluations) for evaluations in trials]
    best = max(range(len(tried)), key=lambda index: accuracies[index] or 0.0)
    paid = [[account for one in evaluations for account in one.accounts] for evaluations in trials]
    accounts = [account for of_trial in paid for account in of_trial]
    charges = ChargesBelow(context.book, accounts)
    attempts = tuple(
        Attempt(
            settings={name: _scalar(value) for name, value in change.items()},
            accuracy=accuracies[index],
            spent=amounts(charges.of(*paid[index]), currency),
        )
        for index, change in enumerate(changes)
    )
    row = Tuning(
        domain=context.task.domain,
        arm=arm.name,
        attempts=attempts,
        chosen=best if changes else None,
        development=accuracies[best],
        spent=by_purpose(charges.of(*accounts), currency),
    )
    return row, tried[best]


def _accuracy(context: RunContext, evaluations: Sequence[Evaluation]) -> float | None:
    """On questions of the kind that is compared; a failed adaptation's count as wrong."""
    kind = context.spec.compare.exam
    asked = sum(question.kind == kind for one in evaluations for question in one.questions)
    right = sum(m.grade.correct for one in evaluations for m in one.marked if m.question.kind == kind)
    return right / asked if asked else None


def _scalar(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else canonical(value)
