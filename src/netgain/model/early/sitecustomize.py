"""Runs first in every Python process of a script: notices training before the script has asked for its task.

Python imports a module of this name when it starts, from wherever ``PYTHONPATH`` says; a trial puts this folder there
(:mod:`netgain.model.script_runs`). Nothing is imported that the script does not import itself: when torch's optimizers
are, their steps are watched, until the task's own meter does so. An environment's own module of this name runs as well.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, final

HOME = str(Path(__file__).parent)
OPTIMIZERS = "torch.optim.optimizer"
EARLY = "unmetered"  # a file of this name beside the task's, with the process behind it
WATCHED = "NETGAIN_WATCHED"  # the process in which a task's own watch has begun


@final
class EarlySteps(MetaPathFinder):
    """Waits for torch's optimizers to be imported, and hooks their steps."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as others find it, with the hook put on when it has run."""
        if name != OPTIMIZERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            run = loader.exec_module

            def run_and_hook(module: Any) -> None:
                run(module)
                module.register_optimizer_step_post_hook(_on_step)

            loader.exec_module = run_and_hook
        return spec


def _on_step(*_: Any) -> None:
    me = str(os.getpid())
    if os.environ.get(WATCHED) != me:
        Path(os.environ["NETGAIN_TASK"]).with_name(f"{EARLY}-{me}").touch()


if "NETGAIN_TASK" in os.environ and HOME in sys.path:
    sys.meta_path.insert(0, EarlySteps())
    sys.path.remove(HOME)
    shadowed = PathFinder.find_spec("sitecustomize", sys.path)
    if shadowed is not None and shadowed.loader is not None:
        shadowed.loader.exec_module(importlib.util.module_from_spec(shadowed))
