"""A trial whose model is served as well: the same rows at the same charges; a lost server is no answer, and resumed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="a model behind a server is the model here as well")
pytest.importorskip("openai", reason="the client is the extra `teacher`")

from netgain.errors import InputError
from netgain.isolation.user_method import find_arm_method
from netgain.records.samples import Adaptation, read_rows
from netgain.strict_yaml import SourceLines
from netgain.trials.resolve import resolve_spec
from netgain.trials.schedule import TrialResult, run_trial
from netgain.trials.store import LOCK, SAMPLES, Store
from tests.model.conftest import save_model
from tests.model.serving import Server
from tests.trials import world

ADAPTER = {"rank": 4, "alpha": 8.0, "learning_rate": 1e-2}
ARMS: dict[str, Any] = {
    "frozen": {"method": "frozen"},
    "passage": {"method": "finetune", **ADAPTER},
    "own": {"method": "synthetic", "format": "list", "temperature": 0.0, **ADAPTER},
}
SMALL: dict[str, Any] = world.SMALL | {
    "arms": ARMS,
    "compare": {"arm": "own", "against": "passage"},
    "budget": {"per_problem": 1e8, "ladder": [1]},
    "exam": {"controls": 1, "drift": 0},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "tiny-llama", max_position_embeddings=256)


@pytest.fixture
def server(model: Path) -> Iterator[Server]:
    running = Server(model, context=256)
    yield running
    running.close()


def run(folder: Path, model: Path, server: Server | None = None) -> TrialResult:
    serve: dict[str, Any] | None = None
    if server is not None:
        serve = {"url": server.url, "adapters": str(folder.parent / "shared"), "attempts": 2, "backoff": 0}
    asked = world.spec(**SMALL, model=str(model), serve=serve)
    trial = resolve_spec(asked, SourceLines("trial"), find_arm_method, world.find_domain)
    return run_trial(trial, folder, device="cpu")


@pytest.fixture(scope="module")
def local(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "run"
    assert run(folder, model).complete
    return folder


def test_greedy_edits_and_answers_of_a_server_give_the_same_rows_at_the_same_charges(
    local: Path, model: Path, server: Server, tmp_path: Path
) -> None:
    assert run(tmp_path / "run", model, server).complete
    assert (tmp_path / "run" / SAMPLES).read_bytes() == (local / SAMPLES).read_bytes()
    tested = [row for row in read_rows(local / SAMPLES) if isinstance(row, Adaptation)]
    assert {row.status for row in tested} == {"ok"}
    assert any(row.edits for row in tested)
    assert {body["model"] for body in server.seen} > set(server.loads[:1])
    assert len(server.loads) == len(set(server.loads)) == 1 + 6  # the check's, and each adaptation's once
    setup = Store(tmp_path / "run").setup()
    assert setup is not None
    assert "at a server: 8 greedy answers" in setup.meter_check


def test_a_server_that_is_lost_fails_its_task_with_the_reason_and_the_run_is_resumed(
    local: Path, model: Path, server: Server, tmp_path: Path
) -> None:
    server.down_after = 16
    done = run(tmp_path / "run", model, server)
    assert done.failed
    assert all(
        "serve: the server gave no answer in 2 attempts (server: HTTP 503" in why for why in done.failed.values()
    )
    assert not [row for row in read_rows(tmp_path / "run" / SAMPLES) if isinstance(row, Adaptation) and row.error]
    server.down_after = None
    again = run(tmp_path / "run", model, server)
    assert (again.failed, again.repeated) == ({}, len(done.finished))
    assert (tmp_path / "run" / SAMPLES).read_bytes() == (local / SAMPLES).read_bytes()


def test_that_it_is_served_is_part_of_what_was_asked_and_where_is_not(
    local: Path, model: Path, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"what differs: trial\.serve"):
        run(local, model, server)
    assert "serve" not in (local / LOCK).read_text(encoding="utf-8")
    done = run(tmp_path / "run", model, server)
    moved = Server(model, context=256)
    assert run(tmp_path / "run", model, moved).repeated == len(done.finished)
    moved.close()


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://me:secret@host/v1", "host:8000"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        world.spec(**SMALL, serve={"url": url, "adapters": "shared"})
