"""What a script charged in a journal of its own (:func:`netgain.meter`), as the cost of an arm on a claim card.

``cost: {journal: my.journal, account: NAME}`` stands in place of stated amounts: the journal is verified, and the sums
are made from its charges, so that nobody copies a figure. ``answers: FILE`` stands in place of a stated accuracy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from netgain.errors import InputError, nearest
from netgain.metering.budget import Booking
from netgain.metering.ledger import sum_up
from netgain.metering.verification import Verification, verify
from netgain.records.claim import Charge, Exam, ExamProblem
from netgain.records.cost import Purpose
from netgain.records.identity import short_hash
from netgain.records.provenance import Source, StrictModel
from netgain.strict_json import parse_json


@final
class JournalCost(BaseModel):
    """Where an arm's cost is booked: all charges on the accounts called ``account`` and on those below them.

    Paths are relative to the card. ``problems`` is how many problems that work covers (the arm's own number unless
    stated); ``head`` the hash of the journal's last row as it was published, without which a journal that was rewritten
    from the first row on cannot be told from the true one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    journal: Path
    account: Annotated[str, Field(min_length=1)]
    problems: Annotated[int, Field(ge=1, le=10**9)] | None = None
    head: str | None = None


@final
class AnswerRow(StrictModel):
    """One line of a file of answers: which question of which problem, and whether it was answered rightly."""

    problem: str
    question: str
    correct: bool


@final
@dataclass(frozen=True, slots=True)
class Answers:
    """An arm's answers by problem and question, in the order of the file."""

    by_problem: Mapping[str, Mapping[str, bool]]

    @property
    def count(self) -> int:
        """How many questions were answered."""
        return sum(map(len, self.by_problem.values()))

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return sum(sum(rows.values()) for rows in self.by_problem.values()) / self.count

    def verdicts(self, exam: Exam) -> tuple[str, ...]:
        """A character a question of the exam: 1, 0, or ``-`` where this arm was not asked."""
        rows = [self.by_problem.get(problem.id, {}) for problem in exam.problems]
        return tuple(
            "".join("-" if name not in mine else str(int(mine[name])) for name in problem.questions)
            for mine, problem in zip(rows, exam.problems, strict=True)
        )


def charges_of(arm: str, cost: JournalCost, card: Path) -> tuple[list[Charge], bool]:
    """An arm's charges by what they were for, and whether some of it was learning, which all its problems share.

    Raises InputError where the journal is not there, does not hold, or has no such account.
    """
    path = card.parent / cost.journal.expanduser()
    where = f"{card}: arms.{arm}.cost"
    if not path.is_file():
        raise InputError(where, f"there is no journal {path}", "paths are relative to the card")
    found = verify(path, head=cost.head)
    if not found.ok:
        raise InputError(
            where, f"journal {path} does not hold: {found.first_lie}", "give the journal as it was written"
        )
    mine = _below(found, cost.account, where)
    charges = []
    for purpose in Purpose:
        part = [charge for charge in mine if charge.purpose is purpose]
        if part:
            charges.append(_charge(arm, purpose, part, cost, found))
    return charges, any(charge.purpose is Purpose.LEARN for charge in charges)


def _below(found: Verification, account: str, where: str) -> list[Booking]:
    accounts = found.standing.accounts
    rows = {row for row, opened in accounts.items() if opened.name == account}
    if not rows:
        names = sorted({opened.name for opened in accounts.values()})
        problem = f"the journal has no account {account!r}"
        raise InputError(where, problem, nearest(account, names) if names else "it has none at all")
    mine = [charge for charge in found.charges if rows & set(found.standing.path(charge.account))]
    if not mine:
        raise InputError(where, f"nothing was charged to account {account!r}", "what is not metered is not free")
    return mine


def _charge(arm: str, purpose: Purpose, part: Sequence[Booking], cost: JournalCost, found: Verification) -> Charge:
    """Work of one purpose. All but learning and evaluation is what adapting took: an arm is charged for all of it."""
    learning = purpose is Purpose.LEARN
    counted = purpose if purpose in (Purpose.LEARN, Purpose.EVALUATE) else Purpose.ADAPT
    open_ = sum(charge.outcome in ("lost", "open") for charge in part)
    bound = f"; {open_} charges were cut off and stand at their quotes" if open_ else ""
    return Charge(
        arm=learned_name(arm) if learning else arm,
        purpose=counted,
        operation=f"{purpose} on account {cost.account}",
        count=1 if learning else len(part),
        problems=None if learning else cost.problems,
        cost=sum_up(part).spent,
        source=Source(
            file=cost.journal.name, field=cost.account, note=f"{len(part)} charges; head {found.head[:16]}{bound}"
        ),
    )


def learned_name(arm: str) -> str:
    """Who the charges of an arm's learning belong to: an investment, like a paper's outer loop."""
    return f"{arm}: learning"


# -- answers


_ROW: TypeAdapter[AnswerRow] = TypeAdapter(AnswerRow)


def read_answers(arm: str, file: Path, card: Path) -> Answers:
    """The answers in a JSON Lines file. Raises InputError with its line for one that is none, or that comes twice."""
    path = card.parent / file.expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{card}: arms.{arm}.answers", f"{path} cannot be read: {error}") from None
    found: dict[str, dict[str, bool]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _answer(line, f"{path}:{number}")
        mine = found.setdefault(row.problem, {})
        if row.question in mine:
            raise InputError(f"{path}:{number}", f"question {row.question!r} of {row.problem!r} was answered before")
        mine[row.question] = row.correct
    if not found:
        raise InputError(str(path), "holds no answers", 'write lines such as {"problem": "p1", "question": "q1", ...}')
    return hashed_rows(Answers(found))


def _answer(line: str, where: str) -> AnswerRow:
    remedy = 'write {"problem": ..., "question": ..., "correct": true or false}'
    try:
        fields: Any = parse_json(line)
        return _ROW.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(where, f"is no answer: {'.'.join(map(str, first['loc']))}: {first['msg']}", remedy) from None
    except ValueError as error:
        raise InputError(where, f"is not JSON: {error}", remedy) from None


def exam_of(answers: Iterable[Answers]) -> Exam:
    """The exam that these arms sat: every question that any of them was asked."""
    problems: dict[str, dict[str, None]] = {}
    for one in answers:
        for problem, rows in one.by_problem.items():
            problems.setdefault(problem, {}).update(dict.fromkeys(rows))
    made = (ExamProblem(id=name, questions=tuple(questions)) for name, questions in problems.items())
    return Exam(name="as the card's answers have it", problems=tuple(made))


def hashed_rows(answers: Answers) -> Answers:
    """The same with hashes in place of what problems and questions are called: a claim holds no text."""
    return Answers(
        {
            short_hash(problem): {short_hash(f"{problem}\n{question}"): right for question, right in rows.items()}
            for problem, rows in answers.by_problem.items()
        }
    )
