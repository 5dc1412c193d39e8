"""Events: what is written is what is read, and nothing else is read."""

import pickle

import pytest

from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import (
    LARGEST,
    Began,
    Closed,
    Discarded,
    Event,
    Failed,
    Lost,
    Noted,
    Opened,
    Reserved,
    Settled,
    from_fields,
    to_fields,
)

EVENTS: list[Event] = [
    Began(software="netgain 0", host="here", pid=1),
    Opened(name="arm", run="r", arm="seal", seed=0, purpose=Purpose.ADAPT, limit=Cost(flops=1e20), parent=0),
    Opened(name="root"),
    Reserved(account=1, operation="train", quote=Cost(flops=1.5, updates=1)),
    Settled(reservation=3, cost=Cost(flops=2.0), overrun=(Currency.FLOPS,)),
    Failed(reservation=3, cost=Cost.zero(), error="NaN loss"),
    Lost(reservation=3, cost=Cost(seconds=0.25)),
    Discarded(reservations=(3, 4), reason="rejected"),
    Noted(text="note", data={"deep": [1, {"x": None}]}),
    Closed(spent={"1": {"flops": 3.5}}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_reads_back_as_it_was_written(event: Event) -> None:
    assert from_fields(to_fields(event)) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own bytes


def test_an_unknown_amount_is_absent_and_stays_unknown() -> None:
    fields = to_fields(Settled(reservation=0, cost=Cost(flops=0.0)))
    assert fields["cost"] == {"flops": 0.0}
    read = from_fields(fields)
    assert isinstance(read, Settled)
    assert read.cost == Cost(flops=0.0)


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"kind": "spent"},
        {"kind": "noted"},
        {"kind": "noted", "text": "x", "more": 1},
        {"kind": "settled", "reservation": -1, "cost": {}},
        {"kind": "settled", "reservation": 0, "cost": {"flops": -1}},
        {"kind": "settled", "reservation": 0, "cost": {"flops": "1"}},
        {"kind": "settled", "reservation": 0, "cost": {"flops": True}},
        {"kind": "settled", "reservation": 0, "cost": {"flops": 10**400}},
        {"kind": "settled", "reservation": 0, "cost": {"flops": LARGEST * 2}},
        {"kind": "settled", "reservation": 0, "cost": {"euros": 1}},
        {"kind": "settled", "reservation": 0, "cost": []},
        {"kind": "settled", "reservation": 0, "cost": {"tokens_real": 2, "tokens_padded": 1}},
        {"kind": "opened", "name": ""},
        {"kind": "opened", "name": "x", "purpose": "fun"},
        {"kind": "discarded", "reservations": [], "reason": ""},
    ],
)
def test_anything_else_is_refused(fields: object) -> None:
    with pytest.raises(ValueError):
        from_fields(fields)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EVENTS[0].pid = 2  # type: ignore[union-attr,misc]
