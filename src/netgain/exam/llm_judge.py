"""Judging: another model says of answers that were graded already whether they are right, and is paid like all work.

Its questions run as one batch through its own metered door, on a child (``judge``) of the account that paid the exam.
An empty answer is not put to it. A verdict that cannot be read, or that the model failed to give, is None: then the
answer keeps the domain's grade, whoever decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from netgain.domains.grading import MAX_NEW_TOKENS, judge_prompt, obvious, read_verdict
from netgain.domains.problem import Grade
from netgain.exam.exam import Marked
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Answered, Generate, Message, Result

NAME = "judge"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The model that is asked. With ``decides`` its verdict is the grade; without, it stands beside the grade."""

    model: Model
    decides: bool = False


def judged(judge: Judge, marked: Sequence[Marked], account: Account) -> Steps[tuple[Marked, ...]]:
    """The same answers with the judge's verdicts, charged below ``account``. Raises what the model's door raises."""
    indices = [index for index, mark in enumerate(marked) if obvious(mark.answer) is None]
    if not indices:
        return tuple(marked)
    paid = account.child(NAME)
    results = yield from ask(judge.model, [_request(marked[index], paid) for index in indices])
    verdicts = list(marked)
    for index, result in zip(indices, results, strict=True):
        verdicts[index] = _decided(verdicts[index], _verdict(result), decides=judge.decides)
    return tuple(verdicts)


def _request(mark: Marked, account: Account) -> Generate:
    """As a conversation: by the judge's own template where it has one, as plain text where it has none."""
    prompt = (Message("user", judge_prompt(mark.question, mark.answer)),)
    return Generate(account=account, prompt=prompt, max_new_tokens=MAX_NEW_TOKENS)


def _verdict(result: Result[Answered]) -> bool | None:
    return read_verdict(result.product.text) if result.product is not None and result.failure is None else None


def _decided(mark: Marked, verdict: bool | None, *, decides: bool) -> Marked:
    if verdict is None or not decides:
        return replace(mark, judged=verdict)
    return replace(mark, judged=verdict, exact=mark.grade.correct, grade=Grade(verdict, mark.grade.f1))
