"""The policy: the writer of edits, fine-tuned on edits that were kept, or on what it should have written.

Supervised fine-tuning of the writer below its own prompts, with loss on the edit only: what SEAL's outer loop does with
the winners, and its rivals with labels or with edits that nobody rewarded.
"""

from collections.abc import Sequence
from dataclasses import replace

from netgain.domains.problem import EditFormat, Material
from netgain.engine.jobs import InnerLoopJob
from netgain.exam.exam import Answerer
from netgain.methods.fitting import ROUNDING, Inner, epochs_within, job_of, merge_quote, train
from netgain.methods.method import Desk
from netgain.methods.writing import SelfEdit
from netgain.model.program import Steps
from netgain.model.requests import Train
from netgain.records.cost import Purpose

UNLIMITED = float("inf")


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
    trained = desk.model.quote([request])[0].amount(desk.currency) or 0.0
    return trained + merge_quote(desk, settings)


def policy_bound(desk: Desk, material: Material, form: EditFormat, settings: Inner) -> float:
    """An upper bound on fine-tuning the policy on one edit before it is written, in the trial's currency."""
    prompt = desk.model.tokenize(form.prompt(material))
    longest = (*prompt, *prompt[-1:] * (form.max_new_tokens + 1))[: settings.max_length]
    job = replace(policy_job(desk, (), settings), sequences=[longest], loss_masks=None)
    return desk.model.quote([Train(account=desk.pay(Purpose.LEARN), job=job)])[0].amount(desk.currency) or 0.0


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
    if result.failure is not None or result.product is None:
        desk.note("the policy stays as it is", {"failed": str(result.failure)})
        return Answerer(model=desk.model)
    return Answerer(model=desk.model, adapter=result.product.adapter)
