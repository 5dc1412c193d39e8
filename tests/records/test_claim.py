"""A claim refuses what does not fit together."""

import pytest
from pydantic import ValidationError

from netgain.records.claim import Arm, Claim, Exam, ExamProblem, Role

EXAM = Exam(name="e", problems=(ExamProblem(id="p", questions=("a", "b")),))


def arm(**more: object) -> Arm:
    return Arm.model_validate({"name": "x", "label": "X", "setting": "s", "role": Role.SYNTHETIC} | more)


def test_a_claim_survives_being_written_and_read_back() -> None:
    claim = Claim(name="c", title="C", exams=(EXAM,), arms=(arm(exam="e", correct=("10",)),), headline="x")
    assert Claim.model_validate(claim.dump()) == claim


def test_verdicts_must_fit_the_exam() -> None:
    with pytest.raises(ValidationError, match="one character for each question"):
        Claim(name="c", title="C", exams=(EXAM,), arms=(arm(exam="e", correct=("101",)),))
    with pytest.raises(ValidationError, match="not among the exams"):
        Claim(name="c", title="C", arms=(arm(exam="nowhere", correct=("10",)),))


def test_arm_names_are_unique_and_the_headline_exists() -> None:
    with pytest.raises(ValidationError, match="used twice"):
        Claim(name="c", title="C", arms=(arm(), arm()))
    with pytest.raises(ValidationError, match="headline 'y' is not the name of an arm"):
        Claim(name="c", title="C", arms=(arm(),), headline="y")


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="colour"):
        arm(colour="red")
