"""Training is cut to a budget: what is quoted is what is charged, and the cut is the largest that fits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the models need torch")

from netgain.errors import BudgetExceeded
from netgain.metering.account import Account, Book
from netgain.model import InnerLoopJob, Model, Train
from netgain.model.hugging_face import load_model
from netgain.records.cost import Cost, Currency, Purpose

COUNTED = (Currency.FLOPS, Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.TOKENS_TRAINING)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm").under(Purpose.ADAPT)


def job(key: str = "a", **settings: Any) -> InnerLoopJob:
    sequences = [[5 + (7 * i + j) % 200 for j in range(4 + 5 * i)] for i in range(6)]
    wanted = {"sequences": sequences, "epochs": 5, "learning_rate": 1e-2, "seed": 7, "rank": 4, "alpha": 8.0} | settings
    return InnerLoopJob(key=key, **wanted)


@pytest.fixture(params=["planned", "hooks"])
def model(request: pytest.FixtureRequest, llama: Path) -> Model:
    resident = 16 if request.param == "planned" else 1  # one at a time, nobody shares its rectangle
    return load_model(llama, engine=request.param, device="cpu", resident=resident)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("max_steps", [None, 1, 5, 13])
def test_a_job_cut_short_is_charged_exactly_its_quote(
    model: Model, account: Account, max_steps: int | None, batch_size: int
) -> None:
    request = Train(account=account, job=job(max_steps=max_steps, batch_size=batch_size))
    (quote,) = model.quote([request])
    (result,) = model.train([request])
    assert len(result.get().losses) == request.job.total_steps
    for currency in COUNTED:
        assert result.cost.amount(currency) == pytest.approx(quote.amount(currency), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_closing_step_is_charged_as_quoted_and_trains(model: Model, account: Account, batch_size: int) -> None:
    settings: dict[str, Any] = {"max_steps": 3, "batch_size": batch_size}
    requests = [Train(account=account, job=job(**settings, closing=closing)) for closing in ((), (5, 6, 7, 8, 9))]
    plain, closed = (model.train([request])[0] for request in requests)
    assert len(closed.get().losses) == len(plain.get().losses) + 1
    for currency in COUNTED:
        assert closed.cost.amount(currency) == pytest.approx(model.quote(requests)[1].amount(currency), rel=1e-12)
    assert (closed.cost.flops or 0) > (plain.cost.flops or 0)


@pytest.mark.parametrize("currency", [Currency.FLOPS, Currency.TOKENS_TRAINING, Currency.UPDATES])
def test_the_steps_within_an_amount_are_the_most_that_fit(model: Model, account: Account, currency: Currency) -> None:
    request = Train(account=account, job=job())
    for steps in (1, 9, 30):
        (quote,) = model.quote([Train(account=account, job=job(max_steps=steps))])
        amount = quote.amount(currency) or 0.0
        assert model.steps_within(request, {currency: amount}) == steps
        assert model.steps_within(request, {currency: amount * 0.999}) == steps - 1
        assert model.steps_within(request, {currency: amount, Currency.TOKENS_GENERATED: 0.0}) == steps
    assert model.steps_within(request, {currency: 1e30}) == 30


def test_a_job_cut_to_what_is_left_of_a_budget_runs_and_one_step_more_is_refused(model: Model, book: Book) -> None:
    budget = book.account("small", limit=Cost(flops=4e7)).under(Purpose.ADAPT)
    steps = model.steps_within(Train(account=budget, job=job()))
    assert 0 < steps < 30
    with pytest.raises(BudgetExceeded):
        model.train([Train(account=budget, job=job(max_steps=steps + 1))])
    (result,) = model.train([Train(account=budget, job=job(max_steps=steps))])
    assert not result.overrun
    assert model.steps_within(Train(account=budget, job=job())) < steps


def test_in_a_shared_rectangle_the_steps_are_those_that_fit_beside_the_others(llama: Path, account: Account) -> None:
    model = load_model(llama, engine="hooks", device="cpu")
    request = Train(account=account, job=job(sequences=[[5] * 30, [6] * 40]))
    long = Train(account=account, job=job("b", sequences=[[5] * 70]))
    (alone,) = model.quote([request])
    amounts = {Currency.FLOPS: alone.flops or 0.0}
    assert model.steps_within(request, amounts) == 10
    assert 0 < model.steps_within(request, amounts, beside=[long]) < 6
