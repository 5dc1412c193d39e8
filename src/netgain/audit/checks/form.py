"""What all checks need: the arms of each setting, an amount in words, and the form of a check."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from netgain.analysis.verdict import ArmRow, Verdict
from netgain.records.claim import Arm, Claim, Finding

_A = TypeVar("_A", Arm, ArmRow)
Check = Callable[[Claim, Verdict], Iterator[Finding]]


def by_setting(arms: Sequence[_A]) -> list[tuple[str, list[_A]]]:
    settings = dict.fromkeys(arm.setting for arm in arms)
    return [(setting, [arm for arm in arms if arm.setting == setting]) for setting in settings]


def amount(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if 100 <= value < 1e7 else f"{value:.3g}"
