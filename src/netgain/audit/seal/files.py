"""SEAL's result files: finding them below a folder, telling their kinds apart, and their shapes.

Nothing here raises for a bad file: it becomes a finding that names the file and what is wrong with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar, final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from netgain.records.claim import Finding
from netgain.strict_json import parse_json

HEAD = 16 * 1024
MARKS = (
    *(b'"articles"', b'"server_reply"', b'"lora_params"', b'"mean_over_sequences"', b'"task_id"'),
    b'"adapter_accuracy"',
)
INSPECT = (b'"eval"', b'"task_id"', b'"run_id"')  # a log of Inspect, whose tasks have ids too
LARGEST_META = 1024 * 1024
LARGEST_FILE = 200 * 1024 * 1024


Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1e6)]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[int, Field(ge=1, le=10**6)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AskedQuestion(_Shape):
    question: str
    answer: str = ""
    rep: Whole = 0
    baseline_answer: str = ""
    adapter_answer: str = ""
    baseline_correct: StrictBool
    adapter_correct: StrictBool


class CompletionStats(_Shape):
    adapter_mean: Fraction | None = None
    adapter_std: Fraction | None = None
    proxy_mean: Rate | None = None


class Completion(_Shape):
    text: str = ""
    stats: CompletionStats = CompletionStats()
    questions: tuple[AskedQuestion, ...] = ()
    proxy_scores: tuple[dict[str, Any], ...] = ()


class Article(_Shape):
    title: str
    context: str
    prompt: str = ""
    completions: tuple[Completion, ...]


class LoraParams(_Shape):
    rank: Positive | None = None
    alpha: Rate | None = None
    dropout: Fraction | None = None
    epochs: Rate | None = None
    lr: Rate | None = None
    batch_size: Positive | None = None
    grad_accum_steps: Positive | None = None


class PassageOverall(_Shape):
    baseline_mean_accuracy: Fraction | None = None
    adapter_mean_accuracy: Fraction | None = None


class PassageFile(_Shape):
    """`query_server` results: one adapter a passage (`articles`), several edits and repeats in reward runs."""

    overall: PassageOverall = PassageOverall()
    dataset: str = ""
    model: str = ""
    reward_mode: str = "ttt"
    split_newlines: bool | None = None
    k_completions: Whole = 1
    eval_times: Positive = 1
    lora_params: LoraParams = LoraParams()
    articles: tuple[Article, ...]


class ServerReply(_Shape):
    baseline_texts: tuple[str, ...] = ()
    adapter_texts: tuple[str, ...] = ()
    baseline_correct: tuple[StrictBool, ...] = ()
    adapter_correct: tuple[StrictBool, ...] = ()


class CorpusOverall(_Shape):
    baseline_accuracy: Fraction | None = None
    adapter_accuracy: Fraction | None = None


class CorpusFile(_Shape):
    """`cpt` results: one adapter over all passages (continued pretraining)."""

    dataset: str = ""
    overall: CorpusOverall = CorpusOverall()
    n_articles: Whole
    k_completions: Whole | None = None
    split_newlines: bool | None = None
    lora_params: LoraParams = LoraParams()
    per_article: dict[str, Any] = {}
    train_sequences: Whole | None = None
    eval_questions: Whole | None = None
    server_reply: ServerReply = ServerReply()


class PerQuestion(_Shape):
    """Answers and verdicts in the order in which the questions were drawn; None: the frozen model was not asked."""

    baseline_texts: tuple[str, ...] | None = None
    adapter_texts: tuple[str, ...] = ()
    baseline_correct: tuple[StrictBool, ...] | None = None
    adapter_correct: tuple[StrictBool, ...] = ()


class FullTuningArgs(_Shape):
    epochs: Whole | None = None
    lr: Rate | None = None
    batch_size: Positive | None = None
    gradient_accumulation_steps: Positive | None = None
    max_seq_length: Positive | None = None
    split_newlines: bool | None = None
    seed: Whole | None = None


class FullTuningFile(_Shape):
    """`cpt` results of version 2: the whole model fine-tuned on all passages (or a hypernetwork given them), some of
    the questions asked."""

    dataset: str = ""
    model: str = ""
    n_articles: Whole
    k_completions: Whole | None = None
    train_sequences: Whole | None = None
    metrics: CorpusOverall = CorpusOverall()
    per_question: PerQuestion
    args: FullTuningArgs = FullTuningArgs()


class ContinualFile(_Shape):
    """`continual_self_edits` results: accuracy on each problem after each edit, over several sequences."""

    mean_over_sequences: tuple[tuple[Fraction, ...], ...]
    std_over_sequences: tuple[tuple[Fraction, ...], ...] | None = None
    n_sequences: Whole
    n_datapoints: Whole
    base_model: str = ""


class GridTable(_Shape):
    task_id: dict[str, str]
    correct: dict[str, StrictBool]


@final
@dataclass
class SealFiles:
    """All recognised files by their path relative to the folder, and what was wrong with the others."""

    passages: dict[str, PassageFile] = field(default_factory=dict)
    corpora: dict[str, CorpusFile] = field(default_factory=dict)
    tuned: dict[str, FullTuningFile] = field(default_factory=dict)
    continual: dict[str, ContinualFile] = field(default_factory=dict)
    grids: dict[str, GridTable] = field(default_factory=dict)
    metas: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return bool(self.passages or self.corpora or self.tuned or self.continual or self.grids)


def collect(folder: Path) -> SealFiles:
    """Read every JSON file below ``folder`` that looks like one of SEAL's result files."""
    files = SealFiles()
    for path in _visible(folder, "*.json"):
        name = _name(path, folder)
        data = _parse(path, name, files)
        if isinstance(data, dict):
            _sort_in(name, data, files)
    for path in _visible(folder, "*.meta"):
        _read_meta(path, _name(path, folder), files)
    return files


def any_mark(folder: Path) -> bool:
    """Whether the head of some JSON file below the folder has a field of SEAL's result files. Cheap."""
    return any(_has_mark(path) for path in _visible(folder, "*.json"))


def _has_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return any(mark in head for mark in MARKS) and not all(mark in head for mark in INSPECT)


def _name(path: Path, folder: Path) -> str:
    """The path relative to the folder, as text that can be written down whatever bytes it has."""
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode("utf-8")


def _visible(folder: Path, pattern: str) -> Iterator[Path]:
    found = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _parse(path: Path, name: str, files: SealFiles) -> Any:
    try:
        if path.stat().st_size > LARGEST_FILE:
            files.findings.append(bad_file(name, f"larger than {LARGEST_FILE // 2**20} MB, left out"))
            return None
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        files.findings.append(bad_file(name, f"cannot be read: {error}"))
        return None


def bad_file(name: str, problem: str) -> Finding:
    return Finding(
        check="file-unreadable", severity="medium", message=f"{name} is not used: {problem}", evidence=(name,)
    )


def _sort_in(name: str, data: dict[str, Any], files: SealFiles) -> None:
    kinds: list[tuple[Callable[[dict[str, Any]], bool], type[_Shape], dict[str, Any]]] = [
        (lambda d: "articles" in d, PassageFile, files.passages),
        (lambda d: "per_question" in d, FullTuningFile, files.tuned),
        (lambda d: "server_reply" in d or "train_sequences" in d, CorpusFile, files.corpora),
        (lambda d: "mean_over_sequences" in d, ContinualFile, files.continual),
    ]
    for looks_like, shape, place in kinds:
        if looks_like(data):
            _keep(name, data, shape, place, files)
            return
    tables = [table for table in data.values() if isinstance(table, dict) and {"task_id", "correct"} <= table.keys()]
    if tables:
        _keep(name, tables[0], GridTable, files.grids, files)
    elif {"overall", "lora_params", "dataset"} & data.keys():
        files.findings.append(bad_file(name, "it has none of the fields articles, server_reply, mean_over_sequences"))


_S = TypeVar("_S", bound=_Shape)


def _keep(name: str, data: dict[str, Any], shape: type[_S], place: dict[str, Any], files: SealFiles) -> None:
    try:
        place[name] = shape.model_validate(data)
    except (ValidationError, RecursionError) as error:
        files.findings.append(bad_file(name, _first_problem(error)))
        return
    files.keys.update(_all_keys(data))


def _first_problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "nested too deeply"
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"field {place}: {first['msg']} ({error.error_count()} problems)"


def _all_keys(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > 6:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key.lower()
            yield from _all_keys(inner, depth + 1)
    elif isinstance(value, list) and value:
        yield from _all_keys(value[0], depth + 1)


def _read_meta(path: Path, name: str, files: SealFiles) -> None:
    """The side-car of a generated data set; a trailing comma is read all the same."""
    try:
        if path.stat().st_size > LARGEST_META:
            return
        text = path.read_text(encoding="utf-8-sig").strip()
        data = parse_json(text.replace(",\n}", "\n}"))
    except (OSError, ValueError):
        files.findings.append(bad_file(name, "cannot be read as JSON"))
        return
    if isinstance(data, dict):
        files.metas[name] = data
