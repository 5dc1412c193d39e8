"""The grids domain: what is held out is in no two splits, and the exam of old families has the exam's own form."""

import pytest

from netgain.domains.grid import read_question, written
from netgain.domains.grid_world import COMPOSED, HELD_OUT, HELD_OUT_COMPOSED, KNOWN
from netgain.domains.grids import TURN, Grids, GridsSettings, shared_out
from netgain.domains.leakage import leaks
from netgain.domains.problem import Question
from netgain.errors import InputError

SPLITS = ("train", "development", "test")


def grids(**settings: object) -> Grids:
    return Grids(GridsSettings.model_validate(settings))


def test_every_held_out_family_and_composition_is_in_one_split_alone() -> None:
    for kind, names in (("held-out", HELD_OUT), ("held-out composition", HELD_OUT_COMPOSED)):
        parts = shared_out(kind)
        assert sorted(name for part in parts.values() for name in part) == sorted(names)
        assert all(parts[split] for split in SPLITS)
        assert not set(parts["test"]) & {*KNOWN, *COMPOSED}
        assert len(parts["test"]) * 2 == pytest.approx(len(names), abs=1)
    assert TURN.count("test") == 2


def test_no_two_splits_share_a_task_or_a_pair_that_is_asked_for() -> None:
    domain = grids()
    train, development, test = (domain.problems(split, 12, 0) for split in SPLITS)
    found = leaks(train, development, test, (), domain.few_shot)
    assert [leak for leak in found if leak.kind != "overlap"] == []
    assert len({problem.id for split in (train, development, test) for problem in split}) == 36


def test_the_same_arguments_give_the_same_tasks_and_fewer_the_first_of_them() -> None:
    for split in SPLITS:
        assert grids().problems(split, 6, 3)[:4] == grids().problems(split, 4, 3)
    assert grids().problems("test", 4, 1) != grids().problems("test", 4, 2)


def test_every_so_many_th_problem_is_a_held_out_composition() -> None:
    kinds = [problem.questions[0].kind for problem in grids(compositions=3).problems("test", 6, 0)]
    assert kinds == ["held-out", "held-out", "held-out composition"] * 2
    assert {problem.questions[0].kind for problem in grids(compositions=0).problems("test", 5, 0)} == {"held-out"}


def form(question: Question) -> tuple[int, ...]:
    asked = read_question(question.text)
    assert asked is not None
    return len(asked[0]), len(question.answers)


def test_controls_are_known_families_and_compositions_asked_as_the_exam_asks() -> None:
    domain = grids(examples=3)
    controls, (problem,) = domain.controls(4, 0), domain.problems("test", 1, 0)
    assert [control.kind for control in controls] == ["known"] * 4 + ["composition"] * 4
    assert {form(control) for control in controls} == {form(problem.questions[0])}
    assert len(domain.few_shot.views(controls[0])) > 1
    assert domain.grade(controls[0], controls[0].answers[0]).exact


def test_a_task_of_several_tests_asks_each_and_an_answer_has_room_for_every_output() -> None:
    domain = grids(tests=2, sides=[3, 5])
    for split in SPLITS:
        for problem in domain.problems(split, 4, 0):
            assert len(problem.questions[0].asked) == 2
            for part in problem.questions[0].asked:
                asked = read_question(part.text)
                assert asked is not None
                assert part.answers[0] != written(asked[1])
                assert len(part.answers[0]) < domain.prompts.max_new_tokens


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="sides"):
        grids(sides=[4, 3])
    with pytest.raises(InputError, match="must be 0 or more"):
        grids().problems("test", 1, -1)
