"""Drift: how far an adaptation moved the model away from what it was, on text that has nothing to do with it.

The base model continues some prompts at temperature 1; the mean over its tokens of the difference of log-likelihoods
under the base and under the adapted model estimates KL(base || adapted) in nats a token. It may come out below 0 by
chance. Beside it stands how likely a text is to the adapted model, to be held against what it was to the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from netgain.domains.problem import Prompt
from netgain.errors import InputError
from netgain.exam.exam import Answerer, untouched
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import Generate, Score
from netgain.records.measurements import Ability

TEXT = "text"
WINDOW = 512  # tokens that are scored at once


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
        (prompt, answer.value.ids)
        for prompt, answer in zip(prompts, answers, strict=True)
        if answer.value is not None and answer.value.ids
    ]
    scores = yield from ask(model, [Score(account=account, prompt=p, continuation=ids) for p, ids in given])
    return tuple(
        BaseContinuation(prompt, ids, score.value.log_likelihood, score.value.tokens)
        for (prompt, ids), score in zip(given, scores, strict=True)
        if score.value is not None and score.value.tokens
    )


def paragraphs(path: Path) -> tuple[str, ...]:
    """The paragraphs of a file. Raises InputError where it cannot be read as UTF-8, and where it has none."""
    try:
        parts = path.read_text(encoding="utf-8-sig").split("\n\n")
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "give a file of text, or prose") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    found = tuple(" ".join(part.split()) for part in parts if part.strip())
    if not found:
        raise InputError(str(path), "holds no text", "give a few paragraphs, or prose")
    return found


def text_ability(answerer: Answerer, text: Sequence[str], account: Account) -> Steps[Ability | None]:
    """The negative log-likelihood of each paragraph by itself, in nats a token over all of them (its exponential is the
    perplexity); None where a paragraph could not be scored, for without it the mean would be of another text."""
    requests = [part for paragraph in text for part in windows(answerer, paragraph, account)]
    results = yield from ask(answerer.model, requests)
    scores = [result.value for result in results if result.value is not None]
    tokens = sum(score.tokens for score in scores)
    if len(scores) < len(requests) or not tokens:
        return None
    return Ability(name=TEXT, value=-sum(s.log_likelihood for s in scores) / tokens, count=tokens, better="lower")


def windows(answerer: Answerer, text: str, account: Account) -> list[Score]:
    """A text as requests for its log-likelihood: so many tokens at a time, every token scored once.

    The first token of each window is scored behind the token that begins a text, as lm-eval does with the first of all.
    """
    tokens = answerer.model.tokenize(text, special=False)
    parts = [tokens[start : start + WINDOW] for start in range(0, len(tokens), WINDOW)]
    return [Score(account=account, prompt="", continuation=part, adapter=answerer.adapter) for part in parts]


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
        (one, result.value.log_likelihood)
        for one, result in zip(drawn, results, strict=True)
        if result.value is not None
    ]
    tokens = sum(one.tokens for one, _ in pairs)
    return sum(one.log_likelihood - now for one, now in pairs) / tokens if tokens else None
