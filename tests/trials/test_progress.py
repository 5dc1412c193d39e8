"""The time left of a trial, on what the tasks of the demo, with three seeds, reported (processor seconds of one core,
recorded once, beside other work)."""

import itertools
import json
from pathlib import Path

from netgain.report.plan_view import about
from netgain.trials.plan import planned_work
from netgain.trials.progress import Progress
from netgain.trials.resolve import resolve, with_data
from netgain.trials.tasks import tasks

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
