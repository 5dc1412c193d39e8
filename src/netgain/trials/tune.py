"""Tuning: every arm tries as many settings on development problems, pays for it under ``tune``, and keeps the best.

Each candidate adapts to the development problems at the budget level at which the arm is compared, so that nobody is
tuned for another budget than the one it is judged at. An arm that learns is tuned without what it would learn
(``learned`` None): to invest anew for every candidate would cost a run each, and what is tuned is how it adapts;
settings that only ``learn`` reads cannot be told apart here. What it learned adapts to the development problems in its
runs (``development`` in ``run.py``), by which it is chosen among its rivals or not.

Random numbers are those of the domain and the problems, not of the arm: arms that adapt alike (an outer loop and its
control) try the same settings, see the same results, and are tuned alike.
"""

from collections.abc import Sequence
from typing import Any

from netgain.metering.account import Account
from netgain.methods.method import Settings
from netgain.model.program import run
from netgain.records.cost import Purpose
from netgain.records.identity import canonical
from netgain.records.samples import Attempt, Tuning
from netgain.trials.amounts import ChargesBelow, amounts, by_purpose
from netgain.trials.context import WIDTH, Evaluation, RunContext, evaluate
from netgain.trials.resolve import ResolvedArm
from netgain.trials.tasks import candidates, changed


def tune_arm(context: RunContext, arm: ResolvedArm) -> tuple[Tuning, Settings]:
    """The row of one tuning, and the settings with which the arm then runs."""
    spec, currency = context.spec, context.spec.budget.currency
    changes = candidates(spec, context.task.domain, arm)
    settings = [changed(arm.settings, change) for change in changes]
    trials: list[list[Evaluation]] = []
    for index, tried in enumerate(settings):
        trials.append(_examine(context, arm, tried, f"trial {index + 1}", before=sum(map(len, trials))))
    accuracies = [_accuracy(context, evaluations) for evaluations in trials]
    chosen = max(range(len(trials)), key=lambda index: accuracies[index] or 0.0, default=None)
    paid = [account for evaluations in trials for account in _accounts(evaluations)]
    best, development = arm.settings, None
    if chosen is not None:
        best, development = settings[chosen], accuracies[chosen]
    else:
        as_given = _examine(context, arm, best, "as given")
        development = _accuracy(context, as_given)
        paid += _accounts(as_given)
    charges = ChargesBelow(context.book, paid)
    attempts = tuple(
        Attempt(
            settings={name: _scalar(value) for name, value in change.items()},
            accuracy=accuracy,
            spent=amounts(charges.of(*_accounts(evaluations)), currency),
        )
        for change, accuracy, evaluations in zip(changes, accuracies, trials, strict=True)
    )
    row = Tuning(
        domain=context.task.domain,
        arm=arm.name,
        attempts=attempts,
        chosen=chosen,
        development=development,
        spent=by_purpose(charges.of(*paid), currency),
    )
    return row, best


def _examine(
    context: RunContext, arm: ResolvedArm, settings: Settings, name: str, *, before: int = 0
) -> list[Evaluation]:
    """Adapt to all development problems with these settings, after so many adaptations with others."""
    method = arm.method(settings)
    level = context.level(method)
    problems = context.problems("development", context.spec.problems.development)
    evaluations = [
        context.evaluation(level, group, Purpose.TUNE, name=f"{name}: {group[0].id}")
        for group in context.groups(problems)
    ]
    programs = {index: evaluate(context, method, None, (), one) for index, one in enumerate(evaluations)}
    done: list[int] = []
    for index, ended in run(programs, width=WIDTH, between=lambda: context.progress(before + len(done))):
        if ended.error is not None:  # no method's: what a method raises is kept in its evaluation
            raise ended.error
        done.append(index)
        context.progress(before + len(done))
    return evaluations


def _accuracy(context: RunContext, evaluations: Sequence[Evaluation]) -> float | None:
    """On questions of the kind that is compared; a failed adaptation's count as wrong."""
    kind = context.spec.compare.exam
    asked = sum(question.kind == kind for one in evaluations for question in one.questions)
    right = sum(m.grade.correct for one in evaluations for m in one.marked if m.question.kind == kind)
    return right / asked if asked else None


def _accounts(evaluations: Sequence[Evaluation]) -> list[Account]:
    return [account for one in evaluations for account in (one.account, one.exam_account)]


def _scalar(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else canonical(value)
