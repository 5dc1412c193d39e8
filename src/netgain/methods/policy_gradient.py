"""Policy gradients: a model learns from what it drew by how much better or worse than its group it was rewarded.

A step of an outer loop, for groups of texts that were drawn for one prompt each (edits of a passage, answers to a
question), by the policy itself:

1. score     every text's tokens under the policy that drew them and, for the divergence, under the model as it began
2. update    one adapter, trained on from step to step with its optimizer, several times over the batch
3. merge     into a copy of the weights as they began: what the next step draws, rewards and is examined with

``grpo``  advantages are rewards less their group's mean, by its deviation; the divergence is part of the loss (Shao et
          al. 2024, arXiv 2402.03300)
``rloo``  rewards less the mean of the others; a whole text is one action; the divergence is taken off the reward
          (Ahmadian et al. 2024, arXiv 2402.14740)
``ppo``   rewards less their group's mean, over all tokens alike, the divergence taken off the reward (Schulman et al.
          2017, arXiv 1707.06347); with ``baseline: value`` less what a head learns to expect at every token

The losses are ``engine/policy_loss.py``'s, named as TRL names them. SEAL's authors tried GRPO and PPO, "found the
training to be unstable" and gave neither settings nor curves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Annotated, Literal, Self, final

import numpy as np
from pydantic import Field, model_validator

from netgain.domains.problem import Problem, Prompt
from netgain.engine.jobs import InnerLoopJob, PolicyLoss
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.methods.fitting import ROUNDING, Inner, Outer, Positive, job_of, merge_quote, merged
from netgain.methods.method import LATER, Desk
from netgain.methods.policy import UNLIMITED
from netgain.methods.value_head import ValueHead, estimates, fitting_cost, prediction_cost, whitened
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Adapter, Result, Score, Scored, Train, Trained
from netgain.records.cost import Currency, Purpose
from netgain.records.learning import PolicyStep
from netgain.streams import stream

SMALLEST_GROUP = 2  # texts, without which there is nothing to compare
FAR = 50.0  # a token that much likelier before: exp would not end
FLAT = 1e-9  # rewards of a group that lie closer together say nothing
NOTE, KEPT = "policy step", "policy kept"  # the words under which the journal is told of steps
Advantage = Literal["group", "leave-one-out", "mean"]
Penalty = Literal["loss", "reward"]
Ratio = Literal["token", "sequence", "product"]
Loss = Literal["grpo", "bnpo", "dr_grpo"]


class GradientSettings(Outer):
    """How a policy is trained by its rewards; the ``outer_`` settings are those of its adapter and optimizer.

    ``outer_epochs`` is how often a batch is gone through, ``outer_batch`` how many texts an update takes, at a constant
    ``outer_learning_rate``. ``advantage`` is what of a reward counts: less its ``group``'s mean, by the deviation; less
    the mean of the others (``leave-one-out``); less the ``mean``. ``kl`` weighs the divergence from the model as it
    began, in the ``penalty`` of the loss or of the reward. ``clip``, ``clip_high``, ``ratio`` and ``policy_loss`` are
    the loss's (``engine/jobs.py``, ``PolicyLoss``).

    With ``baseline: value`` every token has an advantage of its own, over what a head on the last hidden state predicts
    (``value_head.py``), instead of ``advantage``: estimates decay by ``gae``, and the head is fitted for
    ``value_epochs`` passes over a batch at ``value_learning_rate``, its loss clipped by ``value_clip``.

    Every ``check_every`` steps (0: never), and before the first and after the last, the policy is examined on
    ``held_out`` of the trial's development problems, paid under ``tune``; where it has none, on as many training
    problems, which it then does not learn from. ``checkpoint`` says which of these states is kept: the ``end``, or the
    ``best`` on them.
    """

    outer_rank: Positive = 32
    outer_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 64.0
    outer_batch: Positive = 64
    outer_learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1e-4
    advantage: Advantage = "group"
    penalty: Penalty = "loss"
    kl: Annotated[float, Field(ge=0, le=100)] = 0.04
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.2
    clip_high: Annotated[float, Field(ge=0, le=100)] | None = None
    ratio: Ratio = "token"
    policy_loss: Loss = "grpo"
    baseline: Annotated[Literal["group", "value"], LATER] = "group"
    gae: Annotated[float, Field(ge=0, le=1), LATER] = 0.95
    value_learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), LATER] = 1e-3
    value_clip: Annotated[float, Field(gt=0, le=100), LATER] = 0.2
    value_epochs: Annotated[Positive, LATER] = 4
    check_every: Annotated[int, Field(ge=0, le=10_000)] = 0
    held_out: Positive = 4
    checkpoint: Literal["end", "best"] = "end"

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.outer_epochs is None:
            raise ValueError("outer_epochs says how often a batch is gone through: write a number, 1 for on-policy")
        if self.checkpoint == "best" and not self.check_every:
            raise ValueError("checkpoint: best chooses among checks; write check_every as well")
        if self.baseline == "value" and self.ratio != "token":
            raise ValueError(
                f"baseline: value knows the worth of every token, and ratio: {self.ratio} is of all at once"
            )
        return self


@final
@dataclass(slots=True, eq=False)
class Group:
    """Texts that were drawn for one prompt: their tokens, and their rewards, as many; ``invalid`` of them were no good.

    Texts whose reward is not known are not in it.
    """

    prompt: Prompt
    ids: list[tuple[int, ...]]
    rewards: list[float]
    invalid: int = 0


def apart(desk: Desk, problems: Sequence[Problem], settings: GradientSettings) -> tuple[list[Problem], list[Problem]]:
    """What is learned from, and what the policy is examined on between steps: nothing is in both."""
    if not settings.check_every:
        return [problems[index] for index in _order(desk, len(problems))], []
    if desk.development:
        chosen = sorted(_order(desk, len(desk.development))[: settings.held_out])
        return list(problems), [desk.development[index] for index in chosen]
    order, count = _order(desk, len(problems)), min(settings.held_out, len(problems) - 1)
    return [problems[index] for index in order[count:]], [problems[index] for index in order[:count]]


def _order(desk: Desk, count: int) -> list[int]:
    return [int(index) for index in stream(desk.draw("held out"), "order").permutation(count)]


def advantages_of(rewards: Sequence[float], way: Advantage) -> list[float]:
    """What each text of a group is learnt by; all 0 where there is nothing to compare. TRL's normalisations.

    By ``group`` the deviation has one less in the denominator, and 1e-4 is added to it.
    """
    given = np.array(rewards, dtype=np.float64)
    if len(given) < 2 or float(np.ptp(given)) < FLAT:
        return [0.0] * len(given)
    if way == "leave-one-out":
        return [float(x) for x in given - (given.sum() - given) / (len(given) - 1)]
    centred = given - given.mean()
    return [float(x) for x in (centred / (given.std(ddof=1) + 1e-4) if way == "group" else centred)]


@final
@dataclass(frozen=True, slots=True)
class _Sample:
    """A text of a batch, as tokens below its prompt, which group it is of, and its reward.

    ``old`` and ``began`` are its tokens' log-probabilities under the policy that drew it and the model as it began,
    ``states`` the last hidden states that it was drawn from, where the baseline is read off them.
    """

    prompt: Prompt
    asked: tuple[int, ...]
    ids: tuple[int, ...]
    group: int
    reward: float
    old: tuple[float, ...] = ()
    began: tuple[float, ...] = ()
    states: np.ndarray | None = None


@final
class GradientPolicy:
    """A policy under way: its adapter on the model as it began, and what each step has shown.

    ``curve`` holds the steps so far, ``best`` the highest accuracy on problems held out, with its step and model. A
    training that fails leaves the policy as it is.
    """

    def __init__(self, settings: GradientSettings) -> None:
        self.settings = settings
        self.curve: list[PolicyStep] = []
        self.best: tuple[float, int, Model] | None = None
        self._base: Model | None = None
        self._adapter: Adapter | None = None
        rate, passes = settings.value_learning_rate, settings.value_epochs
        self._head = ValueHead(learning_rate=rate, clip=settings.value_clip, passes=passes)
        self._learned = settings.baseline == "value"

    @property
    def outer(self) -> Inner:
        """The settings of its training."""
        return at_constant_rate(self.settings.outer())

    def cost(self, desk: Desk, groups: Sequence[Group]) -> float:
        """An upper bound on a step with these groups, whatever their rewards, in the trial's currency."""
        samples = list(self._samples(desk, groups))
        if not samples:
            return 0.0
        base = self._base or desk.model
        train = Train(account=desk.pay(Purpose.LEARN), job=self._job(desk, samples), start=self._adapter)
        scores = desk.bounds(self._scores(desk, samples))
        bounds = [*scores, *(scores if self._distinct(desk) else ()), *desk.bounds([train], base)]
        whole: float = sum(bounds) + merge_quote(desk, self.outer)
        return whole + self._head_cost(desk, sum(len(one.ids) for one in samples))

    def _head_cost(self, desk: Desk, tokens: int) -> float:
        """What reading the baseline off so many tokens and fitting it takes. Raises InputError where it has no head."""
        if not self._learned:
            return 0.0
        if desk.model.shape is None:
            problem = "what this model's last hidden state holds is not known"
            raise InputError("baseline 'value'", problem, "write baseline: group")
        width = desk.model.shape.hidden
        costs = (prediction_cost(tokens, width), fitting_cost(tokens, width, self.settings.value_epochs))
        return sum(cost.amount(desk.currency) or 0.0 for cost in costs)

    def step(self, desk: Desk, groups: Sequence[Group], reserved: float) -> Steps[Model]:
        """Learn from these groups, with ``reserved`` left over; the model with the policy merged.

        ``desk.model`` is the policy that drew them; the first of all is the model as it began.
        """
        base = self._base = self._base or desk.model
        samples = list(self._samples(desk, groups))
        old = yield from ask(desk.model, self._scores(desk, samples, hidden=self._learned))
        began = (yield from ask(base, self._scores(desk, samples))) if self._distinct(desk) else old
        scored = zip(samples, old, began, strict=True)
        sound = [
            replace(one, old=a, began=b, states=x.value.hidden if x.value else None)
            for one, x, y in scored
            if (a := _each(x)) and (b := _each(y))
        ]
        trained = yield from self._update(desk, len(groups), sound, reserved)
        entropies = [(one.value.entropy or 0.0, one.value.tokens) for one in old if one.value]
        self.curve.append(self._shown(desk, groups, sound, entropies, trained))
        if trained is None:
            return desk.model
        self._adapter = trained.adapter
        return (yield from merged(desk.at(model=base), Answerer(model=base, adapter=self._adapter)))

    def _update(self, desk: Desk, groups: int, samples: Sequence[_Sample], reserved: float) -> Steps[Trained | None]:
        """The adapter after this batch; None where there is none, no money for it, or it failed. A batch without any
        spread is gone through like another: the divergence and the optimizer's momentum are still there."""
        base = self._base or desk.model
        advantages = self._advantages(groups, samples)
        if not samples:
            desk.note("the policy stays as it is", {"texts": 0})
            return None
        each = self._by_token(desk, samples) if self._learned else []
        job = self._job(desk, samples, advantages, each)
        request = Train(account=desk.pay(Purpose.LEARN), job=job, start=self._adapter)
        money = desk.left() - reserved - merge_quote(desk, self.outer)
        if money < UNLIMITED:
            amounts = {desk.currency: max(0.0, money) * (1 - ROUNDING)}
            request = replace(request, job=replace(job, max_steps=base.steps_within(request, amounts)))
        if not request.job.total_steps:
            desk.note("the policy stays as it is", {"texts": len(samples), "paid for": 0})
            return None
        (result,) = yield from ask(base, [request])
        if result.failure is not None:
            desk.note("the policy stays as it is", {"failed": str(result.failure)})
            return None
        trained: Trained = result.get()
        return trained

    # -- what a batch is

    def _samples(self, desk: Desk, groups: Sequence[Group]) -> Iterator[_Sample]:
        for number, group in enumerate(groups):
            asked = desk.model.tokenize(group.prompt)
            room = max(0, self.settings.max_length - len(asked))
            for ids, reward in zip(group.ids, group.rewards, strict=True):
                if ids[:room]:
                    yield _Sample(group.prompt, asked, ids[:room], number, reward)

    def _scores(self, desk: Desk, samples: Sequence[_Sample], *, hidden: bool = False) -> list[Score]:
        account = desk.pay(Purpose.LEARN)
        return [Score(account=account, prompt=one.prompt, continuation=one.ids, hidden=hidden) for one in samples]

    def _distinct(self, desk: Desk) -> bool:
        """Whether the divergence is wanted, and from other weights than drew."""
        return self.settings.kl > 0 and self._base is not None and self._base is not desk.model

    def _advantages(self, groups: int, samples: Sequence[_Sample]) -> list[float]:
        settings, found = self.settings, list[float]()
        for number in range(groups):
            own = [one for one in samples if one.group == number]
            taken = settings.kl if settings.penalty == "reward" else 0.0
            found += advantages_of([x.reward - taken * (sum(x.old) - sum(x.began)) for x in own], settings.advantage)
        return found

    def _by_token(self, desk: Desk, samples: Sequence[_Sample]) -> list[list[float]]:
        """The advantage of every token over the learned baseline, which is fitted to what they came to."""
        taken = self.settings.kl if self.settings.penalty == "reward" else 0.0
        rewards = []
        for one in samples:
            given = -taken * (np.array(one.old) - np.array(one.began))
            given[-1] += one.reward
            rewards.append(given)
        account, states = desk.pay(Purpose.LEARN), [one.states for one in samples if one.states is not None]
        if len(states) < len(samples):
            raise InputError("baseline 'value'", "this model does not tell its hidden states", "write baseline: group")
        values = self._head.values(account, states)
        advantages = estimates(rewards, values, self.settings.gae)
        returns = [advantage + value for advantage, value in zip(advantages, values, strict=True)]
        self._head.fit(account, states, returns, values)
        return [one.tolist() for one in whitened(advantages)]

    def _job(
        self,
        desk: Desk,
        samples: Sequence[_Sample],
        advantages: Sequence[float] = (),
        each: Sequence[Sequence[float]] = (),
    ) -> InnerLoopJob:
        """The update; without advantages a job that costs as much."""
        settings, inner = self.settings, self.outer
        in_loss = settings.kl if settings.penalty == "loss" and advantages else 0.0
        loss = PolicyLoss(
            advantages=list(advantages) or [0.0] * len(samples),
            each=each,
            old=[one.old for one in samples] if advantages else (),
            reference=[one.began for one in samples] if in_loss else (),
            clip=settings.clip,
            clip_high=settings.clip_high,
            kl=in_loss,
            ratio=settings.ratio,
            loss=settings.policy_loss,
            length=max((len(one.ids) for one in samples), default=1),
        )
        return replace(
            job_of(desk.at("policy"), (), inner, epochs=inner.max_epochs or 1),
            sequences=[one.asked + one.ids for one in samples],
            loss_masks=[(False,) * len(one.asked) + (True,) * len(one.ids) for one in samples],
            policy=loss,
            resumable=True,
        )

    # -- what it has shown

    def _shown(
        self,
        desk: Desk,
        groups: Sequence[Group],
        samples: Sequence[_Sample],
        entropies: Sequence[tuple[float, int]],
        trained: Trained | None,
    ) -> PolicyStep:
        away = [first - after for one in samples for first, after in zip(one.began, one.old, strict=True)]
        spreads = [float(np.std(group.rewards)) for group in groups if group.rewards]
        return PolicyStep(
            step=sum(one.step > 0 for one in self.curve) + 1,
            groups=len(groups),
            texts=sum(len(group.ids) for group in groups),
            invalid=sum(group.invalid for group in groups),
            reward=_mean([reward for group in groups for reward in group.rewards]),
            spread=_mean(spreads),
            flat=_mean([float(spread < FLAT) for spread in spreads]),
            kl=_mean([exp(min(x, FAR)) - x - 1 for x in away]) if self.settings.kl else None,
            entropy=_mean([entropy for entropy, tokens in entropies for _ in range(tokens)]),
            length=_mean([float(len(one.ids)) for one in samples]),
            clipped=_mean(trained.clipped) if trained is not None else None,
            updates=0 if trained is None else len(trained.losses),
        )

    def report(self, desk: Desk, model: Model, development: float | None = None) -> None:
        """Tell the journal of the latest step, or of the beginning, with its accuracy on problems held out."""
        latest = self.curve.pop() if self.curve else PolicyStep(step=0)
        spent = {"tokens": desk.account.spent(Currency.TOKENS_PADDED), "flops": desk.account.spent(Currency.FLOPS)}
        latest = latest.model_copy(update={"development": development, **spent})
        self.curve.append(latest)
        desk.note(NOTE, latest.model_dump(mode="json", exclude_defaults=True))
        if development is not None and (self.best is None or development > self.best[0]):
            self.best = (development, latest.step, model)

    def kept(self, desk: Desk, end: Model) -> Model:
        """The model that the settings choose: where the policy ended, or its best on problems held out."""
        steps = [one.step for one in self.curve]
        chosen = self.best if self.settings.checkpoint == "best" else None
        step, model = (steps[-1] if steps else 0, end) if chosen is None else chosen[1:]
        desk.note(KEPT, {"step": step})
        return model


def at_constant_rate(outer: Inner) -> Inner:
    """An outer training at a constant rate: steps go on from one another, so none may end in a rate of 0."""
    return outer.model_copy(update={"schedule": "constant", "warmup_steps": 0})


def _each(result: Result[Scored]) -> tuple[float, ...]:
    """The log-probability of every token; none where it is not known."""
    return result.value.each if result.value else ()


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
