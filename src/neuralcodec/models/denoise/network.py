"""The network that takes noise out of pixels. It knows of no codec: any of them encodes what it returns.

      pixels, level ─ 1/2 ─ blocks ─┬──────────────────────────────────────(+)─ blocks ─ noise ─► taken off
                                    └ unshuffle 2 ─ blocks ─┬────────(+)─ blocks ─┘
                                                            └ unshuffle 2 ─ blocks ─┘    1/4, 1/8

The blocks are those of Chen et al. 2022 ("Simple baselines for image restoration") but for two things. They
divide by the root mean square of the channels of a position, where those have a layer norm. And nothing in
them looks at the whole picture, so that a large one can go through in tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import depthwise, full_precision, pointwise
from neuralcodec.options import MOST_NOISE

#: What is added to the root mean square before it divides.
LEAST = 1e-3


@dataclass(frozen=True)
class DenoiseConfig:
    """Sizes of the network."""

    width: int = 48  # channels at 1/2; twice as many at 1/4, and four times at 1/8
    blocks: int = 2  # at 1/2 and at 1/4, on the way down and on the way up
    middle_blocks: int = 6  # at 1/8


class GatedBlock(nn.Module):
    """Two steps on `(B, C, H, W)`, each added to its input: one with neighbours, one of each position.

    They take 6·C² + 18·C MACs a position.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = pointwise(channels, 2 * channels)
        self.spatial = depthwise(2 * channels)
        self.project = pointwise(channels, channels, gain=0.2)
        self.mix = pointwise(channels, 2 * channels)
        self.merge = pointwise(channels, channels, gain=0.2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(_gated(self.spatial(self.expand(_evened(x)))))
        return x + self.merge(_gated(self.mix(_evened(x))))


def _gated(x: Tensor) -> Tensor:
    """Multiply the first half of the channels by the second."""
    one, other = x.chunk(2, 1)
    return one * other


def _evened(x: Tensor) -> Tensor:
    """Divide by the root mean square of the channels."""
    square = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32) * x.shape[1] ** -0.5
    return x * (square + LEAST).reciprocal().to(x.dtype)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(GatedBlock(channels) for _ in range(count)))


class Denoiser(nn.Module):
    """Take the noise out of pixels `(B, 3, H, W)` in [0, 1], H and W multiples of `SIDE`."""

    def __init__(self, config: DenoiseConfig) -> None:
        super().__init__()
        width, blocks = config.width, config.blocks
        self.stem = pointwise(12, width)
        self.level = pointwise(1, width)
        self.at_2 = _blocks(width, blocks)
        self.to_4 = pointwise(4 * width, 2 * width)
        self.at_4 = _blocks(2 * width, blocks)
        self.to_8 = pointwise(8 * width, 4 * width)
        self.at_8 = _blocks(4 * width, config.middle_blocks)
        self.from_8 = pointwise(4 * width, 8 * width)
        self.again_4 = _blocks(2 * width, blocks)
        self.from_4 = pointwise(2 * width, 4 * width)
        self.again_2 = _blocks(width, blocks)
        self.head = pointwise(width, 12, gain=0.1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the pixels without noise, float32, not clipped.

        Args:
            noise: its standard deviation in each picture `(B,)`, in 8-bit levels.
        """
        at_2 = self.stem(F.pixel_unshuffle(x - 0.5, 2))
        at_2 = self.at_2(at_2 + self.level((noise / MOST_NOISE)[:, None, None, None]))
        at_4 = self.at_4(self.to_4(F.pixel_unshuffle(at_2, 2)))
        at_8 = self.at_8(self.to_8(F.pixel_unshuffle(at_4, 2)))
        at_4 = self.again_4(at_4 + F.pixel_shuffle(self.from_8(at_8), 2))
        at_2 = self.again_2(at_2 + F.pixel_shuffle(self.from_4(at_4), 2))
        # What is taken off is rounded to bfloat16 nowhere near the pixels, which are not rounded at all.
        off = full_precision(at_2, self.head.weight, self.head.bias)
        return x - F.pixel_shuffle(off, 2)
