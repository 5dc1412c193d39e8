"""Every tool does to a grid what its name says and can be undone where it says so; training tasks come from the shown
pairs alone, each once, none too large."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netgain.domains import augment
from netgain.domains.augment import GROUPS, permuted_colours, tools, training_tasks
from netgain.domains.grid import Grid, GridTask, Shown, check_grid, written_question
from netgain.errors import InputError

ALL = tuple(GROUPS)
L: Grid = ((1, 2, 3), (4, 5, 6))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows(text: str) -> Grid:
    """``"12/34"`` is two rows of two."""
    return tuple(tuple(int(cell) for cell in row) for row in text.split("/"))


@st.composite
def grids(draw: st.DrawFn, side: int = 8) -> Grid:
    width = draw(st.integers(1, side))
    row = st.tuples(*[st.integers(0, 9)] * width)
    return tuple(draw(st.lists(row, min_size=1, max_size=side)))


# Each tool's output for 123/456, by hand.
BY_HAND = {
    "rotate 90": "36/25/14",
    "rotate 270": "41/52/63",
    "rotate 180": "654/321",
    "flip 0": "456/123",
    "flip 1": "321/654",
    "reflect 0 mirrored first": "456/123/123/456",
    "reflect 1 mirrored first": "321123/654456",
    "reflect 0": "123/456/456/123",
    "reflect 1": "123321/456654",
    "transpose": "14/25/36",
    "doubled": "112233/112233/445566/445566",
    "doubled height": "123/123/456/456",
    "doubled width": "112233/445566",
    "concat 0": "123/456/654/321",
    "concat 1": "123654/456321",
    "rotate 90, doubled": "3366/3366/2255/2255/1144/1144",
    "rotate 270, doubled": "4411/4411/5522/5522/6633/6633",
    "rotate 180, doubled": "665544/665544/332211/332211",
    "flip 0, doubled": "445566/445566/112233/112233",
    "flip 1, doubled": "332211/332211/665544/665544",
    "transpose, doubled": "1144/1144/2255/2255/3366/3366",
    "repeat 0": "123/456/123/456",
    "repeat 1": "123123/456456",
    "repeat both": "123123/456456/123123/456456",
}


def test_every_tool_does_to_a_grid_what_was_worked_out_by_hand() -> None:
    made = {tool.name: (tool.on_input(L), tool.on_output(L)) for tool in tools(ALL, rng()) if tool.name != "translate"}
    assert made == {name: (rows(text), rows(text)) for name, text in BY_HAND.items()}


def test_the_groups_have_as_many_tools_as_seal_has_in_its_order() -> None:
    sizes = {group: len(tools([group], rng())) for group in GROUPS}
    assert sizes == {"basic": 11, "size": 3, "chain": 6, "repeat": 3, "concat": 2}
    names = [tool.name for tool in tools({"chain", "basic"}, rng())]
    assert names[:3] == ["rotate 90", "rotate 270", "rotate 180"]
    assert names[9:12] == ["translate", "transpose", "rotate 90, doubled"]


def test_an_unknown_group_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"no group 'bassic'; did you mean 'basic'\?"):
        tools(["bassic"], rng())


def test_a_shift_rolls_inputs_by_one_amount_and_outputs_by_another() -> None:
    assert augment.shifted(rows("123/456/789"), 1, 2) == rows("897/231/564")
    assert augment.shifted(rows("12/34"), 2, 3) == rows("21/43")
    shift = augment.shift(rng(1))
    same = rows("1000/0000/0000/0000/0000")
    assert shift.on_input(same) != shift.on_output(same)  # with this seed
    assert {shift.pair(Shown(same, same)) for _ in range(3)} == {Shown(shift.on_input(same), shift.on_output(same))}


@given(grid=grids(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_inverse_of_a_tool_undoes_it_and_what_has_none_is_larger(grid: Grid, seed: int) -> None:
    colours = permuted_colours({cell for row in grid for cell in row}, rng(seed))
    invertible = {"rotate 90", "rotate 270", "rotate 180", "flip 0", "flip 1", "transpose", "translate", "colours"}
    for tool in (*tools(ALL, rng(seed)), colours):
        there = tool.on_output(grid)
        assert (tool.undone is not None) == (tool.name in invertible)
        if tool.undone is not None:
            assert tool.undone(there) == grid
            assert tool.on_output(tool.undone(grid)) == grid  # so any answer can be changed back
        assert (len(there) * len(there[0]) > len(grid) * len(grid[0])) == (tool.undone is None)


@given(grid=grids())
@settings(max_examples=40, deadline=None)
def test_shapes_are_as_the_names_say(grid: Grid) -> None:
    height, width = len(grid), len(grid[0])
    turned = {"rotate 90", "rotate 270", "transpose"}
    factors = {"0": (2, 1), "1": (1, 2), "height": (2, 1), "width": (1, 2), "both": (2, 2), "doubled": (2, 2)}
    for tool in tools(ALL, rng()):
        shape = (width, height) if tool.name.removesuffix(", doubled") in turned else (height, width)
        larger = tool.undone is None
        by = factors[tool.name.removesuffix(" mirrored first").split()[-1]] if larger else (1, 1)
        assert (len(tool.on_input(grid)), len(tool.on_input(grid)[0])) == (shape[0] * by[0], shape[1] * by[1])


@given(used=st.sets(st.integers(0, 9)), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_a_permutation_of_colours_is_one_keeps_0_and_takes_unused_ones_first(used: set[int], seed: int) -> None:
    tool = permuted_colours(used, rng(seed))
    ((zero, *others),) = tool.on_input((tuple(range(10)),))
    assert zero == 0
    assert sorted(others) == list(range(1, 10))
    mine = used - {0}
    fresh = [colour for colour in mine if others[colour - 1] not in mine]
    assert len(fresh) == min(len(mine), 9 - len(mine))


def test_other_seeds_permute_the_colours_otherwise() -> None:
    assert len({permuted_colours({1, 2, 3}, rng(seed)).on_input(L) for seed in range(20)}) > 10


def pairs(count: int, side: int = 3, seed: int = 0) -> tuple[Shown, ...]:
    numbers = rng(seed).integers(1, 5, size=(count, 2, side, side)).tolist()
    as_grid = [[tuple(tuple(row) for row in grid) for grid in pair] for pair in numbers]
    return tuple(Shown(first, second) for first, second in as_grid)


def test_each_pair_is_asked_for_once_with_all_others_and_once_without_each_of_them() -> None:
    assert list(augment.leave_out(3, 1)) == [((1, 2), 0), ((0, 2), 1), ((0, 1), 2)]
    assert list(augment.leave_out(3, 2)) == [((2,), 0), ((1,), 0), ((2,), 1), ((0,), 1), ((1,), 2), ((0,), 2)]
    assert list(augment.leave_out(2, 2)) == [((), 0), ((), 1)]  # shown nothing, as in SEAL
    assert list(augment.leave_out(1, 1)) == [((), 0)]
    assert list(augment.leave_out(1, 2)) == []
    assert training_tasks((), ALL) == ()


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_without_tools_the_tasks_are_the_pairs_in_other_orders(count: int) -> None:
    shown = pairs(count)
    made = training_tasks(shown, ())
    plain = count + count * (count - 1)
    assert plain <= len(made) <= 2 * plain
    assert {task.tests[0] for task in made} == set(shown)
    assert all(set(task.examples) <= set(shown) - {task.tests[0]} for task in made)
    assert Counter(len(task.examples) for task in made[:plain]) == {count - 1: count, count - 2: count * (count - 1)}


def test_with_tools_there_are_as_many_tasks_as_can_be_counted_by_hand() -> None:
    """Four pairs: 4 + 12 ways to leave out; as it is and by each tool; each once more with other colours."""
    sizes = {
        group: len(training_tasks(pairs(4), [group], cap=10_000)) for group in ("basic", "size", "chain", "repeat")
    }
    assert sizes == {"basic": 16 * 12 * 2, "size": 16 * 4 * 2, "chain": 16 * 7 * 2, "repeat": 16 * 4 * 2}
    assert len(training_tasks(pairs(4), ("basic", "size", "chain", "repeat"), cap=10_000)) == 16 * 24 * 2


def test_what_a_tool_makes_too_large_is_left_out_and_what_it_began_from_is_kept() -> None:
    wide = (*pairs(2), Shown(tuple([(1,) * 16] * 2), ((5,),)))
    made = training_tasks(wide, ["size"], cap=10_000)
    # 9 ways to leave out; doubled in width, only the two that never show the third pair; in height, all.
    assert len(made) == (9 + 2 + 9 + 2) * 2
    assert max(len(shown.input[0]) for task in made for shown in (*task.examples, *task.tests)) == 16
    assert len(training_tasks(pairs(2, side=30), ALL)) == (4 + 7 * 4) * 2


def test_no_task_is_there_twice_and_seeds_repeat() -> None:
    even = tuple(Shown(((colour,),), ((colour,),)) for colour in (1, 2))  # no turn changes these
    made = training_tasks(even, ["basic"])
    assert len(set(made)) == len(made) < 96
    assert training_tasks(pairs(3), ["basic"], 5) == training_tasks(pairs(3), ["basic"], 5)
    assert training_tasks(pairs(3), ["basic"], 5) != training_tasks(pairs(3), ["basic"], 6)


def test_of_too_many_a_random_choice_is_kept_and_none_that_does_not_fit() -> None:
    everything = training_tasks(pairs(4), ALL, cap=10_000)
    made = training_tasks(pairs(4), ALL)
    assert len(made) == 250
    assert set(made) < set(everything)
    assert made[:50] != everything[:50]

    def is_short(task: GridTask) -> bool:
        return len(written_question(task.examples, task.tests[0].input)) < 150

    short = training_tasks(pairs(4), ALL, cap=10_000, fits=is_short)
    assert short == tuple(task for task in everything if is_short(task))
    assert 0 < len(short) < len(everything)


def test_a_changed_task_follows_one_rule_in_all_its_pairs() -> None:
    """A rule that is one-to-one on cells stays one after every tool: the same input never has two outputs."""
    row = pairs(3)
    same = tuple(Shown(pair.input, augment.flipped(pair.input, 1)) for pair in (*row, *row))
    for task in training_tasks(same, ALL):
        answers: dict[Grid, Grid] = {}
        for shown in (*task.examples, *task.tests):
            assert answers.setdefault(shown.input, shown.output) == shown.output


def test_a_thousand_random_tasks_go_through_every_tool() -> None:
    generator = rng(3)
    seen: Counter[str] = Counter()
    for number in range(1000):
        height, width = generator.integers(1, 31 if number % 50 == 0 else 6, size=2)
        cells = generator.integers(0, 10, size=(2, height, width)).tolist()
        shown = Shown(*(tuple(map(tuple, grid)) for grid in cells))
        for tool in (*tools(ALL, generator), permuted_colours({1, 2, 9}, generator)):
            changed = tool.pair(shown)
            for grid in (changed.input, changed.output):
                assert {len(row) for row in grid} == {len(grid[0])}
                assert {type(row) for row in grid} == {tuple}
            seen[tool.name] += 1
    assert set(seen.values()) == {1000}
    assert len(seen) == 26


def test_random_tasks_of_every_size_become_training_tasks() -> None:
    generator = rng(4)
    for number in range(60):
        shown = pairs(1 + number % 4, side=int(generator.integers(1, 31 if number % 20 == 0 else 6)), seed=number)
        made = training_tasks(shown, ALL[number % 5 :][:2], number, cap=30)
        assert 0 < len(made) <= 30
        for task in made:
            assert len(task.tests) == 1
            for pair in (*task.examples, *task.tests):
                assert check_grid(pair.input, "input") == pair.input
                assert check_grid(pair.output, "output") == pair.output
