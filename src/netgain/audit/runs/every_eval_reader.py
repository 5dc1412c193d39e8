"""Every Eval Ever: one JSON for each model with its scores, and JSON Lines with an object for each sample.

The schema (0.2 and 0.3) is read as plain JSON; the community's converters bring some thirty other formats into it.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
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
from netgain.audit.runs.lenient import Lenient, dig, first, head, number, objects, visible, words
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter

READ = ("input_tokens", "input_tokens_cache_write", "input_tokens_cache_read")


@final
class EveryEvalReader(Reader):
    """Every Eval Ever 0.2 and 0.3: {uuid}.json with evaluation_results, and its samples."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether some JSON file below the folder has evaluation_results and a schema version."""
        return any(_is_aggregate(path) for path in visible(folder, "*.json"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these files: an arm for each model and evaluation."""
        files = Lenient(folder)
        evaluations: list[EvaluationLog] = []
        for path in files.paths("*.json"):
            if _is_aggregate(path) and isinstance(data := files.json(path), dict):
                evaluations += files.guarded_all(path, partial(_evaluations, files, path, data))
        files.require(evaluations, "no file of Every Eval Ever in it", "no score")
        title = "Evaluations in Every Eval Ever's schema"
        return claim_of_evaluations(folder.resolve().name, title, evaluations, findings=files.findings)


def _is_aggregate(path: Path) -> bool:
    start = head(path)
    return b'"schema_version"' in start and b'"evaluation_results"' in start and b'"properties"' not in start


def _evaluations(files: Lenient, path: Path, data: dict[str, Any]) -> Iterator[EvaluationLog]:
    model = words(dig(data, "model_info", "id")) or words(dig(data, "model_info", "name"))
    rows = _samples(files, path, data)
    results = objects(data.get("evaluation_results"))
    if not results:
        files.refuse(path, "has no evaluation_results")
    for result in results:
        task = words(result.get("evaluation_name"))
        metric = result.get("metric_config")
        name = next((n for key in ("metric_name", "metric_id") if (n := words(dig(metric, key)))), "score")
        one = EvaluationLog(files.name(path), model, task, name)
        one.score = _score(one, dig(result, "score_details", "score"), metric)
        uncertain = dig(result, "score_details", "uncertainty")
        one.error = first([dig(uncertain, "standard_error", "value"), dig(uncertain, "standard_error")], number)
        one.n = first([dig(uncertain, "num_samples"), dig(result, "source_data", "samples_number")], count)
        one.conditions = _conditions(result)
        mine = [row for row in rows if _belongs(row, result, len(results) == 1)]
        for row in mine:
            grade = graded(dig(row, "evaluation", "is_correct"))
            score = graded(dig(row, "evaluation", "score"))
            if isinstance(score, float) and not isinstance(score, bool):
                one.partial += 1
            key = words(row.get("sample_hash")) or sample_key(row.get("sample_id"), row.get("input"))
            one.add(key, grade if isinstance(grade, bool) else score if isinstance(score, bool) else None)
        one.answering = _usage(mine)
        failed = sum(1 for row in mine if row.get("error"))
        if failed:
            one.say("samples-failed", f"{failed} of {len(mine)} samples ended in an error", "medium")
        yield one


def _samples(files: Lenient, path: Path, data: dict[str, Any]) -> list[dict[str, Any]]:
    """The samples beside an aggregate: by the name that it gives, else by its own."""
    named = PurePosixPath(words(dig(data, "detailed_evaluation_results", "file_path"), 400)).name
    found = [path.parent / name for name in (named, f"{path.stem}.jsonl", f"{path.stem}_samples.jsonl") if name]
    file = next((other for other in found if other.is_file() and other.suffix == ".jsonl"), None)
    if file is None and named:
        files.say(f"{files.name(path)}: its samples ({named}) are not beside it", path, "samples-missing")
    rows = list(files.lines(file)) if file else []
    stated = count(dig(data, "detailed_evaluation_results", "total_rows"))
    if rows and stated is not None and stated != len(rows):
        files.say(f"{files.name(path)}: {len(rows)} samples are there, {stated} are stated", path)
    return rows


def _belongs(row: dict[str, Any], result: dict[str, Any], alone: bool) -> bool:
    for key in ("evaluation_result_id", "evaluation_name"):
        if row.get(key) is not None and result.get(key) is not None:
            return bool(row[key] == result[key])
    return alone


def _score(one: EvaluationLog, value: object, metric: Any) -> float | None:
    """As a fraction of its scale: from 0 to 1 as it stands, up to 100 divided, on no stated scale unknown."""
    low, high = number(dig(metric, "min_score"), -1e9), number(dig(metric, "max_score"), -1e9)
    score = number(value, -1e9)
    if dig(metric, "lower_is_better") is True:
        one.say("lower-is-better", "less of its score is better: it is not used as an accuracy", "note")
        return None
    if score is None or low != 0.0 or high not in (1.0, 100.0) or not 0.0 <= score <= high:
        one.say("score-unusable", f"its score {score} on a scale from {low} to {high} is no share: it is not used")
        return None
    return score / high


def _conditions(result: dict[str, Any]) -> dict[str, str]:
    config = dig(result, "generation_config", "generation_args")
    keys = ("temperature", "top_p", "max_tokens", "num_fewshot", "reasoning")
    found = {key: first([dig(config, key), dig(result, "generation_config", key)], lambda v: v) for key in keys}
    found["data"] = dig(result, "source_data", "hf_repo") or dig(result, "source_data", "dataset_name")
    return {key: text for key, value in found.items() if (text := condition(value))}


def _usage(rows: list[dict[str, Any]]) -> Usage | None:
    """The sum over samples, known only where every sample says what it took."""
    usages = [row.get("token_usage") for row in rows]
    read = [[number(dig(usage, key)) for key in READ] for usage in usages]
    written = [number(dig(usage, "output_tokens")) for usage in usages]
    if not rows or any(parts[0] is None for parts in read) or any(value is None for value in written):
        return None
    cached = sum((parts[1] or 0.0) + (parts[2] or 0.0) for parts in read)
    return Usage(sum(parts[0] or 0.0 for parts in read) + cached, cached, sum(value or 0.0 for value in written))
