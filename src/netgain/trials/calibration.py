"""The machine that is there: its device, the memory that is free, and how fast its workers do a trial's kinds of work.

Measured on the trial's own model and dtype, through the engine, by as many processes side by side as will run (they
share caches and memory channels): a few seconds of training, reading and answering, and the memory that each holds.
Kept by machine, model, dtype, versions and sizes in the cache folder, so that it is done once. Nothing is charged.

On a CPU processor seconds are measured, which other work on the machine disturbs least; elsewhere the clock's.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import netgain
from netgain import model as door
from netgain.engine.jobs import HEAD_ROWS, POSITIONS, RESIDENT, ROWS, InnerLoopJob
from netgain.errors import InputError, MissingExtraError
from netgain.metering.account import Account, Book
from netgain.metering.estimate import BYTES, DEVICES, Device, Memory, Pace, find_device, free_memory, hidden_row
from netgain.metering.price import Lora
from netgain.metering.shape import ModelShape
from netgain.model.model_folder import cache_folder
from netgain.model.requests import Generate, Train
from netgain.records.cost import Purpose
from netgain.records.identity import short_hash
from netgain.strict_json import parse_json
from netgain.trials.store import write

LIBRARIES = ("torch", "transformers", "numpy")
PATIENCE = 600.0  # seconds for loading and measuring
GRAPHICS = ("/proc/driver/nvidia", "/dev/kfd")
SECONDS = 2.0  # about what each measurement may take
PROMPT = "The quick brown fox jumps over the lazy dog, then looks for the road to the river. "


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A device by its ``kind`` (``cpu`` or ``cuda``) and ``name``, the bytes that are ``free``, cores that may work."""

    kind: str
    name: str
    free: float
    cores: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is tried: adapters of ``rank`` on ``targets``, trained on texts of ``passage`` tokens, ``jobs`` at a time;
    ``asked`` prompts of ``question`` tokens, answered with up to ``new``."""

    rank: int
    targets: tuple[str, ...]
    passage: int
    jobs: int
    question: int
    asked: int
    new: int


def find_machine(device: str = "auto") -> Machine:
    """The device that a run would take: a GPU that torch sees, else the CPU. Raises InputError where it sees none and
    one was asked for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device.startswith("cuda") or (device == "auto" and any(Path(path).exists() for path in GRAPHICS)):
        found = _gpu(device)
        if found is not None:
            return Machine(kind="cuda", name=found[0], free=found[1], cores=1)
        if device != "auto":
            raise InputError(f"device {device!r}", "torch sees no GPU here", "use auto or cpu")
    return Machine(kind="cpu", name=_processor(), free=free_memory(), cores=cores)


def is_here(device: str | None) -> bool:
    """Whether a name means this machine, not a data sheet."""
    return device is None or device in ("auto", "cpu", "cuda") or device.startswith("cuda:")


def known_gpu(name: str) -> Device:
    """The data sheet of a GPU by the name that its driver gives. Raises InputError for one that is not known here."""
    found = [device for key, device in DEVICES.items() if key.lower() in name.lower()]
    return found[0] if found else find_device(name)


def _gpu(device: str) -> tuple[str, float] | None:
    try:
        return door.find_gpu(device)
    except MissingExtraError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


# -- asked for


def calibrate(
    model: Path, dtype: str, attention: str, machine: Machine, workers: int, sizes: Sizes, *, measure: bool = True
) -> tuple[Pace, Memory] | None:
    """The pace and memory of one worker, measured before or, where ``measure``, now; None where neither can be."""
    if not model.is_dir():
        return None
    asked = {
        "model": str(model.resolve()),
        "dtype": dtype,
        "attention": attention,
        "device": machine.kind,
        "sizes": asdict(sizes),
    }
    key = short_hash(json.dumps([asked, _machine(machine), _content(model), _versions(), workers], sort_keys=True))
    kept = _kept(key)
    found = kept or (_measure(asked, workers) if measure else None)
    if found is None:
        return None
    if kept is None:
        _keep(key, found)
    source = f"measured with this model on {workers} worker{'' if workers == 1 else 's'}"
    return Pace(**found["pace"], source=source), Memory(**found["memory"])


def _kept(key: str) -> dict[str, Any] | None:
    """What was measured before; None where nothing was, or nothing that can be read."""
    try:
        found = parse_json((cache_folder() / f"calibration-{key}.json").read_text(encoding="utf-8"))
        _ = Pace(**found["pace"], source=""), Memory(**found["memory"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
    return dict(found)


def _keep(key: str, found: Mapping[str, Any]) -> None:
    """Keep it for the next time, where there is a folder to keep it in."""
    with contextlib.suppress(OSError, InputError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(folder / f"calibration-{key}.json", json.dumps(found))


def _machine(machine: Machine) -> list[Any]:
    return [machine.kind, machine.name, machine.cores, platform.node()]


def _content(model: Path) -> list[Any]:
    """Which files, of what size and when: reading gigabytes for a digest would take longer than measuring."""
    found = ((path.name, path.stat()) for path in sorted(model.iterdir()) if path.is_file())
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _versions() -> list[str]:
    folder = Path(netgain.__file__).parent / "engine"
    sources = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cpp", ".hpp"))
    own = sha256(b"\0".join(path.read_bytes() for path in [*sources, Path(__file__)])).hexdigest()
    return [own, *(version(name) for name in LIBRARIES)]


def _measure(asked: Mapping[str, Any], workers: int) -> dict[str, Any] | None:
    """The mean of what so many processes measure at the same time; None where one of them fails, or is not done after
    :data:`PATIENCE`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "netgain.trials.calibration"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, text=True, env=environment, **pipes) for _ in range(workers)]  # noqa: S603

    def give_up() -> None:  # what is read from them then ends
        for process in processes:
            process.kill()

    late = threading.Timer(PATIENCE, give_up)
    late.daemon = True
    late.start()
    try:
        for process in processes:
            _write(process, json.dumps(asked))
        if any(_read(process) != "ready" for process in processes):
            return None
        for process in processes:
            _write(process, "go")
        return _mean([parse_json(_read(process)) for process in processes])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        late.cancel()
        for process in processes:
            process.kill()
            process.communicate()


def _write(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    return "" if process.stdout is None else process.stdout.readline().strip()


def _mean(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of speeds the harmonic mean, so that seconds add up; of everything else the plain one."""
    many = len(found)
    speeds = ("train", "read", "write")
    pace = {name: many / sum(1 / one["pace"][name] for one in found) for name in speeds}
    pace["load"] = sum(one["pace"]["load"] for one in found) / many
    memory = {name: sum(one["memory"][name] for one in found) / many for name in found[0]["memory"]}
    return {"pace": pace, "memory": memory | {"weight": round(memory["weight"])}}


# -- in the process that measures


def _serve() -> None:
    """Load what standard input names, say so, wait, measure, print."""
    asked = parse_json(sys.stdin.readline())
    sizes = Sizes(**{**asked["sizes"], "targets": tuple(asked["sizes"]["targets"])})
    meter = door.DeviceMeter(asked["device"])
    bare = meter.held()
    model = door.load_model(asked["model"], device=asked["device"], dtype=asked["dtype"], attention=asked["attention"])
    model.check_prices()
    print("ready", flush=True)
    sys.stdin.readline()
    with TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
        account = book.account("calibration", purpose=Purpose.ADAPT)
        print(json.dumps(_ShortRun(model, account, sizes, meter).measured(bare, BYTES[asked["dtype"]])), flush=True)


@final
class _ShortRun:
    """A few trainings and answers of a model, timed; how many of them is decided by how fast they turn out to be."""

    def __init__(self, model: Any, account: Account, sizes: Sizes, meter: Any) -> None:
        self._model, self._account, self._sizes, self._meter = model, account, sizes, meter
        self._tokens = (model.tokenize(PROMPT * (1 + sizes.passage // 8)) * 2)[: sizes.passage]
        self._prompt = PROMPT * max(1, sizes.question // 18)

    def measured(self, bare: float, width: int) -> dict[str, Any]:
        """Paces, and bytes beyond the ``bare`` interpreter's; a weight of the model has ``width`` bytes."""
        shape: ModelShape = self._model.shape
        sizes, meter, base, load = self._sizes, self._meter, self._meter.held(), time.process_time()
        adapter = 4.0 * Lora(sizes.rank, sizes.targets).weights(shape)
        step = 6.0 * shape.body_weights * len(self._tokens)
        self._train(1, 1)  # buffers are made, libraries warm
        speed, adapters = self._train(1, 1)
        jobs = max(1, min(sizes.jobs, RESIDENT, POSITIONS // len(self._tokens), int(SECONDS * speed // step)))
        before = meter.held()
        train, adapters = self._train(jobs, max(1, min(100, int(SECONDS * speed // (step * jobs)))))
        rows = meter.peak() - before - 5 * jobs * adapter  # beside the bank's four numbers a weight and what is kept
        rows -= jobs * len(self._tokens) * hidden_row(Lora(sizes.rank, sizes.targets), shape)
        rows -= 4.0 * min(HEAD_ROWS, jobs * len(self._tokens)) * shape.vocabulary
        token = 2.0 * shape.body_weights * (sizes.question + sizes.new)
        asked = max(4, min(sizes.asked, ROWS, int(2 * SECONDS * speed // token)))
        self._answer(min(4, asked), 2, adapters)
        before = meter.held()
        reading, first, prompts = self._answer(asked, 1, adapters)
        tokens = meter.peak() - before - min(asked, jobs) * adapter - 4.0 * asked * shape.vocabulary
        writing, whole, _ = self._answer(asked, sizes.new, adapters)
        read = first / reading
        write = (whole - first) / (writing - reading) if whole > first and writing > reading else read
        # Few rows are measured: what the engine's own buffers are known to take is the least.
        guessed = Memory.guessed(shape, weight_bytes=width)
        return {
            "pace": {"train": train, "read": read, "write": write, "load": load},
            "memory": {
                "base": base,
                "copy": min(max(0.0, base - bare), guessed.copy),  # a copy has no tokenizer of its own
                "row": max(rows / (jobs * len(self._tokens)), guessed.row),
                "token": max(tokens / prompts, guessed.token),
                "entry": guessed.entry,
                "weight": 4,
            },
        }

    def _train(self, jobs: int, steps: int) -> tuple[float, list[Any]]:
        """FLOPs a second, and the adapters."""
        job = InnerLoopJob(
            key="calibration",
            sequences=[self._tokens],
            epochs=steps,
            learning_rate=1e-3,
            seed=0,
            rank=self._sizes.rank,
            target_modules=self._sizes.targets,
        )
        wanted = [Train(account=self._account, job=replace(job, key=str(one), seed=one)) for one in range(jobs)]
        done, taken = self._timed(partial(self._model.train, wanted))
        return sum(one.cost.flops for one in done) / taken, [one.get().adapter for one in done]

    def _answer(self, asked: int, new: int, adapters: Sequence[Any]) -> tuple[float, float, int]:
        """Seconds, FLOPs, and the tokens of the prompts."""
        wanted = [
            Generate(
                account=self._account,
                prompt=f"{number}. {self._prompt}",
                max_new_tokens=new,
                adapter=adapters[number % len(adapters)],
                temperature=1.0,
                seed=number,
            )
            for number in range(asked)
        ]
        done, taken = self._timed(partial(self._model.generate, wanted))
        return taken, sum(one.cost.flops for one in done), sum(len(self._model.tokenize(w.prompt)) for w in wanted)

    def _timed(self, work: Callable[[], list[Any]]) -> tuple[list[Any], float]:
        self._meter.peak(reset=True)
        started = self._meter.seconds()
        done = work()
        return done, max(1e-9, self._meter.seconds() - started)


if __name__ == "__main__":
    _serve()
