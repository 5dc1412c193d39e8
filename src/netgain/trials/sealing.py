"""A function that is handed to a method without what it belongs to."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast, final

P = ParamSpec("P")
R = TypeVar("R")


def sealed(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which nothing that holds it leads beyond: neither attributes nor closures
    reach what it belongs to (a domain, and through that the questions)."""

    def server() -> Generator[Any, Any, None]:
        answer: Any = None
        while True:
            arguments, named = yield answer
            try:
                answer = function(*arguments, **named)
            except Exception as error:
                answer = _Raised(error)

    running = server()
    next(running)

    def call(*arguments: P.args, **named: P.kwargs) -> R:
        given = running.send((arguments, named))
        if isinstance(given, _Raised):
            raise given.error
        return cast("R", given)

    return call


@final
@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception
