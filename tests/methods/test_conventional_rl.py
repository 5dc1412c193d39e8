"""RL on conventional data: answers drawn and graded in context and closed book, learnt from, then the passage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netgain
from netgain.domains.people import People
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


def test_the_shipped_model_learns_to_answer_within_its_investment(make_desk: Make, book: Book) -> None:
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model: Model = load(Path(netgain.__file__).parent / "shipped" / "people", device="cpu")
    people = People()
    desk = make_desk(model, 3e10, prompts=people.prompts, grade=people.grade)
    settings = ConventionalRlSettings(rounds=2, candidates=4, asked="open", outer_rank=4, outer_learning_rate=1e-3)
    finish(ConventionalRl(settings).learn(desk, people.problems("train", 4, 0)))
    curve = steps_of(book)
    assert [one.step for one in curve] == [1, 2]
    assert all(one.texts >= 4 and one.updates for one in curve)
    assert 0 <= desk.left() < 0.1 * 3e10


def test_an_investment_that_pays_for_nothing_is_refused(make_desk: Make) -> None:
    with pytest.raises(InputError, match="does not pay for even one question"):
        finish(ConventionalRl(ConventionalRlSettings()).learn(make_desk(scripted_model(open_book), 3.0), PROBLEMS))
