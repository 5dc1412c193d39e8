"""A spoiled model folder ends in one line that names it; none is loaded with weights that nobody trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
pytest.importorskip("transformers", reason="the models need transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from netgain.errors import InputError, Terminated  # noqa: E402
from netgain.model import load_model  # noqa: E402
from netgain.model.checked_load import attempt  # noqa: E402
from netgain.model.model_folder import read_header  # noqa: E402

WEIGHTS, FIRST = "model.safetensors", "model.layers.0.mlp.up_proj.weight"
ODD_END: Any = {"eos_token_id": "x"}
Spoil = Callable[[Path], object]


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "m"))


def config(**fields: Any) -> Spoil:
    return edit("config.json", **fields)


def edit(name: str, **fields: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        found = json.loads((folder / name).read_text()) | fields
        (folder / name).write_text(json.dumps(found))

    return spoil


def tensors(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        change(found)
        save_file(found, folder / WEIGHTS, metadata={"format": "pt"})

    return spoil


def header(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        found = json.loads(data[8:end])
        change(found)
        written = json.dumps(found).encode()
        (folder / WEIGHTS).write_bytes(len(written).to_bytes(8, "little") + written + data[end:])

    return spoil


def cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def write(name: str, text: str) -> Spoil:
    return lambda folder: (folder / name).write_text(text)


def index(**tensors: str) -> Spoil:
    def spoil(folder: Path) -> None:
        named = dict.fromkeys(read_header(folder / WEIGHTS)[0], "part.safetensors")
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": named | tensors}))

    return spoil


def drop_layers(found: dict[str, Any]) -> None:
    for name in [name for name in found if ".layers.1." in name or ".layers.2." in name]:
        del found[name]


def longer(found: dict[str, Any]) -> None:
    found |= {name.replace(".2.", ".3."): weight.clone() for name, weight in found.items() if ".layers.2." in name}


def spoil_one(value: float) -> Callable[[dict[str, Any]], object]:
    return lambda found: found[FIRST].view(-1).__setitem__(7, value)


SPOILED: dict[str, tuple[Spoil, str]] = {
    "cut off": (cut, r"model.safetensors: is cut off: its header tells of \d+ bytes of data, and it has \d+"),
    "empty": (write(WEIGHTS, ""), "its header is said to be of 0 bytes, and it has 0"),
    "long header": (
        lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 100),
        "said to be of 18446744073709551615",
    ),
    "nested header": (
        lambda f: (f / WEIGHTS).write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5),
        "nested too deep",
    ),
    "overlap": (header(lambda h: h[FIRST].update(h["model.layers.1.mlp.up_proj.weight"])), "begins at byte"),
    "lying shape": (header(lambda h: h[FIRST].update(shape=[10**12, 10**12])), f"{FIRST}' takes 10240 bytes"),
    "unknown type": (header(lambda h: h[FIRST].update(dtype="F7")), "of type 'F7', which is not known"),
    "one tensor missing": (tensors(lambda t: t.pop(FIRST)), f"its weights lack {FIRST}; the configuration and"),
    "embedding missing": (tensors(lambda t: t.pop("model.embed_tokens.weight")), "lack model.embed_tokens.weight"),
    "two of three layers missing": (tensors(drop_layers), r"its weights lack model.layers.1.*\(18 in all\)"),
    "a layer more": (tensors(longer), r"its weights hold model.layers.3.*\(9 in all\), which"),
    "a bias more": (tensors(lambda t: t.update({"lm_head.bias": torch.zeros(260)})), "its weights hold lm_head.bias"),
    "other shape": (
        tensors(lambda t: t.update({FIRST: t[FIRST].T.contiguous()})),
        r"up_proj.weight is \(32, 80\)",
    ),
    "not a number": (tensors(spoil_one(float("nan"))), f"{FIRST} holds 1 of 2560 weights that are no finite"),
    "infinite": (tensors(spoil_one(float("inf"))), "that are no finite numbers"),
    "read as gpt2": (config(model_type="gpt2", architectures=["GPT2LMHeadModel"]), "its weights lack transformer.h.0"),
    "a billion layers": (config(num_hidden_layers=10**9), "num_hidden_layers = 1000000000: at most 10000 are read"),
    "more layers than tensors": (config(num_hidden_layers=99), "num_hidden_layers = 99: its weights are 30 tensors"),
    "a huge embedding": (config(vocab_size=10**11), r"of another shape: .*\(260, 32\), not \(100000000000, 32\)"),
    "beyond all sizes": (config(head_dim=10**30), "head_dim = 10{30}: no model is of such a size"),
    "infinite setting": (config(rms_norm_eps=float("inf")), "rms_norm_eps = inf: is no finite number"),
    "rotary base of zero": (config(rope_parameters={"rope_type": "default", "rope_theta": 0}), "inv_freq holds 3 of 4"),
    "rotary table of a list": (config(rope_scaling=[]), "config.json: rope_scaling = ..: is no mapping"),
    "an end that is no token": (edit("generation_config.json", **ODD_END), "eos_token_id = 'x': is no token"),
    "unknown rotary table": (config(rope_scaling={"rope_type": "nonsense"}), "cannot be loaded as a causal"),
    "a text for a size": (config(hidden_size="x"), "cannot be loaded as a causal language model"),
    "nested config": (write("config.json", "[" * 10**5), "config.json: is no JSON that can be read"),
    "config is a list": (write("config.json", "[]"), "config.json: does not hold a JSON object"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "holds no config.json; give the folder"),
    "weights elsewhere": (config(transformers_weights="../x.safetensors"), "is no safetensors file of this folder"),
    "nested tokenizer": (write("tokenizer.json", "[" * 10**5), "tokenizer.json: is no JSON"),
    "tokenizer of nothing": (write("tokenizer.json", "{}"), "cannot be loaded as a causal language model"),
    "tokenizer's limit": (edit("tokenizer_config.json", model_max_length="x"), "cannot be loaded as a causal"),
    "a larger vocabulary": (
        lambda folder: (folder / "tokenizer.json").write_text(
            (folder / "tokenizer.json").read_text().replace(": 259", ": 10259")
        ),
        "its tokenizer has token 10259, and the model's embedding 260 rows",
    ),
    "index names a missing file": (
        index(extra="b.safetensors"),
        "b.safetensors is missing, which model.saf",
    ),
    "index names a missing tensor": (index(extra="part.safetensors"), "'extra' is not in part.safetensors, as it says"),
    "index leads elsewhere": (index(extra="../../etc/passwd"), "which is no safetensors file beside it"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_folder_is_refused_in_one_line_that_names_it(
    name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = SPOILED[name]
    spoil(copy)
    with pytest.raises(InputError, match=said) as raised:
        load_model(copy, device="cpu")
    line = str(raised.value)
    assert line.startswith(str(copy))
    assert "\n" not in line
    assert len(line) < 700
    assert capsys.readouterr().err.replace("\r", "").count("\n") <= 1  # nothing else is said


def test_what_is_tied_or_split_or_old_is_not_missing(copy: Path, save: Any, tmp_path: Path) -> None:
    tied = save(tmp_path / "tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in read_header(tied / WEIGHTS)[0]
    assert load_model(tied, device="cpu").name == "tied"
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4), "v_head.summary.weight": torch.ones(1, 32)}
    tensors(lambda found: found.update(old))(copy)
    index()(copy)
    assert load_model(copy, device="cpu").name == "m"


def test_an_index_counts_only_where_no_file_is_named_instead(copy: Path) -> None:
    (copy / WEIGHTS).rename(copy / "other.safetensors")
    (copy / "model.safetensors.index.json").write_text("{}")
    edit("config.json", transformers_weights="other.safetensors")(copy)
    assert load_model(copy, device="cpu").name == "m"


def test_a_folder_that_lies_takes_no_memory(copy: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config(hidden_size=4096, intermediate_size=50_000, vocab_size=300_000)(copy)
    with pytest.raises(InputError, match="of another shape"):
        load_model(copy, device="cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; the model would take 30 GB


PASSING = [MemoryError(), KeyboardInterrupt(), SystemExit(3), Terminated(), torch.OutOfMemoryError("x")]


@pytest.mark.parametrize("raised", PASSING)
def test_what_is_no_fault_of_the_folder_passes_through(raised: BaseException) -> None:
    def fail() -> None:
        raise raised

    with pytest.raises(type(raised)):
        attempt("folder", fail)
