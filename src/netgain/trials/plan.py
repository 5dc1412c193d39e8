"""The plan of a trial, before anything is spent: what each arm may spend, about what that is in every currency, and
what the design can see. Without weights: a model's name or ``config.json`` is enough.

What is exact: the budgets, in the trial's currency. All else is estimated from typical lengths and marked so.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np

from netgain.analysis import crossed
from netgain.analysis.crossed import POWER
from netgain.analysis.intervals import WITHIN
from netgain.domains.grading import MAX_NEW_TOKENS
from netgain.errors import InputError, MissingExtraError
from netgain.metering.estimate import Device, find_device, memory_estimate, shape_of, timed
from netgain.metering.rates import DEVICE_RATES, DeviceRate
from netgain.metering.shape import ModelShape
from netgain.model.remote import TokenPrices
from netgain.records.claim import UNTRAINED
from netgain.records.cost import Cost, Purpose, total
from netgain.tokens import EstimatedTokens, ExactTokens, TokenCounter
from netgain.trials.resolve import SHIPPED, Trial, with_data
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import primary_hash
from netgain.trials.tasks import (
    SAMPLE,
    Lengths,
    Task,
    adaptations,
    budget,
    deployments,
    judging_cost,
    measured,
    planned_trials,
    task_costs,
    tasks,
    training_of,
)

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
DISCORDANT, RENEWED = 0.3, 0.5  # of two arms' answers; of a problem's own difference, what every run draws anew
LUCK = 0.047  # of a run in accuracy, standard deviation: as records of trials show it (NOTEBOOK.md)
FEW_UNKNOWN = 0.02  # of a domain's words: names and foreign words that do no harm
SHOWN = 5
CPU_SHARE = 0.6  # of the speed of large matrix products: what packs of inner loops reach (NOTEBOOK.md)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """One arm over the whole trial. ``budget`` is exact, in the trial's currency, by what it is for.

    ``costs`` are estimates by purpose, seconds and dollars on the plan's device included.
    """

    arm: str
    label: str
    role: str
    learns: bool
    adaptations: int
    tuning_trials: int
    budget: Mapping[str, float]
    costs: Mapping[str, Cost]

    @property
    def whole(self) -> Cost:
        """All of it, evaluation included."""
        return total(self.costs.values())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a trial would take, and what it could see."""

    name: str
    model: str
    currency: str
    primary: str
    tasks: int
    problems: int
    seeds: int
    deployments: int
    arms: tuple[ArmPlan, ...]
    device: str
    rate: str
    memory: float
    fits: bool
    detectable: float | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    judging: Cost | None = None

    @property
    def whole(self) -> Cost:
        """The whole trial, its judge included."""
        return total([*(arm.whole for arm in self.arms), *([] if self.judging is None else [self.judging])])

    def dump(self) -> dict[str, Any]:
        """As plain JSON values; unknown amounts are left out."""
        fields = asdict(replace(self, arms=(), judging=None))
        arms = [
            {
                **{name: getattr(arm, name) for name in ("arm", "label", "role", "learns", "adaptations")},
                "tuning_trials": arm.tuning_trials,
                "budget": dict(arm.budget),
                "estimated": {purpose: cost.known() for purpose, cost in arm.costs.items()},
                "estimated_total": arm.whole.known(),
            }
            for arm in self.arms
        ]
        judging = None if self.judging is None else self.judging.known()
        return {**fields, "arms": arms, "judging": judging, "estimated_total": self.whole.known()}


def make_plan(trial: Trial, device: str | None = None, dollars: float | None = None) -> Plan:
    """The plan of a trial on a device by name (``cpu``: this machine; None: the CPU for the shipped model, else an
    H100), at these dollars an hour (None: a typical price). Data that cannot be read is taken to be typical."""
    name = device or ("cpu" if trial.spec.model in SHIPPED else "H100")
    chosen = this_cpu() if name == "cpu" else find_device(name)
    rate = DEVICE_RATES.get(chosen.name, DeviceRate(0.0, "this machine is taken to be yours already"))
    rate = rate if dollars is None else DeviceRate(dollars, "as stated")
    shape = _shape(trial)
    trial, lengths, warnings = _with_lengths(trial)
    judge, spec = _judge(trial), trial.spec
    weight = BYTES[spec.dtype]
    trained = [training_of(arm) for arm in trial.arms.values() if arm.method.role not in UNTRAINED]
    memory = max(memory_estimate(shape, how, 1024, resident=4, weight_bytes=weight) for how in [None, *trained])
    costs = {task: task_costs(trial, task, shape, lengths[task.domain]) for task in tasks(spec)}
    on_device = partial(timed, shape=shape, device=chosen, rate=rate, rows=64, weight_bytes=weight)
    longest = f"every answer is put to the judge, its verdicts as long as they may be ({MAX_NEW_TOKENS} tokens)"
    return Plan(
        name=spec.name,
        model=spec.model if spec.model in SHIPPED else shape.name or spec.model,
        currency=spec.budget.currency.value,
        primary=primary_hash(spec.model_dump(mode="json")),
        tasks=len(costs),
        problems=spec.problems.test,
        seeds=spec.seeds,
        deployments=deployments(spec),
        arms=tuple(_arm(trial, arm, costs, on_device) for arm in trial.arms.values()),
        device=f"{chosen.name} ({chosen.source}; {chosen.utilisation:.0%} of its peak)",
        rate=f"${rate.dollars_per_hour:.2f} an hour ({rate.source})",
        memory=memory,
        fits=memory <= chosen.memory,
        detectable=detectable(
            spec.problems.test, lengths[spec.compare.domain or next(iter(spec.domains))].questions, spec.seeds
        ),
        assumptions=(*trial.notes, *_assumptions(lengths), *([] if judge is None else [longest])),
        warnings=warnings,
        judging=None if judge is None else judging_cost(trial, judge, chosen, rate, lengths),
    )


def _arm(
    trial: Trial, arm: ResolvedArm, costs: Mapping[Task, Mapping[Purpose, Cost]], on_device: Callable[[Cost], Cost]
) -> ArmPlan:
    own = {task: parts for task, parts in costs.items() if task.arm == arm.name}
    budgets = [budget(trial, task) for task in own]
    return ArmPlan(
        arm=arm.name,
        label=arm.label,
        role=arm.method.role.value,
        learns=arm.method.learns,
        adaptations=sum(adaptations(trial, task) for task in own if task.stage == "run"),
        tuning_trials=max(planned_trials(trial, task) for task in own if task.stage == "tune") if arm.knobs else 0,
        budget={
            name: sum(found[name] for found in budgets if name in found)
            for name in ("adapt", "learn", "tune")
            if any(name in found for found in budgets)
        },
        costs={
            purpose.value: on_device(total(parts[purpose] for parts in own.values() if purpose in parts))
            for purpose in Purpose
            if any(purpose in parts for parts in own.values())
        },
    )


def this_cpu() -> Device:
    """This machine, its speed measured on a product of two matrices."""
    left = np.ones((768, 768), dtype=np.float32)
    _ = left @ left
    started = time.perf_counter()
    for _ in range(4):
        _ = left @ left
    flops = 4 * 2 * 768.0**3 / max(1e-9, time.perf_counter() - started)
    source = "measured now on a matrix product"
    return Device("this CPU", flops, 1e10, 1e12, source, utilisation=CPU_SHARE)


def planned_work(trial: Trial) -> dict[str, float]:
    """About the FLOPs of each task by its name, exams included; its budget where the model's shape is not known."""
    try:
        shape = shape_of(trial.model)
    except (InputError, MissingExtraError):
        return {task.name: sum(budget(trial, task).values()) for task in tasks(trial.spec)}
    lengths = _lengths(trial)
    costs = {task.name: task_costs(trial, task, shape, lengths[task.domain]) for task in tasks(trial.spec)}
    return {name: total(parts.values()).flops or 0.0 for name, parts in costs.items()}


def _shape(trial: Trial) -> ModelShape:
    try:
        return shape_of(trial.model)
    except InputError as error:
        if Path(trial.model).exists():
            raise
        problem = f"model = {trial.spec.model!r}: there is no such folder, and {error.problem}"
        raise trial.lines.error(("model",), problem, error.remedy) from None


def unknown_words(trial: Trial) -> tuple[str, ...]:
    """A warning for each domain of whose words the model's tokenizer does not know more than a few.

    Over the first problems of the test. None where the tokenizer is not at hand before the model is.
    """
    counter, warnings = _counter(trial), []
    if not isinstance(counter, ExactTokens):
        return ()
    for name, domain in trial.domains.items():
        problems = domain.problems("test", min(SAMPLE, trial.spec.problems.test), trial.spec.seed)
        texts = [text for problem in problems for text in (problem.material.title, problem.material.text)]
        texts += [text for p in problems for question in p.questions for text in (question.text, question.answers[0])]
        words = Counter(re.findall(r"\w+", " ".join(texts)))
        unknown = counter.unknown(list(words))
        share = sum(words[word] for word in unknown) / max(1, words.total())
        if share > FEW_UNKNOWN:
            some = ", ".join([*unknown[:SHOWN], *(["..."] if unknown[SHOWN:] else [])])
            warnings.append(
                f"{share:.0%} of the words of domain {name} are unknown to the tokenizer of model {trial.spec.model} "
                f"({some}): it can neither read nor learn them"
            )
    return tuple(warnings)


def _with_lengths(trial: Trial) -> tuple[Trial, dict[str, Lengths], tuple[str, ...]]:
    """The trial with its data, typical lengths, and what to be warned of."""
    try:
        _ = trial.domains
    except (InputError, MissingExtraError) as error:
        how = f"typical of SQuAD, for the data cannot be read here: {error}"
        return trial, {name: Lengths(how=how) for name in trial.spec.domains}, ()
    trial = with_data(trial)
    return trial, _lengths(trial), unknown_words(trial)


def _counter(trial: Trial) -> TokenCounter:
    folder = Path(trial.model)
    if (folder / "tokenizer.json").is_file():
        with contextlib.suppress(InputError, MissingExtraError):
            return ExactTokens(folder)
    return EstimatedTokens()


def _lengths(trial: Trial) -> dict[str, Lengths]:
    counter = _counter(trial)
    return {name: measured(domain, trial.prompts(name), trial.spec, counter) for name, domain in trial.domains.items()}


def _judge(trial: Trial) -> ModelShape | TokenPrices | None:
    """What the judge is priced by; a model of unknown shape by nothing, so that its tokens alone are counted."""
    judge = trial.spec.judge
    if judge is None:
        return None
    try:
        if "url" in judge:
            return TokenPrices(**judge.get("prices", {}))
        return shape_of(trial.located(judge["model"]))
    except TypeError as problem:
        raise InputError("judge", f"has prices with a field that is not known ({problem})") from None
    except InputError:
        return TokenPrices()


def detectable(problems: int, questions: float, seeds: int, luck: float = LUCK) -> float | None:
    """The smallest true difference in accuracy between two arms that a verdict finds four times in five.

    Found means that the interval of :mod:`netgain.analysis.crossed` excludes zero. ``luck`` is the standard deviation
    of a run's accuracy, the same in both arms. Differences of single questions have a variance of at most the share of
    questions on which the arms disagree (assumed 0.3) and correlate within a problem (0.2), so a problem's difference
    has the variance ``0.3 (1 + 0.2 (q - 1)) / q``, of which every run draws half anew. None where no verdict is told:
    for fewer than three seeds or problems.
    """
    if problems < 3 or seeds < crossed.FEWEST_RUNS:
        return None
    asked = max(1.0, questions)
    variance = DISCORDANT * (1 + WITHIN * (asked - 1)) / asked
    of_problems, of_rest = (1 - RENEWED) * variance, RENEWED * variance
    return crossed.Squares.expected(seeds, problems, 2 * luck**2, of_problems, of_rest).detectable(POWER)


def _assumptions(lengths: Mapping[str, Lengths]) -> tuple[str, ...]:
    texts = [
        f"{name}: {domain.questions:.1f} questions a problem, {domain.passage:.0f} tokens a passage ({domain.how})"
        for name, domain in lengths.items()
    ]
    return (
        *texts,
        "budgets are exact in the trial's currency; everything else is estimated",
        "a budget is taken to be used up: what an arm writes first, then training; an investment likewise",
        f"smallest effect: {POWER:.0%} power at the 95 % interval, a run's luck {100 * LUCK:.1f} points in both "
        f"arms, which disagree on {DISCORDANT:.0%} of the questions, correlation {WITHIN} within a problem",
    )
