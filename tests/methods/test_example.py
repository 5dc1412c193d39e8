"""The example of a method of one's own is short, and spends its budget to the last update."""

from pathlib import Path
from typing import Any

from netgain.extensions import find_method
from netgain.model import Model
from netgain.records.cost import Currency

from .conftest import MATERIAL, finish

ROOT = Path(__file__).parents[2]


def test_the_example_of_a_users_own_method_is_short_and_fills_its_budget(tiny: Model, make_desk: Any) -> None:
    file = ROOT / "examples" / "method_shuffled.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60
    method = find_method(f"{file}:Shuffled")
    settings = method.Settings.model_validate(method.presets["many"] | {"rank": 4, "alpha": 8})
    assert settings.orders == 32
    desk = make_desk(tiny, 1e8, "own")
    answerer = finish(method(settings).adapt(desk, [MATERIAL], None))
    assert answerer.adapter is not None
    assert 0.99e8 <= desk.account.spent(Currency.FLOPS) <= 1e8
