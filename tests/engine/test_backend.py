import pytest

from netgain.engine.backend import backend_for, decoder_for
from netgain.engine.hooks import HooksDecoder
from netgain.engine.planned_decode import MultiLoraDecoder
from netgain.errors import InputError

from .small import small_model


@pytest.mark.parametrize(("family", "name"), [("llama", "planned"), ("qwen3", "planned"), ("gpt2", "hooks")])
def test_a_model_gets_the_fastest_backend_that_fits(family: str, name: str) -> None:
    backend = backend_for(small_model(family))
    assert backend.name == name
    assert isinstance(decoder_for(backend), MultiLoraDecoder if name == "planned" else HooksDecoder)


def test_hooks_can_be_asked_for_and_an_unknown_backend_is_refused() -> None:
    assert backend_for(small_model(), "hooks").name == "hooks"
    with pytest.raises(InputError, match="auto, hooks or planned"):
        backend_for(small_model(), "fast")  # type: ignore[arg-type]
