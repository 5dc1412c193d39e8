"""Rewards by name: each is what it says, for every outer loop, and each has its placebo at the same price."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netgain.domains.problem import Grade, Question
from netgain.metering.account import Book
from netgain.methods.gradient_loops import EditGradientSettings, Grpo
from netgain.methods.seal import Seal, SealSettings
from netgain.model import Score, scripted_model
from netgain.records.claim import RewardRun
from netgain.records.cost import Purpose

from .conftest import by_purpose, finish, problem
from .test_policy_gradient import steps_of
from .test_seal import knowing, runs

Make = Callable[..., Any]
PROBLEMS = [problem(number) for number in range(4)]


def graded(question: Question, answer: str) -> Grade:
    right = answer in question.answers
    return Grade(False, 0.5 * right, contains=right)


def measured(make_desk: Make, book: Book, reward: str, **more: Any) -> RewardRun:
    """The rewards of one round of SEAL by this reward; without any it answers wrong."""
    desk = make_desk(scripted_model(knowing, **more.pop("model", {})), None, reward, **more)
    finish(Seal(SealSettings(rounds=1, contexts=4, repeats=1, reward=reward)).learn(desk, PROBLEMS))
    book.flush()
    return runs(book)[-1]


def values(run: RewardRun) -> list[float]:
    return [float(count) for rows in run.correct or () for counts in rows for count in counts]


def test_the_grade_that_is_named_decides(make_desk: Make, book: Book) -> None:
    assert set(values(measured(make_desk, book, "exam", grade=graded))) == {0.0}
    assert set(values(measured(make_desk, book, "exact", grade=graded))) == {0.0}
    assert set(values(measured(make_desk, book, "contains", grade=graded))) == {0.0, 2.0}
    assert set(values(measured(make_desk, book, "f1", grade=graded))) == {0.0, 1.0}


def test_gain_is_over_the_model_without_any_edit_which_is_paid_for(make_desk: Make, book: Book) -> None:
    def one_known(question: Question, answer: str) -> Grade:
        return replace(graded(question, answer), exact=question.text.endswith("pet?") or answer in question.answers)

    assert set(values(measured(make_desk, book, "exam", grade=one_known))) == {1.0, 2.0}
    before = by_purpose(book)[Purpose.SCORE]
    assert set(values(measured(make_desk, book, "gain", grade=one_known))) == {0.0, 1.0}
    assert by_purpose(book)[Purpose.SCORE] - before == before + 4 * 2


def test_likelihood_answers_nothing_and_is_a_mean_over_tokens(make_desk: Make, book: Book) -> None:
    def likely(request: Score) -> float:
        trained = b"|".join(map(bytes, getattr(request.adapter, "sequences", ())))
        return len(str(request.continuation)) * float(np.log(0.8 if b"good" in trained else 0.2))

    run = measured(make_desk, book, "likelihood", model={"scores": likely})
    assert set(np.round(values(run), 9)) == {0.4, 1.6}
    asked = [charge for charge in book.charges() if charge.purpose is Purpose.SCORE]
    assert {charge.operation for charge in asked} == {"score"}


def test_the_placebo_does_the_same_work_and_its_rewards_are_the_same_in_another_order(
    make_desk: Make, book: Book
) -> None:
    real = measured(make_desk, book, "exam")
    spent = by_purpose(book)
    placebo = measured(make_desk, book, "random")
    assert {purpose: amount / 2 for purpose, amount in by_purpose(book).items()} == spent
    assert placebo.problems == real.problems
    assert set(values(placebo)) == set(values(real)) == {0.0, 2.0}


def test_a_shuffled_context_keeps_every_evaluation(make_desk: Make) -> None:
    from netgain.methods.edit_rewards import Context
    from netgain.methods.fitting import Recipe
    from netgain.methods.writing import Ask, SelfEdit

    edits = [SelfEdit(Ask(PROBLEMS[0].material, None, ""), "", ("x",), ()) for _ in range(5)]  # type: ignore[arg-type]
    context = Context("c", PROBLEMS[0], edits, [Recipe(("x",))] * 5)
    for edit in range(5):
        context.add(edit, float(edit))
    context.shuffle(np.random.default_rng(0))
    assert [rewards[0] * 2 for rewards in context.tally.rewards] == [right[0] for right in context.right]
    assert sorted(right[0] for right in context.right) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [right[0] for right in context.right] != [0.0, 1.0, 2.0, 3.0, 4.0]


def test_policy_gradients_take_the_same_rewards(make_desk: Make, book: Book) -> None:
    settings = EditGradientSettings(rounds=1, contexts=2, candidates=4, reward_epochs=1, reward="f1")
    finish(Grpo(settings).learn(make_desk(scripted_model(knowing), None, grade=graded), PROBLEMS))
    (step,) = steps_of(book)
    assert 0 < (step.reward or 0) <= 0.5


def test_a_reward_that_is_no_accuracy_cannot_be_compared_with_one() -> None:
    with pytest.raises(ValueError, match="compares accuracies"):
        SealSettings(keep="positive", reward="likelihood")
