"""The detail layer: a second latent, at 1/8 of the resolution, of what the first one left over.

      x - x_base ─unshuffle 8─┬─ 1x1 ─(+ 1x1 of f)─×gain─ blocks ─ 1x1 ─(+)─×gain─► y2
                              └───────────────────── 1x1 ────────────────┘

      y2_hat ─÷gain─┬─ 1x1 ─×gain─(+ 1x1 of f)─ blocks ─ 1x1 ─(+)─ + x_base ─► x_hat
                    └──────────────── 1x1 ─────────────────────┘

f are the features that the base's synthesis ends with, `x_base` its pixels. The number of latents bounds the
quality of any transform code: 128 numbers for 16x16 pixels end at 33 dB, whatever they cost. Below that, the
base codes a picture alone. Above it, this layer adds 96 numbers for 8x8 pixels to a base of one level. The
straight lines start as the Karhunen-Loève transform of the residual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from neuralcodec.entropy.layers import DETAIL_FEATURES
from neuralcodec.models.blocks import (
    add_layers,
    full_precision,
    interpolate_levels,
    pointwise,
    residual_blocks,
    through_layers,
)
from neuralcodec.models.prior import as_activation, bits, code_in_steps, context_steps, perturbed, step_masks

if TYPE_CHECKING:
    from neuralcodec.models.conv.config import ConvConfig


class DetailAnalysis(nn.Module):
    """The analysis: the residual, as blocks `(B, 192, H/8, W/8)`, to the detail latent `(B, D, H/8, W/8)`."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.stem = pointwise(3 * 64, config.detail_width)
        self.seen = pointwise(config.fine, config.detail_width)
        self.blocks = residual_blocks(config.detail_width, config.detail_analysis_blocks)
        self.head = pointwise(config.detail_width, config.detail, gain=0.1)
        self.shortcut = pointwise(3 * 64, config.detail)

    def forward(self, residual: Tensor, fine: Tensor, feature_gain: Tensor, latent_gain: Tensor) -> Tensor:
        """Compute y2; `fine` `(B, fine, H/8, W/8)` are the features that the base's synthesis ends with."""
        linear = full_precision(residual, self.shortcut.weight, self.shortcut.bias)
        f = self.blocks((self.stem(residual) + self.seen(fine)) * feature_gain)
        return (self.head(f) + linear) * latent_gain


class DetailSynthesis(nn.Module):
    """The synthesis: the decoded detail latent `(B, D, H/8, W/8)` to what is added to the base's blocks."""

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.stem = pointwise(config.detail, config.detail_width)
        self.seen = pointwise(config.fine, config.detail_width)
        self.blocks = residual_blocks(config.detail_width, config.detail_synthesis_blocks)
        self.head = pointwise(config.detail_width, 3 * 64, gain=0.0)
        self.shortcut = pointwise(config.detail, 3 * 64)

    def forward(self, y_hat: Tensor, fine: Tensor, latent_gain: Tensor, feature_gain: Tensor) -> Tensor:
        """Compute `(B, 192, H/8, W/8)`; `fine` are the features that the base's synthesis ends with."""
        y = y_hat * latent_gain
        linear = full_precision(y, self.shortcut.weight, self.shortcut.bias)
        f = self.blocks(self.stem(y) * feature_gain + self.seen(fine))
        return self.head(f) + linear


class DetailOutput(NamedTuple):
    """What a training step needs: the decoded detail latent `(B, D, h, w)` and its bits per sample `(B,)`."""

    y_hat: Tensor
    bits: Tensor


class DetailPrior(nn.Module):
    """Rates of the detail latent, given the base's latent, in the four steps of `neuralcodec.models.prior`.

    There is no second hyper-latent: the base's latent tells where a picture is busy.
    """

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.noise = True  # as of `neuralcodec.models.prior.Prior`
        sizes = {"features": config.detail_features, "width": config.detail_context}
        add_layers(self, DETAIL_FEATURES, config.latent, sizes)
        self.steps = context_steps(config.detail, config.detail_features, config.detail_context)
        #: Added to the features at each level, between which it is interpolated.
        self.level = nn.Parameter(torch.zeros(config.detail_levels, config.detail_features))
        self.step_masks: Tensor
        self.register_buffer("step_masks", step_masks(config.detail), persistent=False)

    def features(self, base: Tensor, level: Tensor) -> Tensor:
        """Compute the features `(B, F, 2h, 2w)` from the base's decoded latent `(B, C, h, w)`."""
        features = through_layers(self, DETAIL_FEATURES, as_activation(base))
        top = DETAIL_FEATURES[-1]
        return (features + interpolate_levels(self.level, level)[:, :, None, None]).clamp(top.low, top.high)

    def forward(self, y: Tensor, base: Tensor, level: Tensor) -> DetailOutput:
        """Quantize `y` `(B, D, 2h, 2w)` and estimate its bits, given `base` `(B, C, h, w)`."""
        y_hat, mean, index = code_in_steps(self.steps, self.step_masks, y, self.features(base, level))
        return DetailOutput(y_hat, bits(perturbed(y - mean, self.training and self.noise), index))
