"""A self-edit is cut into training sequences by SEAL's rules."""

import pytest

from netgain.domains.edits import sequences
from netgain.domains.problem import EditFormat, Material, Prompts
from netgain.domains.reading import READING

MATERIAL = Material("m", "Apollo", "Apollo flew to the moon {1969}.")
LINES = EditFormat("lines", "{title}\n{text}\n", 64)
DOCUMENT = EditFormat("document", "{title}\n{text}\n", 64, "document")
QUESTIONS = EditFormat("questions", "{title}\n{text}\n", 64, "questions")


def cut(edit: str, edit_format: EditFormat = LINES) -> tuple[str, ...]:
    texts = sequences(MATERIAL, edit, edit_format, READING)
    assert all(text.startswith("Apollo\n") for text in texts)
    return tuple(text.removeprefix("Apollo\n") for text in texts)


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        ("1. One.\n\n  2. Two.  \n", ("1. One.", "2. Two.")),
        ("Here is the list:\n1. One.\n2. Two.", ("1. One.", "2. Two.")),
        ("1. One.\n1. Again.", ("1. One.", "1. Again.")),
        ("One.\nTwo.", ("One.", "Two.")),
        ("Heading\n1. One.\n---\nOther heading\n1. Two.", ("1. One.", "1. Two.")),
        ("only one line", ("only one line",)),
        ("  \n\n", ()),
        ("", ()),
    ],
)
def test_each_line_is_a_sequence_and_a_heading_before_a_numbered_list_is_none(
    edit: str, parts: tuple[str, ...]
) -> None:
    assert cut(edit) == parts


def test_a_document_is_one_sequence_and_a_line_of_dashes_begins_another() -> None:
    assert cut("One.\nTwo - and --- more.\n", DOCUMENT) == ("One.\nTwo - and --- more.",)
    assert cut("One.\n---\nTwo.\nThree.", DOCUMENT) == ("One.", "Two.\nThree.")


def test_each_question_with_its_answer_is_a_sequence() -> None:
    edit = "Some questions.\nQuestion 1: Who?\nAnswer: Apollo.\n\nQuestion 2: When?\nAnswer: In\n1969.\nQuestion 3: Why"
    assert cut(edit, QUESTIONS) == ("Question 1: Who?\nAnswer: Apollo.", "Question 2: When?\nAnswer: In\n1969.")
    assert cut("Q: Who?\nA: Apollo.\nQ: When?\nA:", QUESTIONS) == ("Q: Who?\nA: Apollo.",)


def test_what_is_thought_aloud_is_not_trained_on() -> None:
    thinking = EditFormat("cot", "{title}\n{text}\n", 64, begins_after="Implications:")
    assert cut("Let me see.\nImplications:\n1. One.\n2. Two.", thinking) == ("1. One.", "2. Two.")
    assert cut("Let me see, and see, and", thinking) == ()


def test_what_the_prompt_had_begun_belongs_to_the_edit() -> None:
    assert cut(" One.\n2. Two.", READING.formats["implications"]) == ("1. One.", "2. Two.")
    edit = " Who?\nAnswer: Apollo.\nQuestion 2: When?\nAnswer: 1969."
    wanted = ("Question 1: Who?\nAnswer: Apollo.", "Question 2: When?\nAnswer: 1969.")
    assert cut(edit, READING.formats["self-qa"]) == wanted
    assert cut("What it says.", READING.formats["no-prompt"]) == ("What it says.",)


def test_a_domain_without_titles_puts_none() -> None:
    plain = Prompts(closed="{question}", open_book="{text}", answered="{question} {answer}", formats={})
    assert sequences(MATERIAL, "One.", LINES, plain) == ("One.",)


def test_every_format_asks_with_title_and_text_and_has_an_end() -> None:
    names = ("implications", "implications-long", "implications-very-long", "rewrite", "self-qa", "no-prompt")
    assert tuple(READING.formats) == (*names, "implications-cot")
    for edit_format in READING.formats.values():
        prompt = edit_format.prompt(MATERIAL)
        assert MATERIAL.title in prompt
        assert MATERIAL.text in prompt
        assert edit_format.stop
        assert not any(stop in prompt.rstrip() for stop in edit_format.stop if stop != "\nHere is a passage.")
