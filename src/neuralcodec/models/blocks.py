"""Building blocks of the transforms and of the priors.

The transforms work at 1/8 and 1/16 of the picture's resolution and spend nearly all arithmetic in 1x1
convolutions: on a CPU those are plain matrix products. Everything here exports to ONNX (convolutions,
pixel shuffles, SiLU, clamps).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.entropy.layers import Chain, Kind


def pointwise(inputs: int, outputs: int, *, gain: float = 1.0) -> nn.Conv2d:
    """Make a 1x1 convolution with orthogonal weights times `gain` and zero bias."""
    conv = nn.Conv2d(inputs, outputs, 1)
    if not conv.weight.is_meta:
        nn.init.orthogonal_(conv.weight.view(outputs, inputs), gain)
        nn.init.zeros_(_bias(conv))
    return conv


def full_precision(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1) -> Tensor:
    """Convolve in float32, whatever autocast says.

    The linear paths carry the values themselves. In bfloat16, pixels would be off by up to half a level, and
    elements of y beyond 128 quantization steps by up to a whole step. The deep paths only add to these
    values, and may be coarser.
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.float(), weight.float(), None if bias is None else bias.float(), stride)


def depthwise(channels: int) -> nn.Conv2d:
    """Make a zero-padded 3x3 convolution of each channel by itself that starts close to the identity."""
    conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    if not conv.weight.is_meta:  # random numbers on the meta device import torch's compiler: two seconds
        nn.init.normal_(conv.weight, std=0.1)
        nn.init.zeros_(_bias(conv))
        with torch.no_grad():
            conv.weight[:, 0, 1, 1] += 1.0
    return conv


class ResidualBlock(nn.Module):
    """`x + project(silu(expand(depthwise(x))))`: shape `(B, C, H, W)` in and out, 4·C² MACs a position.

    It has no normalisation: the statistics of a picture carry what the decoder has to restore. The small
    output gain keeps the start close to the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = depthwise(channels)
        self.expand = pointwise(channels, 2 * channels)
        self.act = nn.SiLU(inplace=True)
        self.project = pointwise(2 * channels, channels, gain=0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.act(self.expand(self.spatial(x))))


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    """Make `count` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class GainTable(nn.Module):
    """Positive gains per channel and quality level, interpolated exponentially between the levels.

    One network covers a range of rates by scaling its latent before rounding (Cui et al. 2021,
    "Asymmetric gained deep image compression with continuous rate adaptation").

    Args:
        levels: number of trained levels; a level may be any real number in `[0, levels - 1]`.
        channels: number of gains for a level.
        first, last: the initial gain at the first and at the last level, geometric in between.
    """

    def __init__(self, levels: int, channels: int, first: float = 1.0, last: float = 1.0) -> None:
        super().__init__()
        steps = (math.log(first) + math.log(last / first) * k / (levels - 1) for k in range(levels))
        self.log_gain = nn.Parameter(torch.tensor([[step] * channels for step in steps]))

    def forward(self, level: Tensor) -> Tensor:
        """Interpolate the gains `(B, C, 1, 1)` at levels `(B,)`."""
        return interpolate_levels(self.log_gain, level).exp()[:, :, None, None]


def interpolate_levels(table: Tensor, level: Tensor) -> Tensor:
    """Interpolate the rows of `table` `(L, C)` linearly at real positions `level` `(B,)`: `(B, C)`."""
    low = level.floor().clamp(0, table.shape[0] - 2).long()
    share = (level - low)[:, None]
    return table[low] * (1 - share) + table[low + 1] * share


class _Bounded(torch.autograd.Function):
    """A clamp whose gradient still passes where it pulls the value back into the range."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)  # type: ignore[attr-defined]
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        low, high = ctx.bounds  # type: ignore[attr-defined]
        (grad,) = grads
        stuck = ((x < low) & (grad > 0)) | ((x > high) & (grad < 0))
        return grad.masked_fill(stuck, 0.0), None, None


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp `x` to `[low, high]`; training can bring values from outside back in."""
    return _Bounded.apply(x, low, high)  # type: ignore[no-untyped-call]


def add_layers(module: nn.Module, chain: Chain, inputs: int, sizes: Mapping[str, int]) -> None:
    """Give `module` the layers of a prior's chain, each under its name.

    Args:
        inputs: channels of the input.
        sizes: channels by the names in the chain.
    """
    for layer in chain:
        outputs = sizes[layer.to] * (4 if layer.kind is Kind.UP else 1)
        conv = depthwise(inputs) if layer.kind is Kind.SPATIAL else pointwise(inputs, outputs)
        module.add_module(layer.name, conv)
        inputs = sizes[layer.to]


def through_layers(module: nn.Module, chain: Chain, x: Tensor) -> Tensor:
    """Take `x` through the layers that `add_layers` made, each clipped to its range."""
    for layer in chain:
        x = module.get_submodule(layer.name)(x)
        x = (F.pixel_shuffle(x, 2) if layer.kind is Kind.UP else x).clamp(layer.low, layer.high)
    return x


def round_through(x: Tensor) -> Tensor:
    """Round `x` to integers, with the gradient of the identity (straight-through)."""
    return x + (x.round() - x).detach()


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
