"""What a trial's judge would take: how many answers are put to it, and what its verdicts cost. Pure; all estimated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from netgain.domains.grading import MAX_NEW_TOKENS, judge_prompt
from netgain.domains.problem import Question
from netgain.engine.work import Work
from netgain.metering.estimate import Device, generation_estimate, timed
from netgain.metering.rates import DeviceRate
from netgain.metering.shape import ModelShape
from netgain.model.interface import Part
from netgain.model.prices import TokenPrices
from netgain.records.cost import Cost
from netgain.tokens import EstimatedTokens
from netgain.trials.narrow import Trial
from netgain.trials.progress import sittings
from netgain.trials.unit import Unit, units

ASSUMED = f"every answer is put to the judge, and its verdicts are as long as they may be ({MAX_NEW_TOKENS} tokens)"


class Lengths(Protocol):
    """What of a domain's lengths matters here, in tokens."""

    @property
    def question(self) -> float: ...

    @property
    def answer(self) -> float: ...

    @property
    def questions(self) -> float: ...


def verdicts(trial: Trial, unit: Unit, questions: float) -> float:
    """How many answers of a unit are put to the judge; in tuning and streams only where its verdicts are the grades."""
    spec = trial.spec
    decides = spec.grades == "judge"
    if unit.stage == "tune":
        return sittings(trial, unit) * spec.problems.passages * questions if decides else 0.0
    asked_at = sum(rung in spec.budget.ladder for rung in spec.exam.at)
    controls = spec.problems.test * asked_at * 2 * spec.exam.controls
    stream = spec.exam.stream * (spec.exam.stream + 1) * questions if decides else 0.0
    return spec.problems.test * len(spec.budget.ladder) * questions + controls + stream


def judging_cost(
    trial: Trial, judge: ModelShape | TokenPrices, device: Device, rate: DeviceRate, lengths: Mapping[str, Lengths]
) -> Cost:
    """All verdicts: of a judge of this shape on this device, or by prices; a server's take no time on it."""
    (frame,) = EstimatedTokens().count([judge_prompt(Question("", ("",)), "")])
    found = Cost.zero()
    for unit in units(trial.spec):
        one = lengths[unit.domain]
        prompt = round(frame + one.question + 2 * one.answer)
        found = found + verdicts(trial, unit, one.questions) * _verdict(judge, prompt)
    if isinstance(judge, ModelShape):
        return timed(found, judge, device, rate=rate, rows=64, weight_bytes=4)
    return replace(found, seconds=0.0) if "url" in (trial.spec.judge or {}) else found


def _verdict(judge: ModelShape | TokenPrices, prompt: int) -> Cost:
    if isinstance(judge, ModelShape):
        return generation_estimate(judge, prompt, MAX_NEW_TOKENS)
    return judge.cost(Part(Work(positions=prompt, real=prompt, generated=MAX_NEW_TOKENS)))
