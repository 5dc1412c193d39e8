"""Which matrices a decoder of each architecture has, and how its ``config.json`` spells their dimensions.

Names are those of the modules in the ``transformers`` library, shortened to what tells them apart within a layer,
since PEFT's ``target_modules`` are matched against the ends of the same names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from netgain.errors import InputError, nearest

Layout = Literal["llama", "gpt2", "neox", "phi3", "starcoder2"]


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
                raise InputError(self.where, f"{key} = {value!r} is not a whole number above 0")
            return value
        if default is not None:
            return default
        raise InputError(self.where, f"{keys[0]} is missing", nearest(keys[0], self.fields))

    def flag(self, key: str, default: bool) -> bool:
        """The truth value under this key."""
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise InputError(self.where, f"{key} = {value!r} is neither true nor false")
        return value


Fields = dict[str, Any]


def read_config(fields: Mapping[str, Any], where: str) -> Fields:
    """The dimensions in a ``config.json``, by the field names of ModelShape.

    Raises InputError for an architecture whose costs are not known (with the nearest one that is), and for a
    dimension that is missing or makes no sense.
    """
    family = fields.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise InputError(where, f"model_type {family!r} has no price formula", nearest(str(family), FAMILIES))
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
        "gated": layout in ("llama", "phi3"),
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
    "gemma": _gemma,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "gpt2": _gpt2,
    "gpt_neox": _neox,
    "granite": _dense,
    "llama": _dense,
    "mistral": _dense,
    "mixtral": _experts,
    "olmo2": _olmo2,
    "olmoe": _experts,
    "phi3": _phi3,
    "qwen2": _dense,
    "qwen2_moe": _qwen_experts,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen_experts,
    "smollm3": _tied,
    "starcoder2": _starcoder2,
}
