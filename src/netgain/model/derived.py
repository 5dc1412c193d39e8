"""Models with other weights, made from one that is left as it is: an adapter merged, or all weights trained."""

import re
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from netgain.engine.jobs import InnerLoopJob
from netgain.engine.lora import Adapter
from netgain.engine.trainer import FullOutcome, train_fully
from netgain.model.loading import Loaded
from netgain.records.identity import identity, short_hash

MARK = re.compile(r"\+[0-9a-f]{10}$")


def merge(loaded: Loaded, adapter: Adapter) -> Loaded:
    """The model with ``weight + alpha / rank * B A`` in each adapted matrix, summed in float32 (float64 in float64).

    Weights without an adapter are shared with the original, which nothing here ever changes.
    """
    layout = adapter.layout
    adapted = {id(loaded.model.get_submodule(target.path).weight) for target in layout.targets}
    shared = {id(x): x for x in _tensors(loaded.model) if id(x) not in adapted}
    model: Any = deepcopy(loaded.model, shared)
    with torch.no_grad():
        for target in layout.targets:
            module: Any = model.get_submodule(target.path)
            weight: Tensor = module.weight
            change = layout.alpha / layout.rank * (adapter.b(target) @ adapter.a(target))
            change = change.t() if isinstance(module, Conv1D) else change
            weight.copy_(weight.to(change.dtype) + change.to(weight.device))
    content = sha256(adapter.row.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    settings = {"rank": layout.rank, "alpha": layout.alpha, "targets": layout.names, "weights": content}
    return _named(loaded, model, "merged", settings)


def tune(loaded: Loaded, job: InnerLoopJob) -> tuple[Loaded, FullOutcome]:
    """A copy of the model with all of its weights trained as ``job`` says."""
    model = deepcopy(loaded.model)
    for weight in model.parameters():
        weight.requires_grad_(weight.is_floating_point())
    outcome = train_fully(model, job)
    settings = {
        "sequences": [[int(token) for token in sequence] for sequence in job.sequences],
        "loss_masks": job.loss_masks and [[bool(m) for m in mask] for mask in job.loss_masks],
        **{"epochs": job.epochs, "max_steps": job.max_steps, "batch_size": job.batch_size, "seed": job.seed},
        **{"closing": [int(token) for token in job.closing]},
        **{"learning_rate": job.learning_rate, "max_grad_norm": job.max_grad_norm},
    }
    return _named(loaded, model, "trained", settings), outcome


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _named(loaded: Loaded, model: Any, how: str, settings: dict[str, Any]) -> Loaded:
    """Under the original's name with a digest behind it: of the original's own name and of what was done to it."""
    by = identity(how, settings)
    name = f"{MARK.sub('', loaded.name)}+{short_hash(loaded.name, by)}"
    return Loaded(name, model, loaded.tokenizer, _Chained(loaded.digest, how, by))


@final
class _Chained:
    """The digest of a model that was made from another: of the other's and of what was done to it."""

    def __init__(self, before: Callable[[], str], how: str, by: str) -> None:
        self._before, self._how, self._by = before, how, by

    def __call__(self) -> str:
        return identity("model", {"from": self._before(), self._how: self._by})
