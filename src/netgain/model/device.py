"""What a model would run on: where its weights lie, which GPU there is, the clock and the memory of what runs."""

import sys
import time
from pathlib import Path
from typing import final

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from netgain.errors import InputError


def weights_folder(model: str) -> Path | None:
    """Where a model's weights lie: its folder, or that of the hub's cache. None where they are not on this machine."""
    if Path(model).is_dir():
        return Path(model)
    try:
        found = [try_to_load_from_cache(model, name) for name in ("config.json", "model.safetensors")]
    except HFValidationError:
        return None
    return Path(str(found[0])).parent if all(isinstance(path, str) for path in found) else None


def find_gpu(device: str) -> tuple[str, float] | None:
    """The name of a GPU (``auto``, ``cuda``, ``cuda:1``) and its free bytes; None where torch sees none. Raises
    InputError where torch sees some, and not the one of this number."""
    if not torch.cuda.is_available():
        return None
    index = gpu_number(device)
    free, _ = torch.cuda.mem_get_info(index)
    return torch.cuda.get_device_name(index), float(free)


def gpu_number(device: str) -> int:
    """The number of a GPU that torch sees. Raises InputError where it sees none of that name."""
    number, count = device.partition(":")[2] or "0", torch.cuda.device_count()
    if not (number.isdecimal() and number.isascii() and int(number) < count):
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise InputError(
            f"device {device!r}", f"torch sees no such GPU here, but {there}", "name one of these, or auto"
        )
    return int(number)


@final
class DeviceMeter:
    """Clock and memory of this process, or of its GPU.

    Without a GPU seconds are the processor's, which other work on the machine disturbs least.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def seconds(self) -> float:
        """Seconds since some moment."""
        if not self._cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def held(self) -> float:
        """Bytes that are held now."""
        return float(torch.cuda.memory_reserved()) if self._cuda else status_bytes("VmRSS")

    def peak(self, *, reset: bool = False) -> float:
        """The most bytes held since the last reset, where that can be reset; else ever."""
        found = float(torch.cuda.max_memory_reserved()) if self._cuda else status_bytes("VmHWM")
        if reset and self._cuda:
            torch.cuda.reset_peak_memory_stats()
        elif reset:
            try:
                Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
            except OSError:
                return found
        return found


def status_bytes(name: str) -> float:
    """A field of this process's status (``VmRSS``, ``VmHWM``) in bytes; the most ever held where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        try:
            import resource
        except ImportError:
            return 0.0
        most = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return most if sys.platform == "darwin" else 1024 * most
