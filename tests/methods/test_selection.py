"""Which edit is kept: arithmetic on rewards, the same for a run and for a replay of published rewards."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netgain.methods.selection import RELIABILITY, Tally, advantages, best, copies, halving, uniform

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "edit_selection.py"
_BENCHMARK = runpy.run_path(str(BENCHMARK))
drive, replay = _BENCHMARK["drive"], _BENCHMARK["replay"]


def tally(*rewards: list[float]) -> Tally:
    found = Tally(len(rewards))
    for edit, given in enumerate(rewards):
        for reward in given:
            found.add(edit, reward)
    return found


def test_uniform_evaluates_every_edit_as_often_as_any_other() -> None:
    assert drive(uniform(3), 5, float).counts() == [3] * 5


@pytest.mark.parametrize("edits", [1, 2, 5, 8, 9, 20])
@pytest.mark.parametrize("evaluations", [1, 7, 15, 40])
def test_halving_spends_exactly_its_evaluations(edits: int, evaluations: int) -> None:
    rng = np.random.default_rng(0)
    assert sum(drive(halving(evaluations), edits, lambda _: rng.random()).counts()) == evaluations


def test_halving_spends_the_later_evaluations_on_those_that_look_good() -> None:
    counts = drive(halving(15), 8, float).counts()
    assert counts == [1, 1, 1, 1, 2, 2, 3, 4]


def test_the_best_is_the_highest_mean_and_the_first_among_equals() -> None:
    assert best(tally([0.5, 0.5], [1.0, 0.5], [0.5, 1.0])) == 1
    assert best(tally([], [0.0], [0.0])) == 1


def test_one_lucky_evaluation_does_not_beat_many_good_ones() -> None:
    lucky = tally([1.0], [0.9] * 10, [0.1, 0.2, 0.1], [0.2, 0.1])
    assert (best(lucky), best(lucky, RELIABILITY)) == (0, 1)


def test_shrinkage_follows_spearman_and_brown() -> None:
    scores = tally([1.0], [0.0, 0.0, 0.0]).shrunk(0.5)
    weights = (0.5, 0.75)
    centre = weights[0] / sum(weights)
    assert scores == pytest.approx([centre + 0.5 * (1 - centre), centre - 0.75 * centre])
    assert tally([], [0.4]).shrunk(0.5) == [float("-inf"), 0.4]
    assert Tally(2).shrunk(0.5) == [float("-inf")] * 2


def test_adaptive_selection_finds_better_edits_at_the_cost_of_uniform_where_rewards_are_noise_mostly() -> None:
    rng = np.random.default_rng(1)

    def chosen(edits: int, rule: Any, reliability: float | None) -> float:
        found = []
        for _ in range(4000):
            quality = rng.normal(size=edits) * np.sqrt(RELIABILITY)
            seen = drive(rule, edits, lambda edit, q=quality: q[edit] + rng.normal() * np.sqrt(1 - RELIABILITY))
            assert sum(seen.counts()) == 15
            found.append(quality[best(seen, reliability)] / np.sqrt(RELIABILITY))
        return float(np.mean(found))

    plain, adaptive = chosen(5, uniform(3), None), chosen(8, halving(15), RELIABILITY)
    assert plain == pytest.approx(0.65, abs=0.06)  # sqrt(3 r / (1 + 2 r)) times the expected best of five
    assert adaptive > plain + 0.05


def test_advantages_are_in_deviations_of_the_group_and_nothing_where_all_are_equal() -> None:
    assert advantages(tally([1.0], [0.0], [0.5, 0.5])) == pytest.approx([1.2247, -1.2247, 0.0], abs=1e-4)
    assert advantages(tally([0.3], [0.3])) == [0.0, 0.0]
    assert advantages(tally([], [0.3], [0.5]))[0] == 0.0


def test_copies_are_whole_numbers_with_the_weights_as_their_means() -> None:
    weights = [0.0, 1.3, 0.6, 2.0]
    drawn = np.array([copies(weights, np.random.default_rng(seed)) for seed in range(2000)])
    assert drawn.mean(axis=0) == pytest.approx(weights, abs=0.05)
    assert (abs(drawn - weights) < 1).all()


def test_a_replay_never_chooses_by_what_it_is_judged_on() -> None:
    rewards = [[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]]  # the first edit's luck is in the repeat that is held out
    rng = np.random.default_rng(0)
    assert replay(rewards, uniform(2), rng) == pytest.approx((0.0 + 0.5 + 0.5) / 3, abs=0.35)
    equal = [[[0.2] * 3, [0.9] * 3]] * 4
    assert replay(equal, uniform(1), rng) == pytest.approx(0.9)


def test_on_published_rewards_adaptive_selection_is_no_worse_at_equal_cost() -> None:
    """SEAL's three reward runs with counts: 50 problems, 5 edits, 3 repeats; one repeat is held out to judge."""
    runs = _BENCHMARK["published"](None)
    assert [len(run) for run in runs] == [50, 50, 50]
    rewards = [problem for run in runs for problem in run]
    rng = np.random.default_rng(0)
    at_random = float(np.mean([np.mean(problem) for problem in rewards]))
    uniformly = np.mean([replay(rewards, uniform(1), rng) for _ in range(20)])
    adaptively = np.mean([replay(rewards, halving(7), rng, reliability=RELIABILITY) for _ in range(20)])
    twice = np.mean([replay(rewards, uniform(2), rng) for _ in range(20)])
    assert at_random < uniformly < twice
    assert adaptively > uniformly
