"""Method: a way to improve, as a small form to fill in. The harness owns the data, the clock and the scoring.

A method has two stages. ``learn`` is given training problems whole, once, and pays for every time it scores itself;
what it returns is handed to ``adapt``. ``adapt`` is given material only, under a budget, and returns what will answer
the exam. Both are programs in steps (:mod:`netgain.model.program`): ``yield from`` one of the steps that
:mod:`netgain.methods` exports, and the harness runs many problems' steps as one batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, final

from pydantic import BaseModel, ConfigDict, Field

from netgain.domains.few_shot import FewShot
from netgain.domains.grading import Grader
from netgain.domains.problem import Material, Problem, Prompts, Question
from netgain.exam.exam import Answerer
from netgain.metering.account import Account
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.model.requests import Request
from netgain.records.claim import Role
from netgain.records.cost import Currency, Purpose
from netgain.streams import stream

LATER = "later"  # marks a setting that came after trials had been recorded: Annotated[..., LATER]
Learned = Any  # belongs to the method that made it; nobody else looks inside


class Teacher(ABC):
    """A stronger writer: another model, or the domain's own oracle. Whatever it writes is paid for."""

    @abstractmethod
    def write(
        self, desk: "Desk", material: Material, count: int, *, form: str = "", temperature: float = 1.0
    ) -> "Steps[list[str]]":
        """``count`` texts about this material, charged to the desk's account under ``teach``.

        ``form`` names the domain's edit format that is written in (empty: its default), where there is a choice.
        """


@final
@dataclass(slots=True, eq=False)
class OwnWork:
    """What a method's own process may do, and did (:mod:`netgain.isolation`); methods in this process have none.

    It may take ``step_seconds`` from one step to the next, and reads nothing below what is ``hidden``. ``seconds`` of
    processors is what it took beside the work that it asked for (None: not known); what of that is free is
    ``free_seconds``, and ``free_share`` of the seconds that its budget takes. ``opened`` is what the process itself
    says of the files (``read`` or ``wrote``), sockets and programs that it opened, as far as Python's own code did.
    """

    step_seconds: float = 60.0
    hidden: tuple[Path, ...] = ()
    free_seconds: float = 0.2
    free_share: float = 0.25
    seconds: float | None = None
    opened: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Desk:
    """What a method works with: the model, the account that pays, the domain's prompts, and its own random streams.

    ``account`` carries the budget; :meth:`pay` opens its child for one purpose. ``names`` tell this work apart from all
    other work of the trial, which keeps its random streams its own. ``grade`` grades answers to training problems
    as the trial does, by exact match where a judge decides there: its verdicts are not to be had at this price.
    Files that settings name lie in ``folder``, that of the trial's file.
    ``few_shot`` is what a domain of examples offers (training sequences, the ways to put a question); None elsewhere.
    ``exam`` are the very problems, labels and all, that an upper bound (``Role.ORACLE``) is examined on; empty for
    every other method, and never in another process.
    While a method learns it also has the trial's ``judge``, which it pays for, and ``controls``: questions that no
    problem is about, none of them the exam's. A policy gradient that is examined between its steps has the
    ``development`` problems whole, by which it chooses among its states as tuning chooses among settings.
    """

    model: Model
    account: Account
    prompts: Prompts
    grade: Grader
    currency: Currency
    seed: int
    names: tuple[str, ...]
    teacher: Teacher | None = None
    folder: Path = Path()
    few_shot: FewShot | None = None
    judge: Model | None = None
    controls: tuple[Question, ...] = ()
    development: tuple[Problem, ...] = ()
    exam: tuple[Problem, ...] = ()
    own: OwnWork = field(default_factory=OwnWork)

    def pay(self, purpose: Purpose) -> Account:
        """The account that pays for one kind of work. A purpose of the desk's own account (tuning) takes precedence."""
        return self.account.child(purpose.value, purpose=self.account.opened.purpose or purpose)

    def left(self) -> float:
        """What may still be spent here, in the trial's currency; infinite without a limit."""
        return self.account.remaining().get(self.currency, float("inf"))

    def bounds(self, requests: Sequence[Request], model: Model | None = None) -> list[float]:
        """Upper bounds on each request, run together as one batch, in the trial's currency; 0 where it counts none."""
        return [quote.amount(self.currency) or 0.0 for quote in (model or self.model).quote(requests)]

    def note(self, text: str, data: Mapping[str, Any]) -> None:
        """Record something in the journal beside the charges, such as rewards; plain JSON values."""
        self.account.book.note(text, {"names": list(self.names), **data})

    def draw(self, *names: str) -> int:
        """A seed for one piece of work, below 2^31, derived from the trial's seed and all names."""
        return int(stream(self.seed, *self.names, *names).integers(2**31))

    def at(self, *names: str, model: Model | None = None, account: Account | None = None) -> Self:
        """The same desk for a part of the work: with further names, and perhaps another model or account."""
        return replace(self, names=(*self.names, *names), model=model or self.model, account=account or self.account)


class Settings(BaseModel):
    """Base of every method's settings: immutable, and an unknown field is an error.

    ``search`` names the fields that tuning may vary, each with the values to try. Every arm of a trial gets the same
    number of tuning trials, drawn from these. ``private`` are fields that mean something else in every arm: only the
    arm that names values for one tunes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    search: ClassVar[dict[str, tuple[Any, ...]]] = {}
    private: ClassVar[frozenset[str]] = frozenset()

    def tunes(self, name: str) -> bool:
        """Whether a knob of this name, which another arm tunes, is one of these settings."""
        return name in type(self).model_fields and name not in self.private

    @property
    def budgets(self) -> float:
        """How many budgets of its level an adaptation may take. Only an upper bound (``Role.ORACLE``) has another
        number than 1, of which this asks."""
        return 1.0

    @property
    def files(self) -> tuple[str, ...]:
        """Files beside the trial's whose content decides what is done, where they are there: part of its identity."""
        return ()

    def recorded(self) -> dict[str, Any]:
        """All settings as plain JSON values, as locks and results name them. One that is marked :data:`LATER` is left
        out at its default: records that are older than the setting keep their identity."""
        fields = type(self).model_fields
        usual = {name for name, field in fields.items() if LATER in field.metadata}
        left_out = {name for name in usual if self.__dict__[name] == fields[name].default}
        return self.model_dump(mode="json", exclude=left_out)


class Learning(Settings):
    """Base of the settings of every method that learns first, beside what else it derives from.

    ``split`` is the share of the arm's total that it invests; the rest is what it adapts with.
    """

    split: Annotated[float, Field(ge=0.02, le=0.95)] = 0.5


_AnySettings = Settings  # within Method the name means the class's own attribute


class Method(ABC):
    """Base of all methods: set ``role`` and ``Settings`` in the class and fill in ``adapt``.

    Annotate ``settings`` with the same class as ``Settings``, and type checkers know its fields. ``presets`` are named
    sets of settings, such as a paper's. A method that invests first sets ``learns = True``, derives its settings from
    :class:`Learning` as well and fills in ``learn``. The first line of the docstring is what ``netgain list methods``
    prints.
    """

    role: ClassVar[Role]
    Settings: ClassVar[type[Settings]] = Settings
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    learns: ClassVar[bool] = False

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.learns and not issubclass(cls.Settings, Learning):
            wanted = f"derive {cls.Settings.__name__} from netgain.methods.Learning, which has split"
            raise TypeError(f"{cls.__name__} learns, and its settings do not say how much it invests: {wanted}")

    def __init__(self, settings: _AnySettings | None = None) -> None:
        chosen = self.Settings() if settings is None else settings
        if not isinstance(chosen, self.Settings):
            wanted, given = self.Settings.__name__, type(chosen).__name__
            raise TypeError(f"{type(self).__name__} takes {wanted}, not {given}")
        self.settings: _AnySettings = chosen

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """Invest once, on training problems. A method that does not learn leaves this as it is."""
        yield from ()
        return None

    @abstractmethod
    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Adapt to all of this material at once: one passage, or many in continued pretraining.

        ``learned`` is what :meth:`learn` returned, in a trial of the tuning too; None for a method that does not learn.
        """
