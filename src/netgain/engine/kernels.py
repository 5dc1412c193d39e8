"""The operations as compiled kernels: float32, float64 or bfloat16, on one core of a CPU."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from ctypes import c_double, c_int32, c_int64, c_long, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from netgain.engine.lora import AdapterBank, Block
from netgain.engine.ops import BETA1, BETA2, EPSILON, Cache, Factors, Heads, Ops, Recall, Rotary, exact_dtype
from netgain.engine.packs import Pack
from netgain.engine.torch_ops import Dense, TorchOps

SOURCES = Path(__file__).parent / "native"
# Tuned for no processor: GCC's tuning for AMD's Zen turns some chains of fused operations into separate ones, and the
# last bit of a row's result then depends on how many rows are computed beside it.
FLAGS = (
    *("-O3", "-march=native", "-mtune=generic", "-fno-math-errno", "-fno-trapping-math"),
    *("-std=c++17", "-shared", "-fPIC"),
)
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
    "attention_back": "ippiiipidppipp",
    "lora": "ippppdpppi",
    "lora_read": "ippppdpppi",
    "lora_back": "ipppppdpppip",
    "remember": "iiiipippipp",
    "recall": "iiiipippppippdpi",
    "gradient_norms": "ipipp",
    "adamw": "ipipppppddd",
}
KINDS = {"i": c_long, "p": c_void_p, "d": c_double}
TYPES = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16"}
OPTIMIZER = ("gradient_norms", "adamw")  # adapters and their state stay in float32 beside bfloat16
PRODUCTS = ("pack_transposed", "pack_rows", "linear", "packed_size")


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
        for kind in TYPES.values():
            if hasattr(loaded, f"{name}_{kind}"):
                function = getattr(loaded, f"{name}_{kind}")
                function.argtypes, function.restype = [KINDS[letter] for letter in letters], None
    for kind in TYPES.values():
        if hasattr(loaded, f"packed_size_{kind}"):
            function = getattr(loaded, f"packed_size_{kind}")
            function.argtypes, function.restype = [c_long, c_long], c_long
    return loaded


def has_half_tiles() -> bool:
    """Whether bfloat16 products are our own: with AVX-512 BF16. Where there is AMX, torch's are several times faster.

    Decided by what the processor has and not by a clock, so that a seed gives the same bytes in every run.
    """
    loaded = library()
    return loaded is not None and hasattr(loaded, "linear_bf16") and "amx_bf16" not in _processor()


ROW_BLOCK = 12  # rows that the attention kernel takes at a time (BAND)


class _Adapters(ctypes.Structure):
    _fields_ = (
        ("count", c_int32),
        ("rank", c_int32),
        ("inputs", c_int32),
        ("pad", c_int32),
        ("stride", c_int64),
        ("a", c_int64),
        ("b", c_void_p),
        ("column", c_void_p),
        ("size", c_void_p),
    )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A frozen weight in the kernels' panels, for both directions."""

    forward: Tensor
    back: Tensor
    inputs: int
    outputs: int
    bias: Tensor | None


@final
class NativeOps(Ops[Packed | Dense]):
    """The compiled kernels on one core. Raises RuntimeError where they could not be built.

    In bfloat16 products are summed in float32 (by torch where :func:`has_half_tiles` says no); the rest is computed in
    float32 and rounded.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        found = library()
        if found is None or dtype not in TYPES:
            raise RuntimeError(f"no compiled kernels for {dtype} on this machine")
        self._dtype, exact = dtype, TYPES[exact_dtype(dtype)]
        self._own_products = dtype != torch.bfloat16 or has_half_tiles()
        self._call: dict[str, Any] = {
            name: getattr(found, f"{name}_{exact if name in OPTIMIZER else TYPES[dtype]}")
            for name in (*SIGNATURES, "packed_size")
            if self._own_products or name not in PRODUCTS
        }
        self._products = TorchOps()
        self._blocks: dict[tuple[int, int], tuple[int, tuple[Any, ...]]] = {}

    def cache_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return exact_dtype(dtype)

    def freeze(self, weight: Tensor, bias: Tensor | None) -> Packed | Dense:
        if not self._own_products:
            return self._products.freeze(weight, bias)
        weight = weight.detach().to(self._dtype).contiguous()
        outputs, inputs = weight.shape
        size = self._call["packed_size"]
        forward, back = _aligned(size(inputs, outputs), self._dtype), _aligned(size(outputs, inputs), self._dtype)
        self._call["pack_transposed"](inputs, outputs, weight.data_ptr(), forward.data_ptr())
        self._call["pack_rows"](outputs, inputs, weight.data_ptr(), back.data_ptr())
        return Packed(forward, back, inputs, outputs, None if bias is None else bias.detach().contiguous())

    def linear(self, weight: Packed | Dense, x: Tensor, out: Tensor) -> None:
        if isinstance(weight, Dense):
            self._products.linear(weight, x, out)
            return
        bias = 0 if weight.bias is None else weight.bias.data_ptr()
        self._call["linear"](
            x.size(0), weight.outputs, weight.inputs, x.data_ptr(), x.stride(0), weight.forward.data_ptr(),
            out.data_ptr(), out.stride(0), bias,
        )  # fmt: skip

    def linear_back(self, weight: Packed | Dense, dy: Tensor, out: Tensor) -> None:
        if isinstance(weight, Dense):
            self._products.linear_back(weight, dy, out)
            return
        self._call["linear"](
            dy.size(0), weight.inputs, weight.outputs, dy.data_ptr(), dy.stride(0), weight.back.data_ptr(),
            out.data_ptr(), out.stride(0), 0,
        )  # fmt: skip

    def norm(
        self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float, out: Tensor | None, y: Tensor, rstd: Tensor
    ) -> None:
        self._call["norm"](
            x.size(0),
            x.size(1),
            x.data_ptr(),
            _pointer(delta),
            weight.data_ptr(),
            eps,
            _pointer(out),
            y.data_ptr(),
            rstd.data_ptr(),
        )

    def norm_back(self, dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, dx: Tensor, accumulate: bool) -> None:
        self._call["norm_back"](
            x.size(0),
            x.size(1),
            dy.data_ptr(),
            x.data_ptr(),
            weight.data_ptr(),
            rstd.data_ptr(),
            dx.data_ptr(),
            int(accumulate),
        )

    def head_norm(
        self, x: Tensor, first: int, heads: int, weight: Tensor, eps: float, raw: Tensor, rstd: Tensor
    ) -> None:
        size = len(weight)
        self._call["head_norm"](
            x.size(0), heads, size, x[:, first * size :].data_ptr(), x.stride(0), weight.data_ptr(), eps,
            raw[:, first * size :].data_ptr(), raw.stride(0), rstd.data_ptr(),
        )  # fmt: skip

    def head_norm_back(self, dx: Tensor, first: int, heads: int, weight: Tensor, raw: Tensor, rstd: Tensor) -> None:
        size = len(weight)
        self._call["head_norm_back"](
            dx.size(0), heads, size, dx[:, first * size :].data_ptr(), dx.stride(0), weight.data_ptr(),
            raw[:, first * size :].data_ptr(), raw.stride(0), rstd.data_ptr(),
        )  # fmt: skip

    def rope(self, x: Tensor, heads: Heads, positions: Tensor, table: Rotary, sign: float) -> None:
        self._call["rope"](
            x.size(0), heads.query + heads.kv, heads.size, x.data_ptr(), x.stride(0),
            positions.data_ptr(), table.cosine.data_ptr(), table.sine.data_ptr(), sign,
        )  # fmt: skip

    def attention(self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, lse: Tensor) -> None:
        self._call["attention"](
            len(pack.keys), pack.start.data_ptr(), pack.keys.data_ptr(), heads.query, heads.kv, heads.size,
            qkv.data_ptr(), qkv.stride(0), heads.scale, out.data_ptr(), out.stride(0), lse.data_ptr(),
        )  # fmt: skip

    def attention_back(
        self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, d_out: Tensor, lse: Tensor, dqkv: Tensor
    ) -> None:
        self._call["attention_back"](
            len(pack.keys), pack.start.data_ptr(), pack.keys.data_ptr(), heads.query, heads.kv, heads.size,
            qkv.data_ptr(), qkv.stride(0), heads.scale, out.data_ptr(), d_out.data_ptr(), d_out.stride(0),
            lse.data_ptr(), dqkv.data_ptr(),
        )  # fmt: skip

    def attended(self, lengths: Sequence[tuple[int, int]]) -> int:
        total = 0
        for rows, keys in lengths:
            for first in range(0, rows, ROW_BLOCK):
                count = min(ROW_BLOCK, rows - first)
                total += count * min(first + count, keys)
        return total

    def swiglu(self, gate_up: Tensor, out: Tensor) -> None:
        self._call["swiglu"](out.size(0), out.size(1), gate_up.data_ptr(), out.data_ptr())

    def swiglu_back(self, gate_up: Tensor, d_out: Tensor) -> None:
        self._call["swiglu_back"](d_out.size(0), d_out.size(1), gate_up.data_ptr(), d_out.data_ptr())

    def cross_entropy(self, logits: Tensor, targets: Tensor, weights: Tensor, losses: Tensor) -> None:
        self._call["cross_entropy"](
            logits.size(0),
            logits.size(1),
            logits.data_ptr(),
            logits.stride(0),
            targets.data_ptr(),
            weights.data_ptr(),
            losses.data_ptr(),
        )

    def _adapters(self, block: Block, columns: Sequence[int], bank: AdapterBank) -> int:
        """The address of the block's description, kept alive with this object."""
        key = (id(block), bank.layout.width)
        if key not in self._blocks:
            count, array = len(block), c_int64 * len(block)
            b, column, size = (
                array(*(t.b for t in block)),
                array(*columns),
                array(*(t.outputs for t in block)),
            )
            first = block[0]
            addresses = [ctypes.addressof(part) for part in (b, column, size)]
            described = _Adapters(count, bank.layout.rank, first.inputs, 0, bank.layout.width, first.a, *addresses)
            self._blocks[key] = (ctypes.addressof(described), (described, block, b, column, size))
        return self._blocks[key][0]

    def lora(
        self,
        block: Block,
        columns: Sequence[int],
        start: Tensor,
        slots: Tensor,
        bank: AdapterBank,
        x: Tensor,
        hidden: Tensor,
        y: Tensor,
    ) -> None:
        self._call["lora" if bank.trained else "lora_read"](
            len(slots), start.data_ptr(), slots.data_ptr(), self._adapters(block, columns, bank),
            bank.weights.data_ptr(), bank.scale, x.data_ptr(), hidden.data_ptr(), y.data_ptr(), y.stride(0),
        )  # fmt: skip

    def lora_back(
        self,
        block: Block,
        columns: Sequence[int],
        start: Tensor,
        slots: Tensor,
        bank: AdapterBank,
        x: Tensor,
        hidden: Tensor,
        dy: Tensor,
        dx: Tensor | None,
    ) -> None:
        self._call["lora_back"](
            len(slots), start.data_ptr(), slots.data_ptr(), self._adapters(block, columns, bank),
            bank.weights.data_ptr(), bank.gradients.data_ptr(), bank.scale, x.data_ptr(), hidden.data_ptr(),
            dy.data_ptr(), dy.stride(0), _pointer(dx),
        )  # fmt: skip

    def remember(self, cache: Cache, heads: Heads, qkv: Tensor, entry: Tensor, at: Tensor) -> None:
        self._call["remember"](
            qkv.size(0), heads.query, heads.kv, heads.size, qkv.data_ptr(), qkv.stride(0),
            entry.data_ptr(), at.data_ptr(), cache.capacity, cache.keys.data_ptr(), cache.values.data_ptr(),
        )  # fmt: skip

    def recall(self, cache: Cache, heads: Heads, qkv: Tensor, where: Recall, out: Tensor) -> None:
        self._call["recall"](
            qkv.size(0), heads.query, heads.kv, heads.size, qkv.data_ptr(), qkv.stride(0), where.shared.data_ptr(),
            where.shared_length.data_ptr(), where.own.data_ptr(), where.own_length.data_ptr(), cache.capacity,
            cache.keys.data_ptr(), cache.values.data_ptr(), heads.scale, out.data_ptr(), out.stride(0),
        )  # fmt: skip

    def gradient_norms(self, bank: AdapterBank, slots: Sequence[int]) -> list[float]:
        index, norms = (c_int64 * len(slots))(*slots), (c_double * len(slots))()
        self._call["gradient_norms"](
            len(slots), ctypes.addressof(index), bank.layout.width, bank.gradients.data_ptr(), ctypes.addressof(norms)
        )
        return list(norms)

    def adamw(self, bank: AdapterBank, slots: Sequence[int], factors: Sequence[Factors]) -> None:
        index = (c_int64 * len(slots))(*slots)
        flat = (c_double * (4 * len(slots)))(*(x for f in factors for x in (f.clip, f.keep, f.rate, f.root)))
        self._call["adamw"](
            len(slots), ctypes.addressof(index), bank.layout.width, bank.weights.data_ptr(), bank.gradients.data_ptr(),
            bank.first.data_ptr(), bank.second.data_ptr(), ctypes.addressof(flat), BETA1, BETA2, EPSILON,
        )  # fmt: skip


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _aligned(count: int, dtype: torch.dtype) -> Tensor:
    """An uninitialised vector that starts on a cache line."""
    extra = 64 // dtype.itemsize
    raw = torch.empty(count + extra, dtype=dtype)
    return raw[(-raw.data_ptr() % 64) // dtype.itemsize :][:count]


def ops_for(dtype: torch.dtype, device: torch.device) -> Ops[Any]:
    """The compiled kernels on a CPU where they can be built, else plain torch."""
    if device.type == "cpu" and dtype in TYPES and library() is not None:
        return NativeOps(dtype)
    return TorchOps()
