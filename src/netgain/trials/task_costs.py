"""About what a task takes, by purpose, in every currency and in seconds: estimated from the lengths of its texts,
without weights, by the formulas by which work is charged (:mod:`netgain.metering.estimate`).

A budget is taken to be used up: the texts that an arm writes first, then its kind of training; an investment likewise.
What a tuning tries, and what it ends with, is left to chance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np

from netgain.domains.domain import Domain
from netgain.domains.grading import MAX_NEW_TOKENS, judge_prompt
from netgain.domains.problem import Prompt, Prompts, Question, text_of
from netgain.engine.jobs import Work
from netgain.exam.exam import PLANTED
from netgain.metering.estimate import Pace, generation_estimate, scoring_estimate, training_estimate
from netgain.metering.price import Full, Lora, Training
from netgain.metering.shape import ModelShape
from netgain.methods.fitting import Inner
from netgain.methods.method import Settings
from netgain.methods.script import ScriptSettings
from netgain.methods.synthetic import SyntheticSettings
from netgain.methods.trained_writers import SupervisedWriterSettings
from netgain.model.remote import TokenPrices
from netgain.model.requests import Part
from netgain.records.claim import UNTRAINED, Role
from netgain.records.cost import Cost, Currency, Purpose, total
from netgain.streams import stream
from netgain.tokens import EstimatedTokens, TokenCounter
from netgain.trials.resolve import Trial
from netgain.trials.resolved_arm import ResolvedArm
from netgain.trials.spec import TrialSpec
from netgain.trials.tasks import (
    SPLIT,
    Task,
    adapt_limit,
    adapt_share,
    adaptations,
    changed,
    deployments,
    groups,
    knobs_of,
    levels,
    planned_trials,
    split_of,
    tasks,
    valid,
)
from netgain.trials.tuning import Values, is_number, search

WRITING = (Role.SYNTHETIC, Role.TEACHER, Role.SELF_IMPROVING)
SAMPLE = 16  # problems whose texts are measured
LARGEST_SPLIT = 0.95  # that widening may come to
SIMULATED = 6  # tunings over which a plan takes the mean
TURN = 5.0  # tokens that a chat template puts around a turn; as many again for its opening, and for the answer's


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Typical lengths in tokens, and how many questions a problem has; ``how`` says where they are from.

    ``question``, ``reading``, ``asking`` and ``control`` are whole prompts: of a question, of one with its passage, of
    an edit, and of a control question, of which there are ``controls`` (None: of two kinds as many as the trial says).
    ``prompts`` is how many prompts a problem's questions take (None: one each) and ``control_prompts`` how many a
    control takes: several where a question has parts or is put in views. ``longest`` is how long an answer may be,
    ``text`` that of the text whose likelihood is measured.
    """

    passage: float = 180.0
    question: float = 40.0
    answer: float = 8.0
    edit: float = 150.0
    questions: float = 5.0
    reading: float = 220.0
    asking: float = 220.0
    longest: float = 16.0
    control: float = 220.0
    controls: float | None = None
    prompts: float | None = None
    control_prompts: float = 1.0
    text: float = 0.0
    how: str = "typical of SQuAD"

    @property
    def asked(self) -> float:
        """How many prompts the questions of a problem take."""
        return self.questions if self.prompts is None else self.prompts


def measured(
    domain: Domain, prompts: Prompts, spec: TrialSpec, counter: TokenCounter, text: Sequence[str] = ()
) -> Lengths:
    """The lengths of a domain's own texts, over the first problems of the test, and of the exam's ``text``."""
    of_text = counter
    counter = counter if counter.exact else EstimatedTokens(domain.characters_per_token)
    problems = domain.problems("test", min(SAMPLE, spec.problems.test), spec.seed)
    form = next(iter(prompts.formats.values()), None)
    questions = [question for problem in problems for question in problem.questions]
    passage = _mean(counter.count([problem.material.text for problem in problems]), 1.0)
    controls = domain.controls(spec.exam.controls, spec.seed) if spec.exam.controls else ()
    put = [(text, one.material) for one in problems for question in one.questions for text in _put(domain, question)]
    shown = [
        prompts.ask(text, () if one.passage is None else (one.passage,))
        for one in controls
        for text in _put(domain, one)
    ]
    edits = [] if form is None else [form.prompt(problem.material) for problem in problems]
    answers = [part.answers[0] for question in questions for part in question.asked]
    return Lengths(
        passage=passage,
        question=_prompts([prompts.ask(text) for text, _ in put], counter),
        reading=_prompts([prompts.ask(text, [material]) for text, material in put], counter),
        asking=_prompts(edits, counter) if edits else passage + 40,
        answer=_mean(counter.count(answers), 1.0) + 1,
        edit=min(float(form.max_new_tokens), 300.0) if form else 150.0,
        questions=len(questions) / len(problems),
        longest=float(prompts.max_new_tokens),
        control=_prompts(shown, counter) if shown else 1.0,
        controls=float(len(controls)),
        prompts=len(put) / len(problems),
        control_prompts=len(shown) / len(controls) if controls else 1.0,
        text=float(sum(of_text.count(text))),
        how=f"those of {type(domain).__name__}, {counter.how}",
    )


def _put(domain: Domain, question: Question) -> list[str]:
    """The texts in which a question is put to a model: each part in every view."""
    few_shot = domain.few_shot
    if few_shot is None:
        return [part.text for part in question.asked]
    return [view.text for part in question.asked for view in few_shot.views(part)]


def _prompts(prompts: Sequence[Prompt], counter: TokenCounter) -> float:
    """The mean length of prompts, with about as much around each turn of a conversation as templates put there."""
    turns = [0 if isinstance(prompt, str) else len(prompt) + 2 for prompt in prompts]
    counted = counter.count([text_of(prompt) for prompt in prompts])
    return _mean([count + TURN * extra for count, extra in zip(counted, turns, strict=True)], 1.0)


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


def _guess(draws: np.random.Generator) -> Callable[[Values], float]:
    return lambda _: float(draws.random())


def _courses(trial: Trial, task: Task, most: bool) -> list[tuple[list[Settings], Settings]]:
    """Ways in which a task's tuning may go: the settings that are tried, and those that it ends with."""
    arm, tuning = trial.arms[task.arm], trial.spec.tuning
    knobs = knobs_of(arm, replace(task, stage="tune")) if tuning.trials else {}
    if not knobs:
        return [([arm.settings], arm.settings)]
    if most:
        wider = tuning.widen * sum(all(map(is_number, values)) for values in knobs.values())
        splits = [*knobs.get(SPLIT, ()), *([LARGEST_SPLIT] if tuning.widen else [])] if SPLIT in knobs else []
        ends = [arm.settings, *(changed(arm.settings, {SPLIT: split}) for split in splits)]
        return [([end] * (planned_trials(trial, task) + wider), end) for end in ends]
    given = {name: value for name, value in arm.settings.model_dump().items() if name in knobs}
    courses = []
    for number in range(SIMULATED):
        draws = stream(0, "plan", task.domain, task.arm, str(number))
        found = search(knobs, given, tuning.trials, tuning.widen, partial(valid, arm.settings), _guess(draws))
        courses.append(([changed(arm.settings, one) for one, _ in found.tried], changed(arm.settings, found.values)))
    return courses


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
            if not problems:
                return {Purpose.TUNE: Cost.zero()}
            trials = (
                problems * (self._adapted(one, 1.0) + self._exam(one)) + self._invested(one, 1.0) for one in tried
            )
            return {Purpose.TUNE: total(trials)}
        costs: dict[Purpose, Cost] = {}
        at = levels(spec, task)
        for level in at:
            for purpose, cost in self._used_up(chosen, adapt_share(method, chosen) * level).items():
                costs[purpose] = costs.get(purpose, Cost.zero()) + spec.problems.test * cost
        if method.learns:
            costs[Purpose.LEARN] = total(self._invested(chosen, level) for level in at)
        exams = spec.problems.test * len(at) * self._exam(chosen)
        beside = self._beside(chosen) + self._drawn(chosen) if task.deployments is None else Cost.zero()
        costs[Purpose.EVALUATE] = exams + beside
        return costs

    def _adapted(self, settings: Settings, level: float) -> Cost:
        share = adapt_share(self.trial.arms[self.task.arm].method, settings)
        return total(self._used_up(settings, share * level).values())

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
        if isinstance(settings, ScriptSettings):
            return {Purpose.ADAPT: Cost(**{currency.value: limit})}  # what else it takes, and how long, nobody knows
        written = Cost.zero()
        if role in WRITING:
            edits = (settings.edits if isinstance(settings, SyntheticSettings) else 1) * max(1.0, level)
            once = self._generated(lengths.asking, lengths.edit)
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
        return self.lengths.asked * self._answered(self._prompt, settings)

    @property
    def _prompt(self) -> float:
        """How long the prompt of a question is for this arm."""
        reads = self.trial.arms[self.task.arm].method.role is Role.IN_CONTEXT
        return self.lengths.reading if reads else self.lengths.question

    def _drawn(self, settings: Settings) -> Cost:
        """The answers that are drawn for coverage, at the levels where they are."""
        spec = self.trial.spec
        if spec.exam.coverage is None:
            return Cost.zero()
        examined = spec.problems.test * sum(level in spec.budget.ladder for level in spec.exam.at)
        answers = examined * spec.exam.coverage.samples * self.lengths.questions
        return answers * self._answered(self._prompt, settings)

    def _beside(self, settings: Settings) -> Cost:
        """Controls, drift and text after each adaptation at the levels where they are asked, and the stream's exams."""
        spec, lengths = self.trial.spec, self.lengths
        if self.trial.arms[self.task.arm].method.role is Role.IN_CONTEXT:
            return Cost.zero()  # nothing of its weights has changed: it is asked once
        examined = groups(spec, spec.problems.test) * sum(level in spec.budget.ladder for level in spec.exam.at)
        answer, control = (self._answered(prompt, settings) for prompt in (lengths.question, lengths.control))
        score = scoring_estimate(self.shape, round(lengths.question), max(1, round(lengths.answer)))
        measured = lengths.text > 0 and self.trial.arms[self.task.arm].method.role is not Role.FROZEN
        text = scoring_estimate(self.shape, 1, max(1, round(lengths.text))) * float(measured)
        score, text = (self.pace.reading(one) if self.pace else one for one in (score, text))
        stream = spec.exam.stream * (spec.exam.stream + 1) * lengths.asked
        controls = 2 * spec.exam.controls if lengths.controls is None else lengths.controls
        return (
            examined * (controls * lengths.control_prompts * control + spec.exam.drift * score + text) + stream * answer
        )

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
    """How many answers of a task are put to the judge; in tuning and streams only where its verdicts decide."""
    spec = trial.spec
    decides = spec.grade == "judge"
    if task.stage == "tune":
        return adaptations(trial, task) * spec.problems.passages * questions if decides else 0.0
    asked = spec.problems.test * len(levels(spec, task)) * questions + 2 * PLANTED
    if task.deployments is not None:
        return asked
    examined = sum(level in spec.budget.ladder for level in spec.exam.at)
    controls = groups(spec, spec.problems.test) * examined * 2 * spec.exam.controls
    stream = spec.exam.stream * (spec.exam.stream + 1) * questions if decides else 0.0
    return asked + controls + stream


def _verdict(judge: ModelShape | TokenPrices, prompt: int, pace: Pace) -> Cost:
    if isinstance(judge, ModelShape):
        return pace.writing(generation_estimate(judge, prompt, MAX_NEW_TOKENS), generation_estimate(judge, prompt, 1))
    return judge.cost(Part(Work(positions=prompt, real=prompt, generated=MAX_NEW_TOKENS)))
