"""Programs in steps: side by side they give what they give alone, in as few batches as there are kinds of work."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from netgain.engine.jobs import Failure
from netgain.errors import BudgetExceeded, FaultError
from netgain.metering.account import Account, Book
from netgain.model import Generate, InnerLoopJob, Model, Score, Train, scripted_model
from netgain.model.program import ModelCall, ProgramEnd, Steps, ask, run, together
from netgain.model.requests import Merge, Request, Result, TrainFull
from netgain.records.cost import Cost, Currency, Purpose


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened


def pays(book: Book, name: str, limit: float | None = None) -> Account:
    return book.account(name, limit=Cost(flops=limit)).under(Purpose.ADAPT)


class Counting:
    """A scripted model that counts the batches it was asked in."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.model = scripted_model(lambda request: f"{request.prompt}!")
        inner: Any = self.model.generate

        def generate(requests: Sequence[Generate]) -> Any:
            self.batches.append(len(requests))
            return inner(requests)

        self.model.generate = generate  # type: ignore[method-assign]


def story(model: Model, account: Account, start: str, length: int) -> Steps[str]:
    """Ask again and again, each time with what came of it."""
    text = start
    for _ in range(length):
        (result,) = yield from ask(model, [Generate(account=account, prompt=text)])
        text = result.get().text
    return text


def values(programs: dict[Any, Steps[Any]], width: int = 0) -> dict[Any, Any]:
    return {key: ended.error or ended.value for key, ended in run(programs, width=width)}


@pytest.mark.parametrize("width", [0, 1, 2])
def test_programs_side_by_side_end_as_they_do_alone(book: Book, width: int) -> None:
    model = scripted_model(lambda request: f"{request.prompt}!")
    programs = {f"p{n}": story(model, pays(book, f"p{n}"), str(n), n) for n in range(5)}
    assert values(programs, width) == {f"p{n}": f"{n}" + "!" * n for n in range(5)}


def test_what_is_asked_at_the_same_time_runs_as_one_batch(book: Book) -> None:
    counting = Counting()
    values({n: story(counting.model, pays(book, str(n)), str(n), 2) for n in range(4)})
    assert counting.batches == [4, 4]


def test_no_more_run_side_by_side_than_the_width_allows(book: Book) -> None:
    counting = Counting()
    values({n: story(counting.model, pays(book, str(n)), str(n), 1) for n in range(5)}, width=2)
    assert counting.batches == [2, 2, 1]


def test_kinds_and_models_are_batches_of_their_own_and_come_back_in_order(book: Book) -> None:
    account = pays(book, "all")
    first, second = scripted_model(lambda _: "one"), scripted_model(lambda _: "two", scores=lambda _: -3.0)
    job = InnerLoopJob(key="job", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    whole = TrainFull(
        account=account, job=InnerLoopJob(key="full", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    )

    def program() -> Steps[list[Any]]:
        results = yield [
            ModelCall(first, (Generate(account=account, prompt="a"),)),
            ModelCall(second, (Generate(account=account, prompt="a"), Generate(account=account, prompt="b"))),
            ModelCall(second, (Score(account=account, prompt="a", continuation="b"),)),
            ModelCall(first, (Train(account=account, job=job),)),
            ModelCall(first, ()),
        ]
        found = [[result.get() for result in part] for part in results]
        adapter = found[3][0].adapter
        merged, tuned = yield [
            ModelCall(first, (Merge(account=account, adapter=adapter),)),
            ModelCall(first, (whole,)),
        ]
        return [*found, merged[0].get(), tuned[0].get().model]

    one, two, scored, trained, nothing, merged, tuned = values({0: program()})[0]
    assert [answer.text for answer in (*one, *two)] == ["one", "two", "two"]
    assert (scored[0].log_likelihood, trained[0].key, nothing) == (-3.0, "job", [])
    assert isinstance(merged, Model)
    assert isinstance(tuned, Model)


def test_one_that_asks_for_more_than_its_budget_is_refused_alone(book: Book) -> None:
    model = scripted_model(lambda request: f"{request.prompt}!")
    programs = {
        "rich": story(model, pays(book, "rich", 10), "r", 3),
        "poor": story(model, pays(book, "poor", 1), "p", 3),
        "free": story(model, pays(book, "free"), "f", 3),
    }
    found = values(programs)
    assert (found["rich"], found["free"]) == ("r!!!", "f!!!")
    assert isinstance(found["poor"], BudgetExceeded)
    assert book.account("poor", limit=Cost(flops=1)).spent(Currency.FLOPS) == 1


def test_a_refusal_costs_the_others_no_more_than_a_few_smaller_batches(book: Book) -> None:
    counting = Counting()
    accounts = [pays(book, str(n), 0 if n == 5 else None) for n in range(16)]
    found = values({n: story(counting.model, accounts[n], str(n), 1) for n in range(16)})
    assert [n for n in range(16) if isinstance(found[n], BudgetExceeded)] == [5]
    assert sorted(counting.batches) == [1, 1, 2, 2, 4, 4, 8, 8, 16]


def test_a_program_may_go_on_after_it_was_refused(book: Book) -> None:
    model = scripted_model(lambda _: "said")

    def careful() -> Steps[str]:
        account = pays(book, "poor", 1)
        try:
            yield from ask(model, [Generate(account=account, prompt="a")] * 2)
        except BudgetExceeded:
            (result,) = yield from ask(model, [Generate(account=account, prompt="a")])
            return str(result.get().text)
        return "never"

    assert values({0: careful()}) == {0: "said"}


def test_an_error_of_one_program_leaves_the_others_alone(book: Book) -> None:
    model = scripted_model(lambda request: f"{request.prompt}!")

    def broken() -> Steps[str]:
        yield from ask(model, [Generate(account=pays(book, "b"), prompt="a")])
        raise KeyError("gone")

    def wrong() -> Steps[str]:
        yield [ModelCall(model, ("no request",))]  # type: ignore[arg-type]
        return "never"

    found = values({"broken": broken(), "wrong": wrong(), "sound": story(model, pays(book, "s"), "s", 2)})
    assert found["sound"] == "s!!"
    assert isinstance(found["broken"], KeyError)
    assert isinstance(found["wrong"], TypeError)


def test_a_batch_that_breaks_under_way_fails_its_programs_and_is_not_run_again(book: Book) -> None:
    model, other = scripted_model({}), scripted_model(lambda _: "fine")
    tried: list[int] = []

    def explode(requests: Sequence[Request]) -> Any:
        tried.append(len(requests))
        raise RuntimeError("the device is gone")

    model.generate = explode  # type: ignore[method-assign, assignment]
    programs = {n: story(model, pays(book, str(n)), "a", 1) for n in range(3)}
    found = values({**programs, "other": story(other, pays(book, "o"), "a", 1)})
    assert tried == [3]
    assert found["other"] == "fine"
    assert all(isinstance(found[n], RuntimeError) for n in range(3))


def test_an_interrupt_leaves_and_closes_what_is_under_way(book: Book) -> None:
    model = scripted_model({})
    closed: list[str] = []

    def stop(_: Sequence[Request]) -> Any:
        raise KeyboardInterrupt

    def watched() -> Steps[str]:
        try:
            yield from ask(model, [Generate(account=pays(book, "w"), prompt="a")])
        finally:
            closed.append("closed")
        return ""

    model.generate = stop  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        list(run({0: watched()}))
    assert closed == ["closed"]


def test_together_gives_the_values_in_order_and_asks_in_common(book: Book) -> None:
    counting = Counting()
    account = pays(book, "t")

    def program() -> Steps[list[str]]:
        texts = yield from together([story(counting.model, account, str(n), n) for n in (3, 0, 1)])
        return texts

    assert values({0: program()}) == {0: ["3!!!", "0", "1!"]}
    assert counting.batches == [2, 1, 1]


def test_one_that_fails_among_together_fails_all(book: Book) -> None:
    model = scripted_model(lambda _: "fine")
    parts = [story(model, pays(book, "a"), "a", 1), story(model, pays(book, "b", 0), "b", 1)]
    assert isinstance(values({0: together(parts)})[0], BudgetExceeded)


def test_how_a_program_ended_says_how_long_it_thought(book: Book) -> None:
    def thinks() -> Steps[int]:
        yield from ()
        return sum(range(2_000_000))

    ((_, ended),) = run({0: thinks()})
    assert isinstance(ended, ProgramEnd)
    assert ended.seconds > 0.001


def test_a_merge_that_is_refused_repeats_no_other(book: Book) -> None:
    """Merges that were done before it in the same batch are paid once."""
    model, trainer = scripted_model({}), pays(book, "trainer")
    job = InnerLoopJob(key="j", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    adapter: Any = model.train([Train(account=trainer, job=job)])[0].get().adapter

    def merging(account: Account) -> Steps[Any]:
        (result,) = yield from ask(model, [Merge(account=account, adapter=adapter)])
        return result.get()

    rich, poor = pays(book, "rich"), pays(book, "poor", 0)
    ended = dict(run({"rich": merging(rich), "poor": merging(poor)}))
    assert isinstance(ended["poor"].error, BudgetExceeded)
    assert ended["rich"].value is not None
    assert rich.spent(Currency.FLOPS) == 1


def test_a_merge_keeps_its_charges(book: Book) -> None:
    model, account = scripted_model({}), pays(book, "account")
    job = InnerLoopJob(key="j", sequences=[[1, 2]], epochs=1, learning_rate=1e-3, seed=0)
    adapter: Any = model.train([Train(account=account, job=job)])[0].get().adapter

    def merging() -> Steps[Any]:
        (result,) = yield from ask(model, [Merge(account=account, adapter=adapter)])
        return result

    result = values({0: merging()})[0]
    booked = book.charges()[-1]
    assert booked.operation == "merge"
    assert (result.charges, result.cost) == ((booked.reservation,), booked.cost)
    book.discard(result.charges, "not kept")
    assert book.charges()[-1].discarded == "not kept"


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        OSError(28, "No space left on device"),
        RuntimeError("CUDA error"),
        Exception("Error while serializing: I/O error: File too large (os error 27)"),  # as safetensors says it
    ],
)
def test_a_fault_of_the_machine_is_no_programs_to_catch(book: Book, raised: Exception) -> None:
    def broken(request: Generate) -> str:
        raise raised

    def swallows() -> Steps[str]:
        with contextlib.suppress(Exception):
            yield from ask(scripted_model(broken), [Generate(account=pays(book, "a"), prompt="?", max_new_tokens=1)])
        return "an answer all the same"

    with pytest.raises(type(raised)):
        list(run({"": swallows()}))


def test_what_does_not_fit_into_memory_even_alone_is_no_result(book: Book) -> None:
    failure = Failure("out_of_memory", "a step of 9 rows does not fit", 0)
    with pytest.raises(
        FaultError, match=r"memory: a step of 9 rows does not fit; .* MiB of the machine's memory are free"
    ):
        Result(None, failure, (), Cost.zero()).get()
