"""The language model. Its one door is :class:`Model`; nothing computes unmetered. Only it and the engine import torch.

The public names below are imported when they are first used: requests, results and the scripted model need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netgain.errors import TRAINING_PACKAGES, MissingExtraError

if TYPE_CHECKING:
    from netgain.domains.problem import Message
    from netgain.engine.jobs import Failure, InnerLoopJob, PadLoss
    from netgain.model.device import DeviceMeter, find_gpu, weights_folder
    from netgain.model.generation_server import GenerationServer
    from netgain.model.gguf import folder_of_gguf
    from netgain.model.hugging_face import load_model
    from netgain.model.metered import Model, Tuned
    from netgain.model.remote import remote_model
    from netgain.model.requests import Answered, Generate, Result, Score, Scored, Train, Trained, TrainFull
    from netgain.model.scripted import scripted_model

_HOMES = {
    "Answered": "requests",
    "DeviceMeter": "device",
    "Failure": "netgain.engine.jobs",
    "Generate": "requests",
    "GenerationServer": "generation_server",
    "InnerLoopJob": "netgain.engine.jobs",
    "Message": "netgain.domains.problem",
    "Model": "metered",
    "PadLoss": "netgain.engine.jobs",
    "Result": "requests",
    "Score": "requests",
    "Scored": "requests",
    "Train": "requests",
    "TrainFull": "requests",
    "Trained": "requests",
    "Tuned": "metered",
    "find_gpu": "device",
    "folder_of_gguf": "gguf",
    "load_model": "hugging_face",
    "remote_model": "remote",
    "scripted_model": "scripted",
    "weights_folder": "device",
}

__all__ = [
    "Answered",
    "DeviceMeter",
    "Failure",
    "Generate",
    "GenerationServer",
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
    "find_gpu",
    "folder_of_gguf",
    "load_model",
    "remote_model",
    "scripted_model",
    "weights_folder",
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
