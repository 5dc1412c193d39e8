"""The tasks of a trial: what is done in one go and never repeated, what it may spend, how many adaptations it does.
The plan, the schedule and the progress all count by it. All is arithmetic on the spec, but for what a task left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, final

from pydantic import TypeAdapter, ValidationError

from netgain.methods.method import Learning, Method, Settings
from netgain.records.claim import Role
from netgain.records.cost import Cost
from netgain.records.identity import canonical
from netgain.strict_json import parse_json
from netgain.trials.resolve import Trial
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import MATCHED, TrialSpec
from netgain.trials.tuning import Knobs

SPLIT = "split"  # the setting by which an arm that learns divides its total
WIDTH = 64  # programs side by side; part of what decides the bytes of a run, so it is no option


@final
@dataclass(frozen=True, slots=True)
class Task:
    """The tuning of an arm in a domain, or its run there under a seed.

    With ``deployments`` it is work for a further number of them (the curve); None is the trial's own number.
    """

    stage: Literal["tune", "run"]
    domain: str
    arm: str
    seed: int | None = None
    deployments: int | None = None

    @property
    def name(self) -> str:
        """Its folder's name and its name in the journal."""
        name = f"{self.stage}-{self.domain}-{self.arm}" + ("" if self.seed is None else f"-{self.seed}")
        return name if self.deployments is None else f"{name}@{self.deployments}"

    @property
    def tuning(self) -> "Task | None":
        """The task that this one waits for, whose settings it takes: for a further number of deployments the division
        of the total is tuned again, from the settings chosen before."""
        if self.stage == "run":
            return Task("tune", self.domain, self.arm, deployments=self.deployments)
        return None if self.deployments is None else Task("tune", self.domain, self.arm)


def tasks(spec: TrialSpec) -> tuple[Task, ...]:
    """All tasks: first every tuning, then every run, those of the curve last; the order of the records as well."""
    pairs = [(domain, arm) for domain in spec.domains for arm in spec.arms]
    seeds = range(spec.seed, spec.seed + spec.seeds)
    tunings = [Task("tune", domain, arm) for domain, arm in pairs]
    runs = [Task("run", domain, arm, seed) for domain, arm in pairs for seed in seeds]
    curve = spec.budget.curve
    if curve is None:
        return (*tunings, *runs)
    further = [(domain, arm, n) for domain in spec.domains for n in curve.deployments for arm in curve.arms]
    for domain, arm, n in further:
        runs.append(Task("tune", domain, arm, deployments=n))
        runs += [Task("run", domain, arm, seed, n) for seed in seeds[: curve.seeds or spec.seeds]]
    return (*tunings, *runs)


def deployments(spec: TrialSpec, task: Task | None = None) -> int:
    """Over how many problems an investment is spread: in a task of the curve, or by the trial."""
    own = None if task is None else task.deployments
    return own or spec.budget.deployments or spec.problems.test


def levels(spec: TrialSpec, task: Task) -> tuple[float, ...]:
    """The budget levels of a run: the whole ladder, or for a further number of deployments the one that is compared."""
    return spec.budget.ladder if task.deployments is None else (MATCHED,)


def adapt_limit(spec: TrialSpec, level: float, share: float = 1.0, problems: int = 1) -> Cost:
    """What may be spent at a budget level on adapting to so many problems at once, by an arm whose adaptations have
    this ``share`` of its total."""
    return Cost(**{spec.budget.currency.value: share * level * spec.budget.per_problem * problems})


def learn_limit(spec: TrialSpec, level: float, split: float, deployments: int) -> Cost:
    """What an arm that learns may invest once, at a budget level and for so many deployments."""
    return Cost(**{spec.budget.currency.value: split * level * spec.budget.per_problem * deployments})


def split_of(method: Method | type[Method], settings: Settings) -> float:
    """The share of the total that is invested: 0 for a method that does not learn."""
    return settings.split if method.learns and isinstance(settings, Learning) else 0.0


def adapt_share(method: Method | type[Method], settings: Settings) -> float:
    """The share of its total that an arm adapts with: all that it does not invest. An upper bound, which searches by
    the exam's own labels, has as many budgets as it asks for."""
    return settings.budgets if method.role is Role.ORACLE else 1.0 - split_of(method, settings)


def groups(spec: TrialSpec, count: int) -> int:
    """How many adaptations so many problems take, ``problems.passages`` of them at once."""
    return -(-count // spec.problems.passages)


def adaptations(trial: Trial, task: Task) -> int:
    """How many adaptations a task does: in a tuning those of every trial that is planned, in a run those to the test
    problems."""
    spec = trial.spec
    if task.stage == "run":
        return groups(spec, spec.problems.test) * len(levels(spec, task))
    return groups(spec, spec.problems.development) * planned_trials(trial, task)


def budget(trial: Trial, task: Task) -> dict[str, float]:
    """The most that a task may spend inside the matched budget (tuning included), in the trial's currency, by what it
    is for; of a tuning without the trials that widen it."""
    spec, arm = trial.spec, trial.arms[task.arm]
    total, split = spec.budget.per_problem, split_of(arm.method, arm.settings)
    share = adapt_share(arm.method, arm.settings)
    if task.stage == "tune":
        if not spec.problems.development:
            return {"tune": 0.0}
        adapted = share * total * adaptations(trial, task) * spec.problems.passages
        return {"tune": adapted + split * total * deployments(spec, task) * planned_trials(trial, task)}
    whole = total * sum(levels(spec, task))
    adapt = {"adapt": share * whole * spec.problems.test}
    return {**adapt, "learn": split * whole * deployments(spec, task)} if arm.method.learns else adapt


def knobs_of(arm: ResolvedArm, task: Task) -> Knobs:
    """What a tuning varies: for a further number of deployments only how the total is divided."""
    if task.deployments is None:
        return arm.knobs
    return {name: values for name, values in arm.knobs.items() if name == SPLIT}


def planned_trials(trial: Trial, task: Task) -> int:
    """How many settings a tuning tries, at least 1 (those given), without those that widen it."""
    arm = trial.arms[task.arm]
    given = arm.settings.model_dump()
    sizes = (
        len({canonical(value) for value in (given[name], *values)}) for name, values in knobs_of(arm, task).items()
    )
    return max(1, min(trial.spec.tuning.trials, prod(sizes)))


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """These settings with some of them changed, validated anew."""
    return type(settings).model_validate(settings.model_dump() | dict(changes))


def valid(settings: Settings, changes: Mapping[str, Any]) -> bool:
    """Whether the settings may be changed so."""
    try:
        changed(settings, changes)
    except ValidationError:
        return False
    return True


# -- what a finished task leaves (``unit.json``)


@final
@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished task left: its identity, the settings its arm ran with or was tuned to, and what it took.

    ``spent`` is all of that by purpose; ``lost`` the part of attempts that were cut off, and ``beside`` the part that
    stands in none of its rows (None in records older than the field).

    ``identity`` is that of its work and, behind a ``#``, the SHA-256 of its rows; ``head`` is the hash of the journal's
    row that notes that identity, after everything else (only the closing may follow).
    """

    identity: str
    settings: dict[str, Any]
    attempts: int
    spent: dict[str, dict[str, float]]
    seconds: float
    lost: dict[str, Any]
    head: str
    beside: dict[str, dict[str, float]] | None = None


_FORM = TypeAdapter(TaskResult)
_AMOUNTS = TypeAdapter(dict[str, dict[str, float]])


def json_object(path: Path) -> dict[str, Any]:
    """The fields of a JSON file; empty where it cannot be read, or holds no object."""
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def result_in(path: Path) -> dict[str, Any]:
    """The fields of a ``unit.json``; empty where it is not there, or not what a finished task leaves."""
    return result_of(json_object(path))


def result_of(found: object) -> dict[str, Any]:
    """These fields, empty where they are not of the form that a finished task leaves."""
    try:
        _FORM.validate_json(canonical(found), strict=True)  # which NaN and infinity have no form in
        _AMOUNTS.validate_python(found["lost"].get("spent", {}))  # type: ignore[index]
    except (ValueError, TypeError, RecursionError):
        return {}
    return dict(found) if isinstance(found, dict) else {}
