"""A function that is handed to a method without what it belongs to."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar, cast, final

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


def sealed(function: Callable[[A, B], R]) -> Callable[[A, B], R]:
    """The same function of two arguments, which nothing that holds it leads beyond: neither attributes nor closures
    reach what it belongs to (a domain, and through that the questions)."""

    def server() -> Generator[Any, tuple[A, B], None]:
        answer: Any = None
        while True:
            first, second = yield answer
            try:
                answer = function(first, second)
            except Exception as error:
                answer = _Raised(error)

    running = server()
    next(running)

    def call(first: A, second: B) -> R:
        given = running.send((first, second))
        if isinstance(given, _Raised):
            raise given.error
        return cast("R", given)

    return call


@final
@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception
