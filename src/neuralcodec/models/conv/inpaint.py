"""The network that fills holes in the latent of the conv codec.

      y, features, mask ─ 1x1 ─ blocks ─┬──────────────────────────────────(+)─ blocks ─ 1x1 ─► added to y
                                        └ unshuffle 2 ─ blocks ─┬─────(+)─ blocks ─┘    1/16
                                                                └ unshuffle 2 ─ blocks ─┘    1/32, 1/64

The pixels of a hole are filled smoothly first, and the frozen analysis makes y and its features of them. What
the network adds to y changes the picture that the frozen synthesis makes. The change, not that picture, is
added to the smooth fill: so the fill is the start, and what a thin hole shows is not limited by what y holds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import pointwise, residual_blocks
from neuralcodec.models.conv.config import ConvConfig, InpaintConfig
from neuralcodec.models.conv.network import Features, Transforms, blocks_of

#: Sides of what the network is given are multiples of this.
SIDE = 64


class Inpainter(nn.Module):
    """Compute what is added to y, before its gain: `(B, C, H/16, W/16)`, H and W multiples of 64."""

    def __init__(self, codec: ConvConfig, config: InpaintConfig) -> None:
        super().__init__()
        width, blocks = config.width, config.blocks
        self.stem = pointwise(codec.latent + 4 * codec.fine + 256, width)
        self.at_16 = residual_blocks(width, blocks)
        self.to_32 = pointwise(4 * width, width)
        self.at_32 = residual_blocks(width, blocks)
        self.to_64 = pointwise(4 * width, width)
        self.at_64 = residual_blocks(width, blocks)
        self.from_64 = pointwise(width, width)
        self.again_32 = residual_blocks(width, blocks // 2)
        self.from_32 = pointwise(width, width)
        self.again_16 = residual_blocks(width, blocks)
        self.head = pointwise(width, codec.latent, gain=0.0)

    def forward(self, y: Tensor, fine: Tensor, hole: Tensor) -> Tensor:
        """Compute the change of y.

        Args:
            y: `(B, C, H/16, W/16)`, before its gain.
            fine: features of the analysis `(B, fine, H/8, W/8)`.
            hole: `(B, 1, H, W)`, 1 where pixels are lost.
        """
        seen = torch.cat((y, F.pixel_unshuffle(fine, 2), F.pixel_unshuffle(hole, 16)), 1)
        at_16 = self.at_16(self.stem(seen))
        at_32 = self.at_32(self.to_32(F.pixel_unshuffle(at_16, 2)))
        at_64 = self.at_64(self.to_64(F.pixel_unshuffle(at_32, 2)))
        at_32 = self.again_32(at_32 + _twice(self.from_64(at_64)))
        return self.head(self.again_16(at_16 + _twice(self.from_32(at_32))))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def inpaint(transforms: Transforms, network: nn.Module, filled: Tensor, hole: Tensor) -> Tensor:
    """Fill holes of pictures whose holes are filled smoothly.

    Args:
        transforms: those of the codec.
        network: an `Inpainter`.
        filled: pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 64.
        hole: `(B, 1, H, W)`, 1 where pixels are lost.

    Returns:
        Pixels `(B, 3, H, W)`, not clipped; those outside the hole are the given ones.
    """
    level = torch.full((len(filled),), transforms.config.highest_level, device=filled.device)
    gain = transforms.analysis_gain(level)
    with torch.no_grad():
        features: Features = transforms.features(blocks_of(filled))
        y = transforms.latent(features, level)
        before = transforms.synthesise_blocks(y, level)
    change = network(y / gain, features.fine, hole)
    after = transforms.synthesise_blocks(y + change * gain, level)
    return filled + _softened(hole) * F.pixel_shuffle((after - before).float(), 8)


def _softened(hole: Tensor) -> Tensor:
    """Let a hole fade out over its last pixel, so that its seam is not seen."""
    return hole * F.avg_pool2d(F.pad(hole, (1, 1, 1, 1), mode="replicate"), 3, 1)
