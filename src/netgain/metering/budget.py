"""What is spent and what is promised: the state of all accounts as a pure fold over the events of a journal.

A budget is never exceeded: a reservation is refused unless, for its account and each ancestor up to the root, what
is spent plus what is reserved plus what is asked stays within the limit, in every currency that the limit names.

- A settled or failed reservation counts with its actual cost; in a currency that the actual cost does not know, with
  its quote. A reservation that is still open, or whose writer died, counts with its whole quote.
- Work under ``evaluate`` is recorded, but stands outside the budgets of the accounts above it.
- What a later attempt found again costs nothing where it was first paid: its cost stands with the later reservation.
- An actual cost may be above its quote by rounding (:data:`ROUNDING`, relative); beyond that it is an overrun.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import final

from netgain.errors import BudgetExceeded
from netgain.records.cost import CURRENCIES, Cost, Currency, Purpose
from netgain.records.events import (
    FORMAT,
    Began,
    Closed,
    Discarded,
    Event,
    Failed,
    Lost,
    Moved,
    Opened,
    Reserved,
    Settled,
)

ROUNDING = 1e-9


@final
@dataclass(frozen=True, slots=True)
class Booking:
    """What became of one reservation; ``outcome`` is ``open``, ``completed``, ``failed``, ``lost`` or ``moved``.

    ``cost`` is what it took (the whole quote while open and when lost); ``discarded`` says why its result was thrown
    away, ``error`` why it failed. It is useful if it completed and nobody threw its result away.
    """

    reservation: int
    account: int
    opened: Opened
    purpose: Purpose
    operation: str
    quote: Cost
    cost: Cost
    outcome: str = "open"
    error: str = ""
    discarded: str = ""

    @property
    def useful(self) -> bool:
        return self.outcome == "completed" and not self.discarded

    @property
    def flops_unpadded(self) -> None:
        """A journal counts what the machine ran, padding included."""

    @property
    def estimated(self) -> tuple[Currency, ...]:
        """Amounts in a journal are counted; where a server's tokens are estimated, a note beside the charge says so."""
        return ()

    def counted(self) -> dict[str, float]:
        """The amounts that budgets count, by currency: the actual ones, or quoted ones where these are unknown."""
        pairs = zip(CURRENCIES, self.cost.amounts, self.quote.amounts, strict=True)
        return {name: found for name, cost, quote in pairs if (found := quote if cost is None else cost) is not None}


@final
@dataclass(slots=True)
class Standing:
    """The state of every account after some events. Only :meth:`apply` changes it; equal events give equal states."""

    accounts: dict[int, Opened] = field(default_factory=dict)
    charges: dict[int, Booking] = field(default_factory=dict)
    _rows: dict[tuple[object, ...], int] = field(default_factory=dict)
    _spent: dict[int, dict[str, float]] = field(default_factory=dict)
    _open: dict[int, dict[int, Booking]] = field(default_factory=dict)
    # What :meth:`reserved` has added up, until a reservation of the account ends.
    _promised: dict[int, dict[Currency, float]] = field(default_factory=dict, compare=False)
    _limits: dict[int, dict[Currency, float]] = field(default_factory=dict, compare=False)  # of accounts that have any
    _payers: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False)  # asked three times a charge

    def apply(self, seq: int, event: Event) -> None:
        """Take in the event of row ``seq``.

        Raises ValueError where it contradicts the events before it, BudgetExceeded where it reserves what a budget
        does not allow; the state is then unchanged.
        """
        match event:
            case Began() if event.format != FORMAT:
                raise ValueError(f"format {event.format} is not the format {FORMAT} that this version reads")
            case Opened():
                self._apply_opened(seq, event)
            case Reserved():
                self._apply_reserved(seq, event)
            case Settled(cost=cost):
                self._close(event.reservation, cost, "completed", overrun=event.overrun)
            case Failed(cost=cost, error=error):
                self._close(event.reservation, cost, "failed", error=error, overrun=event.overrun)
            case Lost(cost=cost):
                self._apply_lost(event.reservation, cost)
            case Discarded():
                self._apply_discarded(event)
            case Moved(reservation=reservation, to=to):
                self._apply_moved(reservation, to)
            case Closed():
                self._check_ended(event)

    def _apply_opened(self, seq: int, event: Opened) -> None:
        if event.parent is not None and event.parent not in self.accounts:
            raise ValueError(f"account {event.name!r} names row {event.parent} as its parent, which opened none")
        above = None if event.parent is None else self.accounts[event.parent].purpose
        if above is not None and event.purpose is not above:
            raise ValueError(f"account {event.name!r} has another purpose than the account above it ({above})")
        if self.find(event) is not None:
            raise ValueError(f"account {event.name!r} was opened before, in row {self.find(event)}")
        self.accounts[seq] = event
        self._rows[_key(event)] = seq
        self._spent[seq], self._open[seq], self._promised[seq] = {}, {}, {}
        if limits := {Currency(name): amount for name, amount in event.limit.known().items()}:
            self._limits[seq] = limits

    def _apply_reserved(self, seq: int, event: Reserved) -> None:
        opened = self.accounts.get(event.account)
        if opened is None or opened.purpose is None:
            raise ValueError(f"row {event.account} opened no account with a purpose to reserve on")
        self.require(event.account, event.quote)
        charge = Booking(seq, event.account, opened, opened.purpose, event.operation, event.quote, event.quote)
        self.charges[seq] = charge
        for account in self.payers(event.account):
            self._open[account][seq] = charge
            for currency in self._promised[account]:
                self._promised[account][currency] += event.quote.amount(currency) or 0.0

    def _apply_lost(self, reservation: int, cost: Cost) -> None:
        if cost != self._open_charge(reservation).quote:
            raise ValueError(f"lost reservation {reservation} is not charged at its quote")
        self._close(reservation, cost, "lost")

    def _apply_discarded(self, event: Discarded) -> None:
        for reservation in event.reservations:
            if reservation not in self.charges or self.charges[reservation].outcome == "open":
                raise ValueError(f"row {reservation} is no finished work that could be discarded")
        for reservation in event.reservations:
            self.charges[reservation] = replace(self.charges[reservation], discarded=event.reason or "discarded")

    def _apply_moved(self, reservation: int, to: int) -> None:
        before, after = self.charges.get(reservation), self.charges.get(to)
        ended = ("completed", "failed")
        if before is None or after is None or before.outcome not in ended or after.outcome != before.outcome:
            raise ValueError(f"row {reservation} cannot be moved to row {to}: they are no two ends of the same work")
        if (before.operation, before.purpose, before.cost) != (after.operation, after.purpose, after.cost):
            raise ValueError(f"row {reservation} cannot be moved to row {to}, which is other work or has another cost")
        if self._root(before.account) == self._root(after.account):
            raise ValueError(f"row {reservation} cannot be moved to row {to}: both are the same attempt's")
        # The budget of the attempt that is over stays as it was: nobody spends from it any more.
        self.charges[reservation] = replace(before, outcome="moved", cost=Cost.zero())

    def _root(self, account: int) -> int:
        *_, root = self.path(account)
        return root

    def _check_ended(self, event: Closed) -> None:
        mine = self.totals()
        if mine != event.spent:
            raise ValueError(f"the totals on closing are {event.spent}, but the rows before it add up to {mine}")

    def _open_charge(self, reservation: int) -> Booking:
        charge = self.charges.get(reservation)
        if charge is None or charge.outcome != "open":
            raise ValueError(f"row {reservation} is no open reservation")
        return charge

    def _close(
        self, reservation: int, cost: Cost, outcome: str, error: str = "", overrun: tuple[Currency, ...] = ()
    ) -> None:
        charge = self._open_charge(reservation)
        if overrun != overruns(charge.quote, cost):
            raise ValueError(f"reservation {reservation} does not say truly in which currencies it was overrun")
        where, what = (charge.account, charge.opened, charge.purpose), (charge.operation, charge.quote)
        self.charges[reservation] = charge = Booking(reservation, *where, *what, cost, outcome, error)
        # In a currency that the actual cost does not know, the quote counts: unknown must not mean free.
        counted = charge.counted()
        for account in self.payers(charge.account):
            del self._open[account][reservation]
            self._promised[account].clear()
            spent = self._spent[account]
            for name, amount in counted.items():
                spent[name] = spent.get(name, 0.0) + amount

    def find(self, wanted: Opened) -> int | None:
        """The row of the account that has this name and place, whatever its limit; None if it was never opened."""
        return self._rows.get(_key(wanted))

    def path(self, account: int) -> Iterator[int]:
        """The account and its ancestors, leaf first."""
        row: int | None = account
        while row is not None:
            yield row
            row = self.accounts[row].parent

    def payers(self, account: int) -> tuple[int, ...]:
        """The accounts whose budgets a charge on ``account`` counts against, leaf first.

        All of its ancestors; for ``evaluate`` only those that are themselves for evaluation.
        """
        found = self._payers.get(account)
        if found is None:
            path, evaluate = tuple(self.path(account)), Purpose.EVALUATE
            mine = tuple(row for row in path if self.accounts[row].purpose is evaluate)
            found = self._payers[account] = mine if self.accounts[account].purpose is evaluate else path
        return found

    def spent(self, account: int, currency: Currency) -> float:
        """What the account and those below it have spent for certain; the open reservations are not in it."""
        return self._spent[account].get(currency.value, 0.0)

    def reserved(self, account: int, currency: Currency) -> float:
        """What is promised to open reservations of the account and those below it, and not yet spent."""
        promised = self._promised[account]
        if currency not in promised:
            promised[currency] = sum(charge.quote.amount(currency) or 0.0 for charge in self._open[account].values())
        return promised[currency]

    def remaining(self, account: int) -> dict[Currency, float]:
        """What the account may still reserve: the least over all the budgets that it counts against.

        A currency that no budget limits is not in it.
        """
        least: dict[Currency, float] = {}
        for row in self.payers(account):
            for currency, limit in self._limits.get(row, {}).items():
                left = max(0.0, limit - self.spent(row, currency) - self.reserved(row, currency))
                least[currency] = min(left, least.get(currency, left))
        return least

    def require(self, account: int, quote: Cost) -> None:
        """Raise BudgetExceeded, for the budget nearest the root, if the account may not reserve ``quote``."""
        for row in reversed(self.payers(account)):
            for currency, limit in self._limits.get(row, {}).items():
                asked, spent, reserved = quote.amount(currency), self.spent(row, currency), self.reserved(row, currency)
                if asked is None or spent + reserved + asked > limit:
                    raise BudgetExceeded(
                        self.title(row), currency.value, limit, spent, reserved, asked, self.title(account)
                    )

    def title(self, account: int) -> str:
        """The account's name as errors give it: the names on the path from the root."""
        return "/".join(self.accounts[row].name for row in reversed(list(self.path(account))))

    def totals(self) -> dict[str, dict[str, float]]:
        """All closed charges on each account and those below it, evaluation included; what :class:`Closed` restates.

        By the account's row, for accounts without a parent, and by currency; unknown amounts are left out.
        """
        sums, roots = dict[str, dict[str, float]](), dict[int, str]()
        for charge in self.charges.values():
            if charge.outcome != "open":
                if charge.account not in roots:
                    roots[charge.account] = str(self._root(charge.account))
                mine = sums.setdefault(roots[charge.account], {})
                for name, amount in charge.cost.known().items():
                    mine[name] = mine.get(name, 0.0) + amount
        return sums

    def open_reservations(self) -> tuple[Booking, ...]:
        """Reservations without an end, in order."""
        return tuple(charge for charge in self.charges.values() if charge.outcome == "open")


def overruns(quote: Cost, actual: Cost) -> tuple[Currency, ...]:
    """The currencies in which ``actual`` is above ``quote`` by more than rounding; unknown amounts are not compared."""
    pairs = enumerate(zip(quote.amounts, actual.amounts, strict=True))
    above = [i for i, (most, took) in pairs if not (most is None or took is None) and took > most * (1 + ROUNDING)]
    return tuple(Currency(CURRENCIES[index]) for index in above)


def _key(opened: Opened) -> tuple[object, ...]:
    return (opened.parent, opened.name, opened.run, opened.arm, opened.seed, opened.purpose)
