"""Answers are graded as SQuAD v1.1 grades them."""

import pytest

from netgain.domains.grading import f1, grade, normalise
from netgain.domains.problem import Grade, Question


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Denver Broncos.", "denver broncos"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("24–10", "24–10"),  # the published script knows ASCII punctuation only
        ("U.S.A.", "usa"),
        ("the", ""),
    ],
)
def test_case_punctuation_articles_and_spaces_do_not_matter(text: str, plain: str) -> None:
    assert normalise(text) == plain


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("Denver Broncos", "the Denver Broncos", 1.0),
        ("Broncos", "Denver Broncos", 2 / 3),
        ("the big big cat", "big cat", 4 / 5),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "", 1.0),
    ],
)
def test_f1_is_over_words_and_each_word_counts_once(answer: str, reference: str, value: float) -> None:
    assert f1(answer, reference) == pytest.approx(value)


def test_the_best_over_all_reference_answers_counts() -> None:
    question = Question("Who?", ("Carolina Panthers", "the Denver Broncos", "Denver"))
    assert grade(question, "denver broncos!") == Grade(True, 1.0)
    assert grade(question, "Broncos of Denver") == Grade(False, pytest.approx(0.8))
    assert grade(question, "") == Grade(False, 0.0)
    assert grade(Question("Who?", ()), "anyone") == Grade(False, 0.0)
