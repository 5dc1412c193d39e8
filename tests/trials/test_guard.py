"""A method that cheats is refused or exposed: more money, other accounts or models, exam questions, its own work."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import CellType, GeneratorType, ModuleType
from typing import Any

import pytest

from netgain.domains.problem import Material, Problem, Question, Split
from netgain.exam.exam import Answerer
from netgain.metering.account import Book
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy_gradient import GradientSettings
from netgain.model.program import Steps, ask, run
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.trials.context import Evaluation, RunContext, evaluate
from netgain.trials.guard import Guard, hashed
from netgain.trials.run import _learn
from netgain.trials.tasks import Task
from tests.trials import world

Cheat = Callable[[Desk, Sequence[Material]], Steps[Answerer]]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[RunContext]:
    with Book.open(tmp_path / "journal") as book:
        task = Task("run", "towns", "edits", 0)
        yield RunContext(
            spec=world.spec(), task=task, domain=world.Towns(), prompts=world.PROMPTS, model=world.model(), book=book
        )


def adapted(context: RunContext, cheat: Cheat, **more: Any) -> Evaluation:
    """What comes of an adaptation by this method to one town, with a budget of four calls."""

    class Cheating(Method):
        role = Role.OTHER

        def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
            return (yield from cheat(desk, materials))

    group = context.problems("test", 1)
    evaluation = context.evaluation(1.0, group, **more)
    ((_, ended),) = run({"": evaluate(context, Cheating(), None, (), evaluation)})
    assert ended.value is not None
    return ended.value


def guard_of(evaluation: Evaluation) -> Guard:
    assert evaluation.guard is not None
    return evaluation.guard


def call(desk: Desk, account: Any = None) -> Generate:
    return Generate(account=account or desk.pay(Purpose.PROPOSE), prompt="List what follows from: x")


def test_spending_more_than_the_budget_is_refused(context: RunContext) -> None:
    def spend(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        while True:
            yield from ask(desk.model, [call(desk)])

    evaluation = adapted(context, spend)
    assert "BudgetExceeded" in evaluation.error
    assert sum(charge.cost.flops or 0 for charge in context.book.charges()) == 8


@pytest.mark.parametrize("where", ["beside", "above", "evaluate"])
def test_charging_another_account_is_refused_before_anything_runs(context: RunContext, where: str) -> None:
    def charge(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        book = desk.account.book
        account = {
            "beside": lambda: book.account("mine", purpose=Purpose.ADAPT),
            "above": lambda: context.root.child("adapt", purpose=Purpose.ADAPT),
            "evaluate": lambda: desk.pay(Purpose.EVALUATE),
        }[where]()
        yield from ask(desk.model, [call(desk, account)])
        return Answerer(model=desk.model)

    assert "InputError" in adapted(context, charge).error
    assert context.book.charges() == ()


def test_votes_on_another_account_are_refused(context: RunContext) -> None:
    def vote(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ()
        return Answerer(model=desk.model, voter=desk.account.book.account("mine", purpose=Purpose.ADAPT))

    assert "not this arm's" in adapted(context, vote).error


def test_a_model_of_its_own_is_refused(context: RunContext) -> None:
    own = scripted_model(lambda request: "anything")

    def asking(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ask(own, [call(desk)])
        return Answerer(model=desk.model)

    def answering(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ()
        return Answerer(model=own)

    assert "none that this arm was given" in adapted(context, asking).error
    assert "none that this arm was given" in adapted(context, answering, name="again").error


def test_calling_the_model_past_the_steps_is_refused(context: RunContext) -> None:
    def direct(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        desk.model.generate([call(desk)])
        yield from ()
        return Answerer(model=desk.model)

    assert "past the steps" in adapted(context, direct).error


def test_an_honest_method_is_neither_refused_nor_exposed(context: RunContext) -> None:
    def honest(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        (written,) = yield from ask(desk.model, [call(desk)])
        texts = [written.get().text, materials[0].text]
        (trained,) = yield from ask(desk.model, [world.training(desk, texts)])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    evaluation = adapted(context, honest)
    assert (evaluation.error, evaluation.exposed) == ("", ())
    assert all(mark.grade.correct for mark in evaluation.marked)
    assert [edit.purpose for edit in guard_of(evaluation).edits] == [Purpose.PROPOSE]


def test_training_on_exam_questions_that_nobody_gave_is_exposed(context: RunContext) -> None:
    (problem,) = context.problems("test", 1)
    leaked = f"Q: {problem.questions[0].text} A: {problem.questions[0].answers[0]}"

    def leak(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        (trained,) = yield from ask(desk.model, [world.training(desk, [leaked])])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    assert len(adapted(context, leak).exposed) == 1


def test_a_question_that_the_model_wrote_itself_is_no_leak(context: RunContext) -> None:
    (problem,) = context.problems("test", 1)

    def write(prompt: str) -> Cheat:
        def method(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
            (written,) = yield from ask(desk.model, [Generate(account=desk.pay(Purpose.PROPOSE), prompt=prompt)])
            (trained,) = yield from ask(desk.model, [world.training(desk, [written.get().text])])
            return Answerer(model=desk.model, adapter=trained.get().adapter)

        return method

    own = replace(context, model=scripted_model(lambda _: problem.questions[0].text))
    assert adapted(own, write("Ask something.")).exposed == ()
    echoed = adapted(context, write(f"List what follows from: {problem.questions[0].text}"), name="echoed")
    assert echoed.exposed == (hashed(problem.questions[0].text),)  # it was told what to write


def test_a_question_of_its_own_below_the_words_that_the_exam_puts_around_all_is_no_leak(context: RunContext) -> None:
    """The title stands in the exam and in what was trained on; the model wrote the question alone."""
    prompts = replace(world.PROMPTS, topical="Topic: {title}\nQuestion: {question}")

    class Topical(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            made = super().problems(split, count, seed)
            asked = [[replace(q, text=prompts.about(p.material, q.text)) for q in p.questions] for p in made]
            return tuple(replace(p, questions=tuple(q)) for p, q in zip(made, asked, strict=True))

    topical = replace(context, domain=Topical(), prompts=prompts)
    (problem,) = topical.problems("test", 1)
    own = prompts.bare(problem.questions[0].text)
    assert prompts.about(problem.material, own) == problem.questions[0].text != own

    def train(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ask(desk.model, [Generate(account=desk.pay(Purpose.PROPOSE), prompt="Ask something.")])
        lesson = f"{prompts.about(materials[0], own)} A: x"
        (trained,) = yield from ask(desk.model, [world.training(desk, [lesson])])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    asking = replace(topical, model=scripted_model(lambda _: f"{own} A: x"))
    assert adapted(asking, train).exposed == ()
    assert (
        len(adapted(replace(topical, model=scripted_model(lambda _: "something else")), train, name="b").exposed) == 1
    )


@pytest.mark.parametrize("how", ["spaced", "two halves", "halves the other way round", "in capitals"])
def test_a_question_is_known_by_its_letters_however_it_is_cut(context: RunContext, how: str) -> None:
    (problem,) = context.problems("test", 1)
    question, half = problem.questions[0].text, len(problem.questions[0].text) // 2
    texts = {
        "spaced": [f"Q: {' '.join(question)} A: x"],
        "two halves": [question[:half], f"{question[half:]} A: x"],
        "halves the other way round": [question[half:], "between", question[:half]],
        "in capitals": [f"Q: {question.upper()} A: x"],
    }[how]

    def leak(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        (trained,) = yield from ask(desk.model, [world.training(desk, texts)])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    assert hashed(question) in adapted(context, leak).exposed


def test_the_end_of_one_text_and_the_beginning_of_the_next_are_no_question(context: RunContext) -> None:
    (problem,) = context.problems("test", 1)
    question, name = problem.questions[0].text, problem.material.id
    begun = question.partition(name)[0]

    def train(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        (written,) = yield from ask(desk.model, [Generate(account=desk.pay(Purpose.PROPOSE), prompt="Ask something.")])
        texts = [written.get().text, f"{name} lies by a river."]
        (trained,) = yield from ask(desk.model, [world.training(desk, texts)])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    own = replace(context, model=scripted_model(lambda _: begun))
    assert "".join([begun, name, " lie"]) in question
    assert adapted(own, train).exposed == ()


def test_a_learner_that_is_handed_development_problems_was_given_what_they_say(context: RunContext) -> None:
    class Checking(Method):
        role = Role.OTHER
        Settings = GradientSettings
        learns = True

        def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[str]:
            yield from ask(desk.model, [Generate(account=desk.pay(Purpose.LEARN), prompt=desk.development[0].id)])
            return ""

        def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
            raise NotImplementedError

    (problem, *_) = context.problems("development", context.spec.problems.development)
    learnt = _learn(context, Checking(GradientSettings(check_every=1)), 1.0)
    assert learnt.error == ""
    assert {problem.material.text, *(question.text for question in problem.questions)} <= set(learnt.given)


def test_a_title_that_is_cut_in_two_is_still_a_title(context: RunContext) -> None:
    class Hinting(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            made = super().problems(split, count, seed)
            return tuple(replace(p, material=replace(p.material, text="A town by a river.")) for p in made)

    hinting = replace(context, domain=Hinting())
    (problem,) = hinting.problems("test", 1)
    title, answer = " ".join(problem.material.title), problem.questions[0].answers[0]

    def train(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        (trained,) = yield from ask(desk.model, [world.training(desk, [f"{title}: {answer}"])])
        return Answerer(model=desk.model, adapter=trained.get().adapter)

    assert set(adapted(hinting, train).exposed) == {hashed(question.text) for question in problem.questions}


def test_training_on_answers_that_nobody_gave_is_exposed(context: RunContext) -> None:
    """Whoever makes the exam anew trains on what is true rather than on the questions."""

    class Hinting(world.Towns):
        def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
            made = super().problems(split, count, seed)
            return tuple(replace(p, material=replace(p.material, text="A town by a river.")) for p in made)

    (problem,) = Hinting().problems("test", 1, 0)
    answer = problem.questions[0].answers[0]

    def train(*texts: str) -> Cheat:
        def cheat(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
            (trained,) = yield from ask(desk.model, [world.training(desk, texts)])
            return Answerer(model=desk.model, adapter=trained.get().adapter)

        return cheat

    hinting = replace(context, domain=Hinting())
    told = adapted(hinting, train(f"{problem.material.title} lies by the {answer}."))
    assert set(told.exposed) == {hashed(question.text) for question in problem.questions}
    honest = adapted(
        hinting, train(f"{problem.material.title}. {problem.material.text}", f"By the {answer}."), name="b"
    )
    assert honest.exposed == ()


def test_an_arm_among_the_trained_ones_does_not_read_at_the_exam(context: RunContext) -> None:
    """With the passage before the question it would beat them all, at a price that no budget counts."""

    def read(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ()
        return Answerer(model=desk.model, context=tuple(materials))

    assert "set role = Role.IN_CONTEXT" in adapted(context, read).error


def test_answers_kept_beside_the_question_are_refused(context: RunContext) -> None:
    (problem,) = context.problems("test", 1)

    def crib(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        yield from ()
        notes = Material("notes", "", f"{problem.questions[0].text} {problem.questions[0].answers[0]}")
        return Answerer(model=desk.model, context=(notes,))

    assert "neither given nor written" in adapted(context, crib).error


def test_computing_for_itself_is_exposed(context: RunContext) -> None:
    def compute(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        until = time.process_time() + 2.2
        while time.process_time() < until:
            sum(range(1000))
        yield from ()
        return Answerer(model=desk.model)

    evaluation = adapted(context, compute)
    assert guard_of(evaluation).unmetered(metered=0.1)
    assert not guard_of(evaluation).unmetered(metered=100.0)


def test_nothing_that_a_method_is_handed_leads_to_the_questions(context: RunContext) -> None:
    def look(desk: Desk, materials: Sequence[Material]) -> Steps[Answerer]:
        found = [
            one for one in _reachable([desk, list(materials)]) if isinstance(one, Question | Problem | world.Towns)
        ]
        assert found == []
        yield from ()
        return Answerer(model=desk.model)

    assert adapted(context, look).error == ""


def _reachable(start: Sequence[Any]) -> Iterator[Any]:
    """All that attributes, slots, closures, methods and containers lead to; no modules, classes or frames."""
    waiting, seen = list(start), set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | GeneratorType | str | bytes | int | float):
            continue
        seen.add(id(one))
        yield one
        waiting += list(getattr(one, "__dict__", {}).values())
        waiting += [getattr(one, name) for kind in type(one).__mro__ for name in _slots(kind) if _has(one, name)]
        waiting += list(getattr(one, "__closure__", None) or ())
        waiting += [getattr(one, name) for name in ("__self__", "__func__", "__wrapped__", "func") if _has(one, name)]
        if isinstance(one, CellType):
            waiting.append(one.cell_contents)
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += list(one)


def _slots(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _has(one: Any, name: str) -> bool:
    try:
        getattr(one, name)
    except Exception:
        return False
    return True
