"""Exam: the one way anything is scored. Questions are put to a model with its adapter or context, answers graded.

What is examined is an :class:`Answerer`: what an adaptation ended in. The exam never tells a method what was
asked. Answering is booked under the account that is given (``evaluate`` for the trial's exams, ``score`` where a method
scores itself on training problems); the extra votes of a majority are paid by the answerer's own account.

A :class:`Judge` is another model that says of answers that were graded already whether they are right. Its questions
run as one batch through its own metered door, on a child (``judge``) of the account that paid the exam. An empty answer
is not put to it. A verdict that cannot be read, or that the model failed to give, is None: then the answer keeps the
domain's grade, whoever decides.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import final

from netgain.domains.few_shot import FewShot, View
from netgain.domains.grading import MAX_NEW_TOKENS, Grader, judge_prompt, obvious, read_verdict
from netgain.domains.problem import Grade, Material, Message, Prompts, Question
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Adapter, Answered, Generate, Result
from netgain.model.server import require_served
from netgain.records.cost import Currency
from netgain.records.learning import ChosenTraining
from netgain.records.measurements import Coverage
from netgain.records.samples import JudgeCheck
from netgain.streams import stream

VOTE_TEMPERATURE = 1.0
MOST_VOTES = 1024  # for each question
JUDGE = "judge"  # the account of its verdicts
PLANTED = 12  # questions that a judge is asked about to see what it is worth, twice each
ALIKE = 0.5  # F1 from which on an answer to another question is too near to this one to be surely wrong
SAMPLES = "samples"  # the account of the answers that are drawn for coverage
STABILITY = "stability"  # the account of all that is asked and measured beside problems' own questions
Given = tuple[str, bool]  # an answer, and whether it was cut


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answerer:
    """What answers the questions in the end: a model, perhaps with an adapter, perhaps with passages before it.

    ``voter`` pays for further answers at temperature 1, as many as ``currency`` left on it allows, question after
    question and round after round; the commonest answer counts (Wang et al. 2022, self-consistency). None: one greedy
    answer. ``chosen`` is for the record: what it was trained with, where that was chosen for this problem.
    """

    model: Model
    adapter: Adapter | None = None
    context: tuple[Material, ...] = ()
    voter: Account | None = None
    currency: Currency = Currency.FLOPS
    seed: int = 0
    chosen: tuple[ChosenTraining, ...] = ()


def untouched(answerer: Answerer, base: Model) -> bool:
    """Whether it has the weights that the base model has: then nothing that is about the weights has changed."""
    return answerer.adapter is None and answerer.model is base


@final
@dataclass(frozen=True, slots=True)
class Marked:
    """An answer as it was given, and its grade. ``failed`` is why there is none; it counts as wrong.

    ``cut``: it ended because it was as long as it may be, and is graded as far as it goes. ``attempts`` are all the
    answers to a question of examples that were graded, for each part the best first: then ``answer`` holds the first of
    each part, and the grade is that of the best of each.
    """

    question: Question
    answer: str
    grade: Grade
    failed: str = ""
    votes: int = 1
    cut: bool = False
    attempts: tuple[tuple[str, ...], ...] = ()


def sit(
    answerer: Answerer,
    questions: Sequence[Question],
    prompts: Prompts,
    account: Account,
    grade: Grader,
    controls: Sequence[Question] = (),
    few_shot: FewShot | None = None,
) -> Steps[tuple[Marked, ...]]:
    """Answer and grade these questions, in their order. Raises BudgetExceeded where the account cannot pay, ValueError
    where the weights are no numbers any more: that is a failed adaptation, and no wrong answer.

    ``controls`` come after them. They are about the weights: what the answerer reads belongs to its own questions, so
    it is not shown with a control, and no votes are taken on one. They are charged below ``account``.

    ``few_shot`` says in which views each is put and how many attempts count. All of that is asked under ``account``.
    """
    alone = replace(answerer, context=())
    put = [put_question(answerer, question, prompts, account, few_shot) for question in questions]
    voted = sum(len(views) for parts in put for views in parts)
    if controls:
        beside = account.child(STABILITY)
        put += [put_question(alone, question, prompts, beside, few_shot) for question in controls]
    asked = [one for parts in put for views in parts for one in views]
    requests = [request for _, request in asked]
    results = yield from ask(answerer.model, requests)
    diverged = next((one.failure for one in results if one.failure and one.failure.kind == "not_finite"), None)
    if diverged is not None:
        raise ValueError(f"the adapted model gives no numbers any more ({diverged.detail})")
    given: list[list[Given]] = [[_answer(result, prompts)] for result in results]
    if answerer.voter is not None and questions:
        none: list[Given] = []  # on controls
        votes = yield from _votes(answerer, requests[:voted], prompts, answerer.voter)
        given = [[*first, *more] for first, more in zip_longest(given, votes, fillvalue=none)]
    replies = (_Reply(view, said, first) for (view, _), said, first in zip(asked, given, results, strict=True))
    return tuple(
        _mark(question, [[next(replies) for _ in views] for views in parts], grade, few_shot)
        for question, parts in zip((*questions, *controls), put, strict=True)
    )


def sampled(
    answerer: Answerer,
    questions: Sequence[Question],
    prompts: Prompts,
    account: Account,
    grade: Grader,
    coverage: Coverage,
    seed: int,
) -> Steps[tuple[int, ...]]:
    """How many of ``coverage.samples`` drawn answers to each of these questions are right, charged below ``account``.

    What pass@k is estimated from (Chen et al. 2021, arXiv 2107.03374). A question is put as it stands, in no other
    view, and is not voted on; one of several parts is answered rightly where all of them are. An answer that the model
    failed to give is wrong. Where a judge decides, exact match counts: it is not asked about samples. Equal seeds draw
    by the same random numbers, whoever answers.
    """
    paid = account.child(SAMPLES)
    requests = [
        replace(
            _request(answerer, part, prompts, paid),
            temperature=coverage.temperature,
            seed=int(stream(seed, "coverage", question.text, str(turn), str(index)).integers(2**31)),
        )
        for question in questions
        for turn in range(coverage.samples)
        for index, part in enumerate(question.asked)
    ]
    results = iter((yield from ask(answerer.model, requests)))
    return tuple(
        sum(
            _all_right([grade(part, _answer(next(results), prompts)[0]) for part in question.asked]).correct
            for _ in range(coverage.samples)
        )
        for question in questions
    )


def put_question(
    answerer: Answerer, question: Question, prompts: Prompts, account: Account, few_shot: FewShot | None = None
) -> list[list[tuple[View, Generate]]]:
    """What is asked of one question: for each of its parts every view, with its request."""
    return [
        [(view, _request(answerer, replace(part, text=view.text), prompts, account)) for view in views]
        for part in question.asked
        for views in [few_shot.views(part) if few_shot else (View(part.text),)]
    ]


def _request(answerer: Answerer, question: Question, prompts: Prompts, account: Account) -> Generate:
    read = answerer.context if question.passage is None else (question.passage,)
    return Generate(
        account=account,
        prompt=prompts.ask(question.text, read),
        adapter=answerer.adapter,
        max_new_tokens=prompts.max_new_tokens,
        stop=prompts.stop,
    )


def _votes(
    answerer: Answerer, requests: Sequence[Generate], prompts: Prompts, voter: Account
) -> Steps[list[list[Given]]]:
    """As many further answers as the voter can pay for, as evenly over the questions as that comes out.

    Quotes are upper bounds, so what is left of them buys further rounds; the last one may not reach every question.
    """
    given: list[list[Given]] = [[] for _ in requests]
    while sum(map(len, given)) < MOST_VOTES * len(requests):
        drawn = _affordable(answerer, requests, voter, sum(map(len, given)))
        results = yield from ask(answerer.model, drawn)
        for number, result in enumerate(results, start=sum(map(len, given))):
            given[number % len(requests)].append(_answer(result, prompts))
        if not drawn:
            break
    return given


def _affordable(answerer: Answerer, requests: Sequence[Generate], voter: Account, given: int) -> list[Generate]:
    """The next votes, in the order of the questions and round after round, whose quotes fit what the voter has left."""
    left = voter.remaining().get(answerer.currency)
    if left is None:
        return []
    once = [_vote(answerer, request, voter, 0) for request in requests]
    quotes = [quote.amount(answerer.currency) or 0.0 for quote in answerer.model.quote(once)]
    drawn: list[Generate] = []
    if not any(quotes):
        return drawn  # what the budget does not count it cannot buy
    while given + len(drawn) < MOST_VOTES * len(requests):
        round_, index = divmod(given + len(drawn), len(requests))
        left -= quotes[index]
        if left < 0:
            break
        drawn.append(replace(once[index], seed=answerer.seed + round_))
    return drawn


def _vote(answerer: Answerer, request: Generate, voter: Account, number: int) -> Generate:
    return replace(request, account=voter, temperature=VOTE_TEMPERATURE, seed=answerer.seed + number)


def _text(result: Result[Answered]) -> str:
    return result.value.text.strip() if result.value is not None else ""


def _answer(result: Result[Answered], prompts: Prompts) -> Given:
    """The answer, and whether the limit of tokens ended it: not where it had ended before."""
    text = _text(result)
    answer = prompts.answer(text)
    return answer, answer == text and result.value is not None and result.value.finish == "length"


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Reply:
    """What was answered to one view: greedily first, then the votes on it."""

    view: View
    given: list[Given]
    greedy: Result[Answered]


def _mark(question: Question, parts: Sequence[Sequence[_Reply]], grade: Grader, few_shot: FewShot | None) -> Marked:
    attempts = [_attempts(part, replies, few_shot) for part, replies in zip(question.asked, parts, strict=True)]
    grades = [
        max((grade(part, answer) for answer, _ in answers), key=lambda one: (one.score, one.f1))
        for part, answers in zip(question.asked, attempts, strict=True)
    ]
    texts = tuple(tuple(answer for answer, _ in answers) for answers in attempts)
    return Marked(
        question,
        "\n\n".join(answers[0] for answers in texts),
        _all_right(grades),
        next(filter(None, map(_failed, parts)), ""),
        sum(len(reply.given) for replies in parts for reply in replies),
        any(answers[0][1] for answers in attempts),
        texts if few_shot is not None else (),
    )


def _attempts(part: Question, replies: Sequence[_Reply], few_shot: FewShot | None) -> list[Given]:
    """The answers that are graded, the best first, each with whether it was cut; one at least, be it empty."""
    given = [answer for reply in replies for answer in reply.given]
    if few_shot is None:
        counted = Counter(answer.lower() for answer, _ in given)
        return [max(given, key=lambda one: counted[one[0].lower()])]  # the first given among equals
    back = [(reply.view.category, reply.view.undo(text), cut) for reply in replies for text, cut in reply.given]
    votes = [(category, answer) for category, answer, _ in back if answer]
    cuts = {answer: cut for _, answer, cut in reversed(back)}
    elected = few_shot.elect(part, votes)[: few_shot.attempts] if votes else ()
    return [(answer, cuts.get(answer, False)) for answer in elected] or given[:1]


def _all_right(grades: Sequence[Grade]) -> Grade:
    """The grade of a question of several parts: right only if every part is."""
    if len(grades) == 1:
        return grades[0]
    known = [grade.contains for grade in grades if grade.contains is not None]
    return Grade(
        exact=all(grade.exact for grade in grades),
        f1=sum(grade.f1 for grade in grades) / len(grades),
        contains=all(known) if len(known) == len(grades) else None,
        decides=grades[0].decides,
    )


def _failed(replies: Sequence[_Reply]) -> str:
    """Why a part has no greedy answer in any view; empty where it has one."""
    failures = [reply.greedy.failure for reply in replies]
    first = failures[0]
    return f"{first.kind}: {first.detail}" if first is not None and None not in failures else ""


def accuracy(marked: Sequence[Marked]) -> float:
    """The mean score: the share of right answers, unless F1 decides. Raises ValueError without any."""
    if not marked:
        raise ValueError("an exam without questions has no accuracy")
    return sum(mark.grade.score for mark in marked) / len(marked)


# -- the judge


@final
@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The model that is asked. With ``decides`` its verdict is what counts; without, it stands beside the grade."""

    model: Model
    decides: bool = False


def judged(judge: Judge, marked: Sequence[Marked], account: Account) -> Steps[tuple[Marked, ...]]:
    """The same answers with the judge's verdicts, charged below ``account``. Raises what the model's door raises, and
    FaultError where a judge that decides is at a server that fails: nobody else's grade stands in for its verdict."""
    indices = [index for index, mark in enumerate(marked) if obvious(mark.answer) is None]
    if not indices:
        return tuple(marked)
    paid = account.child(JUDGE)
    results = yield from ask(judge.model, [_judging(marked[i].question, marked[i].answer, paid) for i in indices])
    if judge.decides:
        require_served(judge.model.name, [one for one in results if one.failure and one.failure.kind != "refused"])
    verdicts = list(marked)
    for index, result in zip(indices, results, strict=True):
        verdicts[index] = _decided(verdicts[index], read_verdict(_text(result)), decides=judge.decides)
    return tuple(verdicts)


def planted(questions: Sequence[Question], grade: Grader) -> list[tuple[Question, str, bool]]:
    """Answers that are known to be right or wrong, to be put to a judge: of up to ``PLANTED`` questions, spread evenly,
    an accepted answer and one that is accepted for another question of the same kind, and that ``grade`` finds wrong in
    every way. A question of several parts, or for which there is no such answer, is left out."""
    known = [question for question in questions if not question.parts and question.answers]
    found = []
    for index, question in enumerate(known):
        others = (other.answers[0] for other in (*known[index + 1 :], *known[:index]) if other.kind == question.kind)
        grades = ((answer, grade(question, answer)) for answer in others)
        # nor may the accepted answer stand in it: "12 May 1990" is no wrong answer where "1990" is right
        wrong = next((a for a, g in grades if not (g.exact or g.contains) and g.f1 < ALIKE), None)
        if wrong is not None:
            found.append([(question, question.answers[-1], True), (question, wrong, False)])
    chosen = found if len(found) <= PLANTED else [found[i * len(found) // PLANTED] for i in range(PLANTED)]
    return [one for both in chosen for one in both]


def checked(judge: Judge, answers: Sequence[tuple[Question, str, bool]], account: Account) -> Steps[JudgeCheck]:
    """What a judge says of answers of which it is known whether they are right; charged below ``account``."""
    paid = account.child(JUDGE)
    results = yield from ask(judge.model, [_judging(question, answer, paid) for question, answer, _ in answers])
    said = [(right, read_verdict(_text(result))) for (_, _, right), result in zip(answers, results, strict=True)]
    return JudgeCheck(
        right=sum(right for right, _ in said),
        rejected=sum(right and verdict is False for right, verdict in said),
        wrong=sum(not right for right, _ in said),
        accepted=sum(not right and verdict is True for right, verdict in said),
    )


def _judging(question: Question, answer: str, account: Account) -> Generate:
    """As a conversation: by the judge's own template where it has one, as plain text where it has none."""
    prompt = (Message("user", judge_prompt(question, answer)),)
    return Generate(account=account, prompt=prompt, max_new_tokens=MAX_NEW_TOKENS)


def _decided(mark: Marked, verdict: bool | None, *, decides: bool) -> Marked:
    name = "judge" if decides else mark.grade.decides
    return replace(mark, grade=replace(mark.grade, judged=verdict, decides=name))
