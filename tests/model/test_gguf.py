"""A GGUF file is converted once, by content, into a folder that is like any other."""

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from netgain import api
from netgain.errors import InputError, MissingExtraError
from netgain.metering.shape import ModelShape
from netgain.model import gguf, load_model
from netgain.model.loading import digest_folder

writers = pytest.importorskip("gguf")

LETTERS = [chr(n) for n in range(33, 127)] + ["Ġ", "Ċ", "ab"]
TOKENS = [*LETTERS, "<s>", "</s>"]
WIDTH, LAYERS, HEADS, INNER = 32, 2, 2, 32
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "lm_head": "output",
}


def write_tiny(path: Path, seed: int = 0) -> LlamaForCausalLM:
    """A Llama of two layers as llama.cpp writes it, in 8 bits; returns the model that it was made from."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "vocab_size": len(TOKENS)}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=HEADS, max_position_embeddings=64))
    writer = writers.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * len(LETTERS) + [3, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(LETTERS))
    writer.add_eos_token_id(len(LETTERS) + 1)
    writer.add_chat_template(TEMPLATE)
    for name, weight in model.state_dict().items():
        parts = name.removesuffix(".weight").split(".")
        layer = f"blk.{parts[2]}." if "layers" in parts else ""
        values = weight
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # llama.cpp keeps the halves of a head side by side
            values = weight.view(HEADS, 2, WIDTH // HEADS // 2, WIDTH).transpose(1, 2).reshape(WIDTH, WIDTH)
        target = layer + NAMES[".".join(parts[3:]) if layer else ".".join(parts)] + ".weight"
        if values.dim() == 1:
            writer.add_tensor(target, values.numpy())
            continue
        kind = writers.GGMLQuantizationType.Q8_0
        writer.add_tensor(target, writers.quants.quantize(values.contiguous().numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "netgain" / "models"


def test_the_folder_is_an_ordinary_one_with_the_weights_of_the_file(tmp_path: Path) -> None:
    original = write_tiny(tmp_path / "tiny.gguf")
    model = load_model(tmp_path / "tiny.gguf", chat="template")
    folder = gguf.folder_of_gguf(tmp_path / "tiny.gguf")
    assert model.name == folder.name
    assert model.digest == digest_folder(folder) == load_model(folder).digest
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    ids = torch.tensor([model.tokenize("Ada")])
    again = LlamaForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        difference = (again(ids).logits - original.eval()(ids).logits).abs().max()
    assert difference < 0.02  # 8 bits
    assert next(again.parameters()).dtype == torch.float32


def test_it_is_converted_once_and_a_changed_file_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    first = gguf.folder_of_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "tiny.gguf").rename(tmp_path / "sub.gguf")
    (tmp_path / "sub.gguf").rename(tmp_path / "tiny.gguf")
    monkeypatch.setattr(gguf, "_convert", lambda *_: pytest.fail("it was converted a second time"))
    assert gguf.folder_of_gguf(tmp_path / "tiny.gguf") == first
    monkeypatch.undo()
    monkeypatch.setenv("HF_HOME", str(first.parents[2]))
    write_tiny(tmp_path / "tiny.gguf", seed=1)
    second = gguf.folder_of_gguf(tmp_path / "tiny.gguf")
    assert second != first
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_what_is_no_model_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and then nothing")
    with pytest.raises(InputError, match=r"bad\.gguf: it cannot be read as a causal language model"):
        load_model(tmp_path / "bad.gguf")
    assert list(cache.iterdir()) == []
    with pytest.raises(InputError, match=r"none\.gguf: it cannot be read \(No such file"):
        load_model(tmp_path / "none.gguf")


def test_without_the_package_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(gguf, "is_gguf_available", lambda: False)
    with pytest.raises(MissingExtraError, match=r"reading a\.gguf needs .* pip install 'netgain\[gguf\]'"):
        load_model(tmp_path / "a.gguf")


def test_a_trial_names_a_gguf_file_beside_its_own(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "trial.yaml").write_text(
        "name: t\nmodel: tiny.gguf\ndomains: {p: {kind: people}}\nbudget: {per_problem: 1.0e+9}\n"
        "arms: {frozen: {method: frozen}, passage: {method: finetune}, own: {method: synthetic}}\n"
        "compare: {arm: own}\nproblems: {train: 1, development: 1, test: 3}\n",
        encoding="utf-8",
    )
    plan = api.plan(tmp_path / "trial.yaml")
    assert plan.model == gguf.folder_of_gguf(tmp_path / "tiny.gguf").name
    assert ModelShape.from_config(gguf.folder_of_gguf(tmp_path / "tiny.gguf")).layers == LAYERS


def test_loading_what_is_here_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    write_tiny(tmp_path / "tiny.gguf")
    gguf.folder_of_gguf(tmp_path / "tiny.gguf")  # a first time may take a minute, and shows how far it is
    capfd.readouterr()
    load_model(tmp_path / "tiny.gguf", device="cpu")
    assert not capfd.readouterr().err
