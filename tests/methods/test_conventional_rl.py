"""RL on conventional data: answers drawn and graded in context and closed book, learnt from, then the passage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import netgain
from netgain.domains.people import People
from netgain.engine.jobs import Failure
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.methods.conventional_rl import ConventionalRl, ConventionalRlSettings
from netgain.model import Generate, Model, scripted_model
from netgain.records.cost import Purpose

from .conftest import MATERIAL, by_purpose, finish, problem
from .test_policy_gradient import steps_of

Make = Callable[..., Any]
PROBLEMS = [problem(number) for number in range(4)]
LOOP: dict[str, Any] = {"rounds": 2, "contexts": 4, "candidates": 3}


def open_book(request: Generate) -> str:
    """Right below its passage now and then, never without it."""
    text, _, asked = str(request.prompt).rpartition("Q: ")
    name, kind = asked.partition("?")[0].split()
    return f"{kind}{name[1:]}" if text and request.seed % 2 == 0 else "no idea"


def test_questions_are_put_both_ways_and_rewarded_by_their_grade(make_desk: Make, book: Book) -> None:
    prompts: list[str] = []

    def watch(request: Generate) -> str:
        prompts.append(str(request.prompt))
        return open_book(request)

    desk = make_desk(scripted_model(watch), None)
    learned = finish(ConventionalRl(ConventionalRlSettings(**LOOP)).learn(desk, PROBLEMS))
    assert learned is not desk.model
    assert len(prompts) == 2 * 4 * 3
    assert {"lives in" in prompt for prompt in prompts} == {True, False}
    first, second = steps_of(book)
    assert (first.groups, first.texts) == (second.groups, second.texts) == (4, 12)
    assert 0 < (first.reward or 0) < 1
    assert set(by_purpose(book)) == {Purpose.LEARN}  # no edit, no inner loop, no exam


def test_an_answer_that_failed_is_neither_graded_nor_learnt_from(
    make_desk: Make, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local model hands out the tokens before the first that is no number, too."""
    real, broken = Model.generate, Failure("not_finite", "no number any more", 2)

    def generate(self: Model, requests: Any) -> Any:
        results = real(self, requests)
        return [replace(one, failure=broken if n % 3 == 0 else None) for n, one in enumerate(results)]

    monkeypatch.setattr(Model, "generate", generate)
    finish(ConventionalRl(ConventionalRlSettings(**LOOP)).learn(make_desk(scripted_model(open_book), None), PROBLEMS))
    assert [(one.groups, one.texts) for one in steps_of(book)] == [(4, 8), (4, 8)]


def test_closed_book_alone_shows_no_passage(make_desk: Make) -> None:
    prompts: list[str] = []

    def watch(request: Generate) -> str:
        prompts.append(str(request.prompt))
        return open_book(request)

    settings = ConventionalRlSettings(**LOOP, asked="closed")
    finish(ConventionalRl(settings).learn(make_desk(scripted_model(watch), None), PROBLEMS))
    assert not any("lives in" in prompt for prompt in prompts)


def test_checks_are_tuning_and_tell_peak_from_end(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(open_book), None)
    settings = ConventionalRlSettings(**LOOP, check_every=1, held_out=1, checkpoint="best")
    assert finish(ConventionalRl(settings).learn(desk, PROBLEMS)) is desk.model  # all as good: the first is kept
    assert [(one.step, one.development) for one in steps_of(book)] == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert by_purpose(book)[Purpose.TUNE] == 3 * 2 * 2


def test_it_then_adapts_as_fine_tuning_on_the_passage_does(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(open_book), 30.0)
    method = ConventionalRl(ConventionalRlSettings(**LOOP))
    answerer = finish(method.adapt(desk, [MATERIAL], desk.model))
    assert answerer.adapter.sequences == (tuple(b"Ada: Ada lives in Rome. She owns a cat."),)


@pytest.mark.parametrize(("asked", "rounds"), [("open", 2), ("both", 2), ("closed", 3)])
def test_a_small_investment_is_used_up_and_no_step_draws_what_it_cannot_learn_from(
    make_desk: Make, book: Book, asked: Any, rounds: int
) -> None:
    """A question below its passage takes many times what it takes without: each has its own price. What is left at the
    end is no answer more."""
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model: Model = load(Path(netgain.__file__).parent / "shipped" / "people", device="cpu")
    people, budget = People(), 2e10
    desk = make_desk(model, budget, prompts=people.prompts, grade=people.grade)
    settings = ConventionalRlSettings(rounds=rounds, candidates=4, asked=asked, outer_rank=4, outer_learning_rate=1e-3)
    finish(ConventionalRl(settings).learn(desk, people.problems("train", 4, 0)))
    curve = steps_of(book)
    assert [one.step for one in curve] == list(range(1, rounds + 1))
    assert all(one.texts >= 2 and one.updates for one in curve)
    assert 0 <= desk.left() < 0.03 * budget


def test_development_problems_are_checked_on_and_all_training_ones_learnt_from(make_desk: Make, book: Book) -> None:
    apart = tuple(problem(number) for number in (7, 8, 9))
    asked: set[str] = set()

    def watch(request: Generate) -> str:
        asked.add(str(request.prompt).rpartition("Q: ")[2].split()[0] + ("!" if request.temperature else ""))
        return open_book(request)

    desk = make_desk(scripted_model(watch), None, development=apart)
    settings = ConventionalRlSettings(rounds=2, contexts=16, candidates=2, check_every=1, held_out=2)
    finish(ConventionalRl(settings).learn(desk, PROBLEMS))
    checked = {name for name in asked if not name.endswith("!")}
    assert len(checked) == 2
    assert checked < {"P7", "P8", "P9"}
    assert asked - checked == {"P0!", "P1!", "P2!", "P3!"}  # by all of which it learns


def test_an_investment_that_pays_for_nothing_is_refused(make_desk: Make) -> None:
    with pytest.raises(InputError, match="does not pay for even one question"):
        finish(ConventionalRl(ConventionalRlSettings()).learn(make_desk(scripted_model(open_book), 3.0), PROBLEMS))
