"""Small random models with a byte-level tokenizer, saved as folders; a test that needs torch is skipped without it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain.metering.account import Book
from netgain.metering.verification import verify

COMMON = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": COMMON,
    "gemma2": COMMON | {"head_dim": 8},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 3, "vocab_size": 260, "n_positions": 128}
    | {"bos_token_id": 1, "eos_token_id": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}


def byte_tokenizer() -> Any:
    """A tokenizer with one token a byte, after <pad>, <s>, </s> and <unk>."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", *alphabet])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))  # noqa: S106
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def save_model(folder: Path, family: str = "llama", template: str | None = None, **settings: Any) -> Path:
    """A random model of this family in ``folder``."""
    torch = pytest.importorskip("torch", reason="the models need torch")
    transformers = pytest.importorskip("transformers", reason="the models need transformers")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **FAMILIES[family] | settings)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # so that answers are not one token for ever
        for weight in model.parameters():
            weight.mul_(3)
    model.save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Llama of 3 layers and 128 positions."""
    return save_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random GPT-2 of 3 layers and 128 positions."""
    return save_model(tmp_path_factory.mktemp("models") / "tiny-gpt2", "gpt2")


@pytest.fixture(scope="session")
def save() -> Any:
    """:func:`save_model`, for tests that need a folder of their own."""
    return save_model


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """An empty book, whose journal must verify in the end."""
    with Book.open(tmp_path / "journal") as opened:
        yield opened
    assert verify(tmp_path / "journal").ok
