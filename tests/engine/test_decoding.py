import torch

from netgain.engine.decoding import Chooser, DecodeRequest, choose
from netgain.engine.jobs import Sampling


def _draws(count: int, **settings: float) -> list[int]:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    chooser = Chooser(DecodeRequest(prompt=(1,), sampling=Sampling(**{"temperature": 1.0, "seed": 3} | settings)))  # type: ignore[arg-type]
    return [chooser.draw(logits) for _ in range(count)]


def test_draws_follow_the_probabilities() -> None:
    counts = torch.bincount(torch.tensor(_draws(4000)), minlength=4) / 4000
    assert torch.allclose(counts, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert set(_draws(500, top_p=0.8)) == {0, 1}
    assert set(_draws(500, top_p=0.81)) == {0, 1, 2}
    assert set(_draws(50, top_p=0.01)) == {0}


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert set(_draws(100, temperature=0.01)) == {0}


def test_the_same_seed_draws_the_same_and_another_differs() -> None:
    assert _draws(30) == _draws(30)
    assert _draws(30) != _draws(30, seed=4)


def test_logits_that_are_not_finite_choose_nothing() -> None:
    logits = torch.tensor([[0.0, 1.0], [float("nan"), 1.0], [float("inf"), 0.0]])
    assert choose(logits, [Chooser(DecodeRequest(prompt=(1,))) for _ in range(3)]) == [1, -1, -1]
