"""The hooks backend and its decoder: any Hugging Face decoder, unmodified, by forward hooks and autograd.

Slow, general, the oracle.
"""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812 (the usual name)
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.pytorch_utils import Conv1D

from netgain.engine.decoding import Decoded, DecodeRequest, DecodeRow, TextOf, choose, new_rows, run_rows
from netgain.engine.jobs import Work
from netgain.engine.lora import Adapter, AdapterBank, Layout, a_of, b_of
from netgain.engine.ops import exact_dtype
from netgain.engine.packs import Extent, Pack
from netgain.engine.torch_ops import TorchOps
from netgain.errors import InputError


@final
class HooksBackend:
    """Losses and adapter gradients of any decoder that takes ``input_ids`` and ``attention_mask`` and only attends.

    Sequences become rows of a rectangle, filled up on the right. Pads that stand for the reference's are masked keys,
    exactly as in the reference. Projections may be ``nn.Linear`` or GPT-2's ``Conv1D``. Raises InputError for a decoder
    with other memory than keys and values, without a longest sequence, or without a cache.
    """

    name = "hooks"

    def __init__(self, model: nn.Module) -> None:
        first = next(model.parameters())
        self.model: Any = model.eval()
        self.dtype, self.device = first.dtype, first.device
        self.bank_dtype = exact_dtype(first.dtype)
        self.ops = TorchOps()
        config: Any = model.config
        require_attention(model)
        cache_keyword(model)
        self.context = longest_sequence(config)
        self.vocabulary = int(config.vocab_size)
        self.switch = rope_switch(config, self.context)
        self.modules = tuple(_projections(model))  # path, inputs, outputs

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """The layout of adapters for this model."""
        return Layout.of(self.modules, names, rank, alpha)

    def footprint(self, extents: Sequence[Extent]) -> list[Work]:
        """What each sequence of a pack runs: a row of the rectangle, with logits everywhere and the full square."""
        longest = max((x.rows for x in extents), default=0)
        return [Work(positions=longest, head_positions=longest, context=longest * longest)] * len(extents)

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots; returns each step's loss (its weighted mean), [G]."""
        groups = _group_of_sequence(pack)
        # A copy of the pack's rows: gradients of an indexed bank would be dense over all of its slots.
        rows, scale = bank.weights[pack.slots], bank.scale
        with AdapterHooks(self.model, bank.layout, scale, rows, groups, trained=True) as hooks, torch.enable_grad():
            losses = label_losses(self.model, pack)
            total = losses.new_zeros(len(pack.slots)).index_add(0, pack.label_group, losses)
            bank.gradients[pack.slots] = hooks.gradients(total.sum())
        return [float(loss) for loss in total.tolist()]

    def release(self) -> None:
        """Nothing: autograd keeps no buffers."""


@final
class AdapterHooks:
    """Forward hooks that add each row's own adapter to a model's projections, for as long as the context lasts.

    ``rows`` [G, layout.width] are the adapters' weights, in the layout's order; ``groups`` [rows of the rectangle] says
    which of them serves each row.
    """

    def __init__(
        self, model: nn.Module, layout: Layout, scale: float, rows: Tensor, groups: Tensor, *, trained: bool
    ) -> None:
        self._layout, self._like = layout, rows
        self._additions, self._handles = [], []
        for target in layout.targets:
            a, b = a_of(rows, layout, target).detach(), b_of(rows, layout, target).detach()
            if trained:  # leaves of their own; what is only read needs no second copy of every adapter
                a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
            self._additions.append(_Addition(a, b, groups, scale))
            self._handles.append(model.get_submodule(target.path).register_forward_hook(self._additions[-1]))

    def __enter__(self) -> "AdapterHooks":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def serve(self, groups: Tensor) -> None:
        """From now on the rectangle's rows belong to these groups."""
        for addition in self._additions:
            addition.groups = groups

    def gradients(self, loss: Tensor) -> Tensor:
        """Gradients of a loss with respect to the adapters' weights alone, [G, layout.width]."""
        leaves = [leaf for addition in self._additions for leaf in (addition.a, addition.b)]
        found = torch.autograd.grad(loss, leaves, allow_unused=True)  # layers that share keys have modules without use
        rows = torch.zeros_like(self._like)
        for i, target in enumerate(self._layout.targets):
            for part, gradient in zip((a_of, b_of), found[2 * i : 2 * i + 2], strict=True):
                if gradient is not None:
                    part(rows, self._layout, target).copy_(gradient)
        return rows


@final
class _Addition:
    """y + scale (x A^T) B^T with every row's own A and B, in the adapters' precision."""

    def __init__(self, a: Tensor, b: Tensor, groups: Tensor, scale: float) -> None:
        self.a, self.b, self.groups, self._scale = a, b, groups, scale

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        # In the adapters' precision, as PEFT does: in 16 bits small updates would be rounded away.
        x = inputs[0].to(self.a.dtype)
        if x.dim() < 3 or len(x) != len(self.groups):
            raise InputError("LoRA target", f"a projection gets {tuple(x.shape)} inputs, not one row per sequence")
        hidden = x.flatten(1, -2) @ self.a[self.groups].transpose(1, 2)
        change = hidden @ self.b[self.groups].transpose(1, 2)
        return output + (self._scale * change.view(output.shape)).to(output.dtype)


def _projections(model: nn.Module) -> list[tuple[str, int, int]]:
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None  # type: ignore[operator]
    found = []
    for path, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, nn.Linear):
            found.append((path, module.in_features, module.out_features))
        elif isinstance(module, Conv1D):
            found.append((path, module.weight.shape[0], module.weight.shape[1]))
    if not found:
        raise InputError(type(model).__name__, "has no linear projection to adapt")
    return found


LENGTHS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "n_ctx", "max_sequence_length")


def longest_sequence(config: Any) -> int:
    """The most positions that a model takes, by its configuration. Raises InputError where it names none."""
    found = next((value for name in LENGTHS if isinstance(value := getattr(config, name, None), int) and value > 0), 0)
    if not found:
        raise InputError(
            type(config).__name__, "names no longest sequence", f"write one into its config.json, as {LENGTHS[0]}"
        )
    return found


def require_attention(model: Any) -> None:
    """Raise InputError for a decoder that remembers otherwise than by keys and values.

    Its state runs over the pads too, so a row's answer would depend on what else is in its batch; and what a step
    takes is no multiple of attended keys.
    """
    layers = DynamicCache(config=model.config).layers
    strange = sorted({type(layer).__name__ for layer in layers if not isinstance(layer, DynamicLayer)})
    if strange or model._is_stateful:
        kinds = sorted(set(getattr(model.config, "layer_types", None) or ()) - ATTENDING)
        said = f" ({', '.join(kinds)})" if kinds else ""
        problem = f"it has layers that keep a running state instead of keys and values{said}"
        raise InputError(type(model).__name__, problem, "docs/models.md lists what runs")


ATTENDING = frozenset(("full_attention", "sliding_attention", "chunked_attention"))
STATIC_ROPE = ("default", "linear", "llama3", "yarn", "proportional")  # factors that no input changes


def rope_switch(config: Any, context: int) -> int | None:
    """The length beyond which a model turns by other rotary factors, which its longest row decides for a whole batch.

    None where nothing changes within ``context``: factors are fixed, or grow beyond the context only (dynamic NTK).
    Raises InputError for a rotary embedding that is not known: its rows might depend on each other.
    """
    named = getattr(config, "rope_parameters", None) or {}
    kinds = [inner for inner in named.values() if isinstance(inner, dict)] or [named]  # one, or one a kind of layer
    found: list[int] = []
    for kind in kinds:
        name = str(kind.get("rope_type", "default"))
        if name == "longrope":
            found.append(int(kind.get("original_max_position_embeddings") or config.original_max_position_embeddings))
        elif name == "dynamic":
            found.append(int(config.max_position_embeddings))
        elif name not in STATIC_ROPE:
            problem = f"its rotary embedding is {name!r}: whether a row's answer depends on its batch is not known"
            raise InputError(
                type(config).__name__, problem, f"known are {', '.join(STATIC_ROPE)}, longrope and dynamic"
            )
    within = [length for length in found if length < context]
    if len(set(within)) > 1:
        raise InputError(type(config).__name__, f"its rotary factors change at {within}", "one length is supported")
    return within[0] if within else None


def together(rows: Sequence[DecodeRequest], most: int, context: int, switch: int | None) -> list[list[int]]:
    """Which of these requests run as one batch, by place: up to ``most``, and only such as stay on one side of
    ``switch`` (see :func:`rope_switch`). One that may cross it runs alone."""
    sides: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        side = -1
        if switch is not None and len(row.prompt) > switch:
            side = -2
        elif switch is not None and longest_pass(row, context) > switch:
            side = place
        sides.setdefault(side, []).append(place)
    return [side[first : first + most] for side in sides.values() for first in range(0, len(side), most)]


def longest_pass(row: DecodeRequest, context: int) -> int:
    """How many positions the model has seen of a request at most: the last new token is not fed."""
    return len(row.prompt) + min(row.sampling.max_new_tokens, context - len(row.prompt)) - 1


def takes_positions(model: Any) -> bool:
    """Whether the model's forward takes position ids; a few old families count positions from the mask."""
    return "position_ids" in signature(model.forward).parameters


def cache_keyword(model: Any) -> str:
    """The name under which the model takes a cache and gives it back; transformers 5.24 renamed it."""
    for name in ("cache", "past_key_values"):
        if name in signature(type(model).forward).parameters:
            return name
    raise InputError(type(model).__name__, "takes no cache under a known name", "use a decoder of transformers >= 5")


def label_losses(model: Any, pack: Pack) -> Tensor:
    """Weighted cross-entropy at every labelled row, [n], through the model's own forward pass; or its policy loss."""
    inputs, (sequence, place) = rectangle(pack)
    if not takes_positions(model):
        longest = inputs["position_ids"].max(0).values.tolist()
        if longest != list(range(len(longest))):
            raise InputError(type(model).__name__, "takes no positions", "use pad_loss masked or exact")
        del inputs["position_ids"]
    logits = model(**inputs, use_cache=False).logits
    chosen = logits[sequence[pack.label_rows], place[pack.label_rows]].to(pack.weights.dtype)
    losses = F.cross_entropy(chosen, pack.targets, reduction="none")
    return losses * pack.weights if pack.policy is None else pack.policy.contributions(-losses)


def rectangle(pack: Pack) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """The pack as right-padded rows, and where each of its rows went (sequence, place)."""
    lengths = pack.start[1:] - pack.start[:-1]
    count, longest = len(lengths), int(lengths.max())
    sequence = torch.repeat_interleave(torch.arange(count, device=lengths.device), lengths)
    place = torch.arange(pack.rows, device=lengths.device) - pack.start[sequence]
    tokens = pack.tokens.new_zeros(count, longest)
    positions, mask = tokens.clone(), tokens.clone()
    tokens[sequence, place] = pack.tokens
    positions[sequence, place] = pack.positions
    mask[sequence, place] = (place < pack.keys[sequence]).to(mask.dtype)
    return {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}, (sequence, place)


def _group_of_sequence(pack: Pack) -> Tensor:
    return torch.searchsorted(pack.group_start, pack.start[:-1], right=True) - 1


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
            requests = [row.request for row in sound]
            for places in together(requests, self._rows, self._backend.context, self._backend.switch):
                run_rows([sound[place] for place in places], lambda some: self._batch(some, adapters))
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
                text = len(row.request.prompt) + len(row.tokens) if fed > 1 else 1
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
            if len(rows) == 1 and self._backend.switch is not None and width == self._backend.switch + 1:
                # The cache was turned by the other factors: read all of it again, as a text of this length would be.
                tokens = torch.tensor([[*rows[0].request.prompt, *rows[0].tokens]], device=device)
                cache, fed = DynamicCache(), width


def rectangles(widths: Mapping[int, int]) -> Work:
    """What a model without shortcuts runs: so many rows of each width, logits everywhere, the full square."""
    rows = [float(width) * count for width, count in widths.items()]
    squares = sum(width * row for width, row in zip(widths, rows, strict=True))
    return Work(positions=sum(rows), context=squares, head_positions=sum(rows))
