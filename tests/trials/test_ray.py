"""On a Ray cluster of several nodes a trial has the same rows as in one process, also where a node dies under it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from netgain.errors import InputError  # noqa: E402
from netgain.metering.verification import verify  # noqa: E402
from netgain.model.metered import Model  # noqa: E402
from netgain.model.requests import Generate  # noqa: E402
from netgain.model.scripted import scripted_model  # noqa: E402
from netgain.trials.resolve import Trial  # noqa: E402
from netgain.trials.store import SAMPLES  # noqa: E402
from netgain.trials.tasks import tasks  # noqa: E402
from tests.trials import world  # noqa: E402

PATIENT = {"health_check_timeout_ms": 60_000, "health_check_failure_threshold": 20}  # with a busy machine
pytestmark = pytest.mark.slow  # it starts three nodes, and needs pip install "netgain[ray]"
SLOW = 0.02  # seconds an answer, so that a node dies in the middle of a task


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node that takes no worker, and one node with a core, the machine's other one comes and goes."""
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": PATIENT})
    made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def slowly(trial: Trial, device: str) -> Model:
    def answer(request: Generate) -> str:
        time.sleep(SLOW)
        return world.answer(request)

    return scripted_model(answer, name="scripted")


def test_a_trial_on_two_nodes_of_which_one_dies_has_the_rows_of_one_process(cluster: Any, tmp_path: Path) -> None:
    world.run(tmp_path / "one")
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    folder = tmp_path / "ray"

    def kill_when_at_work() -> None:
        while not list(folder.glob("units/run-*/kept/results.jsonl")):
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_when_at_work)
    killer.start()
    done = world.run(folder, load=slowly, ray="auto")
    killer.join()
    assert done.complete, done.failed
    assert (folder / SAMPLES).read_bytes() == (tmp_path / "one" / SAMPLES).read_bytes()
    again = 0
    for task in tasks(world.spec()):
        found = verify(folder / "units" / task.name / "journal")
        assert found.ok
        again += len({charge.opened.run for charge in found.charges}) > 1
    assert again <= 1  # one task was under way on the node that died


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("nobody answers")))
    with pytest.raises(InputError, match=r"--ray nowhere:1: no cluster can be reached there \(nobody answers\)"):
        world.run(tmp_path, ray="nowhere:1")
