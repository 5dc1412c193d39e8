"""Policy: fine-tuning the model that writes, on prompts with the edits that were kept, with loss on the edits only."""

from collections.abc import Sequence
from dataclasses import replace

from netgain.engine.jobs import InnerLoopJob
from netgain.exam.exam import Answerer
from netgain.methods.fit import ROUNDING, Inner, job_of, merging, train
from netgain.methods.method import Desk
from netgain.methods.propose import Edit
from netgain.model.interface import Train
from netgain.model.lockstep import Steps
from netgain.records.purpose import Purpose


def policy_job(desk: Desk, kept: Sequence[Edit], settings: Inner) -> InnerLoopJob:
    """The training of the policy's adapter; every edit ends in the token that ends an answer, where one is known."""
    ends = desk.model.ends[:1]
    prompts = [desk.model.tokenize(edit.ask.format.prompt(edit.ask.material)) for edit in kept]
    edits = [(*desk.model.tokenize(edit.raw, special=False), *ends) for edit in kept]
    pairs = [(prompt, edit) for prompt, edit in zip(prompts, edits, strict=True) if edit]
    return replace(
        job_of(desk.at("policy"), (), settings, epochs=settings.max_epochs or 1),
        sequences=[(prompt + edit)[: settings.max_length] for prompt, edit in pairs],
        loss_masks=[((False,) * len(prompt) + (True,) * len(edit))[: settings.max_length] for prompt, edit in pairs],
    )


def policy_cost(desk: Desk, kept: Sequence[Edit], settings: Inner) -> float:
    """An upper bound on fine-tuning the policy and merging its adapter, in the trial's currency."""
    request = Train(account=desk.pay(Purpose.LEARN), job=policy_job(desk, kept, settings))
    trained = desk.model.quote([request])[0].amount(desk.currency) or 0.0
    return trained + merging(desk, settings)


def fit_policy(desk: Desk, kept: Sequence[Edit], settings: Inner, kept_back: float) -> Steps[Answerer]:
    """Fine-tune on these edits as far as the account pays for it with ``kept_back`` and the merging left over.

    Without an edit, or where training fails, the policy stays as it is; the journal then says so.
    """
    job = policy_job(desk, kept, settings)
    money = desk.left() - kept_back - merging(desk, settings)
    if money < float("inf") and job.sequences:
        amounts = {desk.currency: max(0.0, money) * (1 - ROUNDING)}
        steps = desk.model.steps_within(Train(account=desk.pay(Purpose.LEARN), job=job), amounts)
        job = replace(job, max_steps=steps)
    if not job.total_steps:
        desk.note("the policy stays as it is", {"kept": len(kept)})
        return Answerer(model=desk.model)
    (result,) = yield from train(desk, [job], Purpose.LEARN)
    if result.failure is not None or result.product is None:
        desk.note("the policy stays as it is", {"failed": str(result.failure)})
        return Answerer(model=desk.model)
    return Answerer(model=desk.model, adapter=result.product.adapter)
