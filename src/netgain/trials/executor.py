"""Workers: processes that each load the model once and then do units. One that dies takes only its own unit with it.

A worker whose parent is gone ends at once, in the middle of whatever it does: its journal keeps what was charged, and
the next launch finds nobody writing to it.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, final

from netgain.errors import NetgainError
from netgain.trials.work import Order, Told, Workshop, digests_of, perform

Open = Callable[[], Workshop]


@final
class Workers:
    """Up to ``jobs`` processes. ``open_shop`` is sent to each and makes its workshop."""

    def __init__(self, open_shop: Open, jobs: int) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        self._open, self._jobs = open_shop, jobs
        self._idle: list[_Worker] = [_Worker(open_shop)]
        self._active: dict[Connection, _Worker] = {}
        self._digests = self._idle[0].ready()

    def digests(self) -> dict[str, str]:
        """By content, the model, its teacher and its judge."""
        return self._digests

    @property
    def free(self) -> bool:
        """Whether an order can be given."""
        return len(self._active) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether any order is not done yet."""
        return bool(self._active)

    def give(self, order: Order) -> None:
        """Give an order to a worker that has none, or to a new one."""
        worker = self._idle.pop() if self._idle else _Worker(self._open)
        worker.order = order
        self._active[worker.pipe] = worker
        worker.give()

    def listen(self, take: Callable[[Told], None]) -> None:
        """Wait until something is told, and pass it on."""
        for pipe in connection.wait(list(self._active)):
            worker = self._active[pipe]  # type: ignore[index]
            told = worker.hear()
            if told is None:
                continue
            if told.finished is not None or told.error:
                del self._active[worker.pipe]
                if worker.process.is_alive():
                    self._idle.append(worker)
            take(told)

    def close(self) -> None:
        """End all processes: those without an order on their own, the others in the middle of what they do."""
        for worker in self._idle:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        for worker in self._active.values():
            worker.process.terminate()
        for worker in [*self._idle, *self._active.values()]:
            worker.process.join(10)
        self._idle, self._active = [], {}


@final
class _Worker:
    """One process, the pipe to it, and what it was told to do."""

    def __init__(self, open_shop: Open) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, open_shop), daemon=True)
        self.process.start()
        theirs.close()
        self.order: Order | None = None

    def ready(self) -> dict[str, str]:
        """Wait until its workshop is open. Raises what kept it from opening."""
        try:
            said: Any = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise NetgainError(f"a worker died while it loaded the model (exit code {self.process.exitcode})") from None
        if isinstance(said, Exception):
            raise said
        digests: dict[str, str] = said
        return digests

    def give(self) -> None:
        """Send its order; a new worker takes it when it has loaded its model."""
        self.pipe.send(self.order)

    def hear(self) -> Told | None:
        """What it says; None for words that are not about its unit. A dead one says that its unit failed."""
        order = self.order
        if order is None:
            raise RuntimeError("a worker without an order has nothing to say")
        try:
            said: Any = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(10)
            return Told(order.unit, error=f"its process died (exit code {self.process.exitcode})")
        if isinstance(said, Exception):
            self.process.join(10)
            return Told(order.unit, error=f"its process could not begin: {said}")
        if not isinstance(said, Told):
            return None
        return said


def _serve(pipe: Connection, open_shop: Open) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        shop = open_shop()
        pipe.send(digests_of(shop))
    except Exception as problem:
        pipe.send(
            problem if isinstance(problem, NetgainError) else NetgainError(f"{type(problem).__name__}: {problem}")
        )
        return
    while True:
        try:
            order: Order | None = pipe.recv()
        except EOFError:
            return
        if order is None:
            return
        pipe.send(perform(shop, order, pipe.send))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
