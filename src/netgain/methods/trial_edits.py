"""Trial of edits: each is trained on, and what it trains is examined. That accuracy is the edit's reward.

All edits of many problems are trained as one batch and examined as one batch, as wide as the money allows. What cannot
be paid for is left out before it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import final

from netgain.domains.problem import Problem
from netgain.engine.jobs import InnerLoopJob
from netgain.exam.exam import Answerer
from netgain.methods.fit import Inner, job_of, train
from netgain.methods.method import Desk
from netgain.methods.propose import Edit
from netgain.methods.score import examine
from netgain.methods.selection import Rule, Tally
from netgain.methods.synthetic import texts_of
from netgain.model.interface import Generate, Train
from netgain.model.lockstep import Steps
from netgain.records.purpose import Purpose


@final
class Context:
    """One training problem with the edits that were written about it and their rewards so far.

    ``name`` tells it apart from the same problem taken up again. ``right`` holds counts of right answers beside the
    tally's rewards, ``charges`` the rows that paid for each edit's writing and training, ``baseline`` the accuracy
    without any edit where it was measured.
    """

    def __init__(self, name: str, problem: Problem, edits: Sequence[Edit], baseline: float | None = None) -> None:
        self.name, self.problem, self.edits, self.baseline = name, problem, list(edits), baseline
        self.tally = Tally(len(edits))
        self.right: list[list[int]] = [[] for _ in edits]
        self.charges: list[list[int]] = [list(edit.charges) for edit in edits]

    def take(self, edit: int, right: int) -> None:
        """Take in an evaluation: so many right answers."""
        self.right[edit].append(right)
        self.tally.add(edit, right / len(self.problem.questions))


@final
@dataclass(frozen=True, slots=True)
class Trial:
    """What every edit of a run is put to: the training's settings and epochs, and whether the passage stands beside."""

    inner: Inner
    epochs: int
    with_passage: bool


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One evaluation of one edit."""

    context: Context
    edit: int
    job: InnerLoopJob


def evaluate(desk: Desk, contexts: Sequence[Context], rule: Rule, trial: Trial, kept_back: float) -> Steps[None]:
    """Evaluate the contexts' edits as the rule says, side by side, and leave ``kept_back`` on the account.

    What cannot be paid for ends the rule, for every context.
    """
    rules = [(context, rule(context.tally)) for context in contexts if context.edits]
    while rules:
        stage = [(context, waiting, next(waiting, [])) for context, waiting in rules]
        wanted = [(context, edit) for context, _, edits in stage for edit in edits]
        done = yield from evaluate_some(desk, wanted, trial, kept_back)
        if done < len(wanted):
            break
        rules = [(context, waiting) for context, waiting, edits in stage if edits]


def evaluate_some(desk: Desk, wanted: Sequence[tuple[Context, int]], trial: Trial, kept_back: float) -> Steps[int]:
    """Evaluate these edits once each: the first of them that can be paid for with ``kept_back`` left; how many."""
    runs = _runs(desk, wanted, trial)
    money = desk.left() - kept_back
    runs = runs[: sum(total <= money for total in accumulate(_quotes(desk, runs)))]
    trained = yield from train(desk, [run.job for run in runs])
    sitters = []
    for run, result in zip(runs, trained, strict=True):
        run.context.charges[run.edit] += result.charges
        if result.failure is not None or result.product is None:
            run.context.take(run.edit, 0)  # an edit that cannot be trained on is worth nothing
        else:
            sitters.append((run, Answerer(model=desk.model, adapter=result.product.adapter)))
    marked = yield from examine(desk, [(answerer, run.context.problem) for run, answerer in sitters])
    for (run, _), marks in zip(sitters, marked, strict=True):
        run.context.take(run.edit, sum(mark.grade.correct for mark in marks))
    return len(runs)


def _runs(desk: Desk, wanted: Sequence[tuple[Context, int]], trial: Trial) -> list[_Run]:
    """The training of each, with a seed of its own for each repeat."""
    found: list[_Run] = []
    coming: dict[tuple[int, int], int] = {}
    texts: dict[tuple[int, int], InnerLoopJob] = {}
    for context, edit in wanted:
        key = (id(context), edit)
        repeat = len(context.tally.rewards[edit]) + coming.get(key, 0)
        coming[key] = coming.get(key, 0) + 1
        own = desk.at(context.name, f"edit {edit}", f"repeat {repeat}")
        if key not in texts:
            written = texts_of(own, [context.problem.material], [context.edits[edit]], trial.with_passage)
            texts[key] = job_of(own, written, trial.inner, epochs=trial.epochs)
        found.append(_Run(context, edit, replace(texts[key], key="/".join(own.names), seed=own.draw("fit"))))
    return found


def _quotes(desk: Desk, runs: Sequence[_Run]) -> list[float]:
    """Upper bounds on each evaluation: its training, and its answers with an adapter, in the trial's currency."""
    if not runs:
        return []
    trains = desk.model.quote([Train(account=desk.pay(Purpose.ADAPT), job=run.job) for run in runs])
    problems = {id(run.context.problem): run.context.problem for run in runs}
    answers = {key: exam_quote(desk, problem) for key, problem in problems.items()}
    return [
        (quote.amount(desk.currency) or 0.0) + answers[id(run.context.problem)]
        for run, quote in zip(runs, trains, strict=True)
    ]


ADAPTED = 3.0  # more than an answer with an adapter costs, in answers without one


def exam_quote(desk: Desk, problem: Problem) -> float:
    """At least what one exam of an adapter on this problem costs, in the trial's currency."""
    account = desk.pay(Purpose.SCORE)
    asked = [
        Generate(
            account=account,
            prompt=desk.prompts.ask(question.text),
            max_new_tokens=desk.prompts.max_new_tokens,
            stop=desk.prompts.stop,
        )
        for question in problem.questions
    ]
    return ADAPTED * sum(quote.amount(desk.currency) or 0.0 for quote in desk.model.quote(asked))
