"""Adapters on disk in PEFT's own format: ``adapter_config.json`` and ``adapter_model.safetensors``. Never a pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from netgain.engine.lora import Adapter, Layout
from netgain.errors import InputError

PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def save_adapter(adapter: Adapter, folder: Path, base: str = "") -> None:
    """Write an adapter so that ``PeftModel.from_pretrained(model, folder)`` reads it; ``base`` names the model."""
    layout, tensors = adapter.layout, {}
    for target in layout.targets:
        tensors[f"{PREFIX}{target.path}.lora_A.weight"] = adapter.a(target).contiguous()
        tensors[f"{PREFIX}{target.path}.lora_B.weight"] = adapter.b(target).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": layout.alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": layout.rank,
        "target_modules": list(layout.names),
        "task_type": "CAUSAL_LM",
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


UNSUPPORTED = ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform")


def read_config(folder: Path) -> tuple[int, float, tuple[str, ...]]:
    """(rank, alpha, target modules) of a PEFT LoRA folder. Raises InputError where it is not one that we can run."""
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind, rank, alpha, names = (
            config["peft_type"],
            int(config["r"]),
            float(config["lora_alpha"]),
            config["target_modules"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), f"is no PEFT adapter configuration ({error})") from error
    odd = [name for name in UNSUPPORTED if config.get(name)]
    if kind != "LORA" or odd or config.get("bias", "none") != "none" or not isinstance(names, list):
        raise InputError(
            str(path), f"only plain LoRA with a list of target modules is read, not {kind} {' '.join(odd)}"
        )
    return rank, alpha, tuple(sorted(str(name) for name in names))


def load_adapter(folder: Path, layout: Layout, dtype: torch.dtype = torch.float32) -> Adapter:
    """Read a PEFT folder into a row of ``layout``. Raises InputError where rank, targets or shapes differ."""
    rank, alpha, names = read_config(folder)
    if (rank, alpha, names) != (layout.rank, layout.alpha, layout.names):
        raise InputError(str(folder), f"rank {rank}, alpha {alpha:g}, targets {', '.join(names)} are not the layout's")
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "PEFT writes it with safe_serialization") from error
    adapter = Adapter(layout, torch.zeros(layout.width, dtype=dtype))
    for target in layout.targets:
        for kind, view in (("A", adapter.a(target)), ("B", adapter.b(target))):
            name = f"{PREFIX}{target.path}.lora_{kind}.weight"
            found = tensors.pop(name, None)
            if found is None or found.shape != view.shape:
                raise InputError(str(path), f"{name} is missing or not {tuple(view.shape)}")
            view.copy_(found)
    if tensors:
        raise InputError(str(path), f"holds weights that the layout lacks, such as {next(iter(tensors))}")
    return adapter
