"""Rewards of edits: each edit is trained on and the adapter examined; the accuracy is the edit's reward, or another
measure by name:

``exam``                           the score by the trial's own grade
``exact``, ``contains``, ``f1``    the score by that grade of the same answers
``gain``                           the exam's score less that of the model without any edit, measured once a context
``likelihood``                     how likely the first accepted answer is, the geometric mean over its tokens; cheap,
                                   for nothing is answered
``net``                            the exam's score less what broke: the share of control questions, right without the
                                   edit, that are wrong after it, times a stated weight
``own-questions``                  the share of the model's own questions about the passage that it answers as it did
                                   with the passage before it; no label is looked at
``rubric``                         the judge's rating of the edit (``rubric.py``); nothing is trained or answered
``random``                         the exam's scores, measured and paid for, shuffled among the edits of a context: the
                                   placebo of every other

All edits of many training problems are trained as one batch and examined as one batch, as many as can be paid for. An
evaluation that cannot be paid for is left out before it runs.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import exp
from statistics import fmean
from typing import Literal, final

import numpy as np

from netgain.domains.problem import EditFormat, Problem, Question
from netgain.engine.jobs import InnerLoopJob
from netgain.errors import InputError
from netgain.exam.exam import Answerer, Marked
from netgain.methods.fitting import Inner, Recipe, job_of, train
from netgain.methods.method import Desk
from netgain.methods.rubric import judge_of, rating, ratings_of
from netgain.methods.selection import Rule, Tally
from netgain.methods.self_evaluation import ADAPTED, exam_quote, examine
from netgain.methods.writing import SelfEdit
from netgain.model.program import Steps, ask
from netgain.model.requests import Adapter, Generate, Score, Train
from netgain.records.claim import GradeName, RewardRun, Training
from netgain.records.cost import Purpose
from netgain.records.learning import EditRound, RewardedEdit

RewardName = Literal[
    "exam", "exact", "contains", "f1", "gain", "likelihood", "net", "own-questions", "rubric", "random"
]
GRADES: dict[str, GradeName] = {"exact": "exact", "contains": "contains", "f1": "f1"}


@final
@dataclass(frozen=True, slots=True)
class Reward:
    """A reward by name, with what it needs: the model's own ``questions`` in place of the problem's, ``controls`` with
    whether the model without the edit is right on each, and the ``weight`` of what broke of these."""

    name: RewardName
    questions: tuple[Question, ...] | None = None
    controls: tuple[tuple[Question, bool], ...] = ()
    weight: float = 1.0


EXAM = Reward("exam")


@final
class Context:
    """One training problem with the edits that were written about it and their rewards so far.

    ``name`` tells it apart from the same problem taken up again; ``baseline`` is the accuracy without any edit, where
    that was measured. For each edit, ``recipes`` has what it is trained as, ``charges`` the rows that paid for writing
    and training it, ``right`` the counts of right answers (or sums of their F1) behind the tally's rewards, ``unread``
    how many ratings of it could not be read. ``invalid`` are edits that nothing can be made of, where an outer loop
    learns from those too.

    ``examined`` is what its edits are examined on, the problem's own questions first: those of ``reward.questions``
    stand in for them, or ``reward.controls`` behind them.
    """

    def __init__(
        self,
        name: str,
        problem: Problem,
        edits: Sequence[SelfEdit],
        recipes: Sequence[Recipe],
        baseline: float | None = None,
        invalid: Sequence[SelfEdit] = (),
        reward: Reward = EXAM,
    ) -> None:
        self.name, self.problem, self.baseline = name, problem, baseline
        self.invalid, self.reward, self._rule = list(invalid), reward.name, reward
        questions = problem.questions if reward.questions is None else reward.questions
        controls = tuple(question for question, right in reward.controls if right)
        own = reward.questions is None and not controls
        self.examined = problem if own else replace(problem, questions=(*questions, *controls))
        self._own = len(questions)
        self.edits, self.recipes = list(edits), list(recipes)
        self.charges = [list(edit.charges) for edit in edits]
        self.right: list[list[float]] = [[] for _ in edits]
        self.unread = [0] * len(self.edits)
        self.tally = Tally(len(edits))

    @property
    def usable(self) -> list[int]:
        """The edits that can be trained on at all."""
        return [edit for edit, recipe in enumerate(self.recipes) if recipe.texts]

    @property
    def asked(self) -> int:
        """How many questions a reward is a mean over."""
        return max(1, self._own)

    def worth(self, marks: Sequence[Marked]) -> float:
        """What the answers to ``examined`` count in all: by the grade that the reward names, less what broke."""
        name = GRADES.get(self.reward)
        grades = [mark.grade if name is None else replace(mark.grade, decides=name) for mark in marks]
        right = sum(grade.score for grade in grades[: self._own])
        if not grades[self._own :]:
            return right
        broken = fmean(not grade.correct for grade in grades[self._own :])
        return right - self._rule.weight * broken * self.asked

    def shuffle(self, rng: np.random.Generator) -> None:
        """Give every edit another one's evaluations."""
        order = [int(edit) for edit in rng.permutation(len(self.edits))]
        self.right = [self.right[edit] for edit in order]
        self.tally.rewards = [self.tally.rewards[edit] for edit in order]
        self.unread = [self.unread[edit] for edit in order]

    def add(self, edit: int, right: float) -> None:
        """Add one evaluation of an edit: the number of questions answered right, or the sum of their F1."""
        right -= (self.baseline or 0.0) * self.asked if self.reward == "gain" else 0.0
        self.right[edit].append(right)
        self.tally.add(edit, right / self.asked)


SHORTEST_PAIR = 16  # tokens of a question with its answer
Evaluation = tuple[Context, int]  # an edit, by its index in its context


def evaluate(desk: Desk, contexts: Sequence[Context], rule: Rule, inner: Inner, reserved: float) -> Steps[None]:
    """Evaluate the contexts' edits as the rule says, all contexts side by side, and leave ``reserved`` unspent.

    The first stage that cannot be paid for in full ends the rule, for every context.
    """
    rules = [(context, rule(context.tally)) for context in contexts if context.edits and context.examined.questions]
    while rules:
        stage = [(context, stages, next(stages, [])) for context, stages in rules]
        requested = [(context, edit) for context, _, edits in stage for edit in edits]
        done = yield from evaluate_once(desk, requested, inner, reserved)
        if done < len(requested):
            break
        rules = [(context, stages) for context, stages, edits in stage if edits]


def evaluate_again(desk: Desk, contexts: Sequence[Context], inner: Inner, reserved: float) -> Steps[None]:
    """Spend what is left on further repeats, one for each edit, the least evaluated first; leave ``reserved``."""
    done, before = 1, float("inf")
    while done and desk.left() < before:  # evaluations that cost nothing, such as failed trainings, would never end
        before = desk.left()
        known = [context for context in contexts if context.examined.questions]
        edits = [(context, edit) for context in known for edit in range(len(context.edits))]
        requested = sorted(edits, key=lambda one: len(one[0].tally.rewards[one[1]]))
        done = yield from evaluate_once(desk, requested, inner, reserved)


def evaluate_once(desk: Desk, requested: Sequence[Evaluation], inner: Inner, reserved: float) -> Steps[int]:
    """Evaluate these edits once each, the first that can be paid for with ``reserved`` left; return how many."""
    if any(context.reward == "rubric" for context, _ in requested):
        return (yield from _rate_once(desk, requested, reserved))
    jobs = _jobs(desk, requested, inner)
    money = desk.left() - reserved
    count = sum(total <= money for total in accumulate(_quotes(desk, requested, jobs)))
    trained = yield from train(desk, jobs[:count])
    examined: list[tuple[Context, int, Answerer]] = []
    for (context, edit), result in zip(requested, trained, strict=False):
        context.charges[edit] += result.charges
        if result.value is None:
            context.add(edit, 0)  # an edit that cannot be trained on is worth nothing
        else:
            examined.append((context, edit, Answerer(model=desk.model, adapter=result.value.adapter)))
    asked = [one for one in examined if one[0].reward != "likelihood"]
    marked = yield from examine(desk, [(answerer, context.examined) for context, _, answerer in asked])
    for (context, edit, _), marks in zip(asked, marked, strict=True):
        context.add(edit, context.worth(marks))
    for context, edit, answerer in examined:
        if context.reward == "likelihood":
            results = yield from ask(desk.model, _scores(desk, context.problem, answerer.adapter))
            known = [one.value for one in results if one.value is not None]
            context.add(edit, sum(exp(one.log_likelihood / max(1, one.tokens)) for one in known))
    return count


def _rate_once(desk: Desk, requested: Sequence[Evaluation], reserved: float) -> Steps[int]:
    """The same by a judge's ratings. One that cannot be read is counted, and no evaluation."""
    before: Counter[tuple[int, int]] = Counter()
    requests = []
    for context, edit in requested:
        done = len(context.tally.rewards[edit]) + context.unread[edit] + before[id(context), edit]
        before[id(context), edit] += 1
        seed = desk.draw(context.name, f"edit {edit}", f"repeat {done}", "rubric")
        requests.append(rating(desk, (context.problem.material, context.edits[edit].raw), seed))
    money = desk.left() - reserved
    count = sum(total <= money for total in accumulate(desk.bounds(requests, judge_of(desk))))
    ratings = yield from ratings_of(desk, requests[:count])
    for (context, edit), found in zip(requested, ratings, strict=False):
        if found is None:
            context.unread[edit] += 1
        else:
            context.add(edit, found * context.asked)
    return count


def _scores(desk: Desk, problem: Problem, adapter: Adapter | None = None) -> list[Score]:
    """How likely the first accepted answer to each question is. Raises InputError in a domain of other answers."""
    if desk.few_shot is not None:
        raise voted_on()
    account = desk.pay(Purpose.SCORE)
    return [
        Score(
            account=account,
            prompt=desk.prompts.ask(question.text),
            continuation=desk.prompts.said(question.answers[0]),
            adapter=adapter,
        )
        for question in problem.questions
    ]


def voted_on() -> InputError:
    """Said of an arm whose reward is a likelihood, before a trial or in the middle of it."""
    return InputError("reward 'likelihood'", "this domain's answers are voted on, not scored", "use reward: exam")


def _measure_quote(desk: Desk, context: Context) -> float:
    """An upper bound on what one evaluation takes beside its training, in the trial's currency."""
    if context.reward != "likelihood":
        return exam_quote(desk, context.examined)
    return ADAPTED * sum(desk.bounds(_scores(desk, context.problem)))


def _jobs(desk: Desk, requested: Sequence[Evaluation], inner: Inner) -> list[InnerLoopJob]:
    """The training of each. Repeats of an edit share its tokens; each has a name and a seed of its own."""
    jobs: list[InnerLoopJob] = []
    repeats: dict[tuple[int, int], int] = {}
    first: dict[tuple[int, int], InnerLoopJob] = {}
    for context, edit in requested:
        key = (id(context), edit)
        repeat = repeats.get(key, len(context.tally.rewards[edit]))
        repeats[key] = repeat + 1
        own = desk.at(context.name, f"edit {edit}", f"repeat {repeat}")
        if key not in first:
            recipe = context.recipes[edit]
            settings = recipe.settings or inner
            first[key] = job_of(own, recipe.texts, settings, epochs=settings.max_epochs or 1)
        jobs.append(replace(first[key], key="/".join(own.names), seed=own.draw("fit")))
    return jobs


def _quotes(desk: Desk, requested: Sequence[Evaluation], jobs: Sequence[InnerLoopJob]) -> list[float]:
    """Upper bounds on each evaluation, its training and its exam, in the trial's currency."""
    if not jobs:
        return []
    trainings = desk.bounds([Train(account=desk.pay(Purpose.ADAPT), job=job) for job in jobs])
    contexts = {id(context.examined): context for context, _ in requested}
    exams = {key: _measure_quote(desk, context) for key, context in contexts.items()}
    return [training + exams[id(context.examined)] for (context, _), training in zip(requested, trainings, strict=True)]


def context_quote(
    desk: Desk,
    problem: Problem,
    form: EditFormat,
    longest: Recipe,
    candidates: int,
    evaluations: int,
    reward: RewardName = "exam",
) -> float:
    """An upper bound on one context, before any was taken up: its edits as long as they may be, trained and examined.

    Training is quoted on ``longest``: the most that an edit may choose where edits choose, else the passage alone, and
    scaled to the longest edit; each of an edit's lines carries the title again, hence twice its tokens. In the trial's
    currency, and above 0.
    """
    request = Generate(
        account=desk.pay(Purpose.PROPOSE), prompt=form.prompt(problem.material), max_new_tokens=form.max_new_tokens
    )
    inner = longest.settings or Inner()
    job = job_of(desk, longest.texts, inner, epochs=inner.max_epochs or 1)
    (writing,) = desk.bounds([request])
    (training,) = desk.bounds([Train(account=desk.pay(Purpose.ADAPT), job=job)])
    length = max(1, sum(map(len, job.sequences)))
    longer = 1 if form.splitting == "settings" else 1 + 2 * form.max_new_tokens / length
    loops, edits = training * longer, candidates * writing
    if reward == "rubric":
        size = max(1, len(desk.model.tokenize(problem.material.text, special=False)))
        notes = " ".join([problem.material.text] * -(-form.max_new_tokens // size))
        return edits + evaluations * desk.bounds([rating(desk, (problem.material, notes), 0)], judge_of(desk))[0]
    return max(edits + evaluations * (loops + _exam_bound(desk, problem, form, reward)), 1e-12)


def _exam_bound(desk: Desk, problem: Problem, form: EditFormat, reward: RewardName) -> float:
    """An upper bound on one exam before it is known what is asked: of a text of questions with answers, together as
    long as it may be, each has some :data:`SHORTEST_PAIR` tokens at least."""
    if reward == "net":
        return exam_quote(desk, replace(problem, questions=(*problem.questions, *desk.controls)))
    if reward != "own-questions":
        return exam_quote(desk, problem)
    asked = (Question(problem.material.text, ("",)),) * max(1, form.max_new_tokens // SHORTEST_PAIR)
    return exam_quote(desk, replace(problem, questions=asked))


def reward_run(
    name: str, prompt: str, number: int, contexts: Sequence[Context], repeats: int, inner: Inner, kept: int
) -> RewardRun:
    """One round's rewards as a record, in the shape into which published rewards are read.

    Only contexts with all their edits count. Where in some of them every edit was evaluated ``repeats`` times or more,
    the counts of those first repeats are recorded; otherwise (evaluations were allotted unevenly) means and deviations.
    """
    most = max(len(context.edits) for context in contexts)
    complete = [context for context in contexts if len(context.edits) == most]
    rated = any(context.reward == "rubric" for context in contexts)
    even = [] if rated else [context for context in complete if min(context.tally.counts()) >= repeats]
    training = Training(
        epochs=inner.max_epochs,
        learning_rate=inner.learning_rate,
        batch_size=inner.batch_size,
        rank=inner.rank,
        alpha=inner.alpha,
        target_modules=inner.target_modules,
    )
    chosen = [
        recipe.chosen.model_copy(update={"problem": context.problem.id, "score": max(0.0, mean)})
        for context in contexts
        for recipe, mean in zip(context.recipes, context.tally.means(), strict=True)
        if recipe.chosen is not None
    ]
    common = {
        "name": name,
        "prompt": prompt,
        "round": number,
        "edits": most,
        "kept": kept,
        "training": None if rated else training,
        "chosen": tuple(chosen),
        "unread": sum(sum(context.unread) for context in contexts),
    }
    if even:
        return RewardRun(
            **common,
            problems=len(even),
            repeats=repeats,
            questions=tuple(context.asked for context in even),
            correct=tuple(tuple(tuple(map(_whole, counts[:repeats])) for counts in context.right) for context in even),
        )
    known = [context for context in complete if min(context.tally.counts()) > 0]
    return RewardRun(
        **common,
        problems=len(known),
        repeats=0 if rated else max((max(context.tally.counts()) for context in known), default=0),
        means=tuple(tuple(context.tally.means()) for context in known),
        deviations=tuple(tuple(_deviation(rewards) for rewards in context.tally.rewards) for context in known),
    )


def edit_round(number: int, contexts: Sequence[Context], kept: Sequence[Evaluation]) -> EditRound:
    """Every candidate of a round with its text, evaluations and whether it was kept: for readers, not for figures."""
    won = {(context.name, edit) for context, edit in kept}
    return EditRound(
        round=number,
        contexts=tuple(
            tuple(
                RewardedEdit(
                    problem=context.problem.id,
                    text=edit.raw,
                    scores=tuple(context.tally.rewards[index]),
                    kept=(context.name, index) in won,
                )
                for index, edit in enumerate(context.edits)
            )
            + tuple(RewardedEdit(problem=context.problem.id, text=edit.raw) for edit in context.invalid)
            for context in contexts
        ),
    )


def _whole(right: float) -> int | float:
    """A count as records hold it: whole, unless F1 was summed."""
    return int(right) if right == int(right) else right


def _deviation(rewards: Sequence[float]) -> float | None:
    return float(np.std(rewards, ddof=1)) if len(rewards) > 1 else None
