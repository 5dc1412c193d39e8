"""Writing: have a model write about material. Text that cannot be trained on is rejected, and stays paid for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, cycle, islice
from typing import Annotated, Any, final

from netgain.domains.edits import begun, sequences
from netgain.domains.problem import EditFormat, Material, Prompt
from netgain.engine.jobs import Form
from netgain.errors import InputError, nearest
from netgain.methods.fitting import Inner
from netgain.methods.method import LATER, Desk
from netgain.methods.paraphrase import sentences
from netgain.model.program import Steps, ask
from netgain.model.requests import Answered, Generate, Result
from netgain.model.server import require_served
from netgain.records.cost import Purpose

SHORTEST = 8  # tokens; a text that has to be shorter is not worth its prompt
Forms = EditFormat | Sequence[EditFormat]
REJECTED = "rejected: nothing that could be trained on"
_PAIR = re.compile(
    r"^\s*(?:question|q)\s*\d*\s*[:.]\s*(?P<question>.+?)\s*(?:\n\s*|\s)(?:answer|a)\s*\d*\s*[:.]\s*(?P<answer>\S.*?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """One text to be written: about which material, in which format, and the prompt to be continued."""

    material: Material
    format: EditFormat
    prompt: Prompt


@final
@dataclass(frozen=True, slots=True, eq=False)
class SelfEdit:
    """A text that was written: ``raw`` as generated, ``texts`` to train on (at least one), ``charges`` that paid.

    ``ids`` are its tokens as they were drawn; none where a text was not drawn, or a server does not tell them.
    ``constrained`` says that only tokens were drawn that keep to its form.
    """

    ask: Ask
    raw: str
    texts: tuple[str, ...]
    charges: tuple[int, ...]
    ids: tuple[int, ...] = ()
    constrained: bool = False


def find_format(desk: Desk, name: str) -> EditFormat:
    """The domain's edit format of this name; its default where the name is empty. Raises InputError for another."""
    formats = desk.prompts.formats
    chosen = name or next(iter(formats), "")
    if chosen not in formats:
        raise InputError(f"format {name!r}", "is no edit format of this domain", nearest(name, formats))
    return formats[chosen]


def asks(materials: Sequence[Material], form: Forms, count: int) -> list[Ask]:
    """``count`` texts for each material: the first of every material, then the second, and so on.

    Given several formats, each text of a material is in the next of them, in turn.
    """
    turns = cycle([form] if isinstance(form, EditFormat) else form)
    return [Ask(material, one, one.prompt(material)) for one in islice(turns, count) for material in materials]


def propose(
    desk: Desk,
    materials: Sequence[Material],
    form: Forms,
    count: int,
    *,
    temperature: float = 1.0,
    top_p: float = 0.95,
    purpose: Purpose = Purpose.PROPOSE,
    share: float = 0.5,
    within: Form = (),
) -> Steps[list[SelfEdit]]:
    """Up to ``count`` edits of each material, in turn where there are several formats, by :func:`write`.

    As many as ``share`` of what is left can pay for.
    """
    how: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "purpose": purpose, "share": share}
    written = yield from write(desk, asks(materials, form, count), **how, within=within)
    return [edit for edit in written if edit is not None]


def write(
    desk: Desk,
    requested: Sequence[Ask],
    *,
    temperature: float = 1.0,
    top_p: float = 0.95,
    purpose: Purpose = Purpose.PROPOSE,
    share: float = 1.0,
    invalid: bool = False,
    within: Form = (),
) -> Steps[list[SelfEdit | None]]:
    """What the model writes for each ask, in order; None for what was rejected or could not be paid for.

    Where ``invalid`` edits are wanted, those that would be rejected are kept: they have no texts to train on. With a
    form only tokens are drawn that keep a text ``within`` it.
    Where ``share`` of what is left does not pay for everything, as many of the first asks are written as it does pay
    for, and the journal notes it. Where it does not pay for a single one, the first is written shorter.

    Raises FaultError where a server failed for good in one of them, and ValueError where it refused them all: then
    nobody has written what was to be trained on.
    """
    requests = affordable(
        desk,
        [
            Generate(
                account=desk.pay(purpose),
                prompt=one.prompt,
                max_new_tokens=one.format.max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                stop=one.format.stop,
                seed=desk.draw("write", str(index)),
                form=within,
            )
            for index, one in enumerate(requested)
        ],
        share,
    )
    results = yield from ask(desk.model, requests)
    require_served(desk.model.name, results)
    edits = [_edit(desk, one, result, invalid) for one, result in zip(requested, results, strict=False)]
    edits = [edit and replace(edit, constrained=bool(within)) for edit in edits]
    rejected = [row for edit, result in zip(edits, results, strict=True) if edit is None for row in result.charges]
    desk.account.book.discard(rejected, REJECTED)
    return [*edits, *[None] * (len(requested) - len(edits))]


def affordable(desk: Desk, requests: Sequence[Generate], share: float = 1.0) -> list[Generate]:
    """The first requests that ``share`` of what is left pays for; where it pays for none, the first one shortened."""
    left = share * desk.left()
    if left == float("inf") or not requests:
        return list(requests)
    count = sum(total <= left for total in accumulate(desk.bounds(requests)))
    if count < len(requests):
        desk.note("not all could be asked for", {"wanted": len(requests), "paid for": count})
    return list(requests[:count]) or _shortened(desk, requests[0], left)


def _shortened(desk: Desk, request: Generate, left: float) -> list[Generate]:
    size = request.max_new_tokens // 2
    while size >= SHORTEST:
        shorter = replace(request, max_new_tokens=size)
        if desk.bounds([shorter])[0] <= left:
            return [shorter]
        size //= 2
    return []


def _edit(desk: Desk, one: Ask, result: Result[Answered], invalid: bool) -> SelfEdit | None:
    if result.value is None:
        return None
    raw = result.value.text
    texts = sequences(one.material, raw, one.format, desk.prompts)
    return SelfEdit(one, raw, texts, result.charges, result.value.ids) if texts or invalid else None


def passages(desk: Desk, materials: Sequence[Material]) -> list[str]:
    """The passages as training texts, each under its title."""
    return [desk.prompts.titled.format(title=material.title, text=material.text) for material in materials]


def by_sentence(materials: Sequence[Material]) -> list[Material]:
    """Each sentence of these materials as one of its own, below the same title."""
    return [replace(material, text=sentence) for material in materials for sentence in sentences(material.text)]


class Beside(Inner):
    """What is trained on beside text that was written: the passage (``with_passage``), and each of its sentences by
    itself, below its title (``sentences``): as many updates as edits of one statement a line get, from as many tokens.
    """

    with_passage: bool = True
    sentences: Annotated[bool, LATER] = False

    def passages(self, desk: Desk, materials: Sequence[Material]) -> list[str]:
        """The training texts of the materials themselves."""
        whole = materials if self.with_passage else ()
        return passages(desk, [*whole, *(by_sentence(materials) if self.sentences else ())])


def texts_of(
    desk: Desk, edits: Sequence[SelfEdit], beside: Beside | None = None, materials: Sequence[Material] = ()
) -> list[Prompt]:
    """What is trained on of these edits, then what is beside them of the materials."""
    texts = [text for edit in edits for text in lessons(desk, edit.ask.material, edit.texts)]
    return texts if beside is None else [*texts, *beside.passages(desk, materials)]


def lessons(desk: Desk, material: Material, texts: Sequence[str]) -> list[Prompt]:
    """The texts of an edit as they are trained on.

    A model that is asked in a conversation is trained on a question with its answer in that conversation, as the exam
    will ask: trained on as a text, it may know the answer and not say it. Any other text is a text.
    """
    pairs = [pair_in(desk, material, text) if desk.prompts.chat else None for text in texts]
    return [text if pair is None else pair.lesson(desk) for text, pair in zip(texts, pairs, strict=True)]


def pair_in(desk: Desk, material: Material, text: str) -> "Pair | None":
    """The question with its answer that a training text is; None where it is none, or several."""
    title = desk.prompts.titled.partition("{text}")[0].format(title=material.title)
    pairs = parsed(desk, material, text.removeprefix(title))
    return pairs[0] if len(pairs) == 1 else None


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """A question of the model's own, worded as the exam's are, its answer, and the material that they are about."""

    material: Material
    question: str
    answer: str

    def lesson(self, desk: Desk) -> Prompt:
        """As the domain trains on questions with answers."""
        return desk.prompts.lesson(self.question, self.answer)


def parsed(desk: Desk, material: Material, text: str) -> list[Pair]:
    """The questions in a text that are followed by an answer."""
    about = desk.prompts.about
    return [Pair(material, about(material, match["question"]), match["answer"]) for match in _PAIR.finditer(text)]


def own_questions(
    desk: Desk,
    materials: Sequence[Material],
    name: str,
    count: int,
    *,
    temperature: float = 1.0,
    top_p: float = 0.95,
    share: float = 0.25,
) -> Steps[list[Pair]]:
    """Questions with answers that the model asks itself, from ``count`` texts about each material; none twice.

    ``name`` is the domain's format for such texts, ``share`` the part of what is left that may be spent on them.
    """
    form = find_format(desk, name)
    edits = yield from propose(desk, materials, form, count, temperature=temperature, top_p=top_p, share=share)
    texts = [(edit.ask.material, begun(edit.raw, edit.ask.format)) for edit in edits]
    pairs = [pair for material, text in texts for pair in parsed(desk, material, text)]
    return list({(pair.material.id, pair.question): pair for pair in pairs}.values())
