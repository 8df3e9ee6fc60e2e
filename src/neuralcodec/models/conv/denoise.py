"""An encoder that makes of noisy pixels the latent of the clean picture, for the decoder of a conv codec.

It is the codec's own analysis, with more blocks at 1/8 and with gains that depend on the noise, as others do
on the level. The linear paths need them most: they hand noise on as it is, so each of their components is
damped by as much as noise hides it (a Wiener filter), and the deep paths add what is left of it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.models.blocks import GainTable
from neuralcodec.models.conv.config import ConvConfig, DenoiseConfig
from neuralcodec.models.conv.network import (
    Analysis,
    Base,
    ConvCodec,
    Features,
    Reconstruction,
    Transforms,
    blocks_of,
)
from neuralcodec.options import MOST_NOISE


class DenoisingTransforms(Transforms):
    """The transforms of a codec whose analysis is given the noise `(B,)`, 0 to `MOST_NOISE` 8-bit levels."""

    def __init__(self, config: ConvConfig, sizes: DenoiseConfig) -> None:
        super().__init__(config)
        self.noise_levels = levels = sizes.noise_levels
        blocks = replace(config, fine_blocks=config.fine_blocks + sizes.more_blocks)
        self.analysis = Analysis(blocks)
        self.analysis_noise_stem = GainTable(levels, config.fine)
        self.analysis_noise_fine = GainTable(levels, config.fine)
        self.analysis_noise_shortcut = GainTable(levels, config.latent)
        if config.detail:
            self.detail_analysis_noise_stem = GainTable(levels, config.detail_width)
            self.detail_analysis_noise_shortcut = GainTable(levels, config.detail)

    def _place(self, noise: Tensor) -> Tensor:
        """Find the place of noise among the levels of the gains, which lie closer where it is weak."""
        return (self.noise_levels - 1) * (noise.clamp(0, MOST_NOISE) / MOST_NOISE).sqrt()

    def noisy_features(self, blocks: Tensor, noise: Tensor) -> Features:
        """Compute what `latent` needs, at any level, from blocks `(B, 192, H/8, W/8)` of pixels in [0, 1]."""
        place = self._place(noise)
        features = self.analysis.features(blocks - 0.5, self.analysis_noise_stem(place))
        fine = features.fine * self.analysis_noise_fine(place)
        return Features(fine, features.shortcut * self.analysis_noise_shortcut(place))

    def analyse_noisy_detail(self, blocks: Tensor, base: Base, level: Tensor, noise: Tensor) -> Tensor:
        """Compute y2 `(B, D, H/8, W/8)` from blocks `(B, 192, H/8, W/8)` of pixels in [0, 1]."""
        place = self._place(noise)
        stem = self.detail_analysis_feature_gain(level) * self.detail_analysis_noise_stem(place)
        gains = stem, self.detail_analysis_gain(level), self.detail_analysis_noise_shortcut(place)
        return self.detail_analysis(blocks - base.blocks, base.fine, *gains)


class DenoisingCodec(ConvCodec):
    """The codec in training, with pixels that are noisy."""

    transforms: DenoisingTransforms

    def __init__(self, config: ConvConfig, sizes: DenoiseConfig) -> None:
        super().__init__(config)
        self.transforms = DenoisingTransforms(config, sizes)

    def forward(  # type: ignore[override]
        self, x: Tensor, noise: Tensor, level: Tensor, *, detail: bool = False
    ) -> Reconstruction:
        """Code noisy pixels `(B, 3, H, W)`; other arguments are those of `ConvCodec`.

        With `detail`, the first layer gets no gradient: it has its own from crops in one layer.
        """
        transforms, blocks = self.transforms, blocks_of(x)
        if not detail:
            y = transforms.latent(transforms.noisy_features(blocks, noise), level)
            out = self.prior(y, transforms.hyper_analysis(y), level)
            return Reconstruction(transforms.synthesise(out.y_hat, level), out.y_bits, out.z_bits)
        with torch.no_grad():
            base_level = torch.full_like(level, self.config.base_level / 100)
            y = transforms.latent(transforms.noisy_features(blocks, noise), base_level)
            out = self.prior(y, transforms.hyper_analysis(y), base_level)
            base = transforms.base(out.y_hat, base_level)
        y2 = transforms.analyse_noisy_detail(blocks, base, level, noise)
        second = self.detail_prior(y2, out.y_hat, level)
        x_hat = F.pixel_shuffle(transforms.synthesise_detail(second.y_hat, base, level), 8)
        return Reconstruction(x_hat, out.y_bits + second.bits, out.z_bits)
