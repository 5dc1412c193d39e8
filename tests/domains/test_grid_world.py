"""The grid world has no end and no leaks: a name and a seed give one task, and no two parts share an input."""

from itertools import combinations, product

import pytest

from netgain.domains.grid import Grid, check_grid
from netgain.domains.grid_world import (
    COMPOSED,
    FAMILIES,
    HELD_OUT,
    HELD_OUT_COMPOSED,
    KNOWN,
    NAMES,
    SHARES,
    Rule,
    draw,
    draw_kind,
    mirrored,
    part_of,
    singled_out,
    transposed,
    turned,
)
from netgain.errors import InputError

CELLS: Grid = ((1, 2, 0), (0, 3, 0), (0, 0, 4))
EVERY = [name for names in NAMES.values() for name in names]
MADE: dict[str, Grid] = {
    "half-turn": ((4, 0, 0), (0, 3, 0), (0, 2, 1)),
    "transpose": ((1, 0, 0), (2, 3, 0), (0, 0, 4)),
    "anti-transpose": ((4, 0, 0), (0, 3, 2), (0, 0, 1)),
    "commonest": ((2,),),
    "rarest": ((1,),),
    "tally": ((5, 5, 5),),
    "line": ((0, 0, 0), (7, 7, 7)),
    "cross": ((0, 7, 0), (7, 7, 7)),
}
BY_WAY: dict[tuple[str, int], Grid] = {
    ("mirror", 0): ((0, 2, 1), (0, 3, 0), (4, 0, 0)),
    ("mirror", 1): ((0, 0, 4), (0, 3, 0), (1, 2, 0)),
    ("quarter-turn", 1): ((0, 0, 1), (0, 3, 2), (4, 0, 0)),
    ("quarter-turn", 3): ((0, 0, 4), (2, 3, 0), (1, 0, 0)),
    ("shift", 0): ((0, 1, 2), (0, 0, 3), (4, 0, 0)),
    ("shift", 1): ((0, 0, 4), (1, 2, 0), (0, 3, 0)),
    ("shift-back", 2): ((2, 0, 1), (3, 0, 0), (0, 4, 0)),
    ("shift-back", 3): ((0, 3, 0), (0, 0, 4), (1, 2, 0)),
    ("fall", 1): ((0, 0, 0), (0, 2, 0), (1, 3, 4)),
    ("fall", 2): ((1, 2, 0), (3, 0, 0), (4, 0, 0)),
    ("rise", 0): ((0, 1, 2), (0, 0, 3), (0, 0, 4)),
    ("rise", 3): ((1, 2, 4), (0, 3, 0), (0, 0, 0)),
    ("trail", 0): ((1, 2, 2), (0, 3, 3), (0, 0, 4)),
    ("trail", 1): ((1, 2, 0), (1, 3, 0), (1, 3, 4)),
    ("trail-back", 2): ((1, 2, 0), (3, 3, 0), (4, 4, 4)),
    ("trail-back", 3): ((1, 2, 4), (0, 3, 4), (0, 0, 4)),
    ("edge", 0): ((1, 1, 1), (0, 0, 0), (0, 0, 0)),
    ("far-edge", 1): ((1, 2, 0), (1, 2, 0), (1, 2, 0)),
    ("far-edge", 2): ((0, 0, 0), (0, 0, 0), (4, 4, 4)),
    ("half", 0): ((1, 2), (0, 3), (0, 0)),
    ("half", 1): ((1, 2, 0), (0, 3, 0)),
    ("far-half", 2): ((2, 0), (3, 0), (0, 4)),
    ("far-half", 3): ((0, 3, 0), (0, 0, 4)),
    ("double", 0): ((1, 2, 0, 1, 2, 0), (0, 3, 0, 0, 3, 0), (0, 0, 4, 0, 0, 4)),
    ("stack", 1): (*CELLS, *CELLS),
    ("mirror-out", 0): ((1, 2, 0, 0, 2, 1), (0, 3, 0, 0, 3, 0), (0, 0, 4, 4, 0, 0)),
    ("fold", 0): ((1, 2, 1), (0, 3, 0), (4, 0, 4)),
    ("fold-rows", 1): ((1, 2, 4), (0, 3, 0), (1, 2, 4)),
}
BY_COLOUR: dict[tuple[str, tuple[int, ...]], Grid] = {
    ("recolour", (1, 9)): ((9, 2, 0), (0, 3, 0), (0, 0, 4)),
    ("swap", (1, 4)): ((4, 2, 0), (0, 3, 0), (0, 0, 1)),
    ("erase", (3,)): ((1, 2, 0), (0, 0, 0), (0, 0, 4)),
    ("keep", (3,)): ((0, 0, 0), (0, 3, 0), (0, 0, 0)),
    ("background", (8,)): ((1, 2, 8), (8, 3, 8), (8, 8, 4)),
    ("frame", (8,)): ((8, 8, 8), (8, 3, 8), (8, 8, 8)),
}
INPUTS: dict[str, Grid] = {
    "commonest": ((1, 2, 0), (3, 2, 0)),
    "rarest": ((1, 2, 3), (3, 2, 2)),
    **dict.fromkeys(("line", "cross"), ((0, 0, 0), (0, 7, 0))),
    "tally": ((5, 0), (5, 5)),
}


@pytest.mark.parametrize(
    ("name", "numbers", "made"),
    [(name, (), made) for name, made in MADE.items()]
    + [(name, (way,), made) for (name, way), made in BY_WAY.items()]
    + [(name, numbers, made) for (name, numbers), made in BY_COLOUR.items()],
)
def test_a_family_makes_of_a_grid_what_was_worked_out_by_hand(name: str, numbers: tuple[int, ...], made: Grid) -> None:
    assert FAMILIES[name].change(INPUTS.get(name, CELLS), numbers) == made


def test_every_parameter_of_every_family_was_worked_out_by_hand() -> None:
    ways = {
        (family.name, numbers[0])
        for family in FAMILIES.values()
        for numbers in family.options((1, 2))
        if numbers and numbers[0] in range(4) and family.options((1, 2)) == family.options((5, 6))
    }
    assert ways == set(BY_WAY)
    assert set(FAMILIES) == {*MADE, *(name for name, _ in BY_WAY), *(name for name, _ in BY_COLOUR)}


@pytest.mark.parametrize(("name", "grid"), [("commonest", ((1, 2),)), ("rarest", ((1, 2),)), ("line", ((1, 1, 2, 2),))])
def test_a_family_says_nothing_about_an_input_that_does_not_settle_it(name: str, grid: Grid) -> None:
    assert FAMILIES[name].change(grid, ()) is None


def test_a_composition_is_its_second_family_after_its_first() -> None:
    rule = Rule((("half", (0,)), ("swap", (1, 2))))
    assert rule(CELLS) == ((2, 1), (0, 3), (0, 0))
    assert rule.name == "half+swap"


def test_turns_and_mirrors_undo_themselves() -> None:
    assert turned(turned(CELLS, 1), 3) == turned(CELLS, 4) == mirrored(mirrored(CELLS)) == CELLS
    assert transposed(transposed(CELLS)) == CELLS


@pytest.mark.parametrize("name", EVERY)
def test_every_family_and_composition_gives_tasks_that_their_shown_pairs_settle(name: str) -> None:
    task = draw(name, "test", 3, 5)
    assert (len(task.examples), len(task.tests), task.family) == (4, 1, name)
    assert singled_out(name, task.examples, task.tests)
    for pair in (*task.examples, *task.tests):
        assert check_grid(pair.output, name) == pair.output != check_grid(pair.input, name)
        assert (len(pair.input), len(pair.input[0])) == (3, 3)
        assert part_of(pair.input) == "test"


def test_a_task_whose_pairs_also_fit_another_family_is_none_of_the_world() -> None:
    task = draw("mirror", "test", 0, 0)
    assert not singled_out("transpose", task.examples, task.tests)
    assert not singled_out("mirror", task.examples, [type(task.tests[0])(((0, 9), (8, 7)), ((9, 0), (7, 8)))])


def test_no_two_parts_share_an_input_whatever_the_seed() -> None:
    inputs = {
        part: {
            pair.input
            for seed, number in product(range(2), range(12))
            for pair in draw_kind("known", part, number, seed).examples
        }
        for part in SHARES
    }
    assert all(not inputs[one] & inputs[other] for one, other in combinations(SHARES, 2))
    assert sum(SHARES.values()) == 100


def test_the_same_name_and_seed_give_the_same_task_and_others_give_others() -> None:
    first = draw("fall", "train", 7, 1)
    assert draw("fall", "train", 7, 1) == first
    others = [draw("fall", "train", 8, 1), draw("fall", "train", 7, 2), draw("fall", "development", 7, 1)]
    assert len({first.id, *(task.id for task in others)}) == 4
    assert len({first.examples, *(task.examples for task in others)}) == 4


@pytest.mark.parametrize("kind", NAMES)
def test_the_families_of_a_kind_take_turns(kind: str) -> None:
    names = NAMES[kind]  # type: ignore[index]
    assert {draw_kind(kind, "train", n, 0).family for n in range(len(names))} == set(names)  # type: ignore[arg-type]


def test_what_is_held_out_is_in_no_known_family_and_no_known_composition() -> None:
    halves = {half for name in COMPOSED + HELD_OUT_COMPOSED for half in name.split("+")}
    assert not set(KNOWN) & set(HELD_OUT)
    assert not set(COMPOSED) & set(HELD_OUT_COMPOSED)
    assert halves <= set(KNOWN)


def test_a_task_has_the_shape_that_was_asked_for() -> None:
    task = draw("transpose", "train", 0, 0, examples=2, tests=3, sides=(5, 6))
    assert (len(task.examples), len(task.tests)) == (2, 3)
    assert {len(pair.input) for pair in task.examples} <= {5, 6}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "miror"}, "did you mean 'mirror'"),
        ({"name": "mirror+erase+fall"}, "composition of two"),
        ({"part": "tests"}, "did you mean 'test'"),
        ({"number": -1}, "number -1: must be 0 or more"),
        ({"seed": -1}, "seed -1: must be 0 or more"),
        ({"examples": 1}, "examples 1: must be 2 or more"),
        ({"tests": 0}, "tests 0: must be 1 or more"),
        ({"sides": (2, 4)}, "must be two numbers from 3 to 12"),
    ],
)
def test_a_task_that_cannot_be_is_refused_and_told_why(asked: dict[str, object], said: str) -> None:
    usual: dict[str, object] = {"name": "mirror", "part": "test", "number": 0, "seed": 0}
    with pytest.raises(InputError, match=said):
        draw(**(usual | asked))  # type: ignore[arg-type]
