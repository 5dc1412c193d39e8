"""How far an adapter drifts from its base can be measured: sampled answers are scored exactly, token for token."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
peft = pytest.importorskip("peft", reason="the adapters are compared with PEFT's")

from netgain.metering.account import Account, Book  # noqa: E402
from netgain.model import Generate, InnerLoopJob, Score, Train  # noqa: E402
from netgain.model.hugging_face import load_model  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402
from netgain.testing import scripted_model  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
]
PROMPT = "The river"
TARGETS = {"llama": ("q_proj", "v_proj"), "gpt2": ("c_attn",)}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened.account("exam").under(Purpose.EVALUATE)


def likelihood(model: Any, prompt: tuple[int, ...], tail: tuple[int, ...]) -> float:
    with torch.no_grad():
        steps = model(torch.tensor([[*prompt, *tail]])).logits[0].double().log_softmax(-1)
    return sum(float(steps[len(prompt) - 1 + i, token]) for i, token in enumerate(tail))


def samples(account: Account, count: int, size: int) -> list[Generate]:
    settings: Any = {"account": account, "prompt": PROMPT, "max_new_tokens": size, "temperature": 1.0, "top_p": 1.0}
    return [Generate(**settings, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_sampled_answer_is_scored_under_base_and_adapter_as_peft_scores_it(
    family: str, request: pytest.FixtureRequest, account: Account, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(family)
    model = load_model(folder, device="cpu")
    job = InnerLoopJob(
        key="a", sequences=[[1, 50, 60, 70, 80]], epochs=8, learning_rate=1e-2, seed=1, rank=4, alpha=8.0,
        target_modules=TARGETS[family],
    )  # fmt: skip
    adapter = model.train([Train(account=account, job=job)])[0].get().adapter
    drawn = [result.get().ids for result in model.generate(samples(account, 6, 12))]
    assert max(len(ids) for ids in drawn) == 12
    asked = [
        Score(account=account, prompt=PROMPT, continuation=ids, adapter=one) for ids in drawn for one in (None, adapter)
    ]
    scored = [result.get() for result in model.score(asked)]
    model.save_adapter(adapter, tmp_path / "adapter")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt = model.tokenize(PROMPT)
    plain = [likelihood(base, prompt, ids) for ids in drawn]
    adapted_model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    adapted = [likelihood(adapted_model, prompt, ids) for ids in drawn]
    assert [one.log_likelihood for one in scored[::2]] == pytest.approx(plain, rel=1e-5)
    assert [one.log_likelihood for one in scored[1::2]] == pytest.approx(adapted, rel=1e-5)
    assert [one.tokens for one in scored[::2]] == [len(ids) for ids in drawn]
    assert plain != pytest.approx(adapted, rel=1e-3)


def test_samples_estimate_the_divergence_from_the_base(llama: Path, account: Account, tmp_path: Path) -> None:
    model = load_model(llama, device="cpu")
    job = InnerLoopJob(
        key="a", sequences=[[1, 50, 60, 70, 80]], epochs=3, learning_rate=5e-3, seed=1, rank=4, alpha=8.0
    )
    adapter = model.train([Train(account=account, job=job)])[0].get().adapter
    drawn = [result.get().ids for result in model.generate(samples(account, 1500, 1))]
    distinct = sorted(set(drawn))
    asked = [
        Score(account=account, prompt=PROMPT, continuation=ids, adapter=one)
        for one in (None, adapter)
        for ids in distinct
    ]
    scores = [result.get().log_likelihood for result in model.score(asked)]
    gaps = {ids: scores[i] - scores[len(distinct) + i] for i, ids in enumerate(distinct)}
    estimate = sum(gaps[ids] for ids in drawn) / len(drawn)
    model.save_adapter(adapter, tmp_path / "adapter")
    base = transformers.AutoModelForCausalLM.from_pretrained(llama).eval()
    prompt = torch.tensor([model.tokenize(PROMPT)])
    with torch.no_grad():
        plain = base(prompt).logits[0, -1].double().log_softmax(-1)
        adapted = (
            peft.PeftModel.from_pretrained(base, tmp_path / "adapter")(prompt).logits[0, -1].double().log_softmax(-1)
        )
    exact = float((plain.exp() * (plain - adapted)).sum())
    spread = float((plain.exp() * (plain - adapted - exact).square()).sum()) ** 0.5 / len(drawn) ** 0.5
    assert exact > 0.01
    assert abs(estimate - exact) < 3 * spread


def test_tokens_and_their_text_are_scored_alike_where_they_are_the_same(llama: Path, account: Account) -> None:
    model = load_model(llama, device="cpu")
    ids = model.tokenize(" is wide", special=False)
    text, tokens = model.score([Score(account=account, prompt=PROMPT, continuation=one) for one in (" is wide", ids)])
    assert (text.get().tokens, text.get().greedy) == (tokens.get().tokens, tokens.get().greedy)
    # two rows of one batch: equal up to the rounding of single precision
    assert text.get().log_likelihood == pytest.approx(tokens.get().log_likelihood, rel=1e-6)


def test_the_scripted_model_tells_and_takes_tokens_as_well(account: Account) -> None:
    model = scripted_model({PROMPT: "abc"})
    (answer,) = model.generate([Generate(account=account, prompt=PROMPT)])
    assert answer.get().ids == (97, 98, 99)
    (scored,) = model.score([Score(account=account, prompt=PROMPT, continuation=answer.get().ids)])
    assert scored.get().tokens == 3
