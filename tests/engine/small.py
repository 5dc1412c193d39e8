"""Small random models, jobs on them, and the sequential reference (PEFT and torch's AdamW) that tests compare with."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the usual name)
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from netgain.engine.jobs import InnerLoopJob, PadLoss
from netgain.engine.lora import Adapter, fresh

VOCABULARY, CONTEXT = 131, 160
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def small_model(family: str = "llama", dtype: torch.dtype = torch.float32) -> Any:
    """A random model of three layers with grouped heads; biases and norms are not trivial."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 3, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT}
    ends = {"pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 1}
    model: Any
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**sizes, **ends, tie_word_embeddings=True))
    elif family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**sizes, **ends))
    elif family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**sizes, **ends, head_dim=16))
    else:
        model = GPT2LMHeadModel(
            GPT2Config(n_embd=48, n_layer=2, n_head=4, vocab_size=VOCABULARY, n_positions=CONTEXT, **ends)
        )
    for name, weight in model.named_parameters():
        if "bias" in name or "norm" in name:
            weight.data += 0.1 * torch.randn_like(weight)
    return model.to(dtype).eval()


def exact_norms(model: nn.Module) -> None:
    """Make HF's RMSNorm keep float64: as shipped it rounds to float32."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _norm_of(module)  # type: ignore[method-assign]


def _norm_of(module: Any) -> Any:
    def forward(x: Tensor) -> Tensor:
        result: Tensor = module.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + module.variance_epsilon))
        return result

    return forward


def texts(count: int, seed: int = 0, longest: int = 40) -> list[list[int]]:
    """Random token sequences of 4 to ``longest`` tokens."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(2, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]


def job(key: str, *, seed: int = 0, count: int = 4, **settings: Any) -> InnerLoopJob:
    """A job on random texts of its own."""
    defaults: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-2, "rank": 5, "alpha": 9.0}
    return InnerLoopJob(**(defaults | {"key": key, "sequences": texts(count, seed + 100), "seed": seed} | settings))


def peft_model(model: Any, adapter: Adapter) -> Any:
    """The model wrapped by PEFT, with these adapter weights, trainable, in evaluation mode."""
    layout = adapter.layout
    wrapped = get_peft_model(
        model,
        LoraConfig(
            r=layout.rank, lora_alpha=layout.alpha, target_modules=list(layout.names), task_type="CAUSAL_LM",
            fan_in_fan_out=model.config.model_type == "gpt2",
        ),
    )  # fmt: skip
    named = dict(wrapped.named_parameters())
    with torch.no_grad():
        for name, weight in peft_names(adapter).items():
            named[name].data = weight.clone()
    return wrapped.eval()


def peft_names(adapter: Adapter) -> dict[str, Tensor]:
    """An adapter's weights under PEFT's parameter names."""
    named = {}
    for target in adapter.layout.targets:
        named[f"base_model.model.{target.path}.lora_A.default.weight"] = adapter.a(target)
        named[f"base_model.model.{target.path}.lora_B.default.weight"] = adapter.b(target)
    return named


def train_alone(model: Any, wanted: InnerLoopJob, like: Adapter) -> tuple[Adapter, list[float]]:
    """One job by itself with PEFT and torch's own optimizer; its adapter and the loss of every step.

    Pads are run literally, padded to the job's length, in a rectangle.
    """
    start = fresh(like.layout, wanted.seed, like.row.dtype)
    wrapped = peft_model(model, start)
    weights = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=wanted.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1 - done / wanted.total_steps)
    losses = []
    for step in wanted.steps():
        loss = _loss(wrapped, wanted, step)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, wanted.max_grad_norm)
        optimizer.step()
        schedule.step()
    row = torch.zeros_like(start.row)
    result = Adapter(like.layout, row)
    found = dict(wrapped.named_parameters())
    for name, view in peft_names(result).items():
        view.copy_(found[name].detach())
    wrapped.unload()
    return result, losses


def _loss(model: Any, wanted: InnerLoopJob, step: Sequence[int]) -> Tensor:
    total, count = torch.zeros(()), 0
    for index in step:
        tokens = list(wanted.sequences[index])
        text, pads = len(tokens), 0
        if wanted.pad_loss.kind == "exact":
            pads = wanted.pad_loss.length - text
        row = torch.tensor([tokens + [wanted.pad_token] * pads])
        mask = torch.tensor([[1] * text + [0] * pads])
        logits = model(input_ids=row, attention_mask=mask).logits[0, :-1]
        each = F.cross_entropy(logits, row[0, 1:], reduction="none")
        if wanted.loss_masks is not None:
            each = each[torch.tensor([bool(m) for m in wanted.loss_masks[index]][1:])]
        total, count = total.to(each.dtype) + each.sum(), count + len(each)
    return total / count


EXACT = PadLoss("exact", length=64)
