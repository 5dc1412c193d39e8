"""MultiLoraDecoder: many adapters answer at once, each with its own prompts, on a planned model.

Keys and values live in one arena per layer. What all prompts of an adapter have in common is run once and shared.
Rows that finish leave the batch at once and the next adapter's prompts take their place.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import final

import torch
from torch import Tensor

from netgain.engine.decoding import (
    Decoded,
    DecodeRequest,
    DecodeRow,
    TextOf,
    choose,
    common_prefix,
    families,
    new_rows,
    run_rows,
)
from netgain.engine.jobs import Work
from netgain.engine.lora import Adapter, AdapterBank
from netgain.engine.ops import KEY_BLOCK, Cache, Recall
from netgain.engine.planned import STAGES, Hook, PlannedBackend, Workspace
from netgain.errors import InputError


@final
class MultiLoraDecoder:
    """Answers requests of many adapters on one planned model, up to ``rows`` at a time.

    ``text_of`` turns token ids into text, for stop strings.
    """

    def __init__(self, backend: PlannedBackend, *, rows: int = 80, text_of: TextOf | None = None) -> None:
        if rows < 1:
            raise InputError("rows", f"{rows}: at least one is needed")
        self._backend, self._rows, self._text_of = backend, rows, text_of
        self._space = Workspace(backend.dtype, backend.device)

    def generate(self, requests: Sequence[DecodeRequest], adapters: Sequence[Adapter] = ()) -> list[Decoded]:
        """Answers in the order of the requests. All adapters have one layout.

        What cannot be answered (prompt too long, logits not finite, memory) is a failed answer; the rest is unharmed.
        """
        rows = new_rows(requests, len(adapters), self._backend.context, self._backend.vocabulary, self._text_of)
        try:
            with torch.inference_mode():
                sound = [row for row in rows if row.finish is None]
                run_rows(sound, lambda some: self._run(some, adapters))
        finally:
            self._space.release()
        return [row.answer() for row in rows]

    def _run(self, rows: list[DecodeRow], adapters: Sequence[Adapter]) -> None:
        _Batch(self._backend, self._space, self._rows, self._text_of, rows, adapters).run()


@final
class _Batch:
    """One call's state: the arena, the adapters in it, who waits and who runs."""

    def __init__(
        self,
        backend: PlannedBackend,
        space: Workspace,
        limit: int,
        text_of: TextOf | None,
        rows: list[DecodeRow],
        adapters: Sequence[Adapter],
    ) -> None:
        self._backend, self._plan, self._ops, self._space = backend, backend.plan, backend.ops, space
        self._text_of = text_of
        self._waiting = deque(families(rows, limit))
        longest = max(
            (min(len(r.request.prompt) + r.request.sampling.max_new_tokens, backend.context) for r in rows), default=1
        )
        self._capacity = -(-longest // KEY_BLOCK) * KEY_BLOCK
        widest = min(limit, len(rows))
        shared = sum(1 for family in self._waiting if len(family) > 1)
        entries = widest + min(widest, shared)  # one a row, and one for each prefix whose rows are not all done
        # A heap, the lowest first: pages of the arena that are not needed stay untouched.
        self._free = list(range(entries))
        heads = self._plan.heads
        shape = (entries, heads.kv)
        self._cache, kept = [], self._ops.cache_dtype(backend.dtype)
        for i in range(len(self._plan.layers)):
            keys = space.rows(f"keys.{i}", entries * heads.kv * heads.size, self._capacity, kept)
            values = space.rows(f"values.{i}", entries * heads.kv * self._capacity, heads.size, kept)
            self._cache.append(
                Cache(
                    keys.view(*shape, self._capacity // KEY_BLOCK, heads.size, KEY_BLOCK),
                    values.view(*shape, self._capacity, heads.size),
                )
            )
        self._limit, self._active, self._families = widest, list[DecodeRow](), dict[int, int]()
        self._adapters = adapters
        self._bank: AdapterBank | None = None
        self._hooks: tuple[dict[str, Hook], ...] = tuple({} for _ in self._plan.layers)
        if adapters:
            used = sum(1 for family in self._waiting if family[0].request.adapter is not None)
            self._bank = AdapterBank(
                adapters[0].layout, min(widest, used), dtype=backend.bank_dtype, device=backend.device, trained=False
            )
            self._hooks = backend.hooks(adapters[0].layout)

    def run(self) -> None:
        """Until every row has finished."""
        while self._waiting or self._active:
            admitted = []
            while self._waiting and len(self._active) + len(self._waiting[0]) <= self._limit:
                family = self._waiting.popleft()
                admitted.append(self._admit(family))
                self._active += family
            if admitted:
                self._prefill(admitted)
                self._compact()
            if self._active:
                self._decode()

    def _admit(self, family: list[DecodeRow]) -> list[DecodeRow]:
        adapter = family[0].request.adapter
        slot = -1 if adapter is None or self._bank is None else self._bank.load(self._adapters[adapter])
        length = common_prefix(family)
        shared = heappop(self._free) if length else 0
        for row in family:
            row.slot, row.shared, row.shared_length, row.own_length = slot, shared, length, 0
            row.entry = heappop(self._free)
        if length:
            self._families[shared] = len(family)
        if slot >= 0:
            self._families[-1 - slot] = len(family)
        return family

    def _prefill(self, families: list[list[DecodeRow]]) -> None:
        """Shared prefixes first, then what is each row's own; the last row of each prompt gives the first new token."""
        # Rows of one adapter must lie next to each other: its product is then one matrix product.
        families = sorted(families, key=lambda family: family[0].slot)
        heads = [family[0] for family in families if family[0].shared_length]
        if heads:
            pieces = [_Piece(row, row.shared, 0, row.request.prompt[: row.shared_length], 0, 0) for row in heads]
            self._forward(pieces, logits=False)
        rows = [row for family in families for row in family]
        pieces = []
        for row in rows:
            own = row.request.prompt[row.shared_length :]
            pieces.append(_Piece(row, row.entry, 0, own, row.shared, row.shared_length))
            row.own_length = len(own)
        self._accept(rows, self._forward(pieces, logits=True))

    def _accept(self, rows: list[DecodeRow], logits: Tensor) -> None:
        tokens = choose(logits, [row.chooser for row in rows])
        for row, token in zip(rows, tokens, strict=True):
            row.take(token, self._backend.context - len(row.request.prompt), self._text_of)

    def _decode(self) -> None:
        """Steps of all active rows until one finishes."""
        rows = self._active = sorted(self._active, key=lambda row: row.slot)
        pieces = [_Piece(r, r.entry, r.own_length, (r.tokens[-1],), r.shared, r.shared_length) for r in rows]
        batch = _Rows(pieces, self._backend.device)
        steps = 0
        # Work is booked once for all steps: a record for each row and token would cost more than small models take.
        while all(row.finish is None for row in rows):
            if steps:
                batch.advance([row.tokens[-1] for row in rows])
            self._accept(rows, self._run_layers(batch, True))
            steps += 1
        for row in rows:
            pairs = sum(row.shared_length + row.own_length + 1 + i for i in range(steps))
            row.work += Work(real=steps, positions=steps, head_positions=steps, context=pairs)
            row.own_length += steps
        self._compact()

    def _compact(self) -> None:
        for row in [row for row in self._active if row.finish is not None]:
            self._active.remove(row)
            heappush(self._free, row.entry)
            if row.shared_length:
                self._families[row.shared] -= 1
                if not self._families[row.shared]:
                    heappush(self._free, row.shared)
            if row.slot >= 0 and self._bank is not None:
                self._families[-1 - row.slot] -= 1
                if not self._families[-1 - row.slot]:
                    self._bank.free(row.slot)

    def _forward(self, pieces: list["_Piece"], *, logits: bool) -> Tensor:
        for piece in pieces:
            count = len(piece.tokens)
            pairs = count * (piece.shared_length + piece.at) + count * (count + 1) // 2
            piece.row.work += Work(real=count, positions=count, head_positions=int(logits), context=pairs)
        return self._run_layers(_Rows(pieces, self._backend.device), logits)

    def _run_layers(self, batch: "_Rows", logits: bool) -> Tensor:
        """Logits [pieces, vocabulary] after each piece's last row, or an empty tensor where they are not wanted."""
        plan, ops, space, heads, count = self._plan, self._ops, self._space, self._plan.heads, len(batch.tokens)
        hidden = space.rows("h", count, plan.hidden)
        torch.index_select(plan.embedding, 0, batch.tokens, out=hidden)
        delta: Tensor | None = None
        x, mixed = space.rows("x", count, plan.hidden), space.rows("mixed", count, plan.hidden)
        rstd, act = space.row("rstd", count), space.rows("act", count, plan.intermediate)
        qkv, out = space.rows("qkv", count, heads.columns), space.rows("out", count, heads.query * heads.size)
        raw = space.rows("raw", count, (heads.query + heads.kv) * heads.size)
        gate_up = space.rows("gate_up", count, 2 * plan.intermediate)
        norms = space.exact("norms", count, heads.query)
        for layer, at, cache in zip(plan.layers, self._hooks, self._cache, strict=True):
            ops.norm(hidden, delta, layer.norm, plan.eps, hidden, x, rstd)
            ops.linear(layer.qkv, x, qkv)
            self._adapt(at.get(STAGES[0]), batch, x, qkv)
            if layer.q_norm is not None and layer.k_norm is not None:
                ops.head_norm(qkv, 0, heads.query, layer.q_norm, plan.eps, raw, norms)
                ops.head_norm(
                    qkv,
                    heads.query,
                    heads.kv,
                    layer.k_norm,
                    plan.eps,
                    raw,
                    norms.view(-1)[: count * heads.kv].view(count, -1),
                )
            ops.rope(qkv, heads, batch.positions, plan.rotary, 1.0)
            ops.remember(cache, heads, qkv, batch.entry, batch.at)
            ops.recall(cache, heads, qkv, batch.where, out)
            ops.linear(layer.out, out, mixed)
            self._adapt(at.get(STAGES[1]), batch, out, mixed)
            ops.norm(hidden, mixed, layer.mlp_norm, plan.eps, hidden, x, rstd)
            ops.linear(layer.gate_up, x, gate_up)
            self._adapt(at.get(STAGES[2]), batch, x, gate_up)
            ops.swiglu(gate_up, act)
            delta = mixed  # added to the stream by the next norm: one pass over memory less
            ops.linear(layer.down, act, delta)
            self._adapt(at.get(STAGES[3]), batch, act, delta)
        if not logits or delta is None:
            return hidden[:0]
        n = len(batch.last)
        tops = torch.index_select(hidden, 0, batch.last)
        tails = torch.index_select(delta, 0, batch.last)
        ops.norm(tops, tails, plan.final_norm, plan.eps, tops, x[:n], rstd[:n])
        scores = space.rows("scores", n, plan.vocabulary)
        ops.linear(plan.head, x[:n], scores)
        return scores

    def _adapt(self, hook: Hook | None, batch: "_Rows", x: Tensor, y: Tensor) -> None:
        if hook is not None and self._bank is not None and len(batch.slots):
            hidden = self._space.exact("hidden", len(x), len(hook.block) * self._bank.layout.rank)
            self._ops.lora(hook.block, hook.columns, batch.start, batch.slots, self._bank, x, hidden, y)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Consecutive tokens of one row: where they are written, and what lies before them."""

    row: DecodeRow
    entry: int
    at: int
    tokens: Sequence[int]
    shared: int
    shared_length: int


@final
class _Rows:
    """The tensors of a forward pass over pieces, sorted by slot; rows without an adapter come first."""

    def __init__(self, pieces: list[_Piece], device: torch.device) -> None:
        def ints(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        counts = [len(piece.tokens) for piece in pieces]
        places = [piece.at + i for piece in pieces for i in range(len(piece.tokens))]
        spread = [piece for piece in pieces for _ in piece.tokens]
        self.tokens = ints([token for piece in pieces for token in piece.tokens])
        self.positions = ints([piece.shared_length + at for piece, at in zip(spread, places, strict=True)])
        self.entry, self.at = ints([piece.entry for piece in spread]), ints(places)
        self.where = Recall(
            ints([piece.shared for piece in spread]),
            ints([piece.shared_length for piece in spread]),
            self.entry,
            self.at + 1,
        )
        ends, edges, slots = [], list[int](), list[int]()
        total = 0
        for piece, count in zip(pieces, counts, strict=True):
            slot = piece.row.slot
            if slot >= 0 and (not slots or slots[-1] != slot):
                slots.append(slot)
                edges.append(total)
            total += count
            ends.append(total - 1)
        self.start, self.slots, self.last = ints([*edges, total]), ints(slots), ints(ends)

    def advance(self, tokens: list[int]) -> None:
        """One position on, for pieces of one token."""
        self.tokens.copy_(torch.tensor(tokens, dtype=torch.int64))
        for moving in (self.positions, self.at, self.where.own_length):
            moving += 1
