"""Counting work: what is promised about positions, contexts and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgain.engine.jobs import Work
from netgain.metering.estimate import context_sum, generate, pass_over

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=5)


def test_a_full_kernel_pays_the_square_and_a_causal_one_the_triangle() -> None:
    assert context_sum([3, 4]) == 9 + 16
    assert context_sum([3, 4], "causal") == 6 + 10
    assert context_sum([3], "full", prefix=10) == 39
    assert context_sum([3], "causal", prefix=10) == 36


def test_padding_is_charged_and_shown_apart() -> None:
    work = pass_over([3, 5], padded_to=8) + Work(training=4, updates=2)
    assert (work.real, work.positions, work.context, work.head_positions) == (8, 16, 128, 16)
    assert (work.training, work.updates, work.generated) == (4, 2, 0)


def test_padding_below_the_longest_sequence_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="below the longest sequence, 9"):
        pass_over([9], padded_to=8)


def test_decoding_is_one_position_per_further_token_at_its_real_context() -> None:
    work = generate([10], [4])
    assert work.positions == 10 + 3
    assert work.context == 10 * 10 + 11 + 12 + 13
    assert (work.head_positions, work.generated) == (4, 4)


def test_nothing_generated_needs_no_logits() -> None:
    assert generate([10], [0]) == pass_over([10], head_positions=0)
    assert generate([], []) == Work()


@given(prompts=LENGTHS, new=st.integers(1, 9), shared=st.integers(1, 20))
def test_sharing_a_prefix_saves_its_positions_and_nothing_else(prompts: list[int], new: int, shared: int) -> None:
    whole = [shared + length for length in prompts]
    counts = [new] * len(prompts)
    together = generate(whole, counts, shared_prefix=shared, kernel="causal")
    apart = generate(whole, counts, kernel="causal")
    saved = (len(prompts) - 1) * shared
    assert apart.positions - together.positions == saved
    assert apart.context - together.context == (len(prompts) - 1) * context_sum([shared], "causal")
    assert (apart.head_positions, apart.generated) == (together.head_positions, together.generated)


@given(prompts=LENGTHS, data=st.data())
def test_a_rectangle_never_costs_less_than_its_rows(prompts: list[int], data: st.DataObject) -> None:
    counts = [data.draw(st.integers(0, 9)) for _ in prompts]
    rows, rectangle = generate(prompts, counts), generate(prompts, counts, rectangular=True)
    assert rectangle.positions >= rectangle.real == rows.real
    assert rectangle.context >= rows.context
    assert rectangle.generated == rows.generated


@given(first=LENGTHS, second=LENGTHS)
def test_work_adds_up(first: list[int], second: list[int]) -> None:
    assert pass_over(first) + pass_over(second) == pass_over(first + second)
    assert 3 * pass_over(first) == pass_over(first) + pass_over(first) + pass_over(first)


def test_a_prefix_that_leaves_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="must leave at least one position"):
        generate([10, 5], [1, 1], shared_prefix=5)
    with pytest.raises(ValueError, match="2 prompts, but 1"):
        generate([10, 5], [1])


def test_work_is_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        Work(updates=-1)
