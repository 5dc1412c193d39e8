"""Resuming at the grain of a paid operation: what a task's operations yielded, kept on disk until the task is finished.

Programs are deterministic, so an attempt that begins again asks for the same things in the same order. What an attempt
that was cut off already got is handed out from here: nothing runs, and the charge moves to the attempt that goes on
(:meth:`netgain.metering.account.Book.move`). So a kill costs the operations that were under way, and a resumed task has
the rows and the account of one that never stopped.

::

    kept/results.jsonl         a line for each operation that ended: what was asked (a hash), its quote, cost and result
    kept/<hash>.safetensors    the weights of a trained adapter, as long as anything in the process still holds it

The journal notes how many lines there are, and their hash: lines beyond that, or others than those, are not believed.
Adapters are deleted with the last reference to them: whatever used them has its result by then. What has no name here
(a model or an adapter that a script left, weights trained in full, merges) is done again, and paid again; adapters that
were merged are kept for it.
"""

import json
import os
import shutil
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from dataclasses import fields as fields_of
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from netgain.engine.jobs import Failure
from netgain.errors import FaultError
from netgain.metering.account import Account, Book, Reservation
from netgain.model.requests import (
    Adapter,
    Answered,
    Done,
    Generate,
    Merge,
    Product,
    Request,
    Score,
    Scored,
    Train,
    Trained,
    TrainFull,
    UnmeteredModel,
)
from netgain.records.cost import Cost

KEPT, RESULTS, NOTE = "kept", "results.jsonl", "results kept"
# Failures that another attempt would end in as well; memory, servers and devices may do better the next time.
CERTAIN = frozenset({"empty", "bad_prompt", "too_long", "bad_token", "no_labels", "not_finite"})


@final
@dataclass(frozen=True, slots=True)
class KeptResult:
    """One operation that an earlier attempt paid for: the row of its charge, its quote and cost, what came of it."""

    row: int
    quote: Cost
    cost: Cost
    product: dict[str, Any] | None
    failure: Failure | None
    estimated: str


@final
class Replay:
    """The results that one task has paid for, in the folder ``kept`` beside its journal. Close it, or use ``with``.

    Closing leaves everything for the next attempt; :meth:`remove` is for a task that is finished.
    """

    def __init__(self, folder: Path, book: Book) -> None:
        self._folder, self._book, self._closed = folder, book, False
        self._names: dict[int, str] = {}  # of adapters, by id() while they live
        self._hollow: set[int] = set()  # whose weights are gone
        self._merged: set[str] = set()  # whose weights every attempt needs again
        self._times: Counter[str] = Counter()
        self._before: dict[str, KeptResult] = {}
        self._hash, self._lines, self._noted = sha256(), 0, 0
        kept = self._believed()
        for line in kept:
            fields = json.loads(line)
            self._take(line)
            failure = None if fields["failure"] is None else Failure(**fields["failure"])
            quote, cost = Cost(**fields["quote"]), Cost(**fields["cost"])
            self._before[fields["key"]] = KeptResult(
                fields["row"], quote, cost, fields["product"], failure, fields["estimated"]
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / RESULTS).open("ab")
        self._file.truncate(sum(map(len, kept)))  # what nobody noted

    def _believed(self) -> list[bytes]:
        """The lines that the journal's last note stands for; none where they are others."""
        noted, path = self._book.noted(NOTE), self._folder / RESULTS
        if noted is None or not path.is_file():
            return []
        lines = path.read_bytes().splitlines(keepends=True)[: noted["lines"]]
        return lines if sha256(b"".join(lines)).hexdigest() == noted["sha256"] else []

    def _take(self, line: bytes) -> None:
        self._hash.update(line)
        self._lines += 1

    # -- what is asked

    def names(self, model: str, requests: Sequence[Request]) -> list[str]:
        """What each request asks, as a hash over the model, its adapter, the account that pays and all settings.

        Behind it stands how often that was asked before (:meth:`count`). Empty where the model, or an adapter, has no
        name here or the account stands in another book.
        """
        found, beside = list[str](), Counter[str]()
        for request in requests:
            adapter = _start(request)
            named = "none" if adapter is None else self._names.get(id(adapter), "")
            states = isinstance(request, Score) and request.hidden  # too many to keep: they are computed again
            if not model or not named or states or request.account.book is not self._book:
                found.append("")
                continue
            asked = [type(request).__name__, model, named, _path(request.account), _asked(request)]
            if isinstance(request, Merge):
                self._merged.add(named)
            key = sha256(json.dumps(asked, default=_plain).encode()).hexdigest()
            beside[key] += 1
            found.append(f"{key}.{self._times[key] + beside[key]}")
        return found

    def count(self, names: Sequence[str]) -> None:
        """These were asked: the same words mean something else from now on."""
        self._times.update(name.partition(".")[0] for name in names if name)

    def name(self, adapter: Adapter, name: str) -> None:
        """From now on, and as long as it lives, this adapter is known by that name."""
        self._names[id(adapter)] = name
        weakref.finalize(adapter, self._forget, id(adapter), name).atexit = False

    def _forget(self, number: int, name: str) -> None:
        self._names.pop(number, None)
        self._hollow.discard(number)
        if not self._closed and name not in self._merged:
            self._weights(name).unlink(missing_ok=True)

    def _weights(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode()).hexdigest()[:24]}.safetensors"

    # -- what was got

    def found(self, name: str) -> KeptResult | None:
        """What an earlier attempt got for what is asked by this name."""
        return self._before.get(name)

    def done(self, place: int, name: str, kept: KeptResult, backend: UnmeteredModel) -> Done:
        """The same result as it was reported then, for the request at ``place``."""
        product: Product | None = None
        fields = dict(kept.product or {})
        kind = fields.pop("kind", None)
        if kind == "answered":
            product = Answered(**fields | {"ids": tuple(fields["ids"])})
        elif kind == "scored":
            product = Scored(**fields | {"each": tuple(fields["each"])})
        elif kind == "trained":
            adapter = None
            if fields["adapter"] is not None:
                adapter = backend.kept_adapter(fields["adapter"], self._weights(name))
                self.name(adapter, name)
                if not fields["whole"] and not self._weights(name).is_file():
                    self._hollow.add(id(adapter))
            product = Trained(fields["key"], adapter, tuple(fields["losses"]), tuple(fields["clipped"]))
        return Done(place, product, None, kept.failure, kept.estimated)

    def require_whole(self, requests: Sequence[Request]) -> None:
        """Raise FaultError where one of these, which are to run, needs an adapter that is no longer there.

        It was thrown away after its last use; that it is used again means that the attempts do not ask for the same.
        """
        if any(id(_start(request)) in self._hollow for request in requests):
            self.remove()
            raise FaultError(
                str(self._folder),
                "an attempt that was cut off asked for something else than this one, so its results are no use",
                "run it again, and it begins afresh; a method draws by its desk, not by a clock or streams of its own",
            )

    def keep(self, name: str, reservation: Reservation, cost: Cost, done: Done, backend: UnmeteredModel) -> None:
        """Write down what came of an operation; what was found again too, with the row that it is charged in now."""
        if not name or done.again or (done.failure is not None and done.failure.kind not in CERTAIN):
            return
        before = self._before.get(name)
        product = before.product if before is not None else self._written(name, done.product, backend)
        if product is None and done.product is not None:
            return
        fields = {
            "key": name,
            "row": reservation.row,
            "quote": reservation.quote.known(),
            "cost": cost.known(),
            "product": product,
            "failure": None if done.failure is None else asdict(done.failure),
            "estimated": done.estimated,
        }
        line = json.dumps(fields).encode() + b"\n"
        self._file.write(line)
        self._take(line)

    def _written(self, name: str, product: Product | None, backend: UnmeteredModel) -> dict[str, Any] | None:
        """A product as JSON values, an adapter's weights in a file beside; None for what is not kept."""
        if isinstance(product, Answered):
            return {"kind": "answered", **asdict(product)}
        if isinstance(product, Scored):
            return {"kind": "scored", **asdict(product)}
        if not isinstance(product, Trained):
            return None
        fields: dict[str, Any] = {"kind": "trained", "key": product.key, "adapter": None, "whole": True}
        fields |= {"losses": product.losses, "clipped": product.clipped}
        if product.adapter is not None:
            file = self._weights(name)
            fields["adapter"] = backend.keep_adapter(product.adapter, file)
            fields["whole"] = not file.is_file()  # all that there is stands in the line
            self.name(product.adapter, name)
        return fields

    def note(self) -> None:
        """Have the journal stand for what was written, with the next rows that it writes."""
        if self._lines == self._noted:
            return
        self._noted = self._lines
        self._file.flush()
        os.fsync(self._file.fileno())
        self._book.note(NOTE, {"lines": self._lines, "sha256": self._hash.hexdigest()})

    def close(self) -> None:
        """Leave everything for the next attempt: adapters that go with this process keep their weights here."""
        self._closed = True
        self._file.close()

    def remove(self) -> None:
        """Delete everything: the task is finished, or nothing of it is to be found again."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@final
class Known:
    """What of a batch an earlier attempt has paid for, by place, and the places of the ``rest``, which are to run."""

    def __init__(self, replay: Replay | None, names: Sequence[str], requests: Sequence[Request]) -> None:
        self._replay, self._names = replay, names
        found = {place: replay.found(name) for place, name in enumerate(names)} if replay else {}
        self.kept: dict[int, KeptResult] = {place: kept for place, kept in found.items() if kept is not None}
        self.rest = [place for place in range(len(requests)) if place not in self.kept]
        if replay is not None:
            replay.require_whole([requests[place] for place in self.rest])

    def done(self, place: int, backend: UnmeteredModel) -> Done:
        """What was reported then."""
        if self._replay is None:
            raise ValueError("nothing is known from before")
        return self._replay.done(place, self._names[place], self.kept[place], backend)

    def keep(self, done: Done, reservation: Reservation, cost: Cost, backend: UnmeteredModel) -> None:
        """Have it found again, if this attempt is cut off too."""
        if self._replay is not None:
            self._replay.keep(self._names[done.request], reservation, cost, done, backend)

    def note(self) -> None:
        """Have the journal stand for all that was kept."""
        if self._replay is not None:
            self._replay.note()


def _start(request: Request) -> Adapter | None:
    if isinstance(request, Train):
        return request.start
    return None if isinstance(request, TrainFull) else request.adapter


def _path(account: Account) -> list[list[Any]]:
    """The account and those above it but for the root, which is the attempt's."""
    return [[one.name, one.arm, one.seed, one.purpose] for one in account.lineage[:-1]]


def _asked(request: Request) -> Any:
    if isinstance(request, Generate):
        sampling = asdict(request.sampling)
        return [_plain(request.prompt), {name: value for name, value in sampling.items() if name != "form" or value}]
    if isinstance(request, Score):
        return [_plain(request.prompt), request.continuation]
    return None if isinstance(request, Merge) else _plain(request.job)


def _plain(value: Any) -> Any:
    """Prompts, jobs and what is in them as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields_of(value)}  # not copied: a job is all its tokens
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    return list(value)  # sequences of tokens, masks: whatever can be gone through
