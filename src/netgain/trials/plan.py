"""The plan of a trial, before anything is spent: what each arm may spend, about what that is in every currency, and
what the design can see. Pure, and without weights: a model's name or ``config.json`` is enough.

What is exact: the budgets, in the trial's currency. All else is estimated from typical lengths and marked so: a
budget is taken to be used up by the arm's kind of training, after the texts that it has written; an investment by the
same. The formulas are those by which work is charged (:mod:`netgain.metering.estimate`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, final

from scipy import stats

from netgain.domains.domain import Domain
from netgain.metering.estimate import (
    Device,
    generation_estimate,
    memory_estimate,
    scoring_estimate,
    timed,
    training_estimate,
)
from netgain.metering.price import Full, Lora, Training
from netgain.metering.rates import DeviceRate
from netgain.metering.shape import ModelShape
from netgain.model.prices import TokenPrices
from netgain.records.claim import Role
from netgain.records.cost import Cost, Currency, total
from netgain.records.identity import identity
from netgain.records.purpose import Purpose
from netgain.tokens import TokenCounter
from netgain.trials.candidates import candidates
from netgain.trials.narrow import Arm, Trial
from netgain.trials.plan_judge import ASSUMED, judging_cost
from netgain.trials.progress import sittings
from netgain.trials.spec import TrialSpec
from netgain.trials.unit import Unit, adapt_limit, compared_rung, deployments, learn_limit, units

UNTRAINED = (Role.FROZEN, Role.IN_CONTEXT)
WRITING = (Role.SYNTHETIC, Role.TEACHER, Role.SELF_IMPROVING)
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SAMPLE = 16  # problems whose texts are measured
DISCORDANT, WITHIN, POWER, ALPHA = 0.3, 0.2, 0.8, 0.05


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Typical lengths in tokens, and how many questions a problem has; ``how`` says where they are from."""

    passage: float = 180.0
    question: float = 40.0
    answer: float = 8.0
    edit: float = 150.0
    questions: float = 5.0
    how: str = "typical of SQuAD"


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
    units: int
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


def plan(
    trial: Trial,
    shape: ModelShape,
    device: Device,
    rate: DeviceRate,
    lengths: Mapping[str, Lengths],
    judge: ModelShape | TokenPrices | None = None,
) -> Plan:
    """The plan of a trial on a device; ``lengths`` by the name of the domain, for those that are known.

    ``judge`` is what the trial's judge is priced by: its shape, or its server's prices.
    """
    spec = trial.spec
    known = {domain: lengths.get(domain, Lengths()) for domain in spec.domains}
    arms = tuple(_arm(trial, arm, shape, device, rate, known) for arm in trial.arms.values())
    trained = [_training(arm) for arm in trial.arms.values() if arm.method.role not in UNTRAINED]
    weight = BYTES[spec.dtype]
    memory = max(memory_estimate(shape, how, 1024, resident=4, weight_bytes=weight) for how in [None, *trained])
    exam = known[spec.compare.domain or next(iter(spec.domains))]
    return Plan(
        name=spec.name,
        model=shape.name or spec.model,
        currency=spec.budget.currency.value,
        primary=identity("comparison", {"compare": spec.compare.model_dump(), "budget": spec.budget.model_dump()}),
        units=len(units(spec)),
        problems=spec.problems.test,
        seeds=spec.seeds,
        deployments=deployments(spec),
        arms=arms,
        device=f"{device.name} ({device.source}; {device.utilisation:.0%} of its peak)",
        rate=f"${rate.dollars_per_hour:.2f} an hour ({rate.source})",
        memory=memory,
        fits=memory <= device.memory,
        detectable=detectable(spec.problems.test, exam.questions),
        assumptions=(*_assumptions(known), *([] if judge is None else [ASSUMED])),
        judging=None if judge is None else judging_cost(trial, judge, device, rate, known),
    )


def _arm(
    trial: Trial, arm: Arm, shape: ModelShape, device: Device, rate: DeviceRate, lengths: Mapping[str, Lengths]
) -> ArmPlan:
    spec, currency = trial.spec, trial.spec.budget.currency
    mine = [unit for unit in units(spec) if unit.arm == arm.name]
    parts = [_unit(trial, arm, unit, shape, lengths[unit.domain]) for unit in mine]
    costs = {
        purpose.value: timed(
            total(part[purpose] for part in parts if purpose in part),
            shape,
            device,
            rate=rate,
            rows=64,
            weight_bytes=BYTES[spec.dtype],
        )
        for purpose in Purpose
        if any(purpose in part for part in parts)
    }
    runs = sum(unit.stage == "run" for unit in mine)
    one = _amount(adapt_limit(spec, 1.0), currency)
    budget = {"adapt": runs * one * spec.problems.test * sum(spec.budget.ladder)}
    if arm.method.learns:
        budget["learn"] = runs * _amount(learn_limit(spec), currency)
    tuned = sum(sittings(trial, unit) for unit in mine if unit.stage == "tune")
    budget["tune"] = tuned * one * compared_rung(spec, arm.method.learns) * spec.problems.passages
    if arm.method.learns:
        budget["tune"] += runs * one * spec.problems.development
    return ArmPlan(
        arm=arm.name,
        label=arm.label,
        role=arm.method.role.value,
        learns=arm.method.learns,
        adaptations=sum(sittings(trial, unit) for unit in mine if unit.stage == "run"),
        tuning_trials=max((len(candidates(spec, unit.domain, arm)) for unit in mine), default=0),
        budget=budget,
        costs=costs,
    )


def _amount(cost: Cost, currency: Currency) -> float:
    return cost.amount(currency) or 0.0


def _unit(trial: Trial, arm: Arm, unit: Unit, shape: ModelShape, lengths: Lengths) -> dict[Purpose, Cost]:
    """About what one unit takes, by purpose."""
    spec = trial.spec
    exam = _exam(spec, arm, shape, lengths)
    if unit.stage == "tune":
        tried, rung = sittings(trial, unit) * spec.problems.passages, compared_rung(spec, arm.method.learns)
        return {Purpose.TUNE: tried * (total(_filled(spec, arm, shape, lengths, rung).values()) + exam)}
    found: dict[Purpose, Cost] = {}
    for rung in spec.budget.ladder:
        for purpose, cost in _filled(spec, arm, shape, lengths, rung).items():
            found[purpose] = found.get(purpose, Cost.zero()) + spec.problems.test * cost
    if arm.method.learns:
        invested = _filled(spec, arm, shape, lengths, spec.budget.learn * deployments(spec))
        found[Purpose.LEARN] = total(invested.values())
        developed = total(_filled(spec, arm, shape, lengths, 1.0).values()) + exam
        found[Purpose.TUNE] = spec.problems.development * developed
    asked = spec.problems.test * len(spec.budget.ladder) * exam
    found[Purpose.EVALUATE] = asked + _beside(spec, arm, shape, lengths)
    return found


def _filled(spec: TrialSpec, arm: Arm, shape: ModelShape, lengths: Lengths, rungs: float) -> dict[Purpose, Cost]:
    """A budget of so many rungs used up: the texts that are written first, the rest in training on them."""
    if arm.method.role in UNTRAINED:
        return {}
    currency = spec.budget.currency
    limit = _amount(adapt_limit(spec, rungs), currency)
    written = Cost.zero()
    if arm.method.role in WRITING:
        edits = float(getattr(arm.settings, "edits", 1)) * max(1.0, rungs)
        once = generation_estimate(shape, round(lengths.passage + 40), round(lengths.edit))
        price = _amount(once, currency)
        written = once * (min(edits, 0.5 * limit / price) if price else edits)
    training = _training(arm)
    batch = int(getattr(arm.settings, "batch_size", 1))
    step = training_estimate(shape, [round(lengths.passage)] * batch, training=training, batch_size=batch)
    left = max(0.0, limit - _amount(written, currency))
    price = _amount(step, currency)
    trained = step * (left / price if price else 0.0)
    purpose = Purpose.TEACH if arm.method.role is Role.TEACHER else Purpose.PROPOSE
    return {Purpose.ADAPT: trained} | ({purpose: written} if arm.method.role in WRITING else {})


def _training(arm: Arm) -> Training:
    """What an arm trains, as its settings say; SEAL's LoRA where they say nothing."""
    settings = arm.settings
    if getattr(settings, "kind", "lora") == "full":
        return Full()
    targets = tuple(getattr(settings, "target_modules", ("q_proj", "v_proj")))
    return Lora(int(getattr(settings, "rank", 32)), targets)


def _exam(spec: TrialSpec, arm: Arm, shape: ModelShape, lengths: Lengths) -> Cost:
    """The questions of one problem."""
    prompt = lengths.question + (lengths.passage if arm.method.role is Role.IN_CONTEXT else 0.0)
    return lengths.questions * generation_estimate(shape, round(prompt), max(1, round(lengths.answer)))


def _beside(spec: TrialSpec, arm: Arm, shape: ModelShape, lengths: Lengths) -> Cost:
    """Controls and drift after each adaptation at the rungs where they are asked, and the stream's exams."""
    asked = spec.problems.test * sum(rung in spec.budget.ladder for rung in spec.exam.at)
    answer = generation_estimate(shape, round(lengths.question), max(1, round(lengths.answer)))
    score = scoring_estimate(shape, round(lengths.question), max(1, round(lengths.answer)))
    stream = spec.exam.stream * (spec.exam.stream + 1) * lengths.questions
    return asked * (2 * spec.exam.controls * answer + spec.exam.drift * score) + stream * answer


def detectable(problems: int, questions: float) -> float | None:
    """The smallest true difference in accuracy between two arms that a paired test finds four times in five.

    Paired differences of single questions have a variance of at most the share of questions on which the two disagree
    (assumed 0.3), and correlate within a problem (0.2), so a problem's mean difference has the variance
    ``0.3 (1 + 0.2 (q - 1)) / q``; two-sided at 5 %, by Student's t over problems. Several seeds make it smaller, which
    is not counted on. None for fewer than three problems.
    """
    if problems < 3:
        return None
    asked = max(1.0, questions)
    variance = DISCORDANT * (1 + WITHIN * (asked - 1)) / asked
    freedom = problems - 1
    reach = float(stats.t.ppf(1 - ALPHA / 2, freedom) + stats.t.ppf(POWER, freedom))
    return reach * math.sqrt(variance / problems)


def measured(domain: Domain, spec: TrialSpec, counter: TokenCounter) -> Lengths:
    """The lengths of a domain's own texts, over the first problems of the test."""
    problems = domain.problems("test", min(SAMPLE, spec.problems.test), spec.seed)
    prompts = domain.prompts
    form = next(iter(prompts.formats.values()), None)
    questions = [question for problem in problems for question in problem.questions]
    return Lengths(
        passage=_mean(counter.count([problem.material.text for problem in problems]), 1.0),
        question=_mean(counter.count([prompts.ask(question.text) for question in questions]), 1.0),
        answer=_mean(counter.count([question.answers[0] for question in questions]), 1.0) + 1,
        edit=min(float(form.max_new_tokens), 300.0) if form else 150.0,
        questions=len(questions) / len(problems),
        how=f"those of {type(domain).__name__}, {counter.how}",
    )


def _mean(values: Sequence[float], least: float) -> float:
    return max(least, sum(values) / len(values)) if values else least


def _assumptions(lengths: Mapping[str, Lengths]) -> tuple[str, ...]:
    texts = [
        f"{name}: {one.questions:.1f} questions a problem, {one.passage:.0f} tokens a passage ({one.how})"
        for name, one in lengths.items()
    ]
    return (
        *texts,
        "budgets are exact in the trial's currency; everything else is estimated",
        "a budget is taken to be used up: what an arm writes first, then training; an investment likewise",
        f"smallest effect: {POWER:.0%} power, two-sided {ALPHA:.0%}, two arms disagreeing on {DISCORDANT:.0%} of the "
        f"questions, correlation {WITHIN} within a problem, one seed",
    )
