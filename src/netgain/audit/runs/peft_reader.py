"""PEFT's method comparison: many ways to fine-tune one model on one task, each for as many steps, with one seed.

Each file is an arm: settings, time, memory, a validation accuracy every so many steps, and at the end the test accuracy
and what was forgotten (the rise of the cross-entropy on other text).
"""

import re
from fractions import Fraction
from functools import partial
from math import lcm
from pathlib import Path
from typing import Any, final

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, dig, first, fraction, head, number, objects, visible, whole, words
from netgain.audit.runs.logged import Logged, curve
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.records.claim import Claim, PublishedAnswer
from netgain.records.measurements import Curve, CurvePoint
from netgain.tokens import TokenCounter

URL = "https://github.com/huggingface/peft/tree/main/method_comparison"
MOST_QUESTIONS = 20_000
GIB = 2.0**30
FORGETTING = "forgetting"


@final
class PeftReader(Reader):
    """PEFT's method_comparison: results/*.json with run_info and train_info."""

    def recognises(self, folder: Path) -> bool:
        """Whether some JSON file below the folder begins with a run_info that has a train_config."""
        return any(_is_result(path) for path in visible(folder, "*.json"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these methods; the most accurate one stands for the headline, which nobody states."""
        files = Lenient(folder)
        found: list[tuple[Path, dict[str, Any]]] = []
        for path in files.paths("*.json"):
            if _is_result(path) and isinstance(data := files.json(path), dict):
                found.append((path, data))
        names = distinct([files.name(path) for path, _ in found])
        runs = [
            run
            for name, (path, data) in zip(names, found, strict=True)
            if (run := files.guarded(path, partial(_run, files, name, path, data)))
        ]
        files.require(runs, "no result of PEFT's comparison in it", "no run")
        for setting in {run.setting for run in runs}:
            _count_questions([run for run in runs if run.setting == setting])
        examined = [run for run in runs if run.accuracy is not None]
        best = max(examined, key=lambda run: (run.accuracy or 0.0, run.name), default=None)
        notes = ("No headline is stated: the most accurate arm stands for it, and was chosen on the test questions.",)
        headline = best.name if best else None
        title = "PEFT's comparison of fine-tuning methods"
        claim = claim_of_runs(
            folder.resolve().name, title, runs, headline=headline, findings=files.findings, notes=notes, url=URL
        )
        return claim.model_copy(update={"regressions": _regressions(runs)})


def _regressions(runs: list[RunRecord]) -> PublishedAnswer | None:
    """That forgetting was measured, where it was: of how many methods, and from what to what."""
    lost = [curve.points[-1].value for run in runs for curve in run.curves if curve.metric == FORGETTING]
    if not lost:
        return None
    told = f"forgetting (the rise of the cross-entropy on other text) is measured of {len(lost)} of {len(runs)} methods"
    return PublishedAnswer(answer="yes", evidence=(f"{told}: {min(lost):.3g} to {max(lost):.3g}",))


def _is_result(path: Path) -> bool:
    start = head(path, 4096)
    return b'"run_info"' in start and b'"train_config"' in start


def _run(files: Lenient, name: str, path: Path, data: dict[str, Any]) -> RunRecord | None:
    config, adapter = dig(data, "run_info", "train_config"), dig(data, "run_info", "peft_config")
    train = dig(data, "train_info")
    rows = objects(dig(train, "metrics"))
    status = words(dig(train, "status"))
    if status != "success" or not rows:
        files.refuse(path, f"its run ended as {status!r}" if status != "success" else "has no metrics")
        return None
    settings = dict(config) if isinstance(config, dict) else {}
    settings |= adapter if isinstance(adapter, dict) else {}
    settings["learning_rate"] = dig(config, "optimizer_kwargs", "lr")
    settings["ranks"] = 1  # the comparison's script drives a single accelerator
    run = Logged(name, files.name(path), settings, [{"step": dig(rows, -1, "step")}]).record(_label(name))
    run.setting, run.dataset = (
        _setting(path, data, run.model),
        ", ".join(map(words, dig(data, "meta_info", "dataset_info") or ())),
    )
    run.trained = "lora" if isinstance(adapter, dict) else "full"
    run.tokens_real = number(dig(rows, -1, "train total tokens"))
    run.seconds = number(dig(train, "train_time"))
    run.accuracy = fraction(dig(rows, -1, "test accuracy"))
    run.curves = _curves(rows, train, run.updates or 0.0)
    return run


def _label(name: str) -> str:
    """``lora--llama-3.2-3B-rank32`` is LoRA of rank 32; the model is the same for all."""
    method, _, rest = name.partition("--")
    variant = re.sub(r"^llama-[\d.]+-\d+B-?", "", rest)
    return method if variant in ("", "default") else f"{method} {variant}"


def _setting(path: Path, data: dict[str, Any], model: str) -> str:
    task = path.parent.parent.name if path.parent.name == "results" else path.parent.name
    steps = whole(dig(data, "run_info", "train_config", "max_steps"))
    planned = f", {steps:,} steps" if steps else ""
    return f"{words(task) or 'task'}, {model.rpartition('/')[2] or 'model'}{planned}"


def _curves(rows: list[dict[str, Any]], train: Any, end: float) -> list[Curve]:
    """The validation accuracy with the time spent training up to there, what was forgotten, and the peak of memory."""
    points, spent = [], 0.0
    for row in rows:
        step, accuracy, took = (
            number(row.get("step")),
            fraction(row.get("valid accuracy")),
            number(row.get("train time")),
        )
        spent += took or 0.0
        if step is not None and accuracy is not None:
            points.append(CurvePoint(step=step, value=accuracy, seconds=spent if took is not None else None))
    memory = first([dig(train, "accelerator_memory_max")], number)
    lost = number(dig(rows, -1, "forgetting"), least=-1e6)
    single = ((FORGETTING, lost), ("memory in GiB", memory / GIB if memory else None))
    found = [curve("valid accuracy", points, "validation")] if points else []
    for metric, value in single:
        if value is not None:
            ends = (CurvePoint(step=end, value=value),)
            found.append(Curve(metric=metric, better="lower", points=ends))
    return found


def _count_questions(runs: list[RunRecord]) -> None:
    """How many questions an exam has, from the digits of all its accuracies: each is k/n to the last of them.

    The files do not state n. What fits is n or a multiple of it; one arm alone proves too little.
    """
    known = [run.accuracy for run in runs if run.accuracy is not None]
    parts = [Fraction(value).limit_denominator(MOST_QUESTIONS) for value in known]
    exact = all(abs(float(part) - value) < 1e-13 for part, value in zip(parts, known, strict=True))
    n = lcm(*(part.denominator for part in parts)) if parts else 0
    if len(known) < 3 or not exact or not 10 < n <= MOST_QUESTIONS:
        return
    for run in runs:
        run.n_questions = n if run.accuracy is not None else None
        run.notes.append(f"{run.setting}: every test accuracy is k/{n:,} to the last digit; n itself is not stated.")
