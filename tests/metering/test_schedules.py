"""Random schedules of quotes, failures and concurrent reservations: no budget is exceeded, every charge is found."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netgain.errors import BudgetExceeded, OverrunError
from netgain.metering.account import Account, Book
from netgain.metering.budget import ROUNDING, Standing
from netgain.metering.ledger import OUTSIDE_THE_BUDGET, sum_up
from netgain.metering.verification import replay, verify
from netgain.records.chain import read
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Failed, Settled

End = Literal["settle", "overrun", "fail", "fail whole", "leave open", "discard"]


@dataclass(frozen=True)
class Step:
    account: int
    quote: float
    part: float
    end: End


@dataclass(frozen=True)
class Schedule:
    root: float
    children: tuple[float | None, ...]
    threads: tuple[tuple[Step, ...], ...]


AMOUNTS = st.integers(0, 60).map(float) | st.floats(0, 60)
STEPS = st.builds(
    Step,
    account=st.integers(0, 3),
    quote=AMOUNTS,
    part=st.floats(0, 1),
    end=st.sampled_from(["settle"] * 4 + ["fail", "fail whole", "leave open", "discard", "overrun"]),
)
SCHEDULES = st.builds(
    Schedule,
    root=AMOUNTS.map(lambda amount: amount * 3),
    children=st.tuples(*[st.none() | AMOUNTS] * 3),
    threads=st.lists(st.lists(STEPS, max_size=8).map(tuple), min_size=1, max_size=3).map(tuple),
)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - no disk has to wait for ten thousand schedules
PURPOSES = (Purpose.ADAPT, Purpose.SCORE, Purpose.LEARN)


def open_accounts(book: Book, schedule: Schedule) -> list[Account]:
    """Three children of one budget with their own limits, and one for evaluation."""
    root = book.account("arm", arm="a", seed=0, limit=Cost(flops=schedule.root))
    limits = [Cost() if limit is None else Cost(flops=limit) for limit in schedule.children]
    children = [
        root.child(f"p{number}", purpose=purpose, limit=limit)
        for number, (purpose, limit) in enumerate(zip(PURPOSES, limits, strict=True))
    ]
    return [*children, root.under(Purpose.EVALUATE)]


def take(book: Book, account: Account, step: Step, mine: dict[int, tuple[str, float]]) -> None:
    """One step; what was charged for it goes into ``mine`` by its row: outcome and amount."""
    try:
        reservation = account.reserve("step", Cost(flops=step.quote))
    except BudgetExceeded:
        return
    part = step.quote * step.part
    mine[reservation.row] = ("open", step.quote)
    if step.end in ("settle", "discard"):
        reservation.settle(Cost(flops=part))
        mine[reservation.row] = ("completed", part)
        if step.end == "discard":
            book.discard([reservation], "rejected")
    elif step.end == "overrun":
        with pytest.raises(OverrunError):
            reservation.settle(Cost(flops=step.quote + 1))
        mine[reservation.row] = ("completed", step.quote + 1)
    elif step.end.startswith("fail"):
        reservation.fail("failed", Cost(flops=part) if step.end == "fail" else None)
        mine[reservation.row] = ("failed", part if step.end == "fail" else step.quote)


def run(path: Path, schedule: Schedule) -> dict[int, tuple[str, float]]:
    """Run the schedule, its threads at the same time; every charge that the threads know of, by row."""
    books: list[dict[int, tuple[str, float]]] = [{} for _ in schedule.threads]
    with Book.open(path) as book:
        accounts = open_accounts(book, schedule)

        def work(steps: tuple[Step, ...], mine: dict[int, tuple[str, float]]) -> None:
            for step in steps:
                take(book, accounts[step.account], step, mine)

        run_together([lambda s=steps, m=mine: work(s, m) for steps, mine in zip(schedule.threads, books, strict=True)])  # type: ignore[misc]
        book.flush()
        assert replay(read(path).records) == (book._standing, None)
    return {row: charge for mine in books for row, charge in mine.items()}


def run_together(jobs: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def check_budgets(path: Path) -> None:
    """After every single row, each budget holds, but for what a recorded overrun took beyond its reservation."""
    standing, beyond = Standing(), dict[int, float]()
    for record in read(path).records:
        event = record.event
        standing.apply(record.seq, event)
        if isinstance(event, Settled | Failed) and event.overrun:
            charge = standing.charges[event.reservation]
            for row in standing.payers(charge.account):
                beyond[row] = beyond.get(row, 0.0) + (charge.cost.flops or 0) - (charge.quote.flops or 0)
        for row, opened in standing.accounts.items():
            if opened.limit.flops is not None:
                used = standing.spent(row, Currency.FLOPS) + standing.reserved(row, Currency.FLOPS)
                assert used <= (opened.limit.flops + beyond.get(row, 0.0)) * (1 + ROUNDING)


def check(schedule: Schedule) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "j"
        mine = run(path, schedule)
        seen = verify(path)
        assert seen.ok, str(seen)
        assert {c.reservation: (c.outcome, c.cost.flops) for c in seen.charges} == mine
        check_budgets(path)
        amount = sum(flops for _, flops in mine.values())
        assert seen.totals.spent.flops == pytest.approx(amount)
        by_purpose = [sum_up(c for c in seen.charges if c.purpose is purpose) for purpose in Purpose]
        assert sum(part.spent.flops or 0 for part in by_purpose) == pytest.approx(amount)
        with Book.open(path) as book:
            (root,) = (row for row, opened in book._standing.accounts.items() if opened.parent is None)
            inside = sum_up(c for c in book.charges() if c.purpose not in OUTSIDE_THE_BUDGET).spent.flops
            assert book._standing.spent(root, Currency.FLOPS) == pytest.approx(inside)
        assert verify(path).open == ()


def schedules(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks, database=None)


@schedules(150)
@given(SCHEDULES)
def test_no_budget_is_exceeded_and_every_charge_is_found_again(schedule: Schedule) -> None:
    check(schedule)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@schedules(10_000)
@given(SCHEDULES)
def test_over_ten_thousand_schedules_no_budget_is_exceeded(schedule: Schedule) -> None:
    check(schedule)


@schedules(60)
@given(st.lists(AMOUNTS, min_size=1, max_size=12), AMOUNTS)
def test_a_reservation_is_refused_exactly_when_there_is_no_room(quotes: list[float], limit: float) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, Book.open(Path(folder) / "j") as book:
        account = book.account("a", purpose=Purpose.ADAPT, limit=Cost(flops=limit))
        used, refused = 0.0, list[tuple[BudgetExceeded, float, float]]()
        for quote in quotes:
            try:
                account.reserve("x", Cost(flops=quote))
            except BudgetExceeded as refusal:
                assert used + quote > limit
                refused.append((refusal, used, quote))
            else:
                used = used + quote
                assert used <= limit
        for refusal, reserved, quote in refused:
            assert (refusal.budget, refusal.reserved, refusal.asked) == (limit, pytest.approx(reserved), quote)
