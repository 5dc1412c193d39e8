"""What a logged training run says: its settings, its rows by step, its summary, whichever tracker wrote them down.

Trackers rename (``eval_loss`` of the Trainer is ``eval/loss`` in W&B, trackio and TensorBoard) and none of them says
what its numbers count. What is known of that is written here, once for all of them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, final

from netgain.audit.runs.lenient import dig, first, fraction, number, whole, words
from netgain.audit.runs.run_record import RunRecord
from netgain.records.claim import Training
from netgain.records.measurements import Curve, CurvePoint

Row = Mapping[str, Any]

UPDATES = ("global_step", "current_steps")  # steps that are optimizer steps by their name
STEPS = ("global_step", "step", "_step", "current_steps")
TRAINERS = frozenset(  # arguments of a Trainer, which logs by optimizer steps
    {
        *("max_steps", "num_train_epochs", "gradient_accumulation_steps", "per_device_train_batch_size"),
        *("logging_steps", "warmup_steps"),
    }
)
MODEL = (
    *("base_model_name_or_path", "model_name_or_path", "base_model", "model_id", "model_name", "_name_or_path"),
    "model",
)
DATA = ("dataset", "datasets", "dataset_name", "train_dataset", "dataset_id")
HIGHER = re.compile(
    r"(^|[_/ -])(acc|accuracy|exact_match|em|f1|pass@?\d*|score|reward|bleu|rouge\w*|map)($|[_/ -])|average_precision"
)
LOWER = re.compile(r"(^|[_/ -])(loss|perplexity|ppl|wer|error|kl|nll|forgetting)($|[_/ -])")
EXAMINED = re.compile(r"^(test|eval|val|valid|validation|dev)[_/ -]")
MOST_POINTS = 400  # of a curve; a longer one is thinned, its best and last point kept
MOST_NAMES = 4096  # whose meaning is kept: a log has few names, and each in all of its rows


@final
@dataclass
class Logged:
    """One run as a tracker kept it: ``rows`` in the order of time, ``summary`` the last or final values.

    ``settings`` are hyper-parameters by the names of the library that took them. ``file`` is where they stand.
    """

    name: str
    file: str
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def record(self, label: str = "") -> RunRecord:
        """The run, with everything that these numbers are known to mean."""
        rows = [{plain(key): value for key, value in row.items()} for row in self.rows]
        summary = {plain(key): value for key, value in self.summary.items()}
        run = RunRecord(self.name, words(self.file), label=words(label) or self.name)
        self._set_up(run)
        steps = [step for row in [*rows, summary] if (step := step_of(row)) is not None]
        run.updates = max(steps, default=None)
        if run.updates is not None and not self._counts_updates(rows, summary):
            run.say("steps-unclear", f"{run.updates:,.0f} steps of what is not stated: its updates stay unknown")
            run.updates = None
        _count_tokens(run, rows, summary, self.settings)
        _count_rejected(run, rows)
        runtime = first([summary.get("train_runtime"), *(row.get("train_runtime") for row in reversed(rows))], number)
        if runtime is not None and run.ranks is not None:
            run.seconds = runtime * run.ranks
        elif runtime is not None:
            run.say(
                "ranks-unknown", f"it took {runtime:,.0f} s, on how many devices is not stated: device time unknown"
            )
        flops = first([summary.get("total_flos"), *(row.get("total_flos") for row in reversed(rows))], number)
        if flops:
            run.flops, run.flops_by = flops, "total_flos: 6 x weights x tokens, as transformers estimates"
        elif flops == 0.0 and run.updates:
            run.notes.append("A total_flos of 0 says that the trainer did not count: FLOPs are unknown, not zero.")
        run.curves = curves_of(rows, summary)
        run.accuracy = _final(run)
        return run

    def _counts_updates(self, rows: Sequence[Row], summary: Row) -> bool:
        """Whether its steps are known to be optimizer steps: the axis of a tracker is whatever was logged by, epochs
        or calls too."""
        named = any(row.get(key) is not None for row in [*rows, summary] for key in UPDATES)
        return named or not TRAINERS.isdisjoint(self.settings)

    def _set_up(self, run: RunRecord) -> None:
        settings = self.settings
        run.model = next((name for key in MODEL if (name := words(settings.get(key)))), "")
        data = next((settings[key] for key in DATA if settings.get(key)), "")
        run.dataset = words(data) if isinstance(data, str) else ", ".join(filter(None, map(words, _texts(data))))
        run.seed = whole(settings.get("seed"), least=-(10**12))
        run.ranks = first([settings.get(key) for key in ("world_size", "num_devices", "ranks")], _positive)
        rank = first([settings.get(key) for key in ("lora_r", "r", "lora_rank")], _positive)
        adapter = words(settings.get("peft_type")) or words(settings.get("finetuning_type"))
        if rank is not None or adapter.lower() in ("lora", "qlora"):
            run.trained = "lora"
        elif adapter.lower() == "full" or settings.get("use_peft") is False:
            run.trained = "full"
        targets = settings.get("target_modules")
        run.training = Training(
            epochs=first([settings.get(key) for key in ("num_train_epochs", "num_epochs", "epochs")], number),
            learning_rate=first([settings.get(key) for key in ("learning_rate", "lr")], number),
            batch_size=first([settings.get(key) for key in BATCH], _positive),
            grad_accumulation=first([settings.get(key) for key in ACCUMULATION], _positive),
            rank=rank,
            alpha=first([settings.get("lora_alpha")], number),
            dropout=first([settings.get("lora_dropout")], fraction),
            target_modules=tuple(sorted(map(words, targets))) if isinstance(targets, list | tuple) else None,
            max_length=first([settings.get(key) for key in ("max_length", "max_seq_length", "cutoff_len")], _positive),
        )


BATCH = ("per_device_train_batch_size", "train_batch_size", "micro_batch_size", "batch_size")
ACCUMULATION = ("gradient_accumulation_steps", "grad_accumulation_steps", "accum_steps")


def _positive(value: object) -> int | None:
    return whole(value, least=1, most=10**9)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


@lru_cache(MOST_NAMES)
def plain(key: str) -> str:
    """A metric as the Trainer calls it: ``train/loss`` is ``loss``, ``eval/loss`` is ``eval_loss``."""
    name = key.removeprefix("train/")
    for split in ("eval", "test", "validation", "val"):
        name = re.sub(rf"^{split}/", f"{split}_", name)
    return name


def step_of(row: Row) -> float | None:
    """After how many optimizer steps a row was written, None where it does not say."""
    for key in STEPS:
        if (found := number(row.get(key))) is not None:
            return found
    return None


def _count_tokens(run: RunRecord, rows: Sequence[Row], summary: Row, settings: Row) -> None:
    """TRL's ``num_tokens`` counts prompts and completions without padding. What ``num_input_tokens_seen`` counts hangs
    on an argument that the state does not keep; 0 means that nobody counted."""
    real = [found for row in [*rows, summary] if (found := number(row.get("num_tokens")))]
    if real:
        run.tokens_real = max(real)
    seen = max((n for row in [*rows, summary] if (n := number(row.get("num_input_tokens_seen")))), default=None)
    if seen is None or run.tokens_real is not None:
        return
    match str(settings.get("include_num_input_tokens_seen")).lower():
        case "non_padding":
            run.tokens_real = seen
        case "all" | "true":
            run.tokens_padded = seen
        case _:
            run.say(
                "tokens-ambiguous",
                f"num_input_tokens_seen is {seen:,.0f}, with or without padding is not stated: tokens stay unknown",
            )


def _count_rejected(run: RunRecord, rows: Sequence[Row]) -> None:
    """Of a run of GRPO: how much of what it wrote could teach nothing. It is inside ``num_tokens`` all the same."""
    equal = [share for row in rows if (share := fraction(row.get("frac_reward_zero_std"))) is not None]
    if not equal:
        return
    tokens = f", inside its {run.tokens_real:,.0f} tokens" if run.tokens_real else ""
    run.say(
        "groups-without-signal",
        f"in {sum(equal) / len(equal):.0%} of its groups all rewards were equal, so that they taught nothing{tokens}",
        *(f"frac_reward_zero_std: mean of {len(equal)} rows of {run.file}",),
        severity="note",
    )
    run.notes.append("Completions that a group rejects are part of num_tokens: generating them is charged.")


def curves_of(rows: Iterable[Row], summary: Row) -> list[Curve]:
    """What was measured on the way: metrics with a direction, of an evaluation, and the reward of reinforcement.

    The loss and whatever else was measured on the training batches themselves is left out.
    """
    found: dict[str, dict[float, tuple[float, Row]]] = {}
    last = 0.0
    for row in [*rows, summary]:
        step = step_of(row)
        last = step if step is not None else last
        for key, value in row.items():
            if _is_followed(key) and (measured := number(value, least=-1e12, most=1e12)) is not None:
                found.setdefault(key, {})[last] = measured, row
    return [_curve_of(key, points) for key, points in found.items()]


def _curve_of(metric: str, points: Mapping[float, tuple[float, Row]]) -> Curve:
    """The curve of a metric from what it was at each step, and the row that says so."""
    better, steps = direction(metric) or "higher", sorted(points)
    found = []
    for index in _kept([points[step][0] for step in steps], better):  # only what is kept is made a point
        value, row = points[steps[index]]
        seconds = first([row.get(name) for name in ("elapsed_seconds", "_runtime")], number)
        found.append(CurvePoint(step=steps[index], value=value, seconds=seconds))
    return Curve(metric=words(metric), better=better, points=tuple(found))


@lru_cache(MOST_NAMES)
def _is_followed(metric: str) -> bool:
    """Whether a metric has a direction and is of an evaluation, or is the reward of reinforcement."""
    return direction(metric) is not None and (EXAMINED.match(metric) is not None or metric == "reward")


def curve(metric: str, points: Sequence[CurvePoint], exam: str = "") -> Curve:
    """A curve of this metric; of more than 400 points every n-th, with the best and the last."""
    better = direction(metric) or "higher"
    kept = _kept([point.value for point in points], better)
    return Curve(metric=words(metric), better=better, exam=exam, points=tuple(points[index] for index in kept))


def _kept(values: Sequence[float], better: str) -> Sequence[int]:
    """Which points of a curve are kept: all, or of a longer one every n-th with the best and the last."""
    if len(values) <= MOST_POINTS:
        return range(len(values))
    best = values.index((max if better == "higher" else min)(values))
    return sorted({*range(0, len(values), -(-len(values) // MOST_POINTS)), best, len(values) - 1})


def direction(metric: str) -> Literal["higher", "lower"] | None:
    """Whether more of a metric is better or less, by its name; None where the name does not say."""
    name = metric.lower()
    if any(word in name for word in ("runtime", "per_second", "std", "stderr", "samples", "num_examples")):
        return None
    if LOWER.search(name):
        return "lower"
    return "higher" if HIGHER.search(name) else None


def _final(run: RunRecord) -> float | None:
    """The last accuracy of a test split, else of another that was held out; a number above 1 is not taken for one."""
    held = [c for c in run.curves if c.better == "higher" and EXAMINED.match(c.metric)]
    held.sort(key=lambda c: (not c.metric.startswith("test"), "acc" not in c.metric, c.metric))
    if not held:
        return None
    value = fraction(held[0].points[-1].value)
    if value is None:
        run.say(
            "scale-unknown", f"{held[0].metric} ends at {held[0].points[-1].value:g}, which is no fraction: not used"
        )
    return value


# What a Trainer's model card lists of a run. The same card lists versions of libraries, one of them called Datasets.
CARD_KEYS = frozenset(
    {
        *("learning_rate", "train_batch_size", "seed", "num_devices", "gradient_accumulation_steps", "num_epochs"),
        *("lora_r", "lora_rank", "lora_alpha", "lora_dropout", "max_length", "max_seq_length"),
    }
)


def bullets(text: str) -> dict[str, str]:
    """The ``- key: value`` lines of a model card, where a Trainer lists its hyper-parameters."""
    pairs = re.findall(r"^[-*] ([\w ]{1,60}): (.{1,200})$", text, re.MULTILINE)
    named = ((key.strip().lower().replace(" ", "_"), value.strip()) for key, value in pairs)
    return {key: value for key, value in named if key in CARD_KEYS}


def values_of(settings: Any) -> dict[str, Any]:
    """Settings whose values are wrapped as W&B does it: ``{"lr": {"value": 0.1}}``."""
    if not isinstance(settings, dict):
        return {}
    return {
        str(key): dig(value, "value") if isinstance(value, dict) and "value" in value else value
        for key, value in settings.items()
    }
