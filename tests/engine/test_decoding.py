import pytest
import torch

from netgain.engine.decoding import Chooser, DecodeRequest, choose, new_rows, text_behind
from netgain.engine.jobs import Sampling


def _draws(count: int, **settings: float) -> list[int]:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    chooser = Chooser(DecodeRequest(prompt=(1,), sampling=Sampling(**{"temperature": 1.0, "seed": 3} | settings)))  # type: ignore[arg-type]
    return [chooser.draw(logits) for _ in range(count)]


def test_draws_follow_the_probabilities() -> None:
    counts = torch.bincount(torch.tensor(_draws(4000)), minlength=4) / 4000
    assert torch.allclose(counts, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert set(_draws(500, top_p=0.8)) == {0, 1}
    assert set(_draws(500, top_p=0.81)) == {0, 1, 2}
    assert set(_draws(50, top_p=0.01)) == {0}


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert set(_draws(100, temperature=0.01)) == {0}


def test_the_same_seed_draws_the_same_and_another_differs() -> None:
    assert _draws(30) == _draws(30)
    assert _draws(30) != _draws(30, seed=4)


def test_logits_that_are_not_finite_choose_nothing() -> None:
    logits = torch.tensor([[0.0, 1.0], [float("nan"), 1.0], [float("inf"), 0.0]])
    assert choose(logits, [Chooser(DecodeRequest(prompt=(1,))) for _ in range(3)]) == [1, -1, -1]


WORDS = {5: "\u2581run", 6: "ning", 7: "\u2581ning", 8: "\u2581", 9: "Q", 10: ":"}


def text_of(tokens: list[int]) -> str:
    """As tokenizers do that begin every text with a space of their own."""
    return "".join(WORDS[token] for token in tokens).replace("\u2581", " ").removeprefix(" ")


@pytest.mark.parametrize(
    ("prompt", "tokens", "text"),
    [((5,), (6,), "ning"), ((5,), (7,), " ning"), ((5, 5, 5, 5, 5, 5, 5, 5, 5), (7, 6), " ningning"), ((5,), (), "")],
)
def test_an_answers_text_is_what_it_adds_to_the_prompts(
    prompt: tuple[int, ...], tokens: tuple[int, ...], text: str
) -> None:
    assert text_behind(prompt, tokens, text_of) == text


@pytest.mark.parametrize(
    ("stop", "tokens", "after"),
    [
        ("ningQ:", [7, 9, 10], 3),  # across the borders of three tokens
        (" n", [7], 1),  # the space that a text of its own would have lost
        (" n", [6, 7], 2),
        ("g", [6], 1),  # within a token
        (" run", [6, 10, 7], None),  # what the prompt ends with is no part of the answer
    ],
)
def test_a_stop_string_is_found_in_the_text_wherever_its_tokens_end(
    stop: str, tokens: list[int], after: int | None
) -> None:
    request = DecodeRequest(prompt=(5,), sampling=Sampling(max_new_tokens=9, stop=(stop,)))
    (row,) = new_rows([request], 0, 64, 16, text_of)
    for token in tokens:
        assert row.finish is None
        row.take(token, 60, text_of)
    assert (row.finish, len(row.tokens)) == (None if after is None else "stop", after or len(tokens))
