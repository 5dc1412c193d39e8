"""Fitting: train on texts until the budget is used. A budget is a promise on both sides.

The number of optimizer steps is the largest whose quote fits what may be spent; epochs repeat as needed. What is then
left is less than one step, and one last step on the beginning of the next sequence uses it: the learning rate has
decayed to almost nothing by then, so the method stays the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from math import ceil, isfinite
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field

from netgain.domains.few_shot import Lesson
from netgain.domains.problem import Prompt
from netgain.engine.jobs import InnerLoopJob, Schedule
from netgain.exam.exam import Answerer
from netgain.methods.method import LATER, Desk, Learning, Settings
from netgain.model.metered import Model, Tuned
from netgain.model.program import Steps, ask
from netgain.model.requests import Merge, Result, Train, Trained, TrainFull
from netgain.records.cost import Currency, Purpose
from netgain.records.learning import ChosenTraining

EPOCHS = 10  # without a limit to the budget: SEAL's inner loop
ROUNDING = 1e-9  # sums of quotes and of charges are added up in different orders
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
Training = Train | TrainFull
Trainable = Prompt | Lesson  # a text, a conversation that ends in what the model is to say, or a lesson of examples
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1, le=100_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]


class Inner(Settings):
    """How a method trains: SEAL's inner loop by default (its ``query_server.sh``).

    ``max_epochs`` None trains until the budget is used. ``max_length`` cuts longer sequences, in tokens. ``loss`` is on
    all tokens of a sequence, or on those of the answer alone where it has one: a question or a prompt before it.
    ``schedule`` and ``warmup_steps`` are those of the learning rate.
    """

    kind: Literal["lora", "full"] = "lora"
    rank: Positive = 32
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 64.0
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = ("q_proj", "v_proj")
    learning_rate: Rate = 1e-3
    batch_size: Positive = 1
    max_epochs: Positive | None = None
    max_length: Annotated[int, Field(ge=2)] = 2048
    loss: Annotated[Literal["all", "answers"], LATER] = "all"
    schedule: Annotated[Schedule, LATER] = "linear"
    warmup_steps: Annotated[int, Field(ge=0, le=100_000), LATER] = 0

    search: ClassVar[dict[str, tuple[Any, ...]]] = {"learning_rate": (1e-3, 3e-4, 2e-3, 5e-4, 1e-4)}


class Outer(Inner, Learning):
    """How a method that learns trains in ``learn``: SEAL's outer fine-tuning by default (its ``train_SFT.sh``).

    ``outer_epochs`` None trains until the investment (or a round's part of it) is used.
    """

    outer_rank: Positive = 64
    outer_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 128.0
    outer_modules: Annotated[tuple[str, ...], Field(min_length=1)] = SEVEN
    outer_epochs: Positive | None = 2
    outer_batch: Positive = 10
    outer_learning_rate: Rate = 3e-4
    outer_schedule: Annotated[Schedule, LATER] = "linear"

    def outer(self) -> Inner:
        """The settings of the outer fine-tuning, as those of any training."""
        return Inner(
            rank=self.outer_rank,
            alpha=self.outer_alpha,
            target_modules=self.outer_modules,
            learning_rate=self.outer_learning_rate,
            batch_size=self.outer_batch,
            max_epochs=self.outer_epochs,
            max_length=self.max_length,
            schedule=self.outer_schedule,
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What an edit is trained as. ``settings`` None: as the arm trains; ``chosen`` is for the record.

    Without ``texts`` there is nothing to train on, such as of an edit that was refused.
    """

    texts: Sequence[Trainable]
    settings: Inner | None = None
    chosen: ChosenTraining | None = None


# -- fit: one training that fills its budget


def fit(
    desk: Desk,
    texts: Sequence[Trainable],
    settings: Inner,
    *,
    share: float = 1.0,
    spare: float = 0.0,
    purpose: Purpose = Purpose.ADAPT,
) -> Steps[Answerer]:
    """Train on these texts with ``share`` of what is left, less ``spare``; return the model that then answers.

    ``share`` is 0 to 1, ``spare`` in the trial's currency. With nothing to train on, or less left than the smallest
    step takes, the model answers as it is. Raises ValueError where training fails.
    """
    answerer, _ = yield from fit_with_charges(desk, texts, settings, share=share, spare=spare, purpose=purpose)
    return answerer


def fit_with_charges(
    desk: Desk,
    texts: Sequence[Trainable],
    settings: Inner,
    *,
    share: float = 1.0,
    spare: float = 0.0,
    purpose: Purpose = Purpose.ADAPT,
) -> Steps[tuple[Answerer, tuple[int, ...]]]:
    """:func:`fit`, and the charges that paid for it: for a training that may later be discarded."""
    epochs = settings.max_epochs or EPOCHS
    request = _request(desk, job_of(desk, texts, settings, epochs=epochs), settings.kind, purpose)
    amounts = allowance(desk, share, spare)
    if amounts and request.job.sequences:
        request = filled(desk, request, amounts, settings.max_epochs)
    if not request.job.total_steps:
        return Answerer(model=desk.model), ()
    (result,) = yield from ask(desk.model, [request])
    product = result.get()
    if isinstance(product, Tuned):
        return Answerer(model=product.model or desk.model), result.charges
    return Answerer(model=desk.model, adapter=product.adapter), result.charges


def allowance(desk: Desk, share: float = 1.0, spare: float = 0.0) -> dict[Currency, float]:
    """What may be spent, in every currency that a budget limits: ``share`` of what is left.

    ``spare`` is taken off in the trial's own currency.
    """
    amounts = {name: share * left * (1 - ROUNDING) for name, left in desk.account.remaining().items()}
    if desk.currency in amounts:
        amounts[desk.currency] = max(0.0, amounts[desk.currency] - spare)
    return amounts


def filled(desk: Desk, request: Training, amounts: Mapping[Currency, float], most: int | None = None) -> Training:
    """The same training for as long as these amounts allow: whole steps, up to ``most`` epochs, then part of one."""
    request = with_job(request, epochs=most or epochs_within(desk, request, amounts))
    steps = desk.model.steps_within(request, amounts)
    cut = with_job(request, max_steps=steps)
    following = next(islice(request.job.steps(), steps, None), ())
    if not following or request.job.loss_masks is not None:
        return cut  # the beginning of a sequence is no answer to learn
    return _closed(desk, cut, request.job.sequences[following[0]], amounts)


def epochs_within(desk: Desk, request: Training, amounts: Mapping[Currency, float]) -> int:
    """More epochs than can be paid for, though not many more."""
    (once,) = desk.model.quote([with_job(request, epochs=1)])
    costs = ((once.amount(name), amount) for name, amount in amounts.items())
    most = min((amount / cost for cost, amount in costs if cost), default=float(EPOCHS))
    return ceil(most) + 1 if isfinite(most) else EPOCHS


def _closed(desk: Desk, request: Training, sequence: Sequence[int], amounts: Mapping[Currency, float]) -> Training:
    """With one last step on as much of the beginning of this sequence as the amounts still allow, by bisection."""
    low, high, best = 2, len(sequence), request
    while low <= high:
        middle = (low + high) // 2
        longer = with_job(request, closing=tuple(sequence[:middle]))
        quote = desk.model.quote([longer])[0]
        costs = [(quote.amount(name), amount) for name, amount in amounts.items()]
        if all(cost is not None and cost <= amount for cost, amount in costs):
            low, best = middle + 1, longer
        else:
            high = middle - 1
    return best


# -- jobs, and training several at once


def job_of(desk: Desk, texts: Sequence[Trainable], settings: Inner, *, epochs: int) -> InnerLoopJob:
    """The training of one adapter on these texts, named and seeded by the desk."""
    alone = settings.loss == "answers"
    pairs = [_ids(desk, text, settings.max_length, alone) for text in texts]
    pairs = [(whole, asked) for whole, asked in pairs if len(whole) > max(1, asked)]  # something is left to predict
    masks = [(False,) * asked + (True,) * (len(whole) - asked) for whole, asked in pairs] if alone else None
    return InnerLoopJob(
        key="/".join(desk.names),
        sequences=[whole for whole, _ in pairs],
        epochs=epochs,
        learning_rate=settings.learning_rate,
        seed=desk.draw("fit"),
        rank=settings.rank,
        alpha=settings.alpha,
        target_modules=settings.target_modules,
        batch_size=settings.batch_size,
        loss_masks=masks,
        schedule=settings.schedule,
        warmup_steps=settings.warmup_steps,
    )


def _ids(desk: Desk, text: Trainable, most: int, alone: bool) -> tuple[tuple[int, ...], int]:
    """A text's tokens, at most so many, and how many of them come before the answer where that ``alone`` is learnt; 0
    where it has none."""
    model = desk.model
    if isinstance(text, str):
        return model.tokenize(text)[:most], 0
    if isinstance(text, Lesson):
        prompt, answer = desk.prompts.ask(text.prompt), desk.prompts.said(text.answer)
    else:
        prompt, answer = text[:-1], text[-1].content
    whole = (*model.tokenize(prompt, answer=answer), *model.ends[:1])[:most]
    asked = model.tokenize(prompt) if alone else ()
    # where the last token of the prompt merges with the answer's first, what is predicted begins with both
    same = takewhile(lambda pair: pair[0] == pair[1], zip(asked, whole, strict=False))
    return whole, sum(1 for _ in same)


def train(desk: Desk, jobs: Sequence[InnerLoopJob], purpose: Purpose = Purpose.ADAPT) -> Steps[list[Result[Trained]]]:
    """Adapters for these jobs in their order, as one batch. A job that fails has a failure as its result."""
    account = desk.pay(purpose)
    return (yield from ask(desk.model, [Train(account=account, job=job) for job in jobs]))


def _request(desk: Desk, job: InnerLoopJob, kind: str, purpose: Purpose) -> Training:
    account = desk.pay(purpose)
    if kind == "lora":
        return Train(account=account, job=job)
    return TrainFull(account=account, job=job)


def with_job(request: Training, **changes: Any) -> Training:
    """The same request with some of its job's settings changed."""
    return replace(request, job=replace(request.job, **changes))


# -- merging what was learned


def merged(desk: Desk, answerer: Answerer) -> Steps[Model]:
    """The model with the answerer's adapter merged into its weights; as it is without one."""
    if answerer.adapter is None:
        return answerer.model
    request = Merge(account=desk.pay(Purpose.LEARN), adapter=answerer.adapter)
    (result,) = yield from ask(answerer.model, [request])
    model: Model = result.get()
    return model


def merge_quote(desk: Desk, settings: Inner) -> float:
    """An upper bound on merging an adapter of these settings before there is one, in the trial's currency.

    Merging takes ``2 r`` FLOPs for each adapted weight (r the rank): at most what one training step on ``r / 2`` tokens
    takes, which can be quoted.
    """
    (token, *_) = desk.model.tokenize("a")
    job = replace(job_of(desk, (), settings, epochs=1), sequences=[(token,) * (2 + settings.rank * 3 // 5)])
    return desk.bounds([Train(account=desk.pay(Purpose.LEARN), job=job)])[0]
