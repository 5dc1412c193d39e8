"""What a task does: an arm's run in a domain under a seed, or its tuning there.

A run adapts to every test problem at every budget level, and examines; an arm that learns invests first, at each level
anew, for a level is a total.

In tuning every arm tries as many settings on the same development problems, pays for it under ``tune``, and keeps the
best. Each trial is what a run would do with these settings at the level at which arms are compared, learning included,
so that nobody is tuned for another budget than the one it is judged at. Random numbers are those of the domain and the
problems, not of the arm: arms that are alike try the same settings, see the same results, and are tuned alike.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar, final

from pydantic import BaseModel, ValidationError

from netgain.domains.problem import Problem
from netgain.exam.drift import BaseContinuation, sample
from netgain.exam.exam import Answerer, Marked
from netgain.exam.retention import Matrix, stream
from netgain.metering.account import Account, Book
from netgain.metering.budget import Booking
from netgain.methods.method import Method, Settings
from netgain.methods.policy_gradient import KEPT, NOTE, GradientSettings
from netgain.model.metered import Model
from netgain.model.program import Steps, run
from netgain.records.chain import read
from netgain.records.claim import RewardRun
from netgain.records.cost import Purpose
from netgain.records.events import Noted
from netgain.records.identity import canonical
from netgain.records.learning import EditRound, PolicyStep
from netgain.records.samples import Adaptation, AdaptationStream, Attempt, GradedAnswer, Investment, Row, Tuning
from netgain.trials.context import (
    ChargesBelow,
    Evaluation,
    RunContext,
    amounts,
    budget_seconds,
    by_purpose,
    closed_book,
    describe,
    evaluate,
    labelled,
    seconds,
    spent_and_rejected,
)
from netgain.trials.guard import hashed
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import MATCHED
from netgain.trials.tasks import WIDTH, adapt_share, changed, knobs_of, learn_limit, levels, split_of, valid
from netgain.trials.tuning import Values, search

T = TypeVar("T")
N = TypeVar("N", bound=BaseModel)
REWARDS, EDITS = "rewards", "edits"  # the words under which methods note rewards, and what they are of, in the journal


@final
@dataclass(frozen=True, slots=True, eq=False)
class LearnResult:
    """What a method learned, what it read and had written on the way, the exam questions that it trained on, and who
    paid."""

    learned: Any = None
    row: Investment | None = None
    given: tuple[str, ...] = ()
    exposed: frozenset[str] = frozenset()
    error: str = ""
    accounts: tuple[Account, ...] = ()


def run_arm(context: RunContext, method: Method) -> list[Row]:
    """The rows of one run: at each level its investment (if it learns) and its adaptations by problem, then its stream.

    Every level is a total, so an arm that learns learns anew at each of them.
    """
    spec, own = context.spec, context.task.deployments is None
    problems = context.problems("test", spec.problems.test)
    continuations = _continuations(context) if own else ()
    rows: list[Row] = []
    streamed = LearnResult()
    done = 0
    for level in levels(spec, context.task):
        learning = _learn(context, method, level) if method.learns else LearnResult()
        beside = context.beside(level, continuations) if own else {}
        evaluations = _evaluations(context, method, level, problems, **beside)
        if not learning.error:
            _examine(context, method, learning, evaluations, before=done)
        done += len(evaluations)
        rows += [learning.row] if learning.row else []
        rows += _rows(context, method, evaluations, learning)
        streamed = learning if level == MATCHED else streamed
    if own and spec.exam.stream:
        rows.append(_stream(context, method, streamed, problems))
    return rows


def _evaluations(
    context: RunContext,
    method: Method,
    level: float,
    problems: Sequence[Problem],
    purpose: Purpose | None = None,
    name: str = "",
    **more: Any,
) -> list[Evaluation]:
    """An evaluation for each group of problems that are adapted to at once."""
    share = adapt_share(method, method.settings)
    return [
        context.evaluation(
            level, group, purpose, share=share, name=name and f"{name}: {group[0].id}", number=number, **more
        )
        for number, group in enumerate(context.groups(problems))
    ]


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


def _learn(context: RunContext, method: Method, level: float, name: str = "") -> LearnResult:
    """Invest what the level allows for so many deployments; with a ``name``, as work of the tuning."""
    spec, split = context.spec, split_of(method, method.settings)
    deployments = context.deployments(method) or 0
    training = context.problems("train", spec.problems.train)
    account = context.root.child(
        f"{name}: learn" if name else f"learn x{level:g}",
        purpose=Purpose.TUNE if name else None,
        limit=learn_limit(spec, level, split, deployments),
    )
    desk = context.learning_desk(account, "learn", f"x{level:g}")
    if isinstance(method.settings, GradientSettings) and method.settings.check_every and spec.problems.development:
        desk = replace(desk, development=context.problems("development", spec.problems.development))
    given = [text for problem in (*training, *desk.development) for text in _texts(problem)]
    guard = context.guard(desk, given)
    program = guard.watch(lambda: method.learn(guard.desk, training))
    ((_, ended),) = run({"learn": program}, between=lambda: context.progress(0))
    charges = ChargesBelow(context.book, [account]).of(account)
    error = "" if ended.error is None else f"learn: {describe(ended.error)}"
    guard.note_own_work()
    whole = budget_seconds(charges, spec.budget.currency, account.opened.limit.amount(spec.budget.currency))
    if not error and guard.unmetered(seconds(charges), whole):
        error = f"learn: it worked {guard.worked:.1f} processor seconds of its own beside what it was charged for"
    texts = (*given, *guard.texts)
    if name:  # a tuning has no row for it: its journal, which only grows, is not read again after every trial
        return LearnResult(ended.value, given=texts, error=error, accounts=(account,))
    kept = list(_noted(context.book, context.root, f"x{level:g}", KEPT, PolicyStep))
    row = Investment(
        **context.key,
        rung=level,
        deployments=deployments,
        status="failed" if error else "ok",
        error=error,
        budget=account.opened.limit.amount(spec.budget.currency),
        rewards=tuple(_noted(context.book, context.root, f"x{level:g}", REWARDS, RewardRun)),
        policy=tuple(_noted(context.book, context.root, f"x{level:g}", NOTE, PolicyStep)),
        policy_kept=kept[-1].step if kept else None,
        edits=tuple(_noted(context.book, context.root, f"x{level:g}", EDITS, EditRound)),
        **spent_and_rejected(charges, spec.budget.currency),
    )
    tests = context.problems("test", spec.problems.test)
    exposed = guard.exposed([question for problem in tests for question in problem.questions], desk)
    exposed += guard.copied(tests)
    return LearnResult(ended.value, row, texts, frozenset(exposed), error, (account,))


def _texts(problem: Problem) -> Iterator[str]:
    yield from (problem.material.title, problem.material.text)
    for question in chain.from_iterable((one, *one.parts) for one in problem.questions):
        yield from (question.text, *question.answers)


def _noted(book: Book, root: Account, level: str, word: str, form: type[N]) -> Iterator[N]:
    """What a method noted under this word in this attempt while it learned at this level; a note that has not the form
    is left out."""
    book.flush()
    for row in read(book.journal.path).records:
        if row.seq > root.row and isinstance(row.event, Noted) and row.event.text == word:
            if level not in row.event.data.get("names", ()):
                continue
            with contextlib.suppress(ValidationError):
                yield form.model_validate({name: value for name, value in row.event.data.items() if name != "names"})


# -- examination


def _continuations(context: RunContext) -> tuple[BaseContinuation, ...]:
    """What the untouched model goes on with after questions that no problem is about."""
    count, prompts = context.spec.exam.drift, context.prompts
    if not count:
        return ()
    controls = [question.asked[0] for question in context.domain.controls(count, context.spec.seed)[:count]]
    prompted = [prompts.ask(q.text, () if q.passage is None else (q.passage,)) for q in controls]
    account = context.root.child("drift", purpose=Purpose.EVALUATE)
    seed = context.desk(account, "drift").draw()
    return _alone(sample(context.model, prompted, account, max_new_tokens=prompts.max_new_tokens, seed=seed))


def _rows(
    context: RunContext, method: Method, evaluations: Sequence[Evaluation], learning: LearnResult
) -> Iterator[Adaptation]:
    paid = [account for one in evaluations for account in one.accounts]
    parts = [one.parts(judged=context.judge is not None) for one in evaluations]
    charges = ChargesBelow(context.book, [*paid, *(account for part in parts for account in part.values())])
    for evaluation, accounts in zip(evaluations, parts, strict=True):
        beside = {name: charges.of(account) for name, account in accounts.items()}
        yield from _rows_of(context, method, evaluation, charges, learning, beside)


def _rows_of(
    context: RunContext,
    method: Method,
    evaluation: Evaluation,
    charges: ChargesBelow,
    learning: LearnResult,
    beside: Mapping[str, Sequence[Booking]],
) -> Iterator[Adaptation]:
    """A row for each problem of the evaluation, which share alike in what it spent; ``beside`` is parts of its exam."""
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
            rung=evaluation.level,
            deployments=context.deployments(method),
            problem=problem.id,
            status="failed" if error else "ok",
            error=error,
            budget=None if budget is None else budget * share,
            evaluated=amounts(charges.of(evaluation.exam_account), currency, share),
            **{name: amounts(part, currency, share) for name, part in beside.items() if part},
            answers=answers[index],
            edits=tuple(guard.edits) if guard and index == 0 else (),
            exposed=tuple(dict.fromkeys(exposed)),
            **(guard.own_work(seconds(paid), budget_seconds(paid, currency, budget)) if guard else {}),
            divergence=evaluation.divergence,
            **(evaluation.of_all if index == 0 else {}),
            **spent_and_rejected(paid, currency, share),
        )


def _answers(evaluation: Evaluation) -> list[tuple[GradedAnswer, ...]]:
    """The answers of each problem, in the exam's order; controls are the first problem's.

    Where an adaptation failed, its own questions count as wrong, and the controls were not asked.
    """
    marked = {id(mark.question): mark for mark in evaluation.marked}
    drawn: dict[int, dict[str, int]] = {}
    if evaluation.coverage is not None:
        right = evaluation.right or (0,) * len(evaluation.own)
        pairs = zip(evaluation.own, right, strict=True)
        drawn = {id(question): {"drawn": evaluation.coverage.samples, "right": count} for question, count in pairs}
    answers = []
    for index, problem in enumerate(evaluation.problems):
        graded = []
        for question in (*problem.questions, *(evaluation.controls if index == 0 and marked else ())):
            mark = marked.get(id(question))
            graded.append(
                GradedAnswer(
                    question=hashed(question.text),
                    kind=question.kind,
                    **(_graded(mark) if mark else {"text": "", "correct": False, "f1": 0.0}),
                    **drawn.get(id(question), {}),
                )
            )
        answers.append(tuple(graded))
    return answers


def _graded(mark: Marked) -> dict[str, Any]:
    """An answer as a row holds it. ``exact`` stands beside ``correct`` where something else decided."""
    grade = mark.grade
    exact = grade.decides == "exact" or (grade.decides == "judge" and grade.judged is None)
    return {
        "text": mark.answer,
        "correct": grade.correct,
        "f1": grade.f1,
        "votes": mark.votes,
        "judged": grade.judged,
        "exact": None if exact else grade.exact,
        "contains": grade.contains,
        "cut": mark.cut,
        "attempts": mark.attempts,
    }


# -- retention


def _stream(
    context: RunContext, method: Method, learning: LearnResult, problems: Sequence[Problem]
) -> AdaptationStream:
    level, chosen = MATCHED, problems[: context.spec.exam.stream]
    share = adapt_share(method, method.settings)
    account = context.root.child("exam of the stream", purpose=Purpose.EVALUATE)
    learned, paying = learning.learned, list[Account]()
    first = learned if isinstance(learned, Model) else context.model

    def adapt(number: int, problem: Problem, model: Model) -> Steps[Answerer]:
        evaluation = context.evaluation(level, (problem,), share=share, name=f"stream {number + 1}: {problem.id}")
        paying.append(evaluation.account)
        desk = labelled(context.desk(evaluation.account, "stream", problem.id).at(model=model), method, evaluation)
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
        asking = (context.prompts, account, context.grader, context.judge, context.domain.few_shot)
        matrix, error = _alone(stream(adapt, merge, first, chosen, *asking))
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
    """The row of one tuning, and the settings with which the arm then runs: the best tried, or those it was given.

    An arm that learns learns in every trial, with the settings that are tried and as much as they let it invest.
    """
    spec, knobs = context.spec, knobs_of(arm, context.task)
    trials = spec.tuning.trials
    knobs = knobs if trials else {}
    given = {name: value for name, value in arm.settings.model_dump().items() if name in knobs}
    paid: list[list[Account]] = []

    def attempt(values: Values) -> float | None:
        accuracy, accounts = _try(context, arm.method(changed(arm.settings, values)), len(paid) + 1)
        paid.append(accounts)
        return accuracy

    widen = spec.tuning.widen if knobs else 0
    found = search(knobs, given, max(1, trials), widen, partial(valid, arm.settings), attempt)
    charges, currency = ChargesBelow(context.book, chain.from_iterable(paid)), spec.budget.currency
    attempts = tuple(
        Attempt(
            settings={name: _scalar(value) for name, value in values.items()},
            accuracy=accuracy,
            spent=amounts(charges.of(*accounts), currency),
        )
        for (values, accuracy), accounts in zip(found.tried, paid, strict=True)
    )
    row = Tuning(
        domain=context.task.domain,
        arm=arm.name,
        deployments=context.task.deployments,
        attempts=attempts if knobs else (),
        chosen=found.best if knobs else None,
        widened=found.widened,
        edges=found.edges,
        development=found.tried[found.best][1],
        spent=by_purpose(charges.of(*chain.from_iterable(paid)), currency),
    )
    return row, changed(arm.settings, found.values)


def _try(context: RunContext, method: Method, number: int) -> tuple[float | None, list[Account]]:
    """The accuracy of one trial's settings on the development problems, and who paid for it; all is tuning."""
    name, problems = f"trial {number}", context.problems("development", context.spec.problems.development)
    learns = method.learns and bool(problems)  # without any to try it on, there is nothing to learn for
    learning = _learn(context, method, MATCHED, name) if learns else LearnResult()
    evaluations = _evaluations(context, method, MATCHED, problems, Purpose.TUNE, name)
    done = (number - 1) * len(evaluations)
    if not learning.error:
        _examine(context, method, learning, evaluations, before=done)
    accounts = [account for one in evaluations for account in one.accounts]
    return _accuracy(context, evaluations), [*learning.accounts, *accounts]


def _accuracy(context: RunContext, evaluations: Sequence[Evaluation]) -> float | None:
    """The mean score on questions of the kind that is compared; a failed adaptation's count as wrong."""
    kind = context.spec.compare.exam
    asked = sum(question.kind == kind for one in evaluations for question in one.questions)
    right = sum(m.grade.score for one in evaluations for m in one.marked if m.question.kind == kind)
    return right / asked if asked else None


def _scalar(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else canonical(value)
