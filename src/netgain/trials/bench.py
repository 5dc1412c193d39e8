"""A bench: what one unit of work is done with. It opens the accounts, sets the desks, and adapts and examines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from netgain.domains.domain import Domain
from netgain.domains.problem import Material, Problem, Question
from netgain.errors import InputError
from netgain.exam.drift import BaseContinuation, divergence
from netgain.exam.exam import Answerer, Marked, sit
from netgain.exam.llm_judge import Judge, judged
from netgain.metering.account import Account, Book
from netgain.methods.method import Desk, Method, Teacher
from netgain.model.lockstep import Steps
from netgain.model.metered import Model
from netgain.records.claim import Role
from netgain.records.purpose import Purpose
from netgain.records.samples import Stage
from netgain.trials.spec import TrialSpec
from netgain.trials.unit import Unit, adapt_limit, compared_rung
from netgain.trials.witness import Witness, sealed

Tell = Callable[[int, int, float], None]  # problems done, of how many, spent so far in the trial's currency
WIDTH = 64  # programs side by side; part of what decides the bytes of a run, so it is no option


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bench:
    """The model, who teaches and judges, the unit's book and its domain. ``attempt`` counts the processes that tried.

    ``models`` are all that a method may ask: the model and its teacher's.
    """

    spec: TrialSpec
    unit: Unit
    domain: Domain
    model: Model
    book: Book
    attempt: int = 1
    teacher: Teacher | None = None
    models: tuple[Model, ...] = ()
    judge: Judge | None = None
    tell: Tell = lambda done, of, spent: None

    @property
    def root(self) -> Account:
        """The account above all others of this attempt; an earlier attempt, cut off, has its own."""
        unit = self.unit
        run = f"{unit.name}#{self.attempt}"
        return self.book.account(
            unit.domain, run=run, arm=unit.arm, seed=self.spec.seed if unit.seed is None else unit.seed
        )

    def problems(self, split: Any, count: int) -> tuple[Problem, ...]:
        """Problems of a split: the same ones for every arm and seed."""
        return self.domain.problems(split, count, self.spec.seed)

    def groups(self, problems: Sequence[Problem]) -> list[tuple[Problem, ...]]:
        """The problems that are adapted to at once."""
        size = self.spec.problems.passages
        return [tuple(problems[first : first + size]) for first in range(0, len(problems), size)]

    def desk(self, account: Account, *names: str) -> Desk:
        """What a method works with; its random streams are named by these words and the unit's (in tuning, not the
        arm's: arms that adapt alike are to be tuned alike)."""
        unit = self.unit
        arm = () if unit.stage == "tune" else (unit.arm,)
        return Desk(
            model=self.model,
            account=account,
            prompts=self.domain.prompts,
            grade=sealed(self.domain.grade),
            currency=self.spec.budget.currency,
            seed=self.spec.seed if unit.seed is None else unit.seed,
            names=(unit.domain, *arm, unit.stage, *names),
            teacher=self.teacher,
        )

    def witness(self, desk: Desk, given: Sequence[str]) -> Witness:
        """Somebody to stand beside the method that works at this desk."""
        return Witness(desk, given, (self.model, *self.models))


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sitting:
    """One adaptation to do and examine: a group of problems at a rung, who pays, and what else is asked."""

    rung: float
    group: tuple[Problem, ...]
    account: Account
    evaluate: Account
    controls: tuple[Question, ...] = ()
    drawn: tuple[BaseContinuation, ...] = ()
    stage: Stage = "test"

    @property
    def materials(self) -> tuple[Material, ...]:
        """What the method may see."""
        return tuple(problem.material for problem in self.group)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the exam asks, the problems' own questions first."""
        return (*(question for problem in self.group for question in problem.questions), *self.controls)


@final
@dataclass(slots=True, eq=False)
class Sat:
    """What came of a sitting. ``error`` says why the method failed: all its answers then count as wrong."""

    witness: Witness
    marked: tuple[Marked, ...] = ()
    error: str = ""
    divergence: float | None = None
    exposed: tuple[str, ...] = field(default=())


def sitting(
    bench: Bench, rung: float, group: tuple[Problem, ...], purpose: Purpose | None = None, **more: Any
) -> Sitting:
    """A sitting with its accounts: a budget for the rung, and evaluation beside it.

    With a ``purpose`` (tuning) both the adaptation and its exam are work of that purpose.
    """
    title = f"{group[0].id}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")
    name = more.pop("name", "") or f"{title} x{rung:g}"
    limit = adapt_limit(bench.spec, rung, len(group))
    account = bench.root.child(name, purpose=purpose, limit=limit)
    evaluate = bench.root.child(f"exam of {name}", purpose=purpose or Purpose.EVALUATE)
    return Sitting(rung=rung, group=group, account=account, evaluate=evaluate, **more)


def adapt_and_sit(bench: Bench, method: Method, learned: Any, given: Sequence[str], what: Sitting) -> Steps[Sat]:
    """Adapt under the budget, then sit the exam. Whatever a method raises ends its adaptation only.

    A judge is asked afterwards, and in tuning only where its verdicts are the grades. What it raises is no method's
    failure: it leaves this program.
    """
    desk = bench.desk(what.account, *(material.id for material in what.materials))
    texts = [part for material in what.materials for part in (material.title, material.text)]
    witness = bench.witness(desk, [*given, *texts])
    sat = Sat(witness)
    try:
        found = yield from witness.watch(lambda: method.adapt(witness.desk, what.materials, learned))
        answerer = closed_book(method, witness.check_answerer(found, what.materials))
        sat.exposed = _exposed(witness, what, len(given), desk)
        sat.marked = yield from sit(answerer, what.questions, desk.prompts, what.evaluate, bench.domain.grade)
        if what.drawn:
            sat.divergence = yield from divergence(answerer, what.drawn, what.evaluate, bench.model)
    except Exception as error:
        sat.marked, sat.error = (), describe(error)
        sat.exposed = _exposed(witness, what, len(given), desk)
    judge = bench.judge
    examined = bench.unit.stage == "run" and what.stage == "test"
    if judge is not None and (judge.decides or examined):
        sat.marked = yield from judged(judge, sat.marked, what.evaluate)
    return sat


def closed_book(method: Method, answerer: Answerer) -> Answerer:
    """The same. Raises InputError where it reads or votes at the exam, which no trained arm's budget pays for, although
    its method says to be held against arms that answer from what they were trained on."""
    if (answerer.context or answerer.voter) and method.role is not Role.IN_CONTEXT:
        problem = f"reads or votes at the exam, but its role is {method.role}"
        raise InputError(type(method).__name__, problem, "set role = Role.IN_CONTEXT")
    return answerer


def _exposed(witness: Witness, what: Sitting, given: int, desk: Desk) -> tuple[str, ...]:
    found = (*witness.exposed(what.questions, desk), *witness.told(what.group, given, desk))
    return tuple(dict.fromkeys(found))


def describe(error: BaseException) -> str:
    """An error in one line, as rows keep it."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def rung_of(bench: Bench, method: Method) -> float:
    """The rung at which this arm is compared."""
    return compared_rung(bench.spec, method.learns)
