"""Trials made of random numbers: rows as a run would write them, without a model. The truth is known here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from netgain.records.claim import RewardRun, Role
from netgain.records.cost import Purpose
from netgain.records.samples import Adaptation, AdaptationStream, Attempt, GradedAnswer, Investment, Row, Tuning
from netgain.streams import stream
from netgain.trials.spec import TrialSpec

BUDGET = 2e12
SPLIT = 0.5  # of the total that an arm that learns invests
ROLES = {
    "frozen": Role.FROZEN,
    "in-context": Role.IN_CONTEXT,
    "passage": Role.PASSAGE,
    "synthetic": Role.SYNTHETIC,
    "oracle-teacher": Role.TEACHER,
    "seal": Role.SELF_IMPROVING,
}


@dataclass(frozen=True)
class Arm:
    """``right``: accuracy after adapting with half of the budget; ``slope``: what a doubling of that adds; ``luck``:
    deviation of a run's own accuracy; ``learns``: whether it invests the other half at every level."""

    method: str
    right: float
    slope: float = 0.0
    luck: float = 0.0
    learns: bool = False
    label: str | None = None


@dataclass(frozen=True)
class Design:
    """What is simulated; ``domains`` by name, with what each adds to every trained arm's accuracy."""

    arms: dict[str, Arm]
    compare: str = "seal"
    against: str = "best conventional"
    problems: int = 48
    seeds: int = 3
    questions: int = 4
    difficulty: float = 0.15
    ladder: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    deployments: int | None = None
    curve: tuple[int, ...] = ()  # further numbers of deployments, for which what learns invests anew
    domains: dict[str, float] = field(default_factory=lambda: {"plain": 0.0})
    controls: int = 0
    development: bool = True
    spends: float = 1.0


STANDARD = {
    "frozen": Arm("frozen", 0.02, label="the frozen model"),
    "context": Arm("in-context", 0.97, label="the passage in context"),
    "passage": Arm("passage", 0.40, 0.04, label="fine-tuning on the passage"),
    "own": Arm("synthetic", 0.38, 0.04, label="own text, unselected"),
    "oracle": Arm("oracle-teacher", 0.75, 0.02, label="a perfect writer's text"),
    "seal": Arm("seal", 0.45, 0.02, 0.02, learns=True, label="SEAL"),
}


def spec_of(design: Design) -> TrialSpec:
    arms = {name: {"method": arm.method, "label": arm.label} for name, arm in design.arms.items()}
    learn = [name for name, arm in design.arms.items() if arm.learns]
    return TrialSpec.model_validate(
        {
            "name": "simulated",
            "question": "Does the outer loop add anything at equal compute?",
            "teacher": "oracle",
            "domains": {name: {"kind": "people"} for name in design.domains},
            "problems": {"test": design.problems},
            "seeds": design.seeds,
            "budget": {
                "per_problem": BUDGET,
                "ladder": list(design.ladder),
                "deployments": design.deployments,
                "curve": {"deployments": list(design.curve), "arms": learn} if design.curve else None,
            },
            "arms": arms,
            "compare": {"arm": design.compare, "against": design.against},
        }
    )


def rows_of(design: Design, seed: int = 0) -> list[Row]:
    """Every row of a finished run of the design."""
    rng = stream(seed, "simulated", design.compare)
    rows: list[Row] = []
    for domain, more in design.domains.items():
        hard = rng.normal(0, design.difficulty, design.problems)
        for name, arm in design.arms.items():
            rows += _arm(design, domain, name, arm, more, hard, rng)
    return _read_without(rows)


def _read_without(rows: list[Row]) -> list[Row]:
    """The same with an arm that only reads asked control questions once, and answering as the frozen model does."""
    before: dict[tuple[str, str], GradedAnswer] = {}
    told: list[Row] = []
    for row in rows:
        if isinstance(row, Adaptation) and row.arm in ("frozen", "context"):
            controls = {(row.domain, one.question): one for one in row.answers if one.kind in ("seen", "skill")}
            if row.arm == "frozen":
                before |= controls
            else:
                asked = [before.get(key, one) for key, one in controls.items() if row.problem == "p0"]
                own = [one for one in row.answers if (row.domain, one.question) not in controls]
                row = row.model_copy(update={"answers": (*own, *asked)})
        told.append(row)
    return told


def _arm(
    design: Design, domain: str, name: str, arm: Arm, more: float, hard: np.ndarray, rng: np.random.Generator
) -> list[Row]:
    untrained = arm.method in {"frozen", "in-context"}
    rows: list[Row] = []
    adapts = 1.0 - SPLIT if arm.learns else 1.0  # of the total
    if not untrained:
        developed = arm.right + arm.slope * math.log2(2 * adapts) + rng.normal(0, 0.02)
        tried = tuple(
            Attempt(settings={"rate": r}, accuracy=_part(developed - 0.03 * i)) for i, r in enumerate((1e-3, 3e-3))
        )
        dev = _part(developed) if design.development else None
        rows.append(Tuning(domain=domain, arm=name, attempts=tried, chosen=0, development=dev, spent=_spent(BUDGET)))
    for run in range(1 if untrained else design.seeds):
        luck = rng.normal(0, arm.luck)
        for rung in (1.0,) if untrained else design.ladder:
            if arm.learns:
                rows.append(_investment(design, domain, name, run, rung, rng))
            mean = arm.right + (0 if untrained else arm.slope * math.log2(2 * adapts * rung) + more) + luck
            rows += _adaptations(design, domain, name, arm, run, rung, mean, hard, rng)
        for further in design.curve if arm.learns else ():
            anew = replace(design, deployments=further)
            rows.append(_investment(anew, domain, name, run, 1.0, rng))
            mean = arm.right + arm.slope * math.log2(2 * adapts) + more + luck
            rows += _adaptations(anew, domain, name, arm, run, 1.0, mean, hard, rng)
        if not untrained:
            rows.append(_retention(domain, name, run, rng))
    return rows


def _adaptations(
    design: Design,
    domain: str,
    name: str,
    arm: Arm,
    run: int,
    rung: float,
    mean: float,
    hard: np.ndarray,
    rng: np.random.Generator,
) -> list[Row]:
    untrained = arm.method in {"frozen", "in-context"}
    spread = 0.0 if untrained else 1.0
    chances = np.clip(mean + spread * (hard + rng.normal(0, 0.1, design.problems)), 0, 1)
    budget = rung * BUDGET * (1.0 - SPLIT if arm.learns else 1.0)
    spent = {} if arm.method == "frozen" else _spent(budget * design.spends * (0.005 if untrained else 1.0))
    return [
        Adaptation(
            domain=domain,
            arm=name,
            seed=run,
            rung=rung,
            deployments=(design.deployments or design.problems) if arm.learns else None,
            problem=f"p{index}",
            budget=budget,
            spent=spent,
            rejected={} if untrained else {"flops": 0.1 * budget},
            evaluated={"flops": 1e9, "tokens_real": 100.0},
            answers=tuple(_answers(design, index, chance, rng)),
            divergence=None if untrained else 0.1 * rung,
        )
        for index, chance in enumerate(chances)
    ]


def _answers(design: Design, problem: int, chance: float, rng: np.random.Generator) -> list[GradedAnswer]:
    kinds = [("knowledge", chance), ("reasoning", chance / 2)]
    found = [
        GradedAnswer(question=f"q{problem}-{kind}-{i}", kind=kind, text="", correct=bool(rng.random() < p), f1=0.0)
        for kind, p in kinds
        for i in range(design.questions)
    ]
    controls = [
        GradedAnswer(question=f"c-{kind}-{i}", kind=kind, text="", correct=bool(rng.random() < 0.9), f1=0.0)
        for kind in ("seen", "skill")
        for i in range(design.controls)
    ]
    return found + controls


def _investment(design: Design, domain: str, name: str, run: int, rung: float, rng: np.random.Generator) -> Investment:
    total = SPLIT * rung * BUDGET * (design.deployments or design.problems)
    correct = rng.integers(0, 4, size=(6, 3, 2)).tolist()
    reward = RewardRun(
        name="round 1",
        prompt="lines",
        round=0,
        problems=6,
        edits=3,
        repeats=2,
        kept=6,
        questions=(4,) * 6,
        correct=correct,
    )
    spent = {
        Purpose.LEARN: _amounts(0.5 * total),
        Purpose.SCORE: _amounts(0.3 * total),
        Purpose.PROPOSE: _amounts(0.2 * total),
    }
    return Investment(
        domain=domain,
        arm=name,
        seed=run,
        rung=rung,
        deployments=design.deployments or design.problems,
        budget=total,
        spent=spent,
        rejected={"flops": 0.6 * total},
        rewards=(reward,),
    )


def _retention(domain: str, name: str, run: int, rng: np.random.Generator) -> AdaptationStream:
    matrix = np.clip(rng.normal(0.4, 0.1, size=(4, 3)), 0, 1).tolist()
    return AdaptationStream(domain=domain, arm=name, seed=run, rung=1.0, problems=("a", "b", "c"), matrix=matrix)


def _spent(flops: float) -> dict[Purpose, dict[str, float]]:
    return {Purpose.PROPOSE: _amounts(0.2 * flops), Purpose.ADAPT: _amounts(0.8 * flops)}


def _amounts(flops: float) -> dict[str, float]:
    tokens = flops / 1e7
    return {
        "flops": flops,
        "updates": flops / 1e10,
        "tokens_real": tokens,
        "tokens_padded": 1.2 * tokens,
        "tokens_generated": tokens / 10,
    }


def _part(value: float) -> float:
    return float(min(1.0, max(0.0, value)))


def without(rows: Sequence[Row], keep: int) -> list[Row]:
    """The first ``keep`` rows only, as an unfinished run leaves them."""
    return list(rows[:keep])
