"""Models made from a model: a merged adapter answers as it did beside the weights; full training is the Trainer's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from netgain.errors import BudgetExceeded, FaultError, InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT  # noqa: E402
from netgain.metering.shape import ModelShape  # noqa: E402
from netgain.model import Generate, InnerLoopJob, Model, Score, Train, TrainFull  # noqa: E402
from netgain.model.hugging_face import load_model  # noqa: E402
from netgain.records.cost import (  # noqa: E402
    Cost,
    Currency,
    Purpose,
)
from netgain.testing import ScriptedAdapter, scripted_model  # noqa: E402
from tests.profiled import ROTARY_IS_A_PRODUCT  # noqa: E402

from ..engine.test_max_steps import hugging_face  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),
]
TARGETS = {"llama": ("q_proj", "v_proj", "down_proj"), "gpt2": ("c_attn", "c_proj")}
PROMPTS = ("The river", "A market by", "x")


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm", arm="arm", seed=0).under(Purpose.LEARN)


@pytest.fixture(params=["llama-planned", "llama-hooks", "gpt2-hooks"])
def served(request: pytest.FixtureRequest) -> tuple[str, Path, Model]:
    family, engine = request.param.split("-")
    folder = request.getfixturevalue(family)
    return family, folder, load_model(folder, engine=engine, attention="eager", device="cpu")


def tokens(*texts: str) -> list[list[int]]:
    return [[1, *(byte + 4 for byte in text.encode())] for text in texts]


def adapter_of(model: Model, family: str, account: Account, *texts: str) -> Any:
    wanted = {"epochs": 4, "learning_rate": 1e-2, "seed": 7, "rank": 4, "alpha": 8.0, "target_modules": TARGETS[family]}
    job = InnerLoopJob(key="a", sequences=tokens(*texts), **wanted)  # type: ignore[arg-type]
    return model.train([Train(account=account, job=job)])[0].get().adapter


def texts_of(model: Model, account: Account, adapter: Any = None) -> list[str]:
    asked = [Generate(account=account, prompt=prompt, adapter=adapter, max_new_tokens=16) for prompt in PROMPTS]
    return [result.get().text for result in model.generate(asked)]


def scores_of(model: Model, account: Account, adapter: Any = None) -> list[float]:
    asked = [Score(account=account, prompt=prompt, continuation=" of it", adapter=adapter) for prompt in PROMPTS]
    return [result.get().log_likelihood for result in model.score(asked)]


def weights_of(model: Model) -> Any:
    return model._Model__backend._loaded.model  # type: ignore[attr-defined]


def full(account: Account, **settings: Any) -> TrainFull:
    wanted = {"sequences": tokens("one river", "two", "three boats on it"), "epochs": 3, "learning_rate": 1e-3}
    return TrainFull(account=account, job=InnerLoopJob(**{"key": "f", "seed": 7} | wanted | settings))


def test_a_merged_adapter_answers_as_it_did_beside_the_weights(
    served: tuple[str, Path, Model], account: Account
) -> None:
    family, folder, model = served
    adapter = adapter_of(model, family, account, "one river", "two")
    before = [weight.clone() for weight in weights_of(model).parameters()]
    plain = texts_of(model, account)
    merged = model.merged(account, adapter)
    assert texts_of(merged, account) == texts_of(model, account, adapter) != plain
    assert scores_of(merged, account) == pytest.approx(scores_of(model, account, adapter), abs=1e-4)
    model.save_adapter(adapter, folder.parent / "merged")
    peft = pytest.importorskip("peft", reason="the merged weights are compared with PEFT's")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    theirs = peft.PeftModel.from_pretrained(base, folder.parent / "merged").merge_and_unload().eval()
    ids = torch.tensor(tokens("The river is wide"))
    with torch.no_grad():
        assert float((weights_of(merged)(ids).logits - theirs(ids).logits).abs().max()) < 1e-4
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(model).parameters(), strict=True))
    assert texts_of(model, account) == plain


def test_a_merged_model_takes_further_adapters_and_merges(served: tuple[str, Path, Model], account: Account) -> None:
    family, _, model = served
    once = model.merged(account, adapter_of(model, family, account, "one river", "two"))
    second = adapter_of(once, family, account, "three boats")
    twice = once.merged(account, second)
    assert texts_of(twice, account) == texts_of(once, account, second) != texts_of(once, account)
    assert len({model.name, once.name, twice.name}) == len({model.digest, once.digest, twice.digest}) == 3
    assert all(one.name.startswith(f"{model.name}+") for one in (once, twice))
    assert once.shape == model.shape


def test_merging_shares_what_has_no_adapter(llama: Path, account: Account) -> None:
    model = load_model(llama, device="cpu")
    merged = model.merged(account, adapter_of(model, "llama", account, "one river"))
    mine, theirs = (dict(weights_of(one).named_parameters()) for one in (merged, model))
    apart = {name.split(".")[-2] for name in mine if mine[name].data_ptr() != theirs[name].data_ptr()}
    assert apart == set(TARGETS["llama"])


def test_a_merge_is_charged_the_products_that_it_forms(served: tuple[str, Path, Model], account: Account) -> None:
    family, _, model = served
    adapter = adapter_of(model, family, account, "one river")
    with FlopCounterMode(display=False) as counter:
        model.merged(account, adapter)
    charge = account.book.charges()[-1]
    assert (charge.operation, charge.outcome) == ("merge", "completed")
    if family != "llama" or not ROTARY_IS_A_PRODUCT:  # a plan asks for the angles of all positions
        assert charge.cost.flops == counter.get_total_flops()
    assert charge.cost.flops == charge.quote.flops
    assert (charge.cost.tokens_padded, charge.cost.updates) == (0, 0)
    assert (charge.cost.seconds or 0) > 0


def test_no_budget_no_merge_and_no_adapter_of_another_model(served: tuple[str, Path, Model], account: Account) -> None:
    family, _, model = served
    adapter = adapter_of(model, family, account, "one river")
    poor = account.book.account("poor", limit=Cost(flops=10)).under(Purpose.LEARN)
    with pytest.raises(BudgetExceeded):
        model.merged(poor, adapter)
    with pytest.raises(InputError):
        model.merged(account, "mine")


def test_an_adapter_of_other_dimensions_is_not_merged(
    llama: Path, tmp_path: Path, save: Callable[..., Path], account: Account
) -> None:
    other = load_model(save(tmp_path / "wide", hidden_size=64), device="cpu")
    with pytest.raises(InputError, match="no place"):
        load_model(llama, device="cpu").merged(account, adapter_of(other, "llama", account, "one river"))


@pytest.mark.parametrize("max_steps", [None, 5])
def test_full_training_through_the_door_is_hugging_faces_trainer(
    served: tuple[str, Path, Model], account: Account, tmp_path: Path, max_steps: int | None
) -> None:
    _, folder, model = served
    before = [weight.clone() for weight in weights_of(model).parameters()]
    request = full(account, max_steps=max_steps)
    (result,) = model.train_full([request])
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    assert result.get().losses == pytest.approx(hugging_face(reference, request.job, tmp_path / "out"), abs=1e-4)
    tuned = result.get().model
    assert tuned is not None
    for mine, theirs in zip(weights_of(tuned).parameters(), reference.parameters(), strict=True):
        assert float((mine - theirs).detach().abs().max()) < 2e-3
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(model).parameters(), strict=True))
    assert texts_of(tuned, account) != texts_of(model, account)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_full_training_is_charged_its_quote_which_is_what_the_profiler_saw(
    served: tuple[str, Path, Model], account: Account, batch_size: int
) -> None:
    _, folder, model = served
    request = full(account, batch_size=batch_size, max_steps=4)
    (quote,) = model.quote([request])
    with FlopCounterMode(display=False) as counter:
        (result,) = model.train_full([request])
    updates = 4 * OPTIMIZER_FLOPS_PER_WEIGHT * ModelShape.from_config(folder).stored_weights
    assert (result.cost.flops or 0) - updates == pytest.approx(counter.get_total_flops(), rel=0.01)
    for currency in (Currency.FLOPS, Currency.UPDATES, Currency.TOKENS_PADDED, Currency.TOKENS_TRAINING):
        assert result.cost.amount(currency) == quote.amount(currency)
    assert model.steps_within(full(account, batch_size=batch_size), {Currency.FLOPS: quote.flops or 0}) == 4


def test_full_training_that_fails_is_data_and_its_work_is_paid(
    served: tuple[str, Path, Model], account: Account
) -> None:
    _, _, model = served
    asked = [full(account, sequences=[]), full(account, learning_rate=1e30, max_grad_norm=1e30), full(account)]
    empty, wild, sound = model.train_full(asked)
    assert empty.failure is not None
    assert wild.failure is not None
    assert (empty.failure.kind, empty.cost.flops) == ("empty", 0)
    assert wild.failure.kind == "not_finite"
    assert (wild.cost.flops or 0) > 0
    assert wild.product is not None
    assert wild.product.model is None
    assert len(wild.product.losses) >= 1
    assert sound.get().model is not None
    assert [charge.outcome for charge in account.book.charges()] == ["failed", "failed", "completed"]


def test_a_copy_that_does_not_fit_into_memory_is_a_failure(
    llama: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise torch.OutOfMemoryError("simulated")

    model = load_model(llama, device="cpu")
    adapter = adapter_of(model, "llama", account, "one river")
    monkeypatch.setattr("netgain.model.loading.deepcopy", short)
    (result,) = model.train_full([full(account)])
    assert result.failure is not None
    assert result.failure.kind == "out_of_memory"
    with pytest.raises(FaultError, match="does not fit"):
        model.merged(account, adapter)


def test_a_digest_is_of_the_content_and_of_nothing_else(llama: Path, tmp_path: Path, save: Callable[..., Path]) -> None:
    model = load_model(llama, device="cpu")
    same, other = save(tmp_path / "copy"), save(tmp_path / "other", rms_norm_eps=1e-4)
    (same / "notes.json").write_text("{}")
    assert model.digest.startswith("sha256:")
    assert load_model(same, device="cpu", engine="hooks").digest == model.digest
    assert load_model(other, device="cpu").digest != model.digest


def test_a_scripted_model_that_is_merged_or_trained_sees_its_adapter_in_every_request(account: Account) -> None:
    def script(request: Generate) -> str:
        adapter = request.adapter
        return adapter.key if isinstance(adapter, ScriptedAdapter) else "none"

    model = scripted_model(script)
    job = InnerLoopJob(key="a", sequences=[[1]], epochs=1, learning_rate=1.0, seed=0)
    adapter = model.train([Train(account=account, job=job)])[0].get().adapter
    merged = model.merged(account, adapter)
    tuned = merged.train_full([full(account)])[0].get()
    assert tuned.model is not None
    assert tuned.losses == (0.5,) * 9
    said = [one.generate([Generate(account=account, prompt="x")])[0].get().text for one in (model, merged, tuned.model)]
    assert said == ["none", "a", "a+f"]
    assert {charge.cost.flops for charge in account.book.charges()} == {1.0}
