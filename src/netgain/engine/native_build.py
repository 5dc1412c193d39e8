"""The compiled kernels: built once per machine with the C++ compiler at hand, and left out without one.

The library is kept in the user's cache folder under a hash of sources, compiler, flags and processor, so a change of
any of them builds anew. Nothing is downloaded.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import c_double, c_long, c_void_p
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC")
# one letter per argument: i integer, p pointer, d double
SIGNATURES = {
    "pack_transposed": "iipp",
    "pack_rows": "iipp",
    "linear": "iiipippip",
    "norm": "iipppdppp",
    "norm_back": "iipppppi",
    "head_norm": "iiipipdpip",
    "head_norm_back": "iiipippip",
    "rope": "iiipipppd",
    "swiglu": "iipp",
    "swiglu_back": "iipp",
    "cross_entropy": "iipippp",
    "attention": "ippiiipidpip",
    "attention_back": "ippiiipidpipp",
    "lora": "ippppdpppi",
    "lora_read": "ippppdpppi",
    "lora_back": "ipppppdpppip",
    "remember": "iiiipippipp",
    "recall": "iiiipippppippdpi",
    "gradient_norms": "ipipp",
    "adamw": "ipipppppddd",
}
KINDS = {"i": c_long, "p": c_void_p, "d": c_double}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))


def _build(compiler: str) -> Path | None:
    """Compile into the cache folder; None if the compiler fails."""
    sources = sorted(SOURCES.glob("*.[ch]pp"))
    parts = [source.read_bytes() for source in sources]
    parts += [" ".join((compiler, *FLAGS)).encode(), _processor().encode(), platform.machine().encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netgain"
        library = root / f"kernels-{digest}.so"
        if library.exists():
            return library
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            built = Path(folder) / "kernels.so"
            command = [compiler, *FLAGS, str(SOURCES / "kernels.cpp"), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, timeout=300, check=False)  # noqa: S603 (our own sources)
            if done.returncode == 0:
                built.replace(library)
    except (OSError, RuntimeError, subprocess.SubprocessError):  # no home folder, no room, no working compiler
        return None
    return library if library.exists() else None


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None without a working C++ compiler, and with ``NETGAIN_KERNELS=off``."""
    compiler = shutil.which(os.environ.get("CXX", "") or "c++") or shutil.which("g++")
    if os.environ.get("NETGAIN_KERNELS") == "off" or compiler is None:
        return None
    path = _build(compiler)
    if path is None:
        return None
    loaded = ctypes.CDLL(str(path))
    for name, letters in SIGNATURES.items():
        for kind in ("f32", "f64"):
            function = getattr(loaded, f"{name}_{kind}")
            function.argtypes, function.restype = [KINDS[letter] for letter in letters], None
    for kind in ("f32", "f64"):
        function = getattr(loaded, f"packed_size_{kind}")
        function.argtypes, function.restype = [c_long, c_long], c_long
    return loaded
