"""The units of work of a trial, and what each may spend. Pure arithmetic on a spec."""

from dataclasses import dataclass
from typing import Literal, final

from netgain.records.cost import Cost
from netgain.trials.spec import TrialSpec


@final
@dataclass(frozen=True, slots=True)
class Unit:
    """What is done in one go and never repeated: the tuning of an arm in a domain, or its run there under a seed."""

    stage: Literal["tune", "run"]
    domain: str
    arm: str
    seed: int | None = None

    @property
    def name(self) -> str:
        """Its folder's name and its name in the journal."""
        return f"{self.stage}-{self.domain}-{self.arm}" + ("" if self.seed is None else f"-{self.seed}")


def units(spec: TrialSpec) -> tuple[Unit, ...]:
    """All units: first every tuning, then every run; this is the order of the records as well."""
    pairs = [(domain, arm) for domain in spec.domains for arm in spec.arms]
    tunings = [Unit("tune", domain, arm) for domain, arm in pairs]
    return (*tunings, *(Unit("run", domain, arm, seed) for domain, arm in pairs for seed in seeds(spec)))


def seeds(spec: TrialSpec) -> range:
    """The seeds of the runs, from the trial's own on."""
    return range(spec.seed, spec.seed + spec.seeds)


def deployments(spec: TrialSpec) -> int:
    """Over how many problems an investment is spread."""
    return spec.budget.deployments or spec.problems.test


def adapt_limit(spec: TrialSpec, rung: float, problems: int = 1) -> Cost:
    """What may be spent on adapting to so many problems at once."""
    return Cost(**{spec.budget.currency.value: spec.budget.per_problem * rung * problems})


def learn_limit(spec: TrialSpec) -> Cost:
    """What an arm that learns may invest, once a seed."""
    return Cost(**{spec.budget.currency.value: spec.budget.learn * spec.budget.per_problem * deployments(spec)})


def compared_rung(spec: TrialSpec, learns: bool) -> float:
    """The rung at which an arm is held against the others: 1 for one that has invested, the matched rung otherwise."""
    return 1.0 if learns else spec.budget.matched_rung
