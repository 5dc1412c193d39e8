"""The test seam is public, and needs nothing that trains."""

import subprocess
import sys
from pathlib import Path

from netgain import Book, Cost, Currency, Purpose
from netgain.model import Generate
from netgain.testing import UNIT, scripted_model


def test_a_budget_of_three_units_pays_for_three_calls(tmp_path: Path) -> None:
    model = scripted_model({"2 + 2 =": " 4"})
    with Book.open(tmp_path / "journal") as book:
        account = book.account("mine", limit=Cost(flops=3)).under(Purpose.ADAPT)
        for _ in range(3):
            (result,) = model.generate([Generate(account=account, prompt="2 + 2 =")])
            assert result.get().text == " 4"
        assert account.spent(Currency.FLOPS) == 3
        assert account.remaining() == {Currency.FLOPS: 0}
    assert UNIT.flops == 1


def test_the_test_seam_and_the_door_load_no_torch() -> None:
    code = "import sys, netgain.testing, netgain.model.metered, netgain.model.remote; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "peft", "openai"} & set(loaded)
