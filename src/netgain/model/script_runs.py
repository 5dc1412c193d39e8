"""A script's process: started on a task file, waited for, held to what it booked, and booked here.

Before it starts, the whole of what it may spend is reserved: a run that is cut off is charged with that. The script
books what it does in a journal of its own (:mod:`netgain.model.script_task`); when it has ended, that journal is
verified, and every charge of it is copied into the book that pays, in one write with the end of the reservation. What
cannot be believed is charged with the whole budget: nobody knows what it took.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from netgain.errors import InputError, NetgainError, OverrunError
from netgain.metering.account import Account, Reservation
from netgain.metering.budget import Booking
from netgain.metering.ledger import sum_up
from netgain.metering.verification import verify
from netgain.model.early.sitecustomize import EARLY, HOME, WATCHED
from netgain.model.model_folder import saved_weights
from netgain.model.requests import RunScript
from netgain.model.script_task import FORMAT, JOURNAL, NAME, SEEN, TASK
from netgain.records.cost import Cost, Purpose
from netgain.records.events import Setting
from netgain.strict_json import parse_json

SLACK = 1e-12  # of a budget: sums of charges are added up in different orders
FREE_SHARE = 0.25  # of what it booked, in seconds: what a step takes beside the model's own work
LOOK = 0.02  # seconds between two looks whether it has ended
MOST_SEEN = 1 << 30  # bytes
LONGEST_LINE = 300
TRAINING = ("train", "backward")


@final
@dataclass(frozen=True, slots=True, eq=False)
class ScriptRun:
    """How a script's process ended. ``trouble`` says why nothing of it counts (empty: it counts), ``charges`` are the
    rows that paid for it, ``trained`` and ``written`` the tokens that its meter saw trained on and generated.

    ``product`` is whatever ``take`` made of its output.
    """

    trouble: str
    charges: tuple[int, ...]
    trained: tuple[tuple[int, ...], ...]
    written: tuple[tuple[int, ...], ...]
    cost: Cost
    product: Any = None


@final
@dataclass(frozen=True, slots=True)
class _Process:
    """A process that has ended: its exit code (None: it was stopped), and what it took, its children included."""

    code: int | None
    seconds: float
    processor: float


@final
@dataclass(frozen=True, slots=True)
class _Booked:
    """What a script's journal holds. ``doubt`` says why it is not to be believed."""

    charges: tuple[Booking, ...]
    doubt: str

    @property
    def seconds(self) -> float:
        """Of its charges."""
        return sum(charge.cost.seconds or 0.0 for charge in self.charges)


@final
@dataclass(frozen=True, slots=True)
class _Seen:
    """What a script's own watch saw: tokens trained on and generated, the weights when its meters came off (by
    content), and how often an optimizer stepped on others."""

    trained: tuple[tuple[int, ...], ...]
    written: tuple[tuple[int, ...], ...]
    weights: frozenset[str]
    unmetered: int


def run_script(request: RunScript, model: str, dtype: str, take: Callable[[Path], Any]) -> ScriptRun:
    """Run one script to its end and book it; ``model`` is what it loads, ``take`` reads its output folder.

    Raises BudgetExceeded and InputError before anything is started; whatever the script does wrong is in what is
    returned.
    """
    limit = _limit(request.account)
    with tempfile.TemporaryDirectory(prefix="netgain-script-") as made:
        folder = Path(made)
        output = folder / "output"
        output.mkdir()
        fields = dict(request.task) | {"model": model, "dtype": dtype, "budget": limit, "output": str(output)}
        _write_task(folder / "task.json", fields | {"format": FORMAT, "purpose": request.purpose.value})
        settings: dict[str, Setting] = {"command": " ".join(request.command), "time_limit": request.time_limit}
        whole = _pay(request.account, request.purpose).reserve("script", Cost(**limit), settings)
        before = _contents(request.account.book.journal.path.parent)
        process = _run(request, folder)
        seen = _seen(folder / SEEN, len([*folder.glob(f"{EARLY}-*")]))
        booked = _read_journal(folder / JOURNAL, limit)
        doubt = booked.doubt or _doubt(request, process, booked, seen) or _unseen(output, seen.weights)
        touched = _changed(before, _contents(request.account.book.journal.path.parent))
        trouble = _ended_badly(request, process, folder / "log") or doubt or touched
        product = None
        if not trouble:
            try:
                product = take(output)
            except NetgainError as error:
                trouble = f"what it wrote cannot be used: {error}" if any(output.iterdir()) else "it wrote nothing"
        rows = _book(request, whole, process, booked, trouble, believed=not doubt)
    paid = [one for one in request.account.book.charges(since=whole.row) if one.reservation in rows]
    return ScriptRun(trouble, rows, seen.trained, seen.written, sum_up(paid).spent, product)


def _limit(account: Account) -> dict[str, float]:
    """What may be spent, by currency: all of a budget that nothing was spent of, else what is left but for rounding."""
    own = account.opened.limit
    left = {name: (amount, own.amount(name) == amount) for name, amount in account.remaining().items()}
    if not left:
        raise InputError("a script", "needs a budget, and its account has no limit", "give the account one")
    return {name.value: amount if fresh else amount * (1 - SLACK) for name, (amount, fresh) in left.items()}


def _write_task(path: Path, fields: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(fields, ensure_ascii=False, indent=1), encoding="utf-8")


def _pay(account: Account, purpose: Purpose) -> Account:
    """As :meth:`netgain.methods.method.Desk.pay`: a purpose of the account's own (tuning) takes precedence."""
    return account.child(purpose.value, purpose=account.opened.purpose or purpose)


# -- the process


def _run(request: RunScript, folder: Path) -> _Process:
    """Start it in an empty folder and wait for its end, at most as long as it may take."""
    inside = folder / "work"
    inside.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PWD", "OLDPWD")}
    environment[TASK] = str(folder / "task.json")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))
    environment.pop(WATCHED, None)
    started = time.monotonic()
    with (folder / "log").open("wb") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command
                request.command,
                cwd=inside,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            log.write(str(error).encode())
            return _Process(127, 0.0, 0.0)
        return _wait(process, started, request.time_limit)


def _wait(process: "subprocess.Popen[bytes]", started: float, limit: float) -> _Process:
    stopped = False
    try:
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if not stopped and time.monotonic() - started > limit:
                stopped = True
                _stop(process.pid)
            time.sleep(LOOK)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        _stop(process.pid)  # what it left behind goes with it, and it does when this process is told to end
        if process.returncode is None:
            process.wait()
    code = None if stopped else process.returncode
    return _Process(code, time.monotonic() - started, used.ru_utime + used.ru_stime)


def _stop(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _ended_badly(request: RunScript, process: _Process, log: Path) -> str:
    if process.code is None:
        return f"it was stopped after its time_limit of {request.time_limit:g} seconds"
    if process.code == 0:
        return ""
    text = log.read_text(encoding="utf-8", errors="replace")
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
    return f"it ended with exit code {process.code}: {''.join(filter(str.isprintable, last))[:LONGEST_LINE]}"


# -- what it did


def _seen(path: Path, early: int) -> _Seen:
    """What a script wrote down of itself, with the processes in which an optimizer stepped before there was a task."""
    try:
        fields = parse_json(path.read_text(encoding="utf-8")) if path.stat().st_size <= MOST_SEEN else {}
        trained, written = (tuple(tuple(map(int, row)) for row in fields[name]) for name in ("trained", "written"))
        return _Seen(trained, written, frozenset(fields["weights"]), int(fields["unmetered"]) + early)
    except (OSError, ValueError, KeyError, TypeError):
        return _Seen((), (), frozenset(), early)


def _unseen(output: Path, weights: frozenset[str]) -> str:
    """Why what a script saved is not what its meter saw."""
    try:
        name = next((name for name, content in saved_weights(output) if content not in weights), None)
    except InputError as error:
        return str(error)
    remedy = "save the model as it is when the block of task.meter(model) ends"
    return "" if name is None else f"it saved weights that its meter did not see, such as {name}; {remedy}"


def _read_journal(path: Path, limit: Mapping[str, float]) -> _Booked:
    """The charges of a journal that holds, and was written for this budget."""
    if not path.is_file():
        return _Booked((), "")
    found = verify(path)
    if not found.ok:
        return _Booked((), f"its journal does not hold: {found.first_lie}")
    roots = [opened for opened in found.standing.accounts.values() if opened.parent is None]
    if [(root.name, root.limit) for root in roots] != [(NAME, Cost(**limit))]:
        return _Booked((), "its journal was written for another budget than the one it was given")
    if any(charge.purpose is Purpose.EVALUATE for charge in found.charges):
        return _Booked((), "it booked work as evaluation, which is the exam's alone")
    return _Booked(found.charges, "")


def _doubt(request: RunScript, process: _Process, booked: _Booked, seen: _Seen) -> str:
    """Why what a script booked is not all that it did."""
    beside = process.processor - booked.seconds
    if seen.unmetered:
        remedy = "call netgain.task() before anything is trained, and put task.meter(model) around all of it"
        return f"an optimizer stepped off its meter; {remedy}"
    if beside > request.startup + FREE_SHARE * booked.seconds:
        return (
            f"it worked {beside:.0f} processor seconds beside the {booked.seconds:.0f} seconds that it booked, more "
            f"than its startup = {request.startup:g} allows"
        )
    if booked.seconds > process.seconds + LOOK:
        return f"it booked {booked.seconds:.1f} seconds and ran for {process.seconds:.1f}"
    if process.code == 0 and not any(charge.outcome == "completed" for charge in booked.charges):
        return "it charged nothing: put task.meter(model) around its training"
    if not seen.trained and any(c.operation in TRAINING and c.cost.tokens_training for c in booked.charges):
        return "nobody saw what it trained on: use task.meter(model) or task.callback()"
    return ""


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    """What lies in the folder of the journal that pays, which is this process's alone while a script runs."""
    files = (path for path in folder.rglob("*") if not path.name.endswith("-shm"))
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
        if path.is_file()
    }


def _changed(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> str:
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return f"{names[0]} in the run's folder was written to while it ran" if names else ""


# -- booking


def _book(
    request: RunScript, whole: Reservation, process: _Process, booked: _Booked, trouble: str, *, believed: bool
) -> tuple[int, ...]:
    """End the reservation and copy the charges, as one write. What is not believed is charged with the whole budget."""
    rows = [whole.row]
    if not believed:
        whole.fail(trouble, replace(whole.quote, seconds=process.seconds))
        return tuple(rows)
    beside = max(0.0, process.seconds - booked.seconds)
    rest = replace(Cost.zero(), seconds=beside, joules=None, dollars=None)
    if trouble:
        whole.fail(trouble, rest, later=True)
    else:
        whole.settle(rest, later=True)
    rows += [row for charge in booked.charges for row in _copied(request, charge)]
    request.account.book.flush()
    if trouble:
        request.account.book.discard(rows, trouble[:LONGEST_LINE])
    return tuple(rows)


def _copied(request: RunScript, charge: Booking) -> Iterator[int]:
    """The same charge, paid here. What a dead process left open is charged at its quote, as everywhere."""
    paid = _pay(request.account, charge.purpose).reserve(charge.operation, charge.quote, {"script": True}, later=True)
    with contextlib.suppress(OverrunError):  # the row is marked
        if charge.outcome == "completed":
            paid.settle(charge.cost, later=True)
        else:
            paid.fail(charge.error or "its process ended before it did", charge.cost, later=True)
    yield paid.row
