"""A run's context: what one task is done with. It opens the accounts, sets the desks, and adapts and examines.

What was charged becomes the amounts in rows by folds over the journal, without clocks: the same work gives the same
bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from netgain.domains.domain import Domain
from netgain.domains.grading import Grader, decided_by
from netgain.domains.problem import Material, Problem, Prompts, Question, Split
from netgain.errors import InputError, is_fault
from netgain.exam.drift import BaseContinuation, divergence, text_ability
from netgain.exam.exam import (
    JUDGE,
    SAMPLES,
    STABILITY,
    Answerer,
    Judge,
    Marked,
    checked,
    judged,
    planted,
    sampled,
    sit,
    untouched,
)
from netgain.exam.harness import Harness
from netgain.isolation.crossing import MethodRaised
from netgain.metering.account import Account, Book
from netgain.metering.budget import Booking
from netgain.metering.ledger import sum_up
from netgain.methods.method import Desk, Method, OwnWork, Teacher
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.cost import Currency, Purpose
from netgain.records.learning import ChosenTraining
from netgain.records.measurements import Ability, Coverage
from netgain.records.samples import Amounts, JudgeCheck
from netgain.streams import stream as random_stream
from netgain.trials.guard import Guard
from netgain.trials.sealing import sealed
from netgain.trials.spec import TrialSpec
from netgain.trials.tasks import Task, adapt_limit, deployments, levels

Report = Callable[[int, float], None]  # adaptations done, and what is spent so far in the trial's currency
CLOCKS = (Currency.SECONDS, Currency.JOULES)
STEP_BUDGETS = 10  # times the seconds that a budget takes: how long a method may take for one step
LOST = "the attempt was cut off"
CONTROLS = 32  # of each kind, for methods that learn


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunContext:
    """The model, who teaches and judges, the task's book, its domain and how that is asked about.

    ``attempt`` counts the processes that tried.

    ``models`` are what a method may ask beside the model: its teacher's. ``text`` and ``harness`` are what the exam
    measures of the model beside its questions; ``folder`` is that of the trial's file. A method of one's own reads
    nothing of what is ``hidden``.
    """

    spec: TrialSpec
    task: Task
    domain: Domain
    prompts: Prompts
    model: Model
    book: Book
    attempt: int = 1
    teacher: Teacher | None = None
    models: tuple[Model, ...] = ()
    judge: Judge | None = None
    text: tuple[str, ...] = ()
    harness: Harness | None = None
    folder: Path = Path()
    hidden: tuple[Path, ...] = ()
    report: Report = lambda done, spent: None

    @property
    def seed(self) -> int:
        """The run's seed; the trial's own in tuning."""
        return self.spec.seed if self.task.seed is None else self.task.seed

    @property
    def root(self) -> Account:
        """The account above all others of this attempt; an earlier attempt, cut off, has its own."""
        run = f"{self.task.name}#{self.attempt}"
        return self.book.account(self.task.domain, run=run, arm=self.task.arm, seed=self.seed)

    @property
    def key(self) -> dict[str, Any]:
        """The fields that name a row of this run."""
        return {"domain": self.task.domain, "arm": self.task.arm, "seed": self.task.seed or 0}

    def discard_earlier(self) -> None:
        """Mark the work of earlier attempts as thrown away, until it is found again."""
        run = self.root.opened.run
        earlier = [charge for charge in self.book.charges() if charge.opened.run != run and charge.outcome != "open"]
        self.book.discard([charge.reservation for charge in earlier if not charge.discarded], LOST)

    def lost(self) -> dict[str, Any]:
        """What earlier attempts did and this one has not found again."""
        return lost_work(self.book.charges(), self.root.opened.run, self.spec.budget.currency)

    @property
    def grader(self) -> Grader:
        """The domain's grades, with the trial's own deciding."""
        return decided_by(self.spec.grade, self.domain.grade, self.domain.language)

    def progress(self, done: int) -> None:
        """Report that so many adaptations are done."""
        self.report(done, self.root.spent(self.spec.budget.currency))

    def problems(self, split: Split, count: int) -> tuple[Problem, ...]:
        """Problems of a split: the same ones for every arm and seed."""
        return self.domain.problems(split, count, self.spec.seed)

    def groups(self, problems: Sequence[Problem]) -> list[tuple[Problem, ...]]:
        """The problems that are adapted to at once."""
        size = self.spec.problems.passages
        return [tuple(problems[first : first + size]) for first in range(0, len(problems), size)]

    def deployments(self, method: Method) -> int | None:
        """Over how many problems the method's investment is spread; None for one that invests nothing."""
        return deployments(self.spec, self.task) if method.learns else None

    def desk(self, account: Account, *names: str) -> Desk:
        """What a method works with; its random streams are named by these words and the task's (in tuning, not the
        arm's: arms that adapt alike are to be tuned alike)."""
        arm = () if self.task.stage == "tune" else (self.task.arm,)
        further = () if self.task.deployments is None else (f"@{self.task.deployments}",)
        return Desk(
            model=self.model,
            account=account,
            prompts=self.prompts,
            grade=sealed(self.grader),
            currency=self.spec.budget.currency,
            seed=self.seed,
            names=(self.task.domain, *arm, self.task.stage, *further, *names),
            teacher=self.teacher,
            folder=self.folder,
            few_shot=self.domain.few_shot,
        )

    def guard(self, desk: Desk, given: Sequence[str]) -> Guard:
        """A guard for the method that works at this desk."""
        isolation, currency = self.spec.isolation, self.spec.budget.currency
        limit = desk.account.opened.limit.amount(currency)
        paid = [charge for charge in self.book.charges() if charge.outcome == "completed"]
        whole = budget_seconds(paid, currency, limit)
        own = OwnWork(
            step_seconds=max(isolation.step_seconds, STEP_BUDGETS * whole),
            hidden=self.hidden,
            free_seconds=isolation.own_seconds,
            free_share=isolation.own_share,
        )
        return Guard(desk, given, (self.model, *self.models, *([] if desk.judge is None else [desk.judge])), own)

    def learning_desk(self, account: Account, *names: str) -> Desk:
        """The desk of a method that learns, with what only learning is given."""
        judge = None if self.judge is None else self.judge.model
        return replace(self.desk(account, *names), judge=judge, controls=self.unexamined_controls())

    def unexamined_controls(self) -> tuple[Question, ...]:
        """Questions that no problem is about, drawn anew, without those that the exam or its drift asks."""
        most = max(self.spec.exam.controls, self.spec.exam.drift)
        examined = {question.text for question in self.domain.controls(most, self.spec.seed)} if most else set[str]()
        seed = int(random_stream(self.spec.seed, "learn", "controls").integers(2**31))
        found = {question.text: question for question in self.domain.controls(most + CONTROLS, seed)}
        return tuple(question for text, question in found.items() if text not in examined)

    def evaluation(
        self,
        level: float,
        problems: tuple[Problem, ...],
        purpose: Purpose | None = None,
        *,
        share: float = 1.0,
        name: str = "",
        number: int = 0,
        **more: Any,
    ) -> "Evaluation":
        """An evaluation with its accounts: the ``share`` of a level's budget that adapting has, and its exam's beside
        it. It is the ``number``-th of its level, and the first few alone are put to lm-eval.

        With a ``purpose`` (tuning) both the adaptation and its exam are work of that purpose.
        """
        title = f"{problems[0].id}" + (f" and {len(problems) - 1} more" if len(problems) > 1 else "")
        name = name or f"{title} x{level:g}"
        account = self.root.child(name, purpose=purpose, limit=adapt_limit(self.spec, level, share, len(problems)))
        exam_account = self.root.child(f"exam of {name}", purpose=purpose or Purpose.EVALUATE)
        asked = self.spec.exam.lm_eval
        if asked is None or number >= asked.problems:
            more.pop("harness", None)
        more |= {"account": account, "exam_account": exam_account, "first": number == 0}
        if self.judge is not None and purpose is None and number == 0 and level == levels(self.spec, self.task)[0]:
            asked_of = self.problems("test", self.spec.problems.test)
            more["planted"] = planted([q for one in asked_of for q in one.questions], self.domain.grade)
        return Evaluation(level=level, problems=problems, **more)

    def sampling_seed(self, evaluation: "Evaluation") -> int:
        """The seed of what is drawn at an exam: the same for every arm, so that they differ by what they learned."""
        names = (self.task.domain, *(problem.id for problem in evaluation.problems))
        return int(random_stream(self.seed, "exam", *names).integers(2**31))

    def beside(self, level: float, continuations: tuple[BaseContinuation, ...]) -> dict[str, Any]:
        """What is examined beside the problems' own questions at a level: what adapting did to the weights."""
        exam = self.spec.exam
        if level not in exam.at:
            return {}
        controls = self.domain.controls(exam.controls, self.spec.seed) if exam.controls else ()
        further = {"text": self.text, "harness": self.harness, "coverage": exam.coverage}
        return {"controls": tuple(controls), "continuations": continuations, **further}


@final
@dataclass(slots=True, eq=False, kw_only=True)
class Evaluation:
    """One adaptation and its exam: problems that are adapted to at once, at a budget level, and what came of it.

    ``controls`` and the base model's ``continuations`` are examined beside the problems' own questions, and so are
    ``text`` and the tasks of ``harness``; ``first`` marks the one in which an arm with the untouched model's
    weights is asked them, whose answers are the same ever after. ``coverage`` says what is drawn of answers to its
    own questions, ``planted`` are answers that a judge is asked about first. From ``guard`` on the fields are results:
    ``error`` says why the method failed (all its answers then count as wrong), ``right`` how many of the drawn answers
    to each of its own questions are right, ``exposed`` are the questions that it trained on. Without a guard it was not
    run.
    """

    level: float
    problems: tuple[Problem, ...]
    account: Account
    exam_account: Account
    controls: tuple[Question, ...] = ()
    continuations: tuple[BaseContinuation, ...] = ()
    text: tuple[str, ...] = ()
    harness: Harness | None = None
    coverage: Coverage | None = None
    first: bool = True
    guard: Guard | None = None
    marked: tuple[Marked, ...] = ()
    right: tuple[int, ...] = ()
    error: str = ""
    divergence: float | None = None
    abilities: tuple[Ability, ...] = ()
    exposed: tuple[str, ...] = ()
    chosen: tuple[ChosenTraining, ...] = ()
    planted: Sequence[tuple[Question, str, bool]] = ()
    judge_check: JudgeCheck | None = None

    @property
    def accounts(self) -> tuple[Account, Account]:
        """Who pays for the adaptation, and who for its exam."""
        return self.account, self.exam_account

    @property
    def materials(self) -> tuple[Material, ...]:
        """What the method may see."""
        return tuple(problem.material for problem in self.problems)

    @property
    def own(self) -> tuple[Question, ...]:
        """The problems' own questions."""
        return tuple(question for problem in self.problems for question in problem.questions)

    @property
    def of_all(self) -> dict[str, Any]:
        """What was found once for all its problems, as the first one's row holds it."""
        return {"abilities": self.abilities, "chosen": self.chosen, "judge_check": self.judge_check}

    def parts(self, *, judged: bool) -> dict[str, Account]:
        """The accounts of what the exam has beside the answers to its own questions, by the field that holds it."""
        measured = bool(self.controls or self.continuations or self.text or self.harness)
        drawn = self.coverage is not None
        wanted = {"judging": (JUDGE, judged), "sampling": (SAMPLES, drawn), "stability": (STABILITY, measured)}
        return {name: self.exam_account.child(account) for name, (account, there) in wanted.items() if there}

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the exam asks, the problems' own questions first."""
        return (*self.own, *self.controls)


def evaluate(
    context: RunContext, method: Method, learned: Any, given: Sequence[str], evaluation: Evaluation
) -> Steps[Evaluation]:
    """Adapt under the budget, then examine. Whatever a method raises ends its adaptation only; a fault of the machine
    or of a server is raised, for nothing of it may count as an answer.

    A judge is asked afterwards, and in tuning only where its verdicts decide. What it raises is no method's
    failure: it leaves this program.
    """
    materials, account = evaluation.materials, evaluation.exam_account
    desk = labelled(context.desk(evaluation.account, *(material.id for material in materials)), method, evaluation)
    texts = [part for material in materials for part in (material.title, material.text)]
    guard = evaluation.guard = context.guard(desk, [*given, *texts])
    answerer, further = None, False
    try:
        answerer = yield from guard.watch(lambda: method.adapt(guard.desk, materials, learned))
        answerer = closed_book(method, guard.check_answerer(answerer, materials))
        evaluation.chosen = answerer.chosen
        evaluation.exposed = _exposed(guard, evaluation, len(given), desk)
        if method.role is Role.IN_CONTEXT and untouched(answerer, context.model) and not evaluation.first:
            evaluation.controls = ()
        controls = evaluation.controls
        evaluation.marked = yield from sit(
            answerer, evaluation.own, desk.prompts, account, context.grader, controls, context.domain.few_shot
        )
        if evaluation.coverage is not None:
            own, seed = evaluation.own, context.sampling_seed(evaluation)
            asking = (desk.prompts, account, context.grader, evaluation.coverage)
            evaluation.right = yield from sampled(answerer, own, *asking, seed)
        if evaluation.continuations:
            paid = account.child(STABILITY)
            evaluation.divergence = yield from divergence(answerer, evaluation.continuations, paid, context.model)
        further = _measured(context, method, answerer, evaluation)
        if evaluation.text and further:
            found = yield from text_ability(answerer, evaluation.text, account.child(STABILITY))
            evaluation.abilities = () if found is None else (found,)
    except Exception as error:
        if is_fault(error):
            raise
        evaluation.marked, evaluation.right, evaluation.error = (), (), describe(error)
        evaluation.exposed = _exposed(guard, evaluation, len(given), desk)
    guard.note_own_work()
    judge = context.judge
    if judge is not None and evaluation.planted:
        evaluation.judge_check = yield from checked(judge, evaluation.planted, account)
    if judge is not None and (judge.decides or context.task.stage == "run"):
        evaluation.marked = yield from judged(judge, evaluation.marked, account)
    if evaluation.harness is not None and answerer is not None and further:
        evaluation.abilities += evaluation.harness.abilities(answerer, account.child(STABILITY))
    return evaluation


def labelled(desk: Desk, method: Method, evaluation: Evaluation) -> Desk:
    """The desk with the exam's own problems, for an upper bound alone."""
    return replace(desk, exam=evaluation.problems) if method.role is Role.ORACLE else desk


def _measured(context: RunContext, method: Method, answerer: Answerer, evaluation: Evaluation) -> bool:
    """Whether there is anything to measure of the weights. The untouched model's are measured once, as the frozen arm's
    under the first seed: they are what every other arm is held against, and no arm that only reads changes them."""
    if not untouched(answerer, context.model):
        return True
    return method.role is Role.FROZEN and evaluation.first and context.seed == context.spec.seed


def closed_book(method: Method, answerer: Answerer) -> Answerer:
    """The same. Raises InputError where it reads or votes at the exam, which no trained arm's budget pays for, although
    its method says to be held against arms that answer from what they were trained on."""
    if (answerer.context or answerer.voter) and method.role is not Role.IN_CONTEXT:
        problem = f"reads or votes at the exam, but its role is {method.role}"
        raise InputError(type(method).__name__, problem, "set role = Role.IN_CONTEXT")
    return answerer


def _exposed(guard: Guard, evaluation: Evaluation, given: int, desk: Desk) -> tuple[str, ...]:
    exposed = (*guard.exposed(evaluation.questions, desk), *guard.told(evaluation.problems, given, desk))
    exposed += guard.copied(evaluation.problems, given)
    return tuple(dict.fromkeys(exposed))


def describe(error: BaseException) -> str:
    """An error in one line, as rows keep it."""
    if isinstance(error, MethodRaised):  # which says whose it is
        return " ".join(str(error).split())[:500]
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


# -- from charges to amounts


@final
class ChargesBelow:
    """All charges of a book by the account above them, read once."""

    def __init__(self, book: Book, accounts: Iterable[Account]) -> None:
        rows = {account.row for account in accounts}
        self._charges: dict[int, list[Booking]] = {row: [] for row in rows}
        for charge in book.charges():
            for row in book.lineage(charge):
                if row in rows:
                    self._charges[row].append(charge)

    def of(self, *accounts: Account) -> list[Booking]:
        """The charges on these accounts and those below them."""
        return [charge for account in accounts for charge in self._charges[account.row]]


def amounts(charges: Iterable[Booking], currency: Currency, share: float = 1.0) -> Amounts:
    """Their sum in every currency that is known and no clock's; ``currency``, the budget's, as budgets count it."""
    charges = list(charges)
    known = sum_up(charges).spent.known()
    known[currency.value] = sum(charge.counted().get(currency.value, 0.0) for charge in charges)
    return {name: amount * share for name, amount in known.items() if name not in CLOCKS}


def by_purpose(charges: Sequence[Booking], currency: Currency, share: float = 1.0) -> dict[Purpose, Amounts]:
    """The same by purpose, for those that there are."""
    parts = {purpose: [c for c in charges if c.purpose is purpose] for purpose in Purpose}
    return {purpose: amounts(part, currency, share) for purpose, part in parts.items() if part}


def by_purpose_name(charges: Sequence[Booking], currency: Currency) -> dict[str, Amounts]:
    """The same by the purposes' names, as plain JSON values."""
    return {purpose.value: part for purpose, part in by_purpose(charges, currency).items()}


def lost_work(charges: Iterable[Booking], run: str, currency: Currency) -> dict[str, Any]:
    """How many charges of other attempts than ``run`` stand for work done in vain, and what it took by purpose."""
    lost = [charge for charge in charges if charge.opened.run != run and charge.outcome != "moved"]
    return {"charges": len(lost), "spent": by_purpose_name(lost, currency)}


def spent_and_rejected(charges: Sequence[Booking], currency: Currency, share: float = 1.0) -> dict[str, Any]:
    """``spent`` and ``rejected`` as the rows hold them; evaluation is not in it."""
    matched = [charge for charge in charges if charge.purpose is not Purpose.EVALUATE]
    rejected = [charge for charge in matched if not charge.useful]
    return {
        "spent": by_purpose(matched, currency, share),
        "rejected": amounts(rejected, currency, share) if rejected else {},
    }


def budget_seconds(charges: Sequence[Booking], currency: Currency, limit: float | None) -> float:
    """How long a budget of ``limit`` takes at the speed of these charges; 0 where that is not known."""
    spent = sum(charge.cost.amount(currency) or 0.0 for charge in charges)
    return seconds(charges) * limit / spent if spent and limit else 0.0


def seconds(charges: Iterable[Booking]) -> float:
    """Device seconds, as far as they were measured."""
    return sum(charge.cost.seconds or 0.0 for charge in charges)
