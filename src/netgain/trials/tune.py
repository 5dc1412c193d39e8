"""Tuning: every arm tries as many settings on development problems, pays for it under ``tune``, and keeps the best.

The first candidate is the settings as given; the others are drawn from the arm's grid without replacement. Each adapts
to the development problems at rung 1. An arm that learns is tuned without what it would learn (``learned`` None):
to invest anew for every candidate would cost a run each, and what is tuned is how it adapts. The chosen settings
then adapt once more at the rung at which the arm is compared, by which the best conventional arm is chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from netgain.domains.problem import Problem
from netgain.metering.account import Account
from netgain.methods.method import Settings
from netgain.model.lockstep import run
from netgain.records.identity import canonical
from netgain.records.outcome import Attempt, Tuning
from netgain.records.purpose import Purpose
from netgain.spec.trial import TrialSpec
from netgain.streams import stream
from netgain.trials import bill
from netgain.trials.bench import WIDTH, Bench, Sat, adapt_and_sit, sitting
from netgain.trials.narrow import Arm
from netgain.trials.unit import compared_rung


@final
@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """Settings that were tried on development problems at a rung: how well they did, and the accounts that paid."""

    accuracy: float | None
    accounts: tuple[Account, ...]


def candidates(spec: TrialSpec, domain: str, arm: Arm) -> list[dict[str, Any]]:
    """What this arm changes in its settings in each of its tuning trials; nothing in the first."""
    if not arm.grid or not spec.tuning.trials:
        return []
    given = arm.settings.model_dump(mode="json")
    shape = type(arm.settings)
    seen = {canonical(given)}
    others = []
    for number in stream(spec.seed, "tune", domain, arm.name).permutation(len(arm.grid)):
        changes = arm.grid[int(number)]
        same = canonical(changed(arm.settings, changes).model_dump(mode="json"))
        if same not in seen:
            seen.add(same)
            others.append(changes)
    names = list(dict.fromkeys(name for changes in arm.grid for name in changes))
    as_given = {name: getattr(shape.model_validate(arm.settings.model_dump()), name) for name in names}
    return [as_given, *others][: spec.tuning.trials]


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """These settings with some of them changed, validated anew."""
    return type(settings).model_validate(settings.model_dump() | dict(changes))


def tune_arm(bench: Bench, arm: Arm) -> tuple[Tuning, Settings]:
    """The row of one tuning, and the settings with which the arm then runs."""
    spec = bench.spec
    problems = bench.problems("development", spec.problems.development)
    tries = candidates(spec, bench.unit.domain, arm)
    settings = [changed(arm.settings, changes) for changes in tries]
    tried = [_try(bench, arm, one, problems, 1.0, f"trial {number + 1}") for number, one in enumerate(settings)]
    chosen = max(range(len(tried)), key=lambda place: tried[place].accuracy or 0.0, default=None)
    best = arm.settings if chosen is None else settings[chosen]
    rung = compared_rung(spec, arm.method.learns)
    known = tried[chosen] if chosen is not None and rung == 1.0 else None
    final_try = known or _try(bench, arm, best, problems, rung, "as chosen")
    paid = [account for one in [*tried, final_try] for account in one.accounts]
    charges = bill.Bill(bench.book, paid)
    currency = spec.budget.currency
    attempts = tuple(
        Attempt(
            settings={name: _scalar(value) for name, value in changes.items()},
            accuracy=one.accuracy,
            spent=bill.amounts([c for account in one.accounts for c in charges.of(account)], currency),
        )
        for changes, one in zip(tries, tried, strict=True)
    )
    every = [charge for account in dict.fromkeys(paid) for charge in charges.of(account)]
    row = Tuning(
        domain=bench.unit.domain,
        arm=arm.name,
        attempts=attempts,
        chosen=chosen,
        development=final_try.accuracy,
        spent=bill.by_purpose(every, currency),
    )
    return row, best


def _try(bench: Bench, arm: Arm, settings: Settings, problems: Sequence[Problem], rung: float, name: str) -> Tried:
    """Adapt to all development problems with these settings; a failed adaptation's questions count as wrong."""
    method = arm.method(settings)
    sittings = [
        sitting(bench, rung, group, Purpose.TUNE, name=f"{name}: {group[0].id}") for group in bench.groups(problems)
    ]
    programs = {number: adapt_and_sit(bench, method, None, (), what) for number, what in enumerate(sittings)}
    sat: dict[int, Sat] = {}
    for number, ended in run(programs, width=WIDTH):
        if ended.error is not None:  # no method's: what a method raises is kept in its sitting
            raise ended.error
        if ended.value is not None:
            sat[number] = ended.value
        bench.tell(len(sat), len(sittings), bench.root.spent(bench.spec.budget.currency))
    kind = bench.spec.compare.exam
    asked = sum(question.kind == kind for what in sittings for question in what.questions)
    right = sum(m.grade.correct for one in sat.values() for m in one.marked if m.question.kind == kind)
    accounts = tuple(account for what in sittings for account in (what.account, what.evaluate))
    return Tried(right / asked if asked else None, accounts)


def _scalar(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else canonical(value)
