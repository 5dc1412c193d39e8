"""A model's folder, read by our own eyes before any library opens it: does it hold what it says? No torch, no weights.

What is checked costs the headers' reading and no more: a configuration of sizes that a model can have, weights whose
header, offsets and shapes agree with the file, an index that names files and tensors which are there.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from netgain.errors import InputError, shown
from netgain.metering.shape import LARGEST, MOST_LAYERS
from netgain.strict_json import parse_json

CONFIG, SINGLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
BESIDE = ("generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LARGEST_JSON, LARGEST_HEADER = 200_000_000, 100_000_000  # bytes; the second is safetensors' own limit
# How many layers are built. Each has at least one tensor, so that there cannot be more of them than tensors.
BUILT = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers", "num_decoder_layers")
COUNTED = ("layer", "expert", "block", "attention_types")  # what else is built one by one, in words of their names
BOUNDLESS = ("time_step_limit",)  # a field of state-space models whose upper end may be infinite
BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32},
    **{"F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64},
}
AGAIN = "copy or download it again"

Tensors = Mapping[str, tuple[str, tuple[int, ...], int, int]]  # by name: dtype, shape, first byte and the one behind


def check_folder(folder: Path, *, allow_pickle: bool = False) -> None:
    """Raise InputError for the first thing that is wrong with a Hugging Face folder: it names the file and the field.

    Weights that are a pickle are refused unless ``allow_pickle``, and then not looked into.
    """
    config = check_config(folder)
    weights, index = _weight_files(folder, config)
    if not weights:
        _refuse_pickles(folder, allow_pickle=allow_pickle)
    tensors: dict[str, Path] = {}
    for file in weights:
        tensors |= dict.fromkeys(read_header(file)[0], file)
    if weights and not tensors:
        raise InputError(str(weights[0]), "holds no tensors", AGAIN)
    if index is not None:
        _check_index(folder, index, tensors)
    if weights:
        _check_counts(folder, config, len(tensors))
    for name in BESIDE:
        if (folder / name).is_file():
            _json_object(folder / name)


def check_config(folder: Path) -> Mapping[str, Any]:
    """The fields of a folder's ``config.json``, of which every number is one that a model can have."""
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(str(folder), f"holds no {CONFIG}", "give the folder of a Hugging Face model")
    config = _json_object(path)
    kind = config.get("model_type")
    if not isinstance(kind, str | None):
        raise InputError(str(path), f"model_type = {shown(kind)}: is no text", AGAIN)
    for name in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(name), dict | None):
            raise InputError(str(path), f"{name} = {shown(config[name])}: is no mapping", AGAIN)
    for name, value in _numbers(config):
        if isinstance(value, float) and not math.isfinite(value) and name not in BOUNDLESS:
            raise InputError(str(path), f"{name} = {value}: is no finite number", AGAIN)
        if isinstance(value, int) and abs(value) > LARGEST:
            raise InputError(str(path), f"{name} = {shown(value)}: no model is of such a size", AGAIN)
    _check_counts(folder, config, MOST_LAYERS)
    file = config.get("transformers_weights")
    if file is not None and (not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors")):
        problem = f"transformers_weights = {shown(file)}: is no safetensors file of this folder"
        raise InputError(str(path), problem, "leave it out")
    return config


def _check_counts(folder: Path, config: Mapping[str, Any], tensors: int) -> None:
    for name, value in _numbers(config):
        if not isinstance(value, int) or "size" in name:
            continue
        if name in BUILT and value > min(tensors, MOST_LAYERS):
            stands = (
                f"its weights are {tensors} tensors" if tensors < MOST_LAYERS else f"at most {MOST_LAYERS} are read"
            )
            raise InputError(str(folder / CONFIG), f"{name} = {shown(value)}: {stands}", "the configuration is wrong")
        if value > MOST_LAYERS and any(word in name for word in COUNTED):
            problem = f"{name} = {shown(value)}: at most {MOST_LAYERS} are read"
            raise InputError(str(folder / CONFIG), problem, "the configuration is wrong")


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    """Every number in a configuration, under the name of the innermost field that it stands in."""
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(str(key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(name, inner) for inner in value]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _json_object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise InputError(str(path), f"is larger than {LARGEST_JSON // 10**6} MB", AGAIN)
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(str(path), f"is no JSON that can be read ({_short_text(problem)})", AGAIN) from None
    if not isinstance(found, dict):
        raise InputError(str(path), "does not hold a JSON object", AGAIN)
    return found


def _weight_files(folder: Path, config: Mapping[str, Any]) -> tuple[list[Path], Mapping[str, Any] | None]:
    """The safetensors files that transformers would read: one, or those that the index names, and then the index."""
    single, index = folder / config.get("transformers_weights", SINGLE), folder / INDEX
    if single.is_file() or not index.is_file():
        return ([single] if single.is_file() else []), None
    told = _json_object(index)
    named = told.get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()) or not named:
        raise InputError(str(index), "its weight_map is no mapping of tensors to files", AGAIN)
    files = sorted(set(named.values()))
    for file in files:
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise InputError(str(index), f"names the file {shown(file)}, which is no safetensors file beside it", AGAIN)
        if not (folder / file).is_file():
            raise InputError(str(folder), f"{file} is missing, which {INDEX} names", AGAIN)
    return [folder / file for file in files], told


def _check_index(folder: Path, index: Mapping[str, Any], tensors: Mapping[str, Path]) -> None:
    if not isinstance(index.get("metadata"), dict):
        raise InputError(str(folder / INDEX), f"metadata = {shown(index.get('metadata'))}: is no mapping", AGAIN)
    for tensor, file in index["weight_map"].items():
        if tensor not in tensors or tensors[tensor].name != file:
            raise InputError(str(folder / INDEX), f"{shown(tensor)} is not in {file}, as it says", AGAIN)


def _refuse_pickles(folder: Path, *, allow_pickle: bool) -> None:
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles and not allow_pickle:
        raise InputError(
            str(folder / pickles[0]),
            "these weights are a pickle, which can run code when it is loaded",
            "convert them to safetensors, or pass allow_pickle=True",
        )
    if not pickles:
        raise InputError(str(folder), "it has no weights as safetensors", "give the folder that save_pretrained wrote")


def read_header(path: Path) -> tuple[Tensors, int]:
    """The tensors of a safetensors file, and where its data begin. Raises InputError where it is not what it says.

    The format: eight bytes with the length of a JSON header, the header, the data that it points into, without a gap or
    an overlap (huggingface/safetensors, README, "Format").
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                raise InputError(str(path), f"its header is said to be of {length} bytes, and it has {size}", AGAIN)
            header = parse_json(opened.read(length).decode(), once=True)
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"is no safetensors file that can be read ({_short_text(error)})", AGAIN) from None
    if not isinstance(header, dict):
        raise InputError(str(path), "is no safetensors file: its header is no JSON object", AGAIN)
    tensors = {name: _entry(path, name, entry) for name, entry in header.items() if name != "__metadata__"}
    behind = 0
    for name, (*_, first, last) in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if first != behind:
            said = f"{shown(name)} begins at byte {first} of the data, and what is before it ends at {behind}"
            raise InputError(str(path), said, AGAIN)
        behind = last
    if behind != size - 8 - length:
        cut = "is cut off" if behind > size - 8 - length else "is too long"
        said = f"{cut}: its header tells of {behind} bytes of data, and it has {size - 8 - length}"
        raise InputError(str(path), said, AGAIN)
    return tensors, 8 + length


def _entry(path: Path, name: str, entry: object) -> tuple[str, tuple[int, ...], int, int]:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    whole = [number for numbers in (shape, offsets) if isinstance(numbers, list) for number in numbers]
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2) or not all(
        type(number) is int and 0 <= number < 2**63 for number in whole
    ):
        raise InputError(str(path), f"{shown(name)} has no shape and offsets that can be read", AGAIN)
    if not isinstance(dtype, str) or dtype not in BITS:
        raise InputError(str(path), f"{shown(name)} is of type {shown(dtype)}, which is not known", AGAIN)
    first, last = offsets
    bits = math.prod(shape) * BITS[dtype]
    if last < first or bits != 8 * (last - first):
        problem = f"{shown(name)} takes {last - first} bytes, and {dtype} {shown(shape)} is {-(-bits // 8)}"
        raise InputError(str(path), problem, AGAIN)
    return dtype, tuple(shape), first, last


def _short_text(problem: Exception) -> str:
    text = str(problem.strerror if isinstance(problem, OSError) else problem).partition("\n")[0]
    return text if len(text) <= 160 else text[:157] + "..."


def cache_folder() -> Path:
    """Where what is made once for a machine lies (converted models, measurements): ``netgain`` in ``$HF_HOME`` if that
    is set, else in ``$XDG_CACHE_HOME``, else in ``~/.cache``. Raises InputError where there is no home folder either.
    """
    try:
        root = os.environ.get("HF_HOME") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(root).expanduser() / "netgain"
    except RuntimeError:
        raise InputError("the cache folder", "there is no home folder to put it in", "set XDG_CACHE_HOME") from None


# -- the weights that a folder holds, by content


def hashed_weight(shape: Sequence[int], data: bytes | memoryview) -> str:
    """A digest of one weight: its shape, and its bytes in whatever precision it has."""
    found = sha256(",".join(map(str, shape)).encode())
    found.update(b";")
    found.update(data)
    return found.hexdigest()


def saved_weights(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and digest of every weight in a folder's safetensors files. Raises InputError for a damaged file."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors, start = read_header(path)
        with path.open("rb") as opened:
            for name, (_, shape, first, last) in tensors.items():
                opened.seek(start + first)
                yield name, hashed_weight(shape, opened.read(last - first))
