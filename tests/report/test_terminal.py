"""The terminal: the page's order, settings apart, plans and progress legible, outside text without power."""

import io
import math
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.report import numbers, svg
from netgain.report.page import render
from netgain.report.plan_view import plan_page, progress_page
from netgain.report.terminal import show
from netgain.trials.plan import Plan
from netgain.trials.progress import Progress
from netgain.trials.resolve import resolve
from netgain.trials.tasks import tasks

from .test_page import hostile, verdict_of


def printed(verdict: Verdict, width: int = 120) -> str:
    stream = io.StringIO()
    show(verdict, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def drawn(what: RenderableType, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(what)
    return stream.getvalue()


def test_an_audit_is_printed_in_the_pages_order_with_its_settings_apart() -> None:
    text = printed(audit(read_claim(None)))
    parts = ("SEAL", "compared", "single passage", "passage only", "continued pretraining", "few-shot", "verdict")
    places = [text.index(part) for part in (*parts, "four questions", "findings (")]
    assert places == sorted(places)
    assert "482" in text
    assert "gap taken apart" not in text  # nothing was measured beside the same frozen model
    assert text.count("no conventional arm was measured") == 1  # the verdict is told once


def test_a_trial_is_printed_in_the_same_order(simulated: ModuleType) -> None:
    domains = {"plain": 0.0, "narrative": -0.1}
    text = printed(
        verdict_of(simulated, simulated.Design(simulated.STANDARD, controls=2, domains=domains, problems=24))
    )
    parts = (
        "Where does Ada live?",
        "FLOPs",
        "verdict",
        "plain: the gap",
        "narrative: the gap",
        "findings (",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "four questions" not in text
    assert "within 0.1 % of the profiler" in text


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7])
def test_an_unfinished_trial_has_a_page_and_a_print(simulated: ModuleType, share: float) -> None:
    design = simulated.Design(simulated.STANDARD, problems=8, controls=1)
    rows = simulated.rows_of(design)
    found = verdict_of(simulated, design, rows[: int(share * len(rows))])
    assert "Unfinished: " in render(found)
    assert "Unfinished: " in printed(found)


@pytest.mark.parametrize(
    "left", [("frozen",), ("seal",), ("frozen", "seal"), ("passage", "seal"), ("frozen", "passage")]
)
def test_a_trial_of_few_arms_has_a_page_and_a_print(simulated: ModuleType, left: tuple[str, ...]) -> None:
    arms = {name: simulated.STANDARD[name] for name in left}
    compare = "seal" if "seal" in left else left[-1]
    found = verdict_of(simulated, simulated.Design(arms, compare=compare, problems=8))
    assert "<h1" in render(found)
    assert printed(found)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, printed(audit(read_claim(None)), width).splitlines())) <= width


def test_outside_text_can_neither_style_nor_command_the_terminal() -> None:
    claim = read_claim(None)
    bad = "[bold red]x[/bold red]\x1b[2J\x07\u202e"
    arms = tuple(arm.model_copy(update={"label": bad}) for arm in claim.arms)
    text = printed(audit(hostile(claim).model_copy(update={"arms": arms, "title": bad})))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold red]" in text


def a_plan(detectable: float | None) -> Plan:
    words: dict[str, Any] = {"name": "t", "model": "m", "currency": "flops", "primary": "comparison:0", "device": "cpu"}
    sizes: dict[str, Any] = {"tasks": 4, "problems": 8, "seeds": 5, "deployments": 10, "memory": 1e9}
    taken: dict[str, Any] = {"workers": 2, "hours": 0.5, "memory_free": 8e9, "most_flops": 1e12}
    more: dict[str, Any] = {"arms": (), "rate": "$0", "fits": True, "assumptions": (), **taken}
    return Plan(**words, **sizes, **more, detectable=detectable)


@pytest.mark.parametrize(
    ("effect", "told"), [(0.151, "15.1 percentage"), (1.034, "no difference"), (None, "no difference")]
)
def test_a_plan_promises_only_effects_that_can_happen(effect: float | None, told: str) -> None:
    text = drawn(plan_page(a_plan(effect)))
    assert told in text
    assert "103.4" not in text


def test_a_plan_below_three_seeds_promises_no_verdict() -> None:
    text = drawn(plan_page(replace(a_plan(None), seeds=2)))
    assert "no verdict: 2 seeds" in text


def test_progress_fits_a_terminal_of_80_columns_and_its_clock_goes_on() -> None:
    trial, now = resolve(None), [0.0]
    every = tasks(trial.spec)
    progress = Progress(trial, every, clock=lambda: now[0])
    progress.begin(every[0])
    now[0] = 75.0
    progress.tell(every[0], 3, 1e9)
    text = drawn(progress_page(progress))
    assert max(map(len, text.splitlines())) <= 80
    assert "3 of" in text
    assert "1:15 gone" in text
    assert f"now: {every[0].name} (1:15)" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0, "0"),
        (65_490.0, "65,490"),
        (134_123_520.0, "134 M"),
        (4.13e18, "4.13×10¹⁸"),
        (3.75, "3.75"),
        (999_600.0, "999,600"),
        (999.4e6, "999 M"),
        (999.6e6, "1 G"),
        (999.6e9, "1 T"),
        (999.6e12, "1.00×10¹⁵"),
    ],
)
def test_amounts_are_short_and_unknown_is_a_word(value: float | None, text: str) -> None:
    assert numbers.amount(value) == text


def test_differences_are_signed_points_with_a_true_minus() -> None:
    assert numbers.difference(-0.0238, -0.0664, 0.0189) == "\u22122.4 [\u22126.6, +1.9]"
    assert numbers.difference(0.00004) == "0.0"
    assert numbers.difference(None) == "–"
    assert [numbers.p_value(p) for p in (None, 0.0001, 0.0123, 0.5)] == ["–", "< 0.001", "0.012", "0.50"]


@given(st.text())
def test_cleaned_text_has_no_control_characters(text: str) -> None:
    assert all(char.isprintable() or char == " " or ord(char) > 127 for char in numbers.clean(text))


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
