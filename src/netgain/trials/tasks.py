"""The tasks of a trial: what is done in one go and never repeated, what it may spend, how many adaptations it does.

Pure arithmetic on a spec; the plan, the schedule and the progress all count by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from netgain.methods.method import Settings
from netgain.records.cost import Cost
from netgain.records.identity import canonical
from netgain.streams import stream
from netgain.trials.resolve import ResolvedArm, Trial
from netgain.trials.spec import TrialSpec


@final
@dataclass(frozen=True, slots=True)
class Task:
    """The tuning of an arm in a domain, or its run there under a seed."""

    stage: Literal["tune", "run"]
    domain: str
    arm: str
    seed: int | None = None

    @property
    def name(self) -> str:
        """Its folder's name and its name in the journal."""
        return f"{self.stage}-{self.domain}-{self.arm}" + ("" if self.seed is None else f"-{self.seed}")

    @property
    def tuning(self) -> "Task | None":
        """The task that a run waits for, whose settings it takes."""
        return None if self.stage == "tune" else Task("tune", self.domain, self.arm)


def tasks(spec: TrialSpec) -> tuple[Task, ...]:
    """All tasks: first every tuning, then every run; this is the order of the records as well."""
    pairs = [(domain, arm) for domain in spec.domains for arm in spec.arms]
    seeds = range(spec.seed, spec.seed + spec.seeds)
    tunings = [Task("tune", domain, arm) for domain, arm in pairs]
    return (*tunings, *(Task("run", domain, arm, seed) for domain, arm in pairs for seed in seeds))


def deployments(spec: TrialSpec) -> int:
    """Over how many problems an investment is spread."""
    return spec.budget.deployments or spec.problems.test


def adapt_limit(spec: TrialSpec, level: float, problems: int = 1) -> Cost:
    """What may be spent at a budget level on adapting to so many problems at once."""
    return Cost(**{spec.budget.currency.value: spec.budget.per_problem * level * problems})


def learn_limit(spec: TrialSpec) -> Cost:
    """What an arm that learns may invest, once a seed."""
    return Cost(**{spec.budget.currency.value: spec.budget.learn * spec.budget.per_problem * deployments(spec)})


def compared_level(spec: TrialSpec, learns: bool) -> float:
    """The budget level at which an arm is compared: 1 for one that has invested, the matched level otherwise."""
    return 1.0 if learns else spec.budget.matched_level


def adaptations(trial: Trial, task: Task) -> int:
    """How many adaptations a task does.

    In a tuning those of every candidate, or of the settings as given; in a run those to the test problems, and to the
    development problems of an arm that learns.
    """
    spec = trial.spec
    development = -(-spec.problems.development // spec.problems.passages)
    if task.stage == "run":
        tested = -(-spec.problems.test // spec.problems.passages) * len(spec.budget.ladder)
        return tested + (development if trial.arms[task.arm].method.learns else 0)
    return development * max(1, len(candidates(spec, task.domain, trial.arms[task.arm])))


def budget(trial: Trial, task: Task) -> float:
    """The most that a task may spend inside the matched budget (tuning included), in the trial's currency."""
    spec, method = trial.spec, trial.arms[task.arm].method
    per_problem = adapt_limit(spec, 1.0).amount(spec.budget.currency) or 0.0
    if task.stage == "run":
        learn = learn_limit(spec).amount(spec.budget.currency) or 0.0
        learning = learn + per_problem * spec.problems.development if method.learns else 0.0
        return per_problem * spec.problems.test * sum(spec.budget.ladder) + learning
    return per_problem * compared_level(spec, method.learns) * adaptations(trial, task) * spec.problems.passages


def candidates(spec: TrialSpec, domain: str, arm: ResolvedArm) -> list[dict[str, Any]]:
    """What an arm changes in its settings in each of its tuning trials: nothing in the first, none of them twice.

    The draw is the domain's: arms with one grid try the same settings, so that none of them is luckier in what it
    tries.
    """
    if not arm.grid or not spec.tuning.trials:
        return []
    given = arm.settings.model_dump(mode="json")
    shape = type(arm.settings)
    seen = {canonical(given)}
    others = []
    for index in stream(spec.seed, "tune", domain).permutation(len(arm.grid)):
        changes = arm.grid[int(index)]
        same = canonical(changed(arm.settings, changes).model_dump(mode="json"))
        if same not in seen:
            seen.add(same)
            others.append(changes)
    names = list(dict.fromkeys(name for changes in arm.grid for name in changes))
    as_given = {name: getattr(shape.model_validate(arm.settings.model_dump()), name) for name in names}
    return [as_given, *others][: spec.tuning.trials]


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """These settings with some of them changed, validated anew."""
    return type(settings).model_validate(settings.model_dump() | dict(changes))
