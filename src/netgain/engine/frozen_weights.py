"""FrozenPlan: a Llama-, Qwen2- or Qwen3-like decoder as frozen weights, ready for hand-scheduled passes."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final

import torch
from torch import Tensor, nn

from netgain.engine.jobs import PLANNED
from netgain.engine.ops import Heads, Ops, Rotary, exact_dtype
from netgain.errors import InputError

W = TypeVar("W")
STATIC_ROPE = ("default", "linear", "llama3")  # tables that do not depend on the sequence's length


@final
@dataclass(frozen=True, slots=True, eq=False)
class LayerPlan(Generic[W]):
    """One layer. ``q_norm`` and ``k_norm`` are Qwen3's per-head norms; ``qkv`` and ``gate_up`` are joined matrices."""

    path: str
    norm: Tensor
    qkv: W
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: W
    mlp_norm: Tensor
    gate_up: W
    down: W


@final
@dataclass(frozen=True, slots=True, eq=False)
class FrozenPlan(Generic[W]):
    """The whole decoder. ``modules`` lists (path, inputs, outputs) of what LoRA may adapt, in the model's order."""

    embedding: Tensor
    layers: tuple[LayerPlan[W], ...]
    final_norm: Tensor
    head: W
    heads: Heads
    rotary: Rotary
    eps: float
    hidden: int
    intermediate: int
    vocabulary: int
    context: int
    modules: tuple[tuple[str, int, int], ...]


def why_not(model: nn.Module) -> str | None:
    """Why a model cannot be planned, or None if it can."""
    config: Any = getattr(model, "config", None)
    family = getattr(config, "model_type", type(model).__name__)
    if family not in PLANNED:
        return f"{family} is not one of {', '.join(PLANNED)}"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}, not silu"
    if getattr(config, "use_sliding_window", False) and getattr(config, "sliding_window", None):
        return "it attends through a sliding window"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in STATIC_ROPE or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return f"its rotary embedding is {rope.get('rope_type')}"
    if next(model.parameters()).dtype not in (torch.float32, torch.float64, torch.bfloat16):
        return f"its weights are {next(model.parameters()).dtype}, not float32, float64 or bfloat16"
    return None


def plan_model(model: nn.Module, ops: Ops[W]) -> FrozenPlan[W]:
    """Take an HF decoder apart. Raises InputError where it is not Llama- or Qwen-like (see :func:`why_not`)."""
    reason = why_not(model)
    if reason is not None:
        raise InputError(type(model).__name__, f"cannot be planned: {reason}", "use the hooks backend")
    decoder: Any = model.get_submodule("model")
    config: Any = model.config
    attention = decoder.layers[0].self_attn
    heads = Heads(
        query=config.num_attention_heads,
        kv=config.num_key_value_heads,
        size=attention.head_dim,
        scale=float(attention.scaling),
    )
    context = int(config.max_position_embeddings)
    embedding: Tensor = decoder.embed_tokens.weight.detach()
    head: Any = model.get_submodule("lm_head")
    modules = []
    for i, layer in enumerate(decoder.layers):
        for parent, names in (
            ("self_attn", ("q_proj", "k_proj", "v_proj", "o_proj")),
            ("mlp", ("gate_proj", "up_proj", "down_proj")),
        ):
            for name in names:
                linear = layer.get_submodule(f"{parent}.{name}")
                modules.append((f"model.layers.{i}.{parent}.{name}", linear.in_features, linear.out_features))
    return FrozenPlan(
        embedding=embedding,
        layers=tuple(_layer(f"model.layers.{i}", layer, ops) for i, layer in enumerate(decoder.layers)),
        final_norm=_exact(decoder.norm.weight),
        head=ops.freeze(head.weight, head.bias),
        heads=heads,
        rotary=_tables(decoder.rotary_emb, context, heads.size, embedding),
        eps=float(config.rms_norm_eps),
        hidden=int(config.hidden_size),
        intermediate=int(config.intermediate_size),
        vocabulary=embedding.shape[0],
        context=context,
        modules=tuple(modules),
    )


def _layer(path: str, layer: Any, ops: Ops[W]) -> LayerPlan[W]:
    attention, mlp = layer.self_attn, layer.mlp
    queried = isinstance(getattr(attention, "q_norm", None), nn.Module)
    return LayerPlan(
        path=path,
        norm=_exact(layer.input_layernorm.weight),
        qkv=_joined([attention.q_proj, attention.k_proj, attention.v_proj], ops),
        q_norm=_exact(attention.q_norm.weight) if queried else None,
        k_norm=_exact(attention.k_norm.weight) if queried else None,
        out=_joined([attention.o_proj], ops),
        mlp_norm=_exact(layer.post_attention_layernorm.weight),
        gate_up=_joined([mlp.gate_proj, mlp.up_proj], ops),
        down=_joined([mlp.down_proj], ops),
    )


def _exact(weight: Tensor) -> Tensor:
    return weight.detach().to(exact_dtype(weight.dtype))


def _joined(linears: list[nn.Linear], ops: Ops[W]) -> W:
    weight = torch.cat([linear.weight.detach() for linear in linears])
    biases = [linear.bias for linear in linears]
    if all(bias is None for bias in biases):
        return ops.freeze(weight, None)
    rows = [weight.new_zeros(x.out_features) if x.bias is None else x.bias.detach() for x in linears]
    return ops.freeze(weight, torch.cat(rows))


def _tables(rotary: Any, context: int, size: int, like: Tensor) -> Rotary:
    """The model's own rotary module at every position of its context, halves only (both halves are equal)."""
    with torch.no_grad():
        positions = torch.arange(context, device=like.device)[None]
        cosine, sine = rotary(like.new_zeros(1, 1, 1, dtype=exact_dtype(like.dtype)), positions)
    half = size // 2
    return Rotary(cosine[0, :, :half].contiguous(), sine[0, :, :half].contiguous())
