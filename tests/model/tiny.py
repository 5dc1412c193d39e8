"""Any causal LM that transformers knows, tiny and random, from its configuration class."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id")
SIZES: dict[str, Any] = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers"), 2),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "dim_model_base"), 32),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "ffn_dim", "intermediate_size"), 48),
    **dict.fromkeys(("n_inner", "ffn_hidden_size", "d_inner", "shared_intermediate_size", "intermediate_size_mlp"), 48),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"), 64),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads"), 4),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 64),
    **dict.fromkeys(("head_dim", "attention_head_dim", "global_head_dim", "query_pre_attn_scalar", "rotary_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_head_dim"), 16),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("first_k_dense_replace", "moe_layer_start_index"), 1),
    **{"mlp_only_layers": [], "num_kv_shared_layers": 0, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8, "state_size": 8, "rope_scaling": None},
}
MORE: dict[str, dict[str, Any]] = {
    "bloom": {"seq_length": 64},
    "dbrx": {
        "attn_config": {"kv_n_heads": 4, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 48},
    },
    "deepseek_v2": {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 4},
    "hunyuan_v1_dense": {"head_dim": 8},
}


def build(model_type: str) -> Any:
    """A model of two layers whose attention and experts torch's profiler sees."""
    made = CONFIG_MAPPING[model_type]
    given = made().to_dict()
    chosen = {name: size for name, size in SIZES.items() if given.get(name) is not None}
    chosen |= {name: None for name in TOKENS if name in given}
    for name in ("layer_types", "layers_block_type", "mlp_layer_types"):
        if given.get(name):
            chosen[name] = (list(dict.fromkeys(given[name])) * 2)[:2]
    torch.manual_seed(0)
    config = made(**chosen | MORE.get(model_type, {}))
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
