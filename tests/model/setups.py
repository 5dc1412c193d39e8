"""Thirty ways to train a small model and six architectures: what the meter is held against the profiler on.

``benchmarks/meter_matrix.py`` runs all of them, ``tests/model/test_meter_matrix.py`` each set-up and each architecture
once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import netgain
from netgain.metering.account import Book
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.records.cost import Purpose

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 200,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "gpt2": {"n_embd": 48, "n_head": 4, "n_layer": 3, "vocab_size": 200, "n_positions": 128},
    "qwen2": SIZES,
    "gemma3_text": SIZES | {"head_dim": 12},
    "olmo2": SIZES,
    "gpt_neox": SIZES,
}


def build(architecture: str, **more: Any) -> Any:
    """A random model of three layers in training mode, with eager attention, which the profiler sees."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(architecture, **ARCHITECTURES.get(architecture, SIZES) | more)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").train()


def layers_of(model: Any) -> nn.ModuleList:
    """The decoder's layers."""
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == model.config.num_hidden_layers)


def names_of(model: Any, kind: str) -> list[str]:
    """Paths of the matrices into attention (``attention``), of all matrices (``all``), or of the norms (``norms``)."""
    found = {path: module for path, module in layers_of(model).named_modules() if not list(module.children())}
    prefix = next(path for path, module in model.named_modules() if module is layers_of(model))
    norms = [f"{prefix}.{path}" for path, module in found.items() if "Norm" in type(module).__name__]
    if kind == "norms":
        return norms
    matrices = [path for path, module in found.items() if type(module).__name__ in ("Linear", "Conv1D")]
    into = ("q_proj", "v_proj", "c_attn", "query_key_value")
    return [f"{prefix}.{path}" for path in matrices if kind == "all" or path.endswith(into)]


def trained(rule: Callable[[str, Any, Any], bool]) -> Callable[[Any], Any]:
    """Without adapters: the weights for which ``rule(path, weight, model)`` holds."""

    def apply(model: Any) -> Any:
        for path, weight in model.named_parameters():
            weight.requires_grad_(rule(path, weight, model))
        return model

    return apply


def lora(kind: str = "attention", **more: Any) -> Callable[[Any], Any]:
    """PEFT's LoRA on the matrices of ``kind``."""

    def apply(model: Any) -> Any:
        settings = {"r": 4, "target_modules": names_of(model, kind), "task_type": "CAUSAL_LM"} | more
        return peft.get_peft_model(model, peft.LoraConfig(**settings))

    return apply


def of(config: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Another adapter of PEFT, whose configuration is made for the model."""
    return lambda model: peft.get_peft_model(model, config(model))


def _several(model: Any, frozen: bool) -> Any:
    wrapped = lora(r=4)(model)
    second = peft.LoraConfig(r=2, target_modules=names_of(model, "all"), task_type="CAUSAL_LM")
    wrapped.add_adapter("second", second)
    wrapped.base_model.set_adapter(["default", "second"])
    if frozen:
        for path, weight in wrapped.named_parameters():
            weight.requires_grad_("lora_" in path and ".default." in path)
    return wrapped


def _embedding_and_head(model: Any) -> Any:
    ends = {id(model.get_input_embeddings()), id(model.get_output_embeddings())}
    names = [path for path, module in model.named_modules() if id(module) in ends]
    settings = peft.LoraConfig(r=4, target_modules=names, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, settings)


def _saved(which: str) -> Callable[[Any], Any]:
    def apply(model: Any) -> Any:
        wanted = model.get_output_embeddings() if which == "head" else model.get_input_embeddings()
        name = next(path for path, module in model.named_modules() if module is wanted)
        return lora(modules_to_save=[name.split(".")[-1]])(model)

    return apply


def _again(apply: Callable[[Any], Any], *, reentrant: bool) -> Callable[[Any], Any]:
    """With gradient checkpointing."""

    def checkpointed(model: Any) -> Any:
        model = apply(model)
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.enable_input_require_grads()
        return model

    return checkpointed


P = {"task_type": "CAUSAL_LM"}
BOTH = {"init_r": 6, "target_r": 4, "total_step": 100}
SETUPS: dict[str, Callable[[Any], Any]] = {
    "everything": trained(lambda path, weight, model: True),
    "the top layer": trained(lambda path, weight, model: ".2." in path),
    "the head": trained(lambda path, weight, model: weight is model.get_output_embeddings().weight),
    "biases and norms": trained(lambda path, weight, model: weight.dim() == 1),
    "biases and norms of the top layer": trained(lambda path, weight, model: weight.dim() == 1 and ".2." in path),
    "one matrix": trained(lambda path, weight, model: weight is layers_of(model)[1].get_parameter(_first(model))),
    "LoRA": lora(),
    "LoRA on all matrices, dropout": lora("all", lora_dropout=0.1),
    "rsLoRA": lora(use_rslora=True),
    "LoRA bias=all": lora(bias="all", layers_to_transform=[2]),
    "LoRA bias=lora_only": lora(bias="lora_only"),
    "LoRA modules_to_save: head": _saved("head"),
    "LoRA modules_to_save: embedding": _saved("embedding"),
    "LoRA on embedding and head": _embedding_and_head,
    "LoRA rank_pattern": lora("all", rank_pattern={r".*\.2\..*": 8}),
    "LoRA layers_to_transform": lora(layers_to_transform=[1]),
    "LoRA, several active": lambda model: _several(model, frozen=False),
    "LoRA, a frozen one active": lambda model: _several(model, frozen=True),
    "LoRA trainable_token_indices": lora(trainable_token_indices=[3, 5]),
    "DoRA": lora("all", use_dora=True),
    "DoRA, dropout": lora("all", use_dora=True, lora_dropout=0.1),
    "AdaLoRA": of(lambda model: peft.AdaLoraConfig(target_modules=names_of(model, "all"), **BOTH, **P)),
    "IA3": of(lambda model: peft.IA3Config(target_modules=names_of(model, "attention"), feedforward_modules=[], **P)),
    "VeRA": of(lambda model: peft.VeraConfig(target_modules=names_of(model, "attention"), r=4, **P)),
    "LN tuning": of(lambda model: peft.LNTuningConfig(target_modules=names_of(model, "norms"), **P)),
    "prompt tuning": of(lambda model: peft.PromptTuningConfig(num_virtual_tokens=4, **P)),
    "prefix tuning": of(lambda model: peft.PrefixTuningConfig(num_virtual_tokens=4, **P)),
    "P-tuning": of(lambda model: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=32, **P)),
    "LoRA, checkpointed": _again(lora("all"), reentrant=False),
    "DoRA, checkpointed (reentrant)": _again(lora("all", use_dora=True), reentrant=True),
    "everything, checkpointed": _again(trained(lambda path, weight, model: True), reentrant=False),
}


def _first(model: Any) -> str:
    named = layers_of(model)[1].named_parameters()
    return next(path for path, weight in named if weight.dim() == 2)


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-3),
    "SGD": lambda weights: torch.optim.SGD(weights, lr=1e-3, momentum=0.9),
    "RMSprop": lambda weights: torch.optim.RMSprop(weights, lr=1e-3),
    "Adafactor": transformers.Adafactor,
    "Rprop": torch.optim.Rprop,
}


def profiler() -> Any:
    """The profiler, taught the in-place product that it overlooks."""

    def flops(_: Any, left: Any, right: Any, *__: Any, **___: Any) -> int:
        return int(2 * left[0] * left[1] * right[1])

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops})


def compare(model: Any, folder: Path, optimizer: str = "AdamW") -> dict[str, float]:
    """Charged over profiled FLOPs of a training step and of ``generate``; updates and training tokens that were booked.

    ``folder`` takes the journal. The profiler does not see the optimizer's element-wise work, so it is left out.
    """
    ids = torch.randint(4, 190, (2, 17), generator=torch.Generator().manual_seed(1))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    step = OPTIMIZERS[optimizer](weights)
    with Book.open(folder / "journal") as book:
        account = book.account("matrix").under(Purpose.ADAPT)
        with profiler() as seen, netgain.meter(model, account, check=False):
            model(input_ids=ids, labels=ids).loss.backward()
            step.step()
        costs = [charge.cost for charge in book.charges()]
        update = OPTIMIZER_FLOPS_PER_WEIGHT * sum(weight.numel() for weight in weights if weight.grad is not None)
        found = {"training": (sum(cost.flops or 0.0 for cost in costs) - update) / seen.get_total_flops()}
        found["updates"] = sum(cost.updates or 0.0 for cost in costs)
        found["training tokens"] = sum(cost.tokens_training or 0.0 for cost in costs)
        model.eval()
        before = len(book.charges())
        with profiler() as seen, netgain.meter(model, account, check=False):
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **ANSWER)
        (charge,) = book.charges()[before:]
        found["generate"] = (charge.cost.flops or 0.0) / seen.get_total_flops()
        found["within the quote"] = float(
            all((one.cost.flops or 0.0) <= (one.quote.flops or 0.0) * (1 + 1e-9) for one in book.charges())
        )
    return found


ANSWER: dict[str, Any] = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
