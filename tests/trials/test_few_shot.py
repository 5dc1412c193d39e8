"""A domain of examples goes through the same trial as every other: resolved, run, examined, judged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.domains.few_shot import FewShot, View
from netgain.domains.grid import GridTask, Shown, written
from netgain.domains.grid_shots import GRID_PROMPTS, GridShots, grade_grid, grid_problem
from netgain.domains.leakage import leaks
from netgain.domains.problem import Problem, Question, Split
from netgain.errors import InputError
from netgain.exam.exam import Answerer, Marked, sit
from netgain.metering.account import Book
from netgain.methods.method import Desk
from netgain.model import Generate, scripted_model
from netgain.model.program import Steps, ask, run
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.samples import Adaptation, AdaptationStream, read_rows
from netgain.strict_yaml import SourceLines
from netgain.tokens import EstimatedTokens
from netgain.trials.guard import Guard
from netgain.trials.preview import SHOWN, Preview
from netgain.trials.resolve import LEARNS_IN_CONTEXT, Trial, resolve_spec, with_data
from netgain.trials.schedule import TrialResult, run_trial
from netgain.trials.spec import TrialSpec
from netgain.trials.store import SAMPLES
from netgain.trials.task_costs import measured
from netgain.trials.trial_claim import claim_of
from tests.trials import letters, world

ARMS: dict[str, Any] = {"frozen": {"method": "frozen"}, "trained": {"method": "trained"}}


def trial(domain: dict[str, Any] | None = None, arms: dict[str, Any] | None = None, **changes: Any) -> Trial:
    fields: dict[str, Any] = {
        "name": "letters",
        "domains": {"letters": {"kind": "letters", **(domain or {})}},
        "problems": {"train": 0, "development": 2, "test": 4},
        "seeds": 1,
        "budget": {"per_problem": 1, "ladder": [1]},
        "tuning": {"trials": 0},
        "arms": arms or ARMS,
        "compare": {"arm": "trained", "against": "frozen", "exam": "held-out"},
        "exam": {"controls": 2, "drift": 0},
    }
    spec = TrialSpec.model_validate(fields | changes)
    return resolve_spec(spec, SourceLines("trial"), letters.find_method, letters.find_domain)


def ran(folder: Path, asked: Trial) -> TrialResult:
    return run_trial(asked, folder, load=lambda trial, device: letters.model(), device="cpu")


def adaptations(folder: Path, asked: Trial) -> list[Adaptation]:
    assert ran(folder, asked).failed == {}
    return [row for row in read_rows(folder / SAMPLES) if isinstance(row, Adaptation)]


def problem(domain: dict[str, Any] | None = None, split: Split = "test") -> Problem:
    return letters.Shifts(letters.LettersSettings(**(domain or {}))).problems(split, 1, 0)[0]


GRADE = letters.Shifts().grade


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened


def finish(steps: Steps[Any]) -> Any:
    ((_, ended),) = run({0: steps})
    if ended.error is not None:
        raise ended.error
    return ended.value


def sat(book: Book, question: Question, known: dict[str, str], few_shot: FewShot | None = None) -> tuple[Marked, ...]:
    account = book.account("exam").under(Purpose.EVALUATE)
    answerer = Answerer(model=scripted_model(known))
    return tuple(finish(sit(answerer, [question], letters.Shifts.prompts, account, GRADE, (), few_shot)))


def test_an_arm_that_trains_on_lessons_is_judged_against_the_model_that_reads_the_pairs(tmp_path: Path) -> None:
    asked = trial(seeds=3)
    assert ran(tmp_path, asked).failed == {}
    found = read_rows(tmp_path / SAMPLES)
    verdict = judge(claim_of(asked.spec, found, {name: arm.method.role for name, arm in asked.arms.items()}))
    assert {row.name: row.label for row in verdict.arms}["letters/frozen@1"] == "frozen (in-context learning)"
    accuracy = {row.name: row.exams["held-out"].value for row in verdict.arms}
    assert accuracy == {"letters/frozen@1": 0.0, "letters/trained@1": 1.0}
    adaptations = [row for row in found if isinstance(row, Adaptation)]
    assert not any(row.exposed for row in adaptations)
    assert {answer.kind: answer.correct for row in adaptations if row.arm == "trained" for answer in row.answers} == {
        "held-out": True,
        "seen": True,
    }


def test_views_are_asked_of_every_arm_alike_and_charged_to_evaluation(tmp_path: Path) -> None:
    for views in (1, 3):
        found = adaptations(tmp_path / str(views), trial({"views": views}))
        for row in found:
            assert row.evaluated["flops"] == views * 3  # a question and two controls
            assert Purpose.EVALUATE not in row.spent
        spent = {row.arm: sum(part.get("flops", 0) for part in row.spent.values()) for row in found}
        assert spent == {"frozen": 0, "trained": 1}


def test_several_inputs_are_asked_one_by_one_and_all_must_be_right(book: Book) -> None:
    question = problem({"inputs": 2}).questions[0]
    known = {part.text: part.answers[0] for part in question.parts}
    (mark,) = sat(book, question, known)
    assert (mark.grade.correct, mark.grade.f1) == (True, 1.0)
    assert mark.answer == "\n\n".join(question.answers)
    assert sat(book, question, known, letters.Letters())[0].attempts == tuple((one,) for one in question.answers)
    (mark,) = sat(book, question, known | {question.parts[1].text: "wrong"})
    assert (mark.grade.correct, mark.grade.f1) == (False, pytest.approx(0.5, abs=0.1))


def test_one_right_attempt_is_enough_and_all_attempts_are_recorded(tmp_path: Path, book: Book) -> None:
    question = problem().questions[0]
    backwards = letters.Letters(views=2).views(question)[1].text
    known = {question.text: "wrong", backwards: question.answers[0][::-1]}
    assert not sat(book, question, known, letters.Letters(views=2, attempts=1))[0].grade.correct
    (mark,) = sat(book, question, known, letters.Letters(views=2, attempts=2))
    assert mark.grade.correct
    assert mark.attempts == (("wrong", question.answers[0]),)
    trained = [row for row in adaptations(tmp_path, trial({"views": 2, "attempts": 2})) if row.arm == "trained"]
    assert {len(attempts) for row in trained for answer in row.answers for attempts in answer.attempts} <= {1, 2}
    assert all(answer.text == answer.attempts[0][0] for row in trained for answer in row.answers)


def test_an_answer_of_which_nothing_can_be_brought_back_is_no_vote_and_is_shown_as_it_was(book: Book) -> None:
    class Numbers(letters.FewShot):
        def lessons(self, material: Any, tools: Any, seed: int) -> tuple[Any, ...]:
            return ()

        def views(self, question: Question) -> tuple[View, ...]:
            return tuple(View(f"{n}", str(n), lambda said: said if said.isdigit() else "") for n in range(3))

    question = Question("?", ("7",))
    assert sat(book, question, {"0": "x", "1": "7", "2": "y"}, Numbers())[0].answer == "7"
    (mark,) = sat(book, question, {"0": "x", "1": "z", "2": "y"}, Numbers())
    assert (mark.answer, mark.grade.correct, mark.failed) == ("x", False, "")


def test_a_majority_votes_over_the_views_from_its_own_budget(book: Book) -> None:
    question = problem().questions[0]
    voter = book.account("arm", limit=Cost(flops=5)).under(Purpose.ADAPT)
    account = book.account("exam").under(Purpose.EVALUATE)
    asked = list[str]()

    def said(request: Generate) -> str:
        asked.append(str(request.prompt))
        return "word"

    answerer = Answerer(model=scripted_model(said), voter=voter)
    (mark,) = finish(sit(answerer, [question], letters.Shifts.prompts, account, GRADE, few_shot=letters.Letters(2)))
    assert (mark.votes, voter.spent(Currency.FLOPS), account.spent(Currency.FLOPS)) == (7, 5, 2)
    assert {asked.count(view.text) for view in letters.Letters(2).views(question)} == {3, 4}


def test_who_trains_on_a_test_output_is_exposed_backwards_too_and_an_augmented_copy_is_no_accusation(
    tmp_path: Path,
) -> None:
    task = problem()
    answer, shown = task.questions[0].answers[0], letters.read(task.material.text)[0][1]
    arms = {
        "frozen": {"method": "frozen"},
        "trained": {"method": "trained", "tools": ["backwards", "order"]},
        "copy": {"method": "trained", "cheat": f"another {shown[::-1]}."},
        "cheat": {"method": "trained", "cheat": f"a b c {answer} d"},
        "mirror": {"method": "trained", "cheat": f"a b c {answer[::-1]} d"},
        "forged": {"method": "trained", "forged": letters.written([("abc", "bcd"), ("x", answer)])},
        "question": {"method": "trained", "cheat": f"{task.questions[0].text} something"},
    }
    found = adaptations(tmp_path, trial(arms=arms, problems={"train": 0, "development": 1, "test": 1}))
    assert {row.arm for row in found if row.exposed} == {"cheat", "mirror", "forged", "question"}


def test_a_grid_that_differs_from_the_answer_in_a_corner_alone_is_no_accusation(book: Book) -> None:
    """What was trained on and what was had are looked through with one measure: the answer's inner tokens."""
    corner, answer = ((7, 1, 2), (3, 4, 5), (6, 7, 8)), ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    other, asked = ((1, 2, 3), (4, 5, 6), (7, 8, 9)), ((9, 9, 9), (1, 1, 1), (2, 2, 2))
    shown = (Shown(other, corner), Shown(corner, other), Shown(asked, other))
    task = grid_problem(GridTask("corner", shown, (Shown(asked, answer),)))
    model = scripted_model({})
    few_shot = GridShots(augmented=False)

    def told(*more: str) -> tuple[str, ...]:
        desk = Desk(
            model=model,
            account=book.account(f"arm {len(more)}"),
            prompts=GRID_PROMPTS,
            grade=grade_grid,
            currency=Currency.FLOPS,
            seed=0,
            names=(),
            few_shot=few_shot,
        )
        guard = Guard(desk, [task.material.text], [model])
        assert guard.desk.few_shot is not None
        lessons = guard.desk.few_shot.lessons(task.material, (), 0)
        texts = [*(lesson.prompt + lesson.answer for lesson in lessons), *more]
        steps = guard.watch(lambda: ask(model, [world.training(desk, texts)]))
        ((_, ended),) = run({"": steps})
        assert ended.error is None
        return guard.copied([task])

    further = ((4, 1, 2), (3, 4, 5), (6, 7, 4))  # nobody was shown it
    assert told() == ()
    assert told(f"{task.material.text} written behind what was shown") == ()
    assert len(told(f"the answer {written(answer)} is this")) == len(told(written(answer))) == 1
    assert len(told(f"{task.material.text} and {written(answer)}")) == 1
    assert len(told(f"close to it: {written(further)} is this")) == 1


def test_a_pair_that_two_splits_share_is_a_leak() -> None:
    with pytest.raises(InputError, match="share a"):
        with_data(trial({"clash": True}))
    one, other = problem(), problem(split="train")
    few_shot = letters.Letters()
    assert leaks([other], [], [one], (), few_shot) == ()
    asked = letters.read(one.questions[0].text)[-1][0], one.questions[0].answers[0]
    told = replace(other, material=replace(other.material, text=letters.written([asked])))
    assert {leak.kind for leak in leaks([told], [], [one], (), few_shot)} == {"pair"}


def test_a_judge_and_demonstrations_are_refused_where_examples_are_shown_and_compared() -> None:
    with pytest.raises(InputError, match="judge: letters is a domain of examples"):
        with_data(trial(judge={"model": "none"}))
    with pytest.raises(InputError, match="shots = 1: letters is a domain of examples"):
        with_data(trial(shots=1, problems={"train": 4, "development": 2, "test": 4}))


def test_a_plan_says_that_the_frozen_model_learns_in_context_and_so_does_its_label() -> None:
    assert any(note.endswith(LEARNS_IN_CONTEXT) for note in with_data(trial()).notes)


def test_a_problem_is_shown_as_every_arm_sees_it_and_answered_as_in_the_exam() -> None:
    preview = Preview(trial({"views": 3, "attempts": 2}), 1)
    (way,) = preview.ways
    (question,) = preview.problem.questions
    assert (way.name, way.arms, way.prompts) == (SHOWN, ("frozen", "trained"), (question.text,))
    assert (way.views, way.inputs) == ({"": 1, "backwards": 1, "again": 1}, (letters.read(question.text)[-1][0],))
    (said,) = preview.answered(letters.model(), way)
    assert said.attempts == (way.inputs[0],)  # straight and backwards it says the word itself
    assert said.grade["exact"] is False


def test_a_plan_counts_every_part_and_view() -> None:
    asked = trial({"views": 3, "inputs": 2})
    domain = asked.domains["letters"]
    lengths = measured(domain, asked.prompts("letters"), asked.spec, EstimatedTokens())
    assert (lengths.questions, lengths.asked, lengths.controls, lengths.control_prompts) == (1, 6, 2, 3)


def test_a_stream_of_tasks_is_examined_as_the_exam_asks(tmp_path: Path) -> None:
    exam = {"controls": 0, "drift": 0, "stream": 2}
    ran(tmp_path, trial({"views": 2}, exam=exam))
    (row,) = [r for r in read_rows(tmp_path / SAMPLES) if isinstance(r, AdaptationStream) and r.arm == "trained"]
    assert row.matrix == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert row.evaluated["flops"] == 3 * 2 * 2
