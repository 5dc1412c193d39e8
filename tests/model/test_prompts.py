"""From texts to tokens: what one prompt's template or encoding makes impossible fails alone, and a continuation is cut
from the tokens of prompt and continuation together."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
tokenizers = pytest.importorskip("tokenizers", reason="the tests build tokenizers of their own")

from netgain.errors import InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.model import Generate, Message, Score  # noqa: E402
from netgain.model.hugging_face import load_model  # noqa: E402
from netgain.model.loading import Loaded, Texts  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402

pytestmark = pytest.mark.contract
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
)
TOLD = (Message("system", "be brief"), Message("user", "hi"))


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("arm").under(Purpose.ADAPT)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (NO_SYSTEM, "System role not supported"),
        ("{{ messages[0].content + 1 }}", "can only concatenate str"),
        ("{{ messages[0].nothing.at_all }}", "has no attribute 'nothing'"),
    ],
)
def test_a_conversation_that_the_template_refuses_fails_alone(
    tmp_path: Path, save: Any, account: Account, template: str, said: str
) -> None:
    model = load_model(save(tmp_path / "model", template=template), device="cpu")
    good = Generate(account=account, prompt="hi", max_new_tokens=3)
    bad = Generate(account=account, prompt=TOLD, max_new_tokens=3)
    assert model.quote([bad])[0].flops == 0
    first, refused, last = model.generate([good, bad, good])
    assert refused.failure is not None
    assert refused.failure.kind == "bad_prompt"
    assert said in refused.failure.detail
    assert "chat template of model refuses this conversation" in refused.failure.detail
    assert first.get().ids == last.get().ids == model.generate([good])[0].get().ids
    scores = model.score([Score(account=account, prompt=p, continuation="ab") for p in (TOLD, "hi")])
    assert [one.failure is None for one in scores] == [False, True]
    assert refused.cost.flops == scores[0].cost.flops == 0


def test_half_a_surrogate_pair_fails_alone(llama: Path, account: Account) -> None:
    model = load_model(llama, device="cpu")
    broken, sound = (Generate(account=account, prompt=prompt, max_new_tokens=2) for prompt in ("a\ud800b", "ab"))
    results = model.generate([broken, sound])
    assert [one.failure and one.failure.kind for one in results] == ["bad_prompt", None]
    scored = model.score([Score(account=account, prompt="a", continuation=text) for text in ("\udfff", "b", "")])
    assert [one.failure and one.failure.kind for one in scored] == ["bad_prompt", None, "no_labels"]
    with pytest.raises(InputError, match="half of a surrogate pair"):
        model.tokenize("\ud83d")
    assert model.tokenize("\U0001f600", special=False)


def unigram(marks: str = "always", **special: Any) -> Any:
    """A tokenizer that puts a space before every text, in which some words are two tokens."""
    words = ["<pad>", "<s>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz", "\n"]
    words += ["\u2581run", "ning", "\u2581ning", "\u2581goodness", "\u2581good"]
    model = tokenizers.models.Unigram([(word, -i / 10) for i, word in enumerate(words)], unk_id=3)
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme=marks, split=False)
    inner.decoder = tokenizers.decoders.Metaspace(prepend_scheme=marks)
    if special:
        inner.post_processor = tokenizers.processors.TemplateProcessing(**special)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names)


def texts_of(tokenizer: Any, chat: Any = "auto") -> Texts:
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model("llama", vocab_size=64, hidden_size=8, num_hidden_layers=1,
                                          intermediate_size=8, num_attention_heads=1)
    )  # fmt: skip
    return Texts(Loaded("tiny", model, tokenizer), chat)


def words(tokenizer: Any, tokens: tuple[int, ...]) -> list[str]:
    return [str(word) for word in tokenizer.convert_ids_to_tokens(list(tokens))]


BOTH = {"single": "<s> $A </s>", "special_tokens": [("<s>", 1), ("</s>", 2)]}


@pytest.mark.parametrize(
    ("prompt", "text", "before", "after"),
    [
        ("run", "ning", ["\u2581run"], ["ning"]),
        ("run", " ning", ["\u2581run"], ["\u2581ning"]),
        ("run ", "ning", ["\u2581run"], ["\u2581ning"]),  # the space goes over the border, as in lm-evaluation-harness
        ("good", "ness", ["\u2581good"], ["n", "e", "s", "s"]),  # one token spans the border: nothing is added there
        ("", "run", [], ["\u2581run"]),
        ("run\n", "ning", ["\u2581run", "\n"], ["ning"]),
    ],
)
@pytest.mark.parametrize("special", [{}, BOTH], ids=["plain", "with <s> and </s>"])
def test_a_continuation_is_cut_from_the_tokens_of_both_together(
    prompt: str, text: str, before: list[str], after: list[str], special: dict[str, Any]
) -> None:
    tokenizer = unigram(**special)
    first, second = texts_of(tokenizer).continuation(prompt, text)
    begins = ["<s>"] if special or not prompt else []
    assert (words(tokenizer, first), words(tokenizer, second)) == (begins + before, after)


def test_a_text_is_scored_as_the_tokens_that_it_is_written_in(tmp_path: Path, save: Any, account: Account) -> None:
    folder = save(tmp_path / "model")
    unigram().save_pretrained(folder)
    model = load_model(folder, device="cpu")
    whole = model.tokenize("running")
    text, exact = model.score(
        [Score(account=account, prompt="run", continuation=given) for given in ("ning", tuple(whole[1:]))]
    )
    assert text.get() == exact.get()
    assert text.get().tokens == 1


def test_a_templates_own_tokens_stay_before_the_continuation() -> None:
    tokenizer = unigram(**BOTH)
    tokenizer.chat_template = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}run"
    talk = (Message("user", "ab"),)
    texts = texts_of(tokenizer)
    first, second = texts.continuation(talk, "ning")
    assert words(tokenizer, second) == ["ning"]
    assert first == texts.prompt(talk) == tuple(tokenizer("<s>ab</s>run", add_special_tokens=False)["input_ids"])
    base = texts_of(tokenizer, "base")
    assert base.prompt(talk) == tuple(tokenizer("ab")["input_ids"][:-1])


def test_a_prompt_does_not_end_in_the_token_that_ends_a_text() -> None:
    tokenizer = unigram(**BOTH)
    assert words(tokenizer, texts_of(tokenizer).prompt("run")) == ["<s>", "\u2581run"]
    assert texts_of(tokenizer).tokens("run", special=True)[-1] == 2  # a text that is trained on is over there
