"""What can happen to an account, as values: the rows of a journal.

Accounts and reservations are named by the number of the row that opened or reserved them, so a name is never given
twice. Every event carries costs in the known currencies only; an absent currency is unknown, never zero. The format
as a whole is versioned by :data:`FORMAT`, which every :class:`Began` repeats.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, final

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

from netgain.records.cost import CURRENCIES, Cost, Currency, Purpose
from netgain.records.provenance import StrictModel

FORMAT = 1
KNOWN = frozenset(CURRENCIES)
LARGEST = 1e150  # so that no sum of amounts can overflow


def _read_cost(value: object) -> Cost:
    if isinstance(value, Cost):
        cost = value
    elif isinstance(value, Mapping):
        cost = _cost_of(value)
    else:
        raise ValueError("a cost is a mapping of currencies to numbers")  # noqa: TRY004 - pydantic collects ValueError
    for amount in cost.amounts:
        if amount is not None and amount > LARGEST:
            raise ValueError(f"an amount above {LARGEST} is not the cost of anything")
    return cost


def _cost_of(amounts: Mapping[Any, Any]) -> Cost:
    for name, amount in amounts.items():
        kind = type(amount)
        if name not in KNOWN or not (kind is float or kind is int):
            raise ValueError(f"{name!r}: {amount!r} is not an amount of a currency")
    try:
        return Cost(**{name: float(amount) for name, amount in amounts.items()})
    except OverflowError as problem:
        raise ValueError("an amount is too large for a number") from problem


CostField = Annotated[Cost, PlainValidator(_read_cost), PlainSerializer(lambda cost: cost.known())]
Row = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Setting = str | int | float | bool | None


@final
class Began(StrictModel):
    """A writer opened the journal; everything up to the next one was written by this process."""

    kind: Literal["began"] = "began"
    format: int = FORMAT
    software: str
    host: str
    pid: int


@final
class Opened(StrictModel):
    """An account was opened. ``limit`` bounds it in the currencies that it names; ``parent`` is the row of another.

    An account without a purpose groups others and holds their common budget; work is reserved on one with a purpose.
    """

    kind: Literal["opened"] = "opened"
    name: Name
    parent: Row | None = None
    run: str = ""
    arm: str = ""
    seed: int | None = None
    purpose: Purpose | None = None
    limit: CostField = Cost()


@final
class Reserved(StrictModel):
    """The right to spend at most ``quote`` on one operation was given to an account, before the work ran.

    ``settings`` is how the work was asked for, where that decides what its result means (``pad_loss``, a seed, a rate).
    """

    kind: Literal["reserved"] = "reserved"
    account: Row
    operation: Name
    quote: CostField
    settings: dict[str, Setting] = Field(default_factory=dict)


@final
class Settled(StrictModel):
    """The work of a reservation is done and took ``cost``. ``overrun`` names where that is above the quote."""

    kind: Literal["settled"] = "settled"
    reservation: Row
    cost: CostField
    overrun: tuple[Currency, ...] = ()


@final
class Failed(StrictModel):
    """The work of a reservation failed after ``cost``, which stays spent."""

    kind: Literal["failed"] = "failed"
    reservation: Row
    cost: CostField
    error: str
    overrun: tuple[Currency, ...] = ()


@final
class Lost(StrictModel):
    """The writer died inside a reservation. How much was done is unknown, so its whole quote is charged."""

    kind: Literal["lost"] = "lost"
    reservation: Row
    cost: CostField


@final
class Discarded(StrictModel):
    """The results of settled work were thrown away: its charges stay spent and are no longer useful."""

    kind: Literal["discarded"] = "discarded"
    reservations: Annotated[tuple[Row, ...], Field(min_length=1)]
    reason: str


@final
class Moved(StrictModel):
    """The result that ``reservation`` paid for was found again by a later attempt, which has reserved and settled
    ``to`` for it: the cost stands there, and no longer here. Nothing ran twice."""

    kind: Literal["moved"] = "moved"
    reservation: Row
    to: Row


@final
class Noted(StrictModel):
    """Anything worth keeping beside the charges: text and plain data."""

    kind: Literal["noted"] = "noted"
    text: str
    data: dict[str, Any] = Field(default_factory=dict)


@final
class Closed(StrictModel):
    """A writer closed the journal. ``spent`` restates all closed charges under each account without a parent.

    By the account's row and by currency; amounts that are unknown are left out.
    """

    kind: Literal["ended"] = "ended"
    spent: dict[str, dict[str, float]] = Field(default_factory=dict)


Event = Began | Opened | Reserved | Settled | Failed | Lost | Discarded | Moved | Noted | Closed
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def to_fields(event: Event) -> dict[str, Any]:
    """The event as plain values, its kind among them; canonical JSON takes them or refuses them."""
    return event.model_dump()


def from_fields(fields: object) -> Event:
    """The event that these plain JSON values describe. Raises ValueError for anything else, unknown fields included."""
    return _EVENT.validate_python(fields)
