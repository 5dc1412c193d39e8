"""Where a meter's sight ends, refused in words: compiled code, other ranks and processes, a second meter, copies.

A meter sees the passes of one model in one process, where its hooks run. What runs beside them would cost nothing, so
it is an error instead. docs/pricing.md says what stays out of reach.
"""

import inspect
import os
import sys
from typing import Any, final

import torch
from torch import nn

from netgain.errors import InputError
from netgain.metering.account import Book

ONE_RANK = "this book holds the work of one rank alone"
SHARDED = frozenset(("FullyShardedDataParallel", "FSDPModule", "DeepSpeedEngine", "PipelineStage", "DTensor"))
SHARED_OUT = (
    "ds_id",
    "_hp_mapping",
)  # what DeepSpeed's stages leave on the weights of a model whose engine is not seen
LAUNCHED = ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP")
UNSEEN = "a meter does not see into compiled code; its passes and steps would cost nothing"
EAGER = "meter and run the model as it was before torch.compile, and compile neither it nor its step in the block"


@final
class Boundaries:
    """Requires of one meter's model that all that runs of it is seen: in this process, uncompiled, metered once."""

    def __init__(self, model: nn.Module, *, this_rank_only: bool) -> None:
        self._model, self.this_rank_only = model, this_rank_only
        self._process = os.getpid()

    def open(self, book: Book, *hooked: nn.Module) -> list[Any]:
        """Begin to watch ``hooked``, the modules that the meter hears; returns the handles of the hooks.

        A rank alone is noted in ``book``. Raises InputError for a model that no meter, or only another one, can see.
        """
        for module in hooked:
            for hook in module._forward_pre_hooks.values():
                if inspect.ismethod(hook) and isinstance(hook.__self__, Boundaries):
                    raise InputError(
                        "the model", "is under a meter already; its work would be charged twice", "close that one first"
                    )
        for path, module in self._model.named_modules():
            if type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None:
                raise InputError(f"the model is compiled ({path or type(module).__name__})", UNSEEN, EAGER)
        require_whole(self._model)
        rank, world = self._require_one_process()
        if world > 1:
            book.note(ONE_RANK, {"rank": rank, "world_size": world})
        if "torch._dynamo" in sys.modules:  # a step that was compiled before runs without our hooks: trace it anew
            torch.compiler.reset()
        return [module.register_forward_pre_hook(self._on_pass) for module in dict.fromkeys(hooked)]

    def _on_pass(self, _: nn.Module, arguments: Any) -> None:
        require_eager()
        self._require_one_process()

    def _require_one_process(self) -> tuple[int, int]:
        """The rank and the number of ranks. Raises InputError where others would work unseen."""
        if os.getpid() != self._process:
            raise InputError(
                "a metered model",
                f"runs in process {os.getpid()}, but its meter and book are those of {self._process}",
                "train in the metered process, or open a book and a meter in the other one",
            )
        rank, world = rank_and_world()
        if world > 1 and not self.this_rank_only:
            raise InputError(
                f"rank {rank} of {world}",
                "a meter sees its own process alone; what the other ranks do would cost nothing",
                "train in one process, or open on every rank a book of its own and a meter with this_rank_only=True,"
                " and add the books up",
            )
        if world > 1:  # may have been wrapped since
            require_whole(self._model)
        return rank, world

    def explain(self, error: BaseException | None) -> None:
        """Raises InputError in place of the compiler's own error where that is about our hooks (``fullgraph=True``)."""
        if error is not None and type(error).__module__.startswith("torch._dynamo") and __file__ in str(error):
            raise InputError("a compiled step", UNSEEN, EAGER) from error


def refuse_copy(_: object) -> str:
    """The ``__reduce__`` of a meter: a copy of a metered model, here or elsewhere, would compute off its books."""
    raise InputError(
        "a copy of a metered model", "would compute off the books", "copy, save or send it before its meter opens"
    )


def require_eager() -> None:
    """Raises InputError where torch.compile traces the code that asks. In a traced hook: before the model is run."""
    if torch.compiler.is_compiling():
        raise InputError("a compiled step", UNSEEN, EAGER)


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of ranks: as torch.distributed has them, or a launcher announced them."""
    told = [os.environ.get(name, "").strip() for name in ("RANK", "WORLD_SIZE")]
    rank, world = (int(value) if value.isdecimal() else i for i, value in enumerate(told))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), max(world, torch.distributed.get_world_size())
    return rank, world


def require_whole(model: nn.Module) -> None:
    """A rank may run the whole model on a batch of its own. Raises InputError for a share of it, which has no price."""
    found = [name for name in LAUNCHED if os.environ.get(name, "").lower() == "true"]
    for part in (*model.modules(), *model.parameters()):
        found += [kind.__name__ for kind in type(part).__mro__ if kind.__name__ in SHARDED]
        found += [f"DeepSpeed's {name}" for name in SHARED_OUT if name in part.__dict__]
        if isinstance(part, nn.DataParallel) and len(part.device_ids) > 1:
            found.append("DataParallel, which runs copies of it")
        if found:
            raise InputError(
                "the model is split",
                f"into shares that have no price ({found[0]})",
                "use DistributedDataParallel with this_rank_only=True, or one process and one device",
            )
