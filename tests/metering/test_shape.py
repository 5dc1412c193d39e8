"""Shapes from configurations: exact where known, one clear line where not. (The dimensions are profiled elsewhere.)"""

import json
from pathlib import Path
from typing import Any

import pytest

from netgain.errors import InputError
from netgain.metering.shape import ModelShape, catalogue, find_shape

QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


def test_a_config_gives_the_shape_in_the_catalogue() -> None:
    mine, known = ModelShape.from_config(QWEN), find_shape("Qwen2.5-7B")
    assert (mine.body_weights, mine.head_weights) == (known.body_weights, known.head_weights)
    assert mine.layer(0) == known.layer(0)


def test_stored_weights_are_those_of_the_published_model() -> None:
    assert find_shape("Qwen2.5-7B").stored_weights == pytest.approx(7.616e9, rel=1e-3)
    assert find_shape("Qwen3-30B-A3B").stored_weights == pytest.approx(30.5e9, rel=5e-3)
    assert find_shape("Mixtral-8x7B-v0.1").stored_weights == pytest.approx(46.7e9, rel=1e-3)
    assert find_shape("gpt2").stored_weights == pytest.approx(124e6, rel=1e-2)  # without position embeddings


def test_a_token_meets_only_its_experts() -> None:
    shape = find_shape("Qwen3-30B-A3B")
    active = shape.body_weights + 2 * shape.head_weights
    assert active == pytest.approx(3.3e9, rel=0.03)


def test_a_folder_a_file_and_fields_give_the_same_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    folder, file = ModelShape.from_config(tmp_path), ModelShape.from_config(tmp_path / "config.json", "mine")
    assert folder.layer(0) == file.layer(0) == ModelShape.from_config(QWEN).layer(0)
    assert (folder.name, file.name) == (tmp_path.name, "mine")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "qwen_2"}, "did you mean 'qwen2'?"),
        ({"model_type": "mamba"}, "has no price formula"),
        ({"model_type": None}, "has no price formula"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": 0}, "hidden_size = 0 is not a whole number above 0"),
        ({"num_hidden_layers": "28"}, "num_hidden_layers = '28' is not a whole number"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True is not a whole number"),
        ({"num_key_value_heads": 3}, "28 heads cannot share 3 key-value heads"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings = 'no' is neither true nor false"),
        ({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3}, "cannot pass 3 of 2 experts"),
        (
            {"model_type": "qwen3_moe", "num_experts": 2, "num_experts_per_tok": 1, "mlp_only_layers": 3}
            | {"moe_intermediate_size": 8},
            "mlp_only_layers = 3 is not a list",
        ),
    ],
)
def test_a_wrong_config_is_refused_in_one_line_that_names_the_key(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        ModelShape.from_config(QWEN | change)
    assert says in str(caught.value)


def test_a_misspelt_key_is_named_beside_the_missing_one() -> None:
    fields = {key if key != "hidden_size" else "hiden_size": value for key, value in QWEN.items()}
    with pytest.raises(InputError, match="hidden_size is missing; did you mean 'hiden_size'"):
        ModelShape.from_config(fields)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\ud800".encode("utf-8", "surrogatepass"), "[" * 100_000])
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"config\.json"):
        ModelShape.from_config(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        ModelShape.from_config(tmp_path / "nowhere")


def test_every_shape_in_the_catalogue_has_a_source_and_a_price() -> None:
    for shape in catalogue().values():
        assert shape.source
        assert shape.heads % shape.kv_heads == 0
        assert shape.body_weights > 0


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean 'Qwen/Qwen2\.5-7B'"):
        find_shape("Qwen/Qwen2.5-7")


@pytest.mark.parametrize(
    ("name", "billions"), [("Qwen2.5-7B", 7.07), ("Llama-3.2-1B", 1.24), ("Llama-3.1-8B", 7.5), ("gpt2", 0.124)]
)
def test_shapes_that_ship_have_the_size_on_the_label(name: str, billions: float) -> None:
    shape = find_shape(name)
    assert (shape.body_weights + shape.head_weights) / 1e9 == pytest.approx(billions, rel=0.01)
    assert shape.source


def test_every_shape_is_named_and_sourced() -> None:
    assert all(shape.name == name and shape.source for name, shape in catalogue().items())
