import pytest

from netgain.engine.work import Work


def test_work_adds_up_count_by_count() -> None:
    one = Work(updates=1, real_positions=5, padded_positions=8, attended_context=40)
    assert one + one == Work(updates=2, real_positions=10, padded_positions=16, attended_context=80)
    assert one + Work() == one


def test_work_is_never_negative_and_padding_only_adds() -> None:
    with pytest.raises(ValueError, match="never negative"):
        Work(updates=-1)
    with pytest.raises(ValueError, match="below real_positions"):
        Work(real_positions=3, padded_positions=2)
