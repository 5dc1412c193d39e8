"""Where a meter's sight ends: what it cannot see is refused in one line, and nothing is booked for it."""

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")

import netgain  # noqa: E402
from netgain.errors import InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.model.boundaries import ONE_RANK  # noqa: E402
from netgain.records.chain import read  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402
from netgain.records.events import Noted  # noqa: E402

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]  # the compiler's own, while it traces
Run = Callable[[], object]
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
IDS = torch.arange(4, 22).reshape(2, 9)


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("boundaries").under(Purpose.ADAPT)


@pytest.fixture
def model() -> Any:
    return small()


def small() -> Any:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("llama", vocab_size=50, num_key_value_heads=1, **SMALL)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").train()


def meter(model: Any, account: Account, **settings: Any) -> Any:
    return netgain.meter(model, account, check=False, **settings)


def backward(model: Any) -> None:
    model(input_ids=IDS, labels=IDS).loss.backward()


def notes(book: Book) -> list[Any]:
    book.flush()
    events = [record.event for record in read(book.journal.path).records]
    return [event.data for event in events if isinstance(event, Noted) and event.text == ONE_RANK]


def is_one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and "compiled" in str(error) and "torch.compile" in str(error)


# -- compiled code


def wrapped(model: Any) -> Any:
    return torch.compile(model, backend="eager")


def in_place(model: Any) -> Any:
    model.compile(backend="eager")
    return model


def one_layer(model: Any) -> Any:
    model.model.layers[0].compile(backend="eager")
    return model


def part(model: Any) -> Any:
    model.model = torch.compile(model.model, backend="eager")
    return model


@pytest.mark.parametrize("compiled", [wrapped, in_place, one_layer, part])
def test_a_compiled_model_is_refused(compiled: Any, model: Any, book: Book, account: Account) -> None:
    fast = compiled(model)
    with pytest.raises(InputError, match="the model is compiled") as caught:
        meter(fast, account).__enter__()
    assert is_one_line(caught.value)
    assert not model._forward_hooks
    assert not book.charges()


def step_of(model: Any, optimizer: Any) -> Run:
    def step() -> None:
        backward(model)
        optimizer.step()
        optimizer.zero_grad()

    return step


def whole_step(model: Any, optimizer: Any) -> Run:
    compiled: Run = torch.compile(step_of(model, optimizer), backend="eager")
    return compiled


def pass_in_a_step(model: Any, optimizer: Any) -> Run:
    loss = torch.compile(lambda: model(input_ids=IDS, labels=IDS).loss, backend="eager")

    def step() -> None:
        loss().backward()
        optimizer.step()

    return step


def pass_alone(model: Any, optimizer: Any) -> Run:
    without: Run = torch.no_grad()(torch.compile(lambda: model(input_ids=IDS).logits, backend="eager"))
    return without


def decoder_alone(model: Any, optimizer: Any) -> Run:
    without: Run = torch.no_grad()(torch.compile(lambda: model.model(input_ids=IDS)[0], backend="eager"))
    return without


def one_graph(model: Any, optimizer: Any) -> Run:
    whole = torch.compile(lambda: model(input_ids=IDS, use_cache=False).logits, backend="eager", fullgraph=True)
    compiled: Run = whole
    return compiled


@pytest.mark.parametrize(
    ("kind", "warm"),
    [
        *((kind, False) for kind in (whole_step, pass_in_a_step, pass_alone, decoder_alone, one_graph)),
        (pass_alone, True),  # the compiled code that is there is dropped when the meter opens, whatever it holds
    ],
)
def test_compiled_code_is_refused_before_a_pass_whenever_it_was_compiled(
    kind: Any, warm: bool, model: Any, book: Book, account: Account
) -> None:
    run = kind(model, torch.optim.AdamW(model.parameters()))
    if warm:
        run()
    with pytest.raises(InputError, match="a compiled step") as caught, meter(model, account):
        run()
    assert is_one_line(caught.value)
    assert not book.charges()


def test_a_compiled_optimizer_step_is_refused(model: Any, book: Book, account: Account) -> None:
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    step = step_of(model, optimizer)
    with pytest.raises(InputError, match="a compiled step"), meter(model, account):
        step()
    (charge,) = book.charges()
    assert (charge.cost.updates, bool(charge.error)) == (0, True)


def test_what_was_compiled_runs_as_ever_once_the_meter_is_off(model: Any, account: Account) -> None:
    run = torch.compile(lambda: model.model.norm(torch.ones(2, 16)), backend="eager")
    before = run()
    with meter(model, account), torch.no_grad():
        model(input_ids=IDS)
    assert torch.equal(run(), before)


def test_an_error_of_the_compiler_about_other_code_stays_itself(model: Any, account: Account) -> None:
    def other(x: Any) -> Any:
        torch._dynamo.graph_break()
        return x

    with pytest.raises(torch._dynamo.exc.Unsupported), meter(model, account):
        torch.compile(other, backend="eager", fullgraph=True)(IDS)


# -- several processes


def test_one_rank_of_several_is_refused_unless_it_is_asked_for_alone(
    model: Any, book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InputError, match=r"rank 1 of 2: .*a book of its own.*this_rank_only=True") as caught:
        meter(model, account).__enter__()
    assert "\n" not in str(caught.value)
    with meter(model, account, this_rank_only=True):
        backward(model)
    assert notes(book) == [{"rank": 1, "world_size": 2}]
    assert [charge.cost.tokens_padded for charge in book.charges()] == [IDS.numel()]


def test_the_callback_refuses_a_rank_as_the_meter_does(
    model: Any, book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    state: Any = (None, transformers.TrainerState(), transformers.TrainerControl())
    with pytest.raises(InputError, match="rank 0 of 4"):
        netgain.MeterCallback(account, check=False).on_train_begin(*state, model=model)
    alone = netgain.MeterCallback(account, check=False, this_rank_only=True)
    alone.on_train_begin(*state, model=model)
    alone.on_train_end(*state)
    assert notes(book) == [{"rank": 0, "world_size": 4}]


def test_ranks_that_come_while_the_block_runs_are_noticed_before_the_next_pass(
    model: Any, book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        backward(model)

    with pytest.raises(InputError, match="rank 0 of 2"), meter(model, account):
        start()
    assert not book.charges()


@pytest.mark.parametrize("world", ["1", "not a number", ""])
def test_a_world_of_one_is_metered_without_a_word(
    world: str, model: Any, book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", world)
    with meter(model, account):
        backward(model)
    assert (len(book.charges()), notes(book)) == (1, [])


class FullyShardedDataParallel(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Has the name of the wrapper, which would need several devices."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module


class DeepSpeedEngine(FullyShardedDataParallel):
    """Another one."""


def marked(model: Any) -> Any:
    next(model.parameters()).ds_id = 0
    return model


@pytest.mark.parametrize("split", [FullyShardedDataParallel, DeepSpeedEngine, marked])
@pytest.mark.parametrize("alone", [False, True])
def test_a_share_of_a_model_is_refused_in_any_case(split: Any, alone: bool, model: Any, account: Account) -> None:
    with pytest.raises(InputError, match="the model is split"):
        meter(split(model), account, this_rank_only=alone).__enter__()


def rank(number: int, folder: Path) -> None:
    """One of two processes that train one model on a batch each; leaves what it saw in ``folder``."""
    torch.set_num_threads(1)
    try:
        torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=number, world_size=2)
    except RuntimeError as error:
        (folder / f"{number}.json").write_text(json.dumps({"gloo": str(error)}))
        return
    model = torch.nn.parallel.DistributedDataParallel(small())
    with Book.open(folder / str(number)) as book:
        account = book.account("rank").under(Purpose.ADAPT)
        try:
            meter(model, account).__enter__()
        except InputError as error:
            refused = str(error)
        optimizer = torch.optim.AdamW(model.parameters())
        with meter(model, account, this_rank_only=True):
            step_of(model, optimizer)()
        (charge,) = book.charges()
        seen = {"refused": refused, "notes": notes(book), "updates": charge.cost.updates}
        seen["tokens"] = charge.cost.tokens_padded
    (folder / f"{number}.json").write_text(json.dumps(seen))
    torch.distributed.destroy_process_group()


def test_two_ranks_keep_a_book_each_that_says_which_it_is(tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo, so there are no two processes to meter")
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=rank, args=(number, tmp_path), daemon=True) for number in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        process.kill()
    found = [json.loads(path.read_text()) for path in (tmp_path / "0.json", tmp_path / "1.json") if path.exists()]
    if any("gloo" in one for one in found):
        pytest.skip(f"gloo cannot start here: {found}")
    assert [one["refused"].startswith(f"rank {i} of 2") for i, one in enumerate(found)] == [True, True]
    assert [one["notes"] for one in found] == [[{"rank": i, "world_size": 2}] for i in range(2)]
    assert [(one["tokens"], one["updates"]) for one in found] == [(IDS.numel(), 1)] * 2


# -- a second meter, a copy


def test_a_second_meter_on_a_metered_model_is_refused(model: Any, book: Book, account: Account) -> None:
    with meter(model, account):
        with pytest.raises(InputError, match="under a meter already"):
            meter(model, account).__enter__()
        backward(model)
    with meter(model, account):
        backward(model)
    assert len(book.charges()) == 2


def test_a_copy_of_a_metered_model_is_refused(model: Any, account: Account) -> None:
    with meter(model, account):
        for duplicate in (copy.deepcopy, pickle.dumps):
            with pytest.raises(InputError, match="would compute off the books"):
                duplicate(model)
    assert copy.deepcopy(model)._forward_pre_hooks == {}
