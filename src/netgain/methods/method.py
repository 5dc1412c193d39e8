"""Method: a way to improve, as a small form to fill in. The harness owns the data, the clock and the scoring.

A method has two stages. ``learn`` is given training problems whole, once, and pays for every time it scores itself;
what it returns is handed to ``adapt``. ``adapt`` is given material only, under a budget, and returns what shall answer.
Both are programs in steps (:mod:`netgain.model.lockstep`): ``yield from`` a step of :mod:`netgain.methods.steps`, and
the harness runs many problems' steps as one batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, final

from pydantic import BaseModel, ConfigDict

from netgain.domains.problem import Material, Problem, Prompts
from netgain.exam.exam import Answerer, Grader
from netgain.metering.account import Account
from netgain.model.lockstep import Steps
from netgain.model.metered import Model
from netgain.records.claim import Role
from netgain.records.cost import Currency
from netgain.records.purpose import Purpose
from netgain.streams import stream

Learned = Any  # belongs to the method that made it; nobody else looks inside


class Teacher(ABC):
    """Somebody stronger who writes about material: another model, or a world's own perfect writer. Always paid."""

    @abstractmethod
    def write(self, desk: "Desk", material: Material, count: int) -> "Steps[list[str]]":
        """``count`` texts about this material, charged to the desk's account under ``teach``."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Desk:
    """What a method works with: the model, who pays, how the domain asks, and random numbers of its own.

    ``account`` carries the budget; :meth:`pay` opens its child for one purpose. ``names`` tell this work apart from all
    other work of the trial, so its random streams are its own. ``grade`` grades answers to training problems.
    """

    model: Model
    account: Account
    prompts: Prompts
    grade: Grader
    currency: Currency
    seed: int
    names: tuple[str, ...]
    teacher: Teacher | None = None

    def pay(self, purpose: Purpose) -> Account:
        """The account that pays for one kind of work; where the desk's own has a purpose (tuning), that one stays."""
        return self.account.child(purpose.value, purpose=self.account.opened.purpose or purpose)

    def left(self) -> float:
        """What may still be spent here, in the trial's currency; infinite where nothing limits it."""
        return self.account.remaining().get(self.currency, float("inf"))

    def note(self, text: str, data: Mapping[str, Any]) -> None:
        """Keep something in the journal beside the charges, such as rewards; plain JSON values."""
        self.account.book.note(text, {"names": list(self.names), **data})

    def draw(self, *names: str) -> int:
        """A seed for one piece of work, derived from the trial's seed and all names; below 2^31."""
        return int(stream(self.seed, *self.names, *names).integers(2**31))

    def at(self, *names: str, model: Model | None = None, account: Account | None = None) -> Self:
        """The same desk for a part of the work: with further names, perhaps another model or account."""
        return replace(self, names=(*self.names, *names), model=model or self.model, account=account or self.account)


class Settings(BaseModel):
    """Base of every method's settings: immutable, and an unknown field is an error.

    ``search`` says what may be tuned: for each field the values to try. Every arm of a trial gets the same number of
    tuning trials, drawn from these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    search: ClassVar[dict[str, tuple[Any, ...]]] = {}


class Method(ABC):
    """Base of all methods: set ``role`` and ``Settings`` in the class, fill in ``adapt``; ``learn`` where it learns.

    ``presets`` names settings that come as a set, such as a paper's.
    """

    role: ClassVar[Role]
    Settings: ClassVar[type[Settings]] = Settings
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    learns: ClassVar[bool] = False

    def __init__(self, settings: Any = None) -> None:
        self.settings: Any = settings if settings is not None else self.Settings()

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """Invest once, on training problems. Without a learn stage there is nothing to do."""
        yield from ()
        return None

    @abstractmethod
    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Adapt to this material, all of it at once (one passage, or many in continued pretraining)."""
