"""What two splits share is found, and so is an exam's question in what a method trained on."""

from pathlib import Path
from typing import Any

import pytest

from netgain.domains.leakage import leaks
from netgain.domains.people import People, PeopleSettings
from netgain.domains.problem import Material, Problem, Question
from netgain.domains.reading import Shares
from netgain.domains.squad import Squad, SquadSettings

SPLITS: Any = ("train", "development", "test")
LONG = "the mill on the river was built by monks in the year of the great flood and burnt twice"


def problem(name: str, text: str = "", question: str = "", answer: str = "red") -> Problem:
    asked = Question(question or f"Which colour has {name}?", (answer, "crimson"))
    return Problem(Material(name.lower().replace(" ", "-"), name, text or f"{name} is red."), (asked,))


def kinds(*splits: list[Problem], controls: tuple[Question, ...] = ()) -> list[str]:
    train, development, test = splits
    return [leak.kind for leak in leaks(train, development, test, controls)]


def test_clean_splits_leak_nothing() -> None:
    assert leaks([problem("One")], [problem("Two")], [problem("Three"), problem("Four")]) == ()


def test_a_title_in_two_splits_is_a_leak() -> None:
    (leak,) = leaks([problem("The Mill", "It is red.", "Which?")], [], [problem("the mill!", "It is old.")])
    assert (leak.kind, leak.first, leak.second) == ("title", "test:the-mill!", "train:the-mill")


@pytest.mark.parametrize("place", [0, 1])
def test_a_passage_in_two_splits_is_a_leak_whatever_its_title(place: int) -> None:
    others = [[problem("One", LONG)], []]
    assert kinds(others[place], others[1 - place], [problem("Two", f"{LONG.upper()}.")]) == ["passage"]
    assert kinds([problem("One", "Short.")], [problem("Two", "short")], []) == ["passage"]


def test_a_question_of_the_exam_among_training_questions_is_a_leak_and_its_answer_is_told() -> None:
    test = [problem("Two", question="Who built the mill?", answer="The monks.")]
    (same,) = leaks([problem("One", question="Who built  the mill", answer="the monks")], [], test)
    assert same.detail == "Who built the mill? (with its answer)"
    other = Problem(Material("one", "One", "One is old."), (Question("Who built the mill?", ("nuns",)),))
    (same_question,) = leaks([other], [], test)
    assert (same_question.kind, same_question.detail) == ("question", "Who built the mill?")


def test_thirteen_words_of_a_test_passage_in_a_training_passage_are_a_leak_and_twelve_are_none() -> None:
    words = LONG.split()
    thirteen, twelve = " ".join(words[:13]), " ".join(words[:12])
    assert kinds([problem("One", f"They say, {thirteen}, so far")], [], [problem("Two", LONG)]) == ["overlap"]
    assert kinds([problem("One", f"They say {twelve} so far")], [], [problem("Two", LONG)]) == []
    rest = " It has three floors and a yellow door and stands on a hill among apple trees"
    assert kinds([problem("One", thirteen)], [], [problem("Two", LONG + rest)]) == []  # less than half of it
    assert kinds([problem("One", thirteen)], [], [problem("Two mill", LONG + rest, answer="monks")]) == ["overlap"]
    short = " ".join(words[:9])
    assert kinds([problem("One", f"They say {short} so far")], [], [problem("Two", short)]) == ["overlap"]


def test_a_name_that_the_base_model_had_seen_is_a_leak() -> None:
    seen = (
        Question("Where does Ada Vale live?", ("Oslo",), "seen"),
        Question("Which is last in a b?", ("b",), "skill"),
    )
    (leak,) = leaks([], [], [problem("ada vale"), problem("Ada Val"), problem("last")], seen)
    assert (leak.kind, leak.first, leak.second) == ("name", "test:ada-vale", "controls")


@pytest.mark.parametrize("style", ["plain", "narrative"])
def test_the_people_world_does_not_leak(style: Any) -> None:
    people = People(PeopleSettings(style=style))
    for seed in range(3):
        train, development, test = (people.problems(split, 48, seed) for split in SPLITS)
        assert leaks(train, development, test, people.controls(200, seed)) == ()


def test_the_real_passages_do_not_leak_between_splits(real_squad: Path) -> None:
    squad = Squad(SquadSettings(path=real_squad, shares=Shares(train=0.4, development=0.1, test=0.4)))
    train, development, test = (squad.problems(split, 20 if split == "development" else 200, 0) for split in SPLITS)
    assert leaks(train, development, test, squad.controls(20, 0)) == ()
    assert len(leaks(test, development, test)) >= 200
