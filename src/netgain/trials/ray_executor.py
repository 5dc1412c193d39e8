"""Tasks on the machines of a Ray cluster (extra ``ray``; docs/trials.md): one actor a worker, each with its own model.

The run's folder, the trial's files and a local model's folder stand on storage that all machines see. A worker whose
machine is gone is replaced, and its task goes on elsewhere from the results that it had paid for
(:mod:`netgain.model.replay`); its journal, which only one process writes at a time, is where it was.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import netgain
from netgain.errors import InputError, MissingExtraError, NetgainError
from netgain.records.journal import writer_of
from netgain.trials.executor import THREADS, LocalExecutor, Request, TaskUpdate
from netgain.trials.store import Store
from netgain.trials.tasks import Task

LOCAL = "local"  # the address that means: a fresh Ray on this machine
TRIES = 3  # of a task, each on another worker, before it has failed
NEWS_SECONDS = 0.5  # between two looks at how far the tasks are
PATIENCE = 60.0  # seconds that a worker has to end whose machine is gone
Start = Callable[[], LocalExecutor]


@final
class RayExecutor:
    """Up to ``jobs`` workers on the cluster at ``address`` (as ``ray.init`` takes it, or ``local``).

    ``jobs`` None means one for each GPU that the cluster has where ``device`` is no CPU, otherwise one for each core.
    Raises MissingExtraError without Ray, InputError for a cluster that cannot be reached or has another netgain.
    """

    def __init__(self, start: Start, folder: Path, address: str, device: str, jobs: int | None) -> None:
        ray = _ray()
        self._ray, self._mine = ray, not ray.is_initialized()
        if self._mine:
            _connect(ray, address)
        self._start, self._folder = start, folder
        has: dict[str, float] = ray.cluster_resources()
        on_gpus = device != "cpu" and has.get("GPU", 0) >= 1
        self._jobs = jobs or max(1, int(has["GPU"] if on_gpus else has.get("CPU", 1)))
        self._needs = {"num_cpus": 1, "num_gpus": 1 if on_gpus else 0}
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._news: Any = ray.remote(_News).options(num_cpus=0, scheduling_strategy=here).remote()
        self._idle: list[Any] = []
        self._active: dict[Any, tuple[Any, Request]] = {}  # by the future: the worker and its task
        self._tries: dict[Task, int] = {}
        first = self._worker()
        try:
            self._digests, self._price_check = ray.get(first.ready.remote(str(folder.resolve()), netgain.__version__))
        except ray.exceptions.RayTaskError as error:
            known = error.cause if isinstance(error.cause, NetgainError) else None
            raise known or NetgainError(f"a worker could not begin: {error.cause}") from None
        except ray.exceptions.RayActorError as error:
            raise NetgainError(f"a worker died while it loaded the model: {error}") from None
        self._idle.append(first)

    def _worker(self) -> Any:
        environment = {"env_vars": {name: os.environ.get(name, "1") for name in (*THREADS, "TQDM_DISABLE")}}
        made = self._ray.remote(_NodeWorker).options(**self._needs, runtime_env=environment, max_restarts=0)
        return made.remote(self._start, self._news)

    def digests(self) -> dict[str, str]:
        """By content, the model, its teacher and its judge."""
        digests: dict[str, str] = self._digests
        return digests

    def price_check(self) -> tuple[dict[str, str], str]:
        """As :meth:`LocalExecutor.price_check`."""
        check: tuple[dict[str, str], str] = self._price_check
        return check

    @property
    def free(self) -> bool:
        """Whether a task can be given."""
        return len(self._active) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether any task is not done yet."""
        return bool(self._active)

    def submit(self, request: Request) -> None:
        """Give a task to a worker that has none, or to a new one wherever there is room."""
        worker = self._idle.pop() if self._idle else self._worker()
        self._tries[request[0]] = self._tries.get(request[0], 0) + 1
        self._active[worker.perform.remote(request)] = worker, request

    def wait(self, take: Callable[[TaskUpdate], None]) -> None:
        """Wait for news of any task, and pass it on; a task whose worker is gone goes on with another one."""
        ended, _ = self._ray.wait(list(self._active), timeout=NEWS_SECONDS)
        under_way = {request[0] for _, request in self._active.values()}
        for update in self._ray.get(self._news.taken.remote()):
            if update.task in under_way:
                take(update)
        for future in ended:
            worker, request = self._active.pop(future)
            try:
                take(self._ray.get(future))
                self._idle.append(worker)
            except self._ray.exceptions.RayError as error:
                reason = " ".join(str(error).split())[:300]
                if self._tries[request[0]] < TRIES:
                    self._await_end(request[0])
                    self.submit(request)
                else:
                    take(TaskUpdate(request[0], error=f"its worker died {TRIES} times, last: {reason}"))

    def _await_end(self, task: Task) -> None:
        """Wait until a worker that Ray has given up lets go of its journal: it may live a little longer than its node
        seems to."""
        journal, until = Store(self._folder).journal(task), time.monotonic() + PATIENCE
        while writer_of(journal) is not None and time.monotonic() < until:
            time.sleep(NEWS_SECONDS)

    def close(self) -> None:
        """End all workers, in the middle of what they do; and Ray, where it was started here."""
        for worker in [*self._idle, *(worker for worker, _ in self._active.values()), self._news]:
            self._ray.kill(worker)
        self._idle, self._active = [], {}
        if self._mine:
            self._ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError("netgain run --ray", "ray") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "include_dashboard": False} if address == LOCAL else {"log_to_driver": False}
    try:
        ray.init(address=address, logging_level="ERROR", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as problem:
        remedy = "give the address of a running cluster, auto, or local for a fresh one on this machine"
        raise InputError(f"--ray {address}", f"no cluster can be reached there ({problem})", remedy) from None


# -- on the machines of the cluster


@final
class _News:
    """What the workers tell, until the schedule takes it."""

    def __init__(self) -> None:
        self._told: list[TaskUpdate] = []

    def tell(self, update: TaskUpdate) -> None:
        """Keep it."""
        self._told.append(update)

    def taken(self) -> list[TaskUpdate]:
        """Everything since this was asked last."""
        told, self._told = self._told, []
        return told


@final
class _NodeWorker:
    """One executor of tasks; it loads its models with its first call."""

    def __init__(self, start: Start, news: Any) -> None:
        self._start, self._news = start, news
        self._executor: LocalExecutor | None = None

    def _loaded(self) -> LocalExecutor:
        if self._executor is None:
            self._executor = self._start()
        return self._executor

    def ready(self, folder: str, version: str) -> tuple[dict[str, str], tuple[dict[str, str], str]]:
        """Digests and check of prices. Raises InputError where this machine cannot take part."""
        if netgain.__version__ != version:
            problem = f"{os.uname().nodename} has netgain {netgain.__version__}, the run was begun with {version}"
            raise InputError("--ray", problem, "install the same version on every machine of the cluster")
        if not Path(folder).is_dir():
            problem = f"{folder} is not there on {os.uname().nodename}"
            raise InputError("--out", problem, "give a folder on storage that all machines of the cluster see")
        executor = self._loaded()
        return executor.digests(), executor.price_check()

    def perform(self, request: Request) -> TaskUpdate:
        """Do one task. What is told on the way has arrived before this ends."""
        return self._loaded().perform(request, lambda update: _ray().get(self._news.tell.remote(update)))
