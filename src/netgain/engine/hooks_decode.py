"""HooksDecoder: batched answers of many adapters on any Hugging Face decoder, through its own cache. The fallback."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from transformers import DynamicCache

from netgain.engine.decoding import Decoded, DecodeRequest, DecodeRow, TextOf, choose, new_rows, run_rows
from netgain.engine.hooks import AdapterHooks, HooksBackend, cache_keyword, takes_positions
from netgain.engine.lora import Adapter
from netgain.engine.work import Work
from netgain.errors import InputError


@final
class HooksDecoder:
    """As ``MultiLoraDecoder``, for any decoder: left-padded batches, no shared prefix."""

    def __init__(self, backend: HooksBackend, *, rows: int = 32, text_of: TextOf | None = None) -> None:
        if rows < 1:
            raise InputError("rows", f"{rows}: at least one is needed")
        self._backend, self._rows, self._text_of = backend, rows, text_of

    def generate(self, requests: Sequence[DecodeRequest], adapters: Sequence[Adapter] = ()) -> list[Decoded]:
        """Answers in the order of the requests. All adapters have one layout; failures stay with their request."""
        rows = new_rows(requests, len(adapters), self._backend.context, self._backend.vocabulary, self._text_of)
        sound = [row for row in rows if row.finish is None]
        with torch.inference_mode():
            for first in range(0, len(sound), self._rows):
                run_rows(sound[first : first + self._rows], lambda some: self._batch(some, adapters))
        return [row.answer() for row in rows]

    def _batch(self, rows: list[DecodeRow], adapters: Sequence[Adapter]) -> None:
        if not adapters:
            self._decode(rows, None)
            return
        layout = adapters[0].layout
        used = sorted({row.request.adapter for row in rows if row.request.adapter is not None})
        weights = [adapters[i].row for i in used] + [torch.zeros_like(adapters[0].row)]  # the last: no adapter
        stack = torch.stack(weights).to(self._backend.device)
        for row in rows:
            row.slot = len(used) if row.request.adapter is None else used.index(row.request.adapter)
        with AdapterHooks(
            self._backend.model, layout, layout.alpha / layout.rank, stack, self._groups(rows), trained=False
        ) as hooks:
            self._decode(rows, hooks)

    def _groups(self, rows: Sequence[DecodeRow]) -> Tensor:
        return torch.tensor([row.slot for row in rows], device=self._backend.device)

    def _decode(self, rows: list[DecodeRow], hooks: AdapterHooks | None) -> None:
        device, longest = self._backend.device, max(len(row.request.prompt) for row in rows)
        fill = [longest - len(row.request.prompt) for row in rows]
        tokens = torch.tensor(
            [[0] * n + list(row.request.prompt) for n, row in zip(fill, rows, strict=True)], device=device
        )
        mask = torch.tensor([[0] * n + [1] * (longest - n) for n in fill], device=device)
        cache: Any = DynamicCache()
        keyword = cache_keyword(self._backend.model)
        active, width, fed = list(rows), longest, longest
        while active:
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -fed:]
            told = {"position_ids": positions} if takes_positions(self._backend.model) else {}
            told[keyword] = cache
            output = self._backend.model(
                input_ids=tokens,
                attention_mask=mask,
                **told,
                use_cache=True,
                logits_to_keep=1,
            )
            for row in active:
                text = len(row.request.prompt) if fed > 1 else 1
                row.work += Work(real=min(text, fed), positions=fed, head_positions=1, context=fed * width)
            for row, token in zip(
                active, choose(output.logits[:, -1].float(), [r.chooser for r in active]), strict=True
            ):
                row.take(token, self._backend.context - len(row.request.prompt), self._text_of)
            going = [i for i, row in enumerate(active) if row.finish is None]
            if not going:
                return
            if len(going) < len(active):
                index = torch.tensor(going, device=device)
                cache.batch_select_indices(index)
                mask, active = mask[index], [active[i] for i in going]
                if hooks is not None:
                    hooks.serve(self._groups(active))
            tokens = torch.tensor([[row.tokens[-1]] for row in active], device=device)
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            width, fed = width + 1, 1
