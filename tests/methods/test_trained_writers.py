"""Writers trained without a reward, and formats that are mixed: what is asked for, learnt, charged and left unspent."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.methods.policy import LOST
from netgain.methods.rejection import Rejection, RejectionSettings
from netgain.methods.seal import Seal, SealSettings
from netgain.methods.synthetic import Synthetic, SyntheticSettings
from netgain.methods.trained_writers import Sharpened, SharpenedSettings, SupervisedWriter, SupervisedWriterSettings
from netgain.methods.writing import REJECTED
from netgain.model import Generate, Model, scripted_model
from netgain.model.program import ask
from netgain.model.scripted import ScriptedAdapter
from netgain.records.chain import read
from netgain.records.claim import UNTRAINED, Role
from netgain.records.cost import Currency, Purpose
from netgain.records.events import Noted, Reserved

from .conftest import MATERIAL, PROMPTS, by_purpose, finish, problem, writer

Make = Callable[..., Any]
PROBLEMS = [problem(number) for number in range(4)]
SMALL = {"rank": 4, "alpha": 8.0, "outer_rank": 4, "outer_alpha": 8.0}
UNPAID = {**SMALL, "select": "unpaid", "candidates": 1}


def learnt(model: Model, desk: Any) -> list[str]:
    """The sequences that a scripted model has had merged into it."""
    (result,) = finish(ask(model, [Generate(account=desk.pay(Purpose.ADAPT), prompt="?")]))
    return sorted(result.get().text.split("|"))


def parrot(request: Generate) -> str:
    """Writes a fact; asked ``?``, it recites what it was trained on."""
    if request.prompt == "?":
        known = request.adapter.sequences if isinstance(request.adapter, ScriptedAdapter) else ()
        return b"|".join(map(bytes, known)).decode()
    return f"fact {request.seed}" if "So:" in str(request.prompt) else "Q: where?\nA: there"


def settings_of(book: Book, operation: str) -> Iterator[dict[str, Any]]:
    for record in read(book.journal.path).records:
        if isinstance(record.event, Reserved) and record.event.operation == operation:
            yield dict(record.event.settings)


def test_the_supervised_writer_learns_the_training_questions_below_the_prompt_that_asks_for_questions(
    make_desk: Make, book: Book
) -> None:
    desk = make_desk(scripted_model(parrot), None, "learn")
    method = SupervisedWriter(SupervisedWriterSettings())
    model = finish(method.learn(desk, PROBLEMS[:2]))
    told = learnt(model, desk)
    assert [text.partition("Ask:\n")[0] for text in told] == [
        "P0: P0 lives in town0. It is far.\n",
        "P1: P1 lives in town1. It is far.\n",
    ]
    lines = [sorted(text.partition("Ask:\n")[2].splitlines()) for text in told]
    assert lines[1] == ["A: pet1", "A: town1", "Q: P1 pet?", "Q: P1 town?"]
    assert by_purpose(book)[Purpose.LEARN] == 2  # one training and one merge; nothing is written, nothing examined
    answerer = finish(method.adapt(make_desk(desk.model, None, "adapt"), [MATERIAL], model))
    assert answerer.model is model
    assert b"".join(map(bytes, answerer.adapter.sequences)).startswith(b"Ada: Q: where?\nA: there")


def test_a_label_begins_where_the_prompt_ends(make_desk: Make) -> None:
    form = PROMPTS.formats["self-qa"]
    headed = {"self-qa": type(form)("self-qa", "{text}\n\nQuestion 1:", 24, "questions")}
    prompts = replace(PROMPTS, formats=headed, answered="Topic: here\n{question}\nAnswer: {answer}")
    desk = make_desk(scripted_model(parrot), None, prompts=prompts)
    asked = problem(1, questions=1)
    question = type(asked.questions[0])("Question: P1 town?", ("town1",))
    model = finish(SupervisedWriter().learn(desk, [type(asked)(asked.material, (question,))]))
    assert learnt(model, desk) == ["P1 lives in town1. It is far.\n\nQuestion 1: P1 town?\nAnswer: town1"]


def test_the_supervised_writer_refuses_a_format_that_is_not_cut_into_questions(make_desk: Make) -> None:
    method = SupervisedWriter(SupervisedWriterSettings(format="implications"))
    for program in (
        method.learn(make_desk(writer(), 9), PROBLEMS),
        method.adapt(make_desk(writer(), 9, "b"), [], None),
    ):
        with pytest.raises(InputError, match=r"format 'implications': is not cut into questions.*choose self-qa"):
            finish(program)
    mixed = SupervisedWriter(SupervisedWriterSettings(format="mixed"))
    assert finish(mixed.learn(make_desk(writer(), 9, "c"), PROBLEMS)) is not None
    with pytest.raises(InputError, match="nothing to learn from"):
        finish(mixed.learn(make_desk(writer(), 9, "d"), []))


def labelled(book: Book) -> int:
    (note,) = (
        record.event.data
        for record in read(book.journal.path).records
        if isinstance(record.event, Noted) and record.event.text == "labelled passages"
    )
    return int(note["passages"])


def test_the_supervised_writer_reads_as_many_labels_as_its_investment_pays_for(
    tiny: Model, make_desk: Make, book: Book
) -> None:
    many = [problem(number) for number in range(100, 140)]
    desk = make_desk(tiny, 3e8, "learn")
    model = finish(SupervisedWriter(SupervisedWriterSettings(**SMALL)).learn(desk, many))
    (job,) = settings_of(book, "train")
    assert model is not tiny
    assert 1 < labelled(book) == job["sequences"] < 40
    assert job["epochs"] == 2
    assert 0.85 * 3e8 <= desk.account.spent(Currency.FLOPS) <= 3e8


def test_few_labels_leave_money_over_and_too_many_are_cut_short(tiny: Model, make_desk: Make, book: Book) -> None:
    few = make_desk(tiny, 3e8, "few")
    finish(SupervisedWriter(SupervisedWriterSettings(**SMALL, labelled=2)).learn(few, PROBLEMS))
    assert 0 < few.account.spent(Currency.FLOPS) < 0.5 * 3e8
    poor = make_desk(tiny, 3e8, "poor")
    long = SupervisedWriterSettings(**SMALL, labelled=4, outer_epochs=100, outer_batch=1)
    finish(SupervisedWriter(long).learn(poor, PROBLEMS))
    assert 0.9 * 3e8 <= poor.account.spent(Currency.FLOPS) <= 3e8
    endless = make_desk(tiny, 3e8, "endless")
    until_used = SupervisedWriterSettings(**SMALL, labelled=2, outer_epochs=None, outer_batch=1)
    finish(SupervisedWriter(until_used).learn(endless, PROBLEMS))
    assert 0.9 * 3e8 <= endless.account.spent(Currency.FLOPS) <= 3e8


def test_the_sharpened_writer_learns_all_that_it_wrote_at_a_low_temperature(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(parrot), None, "learn")
    method = Sharpened(SharpenedSettings(candidates=2, format="implications"))
    model = finish(method.learn(desk, PROBLEMS))
    assert {settings["temperature"] for settings in settings_of(book, "generate")} == {0.3}
    assert len(set(learnt(model, desk))) == 8
    assert by_purpose(book)[Purpose.PROPOSE] == 8
    assert by_purpose(book)[Purpose.LEARN] == 2
    assert not any(charge.discarded for charge in book.charges())
    finish(method.adapt(make_desk(desk.model, None, "adapt"), [MATERIAL], model))
    assert [settings["temperature"] for settings in settings_of(book, "generate")][-1] == 1.0


def test_unpaid_selection_measures_no_reward_and_keeps_one_edit_of_each_context_by_lot(
    make_desk: Make, book: Book
) -> None:
    desk = make_desk(scripted_model(parrot), None, "learn")
    model = finish(Seal(SealSettings(select="unpaid", rounds=1, candidates=3)).learn(desk, PROBLEMS))
    assert len(learnt(model, desk)) == 4
    spent = by_purpose(book)
    assert (spent[Purpose.PROPOSE], spent[Purpose.LEARN], Purpose.SCORE in spent) == (12, 2, False)
    lost = Counter(charge.operation for charge in book.charges() if charge.discarded)
    assert lost == {"generate": 8}
    assert {charge.discarded for charge in book.charges() if charge.discarded} == {LOST}
    with pytest.raises(ValidationError, match="select: unpaid measures no reward"):
        SealSettings(select="unpaid", keep="positive")


@pytest.mark.parametrize(
    "method",
    [Seal(SealSettings(**UNPAID, rounds=2)), Sharpened(SharpenedSettings(**SMALL))],
    ids=["unpaid", "sharpened"],
)
def test_what_no_reward_takes_is_spent_on_more_contexts(tiny: Model, make_desk: Make, book: Book, method: Any) -> None:
    desk = make_desk(tiny, 2e9, "learn")
    learned = finish(method.learn(desk, PROBLEMS))
    assert learned is not tiny
    assert 0.95 * 2e9 <= desk.account.spent(Currency.FLOPS) <= 2e9
    assert {charge.purpose for charge in book.charges()} == {Purpose.PROPOSE, Purpose.LEARN}
    assert {charge.discarded for charge in book.charges()} <= {"", REJECTED}
    adapting = make_desk(tiny, 1e8, "adapt")
    assert finish(method.adapt(adapting, [MATERIAL], learned)).model is learned
    assert 0.99 * 1e8 <= adapting.account.spent(Currency.FLOPS) <= 1e8
    path = book.journal.path
    book.close()
    assert verify(path).ok


def test_writers_without_a_reward_are_conventional_rivals() -> None:
    for method in (SupervisedWriter, Sharpened):
        assert method.role not in UNTRAINED | {Role.SELF_IMPROVING}
    assert Seal.role is Role.SELF_IMPROVING


# -- mixed formats


def heads(asked: list[str]) -> list[str]:
    return [prompt.splitlines()[-1] for prompt in asked if prompt != "?"]


def watching(asked: list[str]) -> Model:
    def answer(request: Generate) -> str:
        asked.append(str(request.prompt))
        return parrot(request)

    return scripted_model(answer)


def test_mixed_edits_take_turns_over_the_formats(make_desk: Make, book: Book) -> None:
    asked: list[str] = []
    finish(
        Synthetic(SyntheticSettings(format="mixed", edits=5)).adapt(make_desk(watching(asked), 99), [MATERIAL], None)
    )
    assert heads(asked) == ["So:", "Ask:", "Or:", "So:", "Ask:"]
    asked.clear()
    two = SyntheticSettings(format="mixed", mix=("rewrite", "self-qa"), edits=3)
    finish(Synthetic(two).adapt(make_desk(watching(asked), 99, "b"), [MATERIAL], None))
    assert heads(asked) == ["Or:", "Ask:", "Or:"]
    asked.clear()
    tried = RejectionSettings(format="mixed", mix=("rewrite", "implications"), candidates=2, questions=1)
    finish(Rejection(tried).adapt(make_desk(watching(asked), 99, "c"), [MATERIAL], None))
    assert heads(asked)[1:3] == ["Or:", "So:"]


def test_a_mixture_of_unknown_formats_or_without_the_word_is_refused_in_one_line(make_desk: Make) -> None:
    with pytest.raises(ValidationError, match="mix lists formats for format: mixed, and format is 'self-qa'"):
        SyntheticSettings(format="self-qa", mix=("self-qa", "rewrite"))
    wrong = Synthetic(SyntheticSettings(format="mixed", mix=("rewrit",)))
    with pytest.raises(InputError, match="did you mean 'rewrite'"):
        finish(wrong.adapt(make_desk(writer(), 9), [MATERIAL], None))


def test_seal_learns_each_kept_edit_below_the_prompt_that_it_was_written_under(make_desk: Make) -> None:
    asked: list[str] = []
    desk = make_desk(watching(asked), None, "learn")
    settings = SealSettings(
        format="mixed", mix=("implications", "self-qa"), rounds=1, contexts=4, candidates=1, repeats=1
    )
    model = finish(Seal(settings).learn(desk, PROBLEMS))
    for text in learnt(model, desk):
        assert ("So:\nfact" in text) != ("Ask:\nQ: where?\nA: there" in text)
    written = Counter(prompt.splitlines()[-1] for prompt in asked if prompt.endswith(("So:\n", "Ask:\n")))
    assert written == {"So:": 2, "Ask:": 2}  # one edit a context, and still both prompts have their turn
