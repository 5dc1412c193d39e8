"""Logs of Inspect: ``.eval`` (a zip of JSON) and ``.json``, versions 1 to 4 and without one.

``input_tokens`` leaves out what came from a cache or was put into one: both are input that the model processed, and are
added. What a judge spent stands apart from what the examined model spent. Today's default compression, zstd (method
93), is not in Python's zipfile before 3.14; the extra ``netgain[inspect]`` brings it.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.evaluation import (
    EvaluationLog,
    Usage,
    claim_of_evaluations,
    condition,
    count,
    graded,
    sample_key,
)
from netgain.audit.runs.lenient import (
    LARGEST_FILE,
    Lenient,
    dig,
    first,
    fraction,
    head,
    number,
    objects,
    visible,
    words,
)
from netgain.errors import MissingExtraError
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter

ZSTD = 93
TEXT = ("*.json", "*.txt")
USAGE = ("input_tokens", "input_tokens_cache_write", "input_tokens_cache_read")
JUDGES = ("grader", "judge", "scorer", "critic")
SAMPLING = ("temperature", "max_tokens", "top_p", "reasoning_effort")


@final
class InspectReader(Reader):
    """Inspect logs: .eval (deflate, or zstd with netgain[inspect]) and .json."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether a log lies below the folder: a zip that ends in .eval, or JSON with Inspect's eval and plan."""
        return bool(visible(folder, "*.eval")) or any(_is_log(path) for path in visible(folder, *TEXT))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these logs: an arm for each model, task, scorer and metric."""
        files = Lenient(folder)
        evaluations: list[EvaluationLog] = []
        seen: dict[tuple[str, ...], str] = {}
        for path in files.paths("*.eval", *TEXT):
            if path.suffix == ".eval":
                log = files.guarded(path, partial(_unzipped, files, path))
            else:
                log = files.json(path) if _is_log(path) else None
            if isinstance(log, dict):
                same = seen.setdefault(_identity(log) or (files.name(path),), files.name(path))
                if same != files.name(path):
                    files.say(
                        f"{files.name(path)}: the same evaluation as {same}: it counts once", path, "log-repeated"
                    )
                    continue
                evaluations += files.guarded_all(path, partial(_evaluations, files, path, log))
        files.require(evaluations, "no Inspect log in it", "no score")
        return claim_of_evaluations(folder.resolve().name, "Inspect logs", evaluations, findings=files.findings)


def _identity(log: dict[str, Any]) -> tuple[str, ...]:
    """What tells one evaluation from another, in whichever form it was written; empty where a log does not say."""
    about = [words(dig(log, "eval", key)) for key in ("run_id", "task_id", "created", "model")]
    return tuple(about) if about[0] and about[1] else ()


def _is_log(path: Path) -> bool:
    start = head(path)
    return b'"eval"' in start and b'"task"' in start and (b'"plan"' in start or b'"status"' in start)


# -- the zip


def _unzipped(files: Lenient, path: Path) -> dict[str, Any] | None:
    """A log from its parts: the header, and of the samples the summaries, which hold grades without transcripts."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            start = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            log = files.parsed(path, _member(archive, path, start), start) if start else None
            if not isinstance(log, dict):
                files.refuse(path, "has neither header.json nor _journal/start.json")
                return None
            if start != "header.json":
                files.say(f"{files.name(path)}: has no header, its evaluation did not end: no score", path)
            log["samples"] = [
                row
                for name in _sample_members(names)
                for row in _rows(files.parsed(path, _member(archive, path, name), name))
            ]
            return log
    except MissingExtraError as error:
        files.refuse(path, f"compressed with zstd: {error}")
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        struct.error,
    ) as error:
        files.refuse(path, f"is not a zip that can be read: {error}")
    return None


def _sample_members(names: list[str]) -> list[str]:
    if "summaries.json" in names:
        return ["summaries.json"]
    journal = sorted(name for name in names if name.startswith("_journal/summaries/"))
    return journal or sorted(name for name in names if name.startswith("samples/"))


def _rows(value: Any) -> list[dict[str, Any]]:
    return [value] if isinstance(value, dict) else objects(value)


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """One part of the zip. Raises ValueError where it says that it is larger than is believable."""
    info = archive.getinfo(name)
    if info.file_size > LARGEST_FILE:
        raise ValueError(f"{name} is larger than {LARGEST_FILE // 2**20} MB")
    if info.compress_type != ZSTD:
        with archive.open(info) as part:
            return part.read(LARGEST_FILE)
    with path.open("rb") as file:  # zipfile refuses the method, so its bytes are found by the local header
        file.seek(info.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        return _decompressed(file.read(info.compress_size))


def _decompressed(data: bytes) -> bytes:
    """Zstandard by Python's own module (3.14) or the extra. Raises MissingExtraError where there is neither."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return bytes(zstd.ZstdDecompressor().decompress(data, max_length=LARGEST_FILE))
    except ImportError:
        pass
    try:
        import zstandard

        return bytes(zstandard.ZstdDecompressor().stream_reader(data).read(LARGEST_FILE))
    except ImportError:
        raise MissingExtraError("An Inspect log in zstd", "inspect") from None
    except zstandard.ZstdError as error:
        raise ValueError(f"is not zstd: {error}") from None


# -- the log


def _evaluations(files: Lenient, path: Path, log: dict[str, Any]) -> Iterator[EvaluationLog]:
    about = log.get("eval") if isinstance(log.get("eval"), dict) else {}
    model, task = words(dig(about, "model")), words(dig(about, "task"))
    samples = objects(log.get("samples"))
    made = [EvaluationLog(files.name(path), model, task, name) for name in _metrics(log)]
    status = words(log.get("status"))
    if status and status != "success":
        files.say(f"{files.name(path)}: its evaluation ended as {status!r}", path, "evaluation-unfinished")
    if log.get("invalidated") is True:
        files.say(f"{files.name(path)}: its authors marked it as invalid", path, "evaluation-invalidated")
    if not made:
        files.refuse(path, "holds no score")
    for one in made:
        scorer, _, metric = one.metric.partition(" ")
        one.score = fraction(dig(_scores(log), scorer, metric))
        one.error = first([dig(_scores(log), scorer, "stderr")], number)
        one.n = count(dig(log, "results", "completed_samples"))
        one.conditions = _conditions(log)
        one.answering, one.judging = _usage(log, model)
        one.seconds = _seconds(dig(log, "stats", "started_at"), dig(log, "stats", "completed_at"))
        _add_samples(one, samples, scorer)
        if one.score is None:
            one.say("score-unusable", "its score is no fraction: it is not used")
        yield one
    unread = sum(1 for row in samples if row.get("error"))
    if unread:
        files.say(f"{files.name(path)}: {unread} of {len(samples)} samples ended in an error", path, "samples-failed")


def _scores(log: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The values of each scorer's metrics, in the three layouts that there have been."""
    results = log.get("results")
    old = dig(results, "scorer", "name")
    rows = [
        *[(row.get("name"), row.get("metrics")) for row in objects(dig(results, "scores"))],
        *[(row.get("name"), row.get("metrics")) for row in objects(dig(results, "scorers"))],
        *([(old, dig(results, "metrics"))] if old else []),
    ]
    return {
        words(name).replace(" ", "-"): {str(key): dig(value, "value") for key, value in metrics.items()}
        for name, metrics in rows
        if isinstance(metrics, dict) and words(name)
    }


def _metrics(log: dict[str, Any]) -> list[str]:
    """``scorer metric`` of every scorer: its accuracy, else its mean, else its first that is no error."""
    found = []
    for scorer, metrics in _scores(log).items():
        usable = [name for name in metrics if not any(word in name for word in ("std", "var", "bootstrap"))]
        chosen = next((name for name in ("accuracy", "mean") if name in usable), next(iter(usable), None))
        found += [f"{scorer} {words(chosen)}"] if chosen else []
    return found


def _conditions(log: dict[str, Any]) -> dict[str, str]:
    found = {
        "epochs": dig(log, "eval", "config", "epochs"),
        "limit": dig(log, "eval", "config", "limit"),
        "task version": dig(log, "eval", "task_version"),
        "data": dig(log, "eval", "dataset", "location"),
        **{key: dig(log, "plan", "config", key) for key in SAMPLING},
    }
    return {key: text for key, value in found.items() if (text := condition(value))}


def _usage(log: dict[str, Any], model: str) -> tuple[Usage | None, Usage | None]:
    """What the examined model spent, and what judges did: by role where the log has roles, else by model."""
    by_model, by_role = dig(log, "stats", "model_usage"), dig(log, "stats", "role_usage")
    models = by_model if isinstance(by_model, dict) else {}
    roles = by_role if isinstance(by_role, dict) else {}
    judges = [usage for role, usage in roles.items() if any(word in role.lower() for word in JUDGES)]
    others = [usage for name, usage in models.items() if name != model]
    judging = _sum(judges or others)
    answering = _sum([models[model]]) if model in models else None
    if answering and judging and judges and not others and answering.read is not None and answering.written is not None:
        # the judge is the examined model itself, in another role: its share is inside the model's
        read, written = answering.read - (judging.read or 0.0), answering.written - (judging.written or 0.0)
        answering = Usage(max(read, 0.0), answering.cached, max(written, 0.0), answering.dollars)
    return answering, judging


def _sum(usages: list[Any]) -> Usage | None:
    """Several models' usage as one; tokens from and into a cache are read too."""
    total = Usage()
    for usage in usages:
        parts = [number(dig(usage, key)) for key in USAGE]
        written = number(dig(usage, "output_tokens"))
        if parts[0] is None or written is None:
            return None
        cached = (parts[1] or 0.0) + (parts[2] or 0.0)
        total.read = (total.read or 0.0) + parts[0] + cached
        total.cached = (total.cached or 0.0) + cached
        total.written = (total.written or 0.0) + written
        dollars = number(dig(usage, "total_cost"))
        total.dollars = total.dollars if dollars is None else (total.dollars or 0.0) + dollars
    return total if usages else None


def _seconds(start: object, end: object) -> float | None:
    try:
        spent = datetime.fromisoformat(words(end)) - datetime.fromisoformat(words(start))
    except (ValueError, TypeError, OverflowError):
        return None
    return number(spent.total_seconds())


def _add_samples(one: EvaluationLog, samples: list[dict[str, Any]], scorer: str) -> None:
    for row in samples:
        found = row.get("scores")
        scores = found if isinstance(found, dict) else {}
        named = {words(name).replace(" ", "-"): score for name, score in scores.items()}
        score = named.get(scorer, row.get("score"))
        if not isinstance(score, dict):
            continue
        grade = graded(score.get("value"))
        if isinstance(grade, float) and not isinstance(grade, bool):
            one.partial += 1
        one.add(sample_key(row.get("id"), row.get("input")), grade if isinstance(grade, bool) else None)
