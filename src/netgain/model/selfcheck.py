"""The meter's self-check: before a first charge, prices and meter against torch's profiler, on a toy of the same kind.

Libraries change under a price list: what a keyword is called, what a cache holds, what a layer computes. So a model of
the same class and configuration, shrunk to two thin layers, does with the installed libraries what will be charged: a
pass, an answer through the cache, a training step. It does so through the engine that stands behind ``load_model``
(:func:`check_engine`) or inside ``netgain.meter`` (:func:`check_meter`). A difference above 1 % refuses to charge.

The toy's weights are random and what it does is thrown away; no generator, weight or setting of the real model is
touched, nothing is booked. Eager attention, because the profiler does not see fused kernels. It does not see the
planned engine's compiled kernels either, so it is the engine's general path that is held against the same prices. All
of it runs in a thread of its own, since autocast, gradient mode and other people's profilers belong to a thread.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from netgain.engine.decoding import DecodeRequest
from netgain.engine.frozen_weights import why_not
from netgain.engine.hooks import HooksBackend, HooksDecoder
from netgain.engine.jobs import InnerLoopJob, Sampling, Work
from netgain.engine.kernels import library
from netgain.engine.scoring import Scorer, ScoreRequest
from netgain.engine.trainer import MultiLoraTrainer
from netgain.errors import InputError, MissingExtraError
from netgain.metering.account import Account, Book
from netgain.metering.price import Lora
from netgain.metering.shape import ModelShape
from netgain.model.checked_load import attempt
from netgain.model.gguf import SUFFIX, folder_of_gguf
from netgain.model.model_folder import check_config
from netgain.model.model_prices import MeasuredPrices, ShapePrices
from netgain.model.requests import Part
from netgain.records.cost import Purpose

Run = Callable[[Any, ModelShape | None, Tensor], Iterator["OperationCheck"]]  # a toy, its shape, its input
Metered = Callable[[Any, Account], AbstractContextManager[object]]
TOLERANCE = 0.01
LIBRARIES = ("torch", "transformers", "peft")
REMEDY = "install the tested versions, which `netgain doctor` names"
PROMPT, NEW, RANK = 24, 8, 2  # long beside the toy's width, so that attention is a tenth of what is computed
LAYERS, VOCABULARY, CONTEXT = 2, 64, 64
WIDTHS = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "max_window_layers"), LAYERS),
    **dict.fromkeys(("hidden_size", "n_embd", "moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner"), 48),
    **dict.fromkeys(("num_experts", "num_local_experts"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), CONTEXT),
    **{"vocab_size": VOCABULARY, "head_dim": 16, "num_experts_per_tok": 2, "mlp_only_layers": []},
}


HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
RARER = {  # what only architectures without a formula have
    **dict.fromkeys(("num_layers", "n_layers"), LAYERS),
    **dict.fromkeys(("d_model", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("ffn_dim", "ffn_hidden_size", "intermediate_size_mlp", "shared_intermediate_size"), 48),
    **dict.fromkeys(("n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("moe_k", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "n_groups", "topk_group", "n_shared_experts", "num_shared_experts"), 1),
    **dict.fromkeys(("moe_num_shared_experts", "first_k_dense_replace", "moe_layer_start_index"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "v_head_dim", "hidden_size_per_layer_input"), 16),
    **{"qk_rope_head_dim": 16, "qk_head_dim": 32, "rotary_dim": 8, "num_kv_shared_layers": 0},
    **{"vocab_size_per_layer_input": VOCABULARY, "global_head_dim": 16, "max_seq_len": CONTEXT},
}


@final
@dataclass(frozen=True, slots=True)
class OperationCheck:
    """One operation of the toy: what it is priced at and what torch's profiler saw, in FLOPs."""

    operation: str
    priced: float
    profiled: float

    @property
    def difference(self) -> float:
        """Of the price, relative to the profiler."""
        return self.priced / self.profiled - 1 if self.profiled else float("inf")


@final
@dataclass(frozen=True, slots=True)
class PriceCheck:
    """What was compared, for which architecture, with which libraries."""

    architecture: str
    comparisons: tuple[OperationCheck, ...]
    unchecked: str = ""  # why nothing was compared
    served: str = ""  # what was found of the server that generates for the model

    def statement(self) -> dict[str, Any]:
        """For the record: versions and figures; no clock, so that equal runs leave equal records."""
        compared = {one.operation: {"priced": one.priced, "profiled": one.profiled} for one in self.comparisons}
        found = {"architecture": self.architecture, "versions": versions(), "flops": compared}
        found |= {"served": self.served} if self.served else {}
        return found | ({"unchecked": self.unchecked} if self.unchecked else {})

    def __str__(self) -> str:
        return f"{self._compared}; at a server: {self.served}" if self.served else self._compared

    @property
    def _compared(self) -> str:
        if self.unchecked:
            return f"not checked for {self.architecture}: {self.unchecked}"
        worst = max(abs(one.difference) for one in self.comparisons)
        names = ", ".join(one.operation for one in self.comparisons)
        return f"a small {self.architecture}: {names} within {worst:.2%} of torch's profiler"

    def require(self, remedy: str = REMEDY) -> None:
        """Raises InputError, with both figures, where a price is off by more than 1 %."""
        for one in self.comparisons:
            if not abs(one.difference) <= TOLERANCE:
                raise InputError(
                    f"the meter with {_said(versions())}",
                    f"{one.operation} with a small {self.architecture} is priced at {one.priced:,.0f} FLOPs, torch's"
                    f" profiler counts {one.profiled:,.0f}: {one.difference:+.1%} where 1 % is allowed",
                    remedy,
                )


def versions() -> dict[str, str]:
    """The installed versions of the libraries that decide what an operation computes."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_engine(model: Any, shape: ModelShape | None) -> PriceCheck:
    """Score, answer and train an adapter as the engine does, on a toy of ``model``, once a process and configuration.

    ``shape`` is what the model is priced by; None where its prices are measured, as those of the toy then are. One that
    does not follow from its configuration is taken at its user's word, which the result says. Raises InputError where a
    price is off by more than 1 % or the toy cannot run.
    """
    return _checked(model, shape, "engine", _engine)


def check_meter(model: Any, shape: ModelShape, metered: Metered, *, lora: bool) -> PriceCheck:
    """A pass, an answer and a training step (of a LoRA, or of all weights) inside ``metered(toy, account)``.

    Else as :func:`check_engine`.
    """

    def run(toy: Any, small: ModelShape | None, ids: Tensor) -> Iterator[OperationCheck]:
        return _meter(_with_lora(toy, small) if lora and small is not None else toy, ids, metered)

    return _checked(model, shape, "lora" if lora else "full", run)


@final
@dataclass(frozen=True, slots=True)
class _Kind:
    """What is tried of which toy; equal where class, configuration and path are."""

    model: type
    settings: str
    path: str
    config: Any = field(compare=False, repr=False)
    run: Run = field(compare=False, repr=False)


def _checked(model: Any, shape: ModelShape | None, path: str, run: Run) -> PriceCheck:
    derived = _derived(model.config)
    if shape is None:
        path = f"{path}, measured"
    elif derived is None or replace(derived, name=shape.name, source=shape.source) != shape:
        return PriceCheck(
            str(model.config.model_type), (), "its shape was given by hand, not read from its configuration"
        )
    config = _shrunk(model.config)
    found = _compared(_Kind(type(model), config.to_json_string(use_diff=False), path, config, run))
    found.require(REMEDY if shape is not None else "its kind cannot be measured: docs/models.md lists what runs")
    return found


def _derived(config: Any) -> ModelShape | None:
    try:
        return ModelShape.from_config(config.to_dict())
    except InputError:
        return None


@cache
def _compared(kind: _Kind) -> PriceCheck:
    """In a new thread, where nothing is on that the caller's thread has on: autocast, a profiler, no gradients."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_compare, kind).result()


def _compare(kind: _Kind) -> PriceCheck:
    architecture = str(kind.config.model_type)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of another library is no finding about prices
        torch.manual_seed(0)
        try:
            toy = _made(kind.model, deepcopy(kind.config))
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as problem:
            return PriceCheck(architecture, (), f"no small model of its kind can be made ({problem})")
        measured = not ModelShape.has_formula(kind.config.to_dict())
        shape = None if measured else ModelShape.from_config(kind.config.to_dict(), "self-check")
        ids = torch.randint(3, VOCABULARY, (2, PROMPT))
        try:
            return PriceCheck(architecture, tuple(kind.run(toy, shape, ids)))
        except InputError:
            raise
        except Exception as problem:
            raise InputError(
                f"the meter with {_said(versions())}",
                f"its self-check on a small {architecture} failed ({type(problem).__name__}: {problem})",
                REMEDY,
            ) from problem


def _made(model: Any, config: Any) -> Any:
    """The toy. The profiler sees neither fused attention nor grouped experts, so both are taken apart."""
    settings = {"attn_implementation": "eager"}
    given = config.to_dict()
    if any(given.get(name) for name in ("num_experts_per_tok", "moe_k", "moe_topk")):
        settings["experts_implementation"] = "eager"
    return model._from_config(config, **settings).eval()


def _shrunk(config: Any) -> Any:
    """The configuration with thin layers: what decides the kind of model (grouped heads, experts, tying) stays."""
    shape, given, config = _derived(config), config.to_dict(), deepcopy(config)
    if shape is None:
        equal = given.get("num_key_value_heads") in (None, given.get("num_attention_heads"))
        heads, shared = 4, 4 if equal else 2
    else:
        heads = 2 if shape.heads == shape.kv_heads else 4
        shared = 2 if shape.heads == shape.kv_heads or shape.kv_heads > 1 else 1
    sizes: dict[str, Any] = (WIDTHS if shape is not None else WIDTHS | RARER) | dict.fromkeys(HEADS, heads)
    sizes |= dict.fromkeys(("num_key_value_heads", "num_kv_heads"), shared)
    if shape is None and "qk_rope_head_dim" not in given and _is_square(given):
        sizes["head_dim"] = sizes["hidden_size"] // heads
    for name in (name for name in sizes if given.get(name) is not None):
        each = isinstance(given[name], list) and name != "mlp_only_layers"  # one for each layer
        setattr(config, name, [sizes[name]] * LAYERS if each else sizes[name])
    many = given.get("num_hidden_layers")
    for name, value in given.items():
        if isinstance(value, list) and len(value) == many and name not in sizes:
            setattr(config, name, value[:LAYERS])
    for name in ("rope_scaling", "rope_parameters"):
        if given.get(name) is not None:
            setattr(config, name, _unscaled(given[name]))
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, None)
    if given.get("layer_types"):  # one of each kind
        kinds = list(dict.fromkeys(given["layer_types"]))
        config.layer_types = (kinds * LAYERS)[:LAYERS]
    return config


def _is_square(given: dict[str, Any]) -> bool:
    """Whether all heads together are as wide as the model, which some architectures take for granted."""
    wide: bool = (given.get("head_dim") or 0) * (given.get("num_attention_heads") or 0) == given.get("hidden_size")
    return wide


def _unscaled(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings without what depends on the width of a head: factors for long contexts."""
    if any(isinstance(value, dict) for value in rope.values()):
        return {name: _unscaled(value) if isinstance(value, dict) else value for name, value in rope.items()}
    kept = ("rope_theta", "partial_rotary_factor", "llama_4_scaling_beta", "original_max_position_embeddings")
    return {"rope_type": "default"} | {name: rope[name] for name in kept if name in rope}


def _engine(toy: Any, shape: ModelShape | None, ids: Tensor) -> Iterator[OperationCheck]:
    backend, rows = HooksBackend(toy), [tuple(row) for row in ids.tolist()]
    prices = MeasuredPrices(toy, backend.layout) if shape is None else ShapePrices(shape)
    names = _first_adaptable(backend) if shape is None else _inputs(shape)

    def priced(works: Iterable[Work], training: Lora | None = None) -> float:
        return sum(prices.cost(Part(work, training=training)).flops or 0.0 for work in works)

    with FlopCounterMode(display=False) as seen:
        scored = Scorer(backend, rows=8, positions=512).score([ScoreRequest(row[:-3], row[-3:], None) for row in rows])
    yield OperationCheck("scoring", priced(one.work for one in scored), float(seen.get_total_flops()))

    asked = [DecodeRequest(prompt=row, sampling=Sampling(max_new_tokens=NEW)) for row in rows]
    with FlopCounterMode(display=False) as seen:
        answers = HooksDecoder(backend).generate(asked)
    yield OperationCheck("answering", priced(one.work for one in answers), float(seen.get_total_flops()))
    if shape is None:
        _require_independent_rows(backend, asked)

    settings: dict[str, Any] = {"learning_rate": 1e-3, "rank": RANK, "target_modules": names, "batch_size": len(rows)}
    job = InnerLoopJob(key="self-check", sequences=rows, epochs=1, seed=0, **settings)
    with FlopCounterMode(display=False) as seen:
        (outcome,) = MultiLoraTrainer(backend).run([job])
    work = replace(outcome.work, updates=0)  # element by element, which the profiler does not see
    yield OperationCheck("training a LoRA", priced([work], Lora(RANK, names)), float(seen.get_total_flops()))


def _require_independent_rows(backend: HooksBackend, asked: list[DecodeRequest]) -> None:
    """Raise InputError where an answer depends on the pads that a longer neighbour brings."""
    short = replace(asked[1], prompt=asked[1].prompt[: PROMPT // 2])
    (alone,) = HooksDecoder(backend).generate([short])
    if HooksDecoder(backend).generate([asked[0], short])[1].tokens != alone.tokens:
        problem = "a small model of its kind answers otherwise in a batch than alone"
        raise InputError(type(backend.model).__name__, problem, "docs/models.md lists what runs")


def _first_adaptable(backend: HooksBackend) -> tuple[str, ...]:
    """The names of the projections that lie beside the first one in the first layer, and nowhere else in it."""
    paths = [path for path, _, _ in backend.modules if ".0." in path] or [path for path, _, _ in backend.modules]
    parent = paths[0].rpartition(".")[0]
    elsewhere = {path.rpartition(".")[2] for path in paths if path.rpartition(".")[0] != parent}
    beside = {path.rpartition(".")[2] for path in paths if path.rpartition(".")[0] == parent}
    return tuple(sorted(beside - elsewhere or beside))


def _with_lora(toy: Any, shape: ModelShape) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as missing:
        raise MissingExtraError("the meter's self-check with an adapter", "train") from missing
    return get_peft_model(toy, LoraConfig(r=RANK, target_modules=list(_inputs(shape)), task_type="CAUSAL_LM"))


def _inputs(shape: ModelShape) -> tuple[str, ...]:
    return tuple(part.name.split(".")[-1] for part in shape.layer(0) if part.stage == "attention_in")


def _said(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _meter(toy: Any, ids: Tensor, metered: Metered) -> Iterator[OperationCheck]:
    settings = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}

    def forward() -> None:
        with torch.no_grad():
            toy(input_ids=ids)

    def train() -> None:
        toy.train()
        toy(input_ids=ids, labels=ids, use_cache=False).loss.backward()

    asked = {
        "a forward pass": forward,
        "generate": lambda: toy.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings),
        "training": train,
    }
    with TemporaryDirectory() as folder, Book.open(Path(folder) / "journal") as book:
        account = book.account("self-check").under(Purpose.LEARN)
        for operation, run in asked.items():
            before = len(book.charges())
            with FlopCounterMode(display=False) as seen, metered(toy, account):
                run()
            priced = sum(charge.cost.flops or 0.0 for charge in book.charges()[before:])
            yield OperationCheck(operation, priced, float(seen.get_total_flops()))


def model_like(source: str | Path) -> Any:
    """A model with the configuration of a folder or hub name and no weights: what is checked of it needs none."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))  # type: ignore[no-untyped-call]


def model_facts(source: str) -> list[str]:
    """On which backend a model would run and how it is priced, one line each; without its weights.

    Raises InputError for a model that is refused.
    """
    source = str(folder_of_gguf(source)) if source.endswith(SUFFIX) else source
    if Path(source).is_dir():
        check_config(Path(source))
    model = attempt(source, partial(model_like, source))
    config, reason = model.config.to_dict(), why_not(model)
    backend = "planned" if reason is None else f"hooks ({reason})"
    shape = ModelShape.from_config(config, source) if ModelShape.has_formula(config) else None
    priced = "by formula" if shape else "measured"
    if shape is None:
        MeasuredPrices(model, HooksBackend(model).layout)  # refuses what cannot be measured
    return [f"model: {source}", f"backend: {backend}", f"prices: {priced}; {check_engine(model, shape)}"]


def device_facts(compiler: str) -> list[str]:
    """What the engine runs on, one line each: its compiled kernels (by ``compiler``, a path), threads, GPUs."""
    why = (
        "built" if library() is not None else f"not built ({'they do not compile' if compiler else 'no C++ compiler'})"
    )
    lines = [f"compiled kernels: {why}; compiler: {compiler or 'none'}", f"torch threads: {torch.get_num_threads()}"]
    for index in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(index)
        lines.append(f"GPU {index}: {torch.cuda.get_device_name(index)}, {free / 1e9:.0f} of {whole / 1e9:.0f} GB free")
    return lines if torch.cuda.device_count() else [*lines, "GPU: none that torch sees"]
