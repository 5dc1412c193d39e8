"""Weights, configuration and tokenizer of a Hugging Face causal LM (folder, GGUF file or hub name), and only safely;
between texts and tokens, how a prompt is rendered, begun and read back by that tokenizer; and models with other
weights, made from one that is left as it is: an adapter merged, or all weights trained.

Pickled weights can run code when they are loaded, and so can a model folder's own Python files. Neither is done unless
it is asked for by name.
"""

import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache, partial
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from netgain.domains.problem import Prompt, text_of
from netgain.engine.jobs import Failure, InnerLoopJob
from netgain.engine.lora import Adapter
from netgain.engine.packs import is_out_of_memory, lacking
from netgain.engine.trainer import JobOutcome, train_fully
from netgain.errors import InputError, nearest, one_line, shown
from netgain.model.checked_load import attempt, check_finite, check_tokenizer, load_weights, quiet
from netgain.model.device import gpu_number
from netgain.model.gguf import SUFFIX, folder_of_gguf
from netgain.model.model_folder import check_folder
from netgain.model.requests import scheduled
from netgain.records.identity import identity, short_hash

Chat = Literal["auto", "template", "base"]
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
DECISIVE = (
    *("*.safetensors", "*.safetensors.index.json", "*.bin", "config.json", "generation_config.json", "*.py"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model", "*.tiktoken"),
    "chat_template*",
)


@final
class Loaded:
    """A model in evaluation mode on its device, its tokenizer, and the name that records give it (never a path).

    ``digest`` says by content which model it is (None: by a hash over the weights in memory and the configuration),
    ``source`` the folder or hub name that it was loaded from (empty: its weights are in memory only).
    """

    def __init__(
        self, name: str, model: Any, tokenizer: Any, digest: Callable[[], str] | None = None, source: str = ""
    ) -> None:
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.digest: Callable[[], str] = cache(digest or partial(_digest_in_memory, model))
        self._source = source
        self._saved: TemporaryDirectory[str] | None = None

    def folder(self) -> str:
        """Where another process loads it from: its source, or a folder that is there for as long as this is."""
        if self._source:
            return self._source
        if self._saved is None:
            self._saved = TemporaryDirectory(prefix="netgain-model-")
            with quiet(whole=False):
                self.model.save_pretrained(self._saved.name)
                self.tokenizer.save_pretrained(self._saved.name)
        return self._saved.name


def load_parts(
    source: str | Path,
    *,
    device: str,
    dtype: str,
    attention: str,
    revision: str | None,
    trust_remote_code: bool,
    allow_pickle: bool,
) -> Loaded:
    """Load a model as :func:`netgain.model.load_model` describes. Raises InputError where it cannot be loaded."""
    source = folder_of_gguf(source) if str(source).endswith(SUFFIX) else source
    place = Path(source)
    local = place.is_dir()
    if local:
        check_folder(place, allow_pickle=allow_pickle)
    where = str(place) if local else str(source)
    common: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = attempt(where, lambda: AutoConfig.from_pretrained(source, **common))
    chosen = None if attention == "auto" else attention  # transformers then takes sdpa where the architecture has it
    weights = common | {"use_safetensors": None if allow_pickle else True, "attn_implementation": chosen}
    found_dtype = _dtype(dtype)
    model: Any = load_weights(where, source, config, local=local, dtype=found_dtype, **weights)
    with quiet(whole=local):
        tokenizer = attempt(where, lambda: AutoTokenizer.from_pretrained(source, **common))
    model = model.to(_device(device)).eval()
    check_finite(where, model)
    check_tokenizer(where, model, tokenizer)
    name, commit = place.name if local else str(source), getattr(model.config, "_commit_hash", None)
    published = partial(_digest_published, name, commit) if commit else None
    digest = partial(digest_folder, place) if local else published
    found = str(place.resolve()) if local else str(source)
    return Loaded(name, model, tokenizer, digest, found)


def digest_folder(folder: Path) -> str:
    """``sha256:...`` over all that decides how a model folder answers: weights, configuration, tokenizer, template."""
    files = sorted({path for pattern in DECISIVE for path in folder.glob(pattern) if path.is_file()})
    hashes = {}
    for path in files:
        with path.open("rb") as opened:
            hashes[path.name] = file_digest(opened, "sha256").hexdigest()
    return identity("model", hashes)


def _digest_published(name: str, commit: str) -> str:
    return identity("model", {"hub": name, "commit": commit})


def _digest_in_memory(model: Any) -> str:
    hashes = {}
    for name, weight in model.state_dict().items():
        flat = weight.detach().cpu().contiguous().flatten().view(torch.uint8)
        hashes[name] = sha256(flat.numpy().tobytes()).hexdigest()
    return identity("model", {"weights": hashes, "config": json.loads(model.config.to_json_string(use_diff=False))})


def _dtype(name: str) -> torch.dtype | str:
    if name != "auto" and name not in DTYPES:
        raise InputError(f"dtype {name!r}", "is none that can be loaded", nearest(name, ["auto", *DTYPES]))
    return DTYPES.get(name, "auto")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise InputError(f"device {name!r}", "is none that torch knows", "use auto, cpu or cuda") from problem
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}", "torch sees no GPU here", "use auto or cpu")
    if device.type == "cuda":
        gpu_number(name)
    return device


@final
class Texts:
    """One model's tokenizer. ``chat`` is how conversations become text, ``ends`` are the tokens that end an answer.

    ``templated``: conversations go through the tokenizer's template.
    """

    def __init__(self, loaded: Loaded, chat: Chat) -> None:
        self._name, self._tokenizer = loaded.name, loaded.tokenizer
        templated = getattr(loaded.tokenizer, "chat_template", None) is not None
        if chat == "template" and not templated:
            raise InputError(f"chat {chat!r}", f"the tokenizer of {loaded.name} has no template", "use base")
        self.templated = templated and chat != "base"
        self.ends = _ends(loaded)
        self._behind = self._marks_behind()

    def problem(self, prompt: Prompt, continuation: str = "") -> Failure | None:
        """Why a prompt, or what follows it, cannot become tokens: a template may refuse a conversation."""
        try:
            text = self.rendered(prompt)
        except Exception as error:  # a template is a program: jinja's errors, and whatever else it runs into
            said = f"{type(error).__name__}: {error}" if not str(error) else str(error)
            detail = f"the chat template of {self._name} refuses this conversation ({said})"
            return Failure("bad_prompt", " ".join(detail.split()), 0)
        if _is_broken(text) or _is_broken(continuation):
            return Failure("bad_prompt", "the text holds half of a surrogate pair, which is no character", 0)
        if self._first is None and not self.tokens(text, special=True):
            return Failure("bad_prompt", f"the prompt has no tokens, and {self._name} none to begin with", 0)
        return None

    def rendered(self, prompt: Prompt) -> str:
        """A prompt as one text."""
        if isinstance(prompt, str) or not self.templated:
            return text_of(prompt)
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def prompt(self, prompt: Prompt, answer: str = "") -> tuple[int, ...]:
        """A prompt's tokens, at least one, with the beginning of an answer behind them."""
        return self._begun(prompt, self.rendered(prompt) + answer)

    def shown(self, prompt: Prompt) -> str:
        """A prompt as the model reads it, special tokens included."""
        return str(self._tokenizer.decode(list(self.prompt(prompt))))

    def continuation(self, prompt: Prompt, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens of a prompt and of what follows it, cut from the tokens of both together: a text that is cut into
        tokens by itself would begin, for many tokenizers, with a space that is not there.

        Where a token spans the border, the prompt's spaces at its end go to the continuation, as in lm-evaluation-
        harness (``_encode_pair``); where one still does (it stands within a word), the continuation is cut as it would
        be behind a line end.
        """
        rendered = self.rendered(prompt)
        whole = self._begun(prompt, rendered + text)
        for head in (rendered, rendered.rstrip()):
            tokens = self._begun(prompt, head)
            if whole[: len(tokens)] == tokens:
                return tokens, whole[len(tokens) :]
        line, rest = self.tokens("\n", special=False), self.tokens(f"\n{text}", special=False)
        behind = bool(rendered) and bool(line) and rest[: len(line)] == line
        return self._begun(prompt, rendered), rest[len(line) :] if behind else self.tokens(text, special=False)

    def _begun(self, prompt: Prompt, text: str) -> tuple[int, ...]:
        """Tokens with the special ones that begin a text, and without those that some tokenizers end it with."""
        if not isinstance(prompt, str) and self.templated:
            tokens = self.tokens(text, special=False)  # a template brings its own special tokens
        else:
            marked = self.tokens(text, special=True)
            tokens = marked[: len(marked) - self._behind]
        return tokens or ((self._first,) if self._first is not None else ())

    def _marks_behind(self) -> int:
        """How many special tokens the tokenizer puts behind a text: a prompt that ended in one would be over."""
        plain, marked = self.tokens("a", special=False), self.tokens("a", special=True)
        starts = [at for at in range(len(marked) - len(plain) + 1) if marked[at : at + len(plain)] == plain]
        return len(marked) - len(plain) - starts[0] if plain and starts else 0

    @property
    def _first(self) -> int | None:
        """What an empty prompt starts from."""
        given = (token for token in (self._tokenizer.bos_token_id, *self.ends) if token is not None)
        return next(map(int, given), None)

    def tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        """Token ids, of any length. Raises InputError for a text that is none: half of a surrogate pair."""
        if _is_broken(text):
            raise InputError("text", "holds half of a surrogate pair, which is no character", "mend its encoding")
        try:
            return tuple(self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])
        except Exception as error:  # the library raises bare Exception, for example without a token for what is unknown
            problem = f"its tokenizer cannot write {shown(text)} ({one_line(str(error))})"
            raise InputError(self._name, problem, "look into its tokenizer.json") from error

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text, special ones left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def _is_broken(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _ends(loaded: Loaded) -> tuple[int, ...]:
    """The tokens that end an answer, as the model's generation settings or its tokenizer name them."""
    named = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    named = loaded.tokenizer.eos_token_id if named is None else named
    return () if named is None else tuple(named) if isinstance(named, (list, tuple)) else (int(named),)


def no_room(error: RuntimeError | MemoryError) -> Failure:
    """That a copy of a model does not fit. Raises the error again where it is about anything but memory."""
    if not is_out_of_memory(error):
        raise error
    return Failure("out_of_memory", f"another copy of the model does not fit into memory ({lacking(error)})", 0)


MARK = re.compile(r"\+[0-9a-f]{10}$")


def merge(loaded: Loaded, adapter: Adapter) -> Loaded:
    """The model with ``weight + alpha / rank * B A`` in each adapted matrix, summed in float32 (float64 in float64).

    Weights without an adapter are shared with the original, which nothing here ever changes.
    """
    layout = adapter.layout
    adapted = {id(loaded.model.get_submodule(target.path).weight) for target in layout.targets}
    shared = {id(x): x for x in _tensors(loaded.model) if id(x) not in adapted}
    model: Any = deepcopy(loaded.model, shared)
    with torch.no_grad():
        for target in layout.targets:
            module: Any = model.get_submodule(target.path)
            weight: Tensor = module.weight
            change = layout.alpha / layout.rank * (adapter.b(target) @ adapter.a(target))
            change = change.t() if isinstance(module, Conv1D) else change
            weight.copy_(weight.to(change.dtype) + change.to(weight.device))
    content = sha256(adapter.row.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    settings = {"rank": layout.rank, "alpha": layout.alpha, "targets": layout.names, "weights": content}
    return _named(loaded, model, "merged", settings)


def tune(loaded: Loaded, job: InnerLoopJob) -> tuple[Loaded, JobOutcome]:
    """A copy of the model with all of its weights trained as ``job`` says."""
    model = deepcopy(loaded.model)
    for weight in model.parameters():
        weight.requires_grad_(weight.is_floating_point())
    outcome = train_fully(model, job)
    settings = {
        "sequences": [[int(token) for token in sequence] for sequence in job.sequences],
        "loss_masks": job.loss_masks and [[bool(m) for m in mask] for mask in job.loss_masks],
        **{"epochs": job.epochs, "max_steps": job.max_steps, "batch_size": job.batch_size, "seed": job.seed},
        **{"closing": [int(token) for token in job.closing]},
        **{"learning_rate": job.learning_rate, "max_grad_norm": job.max_grad_norm},
        **scheduled(job),
    }
    return _named(loaded, model, "trained", settings), outcome


def reweighted(loaded: Loaded, folder: Path) -> Loaded:
    """The model with the weights in a folder, which are all of its own and no others; architecture and tokenizer stay.

    Raises InputError for weights that are another model's, and for pickled ones.
    """
    if not any(folder.glob("*.safetensors")):
        raise InputError(str(folder), "holds neither an adapter in PEFT's format nor a model's safetensors")
    base = loaded.model
    how: dict[str, Any] = {"config": base.config, "dtype": base.dtype, "use_safetensors": True}
    how |= {"attn_implementation": base.config._attn_implementation, "output_loading_info": True}
    how |= {"ignore_mismatched_sizes": True, "local_files_only": True}
    with quiet(whole=True):
        model, told = attempt(str(folder), lambda: type(base).from_pretrained(folder, **how))
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if told[what]:
            problem = f"its weights are not those of {loaded.name}: {what.replace('_', ' ')} such as {min(told[what])}"
            raise InputError(str(folder), problem, "save the model that the task names")
    model = model.to(base.device).eval()
    check_finite(str(folder), model)
    weights = {"weights": digest_folder(folder)}
    return _named(loaded, model, "script", weights)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _named(loaded: Loaded, model: Any, how: str, settings: dict[str, Any]) -> Loaded:
    """Under the original's name with a digest behind it: of the original's own name and of what was done to it."""
    by = identity(how, settings)
    name = f"{MARK.sub('', loaded.name)}+{short_hash(loaded.name, by)}"
    return Loaded(name, model, loaded.tokenizer, partial(_digest_derived, loaded.digest, how, by))


def _digest_derived(before: Callable[[], str], how: str, by: str) -> str:
    """Of a model that was made from another: of the other's digest and of what was done to it."""
    return identity("model", {"from": before(), how: by})
