"""AdapterBank: the weights, gradients and optimizer state of many LoRA adapters, side by side in flat rows.

One slot is one row of four tensors [slots, width]: weights, gradients and AdamW's two moments. Inside a row, the
A matrices [rank, inputs] of projections that share their input lie next to each other, then their B matrices
[outputs, rank], in PEFT's orientation, so that one product serves all of them and export is a set of views.

On disk an adapter is a folder in PEFT's own format, ``adapter_config.json`` and ``adapter_model.safetensors``. Never a
pickle.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from netgain.errors import InputError, nearest

TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))  # projections that read the same input
ROW, MOMENTS = "row", ("first", "second")  # of an adapter, in a file of its own
ALIGNMENT = 16  # weights: a float32 row then starts on a cache line


@final
@dataclass(frozen=True, slots=True)
class Target:
    """One adapted projection: its module path in the HF model and its dimensions; offsets of A and B in a row."""

    path: str
    inputs: int
    outputs: int
    a: int = 0
    b: int = 0

    @property
    def name(self) -> str:
        """The last part of the path, as PEFT's ``target_modules`` names it."""
        return self.path.rsplit(".", 1)[-1]


Block = tuple[Target, ...]  # of one layer, reading the same input: their A are one [len(block) * rank, inputs] matrix


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies in a row: the same for every slot of a bank, and for every backend."""

    rank: int
    alpha: float
    blocks: tuple[Block, ...]
    width: int

    @classmethod
    def of(cls, modules: Iterable[tuple[str, int, int]], names: Sequence[str], rank: int, alpha: float) -> "Layout":
        """A layout for ``modules`` (path, inputs, outputs; in the model's order) whose last name is in ``names``.

        Raises InputError where a name fits no module.
        """
        modules = list(modules)
        known = {path.rsplit(".", 1)[-1] for path, _, _ in modules}
        for name in names:
            if name not in known:
                raise InputError(f"LoRA target {name!r}", "the model has no such projection", nearest(name, known))
        groups: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
        for path, inputs, outputs in modules:
            parent, _, last = path.rpartition(".")
            if last in names:
                family = next((family[0] for family in TOGETHER if last in family), last)
                groups.setdefault((parent, family), []).append((path, inputs, outputs))
        blocks, offset = [], 0
        for members in groups.values():
            firsts = [offset + i * rank * members[0][1] for i in range(len(members))]
            offset += len(members) * rank * members[0][1]
            targets = []
            for a, (path, inputs, outputs) in zip(firsts, members, strict=True):
                targets.append(Target(path, inputs, outputs, a, offset))
                offset += outputs * rank
            blocks.append(tuple(targets))
        return cls(rank, alpha, tuple(blocks), -(-offset // ALIGNMENT) * ALIGNMENT)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All adapted projections, in the model's order."""
        return tuple(target for block in self.blocks for target in block)

    @property
    def names(self) -> tuple[str, ...]:
        """PEFT's ``target_modules``, sorted."""
        return tuple(sorted({target.name for target in self.targets}))

    @property
    def weights(self) -> int:
        """Trained weights of one adapter."""
        return sum(self.rank * (target.inputs + target.outputs) for target in self.targets)


@final
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Adapter:
    """One adapter's weights outside a bank: a row of the layout.

    ``moments`` are the optimizer's two, after ``steps`` of them, where the adapter's training is to go on.
    """

    layout: Layout
    row: torch.Tensor
    moments: tuple[torch.Tensor, torch.Tensor] | None = None
    steps: int = 0

    def a(self, target: Target) -> torch.Tensor:
        """A of a target, a view [rank, inputs]."""
        return a_of(self.row, self.layout, target)

    def b(self, target: Target) -> torch.Tensor:
        """B of a target, a view [outputs, rank]."""
        return b_of(self.row, self.layout, target)


def a_of(rows: torch.Tensor, layout: Layout, target: Target) -> torch.Tensor:
    """A of a target as a view of rows [..., width]: [..., rank, inputs]."""
    size = layout.rank * target.inputs
    return rows[..., target.a : target.a + size].view(*rows.shape[:-1], layout.rank, target.inputs)


def b_of(rows: torch.Tensor, layout: Layout, target: Target) -> torch.Tensor:
    """B of a target as a view of rows [..., width]: [..., outputs, rank]."""
    size = layout.rank * target.outputs
    return rows[..., target.b : target.b + size].view(*rows.shape[:-1], target.outputs, layout.rank)


def fresh(layout: Layout, seed: int, dtype: torch.dtype = torch.float32) -> Adapter:
    """A new adapter with PEFT's initial weights: A uniform (Kaiming, a = sqrt(5)), B zero; from its own generator."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.zeros(layout.width, dtype=dtype)
    for target in layout.targets:
        bound = 1.0 / sqrt(target.inputs)
        a_of(row, layout, target).uniform_(-bound, bound, generator=generator)
    return Adapter(layout, row)


def _transposed(adapter: Adapter) -> torch.Tensor:
    row, layout = adapter.row.clone(), adapter.layout
    for block in layout.blocks:
        first = block[0]
        size = len(block) * layout.rank * first.inputs
        joint = adapter.row[first.a : first.a + size].view(-1, first.inputs)
        row[first.a : first.a + size] = joint.t().reshape(-1)
        for target in block:
            row[target.b : target.b + layout.rank * target.outputs] = adapter.b(target).t().reshape(-1)
    return row


@final
class AdapterBank:
    """``slots`` adapters of one layout on one device.

    ``scale`` is LoRA's alpha / rank. Slots are handed out lowest first, so equal schedules give equal packs. A bank
    that is not ``trained`` has no training state, and keeps each A block as [inputs, targets * rank] and each B as
    [rank, outputs], the order in which decoding reads them.
    """

    def __init__(
        self,
        layout: Layout,
        slots: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        trained: bool = True,
    ) -> None:
        self.layout, self.slots, self.trained = layout, slots, trained
        self.scale = layout.alpha / layout.rank
        self.weights = torch.zeros(slots, layout.width, dtype=dtype, device=device)
        rows = slots if trained else 0
        self.gradients, self.first, self.second = (
            torch.zeros(rows, layout.width, dtype=dtype, device=device) for _ in range(3)
        )
        self._free = list(range(slots))

    @property
    def available(self) -> int:
        """Slots that can still be handed out."""
        return len(self._free)

    def load(self, adapter: Adapter) -> int:
        """Put an adapter into the lowest free slot, its optimizer fresh unless it has moments. Raises InputError where
        none is free."""
        if adapter.layout != self.layout:
            raise InputError("adapter", "its rank, alpha or targets differ from the bank's")
        if not self._free:
            raise InputError("adapter bank", f"all {self.slots} slots are taken", "free one first")
        slot = self._free.pop(0)
        # A bank that is only read holds A and B transposed: decoding then reads memory in order.
        self.weights[slot].copy_(adapter.row if self.trained else _transposed(adapter))
        for state in (self.gradients, self.first, self.second):
            if len(state):
                state[slot].zero_()
        if self.trained and adapter.moments is not None:
            for state, moment in zip((self.first, self.second), adapter.moments, strict=True):
                state[slot].copy_(moment)
        return slot

    def alloc(self, seed: int) -> int:
        """A fresh adapter in the lowest free slot."""
        return self.load(fresh(self.layout, seed, self.weights.dtype))

    def free(self, slot: int) -> None:
        """Give a slot back. Its weights are cleared, so nothing of a failed adapter stays."""
        if slot in self._free or not 0 <= slot < self.slots:
            raise InputError(f"slot {slot}", "is not in use")
        self.weights[slot].zero_()
        self._free = sorted([*self._free, slot])

    def adapter(self, slot: int, steps: int | None = None) -> Adapter:
        """A copy of a slot's weights, on the CPU; with ``steps`` the moments after so many, for its training to go on.

        Only a trained bank has something to hand back.
        """
        if not self.trained:
            raise InputError(f"slot {slot}", "its bank is only read", "keep the adapter that was loaded")
        row, first, second = (
            state[slot].detach().to("cpu", copy=True) for state in (self.weights, self.first, self.second)
        )
        return Adapter(self.layout, row) if steps is None else Adapter(self.layout, row, (first, second), steps)


def keep_whole(adapter: Adapter, file: Path) -> dict[str, Any]:
    """Write an adapter's row and its optimizer's moments as they are (PEFT's format has no place for these); what its
    layout is made of, and its steps, as JSON values."""
    moments = {} if adapter.moments is None else dict(zip(MOMENTS, adapter.moments, strict=True))
    save_file({ROW: adapter.row, **moments}, file)
    layout = adapter.layout
    return {"names": layout.names, "rank": layout.rank, "alpha": layout.alpha, "steps": adapter.steps}


def kept_whole(file: Path, layout: Layout, steps: int) -> Adapter:
    """What :func:`keep_whole` wrote, to the last bit; where the file is gone, an adapter without weights, by which work
    can be quoted but not done."""
    found = load_file(file) if file.is_file() else {ROW: torch.empty(0)}
    first, second = (found.get(name) for name in MOMENTS)
    return Adapter(layout, found[ROW], None if first is None or second is None else (first, second), steps)


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


# Settings of PEFT's LoraConfig that change nothing about what a finished adapter with these weights does.
IRRELEVANT = {
    *("auto_mapping", "base_model_name_or_path", "peft_version", "revision", "task_type", "inference_mode"),
    *("lora_dropout", "fan_in_fan_out", "megatron_core", "qalora_group_size", "eva_config", "layers_pattern"),
}
# How A and B began does not matter once they are saved, but for the ways that changed the base weights as well, which
# PEFT does again whenever it loads the adapter (PiSSA, OLoRA, CorDA, LoftQ), or that freeze or rescale a factor.
HARMLESS_BEGINNINGS = (True, False, "gaussian", "orthogonal", "eva")


def _refused(config: dict[str, Any]) -> list[str]:
    """The settings that a plain LoRA does not have, by an allow-list: one that nobody here knows is refused if it is
    set, since it changes what the adapter does in a way that we would leave out."""
    read = {"peft_type", "r", "lora_alpha", "target_modules", "bias", "init_lora_weights", *IRRELEVANT}
    odd = [name for name, value in config.items() if name not in read and not _is_unset(value)]
    if config.get("bias", "none") != "none":
        odd.append("bias")
    begun = config.get("init_lora_weights", True)
    if not any(begun is way or (isinstance(begun, str) and begun.lower() == way) for way in HARMLESS_BEGINNINGS):
        odd.append("init_lora_weights")
    return [f"{name} = {json.dumps(config[name])[:40]}" for name in odd]


def _is_unset(value: object) -> bool:
    return value is None or value is False or value in ([], {}, "")  # 0 is a layer's number


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
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(str(path), f"is no PEFT adapter configuration ({error})") from error
    odd = _refused(config) if kind == "LORA" else [f"peft_type = {kind!r}"]
    if not isinstance(names, list):
        odd.append(f"target_modules = {names!r}, which is no list")
    if odd:
        problem = f"only plain LoRA with a list of target modules is read, not {', '.join(odd)}"
        begun = any(name.startswith("init_lora_weights") for name in odd)
        remedy = "save it with PEFT's path_initial_model_for_weight_conversion, " if begun else ""
        raise InputError(str(path), problem, f"{remedy}{'or ' if begun else ''}merge it and load the result as a model")
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
