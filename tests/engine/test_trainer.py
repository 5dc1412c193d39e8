"""The gates of the trainer: packs give what one-by-one training gives, and no adapter can hurt another."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from netgain.engine.backend import backend_for
from netgain.engine.jobs import InnerLoopJob, PadLoss
from netgain.engine.kernels import library
from netgain.engine.lora import AdapterBank
from netgain.engine.packs import Pack
from netgain.engine.planned import PlannedBackend
from netgain.engine.torch_ops import TorchOps
from netgain.engine.trainer import JobOutcome, MultiLoraTrainer

from .small import ALL, CONTEXT, EXACT, exact_norms, job, small_model, texts, train_alone

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]
NAN = float("nan")


def _train(backend: Any, jobs: Sequence[InnerLoopJob], **settings: int) -> dict[str, JobOutcome]:
    trainer = MultiLoraTrainer(backend, **({"resident": 3, "budget": 70} | settings))
    return {outcome.key: outcome for outcome in trainer.run(jobs)}


def _same(one: JobOutcome, other: JobOutcome, within: float) -> bool:
    assert one.adapter is not None
    assert other.adapter is not None
    return float((one.adapter.row - other.adapter.row).abs().max()) <= within


@pytest.mark.parametrize("backend", ["planned", "hooks"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_in_float64_packed_training_is_sequential_peft_to_1e_10(family: str, backend: Any) -> None:
    model = small_model(family, torch.float64)
    exact_norms(model)
    settings = [
        {"target_modules": ALL},
        {"target_modules": ALL, "epochs": 5, "max_grad_norm": 0.05},
        {"batch_size": 3, "count": 7},
        {"pad_loss": EXACT, "rank": 2, "alpha": 4.0},
        {"loss_masks": [[i % 3 == 0 for i in range(len(text))] for text in texts(4, 104)]},
    ]
    jobs = [job(str(i), seed=i, **setting) for i, setting in enumerate(settings)]
    outcomes = _train(backend_for(model, backend), jobs)
    for wanted in jobs:
        outcome = outcomes[wanted.key]
        assert outcome.adapter is not None
        adapter, losses = train_alone(model, wanted, outcome.adapter)
        assert float((adapter.row - outcome.adapter.row).abs().max()) <= 1e-10, wanted.key
        assert outcome.losses == pytest.approx(losses, abs=1e-10)


def test_in_float32_a_full_loop_of_90_steps_keeps_its_losses_to_1e_4() -> None:
    model = small_model()
    jobs = [job(str(i), seed=i, count=9, epochs=10, learning_rate=1e-3, rank=8) for i in range(3)]
    outcomes = _train(backend_for(model), jobs)
    for wanted in jobs:
        outcome = outcomes[wanted.key]
        assert outcome.adapter is not None
        _, losses = train_alone(model, wanted, outcome.adapter)
        assert len(losses) == 90
        assert max(abs(a - b) for a, b in zip(losses, outcome.losses, strict=True)) <= 1e-4


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_adding_removing_and_permuting_others_changes_nothing_beyond_rounding(family: str) -> None:
    model = small_model(family, torch.float64)
    targets = ("c_attn", "c_proj") if family == "gpt2" else ("q_proj", "v_proj")
    jobs = [job(str(i), seed=i, count=2 + i, target_modules=targets) for i in range(5)]
    backend = backend_for(model)
    together = _train(backend, jobs)
    for changed in (jobs[::-1], jobs[2:], jobs[2:3]):
        again = _train(backend, changed, resident=2, budget=45)
        exact = family == "llama" and library() is not None  # the kernels' rows do not depend on their neighbours
        assert _same(again["2"], together["2"], 0.0 if exact else 1e-10)


class Poisoned:
    """A backend that spoils one slot's result, or runs out of memory, where a test says so."""

    def __init__(self, backend: Any, spoil: Callable[[Pack, AdapterBank, list[float]], None]) -> None:
        self._backend, self._spoil = backend, spoil
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def gradients(self, pack: Pack, bank: AdapterBank) -> list[float]:
        self.calls += 1
        losses: list[float] = self._backend.gradients(pack, bank)
        self._spoil(pack, bank, losses)
        return losses


@pytest.mark.parametrize("kind", ["native", "torch", "hooks"])
def test_an_adapter_of_nans_fails_alone_and_the_rest_is_unharmed(kind: str) -> None:
    jobs = [job(str(i), seed=i) for i in range(3)]
    model = small_model()
    backend: Any = PlannedBackend(model, TorchOps()) if kind == "torch" else None
    backend = backend or backend_for(model, "hooks" if kind == "hooks" else "auto")
    clean = _train(backend, jobs)
    seen = []

    def spoil(pack: Pack, bank: AdapterBank, losses: list[float]) -> None:
        seen.append(losses)
        if len(seen) == 2:
            bank.weights[1] = NAN

    struck = _train(Poisoned(backend, spoil), jobs)
    failure = struck["1"].failure
    assert failure is not None
    assert failure.kind == "not_finite"
    assert struck["1"].adapter is None
    assert 0 < struck["1"].work.updates < 12
    assert struck["1"].work.real > 0
    for key in ("0", "2"):
        assert struck[key].failure is None
        assert _same(struck[key], clean[key], 0.0 if kind == "native" and library() else 1e-4)


def test_an_infinite_loss_or_gradient_ends_that_job_only() -> None:
    jobs = [job(str(i), seed=i) for i in range(3)]

    def loss(pack: Pack, _: AdapterBank, losses: list[float]) -> None:
        if 0 in pack.slots.tolist():
            losses[pack.slots.tolist().index(0)] = float("inf")

    def gradient(pack: Pack, bank: AdapterBank, _: list[float]) -> None:
        if 2 in pack.slots.tolist():
            bank.gradients[2, 0] = float("inf")

    for spoil, struck in ((loss, "0"), (gradient, "2")):
        outcomes = _train(Poisoned(backend_for(small_model()), spoil), jobs, budget=1000)
        assert [key for key, outcome in sorted(outcomes.items()) if outcome.failure] == [struck]
        assert outcomes[struck].work.updates == 0


def test_a_diverging_adapter_is_recorded_as_failed() -> None:
    jobs = [job("wild", learning_rate=3e38, seed=1), job("calm", seed=2)]
    outcomes = _train(backend_for(small_model()), jobs)
    assert outcomes["wild"].failure is not None
    assert outcomes["wild"].failure.kind == "not_finite"
    assert outcomes["calm"].failure is None


def test_when_memory_runs_out_the_pack_is_halved_and_only_a_step_that_never_fits_fails() -> None:
    jobs = [job(str(i), seed=i) for i in range(3)]
    jobs.append(job("big", seed=9, sequences=[[3] * 60], epochs=1))
    backend = backend_for(small_model())
    clean = _train(backend, jobs[:3], budget=1000)

    def short(pack: Pack, _: AdapterBank, __: list[float]) -> None:
        if pack.rows > 55:
            raise torch.OutOfMemoryError("simulated")

    outcomes = _train(Poisoned(backend, short), jobs, resident=4, budget=1000)
    failure = outcomes["big"].failure
    assert failure is not None
    assert failure.kind == "out_of_memory"
    for key in ("0", "1", "2"):
        assert _same(outcomes[key], clean[key], 1e-5)
        assert outcomes[key].work.updates == clean[key].work.updates
        assert outcomes[key].work.real > clean[key].work.real  # what was lost is booked too


def test_another_runtime_error_is_not_taken_for_a_lack_of_memory() -> None:
    def broken(_: Pack, __: AdapterBank, ___: list[float]) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        _train(Poisoned(backend_for(small_model()), broken), [job("a")])


def test_impossible_jobs_are_outcomes_and_the_others_run() -> None:
    jobs = [
        job("none", sequences=[]),
        job("long", sequences=[[2] * (CONTEXT + 1)]),
        job("odd", sequences=[[2, 999]]),
        job("fine"),
    ]
    outcomes = _train(backend_for(small_model()), jobs)
    kinds = {key: outcome.failure.kind if outcome.failure else None for key, outcome in outcomes.items()}
    assert kinds == {"none": "empty", "long": "too_long", "odd": "bad_token", "fine": None}
    assert outcomes["none"].work.real == 0


def test_work_is_counted_as_it_was_done() -> None:
    wanted = job("a", epochs=2, pad_loss=PadLoss("probes", 3, 100))
    work = _train(backend_for(small_model()), [wanted])["a"].work
    text = sum(len(sequence) for sequence in wanted.sequences)
    assert work.updates == 8
    assert work.real == 2 * text
    assert work.positions == 2 * (text + 4 * 3)
    assert work.training == work.head_positions == 2 * (text + 4 * 3)  # each text's last row predicts the end
    assert work.generated == 0
    rectangles = _train(backend_for(small_model(), "hooks"), [wanted])["a"].work
    assert replace(rectangles, context=0, head_positions=0) == replace(work, context=0, head_positions=0)
    assert rectangles.head_positions == rectangles.positions  # any model: logits at every position
    assert rectangles.context == 2 * sum((len(sequence) + 3) ** 2 for sequence in wanted.sequences)


def test_the_same_seed_gives_the_same_bytes() -> None:
    jobs = [job(str(i), seed=i) for i in range(4)]
    once, twice = (_train(backend_for(small_model()), jobs) for _ in range(2))
    assert all(_same(once[key], twice[key], 0.0) for key in once)


def test_exact_pads_change_what_is_learnt() -> None:
    outcomes = _train(backend_for(small_model()), [job("masked"), job("exact", pad_loss=EXACT)])
    assert not _same(outcomes["masked"], outcomes["exact"], 1e-3)
