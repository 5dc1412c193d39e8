"""What happens while a model is metered, as people do it: one batch is one update, and nothing runs past the meter."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import netgain  # noqa: E402
from netgain.errors import InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402
from tests.profiled import EXACT  # noqa: E402

pytestmark = pytest.mark.contract
Step = Callable[[], None]


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("events").under(Purpose.ADAPT)


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").train()


def ids(columns: int = 9) -> Any:
    return torch.randint(4, 260, (2, columns), generator=torch.Generator().manual_seed(3))


def backward(model: Any) -> None:
    model(input_ids=ids(), labels=ids()).loss.backward()


def updates(book: Book) -> float:
    return sum(charge.cost.updates or 0 for charge in book.charges())


def flops(book: Book) -> float:
    return sum(charge.cost.flops or 0 for charge in book.charges())


def elementwise(model: Any) -> float:
    return float(OPTIMIZER_FLOPS_PER_WEIGHT * sum(weight.numel() for weight in model.parameters()))


def halves(model: Any) -> tuple[list[Any], list[Any]]:
    """The matrices of the layers, and everything else."""
    named = list(model.named_parameters())
    matrices = [weight for name, weight in named if weight.dim() == 2 and ".layers." in name]
    return matrices, [weight for name, weight in named if weight.dim() != 2 or ".layers." not in name]


# -- one batch, one update


def in_turn(model: Any, optimizers: Sequence[Any]) -> Step:
    def step() -> None:
        backward(model)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def two_optimizers(model: Any) -> Step:
    first, second = halves(model)
    return in_turn(model, [torch.optim.SGD(first), torch.optim.AdamW(second)])


def one_a_weight(model: Any) -> Step:
    return in_turn(model, [torch.optim.SGD([weight], fused=True) for weight in model.parameters()])


def in_the_backward_pass(model: Any) -> Step:
    optimizers = {weight: torch.optim.SGD([weight]) for weight in model.parameters()}

    def step(weight: Any) -> None:
        optimizers[weight].step()
        optimizers[weight].zero_grad()

    for weight in optimizers:
        weight.register_post_accumulate_grad_hook(step)
    return lambda: backward(model)


def accumulated(model: Any) -> Step:
    first, second = (torch.optim.AdamW(half, foreach=True) for half in halves(model))

    def step() -> None:
        backward(model)
        backward(model)
        first.step()
        second.step()

    return step


def with_an_answer_between(model: Any) -> Step:
    first, second = (torch.optim.AdamW(half) for half in halves(model))

    def step() -> None:
        backward(model)
        first.step()
        with torch.no_grad():
            model(input_ids=ids(3))
        second.step()

    return step


def by_closure(model: Any) -> Step:
    optimizer = torch.optim.SGD(model.parameters())

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(input_ids=ids(), labels=ids()).loss
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


WAYS: dict[str, tuple[Callable[[Any], Step], int]] = {  # and the updates of a step
    "two optimizers": (two_optimizers, 1),
    "one a weight": (one_a_weight, 1),
    "in the backward pass": (in_the_backward_pass, 1),
    "accumulated": (accumulated, 1),
    "with an answer between": (with_an_answer_between, 1),
    "by closure": (by_closure, 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_one_update_however_many_optimizers_step(
    way: str, llama: Path, book: Book, account: Account
) -> None:
    make, each = WAYS[way]
    model = load(llama)
    step = make(model)
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        step()
        step()
    assert updates(book) == 2 * each
    assert flops(book) == pytest.approx(counter.get_total_flops() + 2 * elementwise(model), rel=EXACT)
    assert all(charge.outcome == "completed" for charge in book.charges())


def test_what_muon_multiplies_is_charged_beside_what_it_does_element_by_element(
    llama: Path, book: Book, account: Account
) -> None:
    model = load(llama)
    matrices, rest = halves(model)
    step = in_turn(model, [torch.optim.Muon(matrices), torch.optim.AdamW(rest)])
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        step()
        step()
    assert updates(book) == 2
    assert flops(book) == pytest.approx(counter.get_total_flops() + 2 * elementwise(model), rel=EXACT)


def test_optimizers_that_take_turns_with_a_batch_each_are_an_update_each(
    llama: Path, book: Book, account: Account
) -> None:
    model = load(llama)
    first, second = (torch.optim.AdamW(half) for half in halves(model))
    with netgain.meter(model, account):
        for optimizer in (first, second, first, second):
            backward(model)
            optimizer.step()
            model.zero_grad()
    assert updates(book) == 4
    assert sum(charge.cost.tokens_padded or 0 for charge in book.charges()) == 4 * 18


def test_optimizers_that_are_made_and_dropped_are_never_taken_for_one_another(
    llama: Path, book: Book, account: Account
) -> None:
    mine, other = load(llama), load(llama)
    with netgain.meter(mine, account):
        for _ in range(6):
            for model in (mine, other):
                before = updates(book)
                optimizer = torch.optim.SGD(model.parameters())
                backward(model)
                optimizer.step()
                del optimizer
                gc.collect(0)  # the next one may get its address
                assert updates(book) - before == (model is mine)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_gradient_scaler_skips_is_no_update(
    fused: bool, llama: Path, book: Book, account: Account
) -> None:
    model = load(llama)
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1e38)
    with netgain.meter(model, account):
        scaler.scale(model(input_ids=ids(), labels=ids()).loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert (len(book.charges()), updates(book)) == (1, 0)


class Mine(torch.optim.SGD):  # type: ignore[misc]
    """A step of one's own."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


class Around(torch.optim.Optimizer):  # type: ignore[misc]
    """An optimizer that leaves the stepping to another one."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner.param_groups[0]["params"], {})
        self._inner = inner

    def step(self, closure: Any = None) -> None:
        self._inner.step()


def test_an_optimizer_without_a_price_is_refused_before_it_steps_and_takes_one_from_its_user(
    llama: Path, book: Book, account: Account
) -> None:
    model = load(llama)
    before = [weight.detach().clone() for weight in model.parameters()]
    for optimizer in (Mine(model.parameters()), torch.optim.LBFGS(model.parameters())):
        with netgain.meter(model, account):
            backward(model)
            with pytest.raises(InputError, match=r"has no price.*optimizer_flops=\{"):
                optimizer.step(lambda: 0.0)
    assert all(torch.equal(new, old) for new, old in zip(model.parameters(), before, strict=True))
    assert updates(book) == 0
    spent = flops(book)
    with netgain.meter(model, account, optimizer_flops={Mine: 40}):
        backward(model)
        Mine(model.parameters()).step()
    assert updates(book) == 1
    assert flops(book) - spent == pytest.approx(spent / 2 + elementwise(model) / 12 * 40, rel=EXACT)


def test_an_optimizer_inside_another_one_is_one_update(llama: Path, book: Book, account: Account) -> None:
    model = load(llama)
    step = in_turn(model, [Around(torch.optim.SGD(model.parameters()))])
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account, optimizer_flops={Around: 0}):
        step()
        step()
    assert updates(book) == 2
    assert flops(book) == pytest.approx(counter.get_total_flops() + 2 * elementwise(model), rel=EXACT)


def test_an_update_without_passes_is_an_error(llama: Path, book: Book, account: Account) -> None:
    model = load(llama)
    optimizer = torch.optim.AdamW(model.parameters())
    backward(model)
    with pytest.raises(InputError, match="passes were not seen"), netgain.meter(model, account):
        optimizer.step()
    assert updates(book) == 0
