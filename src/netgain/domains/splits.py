"""Which title belongs to which split, once and for all, and in which order a seed takes a split's problems."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, TypeVar, final

from pydantic import BaseModel, ConfigDict, Field

from netgain.domains.problem import Split
from netgain.errors import InputError
from netgain.streams import stream

T = TypeVar("T")
Part = Literal["train", "development", "test", "controls"]
Share = Annotated[float, Field(ge=0, le=1)]


@final
class Shares(BaseModel):
    """The shares of the titles that go to each split. What is left is for controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Share = 0.4
    development: Share = 0.1
    test: Share = 0.4

    def ends(self) -> dict[Part, float]:
        """Where each split ends when all titles are one long line of length 1."""
        train, development = self.train, self.train + self.development
        ends: dict[Part, float] = {"train": train, "development": development}
        return ends | {"test": min(1.0, development + self.test), "controls": 1.0}


def share_out(titles: Iterable[str], shares: Shares, order_seed: int) -> dict[str, Part]:
    """The split of each title: no title is in two. Depends on the set of titles, the shares and ``order_seed`` only.

    Raises InputError where the shares add up to more than 1.
    """
    given = shares.train + shares.development + shares.test
    if given > 1 + 1e-9:
        raise InputError("shares", f"they add up to {given:g}, more than 1", "what they leave over is for controls")
    known = sorted(set(titles))
    order = stream(order_seed, "domains", "titles").permutation(len(known))
    found: dict[str, Part] = {}
    for place, number in enumerate(order):
        middle = (place + 0.5) / len(known)
        found[known[number]] = next((part for part, end in shares.ends().items() if middle < end), "controls")
    return found


def take(pool: Sequence[T], split: Split, count: int, seed: int, where: str) -> tuple[T, ...]:
    """The first ``count`` of a split under this seed, which decides their order. Raises InputError for too many."""
    check_count(len(pool), split, count, where)
    order = stream(seed, "domains", "problems", split).permutation(len(pool))
    return tuple(pool[number] for number in order[:count])


def check_count(there: int, split: str, count: int, where: str) -> None:
    """Raise InputError where a split has not so many problems."""
    if not 0 <= count <= there:
        raise InputError(
            f"{where}: {count} {split} problems", f"there are {there}", "ask for fewer, or share otherwise"
        )
