"""Many small programs over a model, run side by side so that what they ask for at the same time runs as one batch.

A program is a generator: it yields calls, gets their results, and returns a value. It reads from top to bottom as if
it were alone; :func:`run` drives any number of them. One that fails (or asks for more than its budget allows) ends
alone, the others go on. The order of everything is that of the programs, so the same programs give the same bytes.
"""

import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import isgenerator
from typing import Any, Generic, TypeVar, final

from netgain.errors import InputError, NetgainError, is_fault
from netgain.model.metered import Model
from netgain.model.requests import Asked, Generate, Merge, Result, RunScript, Score, Train, TrainFull

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@final
@dataclass(frozen=True, slots=True, eq=False)
class ModelCall:
    """Requests of one kind to one model."""

    model: Model
    requests: tuple[Asked, ...]


Steps = Generator[Sequence[ModelCall], list[list[Result[Any]]], T]


def require_program(found: Steps[T]) -> Steps[T]:
    """What a user's method gave, where it is a program. Raises InputError where it is none: code is not checked."""
    given: Any = found
    if not isgenerator(given):
        raise InputError("method", f"gave {type(given).__name__}, not a program in steps", "write it with yield from")
    return found


def ask(model: Model, requests: Sequence[Asked]) -> Steps[list[Result[Any]]]:
    """One call, as a step: ``results = yield from ask(model, requests)``, in the order of the requests."""
    if not requests:
        return []
    (results,) = yield [ModelCall(model, tuple(requests))]
    return results


def together(parts: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Run several programs side by side inside one, and return their values in order. One that fails fails all."""
    waiting: dict[int, Sequence[ModelCall]] = {}
    values: dict[int, T] = {}

    def resume(place: int, results: list[list[Result[Any]]] | None) -> None:
        try:
            waiting[place] = next(parts[place]) if results is None else parts[place].send(results)
        except StopIteration as end:
            waiting.pop(place, None)
            values[place] = end.value

    for place in range(len(parts)):
        resume(place, None)
    while waiting:
        asked = [(place, list(calls)) for place, calls in sorted(waiting.items())]
        results = yield [call for _, calls in asked for call in calls]
        for place, calls in asked:
            resume(place, results[: len(calls)])
            results = results[len(calls) :]
    return [values[place] for place in range(len(parts))]


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProgramEnd(Generic[T]):
    """How a program ended: with a value, or with the error that it raised.

    ``seconds`` is the processor time that the program took itself, between its calls: work that no meter saw.
    """

    value: T | None
    error: Exception | None
    seconds: float


def run(
    programs: Mapping[K, Steps[T]], *, width: int = 0, between: Callable[[], None] = lambda: None
) -> Iterator[tuple[K, ProgramEnd[T]]]:
    """Drive these programs to their ends, up to ``width`` at a time (0: all), and yield each as it ends.

    ``between`` is called after every batch, so that work of minutes can show that it goes on.
    Only an error that is no plain exception (an interrupt) leaves this function, and a fault of the machine or of a
    server (:func:`~netgain.errors.is_fault`), be it in a result: no program can have it for an answer. Programs left
    over are then closed.
    """
    queue = list(programs.items())
    active: dict[K, _Runner[T]] = {}
    try:
        while queue or active:
            while queue and (not width or len(active) < width):
                key, steps = queue.pop(0)
                active[key] = _Runner(steps)
            _answer([runner for runner in active.values() if runner.ended is None], between)
            between()
            for key in [key for key, runner in active.items() if runner.ended is not None]:
                ended = active.pop(key).ended
                if ended is not None:
                    yield key, ended
    finally:
        for runner in active.values():
            runner.close()


@final
class _Runner(Generic[T]):
    """One program under way: what it waits for, and how it ended."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps, self._seconds = steps, 0.0
        self.calls: Sequence[ModelCall] = ()
        self.results: dict[int, list[Result[Any]]] = {}
        self.ended: ProgramEnd[T] | None = None
        self._advance(lambda: next(steps))

    def go_on(self) -> None:
        """Hand over the results of all its calls."""
        results = [self.results[place] for place in range(len(self.calls))]
        self._advance(lambda: self._steps.send(results))

    def fail(self, error: Exception) -> None:
        """Raise an error where the program waits."""
        self._advance(lambda: self._steps.throw(error))

    def close(self) -> None:
        """Stop the program where it waits."""
        self._steps.close()

    def _advance(self, step: Callable[[], Sequence[ModelCall]]) -> None:
        started = time.process_time()
        value, error, over = None, None, False
        self.results = {}
        try:
            self.calls = step()
        except StopIteration as end:
            value, over = end.value, True
        except Exception as raised:
            if is_fault(raised):
                raise
            error, over = raised, True
        self._seconds += time.process_time() - started
        if over:
            self.ended = ProgramEnd(value, error, self._seconds)


def _answer(runners: Sequence[_Runner[Any]], between: Callable[[], None]) -> None:
    """Run everything that these programs wait for, in as few batches as there are models and kinds, and go on.

    ``between`` is called after every script, which takes long and runs alone.
    """
    groups: dict[tuple[int, str, int], list[tuple[_Runner[Any], int]]] = {}
    for runner in runners:
        for place, call in enumerate(runner.calls):
            kind = type(call.requests[0]).__name__ if call.requests else ""
            # Merges and scripts run one by one: a refused one repeats no other.
            alone = len(groups) if kind in (Merge.__name__, RunScript.__name__) else 0
            groups.setdefault((id(call.model), kind, alone), []).append((runner, place))
    errors: dict[int, Exception] = {}
    for members in groups.values():
        for (runner, place), results in _batch(members):
            if isinstance(results, Exception):
                errors.setdefault(id(runner), results)
            else:
                runner.results[place] = results
        if any(isinstance(one, RunScript) for runner, place in members for one in runner.calls[place].requests):
            between()
    for runner in runners:
        if id(runner) in errors:
            runner.fail(errors[id(runner)])
        else:
            runner.go_on()


Member = tuple[_Runner[Any], int]


def _batch(members: Sequence[Member]) -> Iterator[tuple[Member, list[Result[Any]] | Exception]]:
    """The results of some calls of one kind to one model. A batch that is refused is tried again in halves."""
    calls = [runner.calls[place] for runner, place in members]
    try:
        results = _do(calls[0].model, [request for call in calls for request in call.requests])
    except (NetgainError, TypeError) as refused:  # of a batch that is refused nothing has run
        if is_fault(refused):
            raise
        if len(members) == 1:
            yield members[0], refused
            return
        for half in (members[: len(members) // 2], members[len(members) // 2 :]):
            yield from _batch(half)
        return
    except Exception as broken:  # something has run, and is booked: it is not run again
        if is_fault(broken):
            raise
        yield from ((member, broken) for member in members)
        return
    for fault in (result.fault for result in results):
        if fault is not None:
            raise fault
    for member, call in zip(members, calls, strict=True):
        yield member, results[: len(call.requests)]
        results = results[len(call.requests) :]


def _do(model: Model, requests: Sequence[Any]) -> list[Result[Any]]:
    if not requests:
        return []
    first = requests[0]
    if isinstance(first, Generate):
        return list(model.generate(requests))
    if isinstance(first, Score):
        return list(model.score(requests))
    if isinstance(first, Train):
        return list(model.train(requests))
    if isinstance(first, TrainFull):
        return list(model.train_full(requests))
    if isinstance(first, Merge):
        return list(model.merge(requests))
    if isinstance(first, RunScript):
        return list(model.run_scripts(requests))
    raise TypeError(f"a call holds requests of the model's door, not {type(first).__name__}")
