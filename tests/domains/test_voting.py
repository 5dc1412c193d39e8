"""A question is asked in several forms, each answer changed back; the votes come out as counted by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netgain.domains.grid import Grid, Shown
from netgain.domains.voting import CHANGES, common_rows, grid_views, vote

from .test_augment import grids, pairs, rows

ASKED = rows("120/034/560")
A, B, C, D = rows("11/11"), rows("22/22"), rows("33/33"), rows("44/44")


def test_a_question_is_asked_without_each_pair_in_three_orders_and_in_five_changed_forms() -> None:
    views = grid_views(pairs(4), ASKED)
    plain = [view for view in views if view.tool.name == "identity"]
    assert [view.tool.name for view in views if view not in plain] == [tool.name for tool in CHANGES]
    assert all(len(view.examples) == 3 for view in views)
    assert {frozenset(view.examples) for view in plain} == {frozenset(pairs(4)) - {pair} for pair in pairs(4)}
    assert 4 < len(plain) <= 12
    assert all(view.asked == ASKED for view in plain)
    assert len({(view.examples, view.asked) for view in views}) == len(views)


def test_with_two_pairs_there_are_seven_forms_and_a_single_pair_is_kept() -> None:
    assert len(grid_views(pairs(2), ASKED)) == 2 + 5
    alone = grid_views(pairs(1), ASKED)
    assert len(alone) == 1 + 5
    assert all(len(view.examples) == 1 for view in alone)


def test_a_form_that_is_the_same_once_more_is_left_out() -> None:
    even = tuple(Shown(((colour,),), ((colour,),)) for colour in (1, 2))
    assert [view.tool.name for view in grid_views(even, ((3,),))] == ["identity", "identity"]


def test_forms_that_do_not_fit_are_left_out_and_two_pairs_where_none_does() -> None:
    views = grid_views(pairs(4), ASKED, fits=lambda view: view.tool.name != "transpose")
    assert "transpose" not in {view.tool.name for view in views}
    assert {len(view.examples) for view in grid_views(pairs(4), ASKED, fits=lambda view: len(view.examples) < 3)} == {2}
    assert grid_views(pairs(4), ASKED, fits=lambda view: False) == ()


def test_the_same_seed_asks_alike_and_another_in_other_orders() -> None:
    assert grid_views(pairs(5), ASKED, 1) == grid_views(pairs(5), ASKED, 1)
    assert grid_views(pairs(5), ASKED, 1) != grid_views(pairs(5), ASKED, 2)


@given(grid=grids(), answer=grids())
@settings(max_examples=25, deadline=None)
def test_the_right_answer_to_a_changed_form_is_changed_back_to_the_right_answer(grid: Grid, answer: Grid) -> None:
    views = grid_views(pairs(3), grid)
    for view in views:
        assert view.undone(view.tool.on_output(answer)) == answer
        assert view.tool.on_input(grid) == view.asked
        assert set(view.examples) < {view.tool.pair(pair) for pair in pairs(3)}


def plain(*answers: Grid) -> list[tuple[str, Grid]]:
    return [("identity", answer) for answer in answers]


def test_the_most_common_answer_wins_and_the_next_is_the_second_attempt() -> None:
    assert vote(plain(A, B, B, C, B, A)) == (B, A)
    assert vote(plain(A, B, B), attempts=1) == (B,)
    assert vote([]) == ()


def test_where_all_agree_there_is_one_attempt() -> None:
    assert vote([*plain(A, A), ("flip 0", A)]) == (A,)


def test_ties_go_to_what_was_answered_as_asked_then_to_what_was_answered_first() -> None:
    assert vote(plain(A, B)) == (A, B)
    assert vote(plain(B, A)) == (B, A)
    assert vote([("flip 0", A), ("transpose", B), *plain(B)])[0] == B


def test_categories_nominate_three_each_and_nominations_decide() -> None:
    """By hand. All seven answers, A 3, B 3, C 1, nominate A, B, C. As asked (A, A, A):
    A three times. Flip 0 (B): B three times. Flip 1 (B): B three times. Transpose (B, C): B, C, and in the third place
    the most common rows, which are those of B, answered first; they are no news, so the columns', B again.
    Nominations: B 1 + 3 + 3 + 2 = 9, A 1 + 3 = 4, C 1 + 1 = 2. So B is ahead of A, which has as many votes."""
    answers = [*plain(A, A, A), ("flip 0", B), ("flip 1", B), ("transpose", B), ("transpose", C)]
    assert vote(answers) == (B, A)
    assert vote(answers, attempts=3) == (B, A, C)


def test_the_most_common_rows_make_an_answer_that_nobody_gave() -> None:
    """Three answers, each with one wrong row: every row is right twice."""
    right = rows("12/34/56")
    given = [rows("12/34/00"), rows("12/00/56"), rows("00/34/56")]
    assert common_rows(given) == right
    assert common_rows([rows("12/34"), rows("12/35"), rows("9"), rows("12/34/77")]) == rows("12/34")
    assert right not in vote(plain(*given))  # three different answers take all places
    assert vote(plain(rows("12/34"), rows("12/34"), rows("52/54")), attempts=3)[:2] == (rows("12/34"), rows("52/54"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["identity", "flip 0", "transpose"]), st.sampled_from([A, B, C, D])), max_size=12
    ),
    st.integers(1, 3),
)
@settings(max_examples=50, deadline=None)
def test_attempts_are_different_and_few_and_a_majority_everywhere_is_the_first(
    answers: list[tuple[str, Grid]], attempts: int
) -> None:
    elected = vote(answers, attempts)
    assert len(set(elected)) == len(elected) <= attempts
    assert bool(elected) == bool(answers)
    assert (
        vote([*answers, *[(category, D) for category in ("identity", "flip 0", "transpose") for _ in range(13)]])[0]
        == D
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_of_any_shapes_can_be_voted_on(count: int) -> None:
    assert vote([("flip 1", rows("/".join(["1" * side] * 2))) for side in range(1, count + 1)])
