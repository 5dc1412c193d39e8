"""What a whole round of every arm that learns by rewards is charged, against torch's own counter: drawing, training on
edits, examining, scoring, the update and the merge, all of it. The promise is 1 %."""

from collections.abc import Callable
from typing import Any

import pytest

from netgain.metering.account import Book
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.methods.conventional_rl import ConventionalRl, ConventionalRlSettings
from netgain.methods.fitting import SEVEN
from netgain.methods.gradient_loops import EditGradientSettings, Grpo, Ppo, PpoSettings, Rloo, RlooSettings
from netgain.methods.method import Method
from netgain.methods.reinforce import Reinforce, ReinforceSettings
from netgain.methods.seal import Seal, SealSettings

from ..model.conftest import save_model
from .conftest import finish, problem

Make = Callable[..., Any]
PROMISE = 0.01
RANK = 4
WEIGHTS = RANK * sum(i + o for i, o in [(32, 32), (32, 16), (32, 16), (32, 32), *[(32, 80)] * 2, (80, 32)])
OUTER: dict[str, Any] = {"outer_rank": RANK, "outer_alpha": 8.0, "outer_modules": SEVEN, "rounds": 1, "contexts": 1}
LOOP: dict[str, Any] = {
    **{**OUTER, "candidates": 2, "repeats": 1, "reward_epochs": 1, "rank": RANK, "alpha": 8.0},
    **{"target_modules": SEVEN, "outer_epochs": 1},
}
ARMS: dict[str, Method] = {
    "ReST-EM": Seal(SealSettings(**LOOP)),
    "gain": Seal(SealSettings(**LOOP, reward="gain")),
    "likelihood": Seal(SealSettings(**LOOP, reward="likelihood")),
    "reinforce": Reinforce(ReinforceSettings(**LOOP)),
    "GRPO": Grpo(EditGradientSettings(**LOOP)),
    "RLOO": Rloo(RlooSettings(**LOOP)),
    "PPO": Ppo(PpoSettings(**LOOP)),
    "PPO, learned baseline": Ppo(PpoSettings(**LOOP, baseline="value")),
    "RL on labels": ConventionalRl(ConventionalRlSettings(**OUTER, candidates=2)),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    folder = save_model(tmp_path_factory.mktemp("models") / "tiny", max_position_embeddings=256, num_hidden_layers=1)
    return load(folder, device="cpu", engine="hooks", attention="eager")


def test_a_learned_baseline_reads_states_also_where_a_policy_is_looked_at_before_its_first_step(
    make_desk: Make, book: Book, model: Any
) -> None:
    settings = PpoSettings(**(LOOP | {"rounds": 2}), baseline="value", check_every=1, held_out=1)
    finish(Ppo(settings).learn(make_desk(model, None), [problem(0), problem(1)]))
    assert "value head" in {charge.operation for charge in book.charges()}


@pytest.mark.parametrize("arm", ARMS)
def test_a_whole_round_costs_what_the_profiler_sees(make_desk: Make, book: Book, model: Any, arm: str) -> None:
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    desk = make_desk(model, None, arm)
    with counter(display=False) as seen, torch.enable_grad():
        finish(ARMS[arm].learn(desk, [problem(0)]))
    charges = [charge.cost for charge in book.charges() if charge.operation != "value head"]
    updates = sum(cost.updates or 0.0 for cost in charges)
    assert updates >= 1
    spent = sum(cost.flops or 0.0 for cost in charges) - OPTIMIZER_FLOPS_PER_WEIGHT * WEIGHTS * updates
    assert spent == pytest.approx(seen.get_total_flops(), rel=PROMISE)
