"""Adapters, trained weights and optimizers by architectures: charged what the profiler counts, within 1 %.

All set-ups on all architectures: ``benchmarks/meter_matrix.py``. Here each set-up once and each architecture in turn.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the models need torch")
pytest.importorskip("transformers", reason="the models need transformers")
pytest.importorskip("peft", reason="the adapters are PEFT's")

from tests.model.setups import ARCHITECTURES, OPTIMIZERS, SETUPS, build, compare

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
KINDS = ("llama", "qwen2", "gemma3_text", "olmo2", "gpt2", "gpt_neox")
ON = {setup: KINDS[number % len(KINDS)] for number, setup in enumerate(SETUPS)}
# PEFT adapts Linear layers alone in these kinds, or wants norms and embeddings of a common form.
ON |= dict.fromkeys(("VeRA", "IA3", "DoRA", "DoRA, dropout", "AdaLoRA"), "llama")
ON |= {"DoRA": "qwen2", "AdaLoRA": "olmo2", "prompt tuning": "qwen2", "prefix tuning": "llama", "P-tuning": "llama"}


def test_every_architecture_has_a_set_up() -> None:
    assert len(SETUPS) >= 30
    assert set(ON.values()) == set(ARCHITECTURES)


@pytest.mark.parametrize("setup", SETUPS)
def test_a_set_up_is_charged_what_the_profiler_counts(setup: str, tmp_path: Path) -> None:
    optimizer = list(OPTIMIZERS)[list(SETUPS).index(setup) % len(OPTIMIZERS)]
    found = compare(SETUPS[setup](build(ON[setup])), tmp_path, optimizer)
    assert found["training"] == pytest.approx(1, abs=0.01)
    assert found["generate"] == pytest.approx(1, abs=0.01)
    assert (found["updates"], found["within the quote"]) == (1, 1)
    # The last of the virtual tokens in front of a row has a label too: the row's first token.
    assert found["training tokens"] == (34 if setup in ("prompt tuning", "P-tuning") else 32)
