"""A small town of problems, desks with budgets, and a tiny random model; what methods are tested on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.problem import EditFormat, Grade, Material, Problem, Prompts, Question
from netgain.metering.account import Book
from netgain.methods.method import Desk
from netgain.model import Model, scripted_model
from netgain.model.program import Steps, run
from netgain.records.cost import Cost, Currency, Purpose

from ..model.conftest import save_model

PROMPTS = Prompts(
    closed="Q: {question}\nA:",
    open_book="{text}\nQ: {question}\nA:",
    answered="Q: {question}\nA: {answer}",
    titled="{title}: {text}",
    max_new_tokens=4,
    formats={
        form.name: form
        for form in (
            EditFormat("implications", "{title}: {text}\nSo:\n", 24),
            EditFormat("self-qa", "{title}: {text}\nAsk:\n", 24, "questions"),
            EditFormat("rewrite", "{title}: {text}\nOr:\n", 24, "document"),
        )
    },
)
MATERIAL = Material("ada", "Ada", "Ada lives in Rome. She owns a cat.")


def grade(question: Question, answer: str) -> Grade:
    right = answer.strip() in question.answers
    return Grade(right, float(right))


def problem(number: int, questions: int = 2) -> Problem:
    """A person with a town."""
    name = f"P{number}"
    asked = tuple(Question(f"{name} {kind}?", (f"{kind}{number}",)) for kind in ("town", "pet", "job")[:questions])
    return Problem(Material(name, name, f"{name} lives in town{number}. It is far."), asked)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def make_desk(book: Book) -> Any:
    """A desk with an account of its own: ``make_desk(model, budget, "name", seed=1)``."""

    def make(model: Model, budget: float | None, *names: str, seed: int = 0, **more: Any) -> Desk:
        currency = more.pop("currency", Currency.FLOPS)
        limit = Cost() if budget is None else Cost(**{currency.value: budget})
        account = book.account("/".join(names) or "arm", limit=limit)
        settings = {"prompts": PROMPTS, "grade": grade, "currency": currency, "seed": seed, "names": names} | more
        return Desk(model=model, account=account, **settings)

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A random Llama of three layers, with one token a byte."""
    folder = save_model(tmp_path_factory.mktemp("models") / "tiny", max_position_embeddings=256)
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model: Model = load(folder, device="cpu")
    return model


def finish(steps: Steps[Any]) -> Any:
    """Run one program to its end and return its value; what it raises is raised."""
    ((_, ended),) = run({"only": steps})
    if ended.error is not None:
        raise ended.error
    return ended.value


def by_purpose(book: Book, currency: Currency = Currency.FLOPS) -> dict[Purpose, float]:
    """What was spent, by purpose."""
    found: dict[Purpose, float] = {}
    for charge in book.charges():
        found[charge.purpose] = found.get(charge.purpose, 0.0) + (charge.cost.amount(currency) or 0.0)
    return found


def writer(text: str = "A fact.\nAnother.") -> Model:
    """A scripted model that writes this whatever it is asked."""
    return scripted_model(lambda _: text)
