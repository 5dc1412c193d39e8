import pytest
import torch

from netgain.engine.jobs import InnerLoopJob
from netgain.engine.packs import SlotStep, pack_steps

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
