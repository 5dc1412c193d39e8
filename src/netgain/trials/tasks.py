"""The tasks of a trial: what is done in one go and never repeated, what it may spend, how many adaptations it does, and
about what it would take. The plan, the schedule and the progress all count by it.

What a task may spend is arithmetic on the spec. What it would take is estimated from the lengths of its texts, without
weights, by the formulas by which work is charged (:mod:`netgain.metering.estimate`). A budget is taken to be used up:
the texts that an arm writes first, then its kind of training; an investment likewise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, final

from netgain.domains.domain import Domain
from netgain.domains.grading import MAX_NEW_TOKENS, judge_prompt
from netgain.domains.problem import Prompt, Prompts, Question, text_of
from netgain.engine.jobs import Work
from netgain.metering.estimate import Device, generation_estimate, scoring_estimate, timed, training_estimate
from netgain.metering.price import Full, Lora, Training
from netgain.metering.rates import DeviceRate
from netgain.metering.shape import ModelShape
from netgain.methods.fitting import Inner
from netgain.methods.method import Learning, Method, Settings
from netgain.methods.synthetic import SyntheticSettings
from netgain.model.remote import TokenPrices
from netgain.model.requests import Part
from netgain.records.claim import UNTRAINED, Role
from netgain.records.cost import Cost, Currency, Purpose, total
from netgain.tokens import EstimatedTokens, TokenCounter
from netgain.trials.resolve import Trial
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import MATCHED, TrialSpec
from netgain.trials.tuning import Knobs

WRITING = (Role.SYNTHETIC, Role.TEACHER, Role.SELF_IMPROVING)
SPLIT = "split"  # the setting by which an arm that learns divides its total
SAMPLE = 16  # problems whose texts are measured
TURN = 5.0  # tokens that a chat template puts around a turn; as many again for its opening, and for the answer's


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


def adapt_limit(spec: TrialSpec, level: float, split: float = 0.0, problems: int = 1) -> Cost:
    """What may be spent at a budget level on adapting to so many problems at once, by an arm that invests ``split``."""
    return Cost(**{spec.budget.currency.value: (1.0 - split) * level * spec.budget.per_problem * problems})


def learn_limit(spec: TrialSpec, level: float, split: float, deployments: int) -> Cost:
    """What an arm that learns may invest once, at a budget level and for so many deployments."""
    return Cost(**{spec.budget.currency.value: split * level * spec.budget.per_problem * deployments})


def split_of(method: Method | type[Method], settings: Settings) -> float:
    """The share of the total that is invested: 0 for a method that does not learn."""
    return settings.split if method.learns and isinstance(settings, Learning) else 0.0


def adaptations(trial: Trial, task: Task) -> int:
    """How many adaptations a task does: in a tuning those of every trial that is planned, in a run those to the test
    problems."""
    spec = trial.spec
    if task.stage == "run":
        return -(-spec.problems.test // spec.problems.passages) * len(levels(spec, task))
    return -(-spec.problems.development // spec.problems.passages) * planned_trials(trial, task)


def budget(trial: Trial, task: Task) -> dict[str, float]:
    """The most that a task may spend inside the matched budget (tuning included), in the trial's currency, by what it
    is for; of a tuning without the trials that widen it."""
    spec, arm = trial.spec, trial.arms[task.arm]
    total, split = spec.budget.per_problem, split_of(arm.method, arm.settings)
    if task.stage == "tune":
        adapted = (1.0 - split) * total * adaptations(trial, task) * spec.problems.passages
        return {"tune": adapted + split * total * deployments(spec, task) * planned_trials(trial, task)}
    whole = total * sum(levels(spec, task))
    adapt = {"adapt": (1.0 - split) * whole * spec.problems.test}
    return {**adapt, "learn": split * whole * deployments(spec, task)} if arm.method.learns else adapt


def knobs_of(arm: ResolvedArm, task: Task) -> Knobs:
    """What a tuning varies: for a further number of deployments only how the total is divided."""
    if task.deployments is None:
        return arm.knobs
    return {name: values for name, values in arm.knobs.items() if name == SPLIT}


def planned_trials(trial: Trial, task: Task) -> int:
    """How many settings a tuning tries, at least 1 (those given), without those that widen it."""
    knobs = knobs_of(trial.arms[task.arm], task)
    most = prod(len(values) + 1 for values in knobs.values())
    return max(1, min(trial.spec.tuning.trials, most))


def _widening(trial: Trial, task: Task) -> float:
    """About how many further trials widen a tuning: every second number has its best value at an end of what is
    tried. What is planned to be tried does not depend on it; what it is likely to take does."""
    knobs = knobs_of(trial.arms[task.arm], task).values() if trial.spec.tuning.trials else ()
    numbers = sum(all(isinstance(value, int | float) for value in values) for values in knobs)
    return min(1, trial.spec.tuning.widen) * numbers / 2


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """These settings with some of them changed, validated anew."""
    return type(settings).model_validate(settings.model_dump() | dict(changes))


# -- about what it takes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Typical lengths in tokens, and how many questions a problem has; ``how`` says where they are from.

    ``question``, ``reading`` and ``asking`` are whole prompts: of a question, of one with its passage, and of an edit.
    """

    passage: float = 180.0
    question: float = 40.0
    answer: float = 8.0
    edit: float = 150.0
    questions: float = 5.0
    reading: float = 220.0
    asking: float = 220.0
    how: str = "typical of SQuAD"


def measured(domain: Domain, prompts: Prompts, spec: TrialSpec, counter: TokenCounter) -> Lengths:
    """The lengths of a domain's own texts, over the first problems of the test."""
    problems = domain.problems("test", min(SAMPLE, spec.problems.test), spec.seed)
    form = next(iter(prompts.formats.values()), None)
    asked = [(question, problem.material) for problem in problems for question in problem.questions]
    questions = [question for question, _ in asked]
    passage = _mean(counter.count([problem.material.text for problem in problems]), 1.0)
    edits = [] if form is None else [form.prompt(problem.material) for problem in problems]
    return Lengths(
        passage=passage,
        question=_prompts([prompts.ask(question.text) for question in questions], counter),
        reading=_prompts([prompts.ask(question.text, [material]) for question, material in asked], counter),
        asking=_prompts(edits, counter) if edits else passage + 40,
        answer=_mean(counter.count([question.answers[0] for question in questions]), 1.0) + 1,
        edit=min(float(form.max_new_tokens), 300.0) if form else 150.0,
        questions=len(questions) / len(problems),
        how=f"those of {type(domain).__name__}, {counter.how}",
    )


def _prompts(prompts: Sequence[Prompt], counter: TokenCounter) -> float:
    """The mean length of prompts, with about as much around each turn of a conversation as templates put there."""
    turns = [0 if isinstance(prompt, str) else len(prompt) + 2 for prompt in prompts]
    counted = counter.count([text_of(prompt) for prompt in prompts])
    return _mean([count + TURN * extra for count, extra in zip(counted, turns, strict=True)], 1.0)


def _mean(values: Sequence[float], least: float) -> float:
    return max(least, sum(values) / len(values)) if values else least


def task_costs(trial: Trial, task: Task, shape: ModelShape, lengths: Lengths) -> dict[Purpose, Cost]:
    """About what one task takes, by purpose."""
    spec, arm = trial.spec, trial.arms[task.arm]
    exam, split = _exam(arm, shape, lengths), split_of(arm.method, arm.settings)

    def invested(level: float) -> Cost:
        return total(_used_up(spec, arm, shape, lengths, split * level * deployments(spec, task)).values())

    if task.stage == "tune":
        adapted = total(_used_up(spec, arm, shape, lengths, 1.0 - split).values()) + exam
        tried = planned_trials(trial, task) + _widening(trial, task)
        return {Purpose.TUNE: tried * (spec.problems.development * adapted + invested(MATCHED))}
    costs: dict[Purpose, Cost] = {}
    for level in levels(spec, task):
        for purpose, cost in _used_up(spec, arm, shape, lengths, (1.0 - split) * level).items():
            costs[purpose] = costs.get(purpose, Cost.zero()) + spec.problems.test * cost
    if arm.method.learns:
        costs[Purpose.LEARN] = total(invested(level) for level in levels(spec, task))
    exams = spec.problems.test * len(levels(spec, task)) * exam
    costs[Purpose.EVALUATE] = exams + (_beside(spec, shape, lengths) if task.deployments is None else Cost.zero())
    return costs


def _used_up(
    spec: TrialSpec, arm: ResolvedArm, shape: ModelShape, lengths: Lengths, level: float
) -> dict[Purpose, Cost]:
    """The budget of a level used up: the texts that are written first, the rest in training on them."""
    if arm.method.role in UNTRAINED:
        return {}
    currency = spec.budget.currency
    limit = known_amount(adapt_limit(spec, level), currency)
    written = Cost.zero()
    if arm.method.role in WRITING:
        edits = (arm.settings.edits if isinstance(arm.settings, SyntheticSettings) else 1) * max(1.0, level)
        once = generation_estimate(shape, round(lengths.asking), round(lengths.edit))
        price = known_amount(once, currency)
        written = once * (min(edits, 0.5 * limit / price) if price else edits)
    batch = _inner(arm).batch_size
    step = training_estimate(shape, [round(lengths.passage)] * batch, training=training_of(arm), batch_size=batch)
    left = max(0.0, limit - known_amount(written, currency))
    price = known_amount(step, currency)
    trained = step * (left / price if price else 0.0)
    purpose = Purpose.TEACH if arm.method.role is Role.TEACHER else Purpose.PROPOSE
    return {Purpose.ADAPT: trained} | ({purpose: written} if arm.method.role in WRITING else {})


def known_amount(cost: Cost, currency: Currency) -> float:
    """The amount in a currency, 0 where it is unknown."""
    return cost.amount(currency) or 0.0


def training_of(arm: ResolvedArm) -> Training:
    """What an arm trains, as its settings say; SEAL's LoRA where they say nothing."""
    inner = _inner(arm)
    return Full() if inner.kind == "full" else Lora(inner.rank, inner.target_modules)


def _inner(arm: ResolvedArm) -> Inner:
    return arm.settings if isinstance(arm.settings, Inner) else Inner()


def _exam(arm: ResolvedArm, shape: ModelShape, lengths: Lengths) -> Cost:
    """The questions of one problem."""
    prompt = lengths.reading if arm.method.role is Role.IN_CONTEXT else lengths.question
    return lengths.questions * generation_estimate(shape, round(prompt), max(1, round(lengths.answer)))


def _beside(spec: TrialSpec, shape: ModelShape, lengths: Lengths) -> Cost:
    """Controls and drift after each adaptation at the levels where they are asked, and the stream's exams."""
    examined = spec.problems.test * sum(level in spec.budget.ladder for level in spec.exam.at)
    answer = generation_estimate(shape, round(lengths.question), max(1, round(lengths.answer)))
    score = scoring_estimate(shape, round(lengths.question), max(1, round(lengths.answer)))
    stream = spec.exam.stream * (spec.exam.stream + 1) * lengths.questions
    return examined * (2 * spec.exam.controls * answer + spec.exam.drift * score) + stream * answer


# -- the judge


def judging_cost(
    trial: Trial, judge: ModelShape | TokenPrices, device: Device, rate: DeviceRate, lengths: Mapping[str, Lengths]
) -> Cost:
    """All of a judge's verdicts, each as long as it may be: by its shape on this device, or by prices; a server's take
    no time on it."""
    (frame,) = EstimatedTokens().count([judge_prompt(Question("", ("",)), "")])
    cost = Cost.zero()
    for task in tasks(trial.spec):
        domain = lengths[task.domain]
        prompt = round(frame + domain.question + 2 * domain.answer)
        cost = cost + _verdicts(trial, task, domain.questions) * _verdict(judge, prompt)
    if isinstance(judge, ModelShape):
        return timed(cost, judge, device, rate=rate, rows=64, weight_bytes=4)
    return replace(cost, seconds=0.0) if "url" in (trial.spec.judge or {}) else cost


def _verdicts(trial: Trial, task: Task, questions: float) -> float:
    """How many answers of a task are put to the judge; in tuning and streams only where its verdicts decide."""
    spec = trial.spec
    decides = spec.grade == "judge"
    if task.stage == "tune":
        return adaptations(trial, task) * spec.problems.passages * questions if decides else 0.0
    asked = spec.problems.test * len(levels(spec, task)) * questions
    if task.deployments is not None:
        return asked
    examined = sum(level in spec.budget.ladder for level in spec.exam.at)
    controls = spec.problems.test * examined * 2 * spec.exam.controls
    stream = spec.exam.stream * (spec.exam.stream + 1) * questions if decides else 0.0
    return asked + controls + stream


def _verdict(judge: ModelShape | TokenPrices, prompt: int) -> Cost:
    if isinstance(judge, ModelShape):
        return generation_estimate(judge, prompt, MAX_NEW_TOKENS)
    return judge.cost(Part(Work(positions=prompt, real=prompt, generated=MAX_NEW_TOKENS)))
