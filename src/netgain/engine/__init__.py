"""The engine: many LoRA adapters train and answer in one pack. It imports nothing of netgain but its errors.

Jobs in; adapters, answers and counted work out (``docs/engine.md``). The public names below are imported when they are
first used: jobs, sampling and work need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netgain.engine.backend import backend_for, decoder_for
    from netgain.engine.decoding import Decoded, DecodeRequest
    from netgain.engine.jobs import Failure, InnerLoopJob, PadLoss, Sampling, Work
    from netgain.engine.lora import Adapter, load_adapter, save_adapter
    from netgain.engine.scoring import Scorer, ScoreRequest
    from netgain.engine.trainer import JobOutcome, MultiLoraTrainer, train_fully

_HOMES = {
    "Adapter": "lora",
    "DecodeRequest": "decoding",
    "Decoded": "decoding",
    "Failure": "jobs",
    "InnerLoopJob": "jobs",
    "JobOutcome": "trainer",
    "MultiLoraTrainer": "trainer",
    "PadLoss": "jobs",
    "Sampling": "jobs",
    "ScoreRequest": "scoring",
    "Scorer": "scoring",
    "Work": "jobs",
    "backend_for": "backend",
    "decoder_for": "backend",
    "load_adapter": "lora",
    "save_adapter": "lora",
    "train_fully": "trainer",
}

__all__ = [
    "Adapter",
    "DecodeRequest",
    "Decoded",
    "Failure",
    "InnerLoopJob",
    "JobOutcome",
    "MultiLoraTrainer",
    "PadLoss",
    "Sampling",
    "ScoreRequest",
    "Scorer",
    "Work",
    "backend_for",
    "decoder_for",
    "load_adapter",
    "save_adapter",
    "train_fully",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netgain.engine' has no attribute {name!r}")
    return getattr(import_module(f"netgain.engine.{_HOMES[name]}"), name)
