from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netgain.engine.jobs import InnerLoopJob, Schedule
from netgain.engine.packs import Resident, SlotStep, choose_members, pack_steps

JOB = InnerLoopJob(key="a", sequences=[[5, 6, 7], [8, 9]], epochs=1, learning_rate=1.0, seed=0)


def test_sequences_lie_end_to_end_and_each_steps_weights_sum_to_one() -> None:
    steps = [SlotStep(4, (JOB.example(0), JOB.example(1))), SlotStep(1, (JOB.example(1),))]
    pack = pack_steps(steps, torch.float64)
    assert pack.tokens.tolist() == [5, 6, 7, 8, 9, 8, 9]
    assert pack.positions.tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert (pack.start.tolist(), pack.group_start.tolist()) == ([0, 3, 5, 7], [0, 5, 7])
    assert (pack.slots.tolist(), pack.keys.tolist()) == ([4, 1], [3, 2, 2])
    assert pack.label_rows.tolist() == [0, 1, 3, 5]
    assert pack.targets.tolist() == [6, 7, 9, 9]
    assert pack.label_group.tolist() == [0, 0, 0, 1]
    assert pack.weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])


def test_two_steps_of_one_adapter_never_share_a_pack() -> None:
    step = SlotStep(0, (JOB.example(0),))
    with pytest.raises(ValueError, match="at most one step"):
        pack_steps([step, step], torch.float32)


def _resident(slot: int, lengths: list[int], epochs: int = 2) -> Resident:
    job = InnerLoopJob(
        key=str(slot), sequences=[[1] * n for n in lengths], epochs=epochs, learning_rate=1.0, seed=slot, batch_size=1
    )
    return Resident(job, slot, slot)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(2, 30), min_size=1, max_size=4), min_size=1, max_size=6), st.integers(1, 60))
def test_every_step_runs_once_in_its_jobs_order_and_no_pack_exceeds_the_budget(
    jobs: list[list[int]], budget: int
) -> None:
    residents = [_resident(slot, lengths) for slot, lengths in enumerate(jobs)]
    done = {slot: list[int]() for slot in range(len(jobs))}
    while active := [r for r in residents if r.remaining]:
        chosen = choose_members(active, budget)
        assert chosen
        assert len({r.slot for r in chosen}) == len(chosen)
        assert sum(r.next.rows for r in chosen) <= budget or len(chosen) == 1
        for resident in chosen:
            done[resident.slot].append(resident.next.rows)
            resident.advance()
    for resident in residents:
        wanted = [len(resident.job.sequences[i]) for step in resident.job.steps() for i in step]
        assert done[resident.slot] == wanted


def test_the_job_with_most_left_goes_first() -> None:
    short, long = _resident(0, [10], epochs=1), _resident(1, [10], epochs=5)
    assert [r.slot for r in choose_members([short, long], 10)] == [1]


def test_the_learning_rate_falls_linearly_to_zero_over_the_jobs_own_steps() -> None:
    resident = _resident(0, [3, 3], epochs=2)
    rates = []
    while resident.remaining:
        rates.append(resident.learning_rate)
        resident.advance()
    assert rates == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.contract
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 3])
def test_a_schedule_with_warm_up_is_the_one_of_transformers(schedule: Schedule, warmup: int) -> None:
    optimization = pytest.importorskip("transformers.optimization")
    job = replace(JOB, epochs=5, learning_rate=0.5, schedule=schedule, warmup_steps=warmup)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = getattr(optimization, f"get_{schedule}_schedule_with_warmup")(optimizer, warmup, job.total_steps)
    for done in range(job.total_steps):
        assert job.rate(done) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()
