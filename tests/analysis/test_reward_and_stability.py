"""Reliability, the winner's curse, what broke and what was kept."""

import numpy as np
import pytest

from netgain.analysis import forgetting, reward
from netgain.streams import stream


def simulated(edit_spread: float, noise: float, problems: int = 4000) -> np.ndarray:
    generator = stream(0, "rewards", str(edit_spread))
    edits = generator.normal(0, edit_spread, size=(problems, 5, 1))
    return edits + generator.normal(0, noise, size=(problems, 5, 3)) + generator.normal(0, 1, size=(problems, 1, 1))


def test_reliability_recovers_the_share_of_variance_it_is_defined_by() -> None:
    found = reward.reliability(simulated(1.0, 2.0))
    assert found is not None
    assert found.single == pytest.approx(1 / (1 + 4), abs=0.02)
    assert found.mean == pytest.approx(1 / (1 + 4 / 3), abs=0.02)


def test_moments_give_the_same_reliability_as_single_rewards() -> None:
    rewards = simulated(1.0, 1.0, problems=50)
    again = reward.reliability_from_moments(rewards.mean(axis=2), rewards.std(axis=2, ddof=1), 3)
    assert again == pytest.approx(reward.reliability(rewards))


def test_pure_noise_has_an_apparent_gain_and_no_held_out_one() -> None:
    rewards = simulated(0.0, 1.0)
    assert reward.apparent_gains(rewards.mean(axis=2)).mean() > 0.6
    assert reward.held_out_gains(rewards).mean() == pytest.approx(0.0, abs=0.03)


def test_pure_signal_keeps_its_whole_gain() -> None:
    rewards = simulated(1.0, 0.0, problems=50)
    assert reward.held_out_gains(rewards) == pytest.approx(reward.apparent_gains(rewards.mean(axis=2)))


def test_tied_edits_are_averaged_so_that_their_order_does_not_matter() -> None:
    rewards = np.array([[[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    turned = rewards[:, ::-1]
    assert reward.held_out_gains(rewards) == pytest.approx(reward.held_out_gains(turned))


def test_without_repeats_or_variance_nothing_is_said() -> None:
    assert reward.reliability(np.zeros((3, 5, 1))) is None
    assert reward.reliability(np.zeros((3, 5, 3))) is None
    with pytest.raises(ValueError, match="two repeats"):
        reward.held_out_gains(np.zeros((3, 5, 1)))


def test_retention_is_over_the_earlier_problems() -> None:
    matrix = [[0.3, 0.4, 0.5], [0.6, None, None], [0.5, 0.7, None], [0.2, 0.3, 0.8]]
    assert forgetting.retention(matrix) == pytest.approx((0.35, (0.6 + 0.7 + 0.8) / 3, 0.25))


@pytest.mark.parametrize("matrix", [[], [[0.1]], [[0.1, 0.2], [0.3, None]], [[None, 0.1], [0.2, None], [0.3, 0.4]]])
def test_an_incomplete_matrix_gives_no_retention(matrix: list[list[float | None]]) -> None:
    assert forgetting.retention(matrix) is None
