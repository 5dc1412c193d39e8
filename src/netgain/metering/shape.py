"""ModelShape: the dimensions of a decoder that decide what its work costs. No weights are needed to know them.

Which matrices a decoder of each architecture has, and how its ``config.json`` spells their dimensions: names are those
of the modules in the ``transformers`` library, shortened to what tells them apart within a layer, since PEFT's
``target_modules`` are matched against the ends of the same names.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, final

from netgain.errors import InputError, nearest, shown
from netgain.strict_json import parse_json

MOST_LAYERS, LARGEST = 10_000, 2**48  # that any model has; and no dimension is larger than the second
Layout = Literal["llama", "gpt2", "neox", "phi", "phi3", "glm", "opt", "starcoder2"]


@final
@dataclass(frozen=True, slots=True)
class Names:
    """The names of a layer's matrices: into attention (three, or one fused), out of it, into and out of the MLP."""

    attention_in: tuple[str, ...]
    attention_out: str
    feed_in: tuple[str, ...]
    feed_out: str


LAYOUTS: dict[Layout, Names] = {
    "llama": Names(("q_proj", "k_proj", "v_proj"), "o_proj", ("gate_proj", "up_proj"), "down_proj"),
    "starcoder2": Names(("q_proj", "k_proj", "v_proj"), "o_proj", ("mlp.c_fc",), "mlp.c_proj"),
    "phi": Names(("q_proj", "k_proj", "v_proj"), "dense", ("fc1",), "fc2"),
    "glm": Names(("q_proj", "k_proj", "v_proj"), "o_proj", ("gate_up_proj",), "down_proj"),
    "opt": Names(("q_proj", "k_proj", "v_proj"), "out_proj", ("fc1",), "fc2"),
    "phi3": Names(("qkv_proj",), "o_proj", ("gate_up_proj",), "down_proj"),
    "gpt2": Names(("attn.c_attn",), "attn.c_proj", ("mlp.c_fc",), "mlp.c_proj"),
    "neox": Names(("query_key_value",), "attention.dense", ("dense_h_to_4h",), "dense_4h_to_h"),
}


@final
class Config:
    """A ``config.json`` being read: every look-up that fails is an InputError that names the file and the key."""

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        self.fields, self.where = fields, where

    def count(self, *keys: str, default: int | None = None) -> int:
        """The positive whole number under the first of these keys that has a value."""
        for key in keys:
            value = self.fields.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(self.where, f"{key} = {shown(value)} is not a whole number above 0")
            if value > (MOST_LAYERS if "layer" in key else LARGEST):
                raise InputError(self.where, f"{key} = {shown(value)}: no model is of such a size")
            return value
        if default is not None:
            return default
        raise InputError(self.where, f"{keys[0]} is missing", nearest(keys[0], self.fields))

    def flag(self, key: str, default: bool) -> bool:
        """The truth value under this key."""
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise InputError(self.where, f"{key} = {shown(value)} is neither true nor false")
        return value


Fields = dict[str, Any]


def read_config(fields: Mapping[str, Any], where: str) -> Fields:
    """The dimensions in a ``config.json``, by the field names of ModelShape.

    Raises InputError for an architecture whose costs are not known (with the nearest one that is), and for a
    dimension that is missing or makes no sense.
    """
    family = fields.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        measured = "`netgain doctor MODEL` says whether a model without one can be run and measured"
        raise InputError(
            where, f"model_type {shown(family)} has no price formula", f"{nearest(str(family), FAMILIES)} {measured}"
        )
    shape = FAMILIES[family](Config(fields, where))
    if shape["heads"] % shape["kv_heads"]:
        raise InputError(where, f"{shape['heads']} heads cannot share {shape['kv_heads']} key-value heads evenly")
    if shape.get("experts_per_token", 0) > shape.get("experts", 0):
        raise InputError(where, f"a token cannot pass {shape['experts_per_token']} of {shape['experts']} experts")
    return shape


def _dense(config: Config, *, tied: bool = False, head_dim: int | None = None, layout: Layout = "llama") -> Fields:
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    return {
        "layers": config.count("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": config.count("num_key_value_heads", default=heads),
        "head_dim": config.count("head_dim", default=head_dim or max(1, hidden // heads)),
        "intermediate": config.count("intermediate_size"),
        "vocabulary": config.count("vocab_size"),
        "tied": config.flag("tie_word_embeddings", tied),
        "gated": layout in ("llama", "phi3", "glm"),
        "layout": layout,
    }


def _gemma(config: Config) -> Fields:
    return _dense(config, tied=True, head_dim=256)


def _qwen3(config: Config) -> Fields:
    return _dense(config, head_dim=128)


def _tied(config: Config) -> Fields:
    return _dense(config, tied=True)


def _phi3(config: Config) -> Fields:
    return _dense(config, layout="phi3")


def _starcoder2(config: Config) -> Fields:
    return _dense(config, tied=True, layout="starcoder2")


def _phi(config: Config) -> Fields:
    return _dense(config, layout="phi") | {"parallel": True}


def _cohere(config: Config) -> Fields:
    return _dense(config, tied=True) | {"parallel": True}


def _stablelm(config: Config) -> Fields:
    return _dense(config) | {"parallel": config.flag("use_parallel_residual", False)}


def _squared(config: Config) -> Fields:
    """Two matrices, up and down, and an activation between them (Nemotron, Arcee, Apertus)."""
    return _dense(config) | {"gated": False}


def _opt(config: Config) -> Fields:
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    if config.count("word_embed_proj_dim", default=hidden) != hidden:
        raise InputError(config.where, "word_embed_proj_dim is not hidden_size: such projections have no price formula")
    return {
        **{"layers": config.count("num_hidden_layers"), "hidden": hidden, "heads": heads, "kv_heads": heads},
        **{"head_dim": max(1, hidden // heads), "intermediate": config.count("ffn_dim")},
        **{"vocabulary": config.count("vocab_size"), "tied": config.flag("tie_word_embeddings", True)},
        **{"gated": False, "layout": "opt", "input_norm": config.flag("do_layer_norm_before", True)},
    }


def _olmo2(config: Config) -> Fields:
    return _dense(config) | {"input_norm": False}


def _neox(config: Config) -> Fields:
    return _dense(config, layout="neox") | {"parallel": config.flag("use_parallel_residual", True)}


def _gpt2(config: Config) -> Fields:
    hidden, heads = config.count("n_embd", "hidden_size"), config.count("n_head", "num_attention_heads")
    return {
        "layers": config.count("n_layer", "num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": max(1, hidden // heads),
        "intermediate": config.count("n_inner", default=4 * hidden),
        "vocabulary": config.count("vocab_size"),
        "tied": config.flag("tie_word_embeddings", True),
        "gated": False,
        "layout": "gpt2",
    }


def _experts(config: Config) -> Fields:
    """Every layer has experts of the width ``intermediate_size`` (Mixtral, OLMoE)."""
    return _dense(config) | {
        "experts": config.count("num_local_experts", "num_experts"),
        "experts_per_token": config.count("num_experts_per_tok"),
    }


def _qwen_experts(config: Config) -> Fields:
    """Experts of their own width, in all layers but those that the config names as dense (Qwen2-MoE, Qwen3-MoE)."""
    dense = _dense(config)
    step = config.count("decoder_sparse_step", default=1)
    named = config.fields.get("mlp_only_layers") or []
    if not isinstance(named, list):
        raise InputError(config.where, f"mlp_only_layers = {named!r} is not a list of layers")
    dense_layers = tuple(i for i in range(dense["layers"]) if i in named or (i + 1) % step)
    return dense | {
        "experts": config.count("num_experts", "num_local_experts"),
        "experts_per_token": config.count("num_experts_per_tok"),
        "intermediate": config.count("moe_intermediate_size"),
        "shared_intermediate": config.count("shared_expert_intermediate_size", default=0),
        "dense_layers": dense_layers,
        "dense_intermediate": dense["intermediate"],
    }


FAMILIES: dict[str, Callable[[Config], Fields]] = {
    "apertus": _squared,
    "arcee": _squared,
    "bitnet": _dense,
    "cohere": _cohere,
    "cohere2": _cohere,
    "ernie4_5": partial(_dense, tied=True, head_dim=128),
    "exaone4": _olmo2,
    "gemma": _gemma,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "gpt2": _gpt2,
    "gpt_neox": _neox,
    "glm": partial(_dense, head_dim=128, layout="glm"),
    "glm4": partial(_dense, head_dim=128, layout="glm"),
    "granite": _dense,
    "helium": _dense,
    "hunyuan_v1_dense": _dense,
    "internlm3": _dense,
    "llama": _dense,
    "ministral": _dense,
    "ministral3": _dense,
    "mistral": _dense,
    "mixtral": _experts,
    "nemotron": _squared,
    "olmo": _dense,
    "olmo2": _olmo2,
    "olmo3": _olmo2,
    "olmoe": _experts,
    "opt": _opt,
    "phi": _phi,
    "phi3": _phi3,
    "qwen2": _dense,
    "qwen2_moe": _qwen_experts,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen_experts,
    "seed_oss": _qwen3,
    "smollm3": _tied,
    "stablelm": _stablelm,
    "starcoder2": _starcoder2,
}


Stage = Literal["attention_in", "attention_out", "feed_in", "feed_out"]
LARGEST_CONFIG = 10_000_000  # bytes


@final
@dataclass(frozen=True, slots=True)
class Projection:
    """One weight matrix of a layer. ``stage`` says where in the layer, ``branch`` in which of its parallel paths.

    ``active`` is how many matrices of this kind one token passes and ``stored`` how many there are: both 1 but for
    experts. ``adaptable`` says whether PEFT can put a LoRA adapter on it by name.
    """

    name: str
    inputs: int
    outputs: int
    stage: Stage
    branch: str = ""
    active: int = 1
    stored: int = 1
    adaptable: bool = True

    @property
    def weights(self) -> int:
        """Weights that one token meets."""
        return self.inputs * self.outputs * self.active

    def is_target(self, target: str) -> bool:
        """Whether PEFT's ``target_modules`` entry ``target`` means this matrix: its name, or the end of it."""
        return self.adaptable and (self.name == target or self.name.endswith(f".{target}"))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a decoder-only transformer; all counts are numbers of weights or units, no biases or norms.

    ``gated`` says whether the feed-forward block has three matrices (gate, up, down) or two. With ``experts`` > 0
    each token passes the router, ``experts_per_token`` experts of width ``intermediate`` and, where there is one, a
    shared expert of width ``shared_intermediate``; the layers in ``dense_layers`` have an ordinary block of width
    ``dense_intermediate`` instead. ``layout`` names the matrices as an architecture does; ``parallel`` says that
    attention and feed-forward block read the same input, ``input_norm`` that a layer's input is normed before its first
    matrices (so that training the layer trains something below these). ``source`` names where the numbers come from.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    gated: bool = True
    tied: bool = False
    experts: int = 0
    experts_per_token: int = 0
    shared_intermediate: int = 0
    dense_layers: tuple[int, ...] = ()
    dense_intermediate: int = 0
    layout: Layout = "llama"
    parallel: bool = False
    input_norm: bool = True
    source: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | Path | str, name: str = "") -> Self:
        """The shape in a Hugging Face ``config.json``: its fields, the file, or the folder it lies in.

        Raises InputError for a file that is missing or no JSON object, an architecture without price formulas (with
        the nearest that has them) and a dimension that is missing or makes no sense.
        """
        if isinstance(config, Mapping):
            return cls(name=name or str(config.get("_name_or_path") or ""), **read_config(config, "config"))
        path = Path(config)
        path = path / "config.json" if path.is_dir() else path
        return cls(name=name or path.parent.name, **read_config(_load(path), str(path)), source=str(path))

    @staticmethod
    def has_formula(config: Mapping[str, Any]) -> bool:
        """Whether an architecture's prices follow from its configuration; others can only be measured."""
        return config.get("model_type") in FAMILIES

    def layer(self, number: int) -> tuple[Projection, ...]:
        """The matrices of one layer (from 0), in the order in which a token passes them."""
        query, key_value = self.heads * self.head_dim, self.kv_heads * self.head_dim
        names = LAYOUTS[self.layout]
        widths = (query, key_value, key_value) if len(names.attention_in) == 3 else (query + 2 * key_value,)
        inputs = zip(names.attention_in, widths, strict=True)
        attention = [Projection(word, self.hidden, width, "attention_in") for word, width in inputs]
        attention.append(Projection(names.attention_out, query, self.hidden, "attention_out"))
        if self.experts and number not in self.dense_layers:
            return (*attention, *self._experts())
        block = self._feed_forward(self.dense_intermediate if self.experts else self.intermediate)
        if self.experts and not self.shared_intermediate:  # PEFT gives these names to the experts of the other layers
            block = [replace(part, adaptable=False) for part in block]
        return (*attention, *block)

    def _feed_forward(self, width: int, branch: str = "") -> list[Projection]:
        names = LAYOUTS[self.layout]
        prefix = f"{branch}." if branch else ""
        into = names.feed_in if self.gated or len(names.feed_in) == 1 else names.feed_in[1:]
        wide = 2 * width if self.gated and len(names.feed_in) == 1 else width
        block = [Projection(prefix + word, self.hidden, wide, "feed_in", branch) for word in into]
        return [*block, Projection(prefix + names.feed_out, width, self.hidden, "feed_out", branch)]

    def _experts(self) -> list[Projection]:
        many, few, width = self.experts, self.experts_per_token, self.intermediate
        wide = 2 * width if self.gated else width
        block = [
            Projection("router", self.hidden, many, "feed_in", "experts", adaptable=False),
            Projection("experts.in", self.hidden, wide, "feed_in", "experts", few, many, adaptable=False),
            Projection("experts.out", width, self.hidden, "feed_out", "experts", few, many, adaptable=False),
        ]
        if self.shared_intermediate:
            block += self._feed_forward(self.shared_intermediate, "shared_expert")
            block.append(Projection("shared_expert_gate", self.hidden, 1, "feed_in", "shared_gate"))
        return block

    @property
    def body_weights(self) -> int:
        """Weights in the products that one token passes in all layers: the ``P`` of the formulas without the head."""
        return sum(part.weights for number in range(self.layers) for part in self.layer(number))

    @property
    def head_weights(self) -> int:
        """Weights of the output head, charged only at positions where logits are computed."""
        return self.hidden * self.vocabulary

    @property
    def stored_weights(self) -> int:
        """Weights on file: all matrices, all experts, token embedding and head (once where tied); no norms, biases."""
        layers = (part for number in range(self.layers) for part in self.layer(number))
        body = sum(part.inputs * part.outputs * part.stored for part in layers)
        return body + self.head_weights * (1 if self.tied else 2)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise InputError(str(path), "it is too large for a config.json")
        fields = parse_json(path.read_text(encoding="utf-8"))
    except OSError as problem:
        remedy = "give the folder of a model, its config.json, or its fields"
        raise InputError(str(path), f"it cannot be read ({problem.strerror})", remedy) from problem
    except ValueError as problem:
        raise InputError(str(path), f"it is not JSON ({problem})") from problem
    if not isinstance(fields, Mapping):
        raise InputError(str(path), "it does not hold a JSON object")
    return fields


@cache
def catalogue() -> dict[str, ModelShape]:
    """The shapes of common open families that ship with the package, by their hub name, each with its source."""
    text = (files("netgain.metering") / "shapes.json").read_text(encoding="utf-8")
    return {name: _shape(name, fields) for name, fields in json.loads(text)["shapes"].items()}


def _shape(name: str, fields: dict[str, Any]) -> ModelShape:
    return ModelShape(name=name, **fields | {"dense_layers": tuple(fields.get("dense_layers", ()))})


def find_shape(name: str) -> ModelShape:
    """The shape of a model by its hub name, with or without the organisation; case does not matter.

    Raises InputError with the nearest known name for an unknown one.
    """
    known = {key.lower(): shape for key, shape in catalogue().items()}
    short = {key.split("/")[-1]: shape for key, shape in known.items()}
    wanted = name.strip().lower()
    found = known.get(wanted) or short.get(wanted.split("/")[-1])
    if found is None:
        raise InputError(
            f"model {name!r}", "no shape of this name ships with netgain", nearest(name, list(catalogue()))
        )
    return found
