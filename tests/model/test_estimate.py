"""What a plan says without weights is what the model's own quote says with them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the models need torch")

from netgain.metering.account import Account, Book
from netgain.metering.estimate import generation_estimate, scoring_estimate, shape_of, training_estimate
from netgain.metering.price import Full, Lora
from netgain.model import Generate, InnerLoopJob, Score, Train, TrainFull
from netgain.model.hugging_face import load_model
from netgain.records.cost import Purpose


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened.account("plan").under(Purpose.ADAPT)


@pytest.mark.parametrize("engine", ["hooks", "planned"])
def test_a_plan_without_weights_is_the_quote_of_the_model(engine: Any, llama: Path, account: Account) -> None:
    model, shape = load_model(llama, engine=engine, device="cpu", resident=1), shape_of(llama)
    sequences = [[5] * length for length in (7, 20, 12)]
    settings: Any = {"key": "a", "sequences": sequences, "epochs": 3, "learning_rate": 1e-3, "seed": 0}
    train = Train(account=account, job=InnerLoopJob(**settings))
    full = TrainFull(account=account, job=InnerLoopJob(**settings))
    generate = Generate(account=account, prompt="12345678", max_new_tokens=5)
    score = Score(account=account, prompt="12345678", continuation="1234")
    quotes = model.quote([train]) + model.quote([full]) + model.quote([generate]) + model.quote([score])
    lora = training_estimate(shape, [7, 20, 12], training=Lora(32, ("q_proj", "v_proj")), epochs=3, engine=engine)
    whole = training_estimate(shape, [7, 20, 12], training=Full(), epochs=3)
    answer = generation_estimate(shape, 8, 5, engine=engine)
    scored = scoring_estimate(shape, 8, 4)
    for quote, plan in zip(quotes, (lora, whole, answer, scored), strict=True):
        for name, amount in plan.known().items():
            blocks = name == "flops" and plan == lora and engine == "planned"  # kernels skip masked blocks, not keys
            assert quote.known()[name] == pytest.approx(amount, rel=0.03 if blocks else 1e-12), name
