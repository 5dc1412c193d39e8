"""The language model. Its one door is :class:`Model`; nothing computes unmetered. The only package that imports torch.

The public names below are imported when they are first used: requests, results and the scripted model need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netgain.errors import TRAINING_PACKAGES, MissingExtraError

if TYPE_CHECKING:
    from netgain.engine.jobs import Failure, InnerLoopJob, PadLoss
    from netgain.model.hf import load_model
    from netgain.model.interface import Answered, Generate, Message, Result, Score, Scored, Train, Trained, TrainFull
    from netgain.model.metered import Model, Tuned
    from netgain.model.scripted import scripted_model
    from netgain.model.teacher import remote_model

_HOMES = {
    "Answered": "interface",
    "Failure": "netgain.engine.jobs",
    "Generate": "interface",
    "InnerLoopJob": "netgain.engine.jobs",
    "Message": "interface",
    "Model": "metered",
    "PadLoss": "netgain.engine.jobs",
    "Result": "interface",
    "Score": "interface",
    "Scored": "interface",
    "Train": "interface",
    "TrainFull": "interface",
    "Trained": "interface",
    "Tuned": "metered",
    "load_model": "hf",
    "remote_model": "teacher",
    "scripted_model": "scripted",
}

__all__ = [
    "Answered",
    "Failure",
    "Generate",
    "InnerLoopJob",
    "Message",
    "Model",
    "PadLoss",
    "Result",
    "Score",
    "Scored",
    "Train",
    "TrainFull",
    "Trained",
    "Tuned",
    "load_model",
    "remote_model",
    "scripted_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netgain.model' has no attribute {name!r}")
    home = _HOMES[name]
    try:
        return getattr(import_module(home if "." in home else f"netgain.model.{home}"), name)
    except ModuleNotFoundError as missing:
        if missing.name in TRAINING_PACKAGES:
            raise MissingExtraError("running a language model", "train") from missing
        raise
