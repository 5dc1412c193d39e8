"""The hooks backend: any Hugging Face decoder, unmodified, with forward hooks and autograd. Slow, general, the oracle."""

from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812 (the usual name)
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from netgain.errors import InputError
from netgain.model.lora import AdapterBank, Layout, a_of, b_of
from netgain.model.ops import TorchOps
from netgain.model.packs import Pack


@final
class HooksBackend:
    """Losses and adapter gradients of any decoder that takes ``input_ids``, ``attention_mask`` and ``position_ids``.

    Sequences become rows of a rectangle, filled up on the right. Pads that stand for the reference's are masked keys,
    exactly as in the reference. Projections may be ``nn.Linear`` or GPT-2's ``Conv1D``.
    """

    name = "hooks"

    def __init__(self, model: nn.Module) -> None:
        first = next(model.parameters())
        self.model: Any = model.eval()
        self.dtype, self.device = first.dtype, first.device
        self.bank_dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
        self.ops = TorchOps()
        config: Any = model.config
        self.context = int(getattr(config, "max_position_embeddings", None) or config.n_positions)
        self.vocabulary = int(config.vocab_size)
        self._modules = tuple(_projections(model))

    def layout(self, names: tuple[str, ...], rank: int, alpha: float) -> Layout:
        """The layout of adapters for this model."""
        return Layout.of(self._modules, names, rank, alpha)

    def footprint(self, lengths: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Per sequence of (rows, keys) in a pack: positions run (a rectangle) and pairs attended (its full square)."""
        longest = max((rows for rows, _ in lengths), default=0)
        return [(longest, longest * longest)] * len(lengths)

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        """Fill the gradients of the pack's slots; returns each step's loss (its weighted mean), [G]."""
        inputs, where = _rectangle(pack)
        groups = _group_of_sequence(pack)
        with AdapterHooks(self.model, bank, pack.slots, groups, trained=True) as hooks, torch.enable_grad():
            output = self.model.base_model(**inputs, use_cache=False).last_hidden_state
            rows = output[where[0][pack.label_rows], where[1][pack.label_rows]]
            logits = self.model.get_output_embeddings()(rows).to(pack.weights.dtype)
            losses = F.cross_entropy(logits, pack.targets, reduction="none") * pack.weights
            total = losses.new_zeros(len(pack.slots)).index_add(0, pack.label_group, losses)
            hooks.backward(total.sum())
        return [float(loss) for loss in total.tolist()]


@final
class AdapterHooks:
    """Forward hooks that add each row's own adapter to a model's projections, for as long as the context lasts.

    ``groups[row]`` says which of ``slots`` serves a row of the rectangle.
    """

    def __init__(self, model: nn.Module, bank: AdapterBank, slots: Tensor, groups: Tensor, *, trained: bool) -> None:
        self._bank, self._slots, self._trained = bank, slots, trained
        layout = bank.layout
        chosen = bank.weights[slots]
        self._leaves: list[tuple[Tensor, Tensor]] = []
        self._handles = []
        for target in layout.targets:
            a = a_of(chosen, layout, target).detach().clone().requires_grad_(trained)
            b = b_of(chosen, layout, target).detach().clone().requires_grad_(trained)
            self._leaves.append((a, b))
            hook = _Addition(a, b, groups, bank.scale)
            self._handles.append(model.get_submodule(target.path).register_forward_hook(hook))

    def __enter__(self) -> "AdapterHooks":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def backward(self, loss: Tensor) -> None:
        """Gradients of the adapters alone, into the bank."""
        flat = [leaf for pair in self._leaves for leaf in pair]
        found = torch.autograd.grad(loss, flat)
        layout, rows = self._bank.layout, self._bank.gradients.new_zeros(len(self._slots), self._bank.layout.width)
        for i, target in enumerate(layout.targets):
            a_of(rows, layout, target).copy_(found[2 * i])
            b_of(rows, layout, target).copy_(found[2 * i + 1])
        self._bank.gradients[self._slots] = rows


@final
class _Addition:
    """y + scale (x A^T) B^T with every row's own A and B, in the bank's precision."""

    def __init__(self, a: Tensor, b: Tensor, groups: Tensor, scale: float) -> None:
        self._a, self._b, self._groups, self._scale = a, b, groups, scale

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0].to(self._a.dtype)
        hidden = x @ self._a[self._groups].transpose(1, 2)
        return output + (self._scale * (hidden @ self._b[self._groups].transpose(1, 2))).to(output.dtype)


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


def _rectangle(pack: Pack) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
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
