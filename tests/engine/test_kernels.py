"""The compiled products and functions agree with torch in single precision, at sizes that fit no tile."""

import pytest
import torch

from netgain.engine.kernels import NativeOps, library
from netgain.engine.torch_ops import TorchOps

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler here")


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 3, 5), (7, 16, 64), (100, 131, 77), (13, 1000, 200)])
def test_products_agree_in_both_directions(rows: int, inputs: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(shape, generator=generator) for shape in ((outputs, inputs), (outputs,)))
    x, dy = (torch.randn(rows, width, generator=generator) for width in (inputs, outputs))
    found = []
    for ops in (NativeOps(torch.float32), TorchOps()):
        frozen = ops.freeze(weight, bias)
        y, dx = torch.full((rows, outputs), 9.0), torch.full((rows, inputs), 9.0)
        ops.linear(frozen, x, y)
        ops.linear_back(frozen, dy, dx)
        found.append((y, dx))
    for mine, theirs in zip(*found, strict=True):
        assert float((mine - theirs).abs().max()) < 1e-3


@pytest.mark.parametrize("rows", range(1, 8))
@pytest.mark.parametrize(("inputs", "outputs"), [(50, 70), (48, 131), (96, 3), (19, 17)])
def test_a_row_does_not_depend_on_its_neighbours_bit_for_bit(rows: int, inputs: int, outputs: int) -> None:
    ops, generator = NativeOps(torch.float32), torch.Generator().manual_seed(0)
    frozen = ops.freeze(torch.randn(outputs, inputs, generator=generator), None)
    for product, width, wide in ((ops.linear, inputs, outputs), (ops.linear_back, outputs, inputs)):
        x = torch.randn(31, width, generator=generator)
        whole, part = torch.empty(31, wide), torch.empty(rows, wide)
        product(frozen, x, whole)
        product(frozen, x[9 : 9 + rows].contiguous(), part)
        assert torch.equal(part, whole[9 : 9 + rows])


def test_the_loss_is_right_at_extremes_and_keeps_a_nan() -> None:
    logits = torch.tensor(
        [[0.0, 90.0, -90.0] + [-1000.0] * 30, [1e30, 1e30, 0.0] + [0.0] * 30, [float("nan")] + [0.0] * 32]
    )
    wide = torch.zeros(3, 48)
    wide[:, :33] = logits
    losses, weights = torch.empty(3), torch.ones(3)
    NativeOps(torch.float32).cross_entropy(wide[:, :33], torch.tensor([0, 1, 2]), weights, losses)
    assert losses[:2].tolist() == pytest.approx([90.0, 0.6931472])
    assert bool(losses[2].isnan())
    assert wide[0, :3].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-6)


def test_silu_holds_at_extremes() -> None:
    gate = torch.tensor([[-200.0, -20.0, -1.0, 0.0, 1.0, 20.0, 200.0] * 5])
    gate_up = torch.cat([gate, torch.full_like(gate, 2.0)], dim=1)
    out = torch.empty_like(gate)
    NativeOps(torch.float32).swiglu(gate_up, out)
    assert out.flatten().tolist() == pytest.approx(
        (torch.nn.functional.silu(gate) * 2).flatten().tolist(), rel=1e-5, abs=1e-6
    )
