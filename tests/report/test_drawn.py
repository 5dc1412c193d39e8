"""Grids are drawn as grids, and can be read without colours; what is no grid is drawn as it is."""

from typing import Any

import pytest

from netgain.analysis.rows import ChosenRow
from netgain.records.learning import ChosenTraining, ShownAnswer
from netgain.records.provenance import RunSetup, ShownTask
from netgain.report import drawn, numbers
from netgain.report.page import render

from .. import made_verdict as made

TASK = ShownTask(setting="s", problem="t1", pairs=(("0 1\n2 3", "3 2\n1 0"),), inputs=("5 5 5",), expected=("7\n8",))
CHOSEN = ChosenTraining(tools=("basic",), loss="answers", learning_rate=1e-4, epochs=2, steps=40)


def verdict(*answers: ShownAnswer, **more: Any) -> Any:
    arms = [made.arm("frozen", "frozen"), made.arm("seal", "self_improving")]
    return made.verdict(arms=arms, shown=list(answers), setup=RunSetup(tasks=(TASK,)), **more)


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("0 1\n2 3", [[0, 1], [2, 3]]),
        ("7", [[7]]),
        ("0 1\n2", None),
        ("no idea", None),
        ("", None),
        ("12 3", None),
        ("²", None),
    ],
)
def test_a_text_is_a_grid_or_none(text: str, grid: Any) -> None:
    assert drawn.colours(text) == grid


def test_every_cell_has_its_digit_and_its_colour() -> None:
    figure = drawn.task(verdict(), TASK)
    for colour in (0, 1, 2, 3, 5, 7, 8):
        assert f'class="colour colour-{colour}"' in figure
        assert f">{colour}</text>" in figure
    assert figure.count('class="colour') == 4 + 4 + 3 + 2


def test_an_answer_is_marked_right_or_wrong_and_is_shown_even_if_it_is_no_grid() -> None:
    wrong = ShownAnswer(arm="frozen", problem="t1", seed=0, given=("<b>7 8",), right=False)
    right = ShownAnswer(arm="seal", problem="t1", seed=0, given=("7\n8",), right=True, chosen=CHOSEN)
    told = verdict(wrong, right)
    figure = drawn.task(told, TASK)
    assert "FROZEN: wrong" in figure
    assert "&lt;b&gt;7 8" in figure
    assert 'class="outline right"' in figure
    words = "basic; loss on outputs only; learning rate 0.0001; 2 epochs, 40 steps"
    assert drawn.choices_of(told, TASK) == [f"SEAL (right) chose: {words}."]
    page = render(told)
    assert words in page
    assert figure in page


def test_what_was_chosen_before_and_after_stands_side_by_side() -> None:
    before = ChosenRow(
        setting="s", arm="seal", stage="before", written=10, valid=4, refused={"no JSON object": 6},
        tools={"basic": 2}, losses={"all": 4}, rates={"0.01": 1, "0.0001": 3}, epochs={"2": 4, "10": 0},
    )  # fmt: skip
    after = before.model_copy(update={"stage": "after", "valid": 10, "refused": {}, "tools": {"basic": 10, "size": 5}})
    told = verdict(chosen=[before, after])
    ((name, figure),) = drawn.chosen_figures(told)
    assert name == "SEAL"
    assert "augmentations: basic, before: 2 of 4 (50%)" in figure
    assert "augmentations: size, before: 0 of 4 (0%)" in figure
    assert "augmentations: basic, after: 10 of 10 (100%)" in figure
    assert figure.index("0.0001") < figure.index(">0.01<")  # numbers by their size
    cells = [[cell.text for cell in line.cells] for line in drawn.chosen_table(told).groups[""]]
    assert cells[0][1:4] == ["10", numbers.percent(0.4), "no JSON object 6"]
    assert cells[1][1:4] == ["10", numbers.percent(1.0), "none"]
    assert "What was chosen of each training" in render(told)


def test_a_page_without_examples_has_neither() -> None:
    page = render(made.verdict())
    assert "Some of the tasks" not in page
    assert "What was chosen of each training" not in page
