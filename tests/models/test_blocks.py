"""Building blocks: gradients that training relies on, and gains between levels."""

import math

import pytest
import torch

from neuralcodec.entropy.layers import ACTIVATION_MAX, HYPER_SYNTHESIS
from neuralcodec.models.blocks import (
    GainTable,
    add_layers,
    bounded,
    depthwise,
    interpolate_levels,
    pointwise,
    residual_blocks,
    round_through,
    through_layers,
)


@pytest.mark.parametrize(
    ("value", "towards", "passes"),
    [
        (0.5, 1.0, True),
        (0.5, -1.0, True),
        (3.0, 1.0, True),  # above, and descent moves it down: back into the range
        (3.0, -1.0, False),
        (-2.0, -1.0, True),
        (-2.0, 1.0, False),
    ],
)
def test_gradient_of_bounded(value: float, towards: float, passes: bool) -> None:
    x = torch.tensor([value], requires_grad=True)
    out = bounded(x, -1.0, 2.0)
    assert out.item() == min(max(value, -1.0), 2.0)
    out.backward(torch.tensor([towards]))
    assert x.grad is not None
    assert x.grad.item() == (towards if passes else 0.0)


def test_values_outside_can_be_trained_back() -> None:
    x = torch.tensor([9.0, -9.0], requires_grad=True)
    for _ in range(100):
        (bounded(x, -1.0, 1.0) * torch.tensor([1.0, -1.0])).sum().backward()
        with torch.no_grad():
            x -= 0.1 * x.grad  # type: ignore[operator]
        x.grad = None
    assert x.abs().max() < 1.1


def test_a_chain_is_clipped_to_its_ranges() -> None:
    """Layers have the names, channels and ranges of the table."""
    module = torch.nn.Module()
    add_layers(module, HYPER_SYNTHESIS, 4, {"latent": 8, "features": 6})
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters() if name.endswith("weight")}
    assert [*shapes] == [f"{layer.name}.weight" for layer in HYPER_SYNTHESIS]
    assert shapes["hyper_up2.weight"] == (24, 8, 1, 1)
    assert shapes["hyper_blur2.weight"] == (6, 1, 3, 3)
    for scale in (0.1, 1e6):
        out = through_layers(module, HYPER_SYNTHESIS, scale * torch.randn(1, 4, 2, 3))
        assert out.shape == (1, 6, 8, 12)
        assert out.abs().max() <= ACTIVATION_MAX


def test_round_through_rounds_with_the_gradient_of_the_identity() -> None:
    x = torch.tensor([-1.4, 0.6, 2.2], requires_grad=True)
    out = round_through(x)
    assert out.tolist() == [-1.0, 1.0, 2.0]
    out.backward(torch.tensor([1.0, 2.0, 3.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


def test_interpolate_levels() -> None:
    table = torch.tensor([[0.0, 10.0], [1.0, 30.0], [5.0, 20.0]])
    out = interpolate_levels(table, torch.tensor([0.0, 0.25, 1.0, 1.5, 2.0]))
    expected = [[0.0, 10.0], [0.25, 15.0], [1.0, 30.0], [3.0, 25.0], [5.0, 20.0]]
    assert torch.allclose(out, torch.tensor(expected))


def test_interpolate_levels_gives_both_neighbours_gradients() -> None:
    table = torch.zeros(3, 1, requires_grad=True)
    interpolate_levels(table, torch.tensor([1.25])).sum().backward()
    assert table.grad is not None
    assert table.grad.flatten().tolist() == [0.0, 0.75, 0.25]


def test_gain_table_is_geometric_between_levels() -> None:
    gains = GainTable(8, 3, first=4.0, last=60.0)
    out = gains(torch.tensor([0.0, 3.5, 7.0]))
    assert out.shape == (3, 3, 1, 1)
    assert torch.allclose(out[:, 0, 0, 0], torch.tensor([4.0, math.sqrt(240.0), 60.0]))
    assert (gains(torch.linspace(0, 7, 50)).diff(dim=0) > 0).all()


def test_blocks_start_close_to_the_identity() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 16, 9, 7)
    change = residual_blocks(16, 2)(x) - x
    assert change.shape == x.shape
    assert 0 < change.std() < 0.5
    assert (depthwise(16)(x) - x).std() < 0.6
    weight = pointwise(16, 32, gain=0.5).weight.flatten(1)
    assert torch.allclose(weight.T @ weight, 0.25 * torch.eye(16), atol=1e-5)


def test_a_depthwise_convolution_is_zero_padded() -> None:
    conv = depthwise(1)
    torch.nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, 3, 3))
    assert out[0, 0].tolist() == [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
