"""Numbers and outside text on the terminal."""

import io
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from netgain.audit.audit import audit, read_claim
from netgain.report import svg, words
from netgain.report.terminal import show

from .test_page import hostile


def printed(claim) -> str:  # noqa: ANN001
    stream = io.StringIO()
    show(audit(claim), Console(file=stream, width=120, highlight=False))
    return stream.getvalue()


def test_the_terminal_shows_verdict_arms_questions_and_findings() -> None:
    text = printed(read_claim(None))
    for part in (
        "can be told from compute",
        "SEAL implications R2",
        "four questions",
        "findings (",
        "482 gradient updates",
    ):
        assert part in text


def test_outside_text_can_neither_style_nor_command_the_terminal() -> None:
    claim = read_claim(None)
    bad = "[bold red]x[/bold red]\x1b[2J\x07\u202e"
    arms = tuple(arm.model_copy(update={"label": bad}) for arm in claim.arms)
    text = printed(hostile(claim).model_copy(update={"arms": arms, "title": bad}))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold red]" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0, "0"),
        (65_490.0, "65,490"),
        (134_123_520.0, "134 M"),
        (4.13e18, "4.13×10¹⁸"),
        (3.75, "3.75"),
    ],
)
def test_amounts_are_short_and_unknown_is_a_word(value: float | None, text: str) -> None:
    assert words.amount(value) == text


def test_differences_are_signed_points_with_a_true_minus() -> None:
    assert words.difference(-0.0238, -0.0664, 0.0189) == "\u22122.4 [\u22126.6, +1.9]"
    assert words.difference(0.00004) == "0.0"
    assert words.difference(None) == "–"
    assert [words.p_value(p) for p in (None, 0.0001, 0.0123, 0.5)] == ["–", "< 0.001", "0.012", "0.50"]


@given(st.text())
def test_cleaned_text_has_no_control_characters(text: str) -> None:
    assert all(char.isprintable() or char == " " or ord(char) > 127 for char in words.clean(text))


@given(st.text(), st.text())
def test_drawn_text_and_attributes_are_escaped(content: str, value: str) -> None:
    drawn = str(svg.el("text", content, data_tip=value))
    inner = drawn[1:].split(">", 1)[1].removesuffix("</text>")
    assert "<" not in inner
    assert drawn.count('"') == 2


@given(st.floats(1e-3, 1e6), st.floats(1.5, 1e6), st.booleans())
def test_ticks_lie_on_the_axis_and_ascend(low: float, factor: float, log: bool) -> None:
    axis = svg.Axis(low, low * factor, 0, 100, log=log)
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert all(-0.5 <= axis(tick) <= 100.5 for tick in ticks)


@given(st.lists(st.floats(0, 100), max_size=10))
def test_labels_keep_their_distance_and_order(wanted: list[float]) -> None:
    placed = svg.spread(wanted, 10, 0, 100)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    gaps = [placed[b] - placed[a] for a, b in pairwise(order)]
    assert all(gap >= 10 - 1e-6 for gap in gaps)
    assert all(math.isfinite(value) and value <= 100 for value in placed)
