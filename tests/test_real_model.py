"""A pretrained language model, from the file that `scripts/real-model` fetches to an answer."""

from pathlib import Path

import pytest

from netgain import Book, Currency, Purpose
from netgain.cli.doctor_command import examine
from netgain.model import Generate, Message, load_model

pytestmark = [pytest.mark.real]


def test_smollm2_answers_in_its_own_chat_and_is_charged(smollm2: Path, tmp_path: Path) -> None:
    model = load_model(smollm2)
    with Book.open(tmp_path / "journal") as book:
        account = book.account("real").under(Purpose.ADAPT)
        asked = (Message("user", "What is the capital of France?"),)
        (result,) = model.generate([Generate(account=account, prompt=asked, max_new_tokens=12)])
        assert "Paris" in result.get().text
        assert account.spent(Currency.FLOPS) > 12 * 2 * 106e6  # each new token passes the body's 106 M weights


def test_doctor_says_how_smollm2_is_run_and_priced(smollm2: Path, tmp_path: Path) -> None:
    found = examine(tmp_path, str(smollm2))
    facts = "\n".join(found.facts[f"model {smollm2}"])
    assert "backend: planned" in facts
    assert "training a LoRA within 0.00% of torch's profiler" in facts
    assert found.refusals == []
