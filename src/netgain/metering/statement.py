"""A statement: every charge in a journal, and totals as folds over them.

*Spent* is everything that was worked, rejected and failed and lost work included; *useful* is what completed and was
not thrown away. Unknown amounts stay unknown: ``spent`` is exact or unknown in each currency, ``at_least`` is the
lower bound from what is known, and ``incomplete`` names the currencies in which it may be too low.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from netgain.errors import InputError, JournalError, nearest
from netgain.metering.budget import Charge, fold
from netgain.records.chain import read
from netgain.records.cost import Cost, Currency, known_total, total
from netgain.records.purpose import Purpose

KEYS: dict[str, Callable[[Charge], str | int | None]] = {
    "account": lambda charge: charge.opened.name,
    "arm": lambda charge: charge.opened.arm,
    "operation": lambda charge: charge.operation,
    "outcome": lambda charge: charge.outcome,
    "purpose": lambda charge: charge.purpose.value,
    "run": lambda charge: charge.opened.run,
    "seed": lambda charge: charge.opened.seed,
}
Group = tuple[str | int | None, ...]


@final
@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over some charges. ``lost`` is the part that a dead writer left, charged at its quotes: a bound."""

    charges: int
    spent: Cost
    useful: Cost
    at_least: Cost
    useful_at_least: Cost
    lost: Cost
    incomplete: tuple[Currency, ...]


def load(path: Path | str) -> tuple[Charge, ...]:
    """Every charge in the journal at ``path``; a reservation without an end is charged with its quote, as ``open``.

    Raises JournalError for a journal that does not verify; :func:`netgain.records.chain.read` salvages it.
    """
    reading = read(path)
    if reading.findings:
        raise JournalError(str(path), str(reading.findings[0]), "verify() lists everything; read() salvages the rest")
    try:
        return tuple(fold(reading.records).charges.values())
    except Exception as problem:
        raise JournalError(str(path), f"its rows contradict each other: {problem}") from problem


def matched(charges: Iterable[Charge]) -> tuple[Charge, ...]:
    """The charges inside the matched budget: all but evaluation."""
    return tuple(charge for charge in charges if charge.purpose is not Purpose.EVALUATE)


def sum_up(charges: Iterable[Charge]) -> Totals:
    """The sums over these charges, exact where known and bounded where not."""
    charges = list(charges)
    costs = [charge.cost for charge in charges]
    useful = [charge.cost for charge in charges if charge.useful]
    bound, incomplete = known_total(costs)
    return Totals(
        charges=len(charges),
        spent=total(costs),
        useful=total(useful),
        at_least=bound,
        useful_at_least=known_total(useful)[0],
        lost=total(charge.cost for charge in charges if charge.outcome in ("lost", "open")),
        incomplete=incomplete,
    )


def totals(charges: Iterable[Charge], *by: str) -> dict[Group, Totals]:
    """The sums by one or more of account, arm, operation, outcome, purpose, run, seed; groups in order of appearance.

    Raises InputError for another word.
    """
    for word in by:
        if word not in KEYS:
            raise InputError(f"totals by {word!r}", "charges are not told apart by it", nearest(word, KEYS))
    groups: dict[Group, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(tuple(KEYS[word](charge) for word in by), []).append(charge)
    return {group: sum_up(members) for group, members in groups.items()}
