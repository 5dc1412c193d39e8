"""The plan of a trial, before anything is spent: what each arm may spend, about what that is in every currency, and
what the design can see. Without weights: a model's name or ``config.json`` is enough.

What is exact: the budgets, in the trial's currency. All else is estimated from typical lengths and marked so.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, final

from netgain.analysis import crossed
from netgain.analysis.crossed import POWER
from netgain.analysis.intervals import WITHIN
from netgain.domains.domain import Domain
from netgain.domains.grading import MAX_NEW_TOKENS
from netgain.domains.problem import Problem
from netgain.errors import InputError, MissingExtraError
from netgain.exam.drift import paragraphs
from netgain.metering.estimate import Pace, shape_of
from netgain.metering.rates import DEVICE_RATES, DeviceRate
from netgain.metering.shape import ModelShape
from netgain.methods.script import ScriptSettings
from netgain.model.remote import TokenPrices
from netgain.records.cost import Cost, Purpose, total
from netgain.tokens import EstimatedTokens, ExactTokens, TokenCounter
from netgain.trials.calibration import calibrate as calibrate_machine
from netgain.trials.calibration import find_machine
from netgain.trials.refusals import check_model, check_trial
from netgain.trials.resolve import SHIPPED, Trial, with_data
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import primary_hash
from netgain.trials.task_costs import SAMPLE, SIMULATED, Lengths, judging_cost, measured, task_costs
from netgain.trials.tasks import Task, adaptations, budget, deployments, planned_trials, tasks
from netgain.trials.workers import Calibrate, makespan, seconds_of, staffed

DISCORDANT, RENEWED = 0.3, 0.5  # of two arms' answers; of a problem's own difference, what every run draws anew
LUCK = 0.047  # of a run in accuracy, standard deviation: as records of trials show it (NOTEBOOK.md)
FEW_UNKNOWN = 0.02  # of a domain's words: names and foreign words that do no harm
SHOWN = 5


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
    """What a trial would take, and what it could see.

    ``hours`` are the clock's, with ``workers`` at work; those of arms are device hours, of one worker. ``memory`` is
    that of all workers at their fullest, in bytes. ``most_flops`` is what the trial cannot exceed (None: nobody knows).
    Where ``scripts`` are arms, neither hours nor memory have what these take.
    """

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
    workers: int
    hours: float
    memory: float
    memory_free: float
    fits: bool
    most_flops: float | None
    detectable: float | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    judging: Cost | None = None
    scripts: tuple[str, ...] = ()

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


def make_plan(
    trial: Trial,
    device: str | None = None,
    dollars: float | None = None,
    *,
    jobs: int | None = None,
    calibrate: Calibrate | None = None,
) -> Plan:
    """The plan of a trial on a device of :data:`DEVICES` by name, or on this machine (None or ``auto``: its GPU, else
    its CPU; ``cpu``, ``cuda``), at these dollars an hour (None: a typical price).

    With ``calibrate`` this machine's pace and memory are measured, otherwise guessed. ``jobs`` is how many processes
    are wanted (None: as many as suit). Data that cannot be read is taken to be typical. Raises InputError for whatever
    a run would be refused for, in the same words.
    """
    check_model(trial)
    shape = _shape(trial)
    trial, lengths, warnings = _with_lengths(trial)
    check_trial(trial, shape, lengths)
    judge, spec = _judge(trial), trial.spec
    staff = staffed(trial, device, shape, lengths, jobs, calibrate)
    rate = DEVICE_RATES.get(staff.name, DeviceRate(0.0, "this machine is taken to be yours already"))
    rate = rate if dollars is None else DeviceRate(dollars, "as stated")
    costs = _costs(trial, shape, lengths, staff.pace)
    most = _costs(trial, shape, lengths, most=True)
    longest = f"every answer is put to the judge, its verdicts as long as they may be ({MAX_NEW_TOKENS} tokens)"
    judging = None if judge is None else judging_cost(trial, judge, staff.pace, lengths)
    seconds = makespan(seconds_of(costs), staff.workers, staff.pace.load)
    share = rate.dollars_per_hour / 3600 / staff.workers  # so many workers share the machine
    return Plan(
        name=spec.name,
        model=spec.model if spec.model in SHIPPED else shape.name or spec.model,
        currency=spec.budget.currency.value,
        primary=primary_hash(spec.model_dump(mode="json")),
        tasks=len(costs),
        problems=spec.problems.test,
        seeds=spec.seeds,
        deployments=deployments(spec),
        arms=tuple(_arm(trial, arm, costs, share) for arm in trial.arms.values()),
        device=f"{staff.name} ({staff.pace.source})",
        rate=f"${rate.dollars_per_hour:.2f} an hour ({rate.source})",
        workers=staff.workers,
        hours=(seconds + (judging.seconds or 0.0 if judging else 0.0) / staff.workers) / 3600,
        memory=staff.memory * staff.workers,
        memory_free=staff.free,
        fits=staff.memory * staff.workers <= staff.free,
        most_flops=total(cost for parts in most.values() for cost in parts.values()).flops,
        detectable=detectable(
            spec.problems.test, lengths[spec.compare.domain or next(iter(spec.domains))].questions, spec.seeds
        ),
        assumptions=(*trial.notes, *_assumptions(lengths), *([] if judge is None else [longest]), *_unknown(trial)),
        warnings=(*warnings, *staff.warnings),
        scripts=_scripts(trial),
        judging=_priced(judging, share) if judging and isinstance(judge, ModelShape) else judging,
    )


def _scripts(trial: Trial) -> tuple[str, ...]:
    """The arms whose work is a script's."""
    return tuple(name for name, arm in trial.arms.items() if isinstance(arm.settings, ScriptSettings))


def _unknown(trial: Trial) -> tuple[str, ...]:
    """What nobody knows of a trial with scripts before it runs."""
    names = _scripts(trial)
    if not names:
        return ()
    limits = sorted({f"{s.time_limit:g} s" for a in trial.arms.values() if isinstance(s := a.settings, ScriptSettings)})
    return (
        f"what a script does with its budget is not known before: of {', '.join(names)} the budget is the bound, and "
        f"each process is stopped after {' or '.join(limits)}; hours and memory are without what scripts take",
    )


def _priced(cost: Cost, dollars_per_second: float) -> Cost:
    return replace(cost, dollars=None if cost.seconds is None else cost.seconds * dollars_per_second)


def _sum(costs: Mapping[Task, Mapping[Purpose, Cost]], purpose: Purpose) -> Cost:
    return total(parts[purpose] for parts in costs.values() if purpose in parts)


def _costs(
    trial: Trial, shape: ModelShape, lengths: Mapping[str, Lengths], pace: Pace | None = None, *, most: bool = False
) -> dict[Task, dict[Purpose, Cost]]:
    """About what each task takes; runs that differ by their seed alone are estimated once."""
    alike: dict[Task, dict[Purpose, Cost]] = {}
    for task in tasks(trial.spec):
        key = replace(task, seed=None)
        if key not in alike:
            alike[key] = task_costs(trial, task, shape, lengths[task.domain], pace, most=most)
    return {task: alike[replace(task, seed=None)] for task in tasks(trial.spec)}


def _arm(
    trial: Trial, arm: ResolvedArm, costs: Mapping[Task, Mapping[Purpose, Cost]], dollars_per_second: float
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
            purpose.value: _priced(_sum(own, purpose), dollars_per_second)
            for purpose in Purpose
            if any(purpose in parts for parts in own.values())
        },
    )


def suited(trial: Trial, device: str, jobs: int | None = None) -> tuple[int, tuple[str, ...]]:
    """How many processes suit a trial on a device, and what to be warned of: those stated, or one a core, as far as
    memory goes; one alone on a GPU."""
    try:
        shape, lengths = shape_of(trial.model), _lengths(trial)
    except (InputError, MissingExtraError):
        machine = find_machine(device)
        return jobs or machine.cores, ()
    staff = staffed(trial, device, shape, lengths, jobs, partial(calibrate_machine, measure=False))
    return jobs or staff.workers, staff.warnings


def check_before(trial: Trial) -> None:
    """Raise InputError for what a run could only fail at, as the plan does; of a model whose shape is not known, less
    is checked."""
    try:
        shape, lengths = shape_of(trial.model), _lengths(trial)
    except (InputError, MissingExtraError):
        shape, lengths = None, {}
    check_trial(trial, shape, lengths)


def planned_work(trial: Trial) -> dict[str, float]:
    """About the FLOPs of each task by its name, exams included; its budget where the model's shape is not known."""
    try:
        shape = shape_of(trial.model)
    except (InputError, MissingExtraError):
        return {task.name: sum(budget(trial, task).values()) for task in tasks(trial.spec)}
    costs = _costs(trial, shape, _lengths(trial))
    worked = {task: total(parts.values()).flops for task, parts in costs.items()}
    return {task.name: sum(budget(trial, task).values()) if it is None else it for task, it in worked.items()}


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
        texts = [text for problem in problems for text in _worded(domain, problem)]
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


def _worded(domain: Domain, problem: Problem) -> Iterator[str]:
    """The texts of a problem; of one of examples their inputs and outputs, without the marks between them."""
    if domain.few_shot is not None:
        yield from chain.from_iterable(domain.few_shot.shown(problem.material.text))
        return
    yield from (problem.material.title, problem.material.text)
    for question in problem.questions:
        yield from (question.text, question.answers[0])


def _with_lengths(trial: Trial) -> tuple[Trial, dict[str, Lengths], tuple[str, ...]]:
    """The trial with its data, typical lengths, and what to be warned of."""
    try:
        _ = trial.domains
    except (InputError, MissingExtraError) as error:
        how = f"typical of SQuAD, for the data cannot be read here: {error}"
        warning = f"a run would be refused: {error}"
        return trial, {name: Lengths(how=how) for name in trial.spec.domains}, (warning,)
    trial = with_data(trial)
    return trial, _lengths(trial), unknown_words(trial)


def _counter(trial: Trial) -> TokenCounter:
    folder = Path(trial.model)
    if (folder / "tokenizer.json").is_file():
        with contextlib.suppress(InputError, MissingExtraError):
            return ExactTokens(folder)
    return EstimatedTokens()


def _lengths(trial: Trial) -> dict[str, Lengths]:
    counter, spec, domains = _counter(trial), trial.spec, trial.domains
    file = spec.exam.files(trial.lines.folder).get("text")
    text = () if file is None else paragraphs(file)
    return {name: measured(domain, trial.prompts(name), spec, counter, text) for name, domain in domains.items()}


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
        f"which settings a tuning ends with is left to chance, {SIMULATED} times over; `at most` is the dearest course",
        f"smallest effect: {POWER:.0%} power at the 95 % interval, a run's luck {100 * LUCK:.1f} points in both "
        f"arms, which disagree on {DISCORDANT:.0%} of the questions, correlation {WITHIN} within a problem",
    )
