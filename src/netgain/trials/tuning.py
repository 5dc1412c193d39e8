"""Tuning: which settings an arm tries on development problems, one after another. Pure: it is told how to try them.

One knob at a time (coordinate search): every value of the first knob beside the settings as given, then every value of
the next beside the best so far, and again from the first while there are trials left. No draw is made, so that no arm
is luckier than another in what it tries. Where the best value of a number lies at an end of what was tried, values
beyond that end are tried as well: a grid that stops too early is a weak rival.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from netgain.records.identity import canonical

Knobs = Mapping[str, Sequence[Any]]
Values = dict[str, Any]
GEOMETRIC = 1.4  # neighbours further apart than this are steps of a ratio, others of a difference


@final
@dataclass(slots=True)
class KnobSearch:
    """What was tried so far: values of the knobs with their accuracies, None where no question was asked."""

    tried: list[tuple[Values, float | None]] = field(default_factory=list)
    best: int = 0
    widened: int = 0
    edges: tuple[str, ...] = ()
    _known: set[str] = field(default_factory=set)

    @property
    def values(self) -> Values:
        """The best values; the first among equals."""
        return self.tried[self.best][0]

    def seen(self, values: Values) -> bool:
        """Whether just these were tried."""
        return canonical(values) in self._known

    def add(self, values: Values, accuracy: float | None) -> None:
        """That these were tried, and how well they did."""
        self.tried.append((values, accuracy))
        self._known.add(canonical(values))


def search(
    knobs: Knobs,
    given: Values,
    trials: int,
    widen: int,
    valid: Callable[[Values], bool],
    score: Callable[[Values], float | None],
) -> KnobSearch:
    """Try values of all knobs, one after another, by ``score``: their accuracy, None where no question was asked.

    The first are those ``given``. At most ``trials`` are tried, and of each number ``widen`` more beyond its end; what
    is not ``valid`` is not tried.
    """
    done = KnobSearch()
    done.add(given, score(given))
    while len(done.tried) < trials:
        before = len(done.tried)
        for name, values in knobs.items():
            for value in values:
                candidate = {**done.values, name: value}
                if len(done.tried) < trials and valid(candidate) and not done.seen(candidate):
                    done.add(candidate, score(candidate))
            _move(done)  # only now: all values of a knob are tried beside the same others
        if len(done.tried) == before:
            break  # every neighbour of the best is known
    for name in knobs:
        for _ in range(widen):
            beyond = _beyond(done, name, valid)
            if beyond is None:
                break
            done.widened += 1
            done.add(beyond, score(beyond))
            _move(done)
    done.edges = tuple(name for name in knobs if _beyond(done, name, valid) is not None)
    return done


def _move(done: KnobSearch) -> None:
    accuracies = [-1.0 if accuracy is None else accuracy for _, accuracy in done.tried]
    done.best = max(range(len(accuracies)), key=lambda index: (accuracies[index], -index))


def _beyond(done: KnobSearch, name: str, valid: Callable[[Values], bool]) -> Values | None:
    """The best values with the next one of a knob beyond the end where its best lies; None where there is none.

    Only numbers of which several were tried have ends; what is not valid lies beyond what a setting can be. Where
    another value did as well, nothing points beyond the end.
    """
    best, right = done.values.get(name), done.tried[done.best][1]
    if any(accuracy == right for values, accuracy in done.tried if values.get(name) != best):
        return None
    numbers = sorted({values[name] for values, _ in done.tried if is_number(values.get(name))})
    if not is_number(best) or len(numbers) < 2 or best not in (numbers[0], numbers[-1]):
        return None
    neighbour = numbers[1] if best == numbers[0] else numbers[-2]
    candidate = {**done.values, name: _next(best, neighbour)}
    return candidate if valid(candidate) and not done.seen(candidate) else None


def _next(end: float, neighbour: float) -> float:
    """One more step from the neighbour over the end, by ratio or by difference; whole numbers stay whole."""
    low, high = sorted((end, neighbour))
    found = end * end / neighbour if low > 0 and high / low >= GEOMETRIC else 2 * end - neighbour
    if isinstance(end, int) and isinstance(neighbour, int):
        return round(found)
    return float(f"{found:.6g}")


def is_number(value: Any) -> bool:
    """Whether values beyond it can be tried."""
    return isinstance(value, int | float) and not isinstance(value, bool)
