"""``netgain doctor``: whether this machine would measure truly, and what would make it do more."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, final

import typer

from netgain.errors import NetgainError

EXTRAS = {
    "train": (("torch", "transformers", "peft", "safetensors"), "trials, local models and netgain.meter"),
    "teacher": (("openai",), "models behind a server, as teacher or judge"),
    "trl": (("trl",), "TRL's trainers under the meter"),
    "tokenizer": (("tokenizers",), "token counts of published texts in an audit"),
    "prices": (("genai-prices",), "dollars of models behind a server, from a price list"),
    "gguf": (("gguf",), "models in GGUF files"),
    "datasets": (("datasets",), "problems from the datasets library"),
    "optuna": (("optuna",), "settings-search by TPE (preset optuna)"),
    "inspect": (("zstandard",) if sys.version_info < (3, 14) else (), "Inspect's compressed logs in an audit"),
    "lm-eval": (("lm-eval",), "tasks of lm-eval in an exam"),
    "ray": (("ray",), "trials on a cluster (--ray)"),
}
CORE = ("numpy", "scipy", "pydantic", "pyyaml", "typer", "rich", "jinja2")
DISK = 2e9  # bytes below which a trial with checkpoints may not fit


@final
@dataclass(slots=True)
class Diagnosis:
    """What was found: ``facts`` by heading, one line each; ``refusals`` are what would keep a run from beginning."""

    facts: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For a terminal."""
        lines = []
        for heading, facts in self.facts.items():
            lines += [heading, *(f"  {fact}" for fact in facts)]
        lines += ["missing", *(f"  {line}" for line in self.missing)] if self.missing else []
        verdict = [f"  refuses: {line}" for line in self.refusals] or ["  nothing would refuse to run"]
        return "\n".join([*lines, "verdict", *verdict])

    def data(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def doctor(
    model: Annotated[str, typer.Argument(help="A folder, a GGUF file or a hub name to check too.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare versions with the tested ones, check the prices, and show threads, kernels, GPU, disk and extras.

    With a model: also on which backend it runs and how it is priced. Ends with code 1 if something would refuse to run.
    """
    found = examine(Path.cwd(), model)
    typer.echo(json.dumps(found.data(), indent=1) if as_json else found.text())
    if found.refusals:
        raise typer.Exit(1)


def examine(folder: Path, model: str = "") -> Diagnosis:
    """Look at versions, prices, threads, kernels, GPU, the disk under ``folder``, and a model by its name, if any.

    Takes seconds where torch is.
    """
    found = Diagnosis()
    found.facts["versions"] = _versions(found)
    found.facts["machine"] = _machine(folder)
    if all(_installed(name) for name in EXTRAS["train"][0]):
        found.facts["engine"] = _engine()
        found.facts["self-check"] = _self_check(found)
        if model:
            found.facts[f"model {model}"] = _model(model, found)
    return found


def tested_versions() -> dict[str, str]:
    """The lock that ships with the package: what netgain was tested with."""
    lines = (files("netgain") / "shipped" / "lock.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def _installed(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _versions(found: Diagnosis) -> list[str]:
    tested, lines = tested_versions(), [f"Python {platform.python_version()} (tested: 3.11)"]
    for name in CORE:
        lines.append(_compared(name, _installed(name), tested))
    for extra, (names, brings) in EXTRAS.items():
        if not all(_installed(name) for name in names):
            found.missing.append(f"{extra}: {brings} (pip install 'netgain[{extra}]')")
        lines += [_compared(name, installed, tested) for name in names if (installed := _installed(name))]
    return lines


def _compared(name: str, installed: str, tested: dict[str, str]) -> str:
    same = installed.partition("+")[0] == tested.get(name)
    return f"{name} {installed}" if same else f"{name} {installed} (tested: {tested.get(name, 'none')})"


def _machine(folder: Path) -> list[str]:
    free = shutil.disk_usage(folder).free
    threads = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"))
    short = f"; little for a trial, which wants {DISK / 1e9:.0f} GB" if free < DISK else ""
    lines = [f"{os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}; {threads}"]
    return [*lines, f"disk: {free / 1e9:.0f} GB free{short}"]


def _engine() -> list[str]:
    from netgain.model.selfcheck import device_facts

    compiler = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), "")
    return device_facts(compiler)


def _model(model: str, found: Diagnosis) -> list[str]:
    from netgain.model.selfcheck import model_facts

    try:
        return model_facts(model)
    except NetgainError as problem:
        found.refusals.append(str(problem))
        return ["refused"]


def _self_check(found: Diagnosis) -> list[str]:
    """On the architecture of the model that ships, through the engine and under the meter."""
    from netgain.metering.account import Account
    from netgain.metering.shape import ModelShape
    from netgain.model.meter import Meter
    from netgain.model.selfcheck import PriceCheck, check_engine, check_meter, model_like

    model = model_like(Path(str(files("netgain"))) / "shipped" / "people")
    shape, lines = ModelShape.from_config(model.config.to_dict()), []

    def metered(toy: Any, account: Account) -> Meter:
        return Meter(toy, account, check=False)

    checks: dict[str, Callable[[], PriceCheck]] = {
        "engine": lambda: check_engine(model, shape),
        "netgain.meter": lambda: check_meter(model, shape, metered, lora=True),
    }
    for name, check in checks.items():
        try:
            lines.append(f"{name}: {check()}")
        except NetgainError as problem:
            lines.append(f"{name}: refuses")
            found.refusals.append(str(problem))
    return lines
