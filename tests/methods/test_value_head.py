"""A learned baseline: advantages by token over what a head on the last hidden state predicts, clipped and charged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.methods.gradient_loops import PpoSettings, RlooSettings
from netgain.methods.policy_gradient import GradientPolicy
from netgain.methods.value_head import ValueHead, estimates, fitting_cost, gradient, predicted, whitened
from netgain.model import scripted_model
from netgain.records.cost import Purpose

from ..model.conftest import save_model
from ..profiled import EXACT
from .conftest import finish
from .test_policy_gradient import draw

Make = Callable[..., Any]
SMALL: dict[str, Any] = {"outer_rank": 8, "outer_alpha": 16.0, "baseline": "value"}


def test_estimates_are_generalised_advantages() -> None:
    """Against their sum: of every later error, less by the decay a token."""
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=7), rng.normal(size=7)
    errors = [rewards[t] + (values[t + 1] if t < 6 else 0.0) - values[t] for t in range(7)]
    for decay in (0.0, 0.95, 1.0):
        expected = [sum(decay ** (k - t) * errors[k] for k in range(t, 7)) for t in range(7)]
        assert estimates([rewards], [values], decay)[0] == pytest.approx(expected)
    whole = estimates([rewards], [values], 1.0)[0] + values  # without decay a return is all that is still to come
    assert whole == pytest.approx(np.cumsum(rewards[::-1])[::-1])


def test_a_batch_is_brought_to_mean_0_and_deviation_1_and_one_without_spread_to_nothing() -> None:
    found = np.concatenate(whitened([np.array([1.0, 2.0]), np.array([6.0])]))
    assert (found.mean(), found.std()) == (pytest.approx(0), pytest.approx(1))
    assert [one.tolist() for one in whitened([np.ones(2), np.ones(1)])] == [[0.0, 0.0], [0.0]]
    assert whitened([]) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradient_are_the_clipped_ones(seed: int) -> None:
    """Against TRL's formula under autograd."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    states, weights = rng.normal(size=(20, 5)), rng.normal(size=(5, 1))
    returns, old = rng.normal(size=(20, 1)), rng.normal(size=(20, 1))
    loss, slope, lean = gradient(states, predicted(states, weights, 0.3), old, returns, 0.2)
    w, b = torch.tensor(weights, requires_grad=True), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    values, before, wanted = torch.tensor(states) @ w + b, torch.tensor(old), torch.tensor(returns)
    clipped = torch.clamp(values, before - 0.2, before + 0.2)
    expected = 0.5 * torch.max((values - wanted) ** 2, (clipped - wanted) ** 2).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-12)
    assert slope == pytest.approx(w.grad.numpy(), abs=1e-12)
    assert lean == pytest.approx(b.grad.item(), abs=1e-12)


def test_what_a_head_takes_is_what_the_profiler_sees() -> None:
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    states, weights = torch.randn(50, 24, dtype=torch.float64), torch.randn(24, 1, dtype=torch.float64)
    old, returns = torch.randn(50, 1, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    with counter(display=False) as seen:
        for _ in range(3):
            gradient(states, predicted(states, weights, 0.0), old, returns, 0.2)
    charged = fitting_cost(50, 24, 3).flops or 0.0
    assert charged - 3 * OPTIMIZER_FLOPS_PER_WEIGHT * 25 == seen.get_total_flops()


def test_a_head_learns_what_states_are_worth(book: Book) -> None:
    rng = np.random.default_rng(0)
    account = book.account("arm").under(Purpose.LEARN)
    head = ValueHead(learning_rate=0.05, clip=10.0, passes=20)
    for _ in range(10):
        states = [rng.normal(size=(6, 4)).astype(np.float32) for _ in range(5)]
        head.fit(account, states, [one[:, 0] + 0.5 for one in states], head.values(account, states))
    assert head.losses[-1] < 0.05 * head.losses[0]
    (values,) = head.values(account, [np.array([[2.0, 0, 0, 0], [-1.0, 0, 0, 0]], dtype=np.float32)])
    assert values == pytest.approx([2.5, -0.5], abs=0.15)
    assert {charge.operation for charge in book.charges()} == {"value head"}


def test_a_whole_step_of_ppo_costs_what_the_profiler_sees(make_desk: Make, book: Book, tmp_path: Path) -> None:
    """With the head's products, which are formed beside the model, on top of what the profiler sees in it."""
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model = load(save_model(tmp_path / "tiny"), device="cpu", engine="hooks", attention="eager")
    policy = GradientPolicy(PpoSettings(**SMALL))
    desk = make_desk(model, None, "step")
    for number in range(2):
        desk = desk.at(f"step {number}")
        group = finish(draw(desk, "ab", 6, 5))
        before, bound = book.length, policy.cost(desk, [group])
        with counter(display=False) as seen, torch.enable_grad():
            desk = desk.at(model=finish(policy.step(desk, [group], 0.0)))
        charges = book.charges(since=before)
        head = sum(one.cost.flops or 0.0 for one in charges if one.operation == "value head")
        tokens = sum(map(len, group.ids))
        assert head == (fitting_cost(tokens, 32, 4).flops or 0.0) + 2 * tokens * 32 * number  # at first all are worth 0
        weights = 8 * sum(i + o for i, o in [(32, 32), (32, 16), (32, 16), (32, 32), *[(32, 80)] * 2, (80, 32)]) * 3
        optimizer = OPTIMIZER_FLOPS_PER_WEIGHT * weights * sum(one.cost.updates or 0.0 for one in charges)
        spent = sum(one.cost.flops or 0.0 for one in charges)
        assert spent - head - optimizer == pytest.approx(seen.get_total_flops(), rel=EXACT)
        assert spent <= bound * (1 + 1e-9)


def test_a_token_early_in_a_text_that_went_well_is_credited_apart_from_a_late_one(make_desk: Make, tiny: Any) -> None:
    """The update itself is by token: texts that end differently and begin alike differ where they differ."""
    policy, jobs = GradientPolicy(PpoSettings(**SMALL)), []
    desk = make_desk(tiny, None, "by token")
    inner = policy._job  # the one place where a batch becomes a job

    def watch(*given: Any) -> Any:
        jobs.append(inner(*given))
        return jobs[-1]

    policy._job = watch  # type: ignore[method-assign]
    group = finish(draw(desk, "ab", 4, 6))
    finish(policy.step(desk, [replace(group, rewards=[1.0, 0.1, 0.5, 0.2])], 0.0))
    loss = jobs[-1].policy
    assert loss is not None
    assert [len(one) for one in loss.each] == [len(ids) for ids in group.ids]
    assert all(len(set(np.round(one, 9))) > 1 for one in loss.each if len(one) > 1)
    assert np.mean([token for one in loss.each for token in one]) == pytest.approx(0, abs=1e-9)


def test_a_model_whose_states_nobody_knows_is_refused_in_one_line(make_desk: Make) -> None:
    policy = GradientPolicy(PpoSettings(baseline="value"))
    desk = make_desk(scripted_model(lambda _: "abc"), None)
    group = finish(draw(desk, "ab", 2, 3))
    with pytest.raises(InputError, match="baseline: group"):
        policy.cost(desk, [group])
    with pytest.raises(InputError, match="does not tell its hidden states"):
        finish(policy.step(desk, [group], 0.0))


def test_a_ratio_of_whole_texts_takes_no_baseline_by_token() -> None:
    with pytest.raises(ValueError, match="of all at once"):
        RlooSettings(baseline="value")
