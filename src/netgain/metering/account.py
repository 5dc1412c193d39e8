"""Accounts: the right to spend, and the only way to it: quote, reserve, run, settle.

A :class:`Book` is one journal being written, with the state of its accounts. Work runs between
:meth:`Account.reserve`, which refuses what a budget does not allow, and :meth:`Reservation.settle` or
:meth:`Reservation.fail`, which book what it took. Nothing is ever given back that was worked for:

- failed work is charged with the part that was done; where nobody says how much that was, with its whole quote
- work that was cut off by the death of the process is charged with its whole quote when the journal is next opened
- results that are thrown away stay paid; :meth:`Book.discard` only takes them out of what counts as useful
- a result that a later attempt finds again is paid once: :meth:`Book.move` has its cost stand with that attempt

A :class:`Book` may be shared between threads. Opening the same account again, also after a crash, gives the same
account with everything that it has spent.
"""

import threading
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from netgain.errors import InputError, JournalError, NetgainError, OverrunError
from netgain.metering.budget import Booking, Standing, overruns
from netgain.records.chain import JournalRow, encode
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import (
    Closed,
    Discarded,
    Event,
    Failed,
    Lost,
    Moved,
    Noted,
    Opened,
    Reserved,
    Setting,
    Settled,
)
from netgain.records.journal import Journal

LONGEST_ERROR = 2000
UNLIMITED = Cost()


@final
class Book:
    """One journal being written and the state of its accounts. Open it with :meth:`open`; close it or use ``with``."""

    def __init__(self, journal: Journal, standing: Standing, noted: dict[str, Noted]) -> None:
        self.journal = journal
        self._standing, self._noted = standing, noted
        self._lock = threading.RLock()
        self._pending: list[Event] = []

    @classmethod
    def open(cls, path: Path | str, *, software: str = "netgain") -> Self:
        """The book at ``path``, created if it does not exist. Work that a dead writer left open is charged as lost.

        Raises JournalError where another process writes to it or where its rows contradict each other.
        """
        standing, noted, contradictions = Standing(), dict[str, Noted](), list[Exception]()

        def take(row: JournalRow) -> None:  # one at a time: a long journal's rows are never in memory together
            if isinstance(row.event, Noted):
                noted[row.event.text] = row.event
            try:
                if not contradictions:
                    standing.apply(row.seq, row.event)
            except (ValueError, NetgainError) as problem:
                contradictions.append(problem)

        journal, began = Journal.open(path, software=software, take=take)
        if contradictions:
            journal.close()
            problem = contradictions[0]
            raise JournalError(str(path), f"its rows contradict each other: {problem}") from problem
        try:
            book = cls(journal, standing, noted)
            standing.apply(began[-1].seq, began[-1].event)
            book._charge_lost()
        except Exception as problem:
            journal.close()
            if isinstance(problem, JournalError):
                raise
            raise JournalError(str(path), f"its rows contradict each other: {problem}") from problem
        return book

    def _charge_lost(self) -> None:
        lost = self._standing.open_reservations()
        if lost:
            self._record(*(Lost(reservation=charge.reservation, cost=charge.quote) for charge in lost))

    def account(
        self,
        name: str,
        *,
        run: str = "",
        arm: str = "",
        seed: int | None = None,
        purpose: Purpose | None = None,
        limit: Cost = UNLIMITED,
    ) -> "Account":
        """The account without a parent that these words name, opened where it is new.

        ``limit`` bounds it in the currencies that it names. Raises InputError where the account exists with another
        limit: a budget cannot be changed once it has been promised.
        """
        wanted = Opened(name=name, run=run, arm=arm, seed=seed, purpose=purpose, limit=limit)
        return self._open_account(wanted)

    def _open_account(self, wanted: Opened) -> "Account":
        with self._lock:
            row = self._standing.find(wanted)
            if row is not None:
                return Account(self, row, self._same_limit(row, wanted))
            (row,) = self._record(wanted, later=True)
            return Account(self, row, wanted)

    def _same_limit(self, row: int, wanted: Opened) -> Opened:
        opened = self._standing.accounts[row]
        if opened.limit != wanted.limit:
            raise InputError(
                f"account {self._standing.title(row)!r}",
                f"its budget is {opened.limit.known()}, not {wanted.limit.known()}",
                "keep the budget, or use another name or another journal",
            )
        return opened

    def discard(self, reservations: "Iterable[Reservation | int]", reason: str) -> None:
        """Mark the results of finished work as thrown away: the charges stay spent and stop being useful."""
        rows = tuple(item.row if isinstance(item, Reservation) else item for item in reservations)
        if rows:
            self._record(Discarded(reservations=rows, reason=reason))

    def move(self, reservation: int, to: "Reservation") -> None:
        """Have what a charge of an earlier attempt paid for stand under ``to``, which has found its result again.

        Written with the next rows. Raises ValueError where they are not the same work, ended alike, at the same cost.
        """
        self._record(Moved(reservation=reservation, to=to.row), later=True)

    def noted(self, text: str) -> Mapping[str, Any] | None:
        """The data of the last note with this text that stood here when the book was opened; None where none did."""
        found = self._noted.get(text)
        return None if found is None else found.data

    def note(self, text: str, data: Mapping[str, Any] | None = None) -> None:
        """Keep something beside the charges. ``data`` is plain JSON values and holds no secrets."""
        self._record(Noted(text=text, data=dict(data or {})), later=True)

    @property
    def length(self) -> int:
        """How many rows there are, those included that wait to be written with the next charge."""
        with self._lock:
            return self.journal.length + len(self._pending)

    def flush(self) -> None:
        """Write what waits: accounts that were opened, notes, and charges that were booked for later."""
        with self._lock:
            pending, self._pending = tuple(self._pending), []
            try:
                if pending:
                    self.journal.append(*pending)
            except BaseException:
                self.journal.close()
                raise

    def charges(self, since: int = 0) -> tuple[Booking, ...]:
        """Every reservation from row ``since`` on and what became of it, in order."""
        with self._lock:
            found = takewhile(lambda charge: charge.reservation >= since, reversed(self._standing.charges.values()))
            return tuple(found)[::-1]

    @property
    def standing(self) -> Standing:
        """The state of all accounts, to be read."""
        return self._standing

    def lineage(self, charge: Booking) -> tuple[int, ...]:
        """The rows of the accounts that a charge stands under, its own first."""
        with self._lock:
            return tuple(self._standing.path(charge.account))

    def _record(self, *events: Event, later: bool = False) -> range:
        """Check these events against the state, take them in, write them: in this order, as one step.

        With ``later`` they are written together with the next ones that are not: what was promised or spent is on the
        disk before anything runs on it, and many small rows cost one write. A journal that cannot be written leaves the
        state unusable on purpose: the book then only refuses.
        """
        for event in events:
            encode(0, 0.0, event)
        with self._lock:
            start = self.length
            for number, event in enumerate(events):
                self._standing.apply(start + number, event)
                self._pending.append(event)
            if not later or self.journal.closed:
                self.flush()
            return range(start, start + len(events))

    def close(self) -> None:
        """Restate the totals in the journal and let go of it. Open reservations stay open, to be charged as lost."""
        with self._lock:
            if not self.journal.closed:
                self._record(Closed(spent=self._standing.totals()))
                self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@final
class Account:
    """The right of one run, arm and seed to spend for one purpose, within its budget and those above it."""

    def __init__(self, book: Book, row: int, opened: Opened) -> None:
        self.book, self.row, self.opened = book, row, opened

    @property
    def title(self) -> str:
        """The names from the root down to this account, as errors give them."""
        return self.book._standing.title(self.row)

    def child(
        self,
        name: str,
        *,
        purpose: Purpose | None = None,
        limit: Cost = UNLIMITED,
    ) -> "Account":
        """The account of this name below this one, opened where it is new; what is not given is inherited.

        What it spends counts against its own ``limit`` and against every account above it, except under ``evaluate``.
        Raises InputError where it exists with another limit or where its purpose differs from this account's.
        """
        mine = self.opened
        if mine.purpose is not None and purpose not in (None, mine.purpose):
            raise InputError(f"purpose {purpose!r}", f"{self.title} is for {mine.purpose}", "open it beside, not below")
        wanted = Opened(
            name=name,
            parent=self.row,
            run=mine.run,
            arm=mine.arm,
            seed=mine.seed,
            purpose=purpose or mine.purpose,
            limit=limit,
        )
        return self.book._open_account(wanted)

    @property
    def lineage(self) -> tuple[Opened, ...]:
        """This account and those above it, as they were opened, its own first."""
        with self.book._lock:
            return tuple(self.book._standing.accounts[row] for row in self.book._standing.path(self.row))

    def holds(self, other: "Account | Booking") -> bool:
        """Whether an account or a charge is this one or stands below it, in the same book."""
        if isinstance(other, Booking):
            return self.row in self.book.lineage(other)
        with self.book._lock:
            return other.book is self.book and self.row in self.book._standing.path(other.row)

    def under(self, purpose: Purpose) -> "Account":
        """The child for one purpose, named after it and without a limit of its own."""
        return self.child(purpose.value, purpose=purpose)

    def reserve(
        self, operation: str, quote: Cost, settings: Mapping[str, Setting] | None = None, *, later: bool = False
    ) -> "Reservation":
        """Promise at most ``quote`` to ``operation`` before it runs; ``settings`` are written down beside it.

        With ``later`` whoever runs a whole batch calls :meth:`Book.flush` before the first of it runs.

        Raises BudgetExceeded where this budget or one above it does not allow it; then nothing is promised. Raises
        InputError on an account without a purpose, which only groups others.
        """
        if self.opened.purpose is None:
            raise InputError(
                f"account {self.title!r}", "it has no purpose", "reserve on a child made by under(purpose)"
            )
        event = Reserved(account=self.row, operation=operation, quote=quote, settings=dict(settings or {}))
        (row,) = self.book._record(event, later=later)
        return Reservation(self, row, operation, quote)

    def spent(self, currency: Currency) -> float:
        """What this account and those below it have spent, as its budget counts it (evaluation apart)."""
        with self.book._lock:
            return self.book._standing.spent(self.row, currency)

    def reserved(self, currency: Currency) -> float:
        """What is promised to open reservations of this account and those below it."""
        with self.book._lock:
            return self.book._standing.reserved(self.row, currency)

    def remaining(self) -> dict[Currency, float]:
        """What may still be reserved here, by currency, over this budget and all above it; unlimited ones left out."""
        with self.book._lock:
            return self.book._standing.remaining(self.row)


@final
class Reservation:
    """A promised amount for one operation. End it with :meth:`settle` or :meth:`fail`, or use it in a ``with`` block.

    Leaving the block by an exception books a failure of unknown extent, its whole quote.
    """

    def __init__(self, account: Account, row: int, operation: str, quote: Cost) -> None:
        self.account, self.row, self.operation, self.quote = account, row, operation, quote
        self._ended = False

    def settle(self, actual: Cost, *, later: bool = False) -> None:
        """Book that the work is done and took ``actual``. With ``later``, see :meth:`Book.flush`: until then a death
        of the process leaves it charged at its whole quote.

        Raises OverrunError where that is above the quote; the charge is booked in full nevertheless.
        """
        over = overruns(self.quote, actual)
        self._end(Settled(reservation=self.row, cost=actual, overrun=over), actual, later=later)

    def fail(self, error: BaseException | str, done: Cost | None = None, *, later: bool = False) -> None:
        """Book that the work failed after ``done``; where that is None, its whole quote is charged."""
        charged = self.quote if done is None else done
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        text = text.encode("utf-8", "replace").decode("utf-8")[:LONGEST_ERROR]
        over = overruns(self.quote, charged)
        self._end(Failed(reservation=self.row, cost=charged, error=text, overrun=over), charged, later=later)

    def _end(self, event: Settled | Failed, actual: Cost, *, later: bool) -> None:
        with self.account.book._lock:
            if self._ended:
                raise ValueError(f"{self.operation} (row {self.row}) is already settled; a charge is booked once")
            self.account.book._record(event, later=later)
            self._ended = True
        if event.overrun:
            currency = event.overrun[0]
            quoted, took = self.quote.amount(currency) or 0.0, actual.amount(currency) or 0.0
            raise OverrunError(self.account.title, self.operation, currency.value, quoted, took)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if error is not None:
            self.fail(error)
            return
        self.fail("the block ended without settling")
        raise ValueError(f"{self.operation} (row {self.row}) was left without settling; its whole quote is charged")
