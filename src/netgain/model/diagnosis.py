"""What ``netgain doctor`` says of torch: kernels, GPUs, and the meter's self-check on the model that ships."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

import netgain
from netgain.engine.native_build import library
from netgain.errors import NetgainError
from netgain.metering.account import Account
from netgain.metering.shape import ModelShape
from netgain.model.meter import Meter
from netgain.model.selfcheck import PriceCheck, check_engine, check_meter


def engine_facts() -> list[str]:
    """Compiled kernels and why there are none, threads, GPUs with their memory; one line each."""
    compiler = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), "")
    why_not = "they do not compile" if compiler else "no C++ compiler"
    kernels = "built" if library() is not None else f"not built ({why_not})"
    lines = [
        f"compiled kernels: {kernels}; compiler: {compiler or 'none'}",
        f"torch threads: {torch.get_num_threads()}",
    ]
    for index in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(index)
        lines.append(f"GPU {index}: {torch.cuda.get_device_name(index)}, {free / 1e9:.0f} of {whole / 1e9:.0f} GB free")
    return lines if torch.cuda.device_count() else [*lines, "GPU: none that torch sees"]


def check_prices() -> tuple[list[str], list[str]]:
    """The self-check through the engine and under the meter: a line for each, and the reasons to refuse a run."""
    config = AutoConfig.from_pretrained(Path(netgain.__file__).parent / "shipped" / "people")
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    shape = ModelShape.from_config(config.to_dict())

    def metered(toy: Any, account: Account) -> Meter:
        return Meter(toy, account, check=False)  # the check itself must not ask for a check

    checks: dict[str, Callable[[], PriceCheck]] = {
        "engine": lambda: check_engine(model, shape),
        "netgain.meter": lambda: check_meter(model, shape, metered, lora=True),
    }
    lines, refusals = [], []
    for name, check in checks.items():
        try:
            lines.append(f"{name}: {check()}")
        except NetgainError as problem:
            lines.append(f"{name}: refuses")
            refusals.append(str(problem))
    return lines, refusals
