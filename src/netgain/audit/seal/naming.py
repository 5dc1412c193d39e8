"""What a SEAL result file says of itself by name and folder: which model, whose edits, which prompt, which round.

Version 1 says nothing else: one model was used. Version 2 holds arms of three models side by side.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, final

from netgain.records.claim import Role

MODEL = "Qwen/Qwen2.5-7B"
PAPER_ACCURACY = {
    ("implications", 1): 0.437,
    ("implications", 2): 0.470,
    ("implications", 0): 0.397,
    ("implications-long", 0): 0.493,
    ("implications-long", 1): 0.524,
    ("implications-long", 2): 0.544,
    ("implications-very-long", 0): 0.450,
    ("implications-very-long", 1): 0.515,
    ("implications-very-long", 2): 0.521,
    ("rewrite", 0): 0.494,
    ("rewrite", 1): 0.553,
    ("rewrite", 2): 0.556,
    ("self-qa", 0): 0.373,
    ("self-qa", 1): 0.428,
    ("self-qa", 2): 0.487,
}
PAPER_PASSAGE_ACCURACY, PAPER_TEACHER_ACCURACY = 0.335, 0.463
_PROMPT_NAMES = {"long": "implications-long", "very-long": "implications-very-long"}
_SIZE = re.compile(r"(?:^|[/_-])(\d+(?:\.\d+)?B)(?=[/_.-]|$)")
_ENTIGRAPH = {"enti-pair": "pairs", "enti-pair+triple": "pairs and triples"}
_ENTIGRAPH |= {"entigraph-pairs": "pairs", "entigraph-pairs+triples": "pairs and triples"}
HYPERNETWORK = "generative-adapter"


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """What the name of a result file says: who wrote the edits, under which prompt, after how many outer rounds."""

    role: Role
    label: str
    prompt: str
    round: int | None


def identify(stem: str, *, has_edits: bool, dataset: str = "") -> Identity:
    """Read an arm's identity from its file name: ``iter2_prompt-rewrite`` is round 2 with the rewrite prompt.

    ``iter2_200`` is the same over 200 passages, and ``openai`` is whom the name of the ``dataset`` says.
    """
    name, _, suffix = re.sub(r"_\d{2,}$", "", stem.removeprefix("cpt_")).partition("_prompt-")
    if name == "openai":
        name = PurePosixPath(dataset).stem.partition("_val")[0] or name
    prompt = _PROMPT_NAMES.get(suffix, suffix) or "implications"
    round_match = re.match(r"iter(\d+)$", name)
    if name == "naive" or not has_edits:
        return Identity(Role.PASSAGE, "passage only", "", None)
    if name == "base":
        return Identity(Role.SYNTHETIC, f"{prompt} R0", prompt, 0)
    if round_match and int(round_match.group(1)) > 0:
        return Identity(
            Role.SELF_IMPROVING, f"SEAL {prompt} R{round_match.group(1)}", prompt, int(round_match.group(1))
        )
    if name in _ENTIGRAPH:
        return Identity(Role.SYNTHETIC, f"EntiGraph {_ENTIGRAPH[name]}", f"EntiGraph {_ENTIGRAPH[name]}", 0)
    if name == HYPERNETWORK:
        return Identity(Role.OTHER, "Generative Adapter", "", None)
    if re.match(r"(gpt|openai|o\d|claude|gemini|deepseek|llama|mistral)", name):
        return Identity(Role.TEACHER, f"{teacher_label(name)} {prompt}", prompt, None)
    return Identity(Role.OTHER, f"{name} {prompt}", prompt, None)


@final
@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The base model of an arm (a hub name; empty where it is not known), and the checkpoint that its training starts
    from where that is another."""

    base: str
    start: str = ""

    @property
    def mark(self) -> str:
        """What tells its arms from those of the repository's main model: empty for that one, else its size or name."""
        return "" if self.base == MODEL else self.size or PurePosixPath(self.base).name or HYPERNETWORK

    @property
    def size(self) -> str:
        """The size of another model of the same family, as its name has it (``3B``)."""
        found = _SIZE.search(self.base)
        return found.group(1) if found and self.base.startswith(MODEL.rpartition("-")[0]) else ""

    def label(self, name: str) -> str:
        """The label of an arm of this model."""
        return f"{name} ({self.mark})" if self.mark and self.mark == self.size else name

    def setting(self, name: str) -> str:
        """The setting of this name for arms of this model alone."""
        return f"{name}, {PurePosixPath(self.base).name or HYPERNETWORK}" if self.mark else name


def trained_model(stated: str, file: str, dataset: str, metas: Mapping[str, Mapping[str, Any]]) -> TrainedModel:
    """Which model an arm trained: the one that its file states, else by its folder (``3B/eval``), by the data set that
    it was trained on and by that one's side-car; without any of them the model of the paper.

    A path (``models/iter2``) is a checkpoint that an outer loop made: training starts there, from a base model whose
    size is in the name (``iter2-3B``), if it is another than the paper's.
    """
    beside = [meta for name, meta in metas.items() if dataset and f"/{name}".endswith(f"/{dataset}.meta")]
    writer = str(beside[0].get("model", "")) if beside else ""
    path = stated.startswith(("models/", "/", "./", "~"))
    if "/" in stated and not path:
        return TrainedModel(stated)
    sizes = [found.group(1) for text in (stated, file, dataset, writer) if (found := _SIZE.search(text))]
    base = f"{MODEL.rpartition('-')[0]}-{sizes[0]}" if sizes else MODEL
    return TrainedModel(base, stated if path else "")


def teacher_label(name: str) -> str:
    """``gpt4_1`` as people write it: ``GPT-4.1``."""
    found = re.match(r"gpt(\d)_(\d)$", name)
    return f"GPT-{found.group(1)}.{found.group(2)}" if found else name


def paper_accuracy(identity: Identity, model: TrainedModel) -> float | None:
    """What the paper's tables (2 and the prompt table) state for a single-passage arm of its main model, where they
    do."""
    if model.mark:
        return None
    if identity.role is Role.PASSAGE:
        return PAPER_PASSAGE_ACCURACY
    if identity.role is Role.TEACHER and identity.prompt == "implications":
        return PAPER_TEACHER_ACCURACY
    return PAPER_ACCURACY.get((identity.prompt, identity.round)) if identity.round is not None else None
