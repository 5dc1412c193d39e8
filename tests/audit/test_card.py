"""Claim cards: what is stated is used, what is not stated stays unknown, and mistakes are named with their line."""

import re
from pathlib import Path

import pytest

from netgain.audit.audit import audit, read_claim
from netgain.audit.card import NEW_CARD
from netgain.errors import InputError

MINIMAL = """\
title: A claim
headline: ours
frozen: base
arms:
  base: {role: frozen, accuracy: 0.3}
  ours: {role: self_improving, accuracy: 0.5}
"""


def card(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def filled_in() -> str:
    """The new card with every placeholder replaced by its example."""
    return re.sub(r"FILL IN\s*#.*?for example (.+)$", r"\1", NEW_CARD, flags=re.MULTILINE)


def test_the_new_card_is_refused_until_every_place_is_filled_in_or_deleted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"card.yaml:4: title is still FILL IN; write what is claimed.*or delete"):
        read_claim(card(tmp_path, NEW_CARD))
    lines = filled_in().splitlines()
    blank = next(line for line in NEW_CARD.splitlines() if "updates_per_inner_loop" in line)
    with pytest.raises(InputError, match=f"card.yaml:{len(lines)}: updates_per_inner_loop is still FILL IN"):
        read_claim(card(tmp_path, "\n".join([*lines[:-1], blank])))
    assert read_claim(card(tmp_path, "\n".join(lines[:-1]))).name == "card"


def test_the_new_card_filled_in_as_its_comments_say_is_a_valid_one(tmp_path: Path) -> None:
    verdict = audit(read_claim(card(tmp_path, filled_in())))
    assert verdict.headline.kind == "unmatched"
    assert verdict.arm("ours").updates_per_problem == 79
    assert verdict.outer_loop[0].updates == 2 * 50 * 5 * 3 * 87


def test_a_card_that_states_little_concludes_little(tmp_path: Path) -> None:
    verdict = audit(read_claim(card(tmp_path, MINIMAL)))
    assert verdict.headline.kind == "cannot tell"
    ours = verdict.arm("ours")
    assert (ours.updates_per_problem, ours.flops_per_problem, ours.low) == (None, None, None)
    assert {row.answer for row in verdict.questions} <= {"cannot tell", "no"}
    assert all(row.low is None for row in verdict.comparisons)


def test_flops_come_from_the_stated_model_and_tokens_or_not_at_all(tmp_path: Path) -> None:
    text = MINIMAL + "  tuned: {role: passage, n_problems: 10, tokens: 100, trained: lora, model_parameters: 7.0e9}\n"
    text += "  other: {role: passage, n_problems: 10, tokens: 100}\n"
    verdict = audit(read_claim(card(tmp_path, text)))
    assert verdict.arm("tuned").flops_per_problem == 4 * 7e9 * 100
    assert verdict.arm("other").flops_per_problem is None


def test_intervals_need_a_number_of_questions(tmp_path: Path) -> None:
    text = MINIMAL.replace("0.3}", "0.3, n_questions: 100}").replace("0.5}", "0.5, n_questions: 100}")
    row = audit(read_claim(card(tmp_path, text))).comparisons[0]
    assert row.low is not None
    assert "unpaired" in row.method


def test_an_unknown_outer_loop_leaves_both_training_questions_open(tmp_path: Path) -> None:
    sized = "accuracy: 0.5, n_questions: 974, n_problems: 200, updates: 79"
    text = MINIMAL.replace("accuracy: 0.5", f"{sized}, outer_loop: {{rounds: 2}}").replace(
        "0.3}", "0.3, n_questions: 974}"
    )
    text += "  tuned: {role: passage, accuracy: 0.4, n_questions: 974, n_problems: 200, updates: 79}\n"
    verdict = audit(read_claim(card(tmp_path, text)))
    assert verdict.headline.kind == "unmatched"
    assert [row.answer for row in verdict.questions[0:3:2]] == ["cannot tell", "cannot tell"]


def test_amounts_stated_for_one_problem_need_no_number_of_problems(tmp_path: Path) -> None:
    text = MINIMAL + "  tuned: {role: passage, accuracy: 0.4, updates: 10}\n  icl: {role: in_context, flops: 1.0e+18}\n"
    verdict = audit(read_claim(card(tmp_path, text)))
    assert verdict.arm("tuned").updates_per_problem == 10
    assert verdict.arm("icl").flops_per_problem == 1e18


def test_the_frozen_model_keeps_its_own_number_of_questions(tmp_path: Path) -> None:
    text = MINIMAL.replace("0.3}", "0.3, n_questions: 10}").replace("0.5}", "0.5, n_questions: 100000}")
    row = next(row for row in audit(read_claim(card(tmp_path, text))).comparisons if row.b == "frozen")
    assert row.low is not None
    assert row.low < 0 < row.difference


def test_a_model_of_unknown_size_has_unknown_flops_and_a_note(tmp_path: Path) -> None:
    text = MINIMAL + "model: my/own-7B\n".join(["", "  t: {role: passage, n_problems: 9, tokens: 5, trained: lora}\n"])
    text = text.replace("title: A claim", "title: A claim\nmodel: my/own-7B")
    verdict = audit(read_claim(card(tmp_path, text.replace("\nmodel: my/own-7B\n  t:", "\n  t:"))))
    assert verdict.arm("t").flops_per_problem is None
    assert any("my/own-7B" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("headline: ours", "headline: our", "headline = 'our' is not one of the arms"),
        ("accuracy: 0.5", "accuracy: 47", r"card.yaml:6: arms.ours.accuracy = 47"),
        ("accuracy: 0.5", "acuracy: 0.5", r"card.yaml:6: unknown field 'arms.ours.acuracy'.*did you mean 'accuracy'"),
        ("frozen: base", "frosen: base", r"card.yaml:3: unknown field 'frosen'.*did you mean 'frozen'"),
        ("role: frozen", "role: frozn", r"card.yaml:5: arms.base.role = 'frozn'"),
        ("accuracy: 0.5", "updates: -3", r"card.yaml:6: arms.ours.updates = -3"),
        ("accuracy: 0.5", "updates: .inf", r"arms.ours.updates = inf"),
        ("accuracy: 0.5", "tokens: 5, tokens_padded: 4", "tokens_padded = 4 is below tokens = 5"),
        ("accuracy: 0.5", "n_questions: 0", "n_questions = 0"),
        ("title: A claim", "title: [", "card.yaml:"),
        ("title: A claim", "title: A\ntitle: B", r"card.yaml:2: the key 'title' is used twice"),
        ("title: A claim", "title: !!python/object/apply:os.system [ls]", "card.yaml:1: could not determine"),
        ("accuracy: 0.5", "accuracy: true", "true or false is not a number"),
        ("accuracy: 0.5", "updates: 1.0e+308", "updates = 1e\\+308"),
        ("accuracy: 0.5", "n_questions: 1" + "0" * 400, "n_questions"),
        ("frozen: base", "rival: ours", "headline and rival are both 'ours'"),
        ("frozen: base", "reported: {FLOP: true}", "reported: 'FLOP' is not one of"),
    ],
)
def test_a_mistake_on_a_card_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_claim(card(tmp_path, MINIMAL.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing"),
        ("- 1", "holds a list"),
        ("a: &x [1]\nb: [" + "*x, " * 60 + "]", "more than 50 aliases"),
        ("x: " + "a" * (1024 * 1024), "larger than 1024 KiB"),
    ],
)
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_claim(card(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_claim(path)
