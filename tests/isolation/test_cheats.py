"""Cheats that an attack on netgain found to work: each is impossible now, refused, or exposed. docs/security.md lists
them by kind; the numbers are those of the attack's notes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netgain.isolation.confinement import landlock_version
from netgain.isolation.user_method import find_arm_method
from netgain.metering.account import Book
from netgain.methods.method import Method
from netgain.records.cost import Currency, Purpose
from netgain.trials.context import RunContext
from netgain.trials.guard import hashed
from netgain.trials.tasks import Task
from tests.isolation.test_user_methods import FOLDER, adapted
from tests.trials import world


@pytest.fixture(scope="module")
def acting() -> type[Method]:
    return find_arm_method("acting.py:Acting", FOLDER)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[RunContext]:
    with Book.open(tmp_path / "run" / "journal") as book:
        yield RunContext(
            spec=world.spec(),
            task=Task("run", "towns", "edits", 0),
            domain=world.Towns(),
            prompts=world.PROMPTS,
            model=world.model(),
            book=book,
            hidden=(tmp_path / "run",),
        )


REFUSED = [
    pytest.param("backend", "was called past the steps", id="c03 the private backend"),
    pytest.param("load", "work that no budget of this arm paid for", id="c04 an adapter made elsewhere"),
    pytest.param("prices", "BudgetExceeded", id="c05 c06 prices and limit patched"),
    pytest.param("root account", "is not this arm's to spend from", id="c15 another account"),
    pytest.param("second book", "is not this arm's to spend from", id="c16 c21 a second book"),
]


@pytest.mark.parametrize(("does", "why"), REFUSED)
def test_free_compute_is_refused(context: RunContext, acting: type[Method], does: str, why: str) -> None:
    evaluation = adapted(context, acting, does)
    assert why in evaluation.error
    assert evaluation.account.spent(Currency.FLOPS) <= 8


GAINLESS = [
    pytest.param("prompts", id="c08 the passages in the prompt of the exam"),
    pytest.param("patch", id="c09 c10 c14 grader, witness and book patched"),
]


@pytest.mark.parametrize("does", GAINLESS)
def test_what_is_patched_gains_nothing(context: RunContext, acting: type[Method], does: str) -> None:
    before = adapted(context, acting, "honest")
    evaluation = adapted(context, acting, does)
    assert (evaluation.error, [mark.grade.correct for mark in evaluation.marked]) == ("", [False, False])
    after = adapted(context, acting, "honest", name="the next arm")
    assert [mark.grade for mark in after.marked] == [mark.grade for mark in before.marked]


ABSENT = [
    pytest.param("search", id="c07 questions in frames"),
    pytest.param("weights", id="c19 weights in memory"),
]


@pytest.mark.parametrize("does", ABSENT)
def test_what_it_looks_for_is_not_there(context: RunContext, acting: type[Method], does: str) -> None:
    assert adapted(context, acting, does).error == ""


EXPOSED = [
    pytest.param("text", id="c01 c02 trained on the questions"),
    pytest.param("cut", id="c18 the name cut in two, as token ids"),
    pytest.param("dictate", id="c02 the model told to write them"),
]


@pytest.mark.parametrize("does", EXPOSED)
def test_an_exams_question_is_exposed(context: RunContext, acting: type[Method], does: str) -> None:
    (problem,) = context.problems("test", 1)
    question = problem.questions[0].text
    evaluation = adapted(context, acting, does, at=question)
    assert evaluation.error == ""
    assert hashed(question) in evaluation.exposed


WORKS = [
    pytest.param("subprocess", id="c11 a subprocess"),
    pytest.param("thread", id="c12 a thread"),
    pytest.param("compute", id="c13 half a second of its own"),
]


@pytest.mark.parametrize("does", WORKS)
def test_work_of_its_own_is_exposed(context: RunContext, acting: type[Method], does: str) -> None:
    evaluation = adapted(context, acting, does)
    assert evaluation.guard is not None
    row = evaluation.guard.own_work(metered=0.0, whole=0.03)
    assert row["unmetered"]
    assert row["own_seconds"] >= 0.45
    assert row.get("opened", ()) == (("programs",) if does == "subprocess" else ())
    assert not [one for one in context.book.charges() if one.purpose is Purpose.EVALUATE and one.outcome != "completed"]


@pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
def test_c20_a_rivals_rows_are_out_of_reach(context: RunContext, acting: type[Method], tmp_path: Path) -> None:
    rows = tmp_path / "run" / "rows.jsonl"
    rows.write_text("a rival's")
    assert "PermissionError" in adapted(context, acting, "overwrite", at=rows).error
    assert rows.read_text() == "a rival's"
