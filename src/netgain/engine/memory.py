"""Recognise out-of-memory errors on CPU and CUDA, and answer them with smaller batches."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on a GPU or in torch's CPU allocator."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def run_in_halves(
    members: list[T],
    run: Callable[[list[T]], None],
    give_up: Callable[[T], None],
    unfinished: Callable[[list[T]], list[T]] = lambda members: members,
) -> None:
    """Run a batch. If memory runs out, run the ``unfinished`` part in halves, down to one that is given up alone."""
    try:
        run(members)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        rest = unfinished(members)
        if len(rest) == 1:
            give_up(rest[0])
            return
        for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            run_in_halves(half, run, give_up, unfinished)
