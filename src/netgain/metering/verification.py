"""Verification: whether a journal can be believed, from its bytes up to its totals, and the first row that lies."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from netgain.errors import NetgainError
from netgain.metering.budget import Booking, Standing
from netgain.metering.ledger import Totals, sum_up
from netgain.records.chain import ROOT, Damage, JournalRow, Scan, scan
from netgain.records.events import Began
from netgain.records.journal import writer_of


@final
@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` found. ``findings`` are lies, in order; ``ok`` says that there are none.

    ``rows`` is how many rows are trusted, ``head`` the hash of the last of them: keep it elsewhere and give it to
    ``verify(path, head=...)`` later, and not even a rewritten file passes. ``standing`` is the state of the accounts
    after the trusted rows, ``charges`` and ``totals`` what they add up to. ``open`` are reservations without an end:
    running while there is a ``writer``, else left by a dead one and charged at their quotes. Of the trusted rows,
    ``began`` counts the writers, ``first`` is when the first was written (seconds since 1970), ``last`` are the last
    two, and ``seen`` the hashes that were looked for and are there.
    """

    path: str
    rows: int
    head: str
    findings: tuple[Damage, ...]
    untrusted: int
    standing: Standing
    totals: Totals
    writer: str | None
    began: int = 0
    first: float | None = None
    last: tuple[JournalRow, ...] = ()
    seen: frozenset[str] = frozenset()

    @property
    def charges(self) -> tuple[Booking, ...]:
        return tuple(self.standing.charges.values())

    @property
    def open(self) -> tuple[Booking, ...]:
        return self.standing.open_reservations()

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def useful(self) -> Totals:
        """The part that completed and whose results were not thrown away."""
        return sum_up(charge for charge in self.charges if charge.useful)

    @property
    def lost(self) -> Totals:
        """The part that a dead writer left, charged at its quotes: a bound."""
        return sum_up(charge for charge in self.charges if charge.outcome in ("lost", "open"))

    @property
    def first_lie(self) -> Damage | None:
        """The first finding, in the order of the rows, None if there is none."""
        return self.findings[0] if self.findings else None

    def summary(self) -> dict[str, Any]:
        """What was found, as plain JSON values; unknown amounts are left out."""
        return {
            "path": self.path,
            "ok": self.ok,
            "rows": self.rows,
            "untrusted_rows": self.untrusted,
            "head": self.head,
            "findings": [{"row": finding.row, "problem": finding.problem} for finding in self.findings],
            "writer": self.writer,
            "charges": len(self.charges),
            "open": len(self.open),
            "spent": self.totals.spent.known(),
            "spent_at_least": self.totals.at_least.known(),
            "useful": self.useful.spent.known(),
            "lost": self.lost.spent.known(),
        }

    def __str__(self) -> str:
        if self.findings:
            return f"{self.path}: not verified: {self.findings[0]} ({self.rows} rows before it hold)"
        left = f", {len(self.open)} without an end ({self.writer or 'their writer is gone'})" if self.open else ""
        return f"{self.path}: verified: {self.rows} rows, {len(self.charges)} charges{left}, head {self.head[:16]}"


def verify(path: Path | str, *, head: str | None = None) -> Verification:
    """Check every number, hash, event, budget and total of the journal at ``path``, from the first row to the last.

    ``head`` is the hash of the last row as it was published before (the journal may have grown since). Never changes
    the file and never raises for what is in it; raises OSError where it may not be read.

    The ``-wal`` file that a killed writer leaves is part of the journal. Deleting it, or putting an older copy of the
    whole journal in its place, gives a journal that was true once: only a published ``head`` tells.
    """
    return verify_scan(scan(path), str(path), head=head, writer=writer_of(Path(path).resolve()))


def verify_scan(
    rows: Scan, path: str, *, head: str | None = None, writer: str | None = None, wanted: Collection[str] = ()
) -> Verification:
    """The same for a journal wherever its rows are kept, read once and row by row; ``path`` is only what it is called.

    ``wanted`` are hashes of rows that are looked for.
    """
    standing, contradiction = Standing(), None
    trusted, began, last, first = 0, 0, tuple[JournalRow, ...](), None
    looked_for, seen = {*wanted, *([] if head is None else [head])}, set[str]()
    for record in rows:
        contradiction = contradiction or _applied(standing, record)
        if contradiction is None:
            first = record.at if first is None else first
            trusted, last, began = trusted + 1, (*last[-1:], record), began + isinstance(record.event, Began)
            if record.hash in looked_for:
                seen.add(record.hash)
    findings = rows.findings if contradiction is None else (contradiction, *rows.findings)
    if head is not None and head not in seen:
        findings += (Damage(None, f"no row has the published hash {head}: the journal was rewritten or cut off"),)
    return Verification(
        path=path,
        rows=trusted,
        head=last[-1].hash if last else ROOT,
        findings=findings,
        untrusted=rows.untrusted + rows.count - trusted,
        standing=standing,
        totals=sum_up(standing.charges.values()),
        writer=writer,
        began=began,
        first=first,
        last=last,
        seen=frozenset(seen),
    )


def _applied(standing: Standing, record: JournalRow) -> Damage | None:
    """Take in a row; what it contradicts, if anything."""
    try:
        if record.seq == 0 and not isinstance(record.event, Began):
            return Damage(0, "a journal begins with the writer that began it")
        standing.apply(record.seq, record.event)
    except (ValueError, NetgainError) as problem:
        return Damage(record.seq, str(problem))
    return None


def replay(records: Iterable[JournalRow]) -> tuple[Standing, Damage | None]:
    """The state after the rows that do not contradict those before them, and the first one that does."""
    standing = Standing()
    for record in records:
        if (contradiction := _applied(standing, record)) is not None:
            return standing, contradiction
    return standing, None
