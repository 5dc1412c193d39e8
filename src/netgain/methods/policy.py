"""The policy: the writer of edits, fine-tuned on edits that were kept, or on what it should have written.

Supervised fine-tuning of the writer below its own prompts, with loss on the edit only: what SEAL's outer loop does with
the winners (:class:`Imitation`), and its rivals with labels or with edits that nobody rewarded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, final

from netgain.domains.problem import EditFormat, Material
from netgain.engine.jobs import InnerLoopJob
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Context
from netgain.methods.fitting import ROUNDING, Inner, epochs_within, job_of, merge_quote, merged, train
from netgain.methods.method import Desk
from netgain.methods.self_evaluation import discard
from netgain.methods.writing import SelfEdit
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.model.requests import Train
from netgain.records.cost import Purpose

UNLIMITED = float("inf")
LOST = "lost: the outer loop did not keep it"
Keep = Callable[[Desk, Context], list[int]]  # a context's edits to fine-tune on, each as often as an epoch repeats it
Kept = list[tuple[Context, int]]


def policy_job(desk: Desk, kept: Sequence[SelfEdit], settings: Inner) -> InnerLoopJob:
    """The training of the policy's adapter: prompts with the edits that were kept, with loss on the edits only.

    Every edit ends in the token that ends an answer, where one is known: the policy has to learn when to stop.
    """
    ends = desk.model.ends[:1]
    prompts = [desk.model.tokenize(edit.ask.format.prompt(edit.ask.material)) for edit in kept]
    edits = [(*_behind(prompt, edit, desk), *ends) for prompt, edit in zip(prompts, kept, strict=True)]
    pairs = [(prompt, edit) for prompt, edit in zip(prompts, edits, strict=True) if edit]
    return replace(
        job_of(desk.at("policy"), (), settings, epochs=settings.max_epochs or 1),
        sequences=[(prompt + edit)[: settings.max_length] for prompt, edit in pairs],
        loss_masks=[((False,) * len(prompt) + (True,) * len(edit))[: settings.max_length] for prompt, edit in pairs],
    )


def _behind(prompt: tuple[int, ...], edit: SelfEdit, desk: Desk) -> tuple[int, ...]:
    """An edit's tokens as they stand behind its prompt: by itself it would begin, for many tokenizers, with a space."""
    whole = desk.model.tokenize(edit.ask.format.prompt(edit.ask.material), answer=edit.raw)
    follows = whole[: len(prompt)] == prompt
    return whole[len(prompt) :] if follows else desk.model.tokenize(edit.raw, special=False)


def policy_cost(desk: Desk, kept: Sequence[SelfEdit], settings: Inner) -> float:
    """An upper bound on fine-tuning the policy and merging its adapter, in the trial's currency."""
    request = Train(account=desk.pay(Purpose.LEARN), job=policy_job(desk, kept, settings))
    return desk.bounds([request])[0] + merge_quote(desk, settings)


def policy_bound(desk: Desk, material: Material, form: EditFormat, settings: Inner) -> float:
    """An upper bound on fine-tuning the policy on one edit before it is written, in the trial's currency."""
    prompt = desk.model.tokenize(form.prompt(material))
    longest = (*prompt, *prompt[-1:] * (form.max_new_tokens + 1))[: settings.max_length]
    job = replace(policy_job(desk, (), settings), sequences=[longest], loss_masks=None)
    return desk.bounds([Train(account=desk.pay(Purpose.LEARN), job=job)])[0]


def fit_policy(desk: Desk, kept: Sequence[SelfEdit], settings: Inner, reserved: float) -> Steps[Answerer]:
    """Fine-tune on these edits as far as the account pays for it, with ``reserved`` and the merging left over.

    Without an edit, or where training fails, the policy stays as it is; the journal then says so.
    """
    job = policy_job(desk, kept, settings)
    money = desk.left() - reserved - merge_quote(desk, settings)
    if money < UNLIMITED and job.sequences:
        amounts = {desk.currency: max(0.0, money) * (1 - ROUNDING)}
        request = Train(account=desk.pay(Purpose.LEARN), job=job)
        if settings.max_epochs is None:
            request = replace(request, job=replace(job, epochs=epochs_within(desk, request, amounts)))
        job = replace(request.job, max_steps=desk.model.steps_within(request, amounts))
    if not job.total_steps:
        desk.note("the policy stays as it is", {"kept": len(kept)})
        return Answerer(model=desk.model)
    (result,) = yield from train(desk, [job], Purpose.LEARN)
    if result.value is None:
        desk.note("the policy stays as it is", {"failed": str(result.failure)})
        return Answerer(model=desk.model)
    return Answerer(model=desk.model, adapter=result.value.adapter)


class Improvement(ABC):
    """What a round of an outer loop makes of contexts and their rewards: another model.

    ``invalid`` says whether edits that nothing can be trained on are handed to it as well.
    """

    invalid: ClassVar[bool] = False

    @abstractmethod
    def kept(self, desk: Desk, contexts: Sequence[Context]) -> Kept:
        """The edits that the model would learn from if these contexts were all, each as often as an epoch repeats
        it."""

    @abstractmethod
    def cost(self, desk: Desk, contexts: Sequence[Context]) -> float:
        """An upper bound on :meth:`improve`, in the trial's currency."""

    def bound(self, desk: Desk, material: Material, form: EditFormat, edits: int) -> float:
        """What one context with so many edits adds to that, before any is written; 0 where it is next to nothing."""
        return 0.0

    def learns_from(self, context: Context) -> bool:
        """Whether there is anything to learn from in a context, after its rewards."""
        return any(context.tally.counts()) or bool(context.invalid and not context.edits)

    def held(self, desk: Desk, contexts: Sequence[Context]) -> float:
        """What of that is known before the edits of these contexts are rewarded: so much the rewards leave over."""
        return 0.0

    @abstractmethod
    def improve(self, desk: Desk, contexts: Sequence[Context], reserved: float) -> Steps[Model]:
        """The model that has learned from them, with ``reserved`` left over."""


@final
class Imitation(Improvement):
    """Fine-tune on the edits that ``keep`` chooses, and merge (ReST-EM); what all others took is discarded."""

    def __init__(self, keep: Keep, settings: Inner) -> None:
        self._keep, self._settings = keep, settings

    def kept(self, desk: Desk, contexts: Sequence[Context]) -> Kept:
        """As ``keep`` says, context by context."""
        return [(context, edit) for context in contexts for edit in self._keep(desk, context)]

    def cost(self, desk: Desk, contexts: Sequence[Context]) -> float:
        """Fine-tuning on those and merging."""
        return policy_cost(desk, [context.edits[edit] for context, edit in self.kept(desk, contexts)], self._settings)

    def improve(self, desk: Desk, contexts: Sequence[Context], reserved: float) -> Steps[Model]:
        """The model with the fine-tuned policy merged."""
        kept = self.kept(desk, contexts)
        winners = {(context.name, edit) for context, edit in kept}
        lost = [
            row
            for context in contexts
            for edit, rows in enumerate(context.charges)
            if (context.name, edit) not in winners
            for row in rows
        ]
        discard(desk, lost, LOST)
        trained = yield from fit_policy(desk, [context.edits[edit] for context, edit in kept], self._settings, reserved)
        return (yield from merged(desk, trained))
