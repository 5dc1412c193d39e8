"""Drift: how far an adaptation moved the model away from what it was, on text that has nothing to do with it.

The base model continues some prompts at temperature 1; the mean over its tokens of the difference of log-likelihoods
under the base and under the adapted model estimates KL(base || adapted) in nats a token. It may come out below 0 by
chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netgain.domains.problem import Prompt
from netgain.exam.exam import Answerer, untouched
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Generate, Score


@final
@dataclass(frozen=True, slots=True)
class BaseContinuation:
    """What the base model went on with, and how likely that was to itself."""

    prompt: Prompt
    ids: tuple[int, ...]
    log_likelihood: float
    tokens: int


def sample(
    model: Model, prompts: Sequence[Prompt], account: Account, *, max_new_tokens: int, seed: int
) -> Steps[tuple[BaseContinuation, ...]]:
    """One continuation of each prompt by the base model, scored under it; those that fail are left out."""
    drawn = [
        Generate(account=account, prompt=prompt, max_new_tokens=max_new_tokens, temperature=1.0, seed=seed + number)
        for number, prompt in enumerate(prompts)
    ]
    answers = yield from ask(model, drawn)
    given = [
        (prompt, answer.product.ids)
        for prompt, answer in zip(prompts, answers, strict=True)
        if answer.failure is None and answer.product is not None and answer.product.ids
    ]
    scores = yield from ask(model, [Score(account=account, prompt=p, continuation=ids) for p, ids in given])
    return tuple(
        BaseContinuation(prompt, ids, score.product.log_likelihood, score.product.tokens)
        for (prompt, ids), score in zip(given, scores, strict=True)
        if score.failure is None and score.product is not None and score.product.tokens
    )


def divergence(
    answerer: Answerer, drawn: Sequence[BaseContinuation], account: Account, base: Model
) -> Steps[float | None]:
    """KL(base || adapted) in nats a token; None where nothing could be scored, 0 where the weights are the base's."""
    if untouched(answerer, base):
        return 0.0 if drawn else None
    requests = [
        Score(account=account, prompt=one.prompt, continuation=one.ids, adapter=answerer.adapter) for one in drawn
    ]
    results = yield from ask(answerer.model, requests)
    pairs = [
        (one, result.product.log_likelihood)
        for one, result in zip(drawn, results, strict=True)
        if result.failure is None and result.product is not None
    ]
    tokens = sum(one.tokens for one, _ in pairs)
    return sum(one.log_likelihood - now for one, now in pairs) / tokens if tokens else None
