"""The one door: quoted, reserved, run, settled. All on the scripted model, which costs one unit a call."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import netgain.model
from netgain.engine.jobs import Work
from netgain.errors import BudgetExceeded, InputError
from netgain.metering.account import Account, Book
from netgain.model import Answered, Failure, Generate, InnerLoopJob, Model, PadLoss, Score, Train, scripted_model
from netgain.model.requests import Done, Part, Request, UnmeteredModel
from netgain.model.scripted import UNIT, UnitPrices
from netgain.records.chain import read
from netgain.records.cost import Cost, Purpose
from netgain.records.events import Noted, Reserved


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm", arm="arm", seed=0, limit=Cost(flops=10)).under(Purpose.ADAPT)


class Watched:
    """A backend that does as it is told, and looks at the book whenever it is called."""

    name = "watched"

    def __init__(self, book: Book, *outcomes: Done | Exception) -> None:
        self.book, self.outcomes, self.runs = book, outcomes, 0
        self.open_at_run: list[int] = []

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        return [(Part(Work(positions=2, real=2)),) for _ in requests]

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        self.runs += 1
        self.open_at_run.append(sum(charge.outcome == "open" for charge in self.book.charges()))
        for outcome in self.outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield replace(outcome, again=outcome.again and attempt < 3)

    def tokenize(self, text: str, *, special: bool) -> tuple[int, ...]:
        return ()

    def save_adapter(self, adapter: object, folder: Path) -> None: ...

    def load_adapter(self, folder: Path) -> object: ...


HALF = (Part(Work(positions=1, real=1)),)


def ask(account: Account, count: int = 1) -> list[Generate]:
    return [Generate(account=account, prompt=f"{number}") for number in range(count)]


def test_every_call_of_the_scripted_model_costs_one_unit(account: Account) -> None:
    model = scripted_model(lambda request: f"{request.prompt}!")
    answers = model.generate(ask(account, 3))
    assert [answer.get().text for answer in answers] == ["0!", "1!", "2!"]
    assert [answer.cost for answer in answers] == [replace(UNIT, tokens_generated=1.0)] * 3
    model.score([Score(account=account, prompt="a", continuation="b")])
    job = InnerLoopJob(key="job", sequences=[[1, 2]], epochs=2, learning_rate=1e-3, seed=0)
    (trained,) = model.train([Train(account=account, job=job)])
    assert trained.get().losses == (0.5, 0.5)
    assert account.book.charges()[-1].cost == replace(UNIT, updates=1.0, tokens_training=1.0)
    assert {charge.operation for charge in account.book.charges()} == {"generate", "score", "train"}


def test_no_request_can_be_made_without_an_account() -> None:
    with pytest.raises(TypeError, match="account"):
        Generate(prompt="a")  # type: ignore[call-arg]
    job = InnerLoopJob(key="job", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    for make in (lambda no: Generate(account=no, prompt="a"), lambda no: Train(account=no, job=job)):
        with pytest.raises(TypeError, match="paid for by an Account"):
            make(None)


def test_no_public_name_of_the_model_room_leads_to_a_backend(account: Account) -> None:
    members = {name for name, _ in inspect.getmembers(UnmeteredModel) if not name.startswith("_")}
    model = scripted_model({})
    reachable: list[Any] = [getattr(netgain.model, name) for name in netgain.model.__all__]
    reachable += [value for name, value in inspect.getmembers(model) if not name.startswith("_")]
    for thing in [*reachable, model]:
        assert not (members - {"name"} <= set(dir(thing)) and callable(getattr(thing, "run", None))), thing
    assert not [name for name in vars(model) if "backend" in name and not name.startswith("_Model__")]


def test_every_backend_call_lies_inside_a_reservation_for_each_request(book: Book, account: Account) -> None:
    done = Done(0, Answered("a", 1, "eos"), HALF)
    backend = Watched(book, done, replace(done, request=1))
    Model(backend, UnitPrices()).generate(ask(account, 2))
    assert backend.open_at_run == [2]
    assert [charge.outcome for charge in book.charges()] == ["completed", "completed"]


def test_a_budget_that_does_not_allow_the_quote_refuses_before_anything_runs(book: Book, account: Account) -> None:
    backend = Watched(book)
    with pytest.raises(BudgetExceeded):
        Model(backend, UnitPrices()).generate(ask(account, 6))
    assert backend.runs == 0
    assert account.spent(netgain.Currency.FLOPS) == 0
    assert account.remaining() == {"flops": 10}


def test_failed_work_is_booked_with_the_part_that_was_done(book: Book, account: Account) -> None:
    bad = Done(0, None, HALF, Failure("not_finite", "logits are not finite", 3))
    good = Done(1, Answered("a", 1, "eos"), HALF)
    first, second = Model(Watched(book, bad, good), UnitPrices()).generate(ask(account, 2))
    assert second.get().text == "a"
    assert first.failure == Failure("not_finite", "logits are not finite", 3)
    with pytest.raises(ValueError, match="not_finite: logits"):
        first.get()
    charge = book.charges()[0]
    assert (charge.outcome, charge.error, charge.cost.flops) == ("failed", "not_finite: logits are not finite", 1)


def test_a_failure_of_unknown_extent_is_charged_with_its_whole_quote(book: Book, account: Account) -> None:
    unknown = Done(0, None, None, Failure("timeout", "no answer", 1))
    Model(Watched(book, unknown), UnitPrices()).generate(ask(account))
    assert book.charges()[0].cost.flops == 2


def test_a_backend_that_breaks_leaves_no_reservation_open(book: Book, account: Account) -> None:
    good = Done(0, Answered("a", 1, "eos"), HALF)
    with pytest.raises(RuntimeError, match="broken"):
        Model(Watched(book, good, RuntimeError("broken")), UnitPrices()).generate(ask(account, 2))
    assert [(charge.outcome, charge.cost.flops) for charge in book.charges()] == [("completed", 1), ("failed", 2)]


def test_a_backend_that_forgets_a_request_is_an_error_and_the_request_is_paid(book: Book, account: Account) -> None:
    with pytest.raises(RuntimeError, match="did not say"):
        Model(Watched(book), UnitPrices()).generate(ask(account))
    assert book.charges()[0].outcome == "failed"


def test_every_attempt_is_paid(book: Book, account: Account) -> None:
    failure = Failure("server", "500", 1)
    backend = Watched(book, Done(0, None, HALF, failure, again=True))
    (result,) = Model(backend, UnitPrices(), attempts=5).generate(ask(account))
    assert backend.runs == 3
    assert (len(result.charges), result.failure) == (3, failure)
    assert account.spent(netgain.Currency.FLOPS) == 3


def test_no_attempt_is_made_that_the_budget_does_not_allow(book: Book) -> None:
    account = book.account("small", limit=Cost(flops=2)).under(Purpose.TEACH)
    backend = Watched(book, Done(0, None, HALF, Failure("server", "500", 1), again=True))
    (result,) = Model(backend, UnitPrices(), attempts=3).generate(ask(account))
    assert (backend.runs, result.failure is not None) == (1, True)


def test_work_above_its_quote_is_booked_in_full_and_marked(book: Book, account: Account) -> None:
    much = Done(0, Answered("a", 1, "eos"), HALF * 5)
    (result,) = Model(Watched(book, much), UnitPrices()).generate(ask(account))
    assert netgain.Currency.FLOPS in result.overrun
    assert account.spent(netgain.Currency.FLOPS) == 5


def test_measured_seconds_are_shared_out_and_add_up(book: Book, account: Account) -> None:
    ticks = iter([0.0, 4.0, 10.0])
    done = Done(0, Answered("a", 1, "eos"), HALF)
    model = Model(Watched(book, done, replace(done, request=1)), UnitPrices(timed=True), clock=lambda: next(ticks))
    assert [result.cost.seconds for result in model.generate(ask(account, 2))] == [2.0, 8.0]


def test_a_result_that_is_thrown_away_stays_paid_and_is_no_longer_useful(book: Book, account: Account) -> None:
    (result,) = scripted_model(lambda _: "a").generate(ask(account))
    book.discard(result.charges, "lost against a better one")
    assert not book.charges()[0].useful
    assert account.spent(netgain.Currency.FLOPS) == 1


def test_a_prompt_that_is_not_scripted_fails_alone_and_says_which_is_meant(account: Account) -> None:
    model = scripted_model({"hello": "there"})
    first, second = model.generate([Generate(account=account, prompt=text) for text in ("hallo", "hello")])
    assert first.failure is not None
    assert "did you mean 'hello'" in first.failure.detail
    assert second.get().text == "there"


def test_a_request_of_another_kind_is_refused(account: Account) -> None:
    with pytest.raises(TypeError, match="score takes Score"):
        scripted_model({}).score(ask(account))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"stop": ("",)}])
def test_settings_that_make_no_sense_are_refused(account: Account, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Generate(account=account, prompt="a", **wrong)


def test_a_scripted_adapter_survives_its_folder(account: Account, tmp_path: Path) -> None:
    model = scripted_model(lambda request: repr(request.adapter))
    job = InnerLoopJob(key="job", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    (trained,) = model.train([Train(account=account, job=job)])
    model.save_adapter(trained.get().adapter, tmp_path / "adapter")
    assert model.load_adapter(tmp_path / "adapter") == trained.get().adapter


def test_the_journal_says_by_what_prices_a_model_was_charged(account: Account, tmp_path: Path) -> None:
    model = scripted_model(lambda _: "a")
    model.generate(ask(account))
    model.generate(ask(account))
    account.book.close()
    notes = [record.event.text for record in read(tmp_path / "journal").records if isinstance(record.event, Noted)]
    assert notes == ["model scripted"]


def test_how_work_was_asked_for_stands_in_the_journal(book: Book) -> None:
    account = book.account("a", purpose=Purpose.ADAPT)
    model = scripted_model({"p": "yes"})
    job = InnerLoopJob(
        key="j", sequences=[[1, 2]], epochs=3, learning_rate=1e-3, seed=7, pad_loss=PadLoss("probes", probes=4)
    )
    model.train([Train(account=account, job=job)])
    model.generate([Generate(account=account, prompt="p", temperature=0.5, seed=11)])
    asked = [record.event.settings for record in read(book.journal.path).records if isinstance(record.event, Reserved)]
    assert asked[0]["pad_loss"] == "probes(4 of 2048)"
    assert (asked[0]["seed"], asked[0]["epochs"], asked[0]["target_modules"]) == (7, 3, "q_proj,v_proj")
    assert (asked[1]["temperature"], asked[1]["seed"], asked[1]["adapter"]) == (0.5, 11, False)
