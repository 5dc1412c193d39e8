"""The handbook in ``examples/`` is fit for an exam: nobody can know it, its answers stand in it, and no split tells
another's."""

from collections import Counter
from pathlib import Path

import pytest

from netgain.domains.languages import words
from netgain.domains.leakage import leaks
from netgain.domains.passages import Passages, PassagesSettings, read_passages, weak_questions
from netgain.domains.reading import Pair, Passage

FOLDER = Path(__file__).parents[1] / "examples" / "handbook"
PASSAGES = read_passages(FOLDER)
COUNTS = Counter(passage.split for passage in PASSAGES)


def pairs(passage: Passage) -> tuple[Pair, ...]:
    return passage.questions + passage.two_hop


def compared(text: str) -> str:
    """The words of a text by which answers are compared."""
    return " ".join(words(text, "en"))


def says(text: str, answer: str) -> bool:
    """Whether the words of an answer stand in a text, one after the other."""
    return f" {compared(answer)} " in f" {compared(text)} "


def test_every_passage_says_which_part_it_is_in_and_every_part_has_enough() -> None:
    assert None not in COUNTS
    assert COUNTS["test"] >= 48
    assert COUNTS["train"] >= 24
    assert COUNTS["development"] >= 8
    assert COUNTS["controls"] >= 8
    passages = Passages(PassagesSettings(path=FOLDER))
    assert len(passages.problems("test", COUNTS["test"], 0)) == COUNTS["test"]
    assert passages.notes in ((), ("left out as about the folder: README.md",))


@pytest.mark.parametrize("passage", PASSAGES, ids=lambda passage: Path(passage.where).stem)
def test_a_passage_is_as_long_as_a_page_of_a_handbook_and_tells_its_answers(passage: Passage) -> None:
    assert 80 <= len(passage.text.split()) <= 160
    assert len(pairs(passage)) >= 5
    assert 1 <= len(passage.two_hop) < len(passage.questions)
    for question, answers in pairs(passage):
        assert question.endswith("?")
        assert len(answers[0].split()) <= 8
        for answer in answers:
            assert compared(answer)
        assert len({answer.casefold() for answer in answers}) == len(answers)
    assert weak_questions([passage]) == ()


def test_a_question_stands_alone_and_is_asked_once() -> None:
    """One of a single hop names what its title names, since without its passage it must say what it is about."""
    questions = [compared(question) for passage in PASSAGES for question, _ in pairs(passage)]
    assert len(set(questions)) == len(questions)
    assert len({compared(passage.title) for passage in PASSAGES}) == len(PASSAGES)
    for passage in PASSAGES:
        title = {word[:4] for word in compared(passage.title).split() if len(word) > 3}
        for question, _ in passage.questions:
            assert title & {word[:4] for word in compared(question).split()}, f"{passage.title}: {question}"


def test_no_answer_can_be_guessed_from_the_others() -> None:
    golds = [(passage, compared(answers[0])) for passage in PASSAGES for _, answers in pairs(passage)]
    often = Counter(gold for _, gold in golds)
    assert often.most_common(1)[0][1] <= 4, often.most_common(5)
    for passage, gold in golds:
        others = [other.title for other in PASSAGES if other is not passage and says(other.text, gold)]
        assert len(others) <= len(PASSAGES) // 8, f"{passage.title}: {gold!r} stands in {others}"
        assert len(gold.split()) < 3 or len(others) <= 2, f"{passage.title}: {gold!r} stands in {others}"


def test_no_split_tells_what_another_asks() -> None:
    passages = Passages(PassagesSettings(path=FOLDER))
    train, development, test = (passages.problems(s, COUNTS[s], 0) for s in ("train", "development", "test"))
    assert leaks(train, development, test, passages.controls(1000, 0)) == ()
