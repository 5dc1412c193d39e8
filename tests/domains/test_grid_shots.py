"""A grid task is a problem of one question; its training sequences, views and votes are those of its grids, as text."""

import pytest

from netgain.domains.augment import training_tasks
from netgain.domains.grid import GridTask, Shown, read_pairs, read_question, written, written_pairs, written_question
from netgain.domains.grid_shots import GRID_PROMPTS, TOOLS, GridShots, grade_grid, grid_problem
from netgain.domains.problem import Material, Question
from netgain.domains.voting import grid_views
from netgain.errors import InputError
from netgain.methods.settings_edit import read_settings, written_settings
from netgain.records.learning import ChosenTraining

from .test_augment import pairs, rows

SHOWN = pairs(3)
TASK = GridTask("t1", SHOWN, (Shown(rows("12/34"), rows("43/21")), Shown(rows("5"), rows("6"))))
ONE = GridTask("t2", SHOWN, TASK.tests[:1])
RIGHT = rows("43/21")


def test_a_task_of_several_tests_is_one_question_each_of_whose_parts_is_asked() -> None:
    problem = grid_problem(TASK)
    (question,) = problem.questions
    assert problem.material == Material("t1", "t1", written_pairs(SHOWN))
    assert [part.text for part in question.asked] == [written_question(SHOWN, test.input) for test in TASK.tests]
    assert [part.answers for part in question.asked] == [("4 3\n2 1",), ("6",)]
    assert question.kind == "few-shot"
    (alone,) = grid_problem(ONE).questions
    assert alone.asked == (question.parts[0],)


def test_the_test_outputs_are_in_no_material_and_no_lesson() -> None:
    problem = grid_problem(ONE)
    answer = written(RIGHT)
    assert answer not in problem.material.text
    assert answer not in problem.questions[0].text
    assert all(lesson.answer != answer for lesson in GridShots().lessons(problem.material, (), 0))


def test_lessons_are_the_training_tasks_of_the_pairs_as_text() -> None:
    lessons = GridShots().lessons(grid_problem(ONE).material, ["size"], 3)
    made = training_tasks(SHOWN, ["size"], 3)
    assert [(lesson.prompt, lesson.answer) for lesson in lessons] == [
        (written_question(task.examples, task.tests[0].input), written(task.tests[0].output)) for task in made
    ]
    assert len(lessons) == 72


def test_lessons_and_views_above_the_limit_are_left_out() -> None:
    material, (question,) = grid_problem(ONE).material, grid_problem(ONE).questions
    short = GridShots(max_tokens=120)
    lessons = short.lessons(material, ["size"], 0)
    assert 0 < len(lessons) < 72
    assert all(len(lesson.prompt + lesson.answer) < 120 for lesson in lessons)
    left_out_two = [view.text.count("Output:") for view in short.views(question)]
    assert set(left_out_two) == {2}  # one pair and what is asked: no view that leaves out one pair is short enough
    assert [view.text for view in GridShots(max_tokens=20).views(question)] == [question.text]
    words = GridShots(max_tokens=120, count=lambda text: len(text.split()))
    assert len(words.lessons(material, ["size"], 0)) > len(lessons)


def test_wrong_arguments_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"attempts 4.*must be 1, 2 or 3"):
        GridShots(attempts=4)
    with pytest.raises(InputError, match="m: its text shows no pairs of grids"):
        GridShots().lessons(Material("m", "m", "Ada lives in Rome."), (), 0)
    with pytest.raises(InputError, match="did you mean 'repeat'"):
        GridShots().lessons(grid_problem(ONE).material, ["repeats"], 0)


def test_views_are_the_forms_of_the_question_and_undo_its_answers() -> None:
    (question,) = grid_problem(ONE).questions
    views, forms = GridShots().views(question), grid_views(SHOWN, ONE.tests[0].input)
    assert [view.text for view in views] == [written_question(form.examples, form.asked) for form in forms]
    for view, form in zip(views, forms, strict=True):
        assert view.category == form.tool.name
        assert view.undo(written(form.tool.on_output(RIGHT))) == written(RIGHT)
        assert view.undo("I do not know") == ""
    assert [view.text for view in GridShots(augmented=False).views(question)] == [question.text]
    assert [view.text for view in GridShots().views(Question("Who?", ("Ada",)))] == ["Who?"]


def test_answers_are_elected_by_the_two_stages_and_what_is_no_grid_has_no_vote() -> None:
    (question,) = grid_problem(ONE).questions
    given = [("identity", "1 1"), ("identity", "[[2, 2]]"), ("flip 0", "2 2"), ("transpose", "two"), ("flip 1", "2 2")]
    assert GridShots().elect(question, given) == ("2 2", "1 1")
    assert GridShots(attempts=1).elect(question, given) == ("2 2",)
    assert GridShots().elect(question, [("identity", "two")]) == ()


def test_a_trial_can_find_shared_pairs_and_recognise_answers_under_every_symmetry() -> None:
    shots, (question,) = GridShots(), grid_problem(ONE).questions
    known = tuple((written(pair.input), written(pair.output)) for pair in SHOWN)
    assert shots.shown(grid_problem(ONE).material.text) == known
    assert shots.shown(question.text) == (*known, ("1 2\n3 4", ""))
    assert shots.shown("Ada lives in Rome.") == ()
    expected = ["12/34", "24/13", "43/21", "31/42", "13/24", "42/31", "34/12", "21/43"]
    assert sorted(shots.forms("1 2\n3 4")) == sorted(written(rows(text)) for text in expected)
    assert shots.forms("1 2\n3 4")[0] == "1 2\n3 4"
    assert shots.forms("none") == ("none",)


def test_a_grade_is_by_the_grid_not_by_how_it_is_written() -> None:
    (question,) = grid_problem(ONE).questions
    assert grade_grid(question, "[[4, 3], [2, 1]]").f1 == 0  # a row is a line
    assert grade_grid(question, "[[4 3]\n [2 1]]\n\nInput:").correct
    half = grade_grid(question, "4 3\n1 2")
    assert (half.exact, half.f1, half.contains) == (False, 0.5, False)
    assert grade_grid(question, "4 3 2 1").f1 == 0
    assert grade_grid(question, "").f1 == 0


def test_the_prompt_is_the_question_and_the_answer_ends_at_a_blank_line() -> None:
    (question,) = grid_problem(ONE).questions
    assert GRID_PROMPTS.ask(question.text) == question.text
    assert GRID_PROMPTS.answer("4 3\n2 1\n\nInput:\n1") == "4 3\n2 1"
    assert GRID_PROMPTS.stop == ("\n\n",)


def test_a_lesson_is_what_the_exam_asks_with_the_answer_where_a_model_would_put_it() -> None:
    (lesson, *_) = GridShots().lessons(grid_problem(ONE).material, (), 0)
    assert GRID_PROMPTS.ask(lesson.prompt) == lesson.prompt
    assert lesson.prompt.endswith("Output:\n")
    assert GRID_PROMPTS.said(lesson.answer) == lesson.answer


def test_settings_are_asked_for_by_a_mark_or_by_the_schema_of_all_tools() -> None:
    material = grid_problem(ONE).material
    form = GRID_PROMPTS.formats["settings"]
    assert form.prompt(material) == f"{material.text}Settings:\n"
    told = GRID_PROMPTS.used(chat=True).formats["settings"].prompt(material)
    assert not isinstance(told, str)
    for tool in GridShots().tools:
        assert f"use_{tool}_augmentations" in told[0].content
    assert "concat" not in told[0].content


def test_a_shown_pair_is_held_out_from_those_that_are_trained_on() -> None:
    problem, pairs = grid_problem(ONE), SHOWN
    folds = GridShots().held_out(problem.material)
    assert len(folds) == len(pairs)
    for pair, fold in zip(pairs, folds, strict=True):
        (question,) = fold.questions
        rest = tuple(one for one in pairs if one != pair)
        assert read_question(question.text) == (rest, pair.input)
        assert question.answers == (written(pair.output),)
        assert read_pairs(fold.material.text) == rest
        assert GridShots().lessons(fold.material, (), 0)
    two = Material("two", "two", written_pairs(pairs[:2]))
    assert GridShots().held_out(two) == ()


def test_a_choice_among_the_tools_of_grids_is_read_as_it_is_written() -> None:
    assert GRID_PROMPTS.formats["settings"].splitting == "settings"
    chosen = ChosenTraining(tools=("size",), loss="all", learning_rate=1e-3, epochs=3)
    assert read_settings(written_settings(chosen, tuple(TOOLS)), tuple(TOOLS)) == chosen
