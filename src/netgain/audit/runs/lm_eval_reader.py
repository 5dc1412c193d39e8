"""Results and samples of the Language Model Evaluation Harness (lm-eval), from 0.3 to 0.4.13.

What changed on the way: metrics were keyed ``acc`` and are keyed ``acc,none`` with their filter; ``model_args`` was a
text and is an object; hashes of prompts and documents were added. Tokens were never counted.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.evaluation import EvaluationLog, claim_of_evaluations, condition, count, graded, sample_key
from netgain.audit.runs.lenient import Lenient, dig, first, fraction, head, number, visible, words
from netgain.records.claim import Claim
from netgain.tokens import TokenCounter

_STAMP = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.:-]+)$")
_ARGUMENT = re.compile(r"(?:^|,)\s*(\w+)=([^,]*)")
GENERATION = ("temperature", "do_sample", "max_gen_toks")
NO_TOKENS = "lm-eval counts no tokens: what answering took is unknown."


@final
class LmEvalReader(Reader):
    """lm-eval 0.3 to 0.4: results_*.json with their samples_*.jsonl."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether some JSON file below the folder has lm-eval's results and versions."""
        return any(_is_results(path) for path in visible(folder, "*.json"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these results: an arm for each model, task, metric and filter."""
        files = Lenient(folder)
        evaluations: list[EvaluationLog] = []
        for path in files.paths("*.json"):
            if _is_results(path) and isinstance(data := files.json(path), dict):
                evaluations += files.guarded_all(path, partial(_evaluations, files, path, data))
        files.require(evaluations, "no lm-eval results in it", "no score")
        title = "Results of lm-eval"
        return claim_of_evaluations(
            folder.resolve().name, title, evaluations, findings=files.findings, notes=(NO_TOKENS,)
        )


def _is_results(path: Path) -> bool:
    """By the head, and for a large file its end: results stand first, versions after them."""
    start = head(path)
    if b'"results"' not in start or b'"evaluation_results"' in start:
        return False
    if b'"versions"' in start or b'"lm_eval_version"' in start:
        return True
    return path.name.startswith("results") and b'"samples"' not in start


def _evaluations(files: Lenient, path: Path, data: dict[str, Any]) -> Iterator[EvaluationLog]:
    results, arguments = data.get("results"), _arguments(data)
    if not isinstance(results, dict):
        files.refuse(path, "has no object under results")
        return
    model = _model(data, arguments)
    seconds = number(data.get("total_evaluation_time_seconds"))  # a text in every version
    made: dict[str, list[EvaluationLog]] = {}
    for task, row in results.items():
        subtasks = dig(data, "group_subtasks", task)
        if not isinstance(row, dict) or (isinstance(subtasks, list) and subtasks):
            continue  # a group's mean over tasks that stand there themselves
        for key, value in row.items():
            metric, _, kept = key.partition(",")
            score = fraction(value)
            up = dig(data, "higher_is_better", task, metric)
            if score is None or up is False or metric.endswith("_stderr") or metric in ("alias", "samples"):
                continue
            one = EvaluationLog(
                files.name(path), model, words(task), words(metric + (f" ({kept})" if kept not in ("", "none") else ""))
            )
            one.score = score
            one.error = first([row.get(f"{metric}_stderr,{kept}"), row.get(f"{metric}_stderr")], number)
            one.n = first([dig(data, "n-samples", task, "effective"), row.get("samples")], count)
            one.conditions = _conditions(data, task)
            one.seconds = seconds
            made.setdefault(task, []).append(one)
    for task, ones in made.items():
        for samples in _sample_files(path, task):
            _add_samples(files, samples, ones)
        yield from ones


def _arguments(data: dict[str, Any]) -> dict[str, Any]:
    """The model's arguments, an object since 0.4.13 and a text before."""
    found = dig(data, "config", "model_args")
    if isinstance(found, str):
        return dict(_ARGUMENT.findall(found))
    return found if isinstance(found, dict) else {}


def _model(data: dict[str, Any], arguments: dict[str, Any]) -> str:
    named = [arguments.get("pretrained"), arguments.get("model"), data.get("model_name"), dig(data, "config", "model")]
    model = next((found for value in named if (found := words(value))), "")
    adapter = words(arguments.get("peft"))
    return f"{model} + {adapter}" if adapter else model


def _conditions(data: dict[str, Any], task: str) -> dict[str, str]:
    """Shots, sampling, limit, template and version of a task: what has to be alike."""
    config = dig(data, "configs", task)
    found = {
        "num_fewshot": first([dig(data, "n-shot", task), dig(data, "config", "num_fewshot")], number),
        "limit": dig(data, "config", "limit"),
        "task version": dig(data, "versions", task),
        "chat template": dig(data, "chat_template_sha"),
        "task hash": dig(data, "task_hashes", task),
        **{key: dig(config, "generation_kwargs", key) for key in GENERATION},
    }
    return {key: text for key, value in found.items() if (text := condition(value))}


def _sample_files(results: Path, task: str) -> list[Path]:
    """The samples of a task that were written with these results: by the time in their name, else the only ones."""
    named = [p for p in sorted(results.parent.glob("samples_*.jsonl")) if _STAMP.sub("", p.stem) == f"samples_{task}"]
    stamp = _STAMP.search(results.stem)
    mine = [path for path in named if stamp and path.stem.endswith(stamp[0])]
    return mine or (named if len(named) == 1 and len(list(results.parent.glob("results*.json"))) == 1 else [])


def _add_samples(files: Lenient, path: Path, evaluations: list[EvaluationLog]) -> None:
    """The grade of every sample by each metric, joined by what was asked and not by its number."""
    seen: dict[tuple[str, str], int] = {}
    for row in files.lines(path):
        kept = words(row.get("filter"))
        content = words(row.get("doc_hash")) or sample_key(row.get("doc"), row.get("target"))
        base = sample_key(content, row.get("target_hash"))
        turn = seen[kept, base] = seen.get((kept, base), 0) + 1
        for one in evaluations:
            metric, _, wanted = one.metric.removesuffix(")").partition(" (")
            if metric not in row or (wanted and wanted != kept) or (not wanted and kept not in ("", "none")):
                continue
            grade = graded(row[metric])
            if isinstance(grade, float) and not isinstance(grade, bool):
                one.partial += 1
            one.add(base if turn == 1 else f"{base}:{turn}", grade if isinstance(grade, bool) else None)
