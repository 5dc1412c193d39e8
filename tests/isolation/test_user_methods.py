"""A method of one's own runs in a process that never holds the exam; its author sees no difference, and one that
hangs, dies or cheats is a failed adaptation while the trial goes on. docs/security.md says which is which."""

import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.few_shot import FewShot, Lesson, View
from netgain.domains.problem import Material, Problem, Question
from netgain.isolation.confinement import landlock_version
from netgain.isolation.user_method import UserMethod, find_arm_method
from netgain.metering.account import Book
from netgain.methods.method import Method
from netgain.methods.taught import OracleTeacher
from netgain.model.program import run
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, read_rows
from netgain.strict_yaml import SourceLines
from netgain.trials.context import Evaluation, RunContext, evaluate
from netgain.trials.resolve import resolve_spec
from netgain.trials.run import run_arm
from netgain.trials.schedule import run_trial
from netgain.trials.sealing import sealed
from netgain.trials.spec import IsolationSpec
from netgain.trials.tasks import Task
from tests.trials import world

FOLDER = Path(__file__).parent
confined = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")


@pytest.fixture(scope="module")
def acting() -> type[Method]:
    return find_arm_method("acting.py:Acting", FOLDER)


@pytest.fixture(scope="module")
def remembering() -> type[Method]:
    return find_arm_method("acting.py:Remembering", FOLDER)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[RunContext]:
    with Book.open(tmp_path / "run" / "journal") as book:
        task = Task("run", "towns", "edits", 0)
        spec = world.spec(isolation={"step_seconds": 20.0})
        yield RunContext(
            spec=spec,
            task=task,
            domain=world.Towns(),
            prompts=world.PROMPTS,
            model=world.model(),
            book=book,
            hidden=(tmp_path / "run",),
        )


def adapted(
    context: RunContext, method: type[Method], does: str = "honest", at: object = "", **more: Any
) -> Evaluation:
    """What comes of an adaptation to one town, with a budget of eight calls."""
    group = context.problems("test", 1)
    evaluation = context.evaluation(1.0, group, **({"name": does} | more))
    made = method(method.Settings.model_validate({"does": does, "at": str(at)})) if does else method()
    ((_, ended),) = run({"": evaluate(context, made, None, (), evaluation)})
    assert ended.value is not None
    return ended.value


def own_seconds(evaluation: Evaluation) -> float:
    assert evaluation.guard is not None
    assert evaluation.guard.own.seconds is not None
    return evaluation.guard.own.seconds


def test_an_honest_method_is_given_what_it_asks_for(context: RunContext, acting: type[Method]) -> None:
    evaluation = adapted(context, acting)
    assert (evaluation.error, evaluation.exposed) == ("", ())
    assert all(mark.grade.correct for mark in evaluation.marked)
    assert evaluation.guard is not None
    assert [edit.purpose for edit in evaluation.guard.edits] == [Purpose.PROPOSE]
    assert not evaluation.guard.unmetered(0.0)


def test_all_that_a_desk_offers_is_there(context: RunContext, acting: type[Method]) -> None:
    with_teacher = replace(context, teacher=OracleTeacher(sealed(context.domain.oracle)))
    evaluation = adapted(with_teacher, acting, "several")
    assert evaluation.error == ""
    assert {charge.operation for charge in context.book.charges() if charge.discarded} == {"own work"}


class Turning(FewShot):
    """What a domain of examples might offer."""

    tools = {"turn": "turned round"}  # noqa: RUF012
    attempts = 2

    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        return tuple(Lesson(material.text, f"{tool} {seed}") for tool in tools)

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        return (Problem(material, (Question("?", ("held",)),)),)

    def views(self, question: Question) -> tuple[View, ...]:
        return View(question.text), View(question.text, "turned", lambda answer: answer[::-1])

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        before, found, after = text.partition(">")
        return ((before, after),) if found else ()

    def forms(self, answer: str) -> tuple[str, ...]:
        return answer, answer[::-1]


def test_what_a_domain_of_examples_offers_is_there(context: RunContext, acting: type[Method]) -> None:
    class Examples(world.Towns):
        few_shot = Turning()

    evaluation = adapted(replace(context, domain=Examples()), acting, "examples")
    assert evaluation.error == ""
    assert len(evaluation.marked) == 2


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("hang", "took more than 0.3 seconds for a step"),
        ("loop", "took more than 0.3 seconds for a step"),
        ("ask for ever", "took more than 0.3 seconds for a step"),
        ("insist", "took more than 0.3 seconds for a step"),
        ("abort", "its process ended before it did (signal 6, SIGABRT)"),
        ("segfault", "its process ended before it did (signal 11, SIGSEGV)"),
        ("exit", "SystemExit: 0"),
        ("exit at once", "its process ended before it did (exit code 0)"),
        ("interrupt", "KeyboardInterrupt"),
        ("raise", "KeyError: 'no such key'"),
        ("return", "returned str, not an Answerer"),
        ("garbage", "a message of"),
        ("no json", "a message that is not JSON"),
        ("unknown", "a message that is none of a method's"),
    ],
)
def test_one_that_hangs_or_dies_is_a_failed_adaptation_with_its_reason(
    context: RunContext, acting: type[Method], does: str, why: str
) -> None:
    impatient = context.spec.model_copy(update={"isolation": IsolationSpec(step_seconds=0.3)})
    patient = not why.startswith("took")
    evaluation = adapted(context if patient else replace(context, spec=impatient), acting, does)
    assert why in evaluation.error
    assert evaluation.marked == ()
    assert adapted(context, acting).error == ""  # and the next one is as if nothing had been


def test_one_that_is_no_program_is_told_so(context: RunContext) -> None:
    assert "not a program in steps" in adapted(context, find_arm_method("acting.py:NoSteps", FOLDER), "").error


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("load", "model.load_adapter"),
        ("second book", "is not this arm's to spend from"),
        ("direct", "was called past the steps"),
        ("backend", "was called past the steps"),
        ("root account", "is not this arm's to spend from"),
        ("foreign account", "is not this arm's to spend from"),
    ],
)
def test_work_off_the_books_is_refused_in_words(context: RunContext, acting: type[Method], does: str, why: str) -> None:
    evaluation = adapted(context, acting, does, at=context.root.row)
    assert why in evaluation.error
    assert not [charge for charge in context.book.charges() if charge.opened.purpose is not Purpose.EVALUATE]


@pytest.mark.parametrize("does", ["search", "weights"])
def test_there_is_neither_a_question_nor_a_model_in_its_memory(
    context: RunContext, acting: type[Method], does: str
) -> None:
    assert adapted(context, acting, does).error == ""


@pytest.mark.parametrize("does", ["patch", "prompts"])
def test_what_it_patches_is_its_own(context: RunContext, acting: type[Method], does: str) -> None:
    evaluation = adapted(context, acting, does)
    assert [mark.grade.correct for mark in evaluation.marked] == [False, False]
    assert context.prompts.closed == world.PROMPTS.closed == "Q: {question}"


@confined
@pytest.mark.parametrize("does", ["remove", "overwrite", "look"])
def test_what_the_trial_has_written_down_it_neither_reads_nor_changes(
    context: RunContext, acting: type[Method], does: str, tmp_path: Path
) -> None:
    rival = tmp_path / "run" / "rows.jsonl"
    rival.write_text("a rival's rows")
    evaluation = adapted(context, acting, does, at=rival.parent if does == "remove" else rival)
    assert "PermissionError" in evaluation.error
    assert rival.read_text() == "a rival's rows"


@confined
@pytest.mark.parametrize("does", ["kill", "memory"])
def test_it_reaches_no_process_but_its_own(context: RunContext, acting: type[Method], does: str) -> None:
    assert "PermissionError" in adapted(context, acting, does, at=os.getpid()).error


def test_a_method_that_changes_directory_moves_itself_only(context: RunContext, acting: type[Method]) -> None:
    before = Path.cwd()
    assert adapted(context, acting, "move").error == ""
    assert Path.cwd() == before


@pytest.mark.parametrize("does", ["compute", "thread", "subprocess", "orphan"])
def test_work_of_its_own_is_measured_wherever_it_is_done(context: RunContext, acting: type[Method], does: str) -> None:
    evaluation = adapted(context, acting, does)
    assert 0.45 < own_seconds(evaluation) < 3.0
    assert evaluation.guard is not None
    assert evaluation.guard.unmetered(0.0)
    assert not evaluation.guard.unmetered(0.0, whole=100.0)  # of a budget of minutes it is nothing


@pytest.mark.parametrize(("does", "right"), [("keep", True), ("merge", False)])
def test_what_was_learned_stays_in_the_memory_of_its_process(
    context: RunContext, remembering: type[Method], does: str, right: bool
) -> None:
    """An object of its own, or a model of the harness's."""
    small = context.spec.model_copy(update={"budget": context.spec.budget.model_copy(update={"ladder": (1.0,)})})
    rows = run_arm(replace(context, spec=small), remembering(remembering.Settings.model_validate({"does": does})))
    found = [row for row in rows if isinstance(row, Adaptation)]
    assert [row.error for row in found] == [""] * 4
    assert all(answer.correct for row in found for answer in row.answers[:2]) is right


def test_a_trial_goes_on_when_a_method_dies(tmp_path: Path) -> None:
    arms = {"frozen": {"method": "frozen"}, "passage": {"method": "passage"}}
    arms["own"] = {"method": "acting.py:Acting", "does": "exit at once"}
    small = {"problems": {"train": 0, "development": 1, "test": 2}, "budget": {"per_problem": 8, "ladder": [1]}}
    asked = world.spec(arms, compare={"arm": "own"}, seeds=1, tuning={"trials": 0}, **small)

    def find(name: str, folder: Path) -> type[Method]:
        return find_arm_method(name, FOLDER) if ".py:" in name else world.find_method(name)

    trial = resolve_spec(asked, SourceLines("trial"), find, world.find_domain)
    done = run_trial(trial, tmp_path, load=world.load, device="cpu")
    rows = [row for row in read_rows(tmp_path / "samples.jsonl") if isinstance(row, Adaptation)]
    assert {row.arm for row in rows if row.status == "failed"} == {"own"}
    assert {row.arm for row in rows if row.status == "ok"} == {"frozen", "passage"}
    assert done.complete


def test_a_method_of_an_installed_package_runs_elsewhere_too(
    context: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text((FOLDER / "acting.py").read_text())
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[netgain.methods]\ntheir-acting = theirs:Acting\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    method = find_arm_method("their_acting")
    assert issubclass(method, UserMethod)
    assert method.source_file == tmp_path / "theirs.py"
    assert adapted(context, method, "search").error == ""
    assert "theirs" not in sys.modules


def test_nothing_of_a_users_file_is_loaded_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\nfrom netgain.methods import Method, Role\nLOADED_BY = os.getpid()\n"
        "class Own(Method):\n    role = Role.OTHER\n    presets = {str(LOADED_BY): {}}\n"
        "    def adapt(self, desk, materials, learned): ...\n"
    )
    method = find_arm_method("own.py:Own", tmp_path)
    assert issubclass(method, UserMethod)
    assert list(method.presets) != [str(os.getpid())]
    assert IsolationSpec().step_seconds == 60
