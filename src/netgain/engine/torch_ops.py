"""The operations in plain torch, for any device and dtype: the fallback, and the check of the compiled kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812 (the usual name)
from torch import Tensor

from netgain.engine.lora import AdapterBank, Block, a_of, b_of
from netgain.engine.ops import BETA1, BETA2, EPSILON, KEY_BLOCK, Cache, Factors, Heads, Ops, Recall, Rotary, exact_dtype
from netgain.engine.packs import Pack


@final
@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A frozen weight as torch multiplies it: [outputs, inputs] and its bias."""

    weight: Tensor
    bias: Tensor | None


@final
class TorchOps(Ops[Dense]):
    """Plain torch, any device and dtype: the fallback and the check of the compiled kernels.

    In 16 bits everything but the products of frozen weights is computed in float32 and rounded.
    """

    def cache_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return dtype

    def freeze(self, weight: Tensor, bias: Tensor | None) -> Dense:
        return Dense(weight.detach().contiguous(), None if bias is None else bias.detach())

    def linear(self, weight: Dense, x: Tensor, out: Tensor) -> None:
        if weight.bias is None:
            torch.mm(x, weight.weight.t(), out=out)
        else:
            torch.addmm(weight.bias, x, weight.weight.t(), out=out)

    def linear_back(self, weight: Dense, dy: Tensor, out: Tensor) -> None:
        torch.mm(dy, weight.weight, out=out)

    def norm(
        self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float, out: Tensor | None, y: Tensor, rstd: Tensor
    ) -> None:
        if delta is not None and out is not None:
            x = torch.add(x, delta, out=out)
        x = _exact(x)
        torch.rsqrt(x.square().mean(-1) + eps, out=rstd)
        y.copy_(x * rstd[:, None] * weight)

    def norm_back(self, dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, dx: Tensor, accumulate: bool) -> None:
        grad = _norm_gradient(_exact(dy), _exact(x), weight, rstd)
        if accumulate:
            dx += grad
        else:
            dx.copy_(grad)

    def head_norm(
        self, x: Tensor, first: int, heads: int, weight: Tensor, eps: float, raw: Tensor, rstd: Tensor
    ) -> None:
        part = _heads(x, first, heads, len(weight))
        _heads(raw, first, heads, len(weight)).copy_(part)
        exact = _exact(part)
        rstd.copy_(torch.rsqrt(exact.square().mean(-1) + eps))
        part.copy_(exact * rstd[..., None] * weight)

    def head_norm_back(self, dx: Tensor, first: int, heads: int, weight: Tensor, raw: Tensor, rstd: Tensor) -> None:
        part = _heads(dx, first, heads, len(weight))
        part.copy_(_norm_gradient(_exact(part), _exact(_heads(raw, first, heads, len(weight))), weight, rstd))

    def rope(self, x: Tensor, heads: Heads, positions: Tensor, table: Rotary, sign: float) -> None:
        part = _heads(x, 0, heads.query + heads.kv, heads.size)
        cosine, sine = table.cosine[positions][:, None], table.sine[positions][:, None] * sign
        low, high = _exact(part).chunk(2, dim=-1)
        part.copy_(torch.cat([low * cosine - high * sine, high * cosine + low * sine], dim=-1))

    def attention(self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, lse: Tensor) -> None:
        for rows, query, key, value, hidden in _sequences(pack, heads, qkv):
            scores = (query @ key.transpose(1, 2) * heads.scale).masked_fill_(hidden, float("-inf"))
            norm = torch.logsumexp(scores, dim=-1)
            lse[rows] = norm.t()
            out[rows] = ((scores - norm[..., None]).exp_() @ value).transpose(0, 1).flatten(1)

    def attention_back(
        self, pack: Pack, heads: Heads, qkv: Tensor, out: Tensor, d_out: Tensor, lse: Tensor, dqkv: Tensor
    ) -> None:
        group = heads.query // heads.kv
        for rows, query, key, value, hidden in _sequences(pack, heads, qkv):
            text = key.shape[1]
            grad, was = (_exact(part[rows]).view(-1, heads.query, heads.size).transpose(0, 1) for part in (d_out, out))
            scores = query @ key.transpose(1, 2) * heads.scale - lse[rows].t()[..., None]
            p = scores.exp_().masked_fill_(hidden, 0.0)
            dp = grad @ value.transpose(1, 2)
            ds = p * (dp - (grad * was).sum(-1, keepdim=True)) * heads.scale
            into = dqkv[rows].view(query.shape[1], -1, heads.size).transpose(0, 1)
            into[heads.query :] = 0
            into[: heads.query] = ds @ key
            dk, dv = (ds.transpose(1, 2) @ query), (p.transpose(1, 2) @ grad)
            into[heads.query : heads.query + heads.kv, :text] = dk.view(heads.kv, group, text, heads.size).sum(1)
            into[heads.query + heads.kv :, :text] = dv.view(heads.kv, group, text, heads.size).sum(1)

    def attended(self, lengths: Sequence[tuple[int, int]]) -> int:
        return sum(rows * keys for rows, keys in lengths)

    def swiglu(self, gate_up: Tensor, out: Tensor) -> None:
        gate, up = gate_up.chunk(2, dim=-1)
        out.copy_(F.silu(_exact(gate)) * _exact(up))

    def swiglu_back(self, gate_up: Tensor, d_out: Tensor) -> None:
        gate, up = _exact(gate_up).chunk(2, dim=-1)
        s, grad = torch.sigmoid(gate), _exact(d_out)
        into = gate_up.chunk(2, dim=-1)
        d_gate = grad * up * s * (1 + gate * (1 - s))
        into[1].copy_(grad * gate * s)  # up is read no more
        into[0].copy_(d_gate)

    def cross_entropy(self, logits: Tensor, targets: Tensor, weights: Tensor, losses: Tensor) -> None:
        exact = _exact(logits)
        norm = torch.logsumexp(exact, dim=-1, keepdim=True)
        losses.copy_((norm - exact.gather(1, targets[:, None]))[:, 0])
        exact = (exact - norm).exp_().mul_(weights[:, None])
        logits.copy_(exact.scatter_add_(1, targets[:, None], -weights[:, None]))

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
        rank, first = bank.layout.rank, block[0]
        for rows, slot in _groups(start, slots):
            row = bank.weights[slot]
            joint = row[first.a : first.a + hidden.shape[1] * first.inputs]
            hidden[rows] = _exact(x[rows]) @ (
                joint.view(-1, first.inputs).t() if bank.trained else joint.view(first.inputs, -1)
            )
            for i, (target, column) in enumerate(zip(block, columns, strict=True)):
                b = b_of(row, bank.layout, target)
                b = b.t() if bank.trained else b.reshape(rank, target.outputs)
                y[rows, column : column + target.outputs] += bank.scale * hidden[rows, i * rank : (i + 1) * rank] @ b

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
        rank = bank.layout.rank
        for rows, slot in _groups(start, slots):
            weights, gradients = bank.weights[slot], bank.gradients[slot]
            for i, (target, column) in enumerate(zip(block, columns, strict=True)):
                grad = _exact(dy[rows, column : column + target.outputs])
                part = hidden[rows, i * rank : (i + 1) * rank]
                torch.mul(grad.t() @ part, bank.scale, out=b_of(gradients, bank.layout, target))
                back = bank.scale * grad @ b_of(weights, bank.layout, target)
                torch.mm(back.t(), _exact(x[rows]), out=a_of(gradients, bank.layout, target))
                if dx is not None:
                    dx[rows] += back @ a_of(weights, bank.layout, target)

    def remember(self, cache: Cache, heads: Heads, qkv: Tensor, entry: Tensor, at: Tensor) -> None:
        parts = qkv.view(len(qkv), -1, heads.size)
        cache.keys[entry, :, at // KEY_BLOCK, :, at % KEY_BLOCK] = parts[:, heads.query : heads.query + heads.kv]
        cache.values[entry, :, at] = parts[:, heads.query + heads.kv :]

    def recall(self, cache: Cache, heads: Heads, qkv: Tensor, where: Recall, out: Tensor) -> None:
        group = heads.query // heads.kv
        query = _exact(qkv[:, : heads.query * heads.size]).reshape(-1, heads.kv, group, heads.size)
        seen, values = [], []
        for entry, length in ((where.shared, where.shared_length), (where.own, where.own_length)):
            longest = int(length.max())
            ahead = torch.arange(longest, device=qkv.device) >= length[:, None]
            known = _exact(cache.keys[entry]).transpose(2, 3)
            known = known.reshape(len(entry), heads.kv, heads.size, -1)[..., :longest]
            scores = query @ known * heads.scale
            seen.append(scores.masked_fill(ahead[:, None, None], float("-inf")))
            kept = _exact(cache.values[entry, :, :longest])
            values.append(kept.masked_fill(ahead[:, None, :, None], 0.0))
        p = torch.cat(seen, dim=-1).softmax(-1)
        out.copy_((p @ torch.cat(values, dim=2)).flatten(1))

    def gradient_norms(self, bank: AdapterBank, slots: Sequence[int]) -> list[float]:
        return [float(x) for x in torch.linalg.vector_norm(bank.gradients[list(slots)], dim=1).tolist()]

    def adamw(self, bank: AdapterBank, slots: Sequence[int], factors: Sequence[Factors]) -> None:
        for slot, f in zip(slots, factors, strict=True):
            grad = bank.gradients[slot] * f.clip
            bank.first[slot].mul_(BETA1).add_(grad, alpha=1 - BETA1)
            bank.second[slot].mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
            rate = min(f.rate, torch.finfo(grad.dtype).max)  # torch refuses a scalar that the type cannot hold
            root = bank.second[slot].sqrt().mul_(f.root).add_(EPSILON)
            bank.weights[slot].mul_(f.keep).addcdiv_(bank.first[slot], root, value=-rate)


def _exact(x: Tensor) -> Tensor:
    return x.to(exact_dtype(x.dtype))


def _heads(x: Tensor, first: int, heads: int, size: int) -> Tensor:
    return x[:, first * size : (first + heads) * size].view(len(x), heads, size)


def _norm_gradient(dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) -> Tensor:
    r, g = rstd[..., None], dy * weight
    return r * g - x * (r**3 * (g * x).mean(-1, keepdim=True))


def _groups(start: Tensor, slots: Tensor) -> list[tuple[slice, int]]:
    edges = start.tolist()
    return [(slice(edges[g], edges[g + 1]), slot) for g, slot in enumerate(slots.tolist())]


def _sequences(pack: Pack, heads: Heads, qkv: Tensor) -> list[tuple[slice, Tensor, Tensor, Tensor, Tensor]]:
    edges, group, found = pack.start.tolist(), heads.query // heads.kv, []
    for s, text in enumerate(pack.keys.tolist()):
        rows = slice(edges[s], edges[s + 1])
        parts = _exact(qkv[rows]).view(edges[s + 1] - edges[s], -1, heads.size).transpose(0, 1)
        key = parts[heads.query : heads.query + heads.kv, :text].repeat_interleave(group, 0)
        value = parts[heads.query + heads.kv :, :text].repeat_interleave(group, 0)
        hidden = torch.ones(parts.shape[1], text, dtype=torch.bool, device=qkv.device).triu(1)
        found.append((rows, parts[: heads.query], key, value, hidden))
    return found
