"""The statistics against scipy, against hand-worked cases, and against their own laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netgain.analysis import deployments, descriptive, intervals, matching
from netgain.streams import stream


def rng(*names: str) -> np.random.Generator:
    return stream(0, "test", *names)


def test_same_name_same_numbers_and_another_name_or_seed_others() -> None:
    first = stream(1, "a", "b").random(4)
    assert (first == stream(1, "a", "b").random(4)).all()
    assert not (first == stream(1, "ab").random(4)).any()
    assert not (first == stream(2, "a", "b").random(4)).any()


def test_values_that_are_all_alike_are_a_point() -> None:
    for value in (0.0, 0.5, 0.1 + 0.2):
        assert intervals.student(np.array([value, value])) == intervals.Interval(value, value, value)


def test_an_interval_of_a_mean_agrees_with_student() -> None:
    values = rng("values").normal(0.1, 0.3, size=40)
    found = intervals.estimate(values, intervals.resample_weights(40, rng("w")))
    expected = intervals.student(values)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)


def test_of_many_units_fewer_resamples_give_the_same_interval() -> None:
    values = (rng("many").random(6_000) < 0.3).astype(np.float64)
    weights = intervals.resample_weights(len(values), rng("w many"))
    assert weights.shape == (6_666, 6_000)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)))
    found, expected = intervals.estimate(values, weights), intervals.student(values)
    assert found.low == pytest.approx(expected.low, abs=0.001)
    assert found.high == pytest.approx(expected.high, abs=0.001)


@pytest.mark.parametrize("units", [1, 2, 5, 40])
def test_values_without_spread_still_leave_room_for_what_was_not_met(units: int) -> None:
    found = intervals.estimate(np.zeros(units), intervals.resample_weights(units, rng("flat")))
    assert found.high == pytest.approx(1 - 0.025 ** (1 / units))  # Clopper and Pearson's, for none of so many
    assert found.low == -found.high


BORDER = [(24, 6), (12, 8), (48, 1), (40, 3)]


@pytest.mark.parametrize(("problems", "questions"), BORDER)
def test_an_answer_nearer_to_the_border_never_moves_the_intervals_inner_end_away(problems: int, questions: int) -> None:
    weights = intervals.resample_weights(problems, rng("border", str(problems)))
    for bounds in ((0.0, 1.0), (-1.0, 1.0)):
        ends, widths = [], []
        for wrong in range(5, -1, -1):
            right = np.full(problems, float(questions))
            right[: min(wrong, problems)] -= 1
            found = intervals.estimate(right / questions, weights, bounds=bounds, questions=questions)
            ends.append(found.low)
            widths.append(found.high - found.low)
        assert all(after >= before - 1e-9 for before, after in pairwise(ends))
        answer = 1 / (problems * questions)
        assert all(abs(after - before) <= 4 * answer for before, after in pairwise(ends))
        assert all(after <= before + 2 * answer for before, after in pairwise(widths))


def test_the_border_is_reached_without_a_jump() -> None:
    weights = intervals.resample_weights(24, rng("jump"))
    all_right, all_but_one = np.ones(24), np.ones(24)
    all_but_one[0] = 5 / 6
    whole = intervals.estimate(all_right, weights, bounds=(0.0, 1.0), questions=6)
    nearly = intervals.estimate(all_but_one, weights, bounds=(0.0, 1.0), questions=6)
    assert (whole.high, nearly.high) == (1.0, 1.0)
    assert 0.93 < nearly.low < whole.low < 0.96
    unharmed = intervals.estimate(np.zeros(24), weights, questions=8)
    harmed = intervals.estimate(np.append(np.zeros(23), -1 / 8), weights, questions=8)
    assert -0.06 < harmed.low < unharmed.low < 0 < unharmed.high < 0.06


def test_the_bound_at_the_border_does_not_bind_elsewhere() -> None:
    values = rng("inside").normal(0.1, 0.3, size=48)
    weights = intervals.resample_weights(48, rng("w48"))
    assert intervals.estimate(values, weights, questions=6) == intervals.estimate(values, weights)


@pytest.mark.parametrize("units", [5, 12, 48])
def test_p_is_below_one_in_twenty_where_the_interval_excludes_zero(units: int) -> None:
    weights, generator = intervals.resample_weights(units, rng("agree", str(units)), 2000), rng("agree", str(units))
    verdicts = []
    for _ in range(300):
        values = generator.integers(-2, 4, size=units) / 4
        found = intervals.estimate(values, weights, questions=4)
        side = values if values.mean() > 0 else -values
        verdicts.append((found.excludes_zero, 2 * intervals.tail(side, weights, questions=4) < 0.05))
    assert {excluded == below for excluded, below in verdicts} == {True}
    assert {True, False} == {excluded for excluded, _ in verdicts}


@pytest.mark.parametrize("units", [2, 3, 5, 8])
def test_with_few_problems_equal_arms_are_rarely_told_apart(units: int) -> None:
    generator = rng("few", str(units))
    weights = intervals.resample_weights(units, generator, resamples=500)
    trials = generator.normal(0, 0.2, size=(400, units))
    assert np.mean([intervals.estimate(values, weights).excludes_zero for values in trials]) < 0.09


def test_expanded_levels_are_wider_for_few_units_and_nominal_for_many() -> None:
    assert intervals.expanded_levels(8)[0] < intervals.expanded_levels(200)[0] < 0.025
    assert intervals.expanded_levels(100_000)[0] == pytest.approx(0.025, abs=1e-4)
    assert intervals.expanded_levels(1) == (0.0, 1.0)


def test_no_difference_anywhere_has_p_one() -> None:
    same = np.array([1.0, 0.0, 1.0])
    assert intervals.mcnemar(same, same).p == 1.0


def test_mcnemar_is_the_binomial_test_on_discordant_pairs() -> None:
    a, b = np.array([1.0] * 9 + [0.0] * 3 + [1.0] * 5), np.array([0.0] * 9 + [1.0] * 3 + [1.0] * 5)
    found = intervals.mcnemar(a, b)
    assert (found.only_a, found.only_b) == (9, 3)
    assert found.p == pytest.approx(stats.binomtest(9, 12).pvalue)


def test_holm_of_a_hand_worked_family() -> None:
    assert intervals.holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert intervals.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float]) -> None:
    adjusted = intervals.holm(values)
    assert all(new >= old for new, old in zip(adjusted, values, strict=True))
    order = sorted(range(len(values)), key=lambda index: values[index])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_the_smallest_detectable_effect_is_detected_with_the_stated_power() -> None:
    generator, spread, units = rng("power"), 0.3, 60
    effect = intervals.smallest_detectable(generator.normal(0, spread, size=units))
    assert effect is not None
    trials = generator.normal(effect, spread, size=(3000, units))
    found = stats.ttest_1samp(trials, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.12)
    assert intervals.smallest_detectable(np.zeros(10)) is None
    assert intervals.smallest_detectable(np.array([0.1, 0.2])) is None


@pytest.mark.parametrize(("right", "units"), [(0, 8), (3, 8), (8, 8), (56, 70)])
def test_an_interval_over_units_is_wilsons_where_a_unit_has_one_answer(right: int, units: int) -> None:
    over, plain = intervals.wilson_over(right / units, units), intervals.wilson(right, units)
    assert (over.value, over.low, over.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_wilson_and_newcombe_give_the_published_worked_example() -> None:
    # Newcombe 1998, example (a) of table II: 56/70 against 48/80.
    left, right = intervals.wilson(56, 70), intervals.wilson(48, 80)
    found = intervals.newcombe(left, right)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_the_front_holds_the_arms_that_nothing_cheaper_beats() -> None:
    points = {"free": (0.0, 0.3), "good": (2.0, 0.5), "worse": (3.0, 0.4), "best": (9.0, 0.6), "same": (2.0, 0.5)}
    assert descriptive.undominated(points) == {"free", "good", "same", "best"}


def test_a_bill_is_earned_back_by_what_is_saved_on_each_problem() -> None:
    assert deployments.break_even(bill=100, adapt=4, rival_adapt=14) == 10
    assert deployments.break_even(bill=101, adapt=4, rival_adapt=14) == 11
    assert deployments.break_even(bill=100, adapt=4, rival_adapt=4) is None
    assert deployments.break_even(bill=0, adapt=4, rival_adapt=4) == 0
    assert deployments.break_even(bill=4, adapt=0, rival_adapt=5e-324) is None


@given(st.floats(0, 1e6), st.floats(0, 1e3), st.floats(0, 1e3))
def test_at_the_break_even_the_outer_loop_costs_no_more(bill: float, adapt: float, rival: float) -> None:
    problems = deployments.break_even(bill, adapt, rival)
    if problems is not None:
        assert bill + problems * adapt <= problems * rival * (1 + 1e-9) + 1e-6


def test_only_rivals_of_known_and_no_higher_cost_are_affordable() -> None:
    costs = {"cheap": 1.0, "equal": 100.9, "dear": 102.0, "unknown": None}
    met = {name: matching.meet({name: cost}, 100.0) for name, cost in costs.items()}
    assert {name for name, point in met.items() if point} == {"cheap", "equal"}
    assert {name for name, point in met.items() if point and point.short} == {"cheap"}


def test_choosing_the_best_of_equal_rivals_on_other_problems_costs_no_bias() -> None:
    naive, fitted = [], []
    for trial in range(60):
        generator = stream(trial, "bias")
        arm, rivals = generator.random(40), generator.random((6, 40))
        naive.append((arm - rivals[rivals.mean(axis=1).argmax()]).mean())
        weights = intervals.resample_weights(40, generator)
        found, _ = matching.cross_fitted(arm[None], rivals[:, None], [None] * 6, generator, weights)
        fitted.append(found.value)
    assert np.mean(naive) < -0.04
    assert abs(np.mean(fitted)) < 0.03
