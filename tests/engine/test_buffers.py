"""What the engine holds: no buffers between one call and the next, and no more of them than it needs."""

import weakref
from typing import Any

import pytest
import torch

from netgain.engine import packs, planned
from netgain.engine.backend import backend_for, decoder_for
from netgain.engine.decoding import DecodeRequest
from netgain.engine.hooks import AdapterHooks
from netgain.engine.jobs import Sampling
from netgain.engine.lora import a_of, b_of, fresh
from netgain.engine.planned import PlannedBackend, Workspace
from netgain.engine.planned_decode import MultiLoraDecoder, _Batch
from netgain.engine.trainer import MultiLoraTrainer

from .small import ALL, job, small_model


def test_nothing_is_held_when_trainings_end_or_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, swept = PlannedBackend(small_model()), list[int]()
    monkeypatch.setattr(planned, "LARGE", 1)
    monkeypatch.setattr(planned, "give_back", lambda: swept.append(1))
    outcomes = MultiLoraTrainer(backend).run([job("a"), job("b", epochs=3)])
    next(outcomes)
    assert backend._space.held_bytes > 0
    outcomes.close()  # type: ignore[attr-defined]
    assert backend._space.held_bytes == 0
    assert len(list(MultiLoraTrainer(backend).run([job("a"), job("b")]))) == 2
    assert backend._space.held_bytes == 0
    assert len(swept) == 2


def test_nothing_is_held_when_answers_are_there_or_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = decoder_for(PlannedBackend(small_model()))
    assert isinstance(decoder, MultiLoraDecoder)
    requests = [DecodeRequest(prompt=(1, 2, 3), sampling=Sampling(max_new_tokens=2))]
    decoder.generate(requests)
    assert decoder._space.held_bytes == 0

    def fail(*_: object) -> None:
        assert decoder._space.held_bytes > 0
        raise RuntimeError("something else")

    monkeypatch.setattr(_Batch, "_accept", fail)
    with pytest.raises(RuntimeError, match="something else"):
        decoder.generate(requests)
    assert decoder._space.held_bytes == 0


def test_a_small_workspace_is_let_go_of_without_a_pass_over_the_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "give_back", lambda: pytest.fail("it takes milliseconds"))
    space = Workspace(torch.float32, torch.device("cpu"))
    kept = weakref.ref(space.rows("x", 4, 4)._base)
    space.release()
    assert (space.held_bytes, kept()) == (0, None)


@pytest.mark.parametrize("has_it", [True, False])
def test_freed_pages_go_back_where_the_c_library_can_return_them(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:
    asked: list[int] = []

    class Library:
        if has_it:
            malloc_trim = staticmethod(asked.append)

    monkeypatch.setattr(packs, "_process", Library)
    packs.give_back()
    assert asked == ([0] if has_it else [])


def test_an_entry_of_the_arena_that_is_not_needed_is_never_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As answers end others take their place: in the entries that they had, not in the next untouched ones."""
    backend = PlannedBackend(small_model())
    adapters = [fresh(backend.layout(ALL, 2, 4.0), seed) for seed in range(12)]
    requests = [
        DecodeRequest(prompt=(5, 6, 7, one), adapter=adapter, sampling=Sampling(max_new_tokens=1 + (one + adapter) % 5))
        for adapter in range(12)
        for one in range(3)
    ]
    admit, entries = _Batch._admit, set[int]()

    def watched(batch: Any, family: Any) -> Any:
        found = admit(batch, family)
        entries.update(entry for row in found for entry in (row.entry, row.shared))
        return found

    monkeypatch.setattr(_Batch, "_admit", watched)
    MultiLoraDecoder(backend, rows=6).generate(requests, adapters)
    assert len(entries) <= 6 + 4  # six rows, and the prefixes of the families that are under way; 12 entries are there


def test_adapters_that_are_only_read_are_not_copied() -> None:
    backend = backend_for(small_model(), "hooks")
    layout = backend.layout(ALL, 2, 4.0)
    rows, groups = torch.stack([fresh(layout, seed).row for seed in range(2)]), torch.tensor([0, 1])
    model: Any = backend.model  # type: ignore[attr-defined]
    for trained in (False, True):
        with AdapterHooks(model, layout, 2.0, rows, groups, trained=trained) as hooks:
            for addition, target in zip(hooks._additions, layout.targets, strict=True):
                for own, view in ((addition.a, a_of(rows, layout, target)), (addition.b, b_of(rows, layout, target))):
                    assert (own.data_ptr() == view.data_ptr()) is not trained
                    assert torch.equal(own, view)
