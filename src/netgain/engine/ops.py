"""The operations of a hand-scheduled decoder, and the values they take. Two sets exist: plain torch, compiled kernels.

All arrays are row-major; results go into tensors that the caller owns. T rows, S sequences, G adapter steps. Formulas
as in Hugging Face's Llama, Qwen2 and Qwen3 modelling code.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, final

import torch
from torch import Tensor

from netgain.engine.lora import AdapterBank, Block
from netgain.engine.packs import Pack

W = TypeVar("W")


def exact_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision of adapters, optimizer, statistics and losses beside weights of ``dtype``: float32 for 16 bits."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@final
@dataclass(frozen=True, slots=True)
class Heads:
    """Attention's dimensions: ``query`` heads, ``kv`` heads (each serves query / kv of them), head ``size``, scale."""

    query: int
    kv: int
    size: int
    scale: float

    @property
    def columns(self) -> int:
        """Width of a packed row [queries | keys | values]."""
        return (self.query + 2 * self.kv) * self.size


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rotary:
    """Tables [positions, size / 2] of the rotary embedding's cosines and sines."""

    cosine: Tensor
    sine: Tensor


@final
@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """Where each of n query rows looks in a cache of keys and values: a shared entry, then its own. All int64 [n]."""

    shared: Tensor
    shared_length: Tensor
    own: Tensor
    own_length: Tensor


@final
@dataclass(frozen=True, slots=True, eq=False)
class Cache:
    """``keys`` [entries, kv heads, capacity / 16, size, 16] (blocks of 16 positions, transposed) and ``values``
    [entries, kv heads, capacity, size]; capacity is a multiple of 16."""

    keys: Tensor
    values: Tensor

    @property
    def capacity(self) -> int:
        """Positions per entry."""
        return self.values.shape[2]


@final
@dataclass(frozen=True, slots=True)
class Factors:
    """One slot's AdamW step: gradient factor (clip), weight factor (decay), step size, 1 / sqrt(bias correction 2)."""

    clip: float
    keep: float
    rate: float
    root: float


KEY_BLOCK = 16  # positions of a block of cached keys
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # HF Trainer's AdamW


class Ops(ABC, Generic[W]):
    """What a backend must be able to compute. ``W`` is its form of a frozen weight.

    Activations, logits and their gradients have the model's dtype. What stays in :func:`exact_dtype` beside bfloat16:
    weights of norms, rotary tables, ``rstd``, ``lse``, losses and their weights, ``hidden`` of adapters, the bank.
    """

    @abstractmethod
    def cache_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The precision in which keys and values are kept for activations of ``dtype``."""

    @abstractmethod
    def freeze(self, weight: Tensor, bias: Tensor | None) -> W:
        """A weight [outputs, inputs] (and bias) in the form that products in both directions use."""

    @abstractmethod
    def linear(self, weight: W, x: Tensor, out: Tensor) -> None:
        """out [T, outputs] = x [T, inputs] weight^T + bias."""

    @abstractmethod
    def linear_back(self, weight: W, dy: Tensor, out: Tensor) -> None:
        """out [T, inputs] = dy [T, outputs] weight."""

    @abstractmethod
    def norm(
        self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float, out: Tensor | None, y: Tensor, rstd: Tensor
    ) -> None:
        """out = x + delta (where given); y = RMSNorm(out) weight; rstd [T] is kept for the gradient."""

    @abstractmethod
    def norm_back(self, dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, dx: Tensor, accumulate: bool) -> None:
        """dx (+)= gradient of RMSNorm."""

    @abstractmethod
    def head_norm(
        self, x: Tensor, first: int, heads: int, weight: Tensor, eps: float, raw: Tensor, rstd: Tensor
    ) -> None:
        """RMSNorm of ``heads`` head vectors from head ``first`` of x, in place; raw keeps inputs; rstd [T, heads]."""

    @abstractmethod
    def head_norm_back(self, dx: Tensor, first: int, heads: int, weight: Tensor, raw: Tensor, rstd: Tensor) -> None:
        """dx of those heads becomes the gradient before their norm, in place."""

    @abstractmethod
    def rope(self, x: Tensor, heads: Heads, positions: Tensor, table: Rotary, sign: float) -> None:
        """Rotate queries and keys of packed rows in place; sign -1 undoes it."""

    @abstractmethod
    def attention(self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, lse: Tensor) -> None:
        """Causal attention inside each sequence; rows past a sequence's keys see all keys. lse [T, query heads]."""

    @abstractmethod
    def attention_back(
        self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, d_out: Tensor, lse: Tensor, dqkv: Tensor
    ) -> None:
        """The gradient of :meth:`attention` with respect to qkv; out and d_out are laid out alike."""

    @abstractmethod
    def attended(self, lengths: Sequence[tuple[int, int]]) -> int:
        """Pairs (query, key) that :meth:`attention` multiplies for sequences of (rows, keys)."""

    @abstractmethod
    def swiglu(self, gate_up: Tensor, out: Tensor) -> None:
        """out [T, f] = silu(gate) up, with gate_up [T, 2 f]."""

    @abstractmethod
    def swiglu_back(self, gate_up: Tensor, d_out: Tensor) -> None:
        """gate_up becomes its own gradient."""

    @abstractmethod
    def cross_entropy(self, logits: Tensor, targets: Tensor, weights: Tensor, losses: Tensor) -> None:
        """losses [n] = -log softmax(logits)[target]; logits become weight times the gradient."""

    @abstractmethod
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
        """y[:, columns of each target] += scale (x A^T) B^T, rows start[g] .. start[g + 1] with slot g's weights.

        hidden [T, targets * rank] keeps x A^T.
        """

    @abstractmethod
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
        """Gradients of A and B into the bank (overwriting); dx += the gradient through the adapter, where wanted."""

    @abstractmethod
    def remember(self, cache: Cache, heads: Heads, qkv: Tensor, entry: Tensor, at: Tensor) -> None:
        """Write keys and values of n rows to positions ``at`` of cache entries ``entry``."""

    @abstractmethod
    def recall(self, cache: Cache, heads: Heads, qkv: Tensor, where: Recall, out: Tensor) -> None:
        """Attention of n query rows over what the cache holds for them."""

    @abstractmethod
    def gradient_norms(self, bank: AdapterBank, slots: Sequence[int]) -> list[float]:
        """Euclidean norm of each slot's gradient."""

    @abstractmethod
    def adamw(self, bank: AdapterBank, slots: Sequence[int], factors: Sequence[Factors]) -> None:
        """One AdamW step of each slot, each with its own factors."""
