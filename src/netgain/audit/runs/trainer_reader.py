"""Runs of Hugging Face's Trainer and of TRL: ``trainer_state.json`` and the files beside it.

The state holds steps and metrics, but neither model nor seed nor how many ranks there were: those stand, if anywhere,
in ``adapter_config.json``, ``config.json``, the model card or a resolved YAML. ``training_args.bin`` is a pickle, and
is not opened: loading one runs whatever is in it.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any, final

import yaml

from netgain.audit.audit import Reader
from netgain.audit.runs.lenient import Lenient, dig, number, objects, visible, words
from netgain.audit.runs.logged import Logged, bullets
from netgain.audit.runs.run_record import RunRecord, claim_of_runs, distinct
from netgain.records.claim import Claim
from netgain.strict_yaml import plain_yaml
from netgain.tokens import TokenCounter

STATE = "trainer_state.json"
RESULTS = ("all_results.json", "train_results.json", "eval_results.json", "test_results.json")
_CHECKPOINT = re.compile(r"^checkpoint-\d+$")
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)


@final
class TrainerReader(Reader):
    """Hugging Face Trainer and TRL: trainer_state.json, all_results.json, adapter_config.json, the model card."""

    joins = True

    def recognises(self, folder: Path) -> bool:
        """Whether a Trainer's state or the results of its commands lie below the folder."""
        return bool(visible(folder, STATE, "all_results.json"))

    def read(self, folder: Path, tokens: TokenCounter) -> Claim:
        """The claim of these runs: one for each folder, of a run's checkpoints the last."""
        files = Lenient(folder)
        homes: dict[Path, Path] = {}  # of every run's folder the file that says most of it
        for path in files.paths(STATE, "all_results.json"):
            home = path.parent.parent if _CHECKPOINT.match(path.parent.name) else path.parent
            homes[home] = max(path, homes.get(home, path), key=_written)
        names = distinct([f"{folder.resolve().name}/{files.name(home)}/run" for home in homes], skip=1)
        runs = [
            run
            for (home, path), name in zip(homes.items(), names, strict=True)
            if (run := files.guarded(path, partial(_run, files, home, path, name)))
        ]
        files.require(runs, "no Trainer run in it", "no run")
        return claim_of_runs(folder.resolve().name, "Training runs of a Trainer", runs, findings=files.findings)


def _written(path: Path) -> tuple[bool, bool, int]:
    """The order in which files of one run are believed: results alone, checkpoints by step, the run's own state."""
    found = _CHECKPOINT.match(path.parent.name)
    return path.name == STATE, not found, int(path.parent.name.rpartition("-")[2]) if found else 0


def _run(files: Lenient, home: Path, path: Path, name: str) -> RunRecord | None:
    """The run in a folder; None, with a finding, where neither its state nor its results can be read."""
    state = files.json(path) if path.name == STATE else {}
    results: dict[str, Any] = {}
    for other in RESULTS:
        if (home / other).is_file() and isinstance(found := files.json(home / other), dict):
            results |= found
    if not isinstance(state, dict) or (not state and not results):
        if isinstance(state, list | str | int | float):
            files.refuse(path, "is not the state of a Trainer: no object")
        return None
    log = objects(state.get("log_history"))
    if state and not log:
        files.say(f"{files.name(path)}: log_history is empty or missing", path)
    settings = _settings(files, home, path)
    settings.setdefault("per_device_train_batch_size", state.get("train_batch_size"))
    summary = {key: state.get(key) for key in ("global_step", "num_input_tokens_seen", "total_flos")} | results
    run = Logged(name, files.name(path), settings, log, summary).record()
    planned, done = number(state.get("max_steps")), run.updates
    if planned and done is not None and done < planned:
        run.say("run-unfinished", f"{done:,.0f} of {planned:,.0f} planned steps are in its state", severity="medium")
    best, kept = words(state.get("best_model_checkpoint")), number(state.get("best_global_step"))
    if best and kept is not None and kept != done:
        run.say("checkpoint-selected", f"the checkpoint of step {kept:,.0f} is marked as best, of {done or 0:,.0f}")
    if (home / "training_args.bin").is_file():
        run.notes.append(
            "training_args.bin is a pickle and was not opened: seed and ranks that only it has stay unknown."
        )
    return run


def _settings(files: Lenient, home: Path, path: Path) -> dict[str, Any]:
    """Everything that the files beside a state say about how it was trained; the more specific file last."""
    settings: dict[str, Any] = {}
    for folder in dict.fromkeys((home, path.parent)):
        card = folder / "README.md"
        if card.is_file() and (text := files.text(card)):
            settings |= bullets(text) | _front_matter(text)
        for config in ("config.json", "adapter_config.json"):
            found = files.json(folder / config) if (folder / config).is_file() else None
            if isinstance(found, dict):
                wanted = ("r", "lora_alpha", "lora_dropout", "target_modules", "peft_type", "base_model_name_or_path")
                settings |= {key: found[key] for key in wanted if found.get(key) is not None}
                if config == "config.json" and not settings.get("base_model_name_or_path"):
                    settings["_name_or_path"] = found.get("_name_or_path")
    return settings


def _front_matter(text: str) -> dict[str, Any]:
    """Base model and data of a model card's YAML head."""
    found = _FRONT.search(text[:20_000])
    try:
        head = plain_yaml(found[1]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    kept = {key: dig(head, key) for key in ("base_model", "datasets")}
    if isinstance(kept["base_model"], list):
        kept["base_model"] = dig(kept["base_model"], 0)
    return {key: value for key, value in kept.items() if value}
