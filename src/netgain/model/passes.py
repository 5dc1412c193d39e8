"""What a decoder is given in one pass: its positions, and those of earlier passes, under whatever names they come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from netgain.engine.backend import Backend
from netgain.engine.decoding import DecodeRequest
from netgain.engine.hooks import HooksBackend, longest_pass, together
from netgain.engine.jobs import Size, Work
from netgain.errors import InputError
from netgain.metering.estimate import generate as decoding
from netgain.records.identity import identity

WRAPPED = "put the meter on the outermost model, after PEFT has wrapped it"
# Tensors that a decoder may be given without another price than their rectangle has.
_SEEN = ("input_ids", "inputs_embeds", "attention_mask", "position_ids", "cache_position", "token_type_ids", "seq_idx")
_PASSED_ON = ("cu_seq_lens_q", "cu_seq_lens_k", "labels", "shift_labels", "num_items_in_batch", "logits_to_keep")
PRICED_INPUTS = frozenset((*_SEEN, *_PASSED_ON))
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device)


def decoder_of(model: Any) -> nn.Module:
    """The module that every pass of a causal LM goes through: its base, or in it what its head calls (OPT)."""
    found: nn.Module = model.get_decoder() or model.base_model
    return found


def given_to(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """The tokens [rows, columns] of a decoder's pass, or their embeddings [rows, columns, width]."""
    given = arguments[0] if arguments else named.get("input_ids")
    found: Tensor = named["inputs_embeds"] if given is None else given
    return found


def past_of(decoder: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> int:
    """Keys besides its own columns that a pass attends to: whatever keyword brings a ``Cache``, it is read.

    Libraries rename such keywords (``past_key_values`` became ``cache`` in transformers 5.24). So what may be given
    besides a cache is listed: raises InputError for anything else that could carry positions or cost. A cache of a
    fixed size is attended to as a whole, empty places too.
    """
    names = signature(decoder.forward).parameters if arguments else ()
    past = 0
    for name, value in [*zip(names, arguments, strict=False), *named.items()]:
        if isinstance(value, Cache):
            past = max(past, _keys_in(value, int(given_to(arguments, named).shape[1])))
        elif name not in PRICED_INPUTS and not isinstance(value, PLAIN):
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise InputError(
                f"the argument {name} of {type(decoder).__name__}",
                f"a {kind} may carry positions of earlier calls; the meter has no price for it",
                "give a transformers Cache, or leave it out",
            )
    return past


def _keys_in(cache: Cache, columns: int) -> int:
    lengths = [cache.get_mask_sizes(columns, number)[0] - columns for number in range(len(cache.layers))]
    return max(int(cache.get_seq_length()), *lengths, 0)


def cached_tensors(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[Tensor]:
    """Keys and values that a pass is given in a cache, as far as they exist."""
    for value in (*arguments, *named.values()):
        if isinstance(value, Cache):
            for layer in value.layers:
                held = (vars(layer).get("keys"), vars(layer).get("values"))
                yield from (tensor for tensor in held if isinstance(tensor, Tensor))


def require_known_inputs(arguments: tuple[Any, ...], named: Mapping[str, Any], *, trains: bool, formula: bool) -> None:
    """Embeddings and caches that carry gradients are the wrapper's, or those of weights that nobody can see."""
    if not torch.is_grad_enabled():
        return
    if given_to(arguments, named).requires_grad and not trains:
        raise InputError("inputs_embeds", "need a gradient, though no weight of the metered model is trained", WRAPPED)
    if formula and any(tensor.requires_grad for tensor in cached_tensors(arguments, named)):
        raise InputError("the cache", "needs a gradient of weights that are not the model's", WRAPPED)


def real_positions(mask: Any, rows: int, columns: int) -> Tensor | float:
    """Positions with text among the last ``columns`` of a mask [rows, keys]; all where there is none of that form."""
    if isinstance(mask, Tensor) and mask.dim() == 2 and mask.shape[1] >= columns:
        return mask[:, -columns:].sum()
    return float(rows * columns)


def virtual_tokens(top: Any) -> int:
    """Positions that PEFT's wrapper ``top`` puts in front of every row."""
    return int(top.active_peft_config.num_virtual_tokens) if "prompt_encoder" in top._modules else 0


def generation_bound(
    arguments: tuple[Any, ...], named: dict[str, Any], model: Any, virtual: int
) -> tuple[Work, tuple[int, float]]:
    """A bound from the widest prompt and the most new tokens; and (prompt columns, real prompt tokens).

    ``virtual`` positions come before each prompt. A cache of a fixed size, or one that is given, is bounded by passes
    that all attend to everything.
    """
    given = arguments[0] if arguments else named.get("input_ids", named.get("inputs", named.get("inputs_embeds")))
    rows, columns = (1, 1) if given is None else (int(given.shape[0]), int(given.shape[1]))
    settings = named.get("generation_config") or model.generation_config
    many = [named.get(key) or getattr(settings, key, None) or 1 for key in ("num_return_sequences", "num_beams")]
    rows *= max(many)
    most = named.get("max_new_tokens") or settings.max_new_tokens
    if most is None:
        longest = named.get("max_length") or settings.max_length or model.config.max_position_embeddings
        most = max(1, longest - columns)
    work = decoding([virtual + columns] * rows, [most * (virtual + 1)] * rows)  # PEFT may set them before each
    given_one = [value for value in named.values() if isinstance(value, Cache)]
    if given_one or named.get("cache_implementation") or settings.cache_implementation:
        held = max([0, *(_keys_in(cache, 0) for cache in given_one)])
        work = replace(work, context=work.positions * (held + virtual + columns + most))
    real = float(real_positions(named.get("attention_mask"), rows // max(many), columns)) * max(many)
    return replace(work, head_positions=float(rows * (virtual + columns + most * (virtual + 1)))), (columns, real)


def generated(output: Any, prompt: tuple[int, float], named: Mapping[str, Any], settings: Any) -> Work:
    """Tokens that were generated, up to each row's end, and the positions with text."""
    columns, real = prompt
    tokens = output if isinstance(output, Tensor) else output.sequences
    new = tokens[:, columns:] if "inputs_embeds" not in named else tokens
    settings = named.get("generation_config") or settings
    ends = named.get("eos_token_id", settings.eos_token_id)
    over = torch.zeros_like(new, dtype=torch.bool)
    for end in [] if ends is None else ends if isinstance(ends, list) else [ends]:
        over |= new == end
    lengths = (over.cumsum(1) - over.long() == 0).sum(1)
    return Work(real=real + float((lengths - 1).clamp(min=0).sum()), generated=float(lengths.sum()))


def decoding_bounds(rows: Sequence[DecodeRequest], engine: Backend, most: int) -> list[Work]:
    """The most that answering these takes an engine, ``most`` at a time."""
    if isinstance(engine, HooksBackend):
        return _rectangle_bounds(rows, engine, most)
    rooms = [(row, engine.context - len(row.prompt)) for row in rows]
    return [
        decoding([len(row.prompt)], [min(row.sampling.max_new_tokens, room)], kernel="causal") if room > 0 else Work()
        for row, room in rooms
    ]


def _rectangle_bounds(rows: Sequence[DecodeRequest], engine: HooksBackend, most: int) -> list[Work]:
    """As the decoder runs them: so many rows at a time, each padded to the longest prompt among them."""
    context, switch = engine.context, engine.switch
    sound = [place for place, row in enumerate(rows) if len(row.prompt) < context]
    bounds = [Work()] * len(rows)
    for places in together([rows[place] for place in sound], most, context, switch):
        chunk = [sound[place] for place in places]
        width = max(len(rows[place].prompt) for place in chunk)
        for place in chunk:
            new = min(rows[place].sampling.max_new_tokens, context - len(rows[place].prompt))
            bounds[place] = replace(decoding([width], [new]), real=len(rows[place].prompt) + new - 1)
            if switch is not None and len(rows[place].prompt) <= switch < longest_pass(rows[place], context):
                bounds[place] += Work(positions=switch, real=switch, context=switch * (switch + 1))
    return bounds


BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of a weight
PLACES = 1 << 22  # weights at a time


def learnt(times: Mapping[Size, int]) -> Work:
    """The text and the labels in sequences of these sizes."""
    text = sum(size.text * count for size, count in times.items())
    return Work(real=text, training=sum(size.labelled * count for size, count in times.items()))


def weights_in_memory(model: nn.Module) -> str:
    """A fingerprint of all weights and buffers as they are now, computed where they are: their bits, each by its
    place. Whoever changes one changes it, but for chance (1 in 2^31)."""
    found, places = {}, torch.zeros(0, dtype=torch.int64)
    for name, weight in model.state_dict().items():
        bits = weight.detach().reshape(-1).view(BITS[weight.element_size()])
        if len(places) < min(len(bits), PLACES) or places.device != bits.device:  # an odd number for each place
            places = torch.arange(min(len(bits), PLACES), device=bits.device, dtype=torch.int64) * 0x9E3779B2 + 1
        found[name] = [int((part.to(torch.int64) * places[: len(part)]).sum()) for part in bits.split(PLACES)]
    return identity("weights", found)
