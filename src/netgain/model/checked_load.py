"""Loading by transformers of what may hold anything: a model that is all there and gives numbers, or one line.

First the architecture is built without memory and the names and shapes of the weights are held against it; only what
fits to the last tensor is then loaded, whole. Whatever a library raises on the way, the folder is at fault.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from netgain.engine.packs import is_out_of_memory
from netgain.errors import InputError, NetgainError, Terminated, shown
from netgain.metering.estimate import gigabytes

T = TypeVar("T")
LONGEST = 300  # characters of what a library says
NAMED = 3  # tensors
ROTARY = "inv_freq"
FREE_BUFFERS = 2**30  # bytes; masks and tables of positions, which stand in no file
WRONG = "the configuration and the weights are not of one model"
bars: Any = logging  # which has no types


@contextmanager
def quiet(*, whole: bool) -> Iterator[None]:
    """No progress bars of transformers for what takes seconds, and no warnings where ``whole``: they would stand
    between the lines of a command, and what they warn of is refused."""
    shown, level = bars.is_progress_bar_enabled(), bars.get_verbosity()
    bars.disable_progress_bar()
    if whole:
        bars.set_verbosity_error()
    try:
        yield
    finally:
        bars.set_verbosity(level)
        if shown:
            bars.enable_progress_bar()


def attempt(where: str, load: Callable[[], T]) -> T:
    """What a library makes of someone's files. Raises InputError for whatever it raises, but for a lack of memory."""
    try:
        return load()
    except (NetgainError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit, Terminated):
        raise
    except BaseException as problem:  # a panic of a library in Rust is no Exception
        if is_out_of_memory(problem):
            raise
        said = " ".join(str(problem).split())
        if "trust_remote_code" in said:
            problem_is = "it brings its own code, which is not run"
            remedy = "read that code, then pass trust_remote_code=True (on the command line: --trust-remote-code)"
            raise InputError(where, problem_is, remedy) from problem
        if isinstance(problem, OSError) and "safetensors" in said:
            raise InputError(
                where, "it has no weights as safetensors", "convert them, or pass allow_pickle=True"
            ) from problem
        if not isinstance(problem, OSError | ValueError | ImportError):
            said = f"{type(problem).__name__}: {said}"
        remedy = "" if isinstance(problem, OSError | ImportError) else "check its configuration and tokenizer files"
        remedy = "use attention eager, or auto" if "attn_implementation" in said else remedy
        said = said if len(said) <= LONGEST else said[: LONGEST - 3] + "..."
        raise InputError(where, f"it cannot be loaded as a causal language model ({said})", remedy) from problem


def load_weights(where: str, source: Any, config: Any, *, local: bool, **how: Any) -> Any:
    """The model, of which every weight is in the files and every weight in the files is in the model.

    Raises InputError naming the tensors that are not.
    """
    loader: Any = AutoModelForCausalLM
    if getattr(config, "quantization_config", None) is None:  # packed weights have other names and shapes in memory
        with quiet(whole=True):
            attempt(where, lambda: _compare(where, source, config, how))
    with quiet(whole=True) if local else nullcontext():  # a download shows how far it is
        model, told = attempt(
            where,
            lambda: loader.from_pretrained(source, config=config, output_loading_info=True, **how),
        )
    check_complete(where, model, told)
    return model


def _compare(where: str, source: Any, config: Any, how: dict[str, Any]) -> None:
    """Names and shapes of the weights against the architecture's, neither of which takes memory."""
    load: Any = AutoModelForCausalLM
    checks: dict[str, Any] = {"device_map": "meta", "output_loading_info": True, "ignore_mismatched_sizes": True}
    with torch.device("meta"):
        model, told = load.from_pretrained(source, config=config, **how | checks)
    check_complete(where, model, told)
    sizes = [
        sum(math.prod(x.shape) * x.element_size() for x in found) for found in (model.buffers(), model.parameters())
    ]
    if sizes[0] > max(FREE_BUFFERS, sizes[1]):
        problem = f"its tables of positions would take {gigabytes(sizes[0])}, and its weights {gigabytes(sizes[1])}"
        raise InputError(where, problem, "the configuration is wrong")


def check_complete(where: str, model: Any, told: dict[str, Any]) -> None:
    """Raise InputError for weights that a load found missing, of another shape, or foreign within the model."""
    mismatched = [f"{name} is {tuple(found)}, not {tuple(wanted)}" for name, found, wanted in told["mismatched_keys"]]
    if mismatched:
        raise InputError(where, f"weights of another shape: {_some(mismatched)}", WRONG)
    if told["missing_keys"]:
        raise InputError(where, f"its weights lack {_some(told['missing_keys'])}", WRONG)
    modules, prefix = {path for path, _ in model.named_modules()}, model.base_model_prefix
    foreign = [name for name in told["unexpected_keys"] if _belongs(modules, prefix, name)]
    if foreign:
        raise InputError(where, f"its weights hold {_some(foreign)}, which its configuration has no place for", WRONG)
    if told.get("error_msgs"):
        raise InputError(where, f"its weights do not fit: {_some(told['error_msgs'])}", WRONG)


HARMLESS = re.compile(r"(rotary_emb\.inv_freq|attn\.bias|attn\.masked_bias|attention\.bias|attention\.masked_bias)$")


def _belongs(modules: Set[str], prefix: str, name: str) -> bool:
    """Whether an unexpected tensor lies within one of the model's modules: a layer more, a bias that it would leave
    out. A head of another kind beside the model is none of its business, nor is a table that older versions saved."""
    if HARMLESS.search(name):
        return False
    for whole in (name, f"{prefix}.{name}"):
        parts = whole.split(".")
        above = [".".join(parts[:end]) for end in range(1, len(parts))]
        if above and (above[-1] in modules or any(path in modules for path in above[1:])):
            return True
    return False


def check_finite(where: str, model: Any) -> None:
    """Raise InputError for a model that holds a weight which is no finite number, or answers with one.

    All weights are looked at, in one pass over the memory that they are in; the answer is one pass of the model over
    four tokens, which also finds settings under which finite weights give no numbers (a rotary base of 0).
    """
    for name, weight in (*model.named_parameters(), *_decisive_buffers(model)):
        if weight.is_floating_point() and weight.element_size() > 1 and not _is_finite(weight):
            count = int((~torch.isfinite(weight)).sum())
            problem = f"{name} holds {count} of {weight.numel()} weights that are no finite numbers"
            remedy = "look into the rope settings of its configuration" if ROTARY in name else "name a sound checkpoint"
            raise InputError(where, problem, remedy)

    def answer() -> Any:
        rows = model.get_input_embeddings().weight.shape[0]
        ids = torch.linspace(0, rows - 1, 4, device=model.device).long()[None]
        with torch.inference_mode():
            return model(input_ids=ids, use_cache=False).logits

    logits = attempt(where, answer)
    if bool(
        (torch.isnan(logits) | torch.isposinf(logits)).any()
    ):  # a token that must not be said may have minus infinity
        problem = "it answers with what is no number, though its weights are finite"
        raise InputError(where, problem, "look into its configuration (rope settings, epsilons, scales)")


def check_tokenizer(where: str, model: Any, tokenizer: Any) -> None:
    """Raise InputError for a tokenizer that cannot write and read a text, or writes what the model has no rows for.

    Tokens that were added later are let be: some checkpoints have a pad token beyond their rows, which nobody asks for.
    """

    def spoken() -> list[int]:
        ids = [int(token) for token in tokenizer("a b", verbose=False)["input_ids"]]
        tokenizer.decode(ids, skip_special_tokens=True)
        return [*ids, *(set(tokenizer.get_vocab().values()) - set(tokenizer.added_tokens_decoder))]

    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if not all(type(token) is int for token in (named if isinstance(named, (list, tuple)) else [named or 0])):
        raise InputError(where, f"eos_token_id = {shown(named)}: is no token", "mend its generation_config.json")
    rows = int(model.get_input_embeddings().weight.shape[0])
    beyond = [token for token in attempt(where, spoken) if not 0 <= token < rows]
    if beyond:
        problem = f"its tokenizer has token {max(beyond, key=abs)}, and the model's embedding {rows} rows"
        raise InputError(where, problem, "the tokenizer and the weights are not of one model")


def _is_finite(weight: torch.Tensor) -> bool:
    # A sum needs no copy. One of finite numbers may still leave the range, so that only then all are looked at.
    return math.isfinite(weight.detach().sum(dtype=torch.float32).item()) or bool(torch.isfinite(weight).all())


def _decisive_buffers(model: Any) -> list[tuple[str, torch.Tensor]]:
    """Those that are saved with the weights, and the rotary frequencies; others may hold infinities, as masks do."""
    saved = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in saved or ROTARY in name]


def _some(names: Iterable[object]) -> str:
    found = sorted(map(str, names))
    return ", ".join(found[:NAMED]) + (f" ({len(found)} in all)" if len(found) > NAMED else "")
