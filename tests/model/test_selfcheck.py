"""Before anything is charged, prices and meter are held against the profiler; what is off by 1 % charges nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
peft = pytest.importorskip("peft", reason="the adapters are PEFT's")

import netgain  # noqa: E402
from netgain.errors import InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.shape import ModelShape  # noqa: E402
from netgain.model import Generate, load_model, model_prices, selfcheck  # noqa: E402
from netgain.records.chain import read  # noqa: E402
from netgain.records.cost import Cost, Purpose  # noqa: E402
from netgain.records.events import Noted  # noqa: E402

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")]
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 90}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2}
KINDS: dict[str, dict[str, Any]] = {
    "llama": SMALL | {"num_key_value_heads": 2},
    "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": 3, "vocab_size": 90, "n_positions": 128},
    "qwen3_moe": SMALL | EXPERTS | {"moe_intermediate_size": 24, "head_dim": 16, "mlp_only_layers": [1]},
    "gemma3_text": SMALL | {"head_dim": 16, "num_key_value_heads": 1},
}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """A check is remembered for as long as a process lives; here each test is its own."""
    selfcheck._compared.cache_clear()
    yield
    selfcheck._compared.cache_clear()


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("loop", arm="a", seed=0, limit=Cost(flops=1e13)).under(Purpose.LEARN)


def build(kind: str) -> Any:
    config = transformers.AutoConfig.for_model(kind, **KINDS[kind])
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("kind", KINDS)
def test_engine_and_meter_agree_with_the_profiler_on_a_toy_of_the_model(kind: str) -> None:
    model = build(kind)
    shape = ModelShape.from_config(model.config.to_dict())
    before = torch.random.get_rng_state()
    checks = [selfcheck.check_engine(model, shape)]
    checks += [selfcheck.check_meter(model, shape, _unchecked, lora=lora) for lora in (True, False)]
    assert torch.equal(before, torch.random.get_rng_state())
    for check in checks:
        assert len(check.comparisons) == 3
        assert not check.unchecked
        assert max(abs(one.difference) for one in check.comparisons) < 1e-3
        assert set(check.statement()["versions"]) == {"torch", "transformers", "peft"}
        assert "within 0.0" in str(check)


def _unchecked(model: Any, account: Account) -> Any:
    return netgain.meter(model, account, check=False)


def test_a_cache_that_the_meter_no_longer_sees_charges_nothing(
    book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what happened when transformers renamed the keyword that the meter read
    monkeypatch.setattr("netgain.model.meter.past_of", lambda decoder, arguments, named: 0)
    model = build("llama")
    with pytest.raises(InputError) as refused, netgain.meter(model, account):
        model.generate(torch.ones(1, 5, dtype=torch.long), max_new_tokens=3)
    assert re.search(
        r"transformers \d+\.\d+.*: generate with a small llama is priced at [\d,]+ FLOPs", str(refused.value)
    )
    assert re.search(r"profiler counts [\d,]+: -\d+\.\d% where 1 % is allowed.*netgain doctor", str(refused.value))
    assert not book.charges()


def test_a_price_that_is_off_charges_nothing(
    llama: Path, book: Book, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = model_prices.forward_cost

    def wrong(*given: Any) -> Cost:
        cost = true(*given)
        return Cost(flops=1.02 * (cost.flops or 0.0))

    monkeypatch.setattr(model_prices, "forward_cost", wrong)
    model = load_model(llama, device="cpu")
    with pytest.raises(InputError, match=r"scoring with a small llama .* \+2\.0% where 1 % is allowed"):
        model.generate([Generate(account=account, prompt="a", max_new_tokens=2)])
    assert not book.charges()


def test_what_was_checked_stands_in_the_journal_and_so_does_what_was_not(
    llama: Path, book: Book, account: Account, tmp_path: Path
) -> None:
    load_model(llama, device="cpu").generate([Generate(account=account, prompt="a", max_new_tokens=2)])
    model = build("llama")
    with torch.no_grad(), netgain.meter(model, account):
        model(torch.ones(1, 5, dtype=torch.long))
    with torch.no_grad(), netgain.meter(model, account, check=False):
        model(torch.ones(1, 5, dtype=torch.long))
    given = ModelShape.from_config(model.config.to_dict(), "mine")
    with torch.no_grad(), netgain.meter(model, account, shape=ModelShape(**_fields(given) | {"hidden": 65})):
        model(torch.ones(1, 5, dtype=torch.long))
    book.close()
    notes = [record.event for record in read(tmp_path / "journal").records if isinstance(record.event, Noted)]
    assert set(notes[0].data["check"]["flops"]) == {"scoring", "answering", "training a LoRA"}
    checks = [note.data for note in notes if note.text == "the meter's self-check"]
    assert set(checks[0]["flops"]) == {"a forward pass", "generate", "training"}
    assert checks[1] == {"skipped": "check=False"}
    assert "its shape was given" in checks[2]["unchecked"]


def _fields(shape: ModelShape) -> dict[str, Any]:
    return {name: getattr(shape, name) for name in ModelShape.__slots__}
