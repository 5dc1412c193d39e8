"""A model is asked in its own way: by a text that it continues or in a conversation, with demonstrations, and what of
its generation is the answer is a rule with a name."""

from dataclasses import replace

import pytest

from netgain.domains.edits import sequences, written_as
from netgain.domains.problem import Cut, Material, Message, Prompts, Question, text_of
from netgain.domains.reading import READING
from netgain.domains.wording import EXAMPLES, PLAIN_PROMPTS
from netgain.engine.jobs import Sampling

ROME = Material("rome", "Rome", "Ada lives in Rome.")
OSLO = Material("oslo", "Oslo", "Ben lives in Oslo.")
SHOTS = ((ROME, Question("Who lives in Rome?", ("Ada", "Ada L."))), (OSLO, Question("Who lives in Oslo?", ("Ben",))))
ALL = (PLAIN_PROMPTS, READING)


def test_a_base_model_continues_a_text_with_demonstrations_before_it() -> None:
    prompts = PLAIN_PROMPTS.used(chat=False, shots=SHOTS[:1])
    assert prompts.ask("Where?") == "Question: Who lives in Rome?\nAnswer: Ada\n\nQuestion: Where?\nAnswer:"
    assert prompts.ask("Where?", [OSLO]) == (
        "Rome\nAda lives in Rome.\nQuestion: Who lives in Rome?\nAnswer: Ada\n\n"
        "Oslo\nBen lives in Oslo.\nQuestion: Where?\nAnswer:"
    )


def test_an_instruct_model_is_asked_in_turns() -> None:
    prompts = READING.used(chat=True, shots=SHOTS)
    turns = prompts.ask("Where?", [ROME])
    assert isinstance(turns, tuple)
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]  # Rome's own is shown anyway
    assert (turns[1].content, "Ben lives in Oslo." in turns[0].content) == ("Ben", True)
    assert "Ada lives in Rome." in turns[2].content
    assert turns[2].content.count("Where?") == 1
    assert not any("{" in turn.content for turn in turns)


@pytest.mark.parametrize("chat", [False, True])
def test_no_question_is_its_own_demonstration(chat: bool) -> None:
    prompts = PLAIN_PROMPTS.used(chat=chat, shots=SHOTS)
    assert "Ada" not in text_of(prompts.ask("Who lives in Rome?"))
    assert "Ada" in text_of(prompts.ask("Who lives in Oslo?"))


@pytest.mark.parametrize("prompts", ALL)
def test_without_chat_and_shots_the_prompts_are_the_domains_own(prompts: Prompts) -> None:
    used = prompts.used(chat=False)
    assert used.ask("Where?", [ROME]) == prompts.ask("Where?", [ROME])
    assert {name: form.prompt(ROME) for name, form in used.formats.items()} == {
        name: form.template.format(title="Rome", text="Ada lives in Rome.") for name, form in prompts.formats.items()
    }


@pytest.mark.parametrize("prompts", ALL)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_cut_as_an_edit_would_be_and_repeating_it_is_none(
    prompts: Prompts, chat: bool, name: str
) -> None:
    """In each format the demonstration stands behind its own prompt; whoever only says it again has written nothing."""
    form = prompts.used(chat=chat, shots=SHOTS).formats[name]
    about, edit = EXAMPLES[name]
    prompt = form.prompt(ROME)
    assert about.text in text_of(prompt)
    assert text_of(prompt).index(about.text) < text_of(prompt).index("Ada lives in Rome.")
    told = edit.removeprefix(form.head)
    assert told.strip() in text_of(prompt)
    if form.begins_after:
        told = edit.replace("Implications:\n", form.begins_after)
    once = sequences(about, told, replace(form, example=None), prompts)
    assert once
    assert sequences(ROME, told, form, prompts) == ()
    if form.splitting == "lines":
        further = sequences(ROME, f"{told}\n99. Ada is no lighthouse.", form, prompts)
        assert [text.rpartition(". Ada")[2] for text in further] == [" is no lighthouse."]


def test_an_edit_in_a_conversation_begins_with_nothing_that_its_prompt_had_begun() -> None:
    chat, base = (READING.used(chat=one).formats for one in (True, False))
    assert sequences(ROME, "Here is a list:\n1. Ada.\n2. Rome.", chat["implications"], READING) == (
        "Rome\n1. Ada.",
        "Rome\n2. Rome.",
    )
    assert sequences(ROME, " Ada.\n2. Rome.", base["implications"], READING) == ("Rome\n1. Ada.", "Rome\n2. Rome.")
    assert written_as([("Who?", "Ada")], chat["self-qa"], PLAIN_PROMPTS) == "Question: Who?\nAnswer: Ada"


@pytest.mark.parametrize(
    ("cut", "answer"),
    [
        ("line", "It is St. Ives. Or so."),
        ("sentence", "It is St. Ives."),
        ("whole", "It is St. Ives. Or so.\nNobody knows."),
        (("Nobody",), "It is St. Ives. Or so."),
        (("none of it",), "It is St. Ives. Or so.\nNobody knows."),
    ],
)
def test_an_answer_is_cut_by_a_rule_with_a_name(cut: Cut, answer: str) -> None:
    prompts = PLAIN_PROMPTS.used(chat=False, cut=cut)
    text = "\n\n It is St. Ives. Or so.\nNobody knows.\n"
    assert prompts.answer(text) == answer
    end = Sampling(stop=prompts.stop or ("\0",)).end(text)
    assert prompts.answer(text[:end] if end >= 0 else text) == answer, "what is not generated was no part of it"


@pytest.mark.parametrize(
    ("text", "stop", "end"),
    [
        ("\n\nAda\nBen", "\n", 5),
        ("\n\n", "\n", -1),  # an empty line is no answer yet
        (" \n\n\nAda\n\n\n", "\n\n\n", 7),
        ("\nQ: next", "\nQ:", 0),  # what has visible characters counts wherever it stands
        ("###", "#", 0),
        ("Ada", "\n", -1),
    ],
)
def test_white_space_ends_an_answer_only_behind_its_first_visible_character(text: str, stop: str, end: int) -> None:
    assert Sampling(stop=(stop,)).end(text) == end


def test_the_version_changes_with_whatever_decides_what_is_asked() -> None:
    plain = READING.used(chat=False)
    others = [
        READING.used(chat=True),
        READING.used(chat=False, cut="whole"),
        READING.used(chat=False, shots=SHOTS),
        READING.used(chat=False, shots=SHOTS[::-1]),
        replace(plain, closed="{question}?"),
        replace(plain, max_new_tokens=3),
        PLAIN_PROMPTS.used(chat=False),
    ]
    assert plain.version == READING.used(chat=False).version
    assert len({plain.version, *(other.version for other in others)}) == 1 + len(others)


def test_the_wording_holds_all_that_a_model_is_shown_beside_a_problem() -> None:
    """The guard against contamination reads it: what a demonstration tells was told."""
    wording = " ".join(READING.used(chat=True, shots=SHOTS).wording)
    for message in (*_turns(READING, ROME), Message("user", EXAMPLES["rewrite"][1])):
        assert message.content.replace("Where?", "").split("\n")[0] in wording
    assert "Ben lives in Oslo." in wording
    assert "Orsel" not in " ".join(READING.used(chat=True).wording)


def _turns(prompts: Prompts, material: Material) -> tuple[Message, ...]:
    turns = prompts.used(chat=True, shots=SHOTS).ask("Where?")
    assert isinstance(turns, tuple)
    return turns[1:2]
