"""Several processes, in each of which an executor does one task after another. One that dies takes only its own task
with it, and one that dies while it has nothing to do is replaced.

A worker whose parent is gone ends at once, in the middle of whatever it does: its journal keeps what was charged, and
the next run finds nobody writing to it.
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

from netgain.errors import NetgainError, Terminated
from netgain.trials.executor import THREADS, LocalExecutor, Request, TaskUpdate
from netgain.trials.tasks import Task

PATIENCE = 10.0  # seconds that a process has to end


@final
class ProcessExecutor:
    """Up to ``jobs`` processes, in each of which ``start`` makes an executor of its own."""

    def __init__(self, start: Callable[[], LocalExecutor], jobs: int) -> None:
        for name in THREADS:
            os.environ.setdefault(name, "1")
        self._start, self._jobs = start, jobs
        self._idle: list[_Worker] = [_Worker(start)]
        self._active: dict[Connection, _Worker] = {}
        self._digests, self._price_check = self._idle[0].ready()

    def digests(self) -> dict[str, str]:
        """By content, the model, its teacher and its judge."""
        return self._digests

    def price_check(self) -> tuple[dict[str, str], str]:
        """As :meth:`LocalExecutor.price_check`."""
        return self._price_check

    @property
    def free(self) -> bool:
        """Whether a task can be given."""
        return len(self._active) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether any task is not done yet."""
        return bool(self._active)

    def submit(self, request: Request) -> None:
        """Give a task to a worker that has none, or to a new one, which begins when it has loaded its model."""
        while self._idle:
            worker = self._idle.pop()
            if worker.take(request):
                self._active[worker.pipe] = worker
                return
            worker.bury()  # it died while it had nothing to do
        worker = _Worker(self._start)
        self._active[worker.pipe] = worker
        worker.take(request)  # one that is dead already says so when it is asked for news

    def wait(self, take: Callable[[TaskUpdate], None]) -> None:
        """Wait for news of any task, and pass it on."""
        for pipe in connection.wait(list(self._active)):
            worker = self._active[pipe]  # type: ignore[index]
            update = worker.news()
            if update is None:
                continue
            if update.ended:
                del self._active[worker.pipe]
                if worker.process.is_alive():
                    self._idle.append(worker)
            take(update)

    def close(self) -> None:
        """End all processes: those without a task on their own, the others in the middle of what they do."""
        for worker in self._idle:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        for worker in self._active.values():
            worker.process.terminate()
        for worker in [*self._idle, *self._active.values()]:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():  # deep in a computation that no signal interrupts
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._idle, self._active = [], {}


@final
class _Worker:
    """One process, the pipe to it, and the task it does."""

    def __init__(self, start: Callable[[], LocalExecutor]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, start), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def ready(self) -> tuple[dict[str, str], tuple[dict[str, str], str]]:
        """Digests and check of prices, once its models are loaded. Raises what kept them from loading."""
        try:
            message: Any = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise NetgainError(f"a worker died while it loaded the model (exit code {self.process.exitcode})") from None
        if isinstance(message, Exception):
            raise message
        digests, price_check = message
        return digests, price_check

    def take(self, request: Request) -> bool:
        """Give it a task; whether it was there to take it."""
        self.task = request[0]
        try:
            self.pipe.send(request)
        except OSError:
            return False
        return True

    def bury(self) -> None:
        """Clear away a process that is dead or about to be."""
        self.process.join(PATIENCE)
        self.pipe.close()

    def news(self) -> TaskUpdate | None:
        """News of its task; None for a message about something else. A dead worker's task has failed."""
        if self.task is None:
            raise RuntimeError("a worker without a task has nothing to say")
        try:
            message: Any = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(PATIENCE)
            return TaskUpdate(self.task, error=f"its process died (exit code {self.process.exitcode})")
        if isinstance(message, Exception):
            self.process.join(PATIENCE)
            return TaskUpdate(self.task, error=f"its process could not begin: {message}")
        return message if isinstance(message, TaskUpdate) else None


def _serve(pipe: Connection, start: Callable[[], LocalExecutor]) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    # Ending by an exception lets libraries give back what they hold, such as the semaphores of progress bars.
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        executor = start()
        pipe.send((executor.digests(), executor.price_check()))
    except Exception as problem:
        known = isinstance(problem, NetgainError)
        pipe.send(problem if known else NetgainError(f"{type(problem).__name__}: {problem}"))
    except Terminated:
        pass
    else:
        with contextlib.suppress(EOFError, Terminated):
            while (request := pipe.recv()) is not None:
                pipe.send(executor.perform(request, pipe.send))
    # It is ending already: an exception now would only be printed from the middle of somebody's clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, frame: object) -> None:
    raise Terminated


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
