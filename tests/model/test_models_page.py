"""docs/models.md says what happens: every architecture in its table is built, tiny and random, and tried."""

import re
from pathlib import Path

import pytest

from netgain.engine.frozen_weights import why_not
from netgain.engine.hooks import HooksBackend
from netgain.errors import NetgainError
from netgain.metering.shape import FAMILIES, ModelShape
from netgain.model.model_prices import MeasuredPrices
from netgain.model.selfcheck import check_engine

from ..metering.test_price_profiled import FAMILIES as PROFILED
from .tiny import build

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROWS = {
    model_type: (backend, outcome)
    for model_type, backend, outcome in re.findall(
        r"^\| [^|]+ \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    if model_type != "model_type"
}
# Of every kind, and whatever has a formula that is profiled nowhere else; the others take minutes.
ALWAYS = {"falcon", "gpt_oss", "qwen3_next", "openai-gpt"} | (set(FAMILIES) - set(PROFILED))


def what_happens(model_type: str) -> tuple[str, str]:
    """The backend and how it is priced, within 1 % of torch's profiler; or nothing and the words of the refusal."""
    model = build(model_type)
    config = model.config.to_dict()
    try:
        backend = HooksBackend(model)
        shape = ModelShape.from_config(config) if ModelShape.has_formula(config) else None
        if shape is None:
            MeasuredPrices(model, backend.layout)
        checked = check_engine(model, shape)
    except NetgainError as refused:
        return "-", str(refused)
    assert not checked.unchecked
    assert len(checked.comparisons) == 3
    return ("hooks" if why_not(model) else "planned"), ("formula" if shape else "measured")


def hold(model_type: str) -> None:
    backend, outcome = ROWS[model_type]
    found = what_happens(model_type)
    assert found[0] == backend
    assert outcome.removeprefix("refused: ") in found[1], found[1]
    assert outcome.startswith("refused: ") == (backend == "-")


def test_the_table_has_fifty_architectures_and_every_formula() -> None:
    assert len(ROWS) >= 50
    assert set(FAMILIES) <= set(ROWS)


@pytest.mark.parametrize("model_type", sorted(ALWAYS))
def test_some_of_the_table_holds(model_type: str) -> None:
    hold(model_type)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(set(ROWS) - ALWAYS))
def test_all_of_the_table_holds(model_type: str) -> None:
    hold(model_type)
