"""A grid and a task have one text form, and every text that it makes can be read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgain.domains.grid import (
    Grid,
    Shown,
    check_grid,
    read,
    read_pairs,
    read_question,
    written,
    written_pairs,
    written_question,
)
from netgain.errors import InputError

SMALL: Grid = ((0, 1, 2), (3, 0, 0))
OTHER: Grid = ((2, 1, 0), (0, 0, 3))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    wide = draw(st.integers(1, 30))
    row = st.lists(st.integers(0, 9), min_size=wide, max_size=wide).map(tuple)
    return tuple(draw(st.lists(row, min_size=1, max_size=30)))


def test_a_grid_is_a_line_a_row_with_spaces_between_cells() -> None:
    assert written(SMALL) == "0 1 2\n3 0 0"


@given(grids())
def test_every_grid_is_read_back_as_it_was_written(grid: Grid) -> None:
    assert read(written(grid)) == grid


@given(st.lists(st.tuples(grids(), grids()), max_size=3), grids())
def test_every_question_is_read_back_as_it_was_written(pairs: list[tuple[Grid, Grid]], asked: Grid) -> None:
    examples = tuple(Shown(*pair) for pair in pairs)
    assert read_pairs(written_pairs(examples)) == examples
    assert read_question(written_question(examples, asked)) == (examples, asked)


def test_a_question_shows_its_pairs_and_ends_where_the_answer_begins() -> None:
    assert written_question([Shown(SMALL, OTHER)], ((7,),)) == (
        "Input:\n0 1 2\n3 0 0\nOutput:\n2 1 0\n0 0 3\n\nInput:\n7\nOutput:\n"
    )


@pytest.mark.parametrize(
    "answer",
    ["0 1 2\n3 0 0\n\nInput:\n5", " 0 1 2 \n3 0 0\n", "012\n300", "[[0, 1, 2],\n [3, 0, 0]]", "[[0 1 2]\n [3 0 0]]"],
)
def test_an_answer_is_the_grid_that_it_begins_with_however_its_cells_are_set_apart(answer: str) -> None:
    assert read(answer) == SMALL


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\n",
        "the same",
        "0 1\n2",
        "0 1 x",
        "0 1 12a",
        "0 1\nOutput:",
        " ".join("0" * 31),
        "\n".join("0" * 31),
        "-1 2",
    ],
)
def test_what_is_no_grid_is_read_as_none(answer: str) -> None:
    assert read(answer) is None


@pytest.mark.parametrize("text", ["0 1", "Input:\n0\nOutput:\n", "Input:\n0\nOutput:\nx\n\n", "Input:\n0\n\n"])
def test_what_are_no_pairs_is_read_as_none(text: str) -> None:
    assert read_pairs(text) is None


@pytest.mark.parametrize("text", ["", "Input:\n0\n", "0\nOutput:\n", "Input:\nOutput:\n", "so Input:\n0\nOutput:\n"])
def test_what_is_no_question_is_read_as_none(text: str) -> None:
    assert read_question(text) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], r"f.json: \[\] is no grid"),
        ("012", "f.json: '012' is no grid"),
        ([[0], []], r"row 2 is \[\]"),
        ([[0, 1], [2]], "row 2 has 1 cells and row 1 has 2"),
        ([[0, 10]], "row 1 has the cell 10"),
        ([[0, True]], "row 1 has the cell True"),
        ([[0, -1]], "row 1 has the cell -1"),
        ([[0.5]], "row 1 has the cell 0.5"),
        ([[0]] * 31, "is no grid"),
    ],
)
def test_a_file_that_holds_no_grid_is_refused_and_told_why(wrong: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        check_grid(wrong, "f.json")
    assert re.search("1 to 30 rows", str(raised.value))


def test_a_grid_from_a_file_becomes_rows_that_cannot_change() -> None:
    assert check_grid([[0, 1, 2], [3, 0, 0]], "f.json") == SMALL
