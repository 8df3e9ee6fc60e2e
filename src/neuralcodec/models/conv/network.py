"""The variable-rate convolutional autoencoder.

      x ─unshuffle 8─ 1x1 ─ blocks ─×gain─ unshuffle 2 ─ 1x1 ─ blocks ─ 1x1 ─(+)─×gain─► y   (C, H/16, W/16)
      └───────────────────── unshuffle 16 ─ 1x1 ──────────────────────────────┘

      y_hat ─÷gain─┬─ 1x1 ─×gain─ blocks ─ 1x1 ─ shuffle 2 ─ blocks ─ 1x1 ─ shuffle 8 ─(+)─► x_hat
                   └──────────────────────── 1x1 ─ shuffle 16 ──────────────────────────┘

The straight lines are linear. They start as the Karhunen-Loève transform of 16x16 blocks, so that even the
untrained network is a codec. The deep paths learn what a block transform cannot do.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import GainTable, depthwise, full_precision, pointwise, residual_blocks
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.detail import DetailAnalysis, DetailPrior, DetailSynthesis
from neuralcodec.models.prior import LATENT_UNIT, Prior


def level_of(quality: Tensor, levels: int) -> Tensor:
    """Convert qualities of 0 to 100 to trained levels, which are real numbers."""
    return quality.float() * ((levels - 1) / 100)


def blocks_of(x: Tensor) -> Tensor:
    """Apply `pixel_unshuffle(x, 8)`, channels last in memory: `(B, 3, H, W)` to `(B, 192, H/8, W/8)`."""
    batch, colours, height, width = x.shape
    blocks = x.view(batch, colours, height // 8, 8, width // 8, 8).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(batch, height // 8, width // 8, -1).permute(0, 3, 1, 2)


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
        return self.render(self.features(y, feature_gain), y, reduce)

    def features(self, y: Tensor, feature_gain: Tensor) -> Tensor:
        """Compute the features `(B, fine, H/8, W/8)` that pixels are made of, from `y_hat * latent_gain`."""
        f = self.coarse(self.stem(y) * feature_gain)  # (B, coarse, H/16, W/16)
        return self.fine(F.pixel_shuffle(self.up(f), 2))

    def render(self, f: Tensor, y: Tensor, reduce: int = 1) -> Tensor:
        """Compute the blocks from the result of `features` and its `y`."""
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


class Base(NamedTuple):
    """A decoded base: the features `(B, fine, H/8, W/8)` and the pixels as blocks `(B, 192, H/8, W/8)`."""

    fine: Tensor
    blocks: Tensor


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
        if config.detail:
            self.detail_analysis = DetailAnalysis(config)
            self.detail_synthesis = DetailSynthesis(config)
            # Blocks are of 8x8 here, and steps of 1/10 to 1/60 of the pixel range span 33 to 45 dB.
            self.detail_analysis_gain = GainTable(config.detail_levels, config.detail, 10.0, 60.0)
            self.detail_synthesis_gain = GainTable(config.detail_levels, config.detail, 1 / 10.0, 1 / 60.0)
            self.detail_analysis_feature_gain = GainTable(config.detail_levels, config.detail_width)
            self.detail_synthesis_feature_gain = GainTable(config.detail_levels, config.detail_width)

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

    def base(self, y_hat: Tensor, level: Tensor) -> Base:
        """Decode the base's latent to what a detail layer builds on."""
        y = y_hat * self.synthesis_gain(level)
        fine = self.synthesis.features(y, self.synthesis_feature_gain(level))
        return Base(fine, self.synthesis.render(fine, y) + 0.5)

    def analyse_detail(self, blocks: Tensor, base: Base, level: Tensor) -> Tensor:
        """Compute y2 `(B, D, H/8, W/8)` from blocks `(B, 192, H/8, W/8)` of pixels in [0, 1]."""
        gains = self.detail_analysis_feature_gain(level), self.detail_analysis_gain(level)
        return self.detail_analysis(blocks - base.blocks, base.fine, *gains)

    def synthesise_detail(self, y_hat: Tensor, base: Base, level: Tensor) -> Tensor:
        """Compute blocks `(B, 192, H/8, W/8)` of pixels around [0, 1] from y2_hat `(B, D, H/8, W/8)`."""
        gains = self.detail_synthesis_gain(level), self.detail_synthesis_feature_gain(level)
        return base.blocks + self.detail_synthesis(y_hat, base.fine, *gains)

    @torch.no_grad()
    def start_detail_from_components(self, components: Tensor) -> None:
        """Start the linear shortcuts of the detail layer as a block transform.

        Args:
            components: orthonormal rows `(D, 192)`, the leading principal components of the residual.
        """
        self.detail_analysis.shortcut.weight.copy_(components[:, :, None, None])
        self.detail_synthesis.shortcut.weight.copy_(components.T[:, :, None, None])

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
        if config.detail:
            self.detail_prior = DetailPrior(config)

    def forward(
        self, x: Tensor, level: Tensor, *, detail: bool = False, frozen: bool = False
    ) -> Reconstruction:
        """Code pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 64, at `level` `(B,)`.

        Args:
            detail: code in two layers. `level` is that of the second; the first has the level that the
                configuration says.
            frozen: give the first of two layers no gradient.
        """
        if detail:
            return self._with_detail(x, level, frozen)
        y = self.transforms.analyse(x, level)
        out = self.prior(y, self.transforms.hyper_analysis(y), level)
        return Reconstruction(self.transforms.synthesise(out.y_hat, level), out.y_bits, out.z_bits)

    def _with_detail(self, x: Tensor, level: Tensor, frozen: bool) -> Reconstruction:
        blocks = blocks_of(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            base_level = torch.full_like(level, self.config.base_level / 100)
            y = self.transforms.latent(self.transforms.features(blocks), base_level)
            out = self.prior(y, self.transforms.hyper_analysis(y), base_level)
            base = self.transforms.base(out.y_hat, base_level)
        detail = self.detail_prior(self.transforms.analyse_detail(blocks, base, level), out.y_hat, level)
        x_hat = F.pixel_shuffle(self.transforms.synthesise_detail(detail.y_hat, base, level), 8)
        return Reconstruction(x_hat, out.y_bits + detail.bits, out.z_bits)
