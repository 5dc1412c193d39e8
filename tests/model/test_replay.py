"""What was paid for is found again: an attempt that begins anew runs only what the one before it had not got."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from netgain.engine.jobs import Failure, InnerLoopJob
from netgain.errors import FaultError
from netgain.metering.account import Account, Book
from netgain.metering.verification import verify
from netgain.model.metered import Model
from netgain.model.replay import RESULTS, Replay
from netgain.model.requests import Answered, Done, Generate, Result, Score, Trained, UnmeteredModel
from netgain.model.requests import Train as TrainRequest
from netgain.model.scripted import UnitPrices, _Scripted, scripted_model
from netgain.records.cost import Cost, Purpose
from netgain.records.samples import Row, read_rows
from netgain.trials.store import SAMPLES
from netgain.trials.tasks import tasks
from tests.trials import world

Work = Callable[[Model, Account], object]


class Killed(BaseException):
    """Stands for the end of the process: nothing that netgain catches."""


def attempt(folder: Path, number: int, work: Work, model: Model) -> object:
    """One attempt at a task, in the folder of a task."""
    with Book.open(folder / "journal") as book, Replay(folder / "kept", book) as replay:
        root = book.account("towns", run=f"task#{number}", limit=Cost(flops=1e12))
        return work(model.resuming(replay), root.under(Purpose.ADAPT))


def costs(folder: Path, number: int) -> list[Cost]:
    found = verify(folder / "journal")
    assert found.ok, found
    return [charge.cost for charge in found.charges if charge.opened.run == f"task#{number}"]


def ask(model: Model, account: Account, *prompts: str, seed: int = 0) -> list[str]:
    asked = [Generate(account=account, prompt=prompt, temperature=1.0, seed=seed) for prompt in prompts]
    return [result.get().text for result in model.generate(asked)]


class Counted:
    """A scripted model that counts what it is asked and dies with its ``last`` answer."""

    def __init__(self, last: int = 10**9) -> None:
        self.asked, self._last = 0, last
        self.model = scripted_model(self._answer)

    def _answer(self, request: Generate) -> str:
        if self.asked >= self._last:
            raise Killed
        self.asked += 1
        return f"{request.prompt} {self.asked}"


def test_equal_requests_are_told_apart_and_found_again_in_their_order(tmp_path: Path) -> None:
    def work(model: Model, account: Account) -> list[str]:
        return [*ask(model, account, "a", "a", "b"), *ask(model, account, "a"), *ask(model, account, "a", seed=1)]

    first, second = Counted(), Counted()
    said = attempt(tmp_path, 1, work, first.model)
    assert said == ["a 1", "a 2", "b 3", "a 4", "a 5"]
    assert attempt(tmp_path, 2, work, second.model) == said
    assert second.asked == 0


def test_the_cost_stands_once_with_the_attempt_that_goes_on(tmp_path: Path) -> None:
    def work(model: Model, account: Account) -> list[str]:
        return [said for prompt in "abcd" for said in ask(model, account, prompt)]

    with pytest.raises(Killed):
        attempt(tmp_path, 1, work, Counted(last=2).model)
    second = Counted()
    attempt(tmp_path, 2, work, second.model)
    assert second.asked == 2
    # The third request was under way, and is charged at its quote; the first two cost nothing where they ran.
    assert [cost.flops for cost in costs(tmp_path, 1)] == [0, 0, 1]
    assert [cost.flops for cost in costs(tmp_path, 2)] == [1, 1, 1, 1]
    assert verify(tmp_path / "journal").totals.spent.flops == 5


def test_what_is_found_again_is_found_by_every_further_attempt(tmp_path: Path) -> None:
    def work(model: Model, account: Account) -> list[str]:
        return [said for prompt in "abcdef" for said in ask(model, account, prompt)]

    asked = 0
    for number in (1, 2, 3):
        model = Counted(last=2)
        if number == 3:
            attempt(tmp_path, number, work, model.model)
        else:
            with pytest.raises(Killed):
                attempt(tmp_path, number, work, model.model)
        asked += model.asked
    assert asked == 6
    assert [sum(cost.flops or 0 for cost in costs(tmp_path, number)) for number in (1, 2, 3)] == [1, 1, 6]


@pytest.mark.parametrize("spoil", ["answer", "cut", "gone"])
def test_results_that_the_journal_does_not_stand_for_are_not_believed(tmp_path: Path, spoil: str) -> None:
    def work(model: Model, account: Account) -> list[str]:
        return ask(model, account, "a", "b")

    attempt(tmp_path, 1, work, Counted().model)
    path = tmp_path / "kept" / RESULTS
    text = path.read_text()
    if spoil == "answer":
        path.write_text(text.replace("a 1", "a 7"))
    elif spoil == "cut":
        path.write_text(text[: len(text) // 2])
    else:
        path.unlink()
    again = Counted()
    assert attempt(tmp_path, 2, work, again.model) == ["a 1", "b 2"]
    assert again.asked == 2


def test_a_line_that_nobody_noted_is_cut_off(tmp_path: Path) -> None:
    attempt(tmp_path, 1, lambda model, account: ask(model, account, "a"), Counted().model)
    path = tmp_path / "kept" / RESULTS
    line = json.loads(path.read_text())
    path.write_text(path.read_text() + json.dumps(line | {"product": line["product"] | {"text": "planted"}}) + "\n")
    again = Counted()
    assert attempt(tmp_path, 2, lambda model, account: ask(model, account, "a"), again.model) == ["a 1"]


def test_what_failed_for_a_reason_that_may_pass_is_tried_again(tmp_path: Path) -> None:
    def silent(request: Generate) -> str:
        raise ValueError("the server is away")

    def work(model: Model, account: Account) -> Result[Answered]:
        return model.generate([Generate(account=account, prompt="a")])[0]

    first, second = attempt(tmp_path, 1, work, scripted_model(silent)), attempt(tmp_path, 2, work, Counted().model)
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert first.failure is not None
    assert second.get().text == "a 1"


class Shaky:
    """A backend that fails at the first try of everything, as a busy server does, and answers at the second."""

    def __init__(self) -> None:
        self._inner: Any = _Scripted(lambda request: str(request.prompt), lambda _: 0.0, "shaky", None)
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, requests: Sequence[Generate], attempt: int) -> Iterator[Done]:
        self.tries += 1
        for done in self._inner.run(requests, attempt):
            busy = replace(done, product=None, failure=Failure("server", "busy", attempt), again=True)
            yield busy if attempt == 1 else done


def test_what_a_server_gave_at_the_second_try_is_found_at_the_first(tmp_path: Path) -> None:
    def work(model: Model, account: Account) -> list[str]:
        return [*ask(model, account, "a"), *ask(model, account, "a")]

    said = attempt(tmp_path, 1, work, Model(cast(UnmeteredModel, Shaky()), UnitPrices(), attempts=2))
    backend = Shaky()
    assert attempt(tmp_path, 2, work, Model(cast(UnmeteredModel, backend), UnitPrices(), attempts=2)) == said
    assert backend.tries == 0


def job(key: str, **changes: object) -> InnerLoopJob:
    fields = {"epochs": 2, "learning_rate": 1e-2, "seed": 7, "rank": 4, "alpha": 8.0, "resumable": True}
    sequences = [[1, *(byte + 4 for byte in text.encode())] for text in (f"the {key}", "a river")]
    return InnerLoopJob(key=key, sequences=sequences, **(fields | changes))  # type: ignore[arg-type]


def trained(model: Model, account: Account, dies_at: int | None = None) -> list[float]:
    """Three trainings, each going on from the last with its optimizer; what every adapter thinks of a text."""
    adapter, said = None, list[float]()
    for number in range(3):
        if number == dies_at:
            raise Killed
        (result,) = model.train([TrainRequest(account=account, job=job(f"step {number}"), start=adapter)])
        adapter = result.get().adapter
        (score,) = model.score([Score(account=account, prompt="the", continuation=" step", adapter=adapter)])
        said.append(score.get().log_likelihood)
    return said


def test_training_goes_on_from_kept_weights_and_moments_to_the_last_bit(tmp_path: Path, llama: Path) -> None:
    load_model = pytest.importorskip("netgain.model.hugging_face").load_model
    whole = attempt(tmp_path / "whole", 1, trained, load_model(llama, device="cpu"))
    with pytest.raises(Killed):
        attempt(tmp_path / "cut", 1, lambda model, account: trained(model, account, 2), load_model(llama, device="cpu"))
    assert 1 <= len(list((tmp_path / "cut" / "kept").glob("*.safetensors"))) <= 2  # the last one; the first may be gone
    assert attempt(tmp_path / "cut", 2, trained, load_model(llama, device="cpu")) == whole
    flops = [cost.flops for cost in costs(tmp_path / "cut", 2)]
    assert flops == [cost.flops for cost in costs(tmp_path / "whole", 1)]
    assert {cost.flops for cost in costs(tmp_path / "cut", 1)} == {0}


def test_an_adapter_that_was_let_go_of_cannot_be_used_by_an_attempt_that_asks_for_something_else(
    tmp_path: Path, llama: Path
) -> None:
    load_model = pytest.importorskip("netgain.model.hugging_face").load_model

    def work(model: Model, account: Account) -> object:
        return model.train([TrainRequest(account=account, job=job("one"))])[0].charges

    def other(model: Model, account: Account) -> object:
        (result,) = model.train([TrainRequest(account=account, job=job("one"))])
        return model.score([Score(account=account, prompt="the", continuation=" step", adapter=result.get().adapter)])

    attempt(tmp_path, 1, work, load_model(llama, device="cpu"))
    assert not list((tmp_path / "kept").glob("*.safetensors"))
    with pytest.raises(FaultError, match="asked for something else than this one"):
        attempt(tmp_path, 2, other, load_model(llama, device="cpu"))
    attempt(tmp_path, 3, other, load_model(llama, device="cpu"))  # it begins afresh


def test_what_a_merged_model_answers_is_found_again(tmp_path: Path, llama: Path) -> None:
    load_model = pytest.importorskip("netgain.model.hugging_face").load_model

    def work(model: Model, account: Account) -> list[str]:
        (result,) = model.train([TrainRequest(account=account, job=job("one"))])
        adapter = result.get().adapter
        assert isinstance(result.get(), Trained)
        assert adapter is not None
        return ask(model.merged(account, adapter), account, "the")

    said = attempt(tmp_path, 1, work, load_model(llama, device="cpu"))
    assert attempt(tmp_path, 2, work, load_model(llama, device="cpu")) == said
    # The merge is done again; what was trained and said is not.
    assert [cost.flops for cost in costs(tmp_path, 1)][::2] == [0, 0]


def rows(folder: Path) -> list[Row]:
    return read_rows(folder / SAMPLES)


@pytest.mark.parametrize("after", [3, 40, 90, 150, 260])
def test_a_trial_cut_off_at_any_moment_ends_in_the_same_rows_and_pays_for_one_batch_more(
    tmp_path: Path, after: int
) -> None:
    asked = 0

    def dying(request: Generate) -> str:
        nonlocal asked
        asked += 1
        if asked > after:
            raise Killed
        return world.answer(request)

    def counting(request: Generate) -> str:
        nonlocal asked
        asked += 1
        return world.answer(request)

    world.run(tmp_path / "whole", load=lambda *_: scripted_model(counting, name="scripted"))
    needed, asked = asked, 0
    with pytest.raises(Killed):
        world.run(tmp_path / "cut", load=lambda *_: scripted_model(dying, name="scripted"))
    asked = after
    world.run(tmp_path / "cut", load=lambda *_: scripted_model(counting, name="scripted"))
    assert asked == needed
    assert (tmp_path / "cut" / SAMPLES).read_bytes() == (tmp_path / "whole" / SAMPLES).read_bytes()
    for task in tasks(world.spec()):
        whole, cut = (verify(tmp_path / name / "units" / task.name / "journal") for name in ("whole", "cut"))
        *_, last = (charge.opened.run for charge in cut.charges) if cut.charges else ("",)
        ended = [(charge.operation, charge.cost) for charge in cut.charges if charge.opened.run == last]
        assert ended == [(charge.operation, charge.cost) for charge in whole.charges]
        assert not (tmp_path / "cut" / "units" / task.name / "kept").exists()
