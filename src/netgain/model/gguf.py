"""A GGUF file becomes an ordinary Hugging Face folder, once: whatever takes a folder takes it from then on.

transformers reads GGUF by itself (with the package ``gguf``) and dequantises it, but it neither remembers that nor
saves the result. The folder holds float32 weights: the numbers that a quantised format stands for fit into no 16 bits.
"""

import shutil
import tempfile
from functools import cache
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.import_utils import is_gguf_available

from netgain.errors import InputError, MissingExtraError
from netgain.model.model_folder import cache_folder

SUFFIX = ".gguf"
SHOWN = 12  # hexadecimal digits of the file's SHA-256 in the folder's name


def folder_of_gguf(file: str | Path) -> Path:
    """The folder into which this GGUF file is converted: weights in float32, configuration, tokenizer, chat template.

    It is named by the file and its content, so that a second call finds it, a changed file gets a folder of its own and
    a moved one does not. Raises InputError for a file that is missing or that transformers cannot read, and
    MissingExtraError where the package ``gguf`` is needed and absent.
    """
    path = Path(file)
    try:
        about = path.stat()
        target = cache_folder() / "models" / f"{path.stem}-{_digest(path, about.st_size, about.st_mtime_ns)[:SHOWN]}"
    except OSError as problem:
        remedy = "paths in a trial are relative to its file"
        raise InputError(str(path), f"it cannot be read ({problem.strerror})", remedy) from problem
    if not target.is_dir():
        _convert(path, target)
    return target


@cache
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def _convert(path: Path, target: Path) -> None:
    if not is_gguf_available():
        raise MissingExtraError(f"reading {path.name}", "gguf")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as made:
        try:
            _write(path, Path(made))
        except Exception as problem:  # a reader of other people's files: whatever it runs into, the file is at fault
            said = f"{type(problem).__name__}: {problem}"
            remedy = "llama.cpp's convert_hf_to_gguf.py writes such files; or name the model's folder or hub name"
            raise InputError(str(path), f"it cannot be read as a causal language model ({said})", remedy) from problem
        try:
            shutil.move(made, target)  # a rename: a folder with this name is whole, whoever made it
        except OSError:
            if not target.is_dir():
                raise
        Path(made).mkdir(exist_ok=True)  # which the context removes


def _write(path: Path, folder: Path) -> None:
    given: dict[str, Any] = {"gguf_file": path.name}
    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **given)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **given)
    if "quantization_config" in model.config:
        del model.config.quantization_config
    # What was dequantised still counts as quantised, and refuses to be saved: another model takes its weights over.
    with torch.device("meta"):
        plain: Any = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
