"""Tuning: every arm tries as many settings on development problems, pays for it under ``tune``, and keeps the best.

Each candidate adapts to the development problems at the rung at which the arm is compared, so that nobody is tuned for
another budget than the one it is judged at. An arm that learns is tuned without what it would learn (``learned`` None):
to invest anew for every candidate would cost a run each, and what is tuned is how it adapts; settings that only
``learn`` reads cannot be told apart here. What it learned adapts to the development problems in its runs
(``development`` in ``run.py``), by which it is chosen among its rivals or not.

Random numbers are those of the domain and the problems, not of the arm: arms that adapt alike (an outer loop and its
control) try the same settings, see the same results, and are tuned alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from netgain.domains.problem import Problem
from netgain.metering.account import Account
from netgain.methods.method import Settings
from netgain.model.lockstep import run
from netgain.records.identity import canonical
from netgain.records.purpose import Purpose
from netgain.records.samples import Attempt, Tuning
from netgain.trials import bill
from netgain.trials.bench import WIDTH, Bench, Sat, adapt_and_sit, sitting
from netgain.trials.candidates import candidates, changed
from netgain.trials.narrow import Arm
from netgain.trials.unit import compared_rung


@final
@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """Settings that were tried on development problems at a rung: how well they did, and the accounts that paid."""

    accuracy: float | None
    accounts: tuple[Account, ...]


def tune_arm(bench: Bench, arm: Arm) -> tuple[Tuning, Settings]:
    """The row of one tuning, and the settings with which the arm then runs."""
    spec = bench.spec
    problems = bench.problems("development", spec.problems.development)
    tries = candidates(spec, bench.unit.domain, arm)
    settings = [changed(arm.settings, changes) for changes in tries]
    rung = compared_rung(spec, arm.method.learns)
    tried = [_try(bench, arm, one, problems, rung, f"trial {number + 1}") for number, one in enumerate(settings)]
    chosen = max(range(len(tried)), key=lambda place: tried[place].accuracy or 0.0, default=None)
    best = arm.settings if chosen is None else settings[chosen]
    final_try = tried[chosen] if chosen is not None else _try(bench, arm, best, problems, rung, "as given")
    paid = [account for one in dict.fromkeys([*tried, final_try]) for account in one.accounts]
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
    every = [charge for account in paid for charge in charges.of(account)]
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
