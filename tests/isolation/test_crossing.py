"""What crosses between two processes arrives as it was sent, whatever was refused before it."""

import json
from typing import Any

import pytest

from netgain.isolation.crossing import INTERNED, PLAIN, Codec, ProtocolError

RUNS = [tuple(range(start, start + INTERNED)) for start in (0, 100, 200, 300)]


def crossed(sender: Codec, receiver: Codec, value: object) -> Any:
    return receiver.decode(json.loads(json.dumps(sender.encode(value))))


def test_a_long_run_crosses_once_and_by_its_number_after_that() -> None:
    sender, receiver = Codec(), Codec()
    for run in (*RUNS, *RUNS):
        assert crossed(sender, receiver, [run, "text"]) == (run, "text")
    assert "v" not in sender.encode(RUNS[0])


def test_what_could_not_be_sent_shifts_no_number() -> None:
    sender, receiver = Codec(), Codec()
    with pytest.raises(TypeError):
        sender.encode((RUNS[0], object()))
    for run in (*RUNS[1:], *RUNS):
        assert crossed(sender, receiver, run) == run


def test_a_number_that_never_arrived_is_an_error_and_not_another_run() -> None:
    sender, receiver = Codec(), Codec()
    sender.encode(RUNS[0])  # it was sent, and refused over there before it was read
    crossed(sender, receiver, RUNS[1])
    with pytest.raises(ProtocolError):
        crossed(sender, receiver, RUNS[0])


def test_settings_of_many_methods_keep_nothing_of_each_other() -> None:
    for sender, receiver in ((PLAIN, Codec(intern=False)), (Codec(intern=False), PLAIN)):
        for run in (RUNS[0], RUNS[0], RUNS[1]):
            assert crossed(sender, receiver, {"layers": run}) == {"layers": run}
            assert sender.encode(run) == list(run)
