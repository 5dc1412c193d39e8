"""The time left of a trial, on what the tasks of the demo, with three seeds, reported (processor seconds of one core,
recorded once, beside other work)."""

import itertools
import json
import time
from pathlib import Path

import pytest

from netgain.records.journal import WriterLock
from netgain.report.plan_view import about, status_text
from netgain.trials.plan import planned_work
from netgain.trials.progress import SNAPSHOT, Progress, status_of
from netgain.trials.resolve import resolve, with_data
from netgain.trials.store import Store, locked_form
from netgain.trials.tasks import tasks
from tests.trials import world

EVENTS = json.loads((Path(__file__).parent / "demo_progress.json").read_text(encoding="utf-8"))


def replayed() -> list[tuple[float, float, float | None]]:
    """Time, share and time left after every report."""
    trial, now = with_data(resolve(None, options=["seeds=3"])), [0.0]
    by_name = {task.name: task for task in tasks(trial.spec)}
    progress = Progress(trial, list(by_name.values()), planned_work(trial), clock=lambda: now[0])
    done, found = 0, []
    for now[0], kind, name, count, spent in EVENTS:
        task = by_name[name]
        done = 0 if kind == "begin" else done if count is None else count
        if kind == "begin":
            progress.begin(task)
        elif kind == "finish":
            progress.finish(task, spent)
        else:
            progress.tell(task, done, spent)
        found.append((now[0], progress.share(), progress.seconds_left()))
    return found


def test_the_time_left_is_right_to_a_quarter_once_it_is_said() -> None:
    """Not to a tenth: an outer loop's small steps, which are tuned first, take more time a FLOP."""
    found = replayed()
    end = found[-1][0]
    said = [(at, left) for at, _, left in found if left is not None]
    assert said[0][0] < 0.1 * end  # and soon
    for at, left in said:
        assert abs(left - (end - at)) < 0.25 * (end - at) + 5


def test_neither_the_share_nor_the_time_left_goes_back_and_forth() -> None:
    found = replayed()
    shares = [share for _, share, _ in found]
    assert all(after >= before for before, after in itertools.pairwise(shares))
    assert shares[-1] > 0.999
    shown = [about(left) for _, _, left in found if left is not None]
    changes = [text for text, before in zip(shown, ["", *shown], strict=False) if text != before]
    assert changes == [*(f"about {minutes} min" for minutes in (4, 3, 2)), "less than a minute"]


def test_nothing_is_said_of_the_time_left_before_anything_is_known() -> None:
    assert [left for at, _, left in replayed() if at < 10 + EVENTS[0][0]] == [None] * sum(
        at < 10 + EVENTS[0][0] for at, *_ in EVENTS
    )


WRITTEN = 1.5e9  # the time of writing in these texts; a test puts the present one there
NOW = {"written": WRITTEN, "share": 0.5, "gone": 60.0}


@pytest.mark.parametrize(
    ("text", "share", "left"),
    [
        (json.dumps(NOW | {"left": 600.0}), 0.5, True),
        (json.dumps(NOW | {"left": None}), 0.5, False),
        (json.dumps(NOW), 0.5, False),
        (json.dumps(NOW | {"left": "soon"}), 0.5, False),
        ("", None, False),
        ("{", None, False),
        ("[]", None, False),
        ("{}", None, False),
        (json.dumps(NOW | {"gone": None}), None, False),
        (json.dumps(NOW | {"written": "today"}), None, False),
        (json.dumps(NOW | {"share": True}), None, False),
        (json.dumps(NOW | {"share": 7}), None, False),
        (json.dumps(NOW | {"gone": float("nan")}), None, False),
        (json.dumps(NOW | {"gone": 10**400}), None, False),
    ],
)
def test_the_status_of_a_running_trial_tells_what_a_damaged_snapshot_still_says(
    tmp_path: Path, text: str, share: float | None, *, left: bool
) -> None:
    trial, store = world.resolved(world.spec(seeds=1)), Store(tmp_path)
    store.lock(locked_form(with_data(trial), "0", {"model_digest": "m"}))
    task = tasks(trial.spec)[0]
    store.of(task).mkdir(parents=True)
    (tmp_path / SNAPSHOT).write_text(text.replace(str(WRITTEN), str(time.time())))
    lock = WriterLock(store.journal(task))
    try:
        status = status_of(tmp_path)
    finally:
        lock.release()
    assert status.share == share
    assert (status.seconds_left is not None) is left
    assert (status.seconds_gone is not None) is (share is not None)
    assert list(status.running) == [task.name]
    assert ("% of the work" in status_text(status)) is (share is not None)
