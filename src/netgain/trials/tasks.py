"""The tasks of a trial: what is done in one go and never repeated, what it may spend, how many adaptations it does, and
about what it would take. The plan, the schedule and the progress all count by it.

What a task may spend is arithmetic on the spec. What it would take is estimated from the lengths of its texts, without
weights, by the formulas by which work is charged (:mod:`netgain.metering.estimate`). A budget is taken to be used up:
the texts that an arm writes first, then its kind of training; an investment likewise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, Literal, final

from pydantic import ValidationError

from netgain.domains.domain import Domain
from netgain.domains.grading import MAX_NEW_TOKENS, judge_prompt
from netgain.domains.problem import Question
from netgain.engine.jobs import Work
from netgain.metering.estimate import Pace, generation_estimate, scoring_estimate, training_estimate
from netgain.metering.price import Full, Lora, Training
from netgain.metering.shape import ModelShape
from netgain.methods.fitting import Inner
from netgain.methods.method import Learning, Method, Settings
from netgain.methods.synthetic import SyntheticSettings
from netgain.methods.trained_writers import SupervisedWriterSettings
from netgain.model.remote import TokenPrices
from netgain.model.requests import Part
from netgain.records.claim import UNTRAINED, Role
from netgain.records.cost import Cost, Currency, Purpose, total
from netgain.records.identity import canonical
from netgain.streams import stream
from netgain.tokens import EstimatedTokens, TokenCounter
from netgain.trials.resolve import ResolvedArm, Trial
from netgain.trials.spec import MATCHED, TrialSpec
from netgain.trials.tuning import Knobs, KnobSearch, search

WRITING = (Role.SYNTHETIC, Role.TEACHER, Role.SELF_IMPROVING)
SPLIT = "split"  # the setting by which an arm that learns divides its total
WIDTH = 64  # programs side by side; part of what decides the bytes of a run, so it is no option
SAMPLE = 16  # problems whose texts are measured
LARGEST_SPLIT = 0.95  # that widening may come to
SIMULATED = 6  # tunings over which a plan takes the mean


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


# -- about what it takes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Typical lengths in tokens, and how many questions a problem has; ``how`` says where they are from.

    An ``answer`` is as long as the right one until the model was asked; ``longest`` is how long it may be.
    """

    passage: float = 180.0
    question: float = 40.0
    answer: float = 8.0
    edit: float = 150.0
    questions: float = 5.0
    longest: float = 16.0
    how: str = "typical of SQuAD"


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
        longest=float(prompts.max_new_tokens),
        how=f"those of {type(domain).__name__}, {counter.how}",
    )


def _mean(values: Sequence[float], least: float) -> float:
    return max(least, sum(values) / len(values)) if values else least


def task_costs(
    trial: Trial, task: Task, shape: ModelShape, lengths: Lengths, pace: Pace | None = None, *, most: bool = False
) -> dict[Purpose, Cost]:
    """About what one task takes, by purpose; with a ``pace`` in seconds as well.

    What a tuning tries and ends with is not known before: the mean over simulated ones, in which chance says what is
    better. ``most``: the dearest of them, and every answer as long as it may be.
    """
    found = [
        _Estimate(trial, task, shape, lengths, pace, most).costs(*course) for course in _courses(trial, task, most)
    ]
    if most:
        return max(found, key=lambda costs: total(costs.values()).flops or 0.0)
    return {purpose: (1 / len(found)) * total(costs[purpose] for costs in found) for purpose in found[0]}


def _courses(trial: Trial, task: Task, most: bool) -> list[tuple[list[Settings], Settings]]:
    """Ways in which a task's tuning may go: the settings that are tried, and those that it ends with."""
    arm, tuning = trial.arms[task.arm], trial.spec.tuning
    knobs = knobs_of(arm, replace(task, stage="tune")) if tuning.trials else {}
    if not knobs:
        return [([arm.settings], arm.settings)]
    if most:
        wider = tuning.widen * sum(_are_numbers(values) for values in knobs.values())
        splits = [*knobs.get(SPLIT, ()), *([LARGEST_SPLIT] if tuning.widen else [])] if SPLIT in knobs else []
        ends = [arm.settings, *(changed(arm.settings, {SPLIT: split}) for split in splits)]
        return [([end] * (planned_trials(trial, task) + wider), end) for end in ends]
    given = {name: value for name, value in arm.settings.model_dump().items() if name in knobs}
    courses = []
    for number in range(SIMULATED):
        draws = stream(0, "plan", task.domain, task.arm, str(number))
        searching = search(knobs, given, tuning.trials, tuning.widen, partial(valid, arm.settings))
        next(searching)
        try:
            while True:
                searching.send(float(draws.random()))
        except StopIteration as stop:
            found: KnobSearch = stop.value
        courses.append(([changed(arm.settings, one) for one, _ in found.tried], changed(arm.settings, found.values)))
    return courses


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


@final
@dataclass(frozen=True, slots=True)
class _Estimate:
    """The arithmetic of one task's estimate."""

    trial: Trial
    task: Task
    shape: ModelShape
    lengths: Lengths
    pace: Pace | None
    most: bool

    def costs(self, tried: Sequence[Settings], chosen: Settings) -> dict[Purpose, Cost]:
        """By purpose, with the settings that are tried or, in a run, with those that were chosen."""
        spec, method, task = self.trial.spec, self.trial.arms[self.task.arm].method, self.task
        if task.stage == "tune":
            problems = spec.problems.development
            trials = (
                problems * (self._adapted(one, 1.0) + self._exam(one)) + self._invested(one, 1.0) for one in tried
            )
            return {Purpose.TUNE: total(trials)}
        costs: dict[Purpose, Cost] = {}
        at = levels(spec, task)
        for level in at:
            for purpose, cost in self._used_up(chosen, (1.0 - split_of(method, chosen)) * level).items():
                costs[purpose] = costs.get(purpose, Cost.zero()) + spec.problems.test * cost
        if method.learns:
            costs[Purpose.LEARN] = total(self._invested(chosen, level) for level in at)
        exams = spec.problems.test * len(at) * self._exam(chosen)
        costs[Purpose.EVALUATE] = exams + (self._beside(chosen) if task.deployments is None else Cost.zero())
        return costs

    def _adapted(self, settings: Settings, level: float) -> Cost:
        split = split_of(self.trial.arms[self.task.arm].method, settings)
        return total(self._used_up(settings, (1.0 - split) * level).values())

    def _invested(self, settings: Settings, level: float) -> Cost:
        split = split_of(self.trial.arms[self.task.arm].method, settings)
        cost = total(self._used_up(settings, split * level * deployments(self.trial.spec, self.task)).values())
        if not isinstance(settings, SupervisedWriterSettings) or settings.outer_epochs is None:
            return cost
        labels = self._labels(settings, settings.outer_epochs)  # there are only so many
        return min(cost, labels, key=lambda one: known_amount(one, self.trial.spec.budget.currency))

    def _labels(self, settings: SupervisedWriterSettings, epochs: int) -> Cost:
        lengths, count = self.lengths, min(self.trial.spec.problems.train, settings.labelled or 10**9)
        text = round(lengths.passage + 40 + lengths.questions * (lengths.question + lengths.answer))
        lora = Lora(settings.outer_rank, settings.outer_modules)
        cost = training_estimate(self.shape, [text] * count, training=lora, epochs=epochs)
        return self.pace.training(cost) if self.pace else cost

    def _used_up(self, settings: Settings, level: float) -> dict[Purpose, Cost]:
        """The budget of a level used up: the texts that are written first, the rest in training on them."""
        role, lengths = self.trial.arms[self.task.arm].method.role, self.lengths
        if role in UNTRAINED:
            return {}
        currency = self.trial.spec.budget.currency
        limit = known_amount(adapt_limit(self.trial.spec, level), currency)
        written = Cost.zero()
        if role in WRITING:
            edits = (settings.edits if isinstance(settings, SyntheticSettings) else 1) * max(1.0, level)
            once = self._generated(lengths.passage + 40, lengths.edit)
            price = known_amount(once, currency)
            written = once * (min(edits, 0.5 * limit / price) if price else edits)
        inner = inner_of(settings)
        texts = [round(lengths.passage)] * inner.batch_size
        step = training_estimate(self.shape, texts, training=trained_by(inner), batch_size=inner.batch_size)
        step = self.pace.training(step) if self.pace else step
        left = max(0.0, limit - known_amount(written, currency))
        price = known_amount(step, currency)
        trained = step * (left / price if price else 0.0)
        purpose = Purpose.TEACH if role is Role.TEACHER else Purpose.PROPOSE
        return {Purpose.ADAPT: trained} | ({purpose: written} if role in WRITING else {})

    def _exam(self, settings: Settings) -> Cost:
        """The questions of one problem."""
        reads = self.trial.arms[self.task.arm].method.role is Role.IN_CONTEXT
        prompt = self.lengths.question + (self.lengths.passage if reads else 0.0)
        return self.lengths.questions * self._answered(prompt, settings)

    def _beside(self, settings: Settings) -> Cost:
        """Controls and drift after each adaptation at the levels where they are asked, and the stream's exams."""
        spec, lengths = self.trial.spec, self.lengths
        if self.trial.arms[self.task.arm].method.role is Role.IN_CONTEXT:
            return Cost.zero()
        examined = spec.problems.test * sum(level in spec.budget.ladder for level in spec.exam.at)
        answer = self._answered(lengths.question, settings)
        score = scoring_estimate(self.shape, round(lengths.question), max(1, round(lengths.answer)))
        score = self.pace.reading(score) if self.pace else score
        stream = spec.exam.stream * (spec.exam.stream + 1) * lengths.questions
        return examined * (2 * spec.exam.controls * answer + spec.exam.drift * score) + stream * answer

    def _answered(self, prompt: float, settings: Settings) -> Cost:
        training = trained_by(inner_of(settings)) if isinstance(settings, Inner) else None
        longest = self.lengths.longest if self.most else self.lengths.answer
        return self._generated(prompt, longest, training if isinstance(training, Lora) else None)

    def _generated(self, prompt: float, new: float, adapter: Lora | None = None) -> Cost:
        read, said = round(prompt), max(1, round(new))
        cost = generation_estimate(self.shape, read, said, adapter=adapter)
        if self.pace is None:
            return cost
        return self.pace.writing(cost, generation_estimate(self.shape, read, 1, adapter=adapter))


def known_amount(cost: Cost, currency: Currency) -> float:
    """The amount in a currency, 0 where it is unknown."""
    return cost.amount(currency) or 0.0


def training_of(arm: ResolvedArm) -> Training:
    """What an arm trains, as its settings say; SEAL's LoRA where they say nothing."""
    return trained_by(inner_of(arm.settings))


def inner_of(settings: Settings) -> Inner:
    """The settings of the training; SEAL's inner loop where they have none."""
    return settings if isinstance(settings, Inner) else Inner()


def trained_by(inner: Inner) -> Training:
    """All weights, or adapters."""
    return Full() if inner.kind == "full" else Lora(inner.rank, inner.target_modules)


# -- the judge


def judging_cost(trial: Trial, judge: ModelShape | TokenPrices, pace: Pace, lengths: Mapping[str, Lengths]) -> Cost:
    """All of a judge's verdicts, each as long as it may be: by its shape at this pace, or by prices; a server's take
    no time on the device."""
    (frame,) = EstimatedTokens().count([judge_prompt(Question("", ("",)), "")])
    cost = Cost.zero()
    for task in tasks(trial.spec):
        domain = lengths[task.domain]
        prompt = round(frame + domain.question + 2 * domain.answer)
        cost = cost + _verdicts(trial, task, domain.questions) * _verdict(judge, prompt, pace)
    return replace(cost, seconds=0.0) if "url" in (trial.spec.judge or {}) else cost


def _verdicts(trial: Trial, task: Task, questions: float) -> float:
    """How many answers of a task are put to the judge; in tuning and streams only where its verdicts are the grades."""
    spec = trial.spec
    decides = spec.grades == "judge"
    if task.stage == "tune":
        return adaptations(trial, task) * spec.problems.passages * questions if decides else 0.0
    asked = spec.problems.test * len(levels(spec, task)) * questions
    if task.deployments is not None:
        return asked
    examined = sum(level in spec.budget.ladder for level in spec.exam.at)
    controls = spec.problems.test * examined * 2 * spec.exam.controls
    stream = spec.exam.stream * (spec.exam.stream + 1) * questions if decides else 0.0
    return asked + controls + stream


def _verdict(judge: ModelShape | TokenPrices, prompt: int, pace: Pace) -> Cost:
    if isinstance(judge, ModelShape):
        return pace.writing(generation_estimate(judge, prompt, MAX_NEW_TOKENS), generation_estimate(judge, prompt, 1))
    return judge.cost(Part(Work(positions=prompt, real=prompt, generated=MAX_NEW_TOKENS)))
