"""Launch: every unit that is not finished yet, in this process or in several, until all are; then the rows.

A unit that raises, or whose process dies, is recorded as failed, and the rest goes on. Whatever stops a launch, the
next one goes on where it was.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import netgain
from netgain.domains.problem import Split
from netgain.records.provenance import RunSetup, SampleQuestion
from netgain.strict_yaml import SourceLines
from netgain.trials.narrow import FindDomain, FindMethod, Trial, check_problems, narrow
from netgain.trials.progress import Progress
from netgain.trials.spec import TrialSpec
from netgain.trials.store import Finished, Store, locked_form, unit_identity
from netgain.trials.unit import Unit, units
from netgain.trials.work import (
    Load,
    LoadJudge,
    Order,
    Told,
    Workshop,
    digests_of,
    load,
    load_judge,
    open_shop,
    perform,
    settings_of,
)
from netgain.trials.workers import Workers

Show = Callable[[Progress], None]


@final
@dataclass(frozen=True, slots=True)
class Launched:
    """How a launch ended: what is finished, and the units that failed, with the reason."""

    folder: Path
    finished: tuple[Unit, ...]
    failed: Mapping[str, str]
    repeated: int = 0

    @property
    def complete(self) -> bool:
        """Whether all units are finished."""
        return not self.failed


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plant:
    """How to make a workshop, in this process or another: everything here can be sent there."""

    spec: TrialSpec
    folder: Path
    find_method: FindMethod
    find_domain: FindDomain
    device: str = "auto"
    load: Load = load
    load_judge: LoadJudge = load_judge
    places: SourceLines = field(default_factory=lambda: SourceLines("trial"))

    def open(self) -> Workshop:
        """The workshop of this process."""
        trial = narrow(self.spec, self.places, self.find_method, self.find_domain)
        return open_shop(trial, Store(self.folder), self.device, self.load, self.load_judge)


def launch(plant: Plant, *, jobs: int = 1, show: Show = lambda progress: None) -> Launched:
    """Do what is left of a trial and assemble its rows.

    Raises InputError where another trial was begun in the folder; KeyboardInterrupt passes through, and what is done
    stays.
    """
    trial = narrow(plant.spec, plant.places, plant.find_method, plant.find_domain)
    check_problems(trial, plant.places)
    ledger = _Ledger(trial, Store(plant.folder), show)
    before = ledger.store.locked()
    if before is not None:
        ledger.lock({name: str(value) for name, value in before.items() if name.endswith("_digest")})
    if before is None or ledger.left():
        hands = _InProcess(plant) if jobs <= 1 else Workers(plant.open, jobs)
        try:
            ledger.lock(hands.digests())
            if ledger.store.setup() is None:
                ledger.store.describe(setup_of(trial))
            _work(ledger, hands)
        finally:
            hands.close()
    finished = tuple(unit for unit in ledger.units if unit.name in ledger.finished)
    ledger.store.assemble(finished)
    ledger.tell(ended=True)
    return Launched(plant.folder, finished, ledger.failed, ledger.repeated)


def setup_of(trial: Trial) -> RunSetup:
    """The circumstances of a run that begins now; the questions shown are of problems that no exam holds."""
    spec, shown = trial.spec, []
    for name, domain in trial.domains.items():
        split: Split = "development" if spec.problems.development else "train"
        first = next(iter(domain.problems(split, spec.problems.development or spec.problems.train, spec.seed)), None)
        asked = [] if first is None else sorted(first.questions, key=lambda one: one.kind != spec.compare.exam)
        if first is not None and asked:
            passage, answer = first.material.text, asked[0].answers[0]
            shown.append(SampleQuestion(setting=name, question=asked[0].text, answer=answer, passage=passage))
    hardware = f"{os.cpu_count()} CPU cores ({platform.machine()}, {platform.system()})"
    return RunSetup(questions=tuple(shown), hardware=hardware, date=time.strftime("%Y-%m-%d"))


def _work(ledger: "_Ledger", hands: "_InProcess | Workers") -> None:
    """Hand out units as they may begin and hands are free, and take in what is told, until nothing is left."""
    while True:
        while hands.free and (order := ledger.next()) is not None:
            ledger.begun.add(order.unit.name)
            hands.give(order)
        if not hands.busy:
            return
        hands.listen(ledger.take)


@final
class _Ledger:
    """Which units are finished, begun and failed, and what may begin next."""

    def __init__(self, trial: Trial, store: Store, show: Show) -> None:
        self.trial, self.store, self._show = trial, store, show
        self.units: Sequence[Unit] = units(trial.spec)
        self.finished: dict[str, Finished] = {}
        self.failed: dict[str, str] = {}
        self.begun: set[str] = set()
        self.repeated = 0
        self._locked: dict[str, Any] = {}
        self._progress = Progress(trial, self.units)

    def lock(self, digests: Mapping[str, str]) -> None:
        """Fix what was asked, and look up what is finished."""
        form = locked_form(self.trial, netgain.__version__, digests)
        self.store.lock(form)
        if self._locked:
            return
        self._locked = self.store.locked() or form
        for unit in self.units:
            found = self.store.finished(unit, self._identity(unit)) if self._may_begin(unit) else None
            if found is not None:
                self.finished[unit.name] = found
                self._progress.finish(unit, _matched(found, self.trial), now=False)
        self.repeated = len(self.finished)
        self.tell()

    def left(self) -> bool:
        """Whether anything is not finished."""
        return len(self.finished) < len(self.units)

    def next(self) -> Order | None:
        """The next unit that may begin; None where there is none now."""
        for unit in self.units:
            if unit.name in self.begun or unit.name in self.finished or unit.name in self.failed:
                continue
            tuning = _tuning(unit)
            if tuning is not None and tuning.name in self.failed:
                self.failed[unit.name] = f"its tuning failed: {self.failed[tuning.name]}"
            elif self._may_begin(unit):
                return Order(unit, self._identity(unit), self._tuned(unit))
        return None

    def take(self, told: Told) -> None:
        """Take in what was told of a unit."""
        name = told.unit.name
        if told.finished is not None:
            self.finished[name] = told.finished
            self._progress.finish(told.unit, _matched(told.finished, self.trial), now=True)
        elif told.error:
            self.failed[name] = told.error.strip().splitlines()[-1]
            self.store.fail(told.unit, told.error)
            self._progress.note = f"{name} failed: {self.failed[name]}"
        else:
            self._progress.tell(told.unit, told.done, told.spent)
        self.tell()

    def tell(self, *, ended: bool = False) -> None:
        """Show how far everything is."""
        self._progress.ended = ended
        self._show(self._progress)

    def _may_begin(self, unit: Unit) -> bool:
        tuning = _tuning(unit)
        return tuning is None or tuning.name in self.finished

    def _tuned(self, unit: Unit) -> dict[str, Any] | None:
        tuning = _tuning(unit)
        return None if tuning is None else self.finished[tuning.name].settings

    def _identity(self, unit: Unit) -> str:
        settings = settings_of(self.trial, unit, self._tuned(unit)).model_dump(mode="json")
        return unit_identity(self.trial, unit, settings, self._locked)


def _tuning(unit: Unit) -> Unit | None:
    return None if unit.stage == "tune" else Unit("tune", unit.domain, unit.arm)


def _matched(found: Finished, trial: Trial) -> float:
    currency = trial.spec.budget.currency.value
    return sum(amounts.get(currency, 0.0) for purpose, amounts in found.spent.items() if purpose != "evaluate")


@final
class _InProcess:
    """One pair of hands: this process itself."""

    def __init__(self, plant: Plant) -> None:
        self._shop = plant.open()
        self._order: Order | None = None

    def digests(self) -> dict[str, str]:
        """By content, the model, its teacher and its judge."""
        return digests_of(self._shop)

    @property
    def free(self) -> bool:
        """Whether an order can be given."""
        return self._order is None

    @property
    def busy(self) -> bool:
        """Whether an order is not done yet."""
        return self._order is not None

    def give(self, order: Order) -> None:
        """Take an order."""
        self._order = order

    def listen(self, take: Callable[[Told], None]) -> None:
        """Do the order, and tell how it goes and how it ended."""
        order, self._order = self._order, None
        if order is not None:
            take(perform(self._shop, order, take))

    def close(self) -> None:
        """Nothing is held."""


def suited(device: str) -> int:
    """How many processes suit a device: one a core, one alone on a GPU."""
    gpu = device.startswith("cuda") or (device == "auto" and Path("/proc/driver/nvidia").is_dir())
    return 1 if gpu else os.cpu_count() or 1
