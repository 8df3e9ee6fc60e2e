"""The variable-rate convolutional autoencoder.

      x ─unshuffle 8─ 1x1 ─ blocks ─×gain─ unshuffle 2 ─ 1x1 ─ blocks ─ 1x1 ─(+)─×gain─► y   (C, H/16, W/16)
      └───────────────────── unshuffle 16 ─ 1x1 ──────────────────────────────┘

      y_hat ─÷gain─┬─ 1x1 ─×gain─ blocks ─ 1x1 ─ shuffle 2 ─ blocks ─ 1x1 ─ shuffle 8 ─(+)─► x_hat
                   └──────────────────────── 1x1 ─ shuffle 16 ──────────────────────────┘

The straight lines are linear. They start as the Karhunen-Loève transform of 16x16 blocks, so that even the
untrained network is a codec. The deep paths learn what a block transform cannot do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import GainTable, depthwise, pointwise, residual_blocks
from neuralcodec.models.prior import LATENT_UNIT, Prior


def level_of(quality: Tensor, levels: int) -> Tensor:
    """Convert qualities of 0 to 100 to trained levels, which are real numbers."""
    return quality.float() * ((levels - 1) / 100)


@dataclass(frozen=True)
class ConvConfig:
    """Sizes of the model; every field is stored beside the weights."""

    levels: int = 8
    fine: int = 96  # channels at 1/8
    coarse: int = 192  # channels at 1/16
    fine_blocks: int = 3
    coarse_blocks: int = 3
    latent: int = 128
    hyper: int = 64
    features: int = 160
    width: int = 128


def blocks_of(x: Tensor) -> Tensor:
    """Apply `pixel_unshuffle(x, 8)`, channels last in memory: `(B, 3, H, W)` to `(B, 192, H/8, W/8)`."""
    batch, colours, height, width = x.shape
    blocks = x.view(batch, colours, height // 8, 8, width // 8, 8).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(batch, height // 8, width // 8, -1).permute(0, 3, 1, 2)


def full_precision(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1) -> Tensor:
    """Convolve in float32, whatever autocast says.

    The linear paths carry the values themselves. In bfloat16, pixels would be off by up to half a level, and
    elements of y beyond 128 quantization steps by up to a whole step. The deep paths only add to these
    values, and may be coarser.
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.float(), weight.float(), None if bias is None else bias.float(), stride)


class Features(NamedTuple):
    """The part of an analysis before the level matters: `(B, fine, H/8, W/8)` and `(B, C, H/16, W/16)`."""

    fine: Tensor
    shortcut: Tensor


class Analysis(nn.Module):
    """The analysis: blocks of pixels in [-0.5, 0.5] to the latent `(B, C, H/16, W/16)`, scaled for rounding.

    Where a space-to-depth by two meets a 1x1 convolution, the two are computed as one 2x2 convolution of
    stride two, without a copy in between.
    """

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.stem = pointwise(3 * 64, config.fine)
        self.fine = residual_blocks(config.fine, config.fine_blocks)
        self.down = pointwise(4 * config.fine, config.coarse)
        self.coarse = residual_blocks(config.coarse, config.coarse_blocks)
        self.head = pointwise(config.coarse, config.latent, gain=0.1)
        self.shortcut = pointwise(3 * 256, config.latent)

    def features(self, blocks: Tensor) -> Features:
        """Compute the part that is the same for every level, from blocks `(B, 192, H/8, W/8)` of pixels."""
        # A block of 16x16 has the order (colour, row, column); here it is four of 8x8, each in that order.
        weight = self.shortcut.weight.view(-1, 3, 2, 8, 2, 8).permute(0, 1, 3, 5, 2, 4).reshape(-1, 192, 2, 2)
        shortcut = full_precision(blocks, weight, self.shortcut.bias, stride=2)
        return Features(self.fine(self.stem(blocks)), shortcut)

    def latent(self, features: Features, feature_gain: Tensor, latent_gain: Tensor) -> Tensor:
        """Compute the part that depends on the level."""
        weight = self.down.weight.view(self.down.out_channels, -1, 2, 2)
        f = F.conv2d(features.fine * feature_gain, weight, self.down.bias, stride=2)
        f = self.coarse(f)  # (B, coarse, H/16, W/16)
        return (self.head(f) + features.shortcut) * latent_gain


class Synthesis(nn.Module):
    """The synthesis: the decoded latent `(B, C, H/16, W/16)` to blocks `(B, 192, H/8, W/8)`, not clipped."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.stem = pointwise(config.latent, config.coarse)
        self.coarse = residual_blocks(config.coarse, config.coarse_blocks)
        self.up = pointwise(config.coarse, 4 * config.fine)
        self.fine = residual_blocks(config.fine, config.fine_blocks)
        self.head = pointwise(config.fine, 3 * 64, gain=0.0)
        self.shortcut = pointwise(config.latent, 3 * 256)

    def forward(self, y_hat: Tensor, latent_gain: Tensor, feature_gain: Tensor, reduce: int = 1) -> Tensor:
        """Decode the latent.

        Args:
            reduce: 1, 2, 4 or 8: give the means of squares of this side, `(B, 192 / reduce², H/8, W/8)`.
                The last layers are linear, so their rows are averaged instead of the pixels.
        """
        y = y_hat * latent_gain
        f = self.coarse(self.stem(y) * feature_gain)  # (B, coarse, H/16, W/16)
        f = self.fine(F.pixel_shuffle(self.up(f), 2))  # (B, fine, H/8, W/8)
        # A block of 16x16 as four of 8x8, see `Analysis.features`.
        side = 8 // reduce
        weight, bias = self.shortcut.weight, self.shortcut.bias
        assert bias is not None
        weight = weight.view(3, 2, side, reduce, 2, side, reduce, -1, 1, 1).mean((3, 6))
        weight = weight.permute(0, 2, 4, 1, 3, 5, 6, 7).flatten(0, 4)
        bias = bias.view(3, 2, side, reduce, 2, side, reduce).mean((3, 6)).permute(0, 2, 4, 1, 3).flatten()
        linear = F.pixel_shuffle(full_precision(y, weight, bias), 2)
        if reduce == 1:
            return self.head(f) + linear
        weight, bias = self.head.weight, self.head.bias
        assert bias is not None
        weight = weight.view(3, side, reduce, side, reduce, -1, 1, 1).mean((2, 4)).flatten(0, 2)
        bias = bias.view(3, side, reduce, side, reduce).mean((2, 4)).flatten()
        return F.conv2d(f, weight, bias) + linear


class HyperAnalysis(nn.Module):
    """The hyper-analysis: y `(B, C, h, w)`, h and w multiples of four, to z `(B, C_z, h/4, w/4)`."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        latent = config.latent
        self.stem = pointwise(latent, latent)
        self.down = pointwise(4 * latent, latent)
        self.spatial = depthwise(latent)
        self.head = pointwise(4 * latent, config.hyper)

    def forward(self, y: Tensor) -> Tensor:
        x = F.silu(self.stem(y / LATENT_UNIT))
        x = F.silu(self.down(F.pixel_unshuffle(x, 2)))
        x = F.pixel_unshuffle(self.spatial(x), 2)
        return self.head(x) * LATENT_UNIT


class Transforms(nn.Module):
    """The part that stays in floating point: pixels to latents and back, with the gains of each quality.

    `level` is a real number in `[0, levels - 1]` for each sample, shape `(B,)`.
    """

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.hyper_analysis = HyperAnalysis(config)
        # In units of the pixel range, steps of 1/4 to 1/60 span the rates that photographs need.
        self.analysis_gain = GainTable(config.levels, config.latent, 4.0, 60.0)
        self.synthesis_gain = GainTable(config.levels, config.latent, 1 / 4.0, 1 / 60.0)
        self.analysis_feature_gain = GainTable(config.levels, config.fine)
        self.synthesis_feature_gain = GainTable(config.levels, config.coarse)

    def analyse(self, x: Tensor, level: Tensor) -> Tensor:
        """Compute y `(B, C, H/16, W/16)` from pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 16."""
        return self.latent(self.features(blocks_of(x)), level)

    def features(self, blocks: Tensor) -> Features:
        """Compute what `latent` needs, at any level, from blocks `(B, 192, H/8, W/8)` of pixels in [0, 1]."""
        return self.analysis.features(blocks - 0.5)

    def latent(self, features: Features, level: Tensor) -> Tensor:
        """Compute y `(B, C, H/16, W/16)` from the result of `features`."""
        return self.analysis.latent(features, self.analysis_feature_gain(level), self.analysis_gain(level))

    def synthesise(self, y_hat: Tensor, level: Tensor) -> Tensor:
        """Compute pixels `(B, 3, H, W)` around [0, 1], not clipped, from y_hat `(B, C, H/16, W/16)`."""
        return F.pixel_shuffle(self.synthesise_blocks(y_hat, level), 8)

    def synthesise_blocks(self, y_hat: Tensor, level: Tensor, reduce: int = 1) -> Tensor:
        """Compute the pixels as blocks `(B, 192 / reduce², H/8, W/8)`; `reduce` is that of `Synthesis`."""
        gains = self.synthesis_gain(level), self.synthesis_feature_gain(level)
        return self.synthesis(y_hat, *gains, reduce) + 0.5

    @torch.no_grad()
    def start_from_components(self, components: Tensor) -> None:
        """Start the linear shortcuts as a block transform.

        Args:
            components: orthonormal rows `(C, 768)`, the leading principal components of blocks in the
                order of `pixel_unshuffle(·, 16)`.
        """
        analysis, synthesis = self.analysis.shortcut.weight, self.synthesis.shortcut.weight
        analysis.copy_(components[:, :, None, None])
        synthesis.copy_(components.T[:, :, None, None])


class Reconstruction(NamedTuple):
    """The result that training needs: pixels `(B, 3, H, W)` and bits per sample `(B,)`."""

    x_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class ConvCodec(nn.Module):
    """The codec in its form for training: transforms and prior."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.config = config
        self.transforms = Transforms(config)
        self.prior = Prior(config.levels, config.latent, config.hyper, config.features, config.width)

    def forward(self, x: Tensor, level: Tensor) -> Reconstruction:
        """Code pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 64, at `level` `(B,)`."""
        y = self.transforms.analyse(x, level)
        out = self.prior(y, self.transforms.hyper_analysis(y), level)
        return Reconstruction(self.transforms.synthesise(out.y_hat, level), out.y_bits, out.z_bits)
