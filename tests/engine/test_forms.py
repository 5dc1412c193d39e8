"""An answer that is held to a form: whatever the model would rather say, its text is a beginning of what is allowed."""

from collections.abc import Sequence

import pytest
import torch

from netgain.engine.decoding import STUCK, Chooser, DecodeRequest, choose
from netgain.engine.forms import DIGIT, POSITIVE, TokenForm
from netgain.engine.jobs import Form, Sampling
from netgain.errors import InputError

FORM: Form = (("{",), ("", " "), ("yes", "no"), (":",), (f"0.{POSITIVE}{DIGIT}", f"{POSITIVE}", "10"), ("}",))
PIECES = ["a", "{", "}", "yes", "no", "y", "es:", ":", "0", ".", "1", "2", "10", "0.", " ", " n", "o:0.1", "\n", "x}"]


def text_of(tokens: Sequence[int]) -> str:
    return "".join(PIECES[token] for token in tokens)


def written(form: TokenForm, seed: int, **settings: float) -> str:
    """An answer of a model that finds everything equally likely."""
    sampling = Sampling(temperature=settings.get("temperature", 1.0), seed=seed, form=FORM)
    chooser, tokens = Chooser(DecodeRequest(prompt=(0,), sampling=sampling), form), list[int]()
    logits = torch.randn(1, len(PIECES), generator=torch.Generator().manual_seed(seed))
    while not chooser.complete:
        tokens += choose(logits, [chooser])
        assert tokens[-1] >= 0
    return text_of(tokens)


def test_every_answer_is_whole_and_allowed_and_all_ways_are_open() -> None:
    form = TokenForm(FORM, len(PIECES), text_of)
    answers = {written(form, seed) for seed in range(150)}
    assert all(form.done(form.after(answer)) for answer in answers)
    assert {answer[-2] for answer in answers} >= {"0", "1", "2"}
    assert any(answer.startswith("{ n") for answer in answers)
    assert any(":0.1" in answer for answer in answers)
    assert form.done(form.after(written(form, 3, temperature=0.0)))


def test_what_is_allowed_is_what_was_counted_by_hand() -> None:
    form = TokenForm(FORM, len(PIECES), text_of)
    assert {PIECES[token] for token in form.allowed(form.start)} == {"{"}
    assert {PIECES[token] for token in form.allowed(form.after("{"))} == {"yes", "no", "y", " ", " n"}
    assert {PIECES[token] for token in form.allowed(form.after("{no:"))} == {"0", "0.", "1", "2", "10"}
    assert {PIECES[token] for token in form.allowed(form.after("{no:0.1"))} == {"0", "1", "2", "10"} - {"10"}
    assert form.after("{no:00") == form.after("{ yes:0.0") == frozenset()


def test_no_token_is_allowed_after_which_the_vocabulary_cannot_write_on() -> None:
    pieces = ["{", "}", "yes:", "no", "1", "0"]  # nothing goes on behind "no", nor behind "0"
    form = TokenForm(FORM, len(pieces), lambda tokens: "".join(pieces[token] for token in tokens))
    assert [pieces[token] for token in form.allowed(form.after("{"))] == ["yes:"]
    assert [pieces[token] for token in form.allowed(form.after("{yes:"))] == ["1"]
    with pytest.raises(InputError, match="cannot write it"):
        TokenForm(FORM, 2, lambda tokens: "".join(pieces[token] for token in tokens))


def test_what_tokens_come_to_together_decides_and_not_what_each_is_alone() -> None:
    """A tokenizer that writes a space between any two digits: "1", "0" is "1 0" there, and no ten."""
    pieces = ["{", "}", "no:", "1", "0"]

    def spaced(tokens: Sequence[int]) -> str:
        return "".join(pieces[token] for token in tokens).replace("10", "1 0")

    form = TokenForm(FORM, len(pieces), spaced)
    chooser = Chooser(DecodeRequest(prompt=(1,), sampling=Sampling(form=FORM)), form)
    wishes = torch.tensor([[0.0, 1.0, 0.0, 2.0, 9.0]])  # 0 above all, then 1, then the end
    assert "".join(pieces[choose(wishes, [chooser])[0]] for _ in range(4)) == "{no:1}"
    assert chooser.complete


def test_an_answer_that_no_token_continues_fails_and_no_other_with_it() -> None:
    form = TokenForm((("aa",),), 1, lambda tokens: "a" * len(tokens) if len(tokens) < 3 else "aab")
    chooser = Chooser(DecodeRequest(prompt=(0,), sampling=Sampling(form=(("aa",),))), form)
    free = Chooser(DecodeRequest(prompt=(0,), sampling=Sampling()))
    assert choose(torch.zeros(2, 1), [chooser, free]) == [0, 0]
    assert choose(torch.zeros(2, 1), [chooser, free]) == [STUCK, 0]
