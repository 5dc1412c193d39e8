"""The amounts of rows, derived from a journal: what each row says was spent must be what its accounts add up to."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, final

from netgain.exam.exam import JUDGE, SAMPLES, STABILITY
from netgain.metering.budget import Booking, Standing
from netgain.records.cost import Purpose
from netgain.records.identity import equal_but_for_rounding
from netgain.records.samples import Adaptation, AdaptationStream, Investment, Row, Tuning
from netgain.trials.context import amounts, by_purpose, spent_and_rejected
from netgain.trials.spec import TrialSpec
from netgain.trials.tasks import Task

STREAM_EXAM = "exam of the stream"


@final
class RowAmounts:
    """The amounts of one task's rows, derived from the charges under the accounts that their work is named after."""

    def __init__(self, spec: TrialSpec, task: Task, standing: Standing, root: int) -> None:
        self._spec, self._task, self._currency = spec, task, spec.budget.currency
        self._named: dict[str, list[Booking]] = {}
        self._parts: dict[tuple[str, str], list[Booking]] = {}  # by exam, and by which part of it
        for opened in standing.accounts.values():
            if opened.parent == root:
                self._named[opened.name] = []
        for charge in standing.charges.values():
            path = [standing.accounts[row] for row in standing.path(charge.account)]
            if path[-1] is standing.accounts[root] and len(path) > 1:
                self._named[path[-2].name].append(charge)
                if len(path) > 2:
                    self._parts.setdefault((path[-2].name, path[-3].name), []).append(charge)

    def wrong(self, rows: Iterable[Row]) -> Iterator[str]:
        """The rows that name other amounts, in words."""
        rows = list(rows)
        for kind, found in groupby(rows, key=type):
            if kind is Adaptation:
                yield from self._adaptations([row for row in found if isinstance(row, Adaptation)])
                continue
            for row in found:
                yield from self._compare(self._name(row), row, self._other(row))
                if isinstance(row, Tuning):
                    yield from self._attempts(row)
        for row in rows:
            seed = 0 if self._task.seed is None else self._task.seed
            mine = isinstance(row, Tuning) or row.seed == seed
            if not mine or (row.domain, row.arm) != (self._task.domain, self._task.arm):
                yield f"rows: {self._name(row)}: is of another task"

    def beside(self, rows: Iterable[Row]) -> list[Booking]:
        """What the attempt took and none of its rows holds, such as the continuations that drift is measured against.

        A tuning's row holds all of it.
        """
        if self._task.stage == "tune":
            return []
        rows = list(rows)
        paying = {name for name, _ in self._groups(row for row in rows if isinstance(row, Adaptation))}
        paying |= {f"learn x{row.rung:g}" for row in rows if isinstance(row, Investment)}
        held = paying | {f"exam of {name}" for name in paying}
        if any(isinstance(row, AdaptationStream) for row in rows):
            held |= {name for name in self._named if name.startswith("stream ") or name == STREAM_EXAM}
        found = [charge for name, charges in self._named.items() if name not in held for charge in charges]
        outside = [c for name in paying for c in self._of(name) if c.purpose is Purpose.EVALUATE]
        return [*found, *outside]

    def _groups(self, rows: Iterable[Adaptation]) -> Iterator[tuple[str, list[Adaptation]]]:
        """The rows of problems that were adapted to at once, with the name of the account that paid."""
        size = self._spec.problems.passages
        for level, found in groupby(rows, key=lambda row: row.rung):
            of_level = list(found)
            for first in range(0, len(of_level), size):
                group = of_level[first : first + size]
                more = f" and {len(group) - 1} more" if len(group) > 1 else ""
                yield f"{group[0].problem}{more} x{level:g}", group

    def _adaptations(self, rows: list[Adaptation]) -> Iterator[str]:
        """Problems that were adapted to at once share alike in what was spent."""
        for name, group in self._groups(rows):
            share, exam = 1.0 / len(group), f"exam of {name}"
            judged, drawn, other = (self._parts.get((exam, part), []) for part in (JUDGE, SAMPLES, STABILITY))
            expected = {
                **spent_and_rejected(self._of(name), self._currency, share),
                "evaluated": amounts(self._of(exam), self._currency, share),
                "judging": amounts(judged, self._currency, share) if judged else {},
                "sampling": amounts(drawn, self._currency, share) if drawn else {},
                "stability": amounts(other, self._currency, share) if other else {},
            }
            for row in group:
                there = name in self._named and exam in self._named
                yield from self._compare(self._name(row), row, expected if there else None)

    def _other(self, row: Row) -> dict[str, Any] | None:
        if isinstance(row, Investment):
            name = f"learn x{row.rung:g}"
            return spent_and_rejected(self._of(name), self._currency) if name in self._named else None
        if isinstance(row, AdaptationStream):
            paid = [charge for name in self._named if name.startswith("stream ") for charge in self._named[name]]
            exam = self._of(STREAM_EXAM)
            return {"spent": by_purpose(paid, self._currency), "evaluated": amounts(exam, self._currency)}
        if isinstance(row, Tuning):
            return {"spent": by_purpose([c for found in self._named.values() for c in found], self._currency)}
        return None

    def _attempts(self, row: Tuning) -> Iterator[str]:
        for number, attempt in enumerate(row.attempts, start=1):
            words = (f"trial {number}: ", f"exam of trial {number}: ")
            paid = [charge for name, charges in self._named.items() if name.startswith(words) for charge in charges]
            if not equal_but_for_rounding(attempt.spent, amounts(paid, self._currency)):
                yield f"rows: {self._name(row)}: what trial {number} spent is not what the journal adds up to"

    def _of(self, name: str) -> list[Booking]:
        return self._named.get(name, [])

    @staticmethod
    def _name(row: Row) -> str:
        if isinstance(row, Adaptation):
            return f"the adaptation to {row.problem} at {row.rung:g}x"
        return f"the {'stream' if isinstance(row, AdaptationStream) else row.row}"

    @staticmethod
    def _compare(name: str, row: Row, expected: dict[str, Any] | None) -> Iterator[str]:
        if expected is None:
            yield f"rows: {name}: the journal has no account of such work"
            return
        found = dict(row)
        wrong = [field for field in expected if not equal_but_for_rounding(found[field], expected[field])]
        if wrong:
            verb = "is" if len(wrong) == 1 else "are"
            yield f"rows: {name}: {', '.join(wrong)} {verb} not what the journal adds up to"
