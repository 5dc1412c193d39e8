"""Real models through the one door: loading is safe, answers are Hugging Face's own, every bill is what was run."""

import functools
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
peft = pytest.importorskip("peft", reason="the adapters are compared with PEFT's")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from netgain.errors import BudgetExceeded, InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT, Lora  # noqa: E402
from netgain.metering.shape import ModelShape  # noqa: E402
from netgain.metering.verification import verify  # noqa: E402
from netgain.model import Generate, InnerLoopJob, Message, Model, Score, Train  # noqa: E402
from netgain.model import hugging_face as module  # noqa: E402
from netgain.model.hugging_face import load_model  # noqa: E402
from netgain.records.cost import (  # noqa: E402
    Cost,
    Currency,
    Purpose,
)
from tests.profiled import EXACT  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
]
PROMPTS = ("The river", "A market by", "The river is wide", "x")
TARGETS = {"llama": ("q_proj", "v_proj"), "gpt2": ("c_attn",)}


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm", arm="arm", seed=0, limit=Cost(flops=1e12)).under(Purpose.ADAPT)


@pytest.fixture(params=["llama-planned", "llama-hooks", "gpt2-hooks"])
def served(request: pytest.FixtureRequest) -> tuple[str, Path, Model]:
    family, engine = request.param.split("-")
    folder = request.getfixturevalue(family)
    return family, folder, load_model(folder, engine=engine, attention="eager", device="cpu")


def job(family: str, key: str, *texts: str, **settings: Any) -> InnerLoopJob:
    sequences = [[1, *(byte + 4 for byte in text.encode())] for text in texts]
    wanted = {"epochs": 2, "learning_rate": 1e-2, "seed": 7, "rank": 4, "alpha": 8.0} | settings
    return InnerLoopJob(key=key, sequences=sequences, target_modules=TARGETS[family], **wanted)


def three(account: Account, family: str) -> list[Train]:
    jobs = [
        job(family, "a", "one river", "two"),
        job(family, "b", "three boats on it", seed=8),
        job(family, "c", "x y z", "four", "five markets", seed=9),
    ]
    return [Train(account=account.child(one.key), job=one) for one in jobs]


def reference(folder: Path, adapter: Path | None = None) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    return model if adapter is None else peft.PeftModel.from_pretrained(model, adapter).eval()


def greedy(model: Any, tokens: tuple[int, ...], count: int) -> list[int]:
    ids = torch.tensor([tokens])
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, pad_token_id=0
        )
    return [int(token) for token in out[0, ids.shape[1] :] if int(token) != 2]


def test_greedy_answers_are_those_of_hugging_face(served: tuple[str, Path, Model], account: Account) -> None:
    _, folder, model = served
    asked = [Generate(account=account, prompt=prompt, max_new_tokens=12) for prompt in PROMPTS]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for request, result in zip(asked, model.generate(asked), strict=True):
        wanted = greedy(reference(folder), model.tokenize(str(request.prompt)), 12)
        assert result.get().text == tokenizer.decode(wanted, skip_special_tokens=True)
        assert not result.overrun


def test_adapters_answer_as_they_do_in_peft(served: tuple[str, Path, Model], account: Account, tmp_path: Path) -> None:
    family, folder, model = served
    adapters = [result.get().adapter for result in model.train(three(account, family))]
    asked = [
        Generate(account=account, prompt="The river", adapter=adapter, max_new_tokens=10)
        for adapter in (*adapters, None)
    ]
    texts = [result.get().text for result in model.generate(asked)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for number, adapter in enumerate(adapters):
        model.save_adapter(adapter, tmp_path / str(number))
        wanted = greedy(reference(folder, tmp_path / str(number)), model.tokenize("The river"), 10)
        assert texts[number] == tokenizer.decode(wanted, skip_special_tokens=True)
        again = model.load_adapter(tmp_path / str(number))
        (result,) = model.generate([Generate(account=account, prompt="The river", adapter=again, max_new_tokens=10)])
        assert result.get().text == texts[number]


def test_scores_are_the_log_likelihoods_of_hugging_face(served: tuple[str, Path, Model], account: Account) -> None:
    _, folder, model = served
    pairs = [("The river", " is wide"), ("A", " b"), ("The market by the", " river and more")]
    asked = [Score(account=account, prompt=prompt, continuation=tail) for prompt, tail in pairs]
    for (prompt, tail), result in zip(pairs, model.score(asked), strict=True):
        head, rest = model.tokenize(prompt), model.tokenize(tail, special=False)
        with torch.no_grad():
            logits = reference(folder)(torch.tensor([[*head, *rest]])).logits[0].double().log_softmax(-1)
        wanted = sum(float(logits[len(head) - 1 + i, token]) for i, token in enumerate(rest))
        assert result.get().log_likelihood == pytest.approx(wanted, rel=1e-5)
        assert result.get().tokens == len(rest)
        assert not result.overrun


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_journal_of_training_and_answering_adds_up_to_what_the_profiler_saw(
    family: str, request: pytest.FixtureRequest, book: Book, account: Account, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(family)
    model = load_model(folder, engine="hooks", attention="eager", device="cpu", resident=2)
    with FlopCounterMode(display=False) as counter:
        adapters = [result.get().adapter for result in model.train(three(account, family))]
        asked = [
            Generate(account=account, prompt=prompt, adapter=adapter, max_new_tokens=5)
            for prompt in PROMPTS
            for adapter in (*adapters, None)
        ]
        results = model.generate(asked)
        results += model.score([Score(account=account, prompt=PROMPTS[0], continuation=" b", adapter=adapters[0])])
    assert not any(result.failure or result.overrun for result in results)
    shape = ModelShape.from_config(folder)
    steps = sum(charge.cost.updates or 0 for charge in book.charges())
    optimizer = steps * OPTIMIZER_FLOPS_PER_WEIGHT * Lora(4, TARGETS[family]).weights(shape)
    book.close()
    spent = verify(tmp_path / "journal").totals.at_least.flops or 0.0
    assert spent - optimizer == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert steps == 2 * (2 + 1 + 3)


def test_the_planned_engine_is_billed_for_what_its_own_counter_saw(llama: Path, account: Account, book: Book) -> None:
    model = load_model(llama, engine="planned", device="cpu")
    engine = model._Model__backend._engine  # type: ignore[attr-defined]
    texts = ("a river that is wide " * 5, "boats")
    model.train([Train(account=account, job=job("llama", "a", *texts))])
    (charge,) = book.charges()
    shape = ModelShape.from_config(llama)
    updates = (charge.cost.updates or 0) * OPTIMIZER_FLOPS_PER_WEIGHT * Lora(4, TARGETS["llama"]).weights(shape)
    # it forms the scores again in every layer's backward pass, and the keys' gradient in the lowest one, both unpriced
    again = 2 * shape.heads * shape.head_dim * (shape.layers + 1) * 2 * sum(_pairs(engine, text) for text in texts)
    assert (charge.cost.flops or 0) - updates + again == pytest.approx(engine.flops, rel=1e-6)


def _pairs(engine: Any, text: str) -> int:
    return int(engine.ops.attended([(len(text) + 1, len(text) + 1)]))


def test_quotes_are_never_below_what_is_booked(served: tuple[str, Path, Model], account: Account, book: Book) -> None:
    family, _, model = served
    adapters = [result.get().adapter for result in model.train(three(account, family))]
    asked = [
        Generate(account=account, prompt=prompt, adapter=adapter, max_new_tokens=size)
        for size, prompt in enumerate(PROMPTS, start=1)
        for adapter in (*adapters, None)
    ]
    model.generate(asked)
    model.score([Score(account=account, prompt=prompt, continuation=" and") for prompt in PROMPTS])
    for charge in book.charges():
        for currency in (Currency.FLOPS, Currency.TOKENS_PADDED, Currency.UPDATES, Currency.TOKENS_GENERATED):
            assert (charge.cost.amount(currency) or 0) <= (charge.quote.amount(currency) or 0) * (1 + 1e-9)
        assert (charge.cost.seconds or 0) > 0


def test_one_bad_job_fails_alone_and_is_attributed(
    served: tuple[str, Path, Model], account: Account, book: Book
) -> None:
    family, _, model = served
    good = three(account, family)[0]
    bad = [
        job(family, "empty"),
        job(family, "long", "x" * 200),
        job(family, "nan", "one river", learning_rate=1e30, max_grad_norm=1e30, epochs=4, alpha=1e30),
    ]
    wanted = [Train(account=account.child(one.key), job=one) for one in bad]
    alone = model.train([good])[0].get()
    empty, long, diverged, sound = model.train([*wanted, good])
    kinds = [result.failure.kind if result.failure else "" for result in (empty, long, diverged, sound)]
    assert kinds == ["empty", "too_long", "not_finite", ""]
    assert sound.get().losses == pytest.approx(alone.losses, rel=1e-4)
    outcomes = {charge.opened.name: (charge.outcome, charge.cost.flops) for charge in book.charges()}
    assert outcomes["empty"] == ("failed", 0)
    assert outcomes["long"] == ("failed", 0)
    assert outcomes["nan"][0] == "failed"
    assert (outcomes["nan"][1] or 0) > 0
    assert not any(result.overrun for result in (empty, long, diverged, sound))


def test_a_prompt_longer_than_the_context_fails_alone(
    served: tuple[str, Path, Model], account: Account, book: Book
) -> None:
    _, _, model = served
    asked = [Generate(account=account, prompt=text, max_new_tokens=3) for text in ("x" * 200, "short")]
    long, short = model.generate(asked)
    assert long.failure is not None
    assert (long.failure.kind, long.cost.flops) == ("too_long", 0)
    assert short.get().tokens <= 3
    scored = model.score([Score(account=account, prompt="x" * 100, continuation="y" * 100)])
    assert scored[0].failure is not None
    assert [charge.outcome for charge in book.charges()] == ["failed", "completed", "failed"]


def test_an_adapter_of_nan_fails_alone(served: tuple[str, Path, Model], account: Account) -> None:
    family, _, model = served
    first, second, _ = (result.get().adapter for result in model.train(three(account, family)))
    first.row.fill_(float("nan"))  # type: ignore[union-attr]
    asked = [Generate(account=account, prompt="a", adapter=adapter, max_new_tokens=4) for adapter in (first, second)]
    poisoned, sound = model.generate(asked)
    assert poisoned.failure is not None
    assert poisoned.failure.kind == "not_finite"
    assert (poisoned.cost.flops or 0) > 0
    assert sound.failure is None
    (scored,) = model.score([Score(account=account, prompt="a", continuation="b", adapter=first)])
    assert scored.failure is not None


def test_memory_that_runs_out_is_charged_and_tried_again_in_halves(
    gpt2: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(gpt2, device="cpu")
    asked = [Generate(account=account, prompt=prompt, max_new_tokens=4) for prompt in PROMPTS]
    wanted = [result.get().text for result in model.generate(asked)]
    inner = model._Model__backend._engine.model  # type: ignore[attr-defined]
    forward = inner.forward

    @functools.wraps(forward)
    def cramped(*given: Any, **named: Any) -> Any:
        if len(named["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **named)

    monkeypatch.setattr(inner, "forward", cramped)
    assert [result.get().text for result in model.generate(asked)] == wanted
    monkeypatch.setattr(inner, "forward", _no_memory)
    results = model.generate(asked[:2]) + model.score([Score(account=account, prompt="a", continuation="b")])
    assert [result.failure.kind for result in results if result.failure] == ["out_of_memory"] * 3


def _no_memory(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_sampling_depends_on_the_seed_and_not_on_the_batch(served: tuple[str, Path, Model], account: Account) -> None:
    _, _, model = served

    def sample(seed: int, *others: str) -> str:
        asked = [
            Generate(account=account, prompt=prompt, temperature=1.0, top_p=0.95, seed=seed, max_new_tokens=16)
            for prompt in ("The river", *others)
        ]
        return model.generate(asked)[0].get().text

    assert sample(1) == sample(1) == sample(1, "A market by", "x")
    assert len({sample(seed) for seed in range(4)}) > 1


def test_an_answer_ends_before_the_first_stop_string(served: tuple[str, Path, Model], account: Account) -> None:
    _, _, model = served
    (whole,) = model.generate([Generate(account=account, prompt="The river", max_new_tokens=20)])
    text = whole.get().text
    stop = text[3:5]
    (cut,) = model.generate([Generate(account=account, prompt="The river", max_new_tokens=20, stop=(stop,))])
    assert cut.get().text == text[: text.index(stop)]
    assert (cut.get().finish, cut.get().tokens < whole.get().tokens) == ("stop", True)


def test_a_budget_refuses_before_the_model_runs(llama: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(llama, device="cpu")
    small = book.account("small", limit=Cost(flops=1e3)).under(Purpose.SCORE)
    monkeypatch.setattr(module._HuggingFace, "run", lambda *_: pytest.fail("it ran"))
    with pytest.raises(BudgetExceeded):
        model.generate([Generate(account=small, prompt="a")])
    assert small.spent(Currency.FLOPS) == 0


def test_a_quote_is_free_and_needs_no_run(llama: Path, account: Account, book: Book) -> None:
    model = load_model(llama, device="cpu")
    (quote,) = model.quote([Generate(account=account, prompt="abc", max_new_tokens=5)])
    (result,) = model.generate([Generate(account=account, prompt="abc", max_new_tokens=5)])
    assert (quote.flops or 0) >= (result.cost.flops or 0) > 0
    assert len(book.charges()) == 1


def test_an_adapter_of_another_model_is_refused(llama: Path, account: Account) -> None:
    with pytest.raises(InputError, match="did not train it"):
        load_model(llama, device="cpu").generate([Generate(account=account, prompt="a", adapter="mine")])


def test_conversations_go_through_the_template_or_become_a_base_prompt(
    llama: Path, tmp_path: Path, save: Callable[..., Path], account: Account
) -> None:
    chat = (Message("system", "Be brief."), Message("user", "Hello"))
    templated = save(tmp_path / "chatty", template="{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}|")
    texts = {
        (folder, how): "<system>Be brief.<user>Hello|"
        if folder == templated and how != "base"
        else "Be brief.\n\nHello"
        for folder in (llama, templated)
        for how in ("auto", "base")
    }
    for (folder, how), text in texts.items():
        model = load_model(folder, device="cpu", chat=how)  # type: ignore[arg-type]
        asked = [Generate(account=account, prompt=prompt, max_new_tokens=6) for prompt in (chat, text)]
        spoken, written = model.generate(asked)
        assert spoken.get() == written.get()
    with pytest.raises(InputError, match="no template"):
        load_model(llama, device="cpu", chat="template")


class Touch:
    """A pickle that touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_unread(tmp_path: Path, save: Callable[..., Path]) -> None:
    folder = save(tmp_path / "model")
    state = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(tmp_path / "touched"), protocol=2))
    with pytest.raises(InputError, match=r"pickle.*allow_pickle=True"):
        load_model(folder, device="cpu")
    with pytest.raises(InputError):  # torch itself reads nothing but tensors from it
        load_model(folder, device="cpu", allow_pickle=True)
    assert not (tmp_path / "touched").exists()
    torch.save(state, folder / "pytorch_model.bin")
    assert load_model(folder, device="cpu", allow_pickle=True).name == "model"


def test_a_models_own_code_is_not_run_unless_asked_for(tmp_path: Path, save: Callable[..., Path]) -> None:
    folder = save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "homemade", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.LM"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'touched')!r}).touch()\n")
    with pytest.raises(InputError, match="trust_remote_code=True"):
        load_model(folder, device="cpu")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"dtype": "float23"}, "did you mean 'float32'"), ({"device": "abacus"}, "abacus"), ({"engine": "warp"}, "warp")],
)
def test_settings_that_do_not_exist_are_refused(llama: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(llama, **{"device": "cpu"} | wrong)


def test_a_model_without_fused_attention_is_loaded_and_asking_for_it_names_the_way_out(
    tmp_path: Path, save: Callable[..., Path], account: Account
) -> None:
    folder = save(tmp_path / "gemma", "gemma2")
    default, eager = load_model(folder, device="cpu"), load_model(folder, device="cpu", attention="eager")
    asked = [Generate(account=account, prompt="The river", max_new_tokens=4)]
    assert default.generate(asked)[0].get().ids == eager.generate(asked)[0].get().ids
    with pytest.raises(InputError, match=r"; use attention eager, or auto$") as raised:
        load_model(folder, device="cpu", attention="sdpa")
    assert "does not support an attention implementation" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json; give the folder of a Hugging Face model"):
        load_model(tmp_path, device="cpu")


def test_records_name_the_model_and_never_where_it_lies(llama: Path, account: Account, tmp_path: Path) -> None:
    load_model(llama, device="cpu").generate([Generate(account=account, prompt="a", max_new_tokens=1)])
    account.book.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("journal*") if path.is_file())
    assert b"tiny-llama" in written
    assert str(llama.parent).encode() not in written
