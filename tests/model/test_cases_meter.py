"""Cases from the field that the meter once priced wrong, without a word: now right, or refused in words."""

from types import MethodType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
peft = pytest.importorskip("peft", reason="the adapters are PEFT's")

import netgain  # noqa: E402
from netgain.errors import InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402
from tests.model.setups import P, build, lora, names_of, profiler  # noqa: E402
from tests.profiled import EXACT  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
FIXED = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("case").under(Purpose.ADAPT)


def ids(rows: int = 2, columns: int = 17) -> Any:
    return torch.randint(4, 190, (rows, columns), generator=torch.Generator().manual_seed(1))


def charged(book: Book) -> float:
    return sum(charge.cost.flops or 0.0 for charge in book.charges())


@pytest.mark.parametrize("cache", [None, "static"])
def test_every_key_that_an_answer_attends_to_is_charged(cache: str | None, book: Book, account: Account) -> None:
    model = build("llama").eval()
    more = {} if cache is None else {"cache_implementation": cache}
    with profiler() as seen, netgain.meter(model, account, check=False):
        model.generate(ids(), max_new_tokens=30, **FIXED, **more)
    assert charged(book) == pytest.approx(seen.get_total_flops(), rel=EXACT)
    assert charged(book) <= (book.charges()[0].quote.flops or 0)


@pytest.mark.parametrize(("rank", "length"), [(4, 17), (32, 60)])
def test_what_dora_forms_in_every_pass_is_charged(rank: int, length: int, book: Book, account: Account) -> None:
    model = lora("all", use_dora=True, r=rank)(build("llama", hidden_size=96))
    with profiler() as seen, netgain.meter(model, account, check=False):
        model(input_ids=ids(1, length), labels=ids(1, length)).loss.backward()
    assert charged(book) == pytest.approx(seen.get_total_flops(), rel=EXACT)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "gemma3_text", "olmo2", "qwen3", "phi3"])
def test_a_layer_is_computed_again_as_far_as_its_last_saved_tensor(kind: str, book: Book, account: Account) -> None:
    more = {"head_dim": 12} if kind in ("gemma2", "gemma3_text", "qwen3") else {}
    model = build(kind, **more)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    with profiler() as seen, netgain.meter(model, account, check=False):
        model(input_ids=ids(), labels=ids()).loss.backward()
    assert charged(book) == pytest.approx(seen.get_total_flops(), rel=EXACT)


def test_a_kind_of_adapter_that_was_never_held_against_the_profiler_is_refused(book: Book, account: Account) -> None:
    model = build("llama")
    config = peft.VBLoRAConfig(target_modules=names_of(model, "attention"), r=4, num_vectors=8, vector_length=12, **P)
    model = peft.get_peft_model(model, config)
    with pytest.raises(InputError, match=r"VBLoRA.* without a price; docs/pricing.md"), netgain.meter(model, account):
        model(input_ids=ids())
    assert not book.charges()


class Inverting(torch.nn.Module):
    """An adapter of one's own, with an operation that no counter counts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(48))

    def forward(self, x: Any) -> Any:
        return x @ torch.linalg.inv(self.weight)


def test_an_operation_that_nobody_can_count_is_refused_before_it_is_charged(book: Book, account: Account) -> None:
    model = build("llama")
    model.model.layers[1].mlp = torch.nn.Sequential(model.model.layers[1].mlp, Inverting())
    with pytest.raises(InputError, match=r"linalg_inv\w*, an operation without a price"), netgain.meter(model, account):
        model(input_ids=ids(), labels=ids())
    assert not book.charges()


class Doubling(torch.nn.Module):
    """An adapter of one's own, of products alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(48))

    def forward(self, x: Any) -> Any:
        return x @ self.weight @ self.weight


def test_a_module_of_ones_own_is_charged_for_its_products(book: Book, account: Account) -> None:
    model = build("llama")
    model.model.layers[1].mlp = torch.nn.Sequential(model.model.layers[1].mlp, Doubling())
    with profiler() as seen, netgain.meter(model, account, check=False):
        model(input_ids=ids(), labels=ids()).loss.backward()
    assert charged(book) == pytest.approx(seen.get_total_flops(), rel=EXACT)


def test_gradients_of_weights_that_the_meter_does_not_see_are_refused(book: Book, account: Account) -> None:
    tuned = peft.get_peft_model(build("llama"), peft.PromptTuningConfig(num_virtual_tokens=4, **P))
    with pytest.raises(InputError, match="outermost model"), netgain.meter(tuned.get_base_model(), account):
        tuned(input_ids=ids(), labels=ids())
    assert not book.charges()


def test_weights_around_the_language_model_are_refused(account: Account) -> None:
    class Valued(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.value = build("llama"), torch.nn.Linear(48, 1)

    with pytest.raises(InputError, match=r"the weight value.weight around the language model"):
        netgain.meter(Valued(), account)


def test_the_meter_leaves_generators_and_weights_alone(account: Account) -> None:
    model = lora(use_dora=True, lora_dropout=0.5)(build("llama"))
    before = torch.random.get_rng_state()
    weights = [weight.detach().clone() for weight in model.parameters()]
    with netgain.meter(model, account, check=False), torch.no_grad():
        model.eval()(input_ids=ids())
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))


def wrapped(forward: Any) -> Any:
    """A patch around a forward pass, as TRL and accelerate put it on a model: it closes over the bound method."""
    return MethodType(lambda self, *arguments, **named: forward(*arguments, **named), forward.__self__)


class Converting:
    """The same as an object, as accelerate does for mixed precision."""

    def __init__(self, forward: Any) -> None:
        self.model_forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.model_forward(*arguments, **named)


@pytest.mark.parametrize("patch", [wrapped, Converting, lambda forward: wrapped(Converting(forward).model_forward)])
def test_a_patched_forward_pass_is_profiled_on_the_copy(patch: Any, book: Book, account: Account) -> None:
    """It once led from the copy back to the model, whose meter made another copy, and so on without an end."""
    model = build("llama")
    model.forward = patch(model.forward)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    with profiler() as seen, netgain.meter(model, account, check=False):
        model(input_ids=ids(), labels=ids()).loss.backward()
    assert charged(book) == pytest.approx(seen.get_total_flops(), rel=EXACT)


def test_a_patch_that_no_copy_can_follow_is_refused_before_it_is_charged(book: Book, account: Account) -> None:
    model = build("llama")
    hidden = [model.forward]  # in a list, where nobody looks for it

    def around(*arguments: Any, **named: Any) -> Any:
        return hidden[0](*arguments, **named)

    model.forward = around
    model.gradient_checkpointing_enable({"use_reentrant": False})
    with pytest.raises(InputError, match="has a forward pass of its own"), netgain.meter(model, account, check=False):
        model(input_ids=ids(), labels=ids())
    assert not book.charges()
