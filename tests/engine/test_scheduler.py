from hypothesis import given, settings
from hypothesis import strategies as st

from netgain.engine.jobs import InnerLoopJob
from netgain.engine.scheduler import Resident, StepScheduler


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
    scheduler, done = StepScheduler(budget), {slot: list[int]() for slot in range(len(jobs))}
    while active := [r for r in residents if r.remaining]:
        chosen = scheduler.choose(active)
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
    assert [r.slot for r in StepScheduler(10).choose([short, long])] == [1]


def test_the_learning_rate_falls_linearly_to_zero_over_the_jobs_own_steps() -> None:
    resident = _resident(0, [3, 3], epochs=2)
    rates = []
    while resident.remaining:
        rates.append(resident.learning_rate)
        resident.advance()
    assert rates == [1.0, 0.75, 0.5, 0.25]
