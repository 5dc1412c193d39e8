"""Prices of set-ups that have no formula: what torch's counter sees on a copy of the model that has no weights.

The price list (``metering/price.py``) knows plain LoRA of one rank, whole layers and everything. Other adapters,
trained norms and biases, prompts and gradient checkpointing follow no rule that holds for all architectures: what DoRA
forms again in every pass, how far a gradient travels to the lowest bias, where in a layer torch stops computing again.
So the model itself is asked. Its modules are copied with weights that have shapes and no values (torch's *meta*
device), which takes no memory, and a few small passes of the copy are counted. What a pass takes is linear in

- its positions, its attended keys, its positions with logits (as in the price list)
- its rows (what a prompt encoder computes) and the pass itself (what an adapter forms of its weights)

so five passes give the five prices, and a sixth must agree with them. Every operation of the copy has to be known: a
product that the counter counts, a view, or element-wise work (:data:`ELEMENTWISE`), which the price list does not
charge either. Any other operation, and any kind of adapter that was never held against the profiler, is an error before
it is a number (docs/pricing.md).
"""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from transformers import PreTrainedModel

from netgain.engine.hooks import AdapterHooks
from netgain.engine.lora import Layout
from netgain.errors import InputError
from netgain.model.passes import decoder_of, given_to, past_of

ROOM = 0.001  # of a pass: how far the sixth may lie from its price
REMEDY = "docs/pricing.md says what is priced"
SIZES = ((1, 4, 0), (1, 8, 0), (1, 12, 0), (2, 8, 0), (1, 8, 1), (3, 5, 2))  # rows, columns, those with logits (0: all)
_CREATED = """
    arange empty empty_like empty_strided full full_like new_empty new_empty_strided new_full new_ones new_zeros
    ones ones_like zeros zeros_like scalar_tensor eye tril triu bernoulli bernoulli_ uniform_ normal_ rand
    rand_like randn native_dropout native_dropout_backward lift_fresh
"""
_MOVED = """
    _to_copy clone copy_ fill_ zero_ cat stack split constant_pad_nd index index_put index_put_ _index_put_impl_
    index_add index_add_ index_copy index_copy_ index_select gather scatter scatter_ scatter_add scatter_add_
    masked_fill masked_fill_ masked_select repeat roll flip slice_backward slice_scatter select_backward
    select_scatter as_strided_scatter _unsafe_view resize_ set_ repeat_interleave embedding detach detach_
    embedding_dense_backward unfold_backward diagonal_backward block_diag
"""
_REDUCED = """
    sum mean amax amin max min any all argmax argmin cumsum cumprod prod var std var_mean norm topk sort
    linalg_vector_norm logsumexp _softmax _softmax_backward_data _log_softmax _log_softmax_backward_data
    native_layer_norm native_layer_norm_backward native_group_norm _fused_rms_norm _fused_rms_norm_backward
    floor_divide polar softplus_backward nll_loss_forward nll_loss_backward
    nll_loss2d_forward nll_loss2d_backward _weight_norm_interface
    _weight_norm_interface_backward count_nonzero bincount histc mse_loss mse_loss_backward
"""
ELEMENTWISE = frozenset(name for names in (_CREATED, _MOVED, _REDUCED) for name in names.split())
# Kinds of adapters (the folder of peft.tuners that they lie in) that were held against the profiler.
_TUNERS = ("lora", "adalora", "ia3", "vera", "ln_tuning", "trainable_tokens")
ADAPTERS = frozenset((*_TUNERS, "prompt_tuning", "prefix_tuning", "p_tuning"))
VARIANTS = frozenset(("DoraLinearVariant", "DoraEmbeddingVariant"))
PARTS_OF_PEFT = frozenset(("_buffer_dict", "tuners_utils"))


@final
@dataclass(frozen=True, slots=True)
class Counts:
    """What passes consist of; or, in a price, the FLOPs of one of each."""

    positions: float = 0.0
    context: float = 0.0
    heads: float = 0.0
    rows: float = 0.0
    passes: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[float, ...]:
        """The five numbers, in the order of the fields."""
        return self.positions, self.context, self.heads, self.rows, self.passes

    def flops(self, price: Self) -> float:
        """What these counts take at this price."""
        return sum(a * b for a, b in zip(self.values(), price.values(), strict=True))


@final
@dataclass(frozen=True, slots=True)
class PassPrice:
    """FLOPs of one of each of :class:`Counts`, in forward passes and in backward passes."""

    forward: Counts
    backward: Counts


def require_known_adapters(top: nn.Module) -> None:
    """Raises InputError for a kind of adapter in ``top`` that was never held against the profiler."""
    for path, module in top.named_modules():
        home = type(module).__module__.split(".")
        if home[:2] == ["peft", "tuners"] and home[2] not in ADAPTERS | PARTS_OF_PEFT:
            raise InputError(f"the adapter {type(module).__name__} on {path}", "is of a kind without a price", REMEDY)
        for variant in vars(module).get("lora_variant", {}).values():
            if type(variant).__name__ not in VARIANTS:
                raise InputError(
                    f"the adapter {type(variant).__name__} on {path}", "is of a kind without a price", REMEDY
                )


def profile(
    top: nn.Module,
    model: PreTrainedModel,
    *,
    graded: bool,
    embedded: bool = False,
    labelled: bool = False,
    layout: Layout | None = None,
) -> PassPrice:
    """The price of passes of ``top``, which holds the causal LM ``model``, as they are set up now.

    ``graded``: with a backward pass. ``embedded``: the embedding's output is made to need a gradient. ``labelled``: the
    loss is formed inside the model, where some adapters add a term of their own. ``layout``: with the engine's own
    adapters of this layout, and nothing else trained. Raises InputError where an operation or a dependence on the input
    has no price. Weights, generators and hooks of the model are left alone.
    """
    with ThreadPoolExecutor(1) as pool:  # autocast, gradient mode and other people's counters belong to a thread
        return pool.submit(_profile, top, model, graded, embedded, labelled, layout).result()


def _profile(
    top: nn.Module, model: PreTrainedModel, graded: bool, embedded: bool, labelled: bool, layout: Layout | None
) -> PassPrice:
    place = f"the set-up of this {type(model).__name__}"
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of another library is no finding about prices
        try:
            probe = _Probe(top, model, graded=graded, embedded=embedded, layout=layout)
            *found, last = [probe.run(*size) for size in SIZES]
            again = probe.run(*SIZES[1], labelled=True) if labelled else found[1]
        except InputError:
            raise
        except Exception as problem:
            raise InputError(
                place,
                f"has no formula, and a copy without weights does not run ({type(problem).__name__}: {problem})",
                REMEDY,
            ) from problem
    price = _solved(found)
    for way, seen in ((price.forward, last.forward), (price.backward, last.backward)):
        expected = last.counts.flops(way)
        if abs(expected - seen) > ROOM * max(seen, 1.0):
            raise InputError(
                place,
                f"takes {seen:,.0f} FLOPs in a pass that its positions, keys, logits and rows price at {expected:,.0f}",
                REMEDY,
            )
    return PassPrice(
        price.forward + Counts(passes=again.forward - found[1].forward),
        price.backward + Counts(passes=again.backward - found[1].backward),
    )


@final
@dataclass(frozen=True, slots=True)
class _CountedPass:
    """A pass of the copy: what its decoder and head saw, and FLOPs forward and backward."""

    counts: Counts
    forward: float
    backward: float


def _solved(found: list[_CountedPass]) -> PassPrice:
    counts = torch.tensor([one.counts.values() for one in found], dtype=torch.float64)
    flops = torch.tensor([[one.forward, one.backward] for one in found], dtype=torch.float64)
    solved = torch.linalg.solve(counts, flops).round(decimals=3).T.tolist()
    return PassPrice(Counts(*solved[0]), Counts(*solved[1]))


@final
class _Probe:
    """A copy without weights, and what its decoder and head are seen to do."""

    def __init__(
        self, top: nn.Module, model: PreTrainedModel, *, graded: bool, embedded: bool, layout: Layout | None
    ) -> None:
        self._top, self._model = weightless(top, model)
        self._graded, self._seen = graded, Counts()
        inner: Any = self._model
        decoder_of(inner).register_forward_pre_hook(self._on_decoder, with_kwargs=True)
        inner.get_output_embeddings().register_forward_hook(self._on_head)
        if embedded:
            inner.get_input_embeddings().register_forward_hook(lambda _, __, output: output.requires_grad_(True))
        self._adapters: AdapterHooks | None = None
        if layout is not None:
            self._top.requires_grad_(False)
            rows = torch.empty(1, layout.width, device="meta")
            self._adapters = AdapterHooks(self._model, layout, 1.0, rows, _no_groups(1), trained=graded)

    def _on_decoder(self, decoder: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        rows, columns = given_to(arguments, named).shape[:2]
        context = rows * columns * (past_of(decoder, arguments, named) + columns)
        self._seen += Counts(rows * columns, context, 0, rows, 1)

    def _on_head(self, _: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        self._seen += Counts(heads=output.numel() // output.shape[-1])

    def run(self, rows: int, columns: int, kept: int, *, labelled: bool = False) -> _CountedPass:
        """One pass over ``rows`` x ``columns`` tokens with logits at the last ``kept`` of each row (0: at all)."""
        self._seen = Counts()
        if self._adapters is not None:
            self._adapters.serve(_no_groups(rows))
        ids = torch.zeros(rows, columns, dtype=torch.long, device="meta")
        asked: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
        asked |= ({"logits_to_keep": kept} if kept else {}) | ({"labels": ids} if labelled else {})
        counter = _Counter(type(self._model).__name__)
        with counter, torch.autocast("cpu", enabled=False), torch.set_grad_enabled(self._graded):
            output: Any = self._top(**asked)
            forward = counter.flops
            loss = output.loss if labelled else output.logits.sum()
            if loss.requires_grad:
                loss.backward()
        if self._seen.passes != 1:
            raise InputError(
                type(self._top).__name__, f"runs its decoder {self._seen.passes:.0f} times in one pass", REMEDY
            )
        return _CountedPass(self._seen, forward, counter.flops - forward)


def _no_groups(rows: int) -> Tensor:
    """All rows of a pass are served by one adapter."""
    return torch.zeros(rows, dtype=torch.long, device="meta")


@final
class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts products by torch's own formulas; refuses what is neither a product, nor a view, nor element-wise."""

    def __init__(self, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name, self.flops = name, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        output = func(*args, **kwargs)
        if packet in _PRODUCTS:
            self.flops += _PRODUCTS[packet](*args, **kwargs, out_val=output)
        elif torch.Tag.pointwise not in func.tags and not func.is_view and packet.__name__ not in ELEMENTWISE:
            raise InputError(f"the set-up of this {self.name}", f"runs {packet}, an operation without a price", REMEDY)
        return output


def _in_place(_: Tensor, left: Tensor, right: Tensor, *more: object, out_val: object = None, **named: object) -> int:
    return 2 * left.shape[0] * left.shape[1] * right.shape[1]


_PRODUCTS: dict[Any, Callable[..., int]] = {**flop_registry, torch.ops.aten.addmm_: _in_place}
_HOOKS = [name for name in vars(nn.Module()) if "hooks" in name]


def _rebound(value: Any, memo: dict[int, Any]) -> Any:
    """A callable with the modules that it holds, in closures and fields, replaced by those of the copy."""
    if isinstance(value, nn.Module):
        return memo.get(id(value), value)
    if isinstance(value, MethodType):
        return MethodType(_rebound(value.__func__, memo), _rebound(value.__self__, memo))
    if isinstance(value, FunctionType):
        held = tuple(CellType(_rebound(cell.cell_contents, memo)) for cell in value.__closure__ or ())
        made = FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, held)
        made.__kwdefaults__ = value.__kwdefaults__
        return made
    if callable(value) and not isinstance(value, type) and "__dict__" in dir(value):
        made = copy.copy(value)
        vars(made).update({name: _rebound(field, memo) for name, field in vars(value).items()})
        return made
    return value


def weightless(top: nn.Module, model: PreTrainedModel) -> tuple[nn.Module, nn.Module]:
    """Copies of ``top`` and of ``model`` in it: the same modules and switches, weights without values, no hooks.

    Attention and experts are taken apart into products that the counter counts.
    """
    memo: dict[int, Any] = {}
    for module in top.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor):
                memo[id(value)] = torch.empty_like(value, device="meta", requires_grad=False)
            elif name in _HOOKS:
                memo[id(value)] = OrderedDict()
        for weight in module._parameters.values():
            if weight is not None:
                empty = torch.empty_like(weight, device="meta")
                memo[id(weight)] = nn.Parameter(empty, requires_grad=weight.requires_grad)
        for buffer in module._buffers.values():
            if buffer is not None:
                memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    copied = copy.deepcopy(top, memo)
    for module in top.modules():
        if "forward" in vars(module):  # patched by a library: deepcopy leaves what a function closes over alone
            memo[id(module)].forward = _rebound(vars(module)["forward"], memo)
    for module in copied.modules():
        config: Any = vars(module).get("config")
        if isinstance(module, PreTrainedModel) and config is not None:
            config._attn_implementation = "eager"
            config._experts_implementation = "batched_mm"
    return copied, memo[id(model)]
