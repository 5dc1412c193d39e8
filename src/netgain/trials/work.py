"""Doing one unit: open its journal, run it, write its rows. Also what a worker needs to begin: model and teacher."""

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import netgain
from netgain import model as door
from netgain.domains.domain import Domain
from netgain.errors import InputError
from netgain.exam.llm_judge import Judge
from netgain.metering.account import Book
from netgain.methods.method import Settings, Teacher
from netgain.methods.taught import ModelTeacher, OracleTeacher
from netgain.model.metered import Model
from netgain.model.prices import TokenPrices
from netgain.records.identity import identity
from netgain.records.samples import Row
from netgain.trials import bill
from netgain.trials.bench import Bench, Tell
from netgain.trials.narrow import Trial
from netgain.trials.run import run_arm
from netgain.trials.spec import TrialSpec
from netgain.trials.store import Finished, Store
from netgain.trials.tune import tune_arm
from netgain.trials.unit import Unit
from netgain.trials.witness import sealed

SHIPPED = "shipped"
ORACLE = "oracle"
FOLDER = Path(netgain.__file__).parent / "shipped" / "people"
Load = Callable[[TrialSpec, str], Model]
LoadJudge = Callable[[TrialSpec, str], Model | None]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Workshop:
    """What a process works with, made once: the trial, the model, the teacher's and the judge's where there are any."""

    trial: Trial
    store: Store
    model: Model
    taught_by: Model | None = None
    judge: Judge | None = None


def load(spec: TrialSpec, device: str) -> Model:
    """The trial's model. Raises InputError where there is none."""
    source = FOLDER if spec.model == SHIPPED else spec.model
    if spec.model == SHIPPED and not FOLDER.is_dir():
        raise InputError("model 'shipped'", "is missing from this installation", "install netgain again")
    model: Model = door.load_model(source, device=device, dtype=spec.dtype)
    return model


def load_teacher(spec: TrialSpec, device: str) -> Model | None:
    """The teacher's model; None where the teacher is the domain's own writer, or nobody."""
    if spec.teacher is None or spec.teacher == ORACLE:
        return None
    if isinstance(spec.teacher, str):
        raise InputError(f"teacher {spec.teacher!r}", "is not known", "write oracle, or a mapping with model")
    return load_other("teacher", spec.teacher, device)


def load_judge(spec: TrialSpec, device: str) -> Model | None:
    """The judge's model; None where nobody judges."""
    return None if spec.judge is None else load_other("judge", spec.judge, device)


def load_other(name: str, fields: Mapping[str, Any], device: str) -> Model:
    """A model beside the trial's own: in a folder or of a hub name (``model``), or at a server (``url`` as well)."""
    rest = dict(fields)
    if "model" not in rest:
        raise InputError(name, "names no model", "write model: FOLDER, or url: and model:")
    source, url = rest.pop("model"), rest.pop("url", None)
    try:
        if url is None:
            local: Model = door.load_model(source, device=device, **rest)
            return local
        prices = TokenPrices(**rest.pop("prices", {}))
        remote: Model = door.remote_model(source, base_url=url, prices=prices, **rest)
    except TypeError as problem:
        raise InputError(name, f"has a field that is not known ({problem})") from None
    else:
        return remote


def open_shop(
    trial: Trial, store: Store, device: str, load: Load = load, load_judge: LoadJudge = load_judge
) -> Workshop:
    """Load what the trial needs. Arithmetic runs on one thread of a CPU, so that the same work gives the same bytes."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
        os.environ.setdefault(name, "1")
    spec = trial.spec
    asked = load_judge(spec, device)
    judge = None if asked is None else Judge(asked, decides=spec.grades == "judge")
    return Workshop(trial, store, load(spec, device), load_teacher(spec, device), judge)


def _teacher(shop: Workshop, domain: Domain) -> Teacher | None:
    """Whoever teaches in a domain; nothing that it holds leads to the domain's questions."""
    if shop.taught_by is not None:
        fields = shop.trial.spec.teacher
        chat = isinstance(fields, dict) and "url" in fields
        return ModelTeacher(shop.taught_by, chat=chat)
    return OracleTeacher(sealed(domain.oracle)) if shop.trial.spec.teacher == ORACLE else None


def settings_of(trial: Trial, unit: Unit, tuned: Mapping[str, Any] | None) -> Settings:
    """The settings that a unit starts from: those its arm was tuned to, or those it was given."""
    given = trial.arms[unit.arm].settings
    return given if tuned is None else type(given).model_validate(tuned)


def execute(shop: Workshop, unit: Unit, identity: str, settings: Settings, tell: Tell) -> Finished:
    """Do a unit and write down what came of it. What an earlier attempt was charged stays in the journal as lost."""
    attempt = shop.store.attempts(unit) + 1
    domain, currency = shop.trial.domains[unit.domain], shop.trial.spec.budget.currency
    with Book.open(shop.store.journal(unit), software=f"netgain {netgain.__version__}") as book:
        bench = Bench(
            spec=shop.trial.spec,
            unit=unit,
            domain=domain,
            model=shop.model,
            book=book,
            attempt=attempt,
            teacher=_teacher(shop, domain),
            models=() if shop.taught_by is None else (shop.taught_by,),
            judge=shop.judge,
            tell=tell,
        )
        lost = bill.lost(book, bench.root, currency)
        rows, chosen = _rows(shop, bench, settings)
        charges = book.charges()
        spent = {purpose.value: found for purpose, found in bill.by_purpose(charges, currency).items()}
        seconds = bill.seconds(charges)
    found = Finished(
        identity=identity,
        settings=chosen.model_dump(mode="json"),
        attempts=attempt,
        spent=spent,
        seconds=seconds,
        lost=dict(lost),
        head=book.journal.head,
    )
    shop.store.finish(unit, rows, found)
    return found


def _rows(shop: Workshop, bench: Bench, settings: Settings) -> tuple[list[Row], Settings]:
    arm = shop.trial.arms[bench.unit.arm]
    if bench.unit.stage == "tune":
        row, chosen = tune_arm(bench, replace(arm, settings=settings))
        return [row], chosen
    return run_arm(bench, arm.method(settings)), settings


@final
@dataclass(frozen=True, slots=True)
class Order:
    """A unit to do, its identity, and what its arm was tuned to."""

    unit: Unit
    identity: str
    settings: dict[str, Any] | None


@final
@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a unit: how far it is, or that it is finished, or why it failed."""

    unit: Unit
    done: int = 0
    spent: float = 0.0
    finished: Finished | None = None
    error: str = ""


def perform(shop: Workshop, order: Order, send: Callable[[Told], None]) -> Told:
    """Do one order; an error is how it ended, not the end of everything."""
    settings = settings_of(shop.trial, order.unit, order.settings)

    def tell(done: int, of: int, spent: float) -> None:
        send(Told(order.unit, done=done, spent=spent))

    try:
        return Told(order.unit, finished=execute(shop, order.unit, order.identity, settings, tell))
    except Exception:
        return Told(order.unit, error=traceback.format_exc())


def digests_of(shop: Workshop) -> dict[str, str]:
    """By content, which model it is and who teaches; where somebody judges, who."""
    spec = shop.trial.spec
    teacher = shop.taught_by.digest if shop.taught_by else identity("teacher", spec.teacher) if spec.teacher else ""
    judge = {} if shop.judge is None else {"judge_digest": shop.judge.model.digest}
    return {"model_digest": shop.model.digest, "teacher_digest": teacher, **judge}
