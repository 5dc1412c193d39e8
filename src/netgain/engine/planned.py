"""The planned backend: one forward and one backward pass of a pack by hand, without autograd.

Rows of all sequences lie end to end, so nothing is padded. Base weights are frozen, so no gradient of theirs is ever
formed; the head runs only at labelled rows, in chunks fused with the loss; and the backward pass stops at the lowest
trained weight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from netgain.engine.frozen_weights import FrozenPlan, LayerPlan, plan_model
from netgain.engine.jobs import HEAD_ROWS, Work
from netgain.engine.kernels import ops_for
from netgain.engine.lora import AdapterBank, Block, Layout
from netgain.engine.ops import Ops, exact_dtype
from netgain.engine.packs import Extent, Pack, give_back

STAGES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")  # the four inputs of a layer
STAGE_OF = {"o_proj": 1, "gate_proj": 2, "up_proj": 2, "down_proj": 3} | dict.fromkeys(
    ("q_proj", "k_proj", "v_proj"), 0
)

LARGE = 1 << 26  # bytes of buffers from which on a pass over the heap is worth its milliseconds


@final
@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """A block of adapters at one input of one layer, and where each target's output lies in the joined product."""

    block: Block
    columns: tuple[int, ...]
    name: str


@final
class Workspace:
    """Named buffers that grow to the largest pack and are reused until they are released; contents do not survive the
    next pack.

    Activations have the model's ``dtype``; statistics, losses and what adapters compute stay in float32 beside 16 bits.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype, self._device = dtype, device
        self._held: dict[str, Tensor] = {}

    @property
    def held_bytes(self) -> int:
        """What the buffers take."""
        return sum(held.nbytes for held in self._held.values())

    def release(self) -> None:
        """Let go of the buffers: those of a large pack are not to lie beside what comes next, or another model's."""
        large = self.held_bytes >= LARGE
        self._held.clear()
        if large:
            give_back()

    def rows(self, name: str, count: int, width: int, dtype: torch.dtype | None = None) -> Tensor:
        """A contiguous tensor [count, width] of activations (or of ``dtype``) with undefined contents."""
        held = self._held.get(name)
        if held is None or held.numel() < count * width:
            held = torch.empty(count * width, dtype=dtype or self._dtype, device=self._device)
            self._held[name] = held
        return held.as_strided((count, width), (width, 1))

    def exact(self, name: str, count: int, width: int) -> Tensor:
        """The same in the precision of adapters and statistics."""
        return self.rows(name, count, width, exact_dtype(self._dtype))

    def row(self, name: str, count: int) -> Tensor:
        """A vector [count] of statistics with undefined contents."""
        return self.exact(name, count, 1).view(-1)


@final
class PlannedBackend:
    """Losses and adapter gradients of a Llama-, Qwen2- or Qwen3-like model. The model itself is left as it is.

    ``flops`` adds up the matrix products that really ran: base weights, head, adapters and attention.
    """

    name = "planned"

    def __init__(self, model: nn.Module, ops: Ops[Any] | None = None) -> None:
        first = next(model.parameters())
        self.dtype, self.device = first.dtype, first.device
        self.ops: Ops[Any] = ops or ops_for(self.dtype, self.device)
        self.plan: FrozenPlan[Any] = plan_model(model, self.ops)
        self.flops = 0
        self._space = Workspace(self.dtype, self.device)
        self._hooks: dict[Layout, tuple[dict[str, Hook], ...]] = {}

    @property
    def bank_dtype(self) -> torch.dtype:
        """Precision of adapters and optimizer."""
        return exact_dtype(self.dtype)

    @property
    def context(self) -> int:
        """The longest sequence."""
        return self.plan.context

    @property
    def switch(self) -> int | None:
        """None: models whose rotary factors change with the length are not planned."""
        return None

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self.plan.vocabulary

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """The layout of adapters for this model."""
        return Layout.of(self.plan.modules, names, rank, alpha)

    def footprint(self, extents: Sequence[Extent]) -> list[Work]:
        """What each sequence of a pack runs: no rectangle is filled up, and the head sees labelled rows only."""
        return [
            Work(positions=x.rows, head_positions=x.labelled, context=self.ops.attended([(x.rows, x.keys)]))
            for x in extents
        ]

    def release(self) -> None:
        """Let go of the activations."""
        self._space.release()

    def hooks(self, layout: Layout) -> tuple[dict[str, Hook], ...]:
        """Per layer the adapters at each of its four inputs."""
        if layout not in self._hooks:
            heads, plan = self.plan.heads, self.plan
            q, kv = heads.query * heads.size, heads.kv * heads.size
            column = {"k_proj": q, "v_proj": q + kv, "up_proj": plan.intermediate}
            found: list[dict[str, Hook]] = [{} for _ in plan.layers]
            for block in layout.blocks:
                _, _, index, _, last = block[0].path.split(".")
                stage = STAGE_OF[last]
                columns = tuple(column.get(target.name, 0) for target in block)
                found[int(index)][STAGES[stage]] = Hook(block, columns, f"hidden.{index}.{stage}")
            self._hooks[layout] = tuple(found)
        return self._hooks[layout]

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots; returns each step's loss (its weighted mean), [G]."""
        with torch.no_grad():
            run = _Pass(self, pack, bank)
            last, delta = run.forward()
            losses = run.head(last, delta)
            run.backward()
        self.flops += run.flops
        return losses


@final
class _Pass:
    """One pack on its way through the layers and back."""

    def __init__(self, backend: PlannedBackend, pack: Pack, bank: AdapterBank) -> None:
        self.plan, self.ops, self.space = backend.plan, backend.ops, backend._space
        self.pack, self.bank, self.hooks = pack, bank, backend.hooks(bank.layout)
        self.count = pack.rows
        self.flops = 0
        lengths = [int(n) for n in (pack.start[1:] - pack.start[:-1]).tolist()]
        pairs = backend.ops.attended(list(zip(lengths, pack.keys.tolist(), strict=True)))
        self._attention_flops = 4 * pairs * self.plan.heads.query * self.plan.heads.size

    def _rows(self, name: str, width: int) -> Tensor:
        return self.space.rows(name, self.count, width)

    def _exact(self, name: str, width: int) -> Tensor:
        return self.space.exact(name, self.count, width)

    def _linear(self, apply: Callable[[Any, Tensor, Tensor], None], weight: Any, x: Tensor, out: Tensor) -> None:
        apply(weight, x, out)
        self.flops += 2 * x.size(0) * x.size(1) * out.size(1)

    def _adapt(self, hook: Hook | None, x: Tensor, y: Tensor) -> None:
        if hook is not None:
            hidden = self._exact(hook.name, len(hook.block) * self.bank.layout.rank)
            self.ops.lora(hook.block, hook.columns, self.pack.group_start, self.pack.slots, self.bank, x, hidden, y)
            self.flops += 2 * self.count * self._adapter_weights(hook)

    def _adapt_back(self, hook: Hook | None, x: Tensor, dy: Tensor, dx: Tensor | None) -> None:
        if hook is not None:
            start = self.pack.group_start
            hidden = self._exact(hook.name, len(hook.block) * self.bank.layout.rank)
            self.ops.lora_back(hook.block, hook.columns, start, self.pack.slots, self.bank, x, hidden, dy, dx)
            inputs = len(hook.block) * self.bank.layout.rank * hook.block[0].inputs
            self.flops += 4 * self.count * self._adapter_weights(hook) - (2 * self.count * inputs if dx is None else 0)

    def _adapter_weights(self, hook: Hook) -> int:
        return sum(self.bank.layout.rank * (target.inputs + target.outputs) for target in hook.block)

    def forward(self) -> tuple[Tensor, Tensor]:
        """All layers; the last residual stream is the sum of the two tensors returned."""
        plan, ops, pack, count = self.plan, self.ops, self.pack, self.count
        hidden = self._rows("h.0", plan.hidden)
        torch.index_select(plan.embedding, 0, pack.tokens, out=hidden)
        delta: Tensor | None = None
        for i, layer in enumerate(plan.layers):
            at = self.hooks[i]
            into = self._rows(f"h.{i}", plan.hidden)
            x, rstd = self._rows(f"x.{i}", plan.hidden), self.space.row(f"r.{i}", count)
            ops.norm(hidden, delta, layer.norm, plan.eps, into, x, rstd)
            out = self._attend(i, layer, at, x)
            mixed = self._rows("mixed", plan.hidden)
            self._linear(ops.linear, layer.out, out, mixed)
            self._adapt(at.get(STAGES[1]), out, mixed)
            middle, y = self._rows(f"m.{i}", plan.hidden), self._rows(f"y.{i}", plan.hidden)
            ops.norm(into, mixed, layer.mlp_norm, plan.eps, middle, y, self.space.row(f"s.{i}", count))
            gate_up, act = self._rows(f"g.{i}", 2 * plan.intermediate), self._rows("act", plan.intermediate)
            self._linear(ops.linear, layer.gate_up, y, gate_up)
            self._adapt(at.get(STAGES[2]), y, gate_up)
            ops.swiglu(gate_up, act)
            delta = self._rows("delta", plan.hidden)
            self._linear(ops.linear, layer.down, act, delta)
            self._adapt(at.get(STAGES[3]), act, delta)
            hidden = middle
        if delta is None:
            raise ValueError("a decoder has at least one layer")
        return hidden, delta

    def _attend(self, i: int, layer: LayerPlan[Any], at: dict[str, Hook], x: Tensor) -> Tensor:
        plan, ops, heads = self.plan, self.ops, self.plan.heads
        qkv, out = self._rows(f"q.{i}", heads.columns), self._rows(f"o.{i}", heads.query * heads.size)
        self._linear(ops.linear, layer.qkv, x, qkv)
        self._adapt(at.get(STAGES[0]), x, qkv)
        if layer.q_norm is not None and layer.k_norm is not None:
            raw = self._rows(f"raw.{i}", (heads.query + heads.kv) * heads.size)
            ops.head_norm(qkv, 0, heads.query, layer.q_norm, plan.eps, raw, self._exact(f"rq.{i}", heads.query))
            ops.head_norm(qkv, heads.query, heads.kv, layer.k_norm, plan.eps, raw, self._exact(f"rk.{i}", heads.kv))
        ops.rope(qkv, heads, self.pack.positions, plan.rotary, 1.0)
        ops.attention(self.pack, heads, qkv, out, self._exact(f"lse.{i}", heads.query))
        self.flops += self._attention_flops
        return out

    def head(self, hidden: Tensor, delta: Tensor) -> list[float]:
        """Losses at the labelled rows; the gradient of the last residual stream goes into the buffer ``dh``."""
        plan, ops, pack, space = self.plan, self.ops, self.pack, self.space
        n, width = len(pack.label_rows), -(-plan.vocabulary // 16) * 16
        x, part = space.rows("last", n, plan.hidden), space.rows("last.delta", n, plan.hidden)
        torch.index_select(hidden, 0, pack.label_rows, out=x)
        torch.index_select(delta, 0, pack.label_rows, out=part)
        y, rstd = space.rows("last.y", n, plan.hidden), space.row("last.r", n)
        ops.norm(x, part, plan.final_norm, plan.eps, x, y, rstd)
        losses, back = space.row("losses", n), part
        whole = [slice(first, min(first + HEAD_ROWS, n)) for first in range(0, n, HEAD_ROWS)]
        for rows in whole if pack.policy is None else pack.policy.chunks(HEAD_ROWS):
            logits = space.rows("logits", rows.stop - rows.start, width)[:, : plan.vocabulary]
            self._linear(ops.linear, plan.head, y[rows], logits)
            # Overwrites the logits with their gradient, so that no second [rows, vocabulary] buffer is needed.
            ops.cross_entropy(logits, pack.targets[rows], pack.weights[rows], losses[rows])
            if pack.policy is not None:  # cross-entropy is the log-probability's negative: its gradient needs scaling
                losses[rows], factors = pack.policy.gradient(-losses[rows], rows)
                logits.mul_(-factors[:, None])
            self._linear(ops.linear_back, plan.head, logits, back[rows])
        ops.norm_back(back, x, plan.final_norm, rstd, y, False)
        self._rows("dh", plan.hidden).zero_().index_copy_(0, pack.label_rows, y)
        total = losses.new_zeros(len(pack.slots)).index_add_(0, pack.label_group, losses * pack.weights)
        return [float(loss) for loss in total.tolist()]

    def backward(self) -> None:
        """Back through the layers, as far as the lowest adapter."""
        plan, ops, space = self.plan, self.ops, self.space
        dh = self._rows("dh", plan.hidden)
        # Below the lowest adapter nothing is trained, so no gradient is needed there: its input gets none either.
        lowest = min((i, STAGES.index(stage)) for i, at in enumerate(self.hooks) for stage in at)
        for i in range(len(plan.layers) - 1, lowest[0] - 1, -1):
            layer, at, stop = plan.layers[i], self.hooks[i], lowest[1] if i == lowest[0] else -1
            gate_up, act = self._rows(f"g.{i}", 2 * plan.intermediate), self._rows("act", plan.intermediate)
            if at.get(STAGES[3]) is not None:  # cheaper to form again than to keep for every layer
                ops.swiglu(gate_up, act)
            d_act = self._rows("d_act", plan.intermediate)
            if stop < 3:
                self._linear(ops.linear_back, layer.down, dh, d_act)
            self._adapt_back(at.get(STAGES[3]), act, dh, None if stop == 3 else d_act)
            if stop == 3:
                return
            ops.swiglu_back(gate_up, d_act)
            y, dy = self._rows(f"y.{i}", plan.hidden), self._rows("dy", plan.hidden)
            if stop < 2:
                self._linear(ops.linear_back, layer.gate_up, gate_up, dy)
            self._adapt_back(at.get(STAGES[2]), y, gate_up, None if stop == 2 else dy)
            if stop == 2:
                return
            ops.norm_back(
                dy, self._rows(f"m.{i}", plan.hidden), layer.mlp_norm, space.row(f"s.{i}", self.count), dh, True
            )
            out, d_out = (self._rows(name, plan.heads.query * plan.heads.size) for name in (f"o.{i}", "d_out"))
            if stop < 1:
                self._linear(ops.linear_back, layer.out, dh, d_out)
            self._adapt_back(at.get(STAGES[1]), out, dh, None if stop == 1 else d_out)
            if stop == 1:
                return
            self._attend_back(i, layer, at, d_out, dh, stop == 0)

    def _attend_back(
        self, i: int, layer: LayerPlan[Any], at: dict[str, Hook], d_out: Tensor, dh: Tensor, lowest: bool
    ) -> None:
        plan, ops, heads = self.plan, self.ops, self.plan.heads
        qkv, dqkv = self._rows(f"q.{i}", heads.columns), self._rows("dqkv", heads.columns)
        out = self._rows(f"o.{i}", heads.query * heads.size)
        ops.attention_back(self.pack, heads, qkv, out, d_out, self._exact(f"lse.{i}", heads.query), dqkv)
        self.flops += self._attention_flops * 5 // 2  # scores once more, then the gradients of v, p, q and k
        ops.rope(dqkv, heads, self.pack.positions, plan.rotary, -1.0)  # a rotation's transpose turns it back
        if layer.q_norm is not None and layer.k_norm is not None:
            raw = self._rows(f"raw.{i}", (heads.query + heads.kv) * heads.size)
            ops.head_norm_back(dqkv, 0, heads.query, layer.q_norm, raw, self._exact(f"rq.{i}", heads.query))
            ops.head_norm_back(dqkv, heads.query, heads.kv, layer.k_norm, raw, self._exact(f"rk.{i}", heads.kv))
        x, dx = self._rows(f"x.{i}", plan.hidden), self._rows("dx", plan.hidden)
        if not lowest:
            self._linear(ops.linear_back, layer.qkv, dqkv, dx)
        self._adapt_back(at.get(STAGES[0]), x, dqkv, None if lowest else dx)
        if not lowest:
            ops.norm_back(
                dx, self._rows(f"h.{i}", plan.hidden), layer.norm, self.space.row(f"r.{i}", self.count), dh, True
            )
