"""Propose: have a model write about material. What comes back empty or not at all is rejected, and stays paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import final

from netgain.domains.edits import sequences
from netgain.domains.problem import EditFormat, Material
from netgain.errors import InputError, nearest
from netgain.methods.method import Desk
from netgain.model.interface import Answered, Generate, Prompt, Result
from netgain.model.lockstep import Steps, ask
from netgain.records.purpose import Purpose

SHORTEST = 8  # tokens; below that nothing is asked for
REJECTED = "rejected: nothing that could be trained on"


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """A text that is wanted: about which material, how its answer is cut, and the prompt that is continued."""

    material: Material
    format: EditFormat
    prompt: Prompt


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A text that was written: ``raw`` as generated, ``texts`` to train on (at least one), ``charges`` that paid."""

    ask: Ask
    raw: str
    texts: tuple[str, ...]
    charges: tuple[int, ...]


def find_format(desk: Desk, name: str) -> EditFormat:
    """A way to ask, by its name; the domain's own choice where the name is empty. Raises InputError for another."""
    formats = desk.prompts.formats
    chosen = name or next(iter(formats), "")
    if chosen not in formats:
        raise InputError(f"format {name!r}", "is no way in which this domain asks for edits", nearest(name, formats))
    return formats[chosen]


def asks(materials: Sequence[Material], form: EditFormat, count: int) -> list[Ask]:
    """``count`` texts for each material: the first of every material, then the second, and so on."""
    return [Ask(material, form, form.prompt(material)) for _ in range(count) for material in materials]


def propose(
    desk: Desk,
    materials: Sequence[Material],
    form: EditFormat,
    count: int,
    *,
    temperature: float = 1.0,
    top_p: float = 0.95,
    purpose: Purpose = Purpose.PROPOSE,
    share: float = 0.5,
) -> Steps[list[Edit]]:
    """Up to ``count`` edits of each material, as many as ``share`` of what is left can pay for, by :func:`write`."""
    wanted = asks(materials, form, count)
    written = yield from write(desk, wanted, temperature=temperature, top_p=top_p, purpose=purpose, share=share)
    return [edit for edit in written if edit is not None]


def write(
    desk: Desk,
    wanted: Sequence[Ask],
    *,
    temperature: float = 1.0,
    top_p: float = 0.95,
    purpose: Purpose = Purpose.PROPOSE,
    share: float = 1.0,
) -> Steps[list[Edit | None]]:
    """What the model writes, in the order of what is wanted; None for what was rejected or could not be paid for.

    Where ``share`` of what is left does not pay for everything, the first of what is wanted is written, as much as is
    paid for; where not even one is, a shorter one. The last of these is noted in the journal.
    """
    requests = within(
        desk, [_request(desk, one, place, temperature, top_p, purpose) for place, one in enumerate(wanted)], share
    )
    results = yield from ask(desk.model, requests)
    found = [_edit(desk, one, result) for one, result in zip(wanted, results, strict=False)]
    rejected = [row for edit, result in zip(found, results, strict=True) if edit is None for row in result.charges]
    desk.account.book.discard(rejected, REJECTED)
    return [*found, *[None] * (len(wanted) - len(found))]


def _request(desk: Desk, one: Ask, place: int, temperature: float, top_p: float, purpose: Purpose) -> Generate:
    return Generate(
        account=desk.pay(purpose),
        prompt=one.prompt,
        max_new_tokens=one.format.max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        stop=one.format.stop,
        seed=desk.draw("write", str(place)),
    )


def within(desk: Desk, requests: Sequence[Generate], share: float = 1.0) -> list[Generate]:
    """The first of these requests that ``share`` of what is left pays for; a shorter one where it pays for none."""
    left = share * desk.left()
    if left == float("inf") or not requests:
        return list(requests)
    quotes = [quote.amount(desk.currency) or 0.0 for quote in desk.model.quote(requests)]
    count = sum(total <= left for total in accumulate(quotes))
    if count < len(requests):
        desk.note("not all could be asked for", {"wanted": len(requests), "paid for": count})
    return list(requests[:count]) or _shortened(desk, requests[0], left)


def _shortened(desk: Desk, request: Generate, left: float) -> list[Generate]:
    size = request.max_new_tokens // 2
    while size >= SHORTEST:
        shorter = replace(request, max_new_tokens=size)
        if (desk.model.quote([shorter])[0].amount(desk.currency) or 0.0) <= left:
            return [shorter]
        size //= 2
    return []


def _edit(desk: Desk, one: Ask, result: Result[Answered]) -> Edit | None:
    if result.failure is not None or result.product is None:
        return None
    raw = result.product.text
    texts = sequences(one.material, raw, one.format, desk.prompts)
    return Edit(one, raw, texts, result.charges) if texts else None
