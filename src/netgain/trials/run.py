"""One run: an arm in a domain under a seed. Invest once, adapt to every test problem at every rung, examine.

What was learned adapts to the development problems too: tuning had to do without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, final

from netgain.domains.problem import Problem
from netgain.exam.drift import BaseContinuation, sample
from netgain.exam.exam import Answerer
from netgain.exam.llm_judge import NAME as JUDGE
from netgain.exam.retention import Matrix, stream
from netgain.metering.account import Account
from netgain.metering.budget import Booking
from netgain.methods.method import Method
from netgain.model.lockstep import Steps, run
from netgain.model.metered import Model
from netgain.records.purpose import Purpose
from netgain.records.samples import Adaptation, AdaptationStream, GradedAnswer, Investment, Row
from netgain.trials import bill
from netgain.trials.bench import WIDTH, Bench, Sat, Sitting, adapt_and_sit, closed_book, describe, rung_of, sitting
from netgain.trials.notes import rewards
from netgain.trials.unit import learn_limit
from netgain.trials.witness import hashed

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Invested:
    """What a method learned, what it read and had written on the way, and the exam questions that it trained on."""

    learned: Any
    row: Investment | None
    given: tuple[str, ...] = ()
    exposed: frozenset[str] = frozenset()
    error: str = ""


def run_arm(bench: Bench, method: Method) -> list[Row]:
    """The rows of one run: its investment, its adaptations by rung and problem (development last), its stream."""
    spec = bench.spec
    problems = bench.problems("test", spec.problems.test)
    invested = _invest(bench, method, problems) if method.learns else Invested(None, None)
    drawn = _draw(bench)
    sittings = [
        sitting(bench, rung, group, **_extras(bench, rung, drawn))
        for rung in spec.budget.ladder
        for group in bench.groups(problems)
    ] + _developing(bench, method)
    programs = {
        number: adapt_and_sit(bench, method, invested.learned, invested.given, what)
        for number, what in enumerate(sittings)
    }
    sat: dict[int, Sat] = {}
    for number, ended in run({} if invested.error else programs, width=WIDTH):
        sat[number] = _value(ended.value, ended.error)
        bench.tell(len(sat), len(sittings), bench.root.spent(spec.budget.currency))
    paid = [account for what in sittings for account in (what.account, what.evaluate)]
    judges = {number: what.evaluate.child(JUDGE) for number, what in enumerate(sittings) if bench.judge is not None}
    charges = bill.Bill(bench.book, [*paid, *judges.values()])
    rows: list[Row] = [invested.row] if invested.row else []
    for number, what in enumerate(sittings):
        judging = charges.of(judges[number]) if number in judges else []
        rows += _rows(bench, what, sat.get(number), charges, invested, judging)
    if spec.exam.stream:
        rows.append(_stream(bench, method, invested, problems))
    return rows


def _value(value: T | None, error: Exception | None) -> T:
    if error is not None or value is None:
        raise error or RuntimeError("a program ended without a value")
    return value


def _alone(program: Steps[T]) -> T:
    """Run one program to its end, and raise what it raises."""
    ((_, ended),) = run({"": program})
    return _value(ended.value, ended.error)


# -- investment


def _invest(bench: Bench, method: Method, tests: Sequence[Problem]) -> Invested:
    training = bench.problems("train", bench.spec.problems.train)
    account = bench.root.child("learn", limit=learn_limit(bench.spec))
    desk = bench.desk(account, "learn")
    given = [text for problem in training for text in _texts(problem)]
    witness = bench.witness(desk, given)
    ((_, ended),) = run({"learn": witness.watch(lambda: method.learn(witness.desk, training))})
    charges = bill.Bill(bench.book, [account]).of(account)
    error = "" if ended.error is None else f"learn: {describe(ended.error)}"
    if not error and witness.unmetered(bill.seconds(charges)):
        error = f"learn: it worked {witness.seconds:.0f} processor seconds of its own beside what it was charged for"
    row = Investment(
        domain=bench.unit.domain,
        arm=bench.unit.arm,
        seed=bench.unit.seed or 0,
        status="failed" if error else "ok",
        error=error,
        budget=account.opened.limit.amount(bench.spec.budget.currency),
        rewards=rewards(bench.book, bench.root),
        **bill.fields(charges, bench.spec.budget.currency),
    )
    exposed = witness.exposed([question for problem in tests for question in problem.questions], desk)
    return Invested(ended.value, row, (*given, *witness.texts), frozenset(exposed), error)


def _texts(problem: Problem) -> Iterator[str]:
    yield from (problem.material.title, problem.material.text)
    for question in problem.questions:
        yield from (question.text, *question.answers)


# -- examination


def _developing(bench: Bench, method: Method) -> list[Sitting]:
    """Development problems for what an arm learned, by which it is chosen among its rivals; part of its tuning."""
    if not method.learns:
        return []
    rung, problems = rung_of(bench, method), bench.problems("development", bench.spec.problems.development)
    return [
        sitting(bench, rung, group, Purpose.TUNE, name=f"development: {group[0].id}", stage="development")
        for group in bench.groups(problems)
    ]


def _draw(bench: Bench) -> tuple[BaseContinuation, ...]:
    """What the untouched model goes on with after questions that no problem is about."""
    count, prompts = bench.spec.exam.drift, bench.domain.prompts
    if not count:
        return ()
    asked = [prompts.ask(question.text) for question in bench.domain.controls(count, bench.spec.seed)][:count]
    account = bench.root.child("drift", purpose=Purpose.EVALUATE)
    seed = bench.desk(account, "drift").draw()
    return _alone(sample(bench.model, asked, account, max_new_tokens=prompts.max_new_tokens, seed=seed))


def _extras(bench: Bench, rung: float, drawn: tuple[BaseContinuation, ...]) -> dict[str, Any]:
    exam = bench.spec.exam
    if rung not in exam.at:
        return {}
    controls = bench.domain.controls(exam.controls, bench.spec.seed) if exam.controls else ()
    return {"controls": tuple(controls), "drawn": drawn}


def _rows(
    bench: Bench,
    what: Sitting,
    sat: Sat | None,
    charges: bill.Bill,
    invested: Invested,
    judging: Sequence[Booking],
) -> Iterator[Adaptation]:
    """A row for each problem of the group, which share alike in what the group spent."""
    share, currency = 1.0 / len(what.group), bench.spec.budget.currency
    paid = charges.of(what.account)
    budget = what.account.opened.limit.amount(currency)
    error = invested.error or (sat.error if sat else "it was not run")
    answers = _answers(what, sat)
    for number, problem in enumerate(what.group):
        mine = [hashed(question.text) for question in problem.questions]
        exposed = [name for name in mine if name in invested.exposed or (sat and name in sat.exposed)]
        yield Adaptation(
            domain=bench.unit.domain,
            arm=bench.unit.arm,
            seed=bench.unit.seed or 0,
            stage=what.stage,
            rung=what.rung,
            problem=problem.id,
            status="failed" if error else "ok",
            error=error,
            budget=None if budget is None else budget * share,
            evaluated=bill.amounts(charges.of(what.evaluate), currency, share),
            judging=bill.amounts(judging, currency, share) if judging else {},
            answers=answers[number],
            edits=tuple(sat.witness.edits) if sat and number == 0 else (),
            exposed=tuple(dict.fromkeys(exposed)),
            unmetered=sat.witness.unmetered(bill.seconds(paid)) if sat else False,
            divergence=sat.divergence if sat else None,
            **bill.fields(paid, currency, share),
        )


def _answers(what: Sitting, sat: Sat | None) -> list[tuple[GradedAnswer, ...]]:
    """The answers of each problem of the group, in the exam's order; controls are the first problem's.

    Where an adaptation failed, its own questions count as wrong, and the controls were not asked.
    """
    marked = {id(mark.question): mark for mark in (sat.marked if sat else ())}
    found = []
    for number, problem in enumerate(what.group):
        asked = (*problem.questions, *(what.controls if number == 0 and marked else ()))
        rows = []
        for question in asked:
            mark = marked.get(id(question))
            rows.append(
                GradedAnswer(
                    question=hashed(question.text),
                    kind=question.kind,
                    text=mark.answer if mark else "",
                    correct=mark.grade.correct if mark else False,
                    f1=mark.grade.f1 if mark else 0.0,
                    votes=mark.votes if mark else 1,
                    judged=mark.judged if mark else None,
                    exact=mark.exact if mark else None,
                )
            )
        found.append(tuple(rows))
    return found


# -- retention


def _stream(bench: Bench, method: Method, invested: Invested, problems: Sequence[Problem]) -> AdaptationStream:
    rung, chosen = rung_of(bench, method), problems[: bench.spec.exam.stream]
    account = bench.root.child("exam of the stream", purpose=Purpose.EVALUATE)
    learned, paying = invested.learned, list[Account]()
    first = learned if isinstance(learned, Model) else bench.model

    def adapt(number: int, problem: Problem, model: Model) -> Steps[Answerer]:
        what = sitting(bench, rung, (problem,), name=f"stream {number + 1}: {problem.id}")
        paying.append(what.account)
        desk = bench.desk(what.account, "stream", problem.id).at(model=model)
        witness = bench.witness(desk, [*invested.given, problem.material.title, problem.material.text])
        known = model if isinstance(learned, Model) else learned  # weights that were learned go through the stream
        found = yield from witness.watch(lambda: method.adapt(witness.desk, what.materials, known))
        return closed_book(method, witness.check_answerer(found, what.materials))

    def merge(answerer: Answerer, number: int) -> Model:
        if answerer.adapter is None:
            return answerer.model
        paid = bench.root.child(f"stream {number + 1}: merge", purpose=Purpose.ADAPT)
        paying.append(paid)
        return answerer.model.merged(paid, answerer.adapter)

    matrix: Matrix = ()
    error = invested.error
    if not error:
        grade, prompts = bench.domain.grade, bench.domain.prompts
        matrix, error = _alone(stream(adapt, merge, first, chosen, prompts, account, grade, bench.judge))
    charges, currency = bill.Bill(bench.book, [*paying, account]), bench.spec.budget.currency
    return AdaptationStream(
        domain=bench.unit.domain,
        arm=bench.unit.arm,
        seed=bench.unit.seed or 0,
        rung=rung,
        problems=tuple(problem.id for problem in chosen),
        matrix=matrix,
        spent=bill.by_purpose([charge for one in paying for charge in charges.of(one)], currency),
        evaluated=bill.amounts(charges.of(account), currency),
        status="failed" if error else "ok",
        error=error,
    )
