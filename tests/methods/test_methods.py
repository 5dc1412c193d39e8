"""What each method asks for and what it is charged; on a scripted model, where every call costs one unit."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from netgain.domains.problem import Material, text_of
from netgain.errors import BudgetExceeded, InputError
from netgain.extensions import find_method, names
from netgain.metering.account import Book
from netgain.methods.baselines import Frozen, InContext, Majority, MajoritySettings
from netgain.methods.distillation import Distillation, DistillationSettings
from netgain.methods.entity_pairs import EntityPairs, EntityPairsSettings, entities
from netgain.methods.finetune import Conventional, ConventionalSettings, Finetune, FinetuneSettings
from netgain.methods.fitting import Inner, fit
from netgain.methods.method import Method
from netgain.methods.rejection import (
    ALONE,
    LOST,
    Rejection,
    RejectionSettings,
    SelfConsistency,
    SelfConsistencySettings,
)
from netgain.methods.seal import SealSettings
from netgain.methods.synthetic import Synthetic, SyntheticSettings
from netgain.methods.taught import ModelTeacher, OracleTeacher, Taught, TaughtSettings
from netgain.methods.writing import REJECTED, asks, find_format, parsed, propose, write
from netgain.model import Generate, Model, Score, scripted_model
from netgain.model.program import run
from netgain.records.claim import Role
from netgain.records.cost import Currency, Purpose

from .conftest import MATERIAL, PROMPTS, by_purpose, finish, problem, writer

BOB = Material("bob", "Bob", "Bob bakes. He sings.")
Make = Callable[..., Any]


def trained_on(answerer: Any) -> list[str]:
    """The texts that a scripted adapter was trained on."""
    return [bytes(sequence).decode() for sequence in answerer.adapter.sequences]


def test_frozen_and_in_context_spend_nothing(make_desk: Make, book: Book) -> None:
    desk = make_desk(writer(), 0)
    frozen = finish(Frozen().adapt(desk, [MATERIAL], None))
    inside = finish(InContext().adapt(desk, [MATERIAL, BOB], None))
    assert (frozen.adapter, frozen.context, inside.context) == (None, (), (MATERIAL, BOB))
    assert not book.charges()


def test_a_majority_votes_on_the_adaptation_budget(make_desk: Make) -> None:
    desk = make_desk(writer(), 5)
    answerer = finish(Majority().adapt(desk, [MATERIAL], None))
    assert answerer.voter.remaining() == {Currency.FLOPS: 5}
    assert answerer.voter.opened.purpose is Purpose.ADAPT
    assert finish(Majority(MajoritySettings(in_context=False)).adapt(desk, [MATERIAL], None)).context == ()


def test_fine_tuning_reads_the_passage_and_its_rearrangements(make_desk: Make) -> None:
    answerer = finish(Finetune(FinetuneSettings(paraphrases=3)).adapt(make_desk(writer(), 9), [MATERIAL], None))
    texts = trained_on(answerer)
    assert texts[0] == "Ada: Ada lives in Rome. She owns a cat."
    assert len(texts) == 4
    assert all(sorted(text[5:].split()) == sorted(MATERIAL.text.split()) for text in texts)
    assert "Ada: She owns a cat. Ada lives in Rome." in {
        text
        for seed in range(5)
        for text in trained_on(
            finish(
                Finetune(FinetuneSettings(paraphrases=3)).adapt(
                    make_desk(writer(), 9, str(seed), seed=seed), [MATERIAL], None
                )
            )
        )
    }


def test_fine_tuning_may_read_each_sentence_by_itself_too(make_desk: Make) -> None:
    method = Finetune(FinetuneSettings(sentences=True))
    texts = trained_on(finish(method.adapt(make_desk(writer(), 9), [MATERIAL], None)))
    assert texts == ["Ada: Ada lives in Rome. She owns a cat.", "Ada: Ada lives in Rome.", "Ada: She owns a cat."]


def test_a_question_is_trained_on_in_the_form_in_which_it_will_be_asked(make_desk: Make) -> None:
    for chat in (False, True):
        desk = make_desk(writer(), 9, f"chat {chat}", prompts=PROMPTS.used(chat=chat))
        fitted = finish(fit(desk, [desk.prompts.lesson("Where?", "In Rome")], Inner()))
        asked = text_of(desk.prompts.ask("Where?"))
        assert trained_on(fitted) == [f"{asked}In Rome" if chat else f"{asked} In Rome"]


def test_conventional_data_is_learnt_once_and_then_adapted_from(make_desk: Make) -> None:
    method = Conventional(ConventionalSettings())
    desk = make_desk(writer(), 9, "learn")
    learned = finish(method.learn(desk, [problem(1), problem(2)]))
    assert learned is not desk.model
    assert {charge.purpose for charge in desk.account.book.charges()} == {Purpose.LEARN}
    answerer = finish(method.adapt(make_desk(writer(), 9, "adapt"), [MATERIAL], learned))
    assert answerer.model is learned
    assert trained_on(answerer) == ["Ada: Ada lives in Rome. She owns a cat."]
    with pytest.raises(InputError, match="nothing to learn from"):
        finish(method.learn(desk, []))


def test_synthetic_data_is_written_and_trained_on_with_the_passage(make_desk: Make, book: Book) -> None:
    model = writer("Ada is in Rome.\nRome has Ada.")
    answerer = finish(Synthetic(SyntheticSettings(edits=2)).adapt(make_desk(model, 9), [MATERIAL], None))
    own = ["Ada: Ada is in Rome.", "Ada: Rome has Ada."]
    assert trained_on(answerer) == [*own, *own, "Ada: Ada lives in Rome. She owns a cat."]
    assert by_purpose(book) == {Purpose.PROPOSE: 2, Purpose.ADAPT: 1}
    without = SyntheticSettings(with_passage=False, format="rewrite")
    answerer = finish(Synthetic(without).adapt(make_desk(model, 9, "b"), [MATERIAL], None))
    assert trained_on(answerer) == ["Ada: Ada is in Rome.\nRome has Ada."]


def test_several_passages_are_written_about_and_trained_on_under_one_budget(make_desk: Make, book: Book) -> None:
    answerer = finish(Synthetic().adapt(make_desk(writer("Fact."), 9), [MATERIAL, BOB], None))
    assert trained_on(answerer)[:2] == ["Ada: Fact.", "Bob: Fact."]
    assert [charge.operation for charge in book.charges()] == ["generate", "generate", "train"]


def test_a_format_that_the_domain_lacks_is_answered_with_the_nearest(make_desk: Make) -> None:
    with pytest.raises(InputError, match="did you mean 'implications'"):
        find_format(make_desk(writer(), 1), "implication")


def test_a_rejected_edit_is_still_charged_and_itemised(make_desk: Make, book: Book) -> None:
    def answer(request: Generate) -> str:
        if request.seed % 2:
            raise ValueError("the model is tired")
        return " \n" if request.seed % 4 else "A fact."

    desk = make_desk(scripted_model(answer), None)
    form = find_format(desk, "")
    edits = finish(propose(desk, [MATERIAL], form, 40))
    outcomes = Counter((charge.outcome, charge.discarded) for charge in book.charges())
    assert by_purpose(book) == {Purpose.PROPOSE: 40}
    assert 0 < len(edits) == outcomes["completed", ""]
    assert outcomes["completed", REJECTED] > 0
    assert outcomes["failed", REJECTED] > 0
    assert sum(outcomes.values()) == 40


def test_what_a_budget_cannot_pay_for_is_not_asked_for_and_the_journal_says_so(make_desk: Make, book: Book) -> None:
    desk = make_desk(writer("Fact."), 3)
    form = find_format(desk, "")
    written = finish(write(desk, asks([MATERIAL, BOB], form, 2)))
    assert [edit and edit.ask.material.id for edit in written] == ["ada", "bob", "ada", None]
    assert desk.left() == 0
    assert finish(propose(desk, [MATERIAL], form, 2)) == []


def test_a_shorter_edit_is_asked_for_where_a_whole_one_is_too_dear(tiny: Model, make_desk: Make, book: Book) -> None:
    desk = make_desk(tiny, None, "price")
    form = find_format(desk, "")
    request = Generate(account=desk.pay(Purpose.PROPOSE), prompt=form.prompt(MATERIAL), max_new_tokens=24)
    whole = tiny.quote([request])[0].flops or 0.0
    finish(propose(make_desk(tiny, whole * 1.9, "poor"), [MATERIAL], form, 1, share=0.5))
    assert [charge.cost.tokens_generated for charge in book.charges()] == [12]


def test_edits_of_one_prompt_differ_by_their_seeds(make_desk: Make) -> None:
    seeds: list[int] = []

    def answer(request: Generate) -> str:
        seeds.append(request.seed)
        return "Fact."

    desk = make_desk(scripted_model(answer), None)
    finish(propose(desk, [MATERIAL], find_format(desk, ""), 5))
    assert len(set(seeds)) == 5
    again = [*seeds]
    finish(propose(desk, [MATERIAL], find_format(desk, ""), 5))
    assert seeds[5:] == again


ASKED = "Question: Where?\nAnswer: Rome\nQuestion 2: What pet?\nAnswer 2: a cat"


def test_questions_are_read_from_what_the_model_wrote(make_desk: Make) -> None:
    pairs = parsed(make_desk(scripted_model({}), None), MATERIAL, f"{ASKED}\nQuestion: unanswered\nQ: Who? A: Ada")
    assert [(pair.question, pair.answer) for pair in pairs] == [
        ("Where?", "Rome"),
        ("What pet?", "a cat"),
        ("Who?", "Ada"),
    ]


def asking(request: Generate) -> str:
    """Asks, answers in context, or writes one of five edits."""
    if str(request.prompt).endswith("Ask:\n"):
        return ASKED
    if "Q: " in str(request.prompt):
        return "in context" if "lives in Rome" in str(request.prompt) else "closed"
    return f"Edit {request.seed}."


def test_rejection_keeps_the_edit_that_makes_the_held_out_answers_likeliest(make_desk: Make, book: Book) -> None:
    wanted: list[str] = []

    def likely(request: Score) -> float:
        (edit,) = (text for sequence in request.adapter.sequences if "Edit" in (text := bytes(sequence).decode()))
        wanted.append(edit)
        assert (request.prompt, request.continuation) == ("Q: What pet?\nA:", " a cat")
        return float(edit.rstrip(".").split()[-1])

    desk = make_desk(scripted_model(asking, scores=likely), 1000)
    answerer = finish(Rejection(RejectionSettings(candidates=4)).adapt(desk, [MATERIAL], None))
    best = max(wanted, key=lambda edit: float(edit.rstrip(".").split()[-1]))
    assert len(set(wanted)) == 4
    assert trained_on(answerer) == [best, "Q: Where?\nA: Rome", "Ada: Ada lives in Rome. She owns a cat."]
    lost = [charge.operation for charge in book.charges() if charge.discarded == LOST]
    assert Counter(lost) == {"generate": 3, "train": 4}
    assert by_purpose(book) == {Purpose.PROPOSE: 6, Purpose.ADAPT: 5, Purpose.SCORE: 4}


def test_rejection_without_questions_takes_the_first_candidate(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(lambda request: f"Edit {request.seed}."), 1000)
    answerer = finish(Rejection(RejectionSettings(candidates=3)).adapt(desk, [MATERIAL], None))
    assert len([text for text in trained_on(answerer) if "Edit" in text]) == 1
    assert Counter(charge.discarded for charge in book.charges())[LOST] == 2


def test_self_consistency_trains_on_what_several_texts_say(make_desk: Make, book: Book) -> None:
    told = iter(["Rome it is.\nAlone.", "a cat\nROME, it is", "Nothing alike.", "Rome it is.\nRome it is."])
    desk = make_desk(scripted_model(lambda _: next(told)), 1000)
    answerer = finish(SelfConsistency(SelfConsistencySettings(edits=4)).adapt(desk, [MATERIAL], None))
    assert trained_on(answerer) == [
        *("Ada: Rome it is.", "Ada: ROME, it is", "Ada: Rome it is.", "Ada: Rome it is."),
        "Ada: Ada lives in Rome. She owns a cat.",
    ]
    assert [charge.discarded for charge in book.charges()] == ["", "", ALONE, "", ""]
    assert by_purpose(book) == {Purpose.PROPOSE: 4, Purpose.ADAPT: 1}


def test_self_consistency_counts_the_texts_of_one_passage_and_once_each(make_desk: Make) -> None:
    bob = scripted_model(lambda request: "Same." if "Bob" in str(request.prompt) else f"Same.\nSame.\n{request.seed}.")
    settings = SelfConsistencySettings(edits=1, with_passage=False)
    answerer = finish(SelfConsistency(settings).adapt(make_desk(bob, 1000), [MATERIAL, BOB], None))
    assert [text for text in trained_on(answerer) if "Same" not in text]  # one text agrees with nobody: all is kept
    twice = settings.model_copy(update={"edits": 2})
    answerer = finish(SelfConsistency(twice).adapt(make_desk(bob, 1000, "b"), [MATERIAL, BOB], None))
    assert Counter(trained_on(answerer)) == {"Ada: Same.": 4, "Bob: Same.": 2}


def test_self_consistency_votes_on_the_answer_to_a_question(make_desk: Make, book: Book) -> None:
    told = iter(["Q: a?\nA: x", "Q: a?\nA: y", "Q: A?\nA: X\nQ: b?\nA: z"])
    settings = SelfConsistencySettings(edits=3, format="self-qa", with_passage=False)
    desk = make_desk(scripted_model(lambda _: next(told)), 1000)
    answerer = finish(SelfConsistency(settings).adapt(desk, [MATERIAL], None))
    assert trained_on(answerer) == ["Ada: Q: a?\nA: x", "Ada: Q: A?\nA: X", "Ada: Q: b?\nA: z"]
    assert [charge.discarded for charge in book.charges()] == ["", ALONE, "", ""]


def test_self_consistency_fills_its_budget(tiny: Model, make_desk: Make) -> None:
    desk = make_desk(tiny, 4e8)
    settings = SelfConsistencySettings(rank=4, alpha=8.0)
    assert finish(SelfConsistency(settings).adapt(desk, [MATERIAL], None)).adapter is not None
    assert 0.99 * 4e8 <= desk.account.spent(Currency.FLOPS) <= 4e8


def test_distillation_learns_what_was_answered_in_context(make_desk: Make) -> None:
    settings = DistillationSettings(with_passage=False, answers=2)
    answerer = finish(Distillation(settings).adapt(make_desk(scripted_model(asking), 1000), [MATERIAL], None))
    assert trained_on(answerer) == ["Q: Where?\nA: in context", "Q: What pet?\nA: in context"] * 2


def test_questions_of_ones_own_are_written_at_the_methods_temperature(make_desk: Make) -> None:
    asked: list[tuple[bool, float, float]] = []

    def answer(request: Generate) -> str:
        asked.append((str(request.prompt).endswith("Ask:\n"), request.temperature, request.top_p))
        return asking(request)

    cool: dict[str, Any] = {"temperature": 0.4, "top_p": 0.5}
    for method in (Distillation(DistillationSettings(**cool)), Rejection(RejectionSettings(**cool))):
        desk = make_desk(scripted_model(answer, scores=lambda _: 0.0), 1000, type(method).__name__)
        finish(method.adapt(desk, [MATERIAL], None))
    assert [one[1:] for one in asked if one[0]] == [(0.4, 0.5)] * 4


def test_distillation_without_questions_reads_the_passage(make_desk: Make) -> None:
    settings = DistillationSettings(with_passage=False)
    answerer = finish(Distillation(settings).adapt(make_desk(writer("?"), 1000), [MATERIAL], None))
    assert trained_on(answerer) == ["Ada: Ada lives in Rome. She owns a cat."]


def test_entity_pairs_are_asked_about_and_trained_on(make_desk: Make) -> None:
    prompts: list[str] = []

    def answer(request: Generate) -> str:
        prompts.append(str(request.prompt))
        return "They relate."

    settings = EntityPairsSettings(pairs=3, entities=3)
    answerer = finish(EntityPairs(settings).adapt(make_desk(scripted_model(answer), 1000), [MATERIAL], None))
    assert entities(MATERIAL.text, 3) == ["Ada", "Rome", "lives"]
    assert sorted(prompt.splitlines()[-1] for prompt in prompts) == [
        f"How {pair}, by the passage above:"
        for pair in ("Ada relates to Rome", "Ada relates to lives", "Rome relates to lives")
    ]
    assert trained_on(answerer).count("Ada: They relate.") == 3


def oracle(material: Material, seed: int) -> str | None:
    return f"{material.title} is known.\nReally." if material.id == "ada" else None


def test_an_oracles_text_is_paid_as_teaching_at_a_declared_price(make_desk: Make, book: Book) -> None:
    desk = make_desk(writer(), 100, teacher=OracleTeacher(oracle))
    answerer = finish(Taught(TaughtSettings(texts=2)).adapt(desk, [MATERIAL, BOB], None))
    assert trained_on(answerer)[:2] == ["Ada: Ada is known.", "Ada: Really."]
    taught = [charge for charge in book.charges() if charge.purpose is Purpose.TEACH]
    assert [(charge.operation, charge.cost.tokens_generated) for charge in taught] == [("write", 21), ("write", 21)]
    declared = OracleTeacher(oracle, active_parameters=1e3)
    with pytest.raises(BudgetExceeded):
        finish(Taught().adapt(make_desk(writer(), 100, "poor", teacher=declared), [MATERIAL], None))


def test_a_models_teaching_is_paid_by_the_student(make_desk: Make, book: Book) -> None:
    teacher = scripted_model(lambda request: f"Taught by {type(request.prompt).__name__}.", name="teacher")
    for chat, kind in ((False, "str"), (True, "tuple")):
        desk = make_desk(writer(), 100, kind, teacher=ModelTeacher(teacher, chat=chat))
        answerer = finish(Taught().adapt(desk, [MATERIAL], None))
        assert trained_on(answerer)[0] == f"Ada: Taught by {kind}."
    assert by_purpose(book) == {Purpose.TEACH: 2, Purpose.ADAPT: 2}
    with pytest.raises(InputError, match="this trial has none"):
        finish(Taught().adapt(make_desk(writer(), 9, "alone"), [MATERIAL], None))


def test_a_teacher_that_is_a_model_writes_in_the_format_that_the_arm_names(make_desk: Make) -> None:
    """And its text is cut as that format says, unless the arm says otherwise."""
    teacher = scripted_model(lambda request: ASKED if str(request.prompt).endswith("Ask:\n") else "A fact.", name="t")

    def taught(name: str, **settings: Any) -> list[str]:
        desk = make_desk(writer(), 100, name, teacher=ModelTeacher(teacher))
        answerer = finish(Taught(TaughtSettings(with_passage=False, **settings)).adapt(desk, [MATERIAL], None))
        return list(dict.fromkeys(trained_on(answerer)))

    assert taught("facts") == ["Ada: A fact."]
    assert taught("questions", teacher_format="self-qa")[:2] == [
        "Ada: Question: Where?\nAnswer: Rome",
        "Ada: Question 2: What pet?\nAnswer 2: a cat",
    ]
    assert taught("lines", teacher_format="self-qa", splitting="lines")[0] == "Ada: Question: Where?"


@pytest.mark.parametrize("method", [Synthetic, Taught, Distillation], ids=lambda method: method.__name__)
def test_whoever_trains_on_a_passage_may_train_on_its_sentences(make_desk: Make, method: Any) -> None:
    """Not the arm without text of its own alone: what one rival may do, all may."""
    two = replace(MATERIAL, text="Ada lives in Rome. Ada has a cat.")
    desk = make_desk(writer("A fact."), 100, teacher=ModelTeacher(writer("A fact.")))
    settings = method.Settings(sentences=True)
    texts = trained_on(finish(method(settings).adapt(desk, [two], None)))
    assert {f"Ada: {two.text}", "Ada: Ada lives in Rome.", "Ada: Ada has a cat."} <= set(texts)
    assert "sentences" not in method.Settings().recorded()  # records that are older keep their identity


def test_a_method_that_asks_for_more_than_its_budget_is_refused_alone(make_desk: Make, book: Book) -> None:
    greedy = make_desk(writer(), 2, "greedy", teacher=OracleTeacher(oracle, active_parameters=1e9))
    programs = {
        "greedy": Taught().adapt(greedy, [MATERIAL], None),
        "sound": Synthetic().adapt(make_desk(writer("Fact."), 4, "sound"), [MATERIAL], None),
        "other": Finetune().adapt(make_desk(writer(), 4, "other"), [MATERIAL], None),
    }
    ended = dict(run(programs))
    assert isinstance(ended["greedy"].error, BudgetExceeded)
    assert all(ended[name].error is None and ended[name].value for name in ("sound", "other"))


def test_whatever_learns_says_how_much_of_its_total_it_invests() -> None:
    for name in names("method"):
        method = find_method(name)
        assert ("split" in method.Settings.model_fields) == method.learns, name
    assert SealSettings().split == 0.5
    for wrong in (0.01, 0.96):
        with pytest.raises(ValidationError):
            SealSettings(split=wrong)
    members = {"learns": True, "Settings": SyntheticSettings, "role": Role.OTHER}
    with pytest.raises(TypeError, match=r"derive SyntheticSettings from netgain\.methods\.Learning, which has split"):
        type("Mine", (Method,), members)
