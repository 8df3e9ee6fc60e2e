"""What a vivid decoder is compared by beside a distortion: an adversary, and the statistics of texture.

Both look at texture alone. Along edges and in lettering there is one right picture, and whoever invents
another one there draws dots and steps; the distortion has these places to itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import pointwise, residual_blocks

#: Squares whose statistics are compared, in pixels to a side.
SQUARE = 16
#: Side in pixels of the blocks that a synthesis makes, and of groups of neighbours, in blocks.
_BLOCK, _NEIGHBOURS = 8, 8
#: Deviation, in [0, 1], of what is as good as plain.
_PLAIN = 1.5 / 255
#: Standard deviation of the noise that scores must not change by, with pixels in [0, 1].
NOISE = 0.01
#: Local contrast, a standard deviation of luma in [0, 1], that begins to be too much for texture, and is.
_CONTRAST = 0.11, 0.19
#: Energy of gradients, per pixel, at which their direction begins to count.
_GRADIENT = 4e-4
#: Pixels around edges and lettering that count as these.
_AROUND = 4
#: What the difference to the true picture is enlarged by, so that it is no smaller than the picture.
_DIFFERENCE = 8.0
#: Luma, of pixels in [0, 1].
_LUMA = (0.299, 0.587, 0.114)


class Judgement(NamedTuple):
    """What an adversary says.

    Args:
        scores: `(B, 1, H/4, W/4)` and `(B, 1, H/8, W/8)`; the higher, the more like a photograph.
        features: of its layers, `(B, C, h, w)` each.
    """

    scores: list[Tensor]
    features: list[Tensor]


class Adversary(nn.Module):
    """Tell originals from decoded pictures, given what the true decoder makes of the same file.

    Its layers work at 1/2, 1/4 and 1/8, and cost as much as the synthesis. The true picture shows where an
    edge runs, so that a jagged one is easy to tell (as Mentzer et al. 2020 condition theirs on the latent).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = pointwise(6 * 4, width)
        self.to_4 = pointwise(4 * width, 2 * width)
        self.at_4 = residual_blocks(2 * width, 1)
        self.score_4 = pointwise(2 * width, 1)
        self.to_8 = pointwise(8 * width, 4 * width)
        self.at_8 = residual_blocks(4 * width, 1)
        self.score_8 = pointwise(4 * width, 1)

    def forward(self, x: Tensor, true: Tensor) -> Judgement:
        """Judge pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 8."""
        seen = F.pixel_unshuffle(torch.cat((_DIFFERENCE * (x - true), true - 0.5), 1), 2)
        at_2 = F.silu(self.stem(seen))
        at_4 = self.at_4(F.silu(self.to_4(F.pixel_unshuffle(at_2, 2))))
        at_8 = self.at_8(F.silu(self.to_8(F.pixel_unshuffle(at_4, 2))))
        return Judgement([self.score_4(F.silu(at_4)), self.score_8(F.silu(at_8))], [at_2, at_4, at_8])


def beaten(winner: Judgement, loser: Judgement, texture: Tensor) -> Tensor:
    """Compute the relativistic loss `(B,)` of whoever wants `winner` to score above `loser`.

    After Jolicoeur-Martineau 2019. Each place counts by its share of texture, `(B, 1, H, W)`.
    """
    total = torch.zeros(len(texture), device=texture.device)
    for high, low in zip(winner.scores, loser.scores, strict=True):
        weight = F.avg_pool2d(texture, texture.shape[2] // high.shape[2])
        total = total + (F.softplus(low - high) * weight).mean((1, 2, 3))
    return total / len(winner.scores)


def feature_distance(one: Judgement, other: Judgement, texture: Tensor) -> Tensor:
    """Compute the absolute difference `(B,)` of features, over their mean size, where there is texture."""
    total = torch.zeros(len(texture), device=texture.device)
    for a, b in zip(one.features, other.features, strict=True):
        weight = F.avg_pool2d(texture, texture.shape[2] // a.shape[2])
        total = total + ((a - b).abs() * weight).mean((1, 2, 3)) / a.abs().mean()
    return total / len(one.features)


def roughness(one: Judgement, moved: Judgement) -> Tensor:
    """Compute the mean square of what noise on real pixels changes of the scores, over the noise's variance.

    That is R1 (Mescheder et al. 2018), the squared gradient by real pixels, without derivatives of
    derivatives (Lin et al. 2025).
    """
    pairs = zip(one.scores, moved.scores, strict=True)
    return torch.stack([(a - b).square().mean() for a, b in pairs]).sum() / NOISE**2


def texture_distance(x: Tensor, x_hat: Tensor, texture: Tensor) -> Tensor:
    """Compare the statistics of squares, after Qiu et al. 2023 ("Wasserstein Distortion"), without a network.

    Bands are those of luma at full and at half resolution: what is left of a blur, and differences along
    rows, columns and diagonals. In each square the deviation of each band is compared, since their means are
    about zero.

    Returns:
        `(B,)`: mean absolute difference of deviations, with pixels in [0, 1].
    """
    total = torch.zeros(len(x), device=x.device)
    a, b, mask = _luma(x), _luma(x_hat), texture
    for scale in range(2):
        side = SQUARE >> scale
        share = F.avg_pool2d(mask, side)
        for one, other in zip(_bands(a), _bands(b), strict=True):
            first, second = (_deviation(band, mask, share, side) for band in (one, other))
            total = total + ((first - second).abs() * share).mean((1, 2, 3))
        a, b, mask = (F.avg_pool2d(each, 2) for each in (a, b, mask))
    return total


def grid_excess(x: Tensor, x_hat: Tensor, texture: Tensor) -> Tensor:
    """Compute by how much more a decoded texture repeats from block to block of 8x8 pixels than the original.

    A synthesis that makes blocks gets its energy cheapest from a speck that is at one place in all of them.
    Bands are divided by their deviation around, so that the grid of a weak texture counts like any other.

    Args:
        x, x_hat: pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 16 and at least 64.

    Returns:
        `(B,)`: mean excess of the deviations, over the 64 places in a block, of the bands' mean and mean
        square in 8x8 neighbouring blocks; summed over bands.
    """
    total = torch.zeros(len(x), device=x.device)
    weight = F.pixel_unshuffle(texture, _BLOCK)
    share = F.avg_pool2d(weight, _NEIGHBOURS, _NEIGHBOURS // 2)
    for one, other in zip(_bands(_luma(x)), _bands(_luma(x_hat)), strict=True):
        pair = _even(one), _even(other)
        for power in (1, 2):
            first, second = (_repeated(band.pow(power), weight, share) for band in pair)
            total = total + ((second - first).relu() * share.mean(1)).mean((1, 2))
    return total


def _even(band: Tensor) -> Tensor:
    """Divide a band by its deviation in squares."""
    around = F.avg_pool2d(band.detach().square(), SQUARE).repeat_interleave(SQUARE, 2)
    return band / (around.repeat_interleave(SQUARE, 3) + _PLAIN**2).sqrt()


def _repeated(x: Tensor, weight: Tensor, share: Tensor) -> Tensor:
    """Compute how far `x` differs from place to place in a block, in the mean of neighbouring blocks.

    Args:
        x: `(B, 1, H, W)`.
        weight: of its pixels, `(B, 64, H/8, W/8)`, whose means over neighbours are `share`.

    Returns:
        A standard deviation over the places for each group of neighbours, `(B, h, w)`.
    """
    blocks = F.pixel_unshuffle(x, _BLOCK) * weight
    mean = F.avg_pool2d(blocks, _NEIGHBOURS, _NEIGHBOURS // 2) / (share + 1e-2)
    return (mean.var(1, correction=0) + 1e-4).sqrt()


def _luma(x: Tensor) -> Tensor:
    red, green, blue = (weight * channel for weight, channel in zip(_LUMA, x.float().unbind(1), strict=True))
    return (red + green + blue)[:, None]


def _bands(x: Tensor) -> list[Tensor]:
    """Filter `(B, 1, H, W)` to five bands of its size."""
    around = F.pad(x, (1, 1, 1, 1), mode="replicate")
    middle = around[:, :, 1:-1, 1:-1]
    return [
        middle - F.avg_pool2d(around, 3, 1),
        middle - around[:, :, 1:-1, 2:],
        middle - around[:, :, 2:, 1:-1],
        middle - around[:, :, 2:, 2:],
        middle - around[:, :, 2:, :-2],
    ]


def _deviation(x: Tensor, mask: Tensor, share: Tensor, side: int) -> Tensor:
    """Compute the root mean square in squares of what a mask, whose means are `share`, lets through.

    An edge in a square would have the texture beside it make up for what the edge lacks.
    """
    return (F.avg_pool2d(x.square() * mask, side) / (share + 1e-3) + 1e-6).sqrt()


@torch.no_grad()
def texture_of(x: Tensor) -> Tensor:
    """Find where pixels `(B, 3, H, W)` in [0, 1] are texture or plain, 1, and edges or lettering, 0.

    An edge has gradients of one direction (the coherence of the structure tensor); lettering has more
    contrast than textures have.

    Returns:
        `(B, 1, H, W)`.
    """
    luma = _luma(x)
    around = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    across = (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]) / 2
    down = (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]) / 2
    xx, yy, xy = _blurred(across.square()), _blurred(down.square()), _blurred(across * down)
    energy = xx + yy
    coherence = ((xx - yy).square() + 4 * xy.square()).clamp_min(0).sqrt() / (energy + 1e-8)
    edge = coherence.square() * energy / (energy + _GRADIENT)
    deviation = (_blurred(luma.square()) - _blurred(luma).square()).clamp_min(0).sqrt()
    low, high = _CONTRAST
    contrast = ((deviation - low) / (high - low)).clamp(0, 1)
    other = torch.maximum((2 * edge).clamp_max(1), contrast)
    return 1 - F.max_pool2d(other, 2 * _AROUND + 1, 1, _AROUND)


def _blurred(x: Tensor) -> Tensor:
    """Blur `(B, 1, H, W)` by three boxes, close to a Gaussian of 3 pixels."""
    for _ in range(3):
        x = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return x
