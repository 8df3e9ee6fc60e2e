"""SSIMULACRA2, the published metric, as a score of two pictures and as a loss with a gradient.

Two pictures are compared in XYB, a colour space of cube roots of linear light, at six scales. Three maps are
taken of each channel: how structure differs (SSIM), what was added (ringing, blocks), what was lost (blur).
The means and the 4-norms of these, 108 numbers, are summed with weights that were fitted to people's opinions
(Sneyers, "SSIMULACRA2", 2022, https://github.com/cloudinary/ssimulacra2). Three in four of the weights are
too small to show in any score. They are left out, with the maps that only they need.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.arrays import Pixels

SCALES = 6
#: Least side of a scale, in pixels.
SMALLEST_SIDE = 8
#: The published weights above 0.1, by their place in a list of shape (channel, scale, norm, map).
WEIGHTS = {
    9: 1.1041726426657346,
    15: 1.8422455520539298,
    16: 11.441172603757666,
    21: 1.8787594979546387,
    22: 10.94906990605142,
    25: 0.9677937080626833,
    28: 0.9981766977854967,
    39: 7.466890328078848,
    41: 17.445833984131262,
    45: 6.683678146179332,
    47: 1.027889937768264,
    48: 225.20515300849274,
    51: 19.213238186143016,
    54: 176.39317598450694,
    57: 24.43300999870476,
    58: 0.28520802612117757,
    63: 34.77906344483772,
    64: 44.835625328877896,
    93: 8.826982764996862,
    94: 23.19243343998926,
    96: 95.1080498811086,
    97: 0.9863978034400682,
    98: 0.9834382792465353,
    100: 171.2667255897307,
    101: 0.9807858872435379,
}
_TO_LMS = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
_BIAS = 0.0037930732552754493
_C2 = 0.0009
_SIGMA, _REACH = 1.5, 5
#: Added under fourth roots, whose slope at zero is infinite.
_LEAST = 1e-24
#: Pixels that a score looks at in one go, which bounds the memory.
_STRIP_PIXELS = 1 << 18

#: Weight, norm (0 a mean, 1 a 4-norm) and map (0 structure, 1 added, 2 lost) by channel.
_Terms = dict[int, list[tuple[float, int, int]]]


@functools.cache
def _terms(scales: int) -> list[_Terms]:
    """List the terms of each scale for pictures that have this many scales."""
    terms: list[_Terms] = [{} for _ in range(scales)]
    for place, weight in WEIGHTS.items():
        if place < 18 * scales:  # pictures with fewer scales take the first weights of the list
            channel, scale, norm, kind = (int(n) for n in np.unravel_index(place, (3, scales, 2, 3)))
            terms[scale].setdefault(channel, []).append((weight, norm, kind))
    return terms


def scales_of(height: int, width: int) -> int:
    """Count the scales that a picture has."""
    scales = 0
    while scales < SCALES and min(height, width) >= SMALLEST_SIDE:
        height, width, scales = -(-height // 2), -(-width // 2), scales + 1
    return scales


def raw_ssimulacra2(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return the weighted sum `(B,)`, with a gradient, that `score_of` turns into a score; 0 for equals.

    Args:
        x, x_hat: sRGB pixels in [0, 1], `(B, 3, H, W)`, 8 or more a side; `x_hat` is clipped to that range.
    """
    with torch.autocast(x.device.type, enabled=False):
        light, light_hat = _linear(x.float()), _linear(x_hat.float().clamp(0, 1))
        total = torch.zeros(x.shape[0], device=x.device)
        for scale, terms in enumerate(_terms(scales_of(*x.shape[2:]))):
            if scale:
                light, light_hat = _halve(light), _halve(light_hat)
            if terms:
                sums = _sums(_mirrored(light), _mirrored(light_hat), terms)
                total = total + _weighed(sums, terms, light[0, 0].numel())
        return total


@torch.no_grad()
def ssimulacra2(a: Pixels, b: Pixels) -> float:
    """Return the score of two sRGB pictures `(H, W, 3)` or `(H, W, 1)`, 8 or more pixels a side.

    It takes one strip of rows after another: beside the pictures it needs about 8 bytes a pixel.
    """
    pictures = [np.repeat(p, 3, 2) if p.shape[2] == 1 else p for p in (a, b)]
    light: list[Tensor] = []
    total = 0.0
    for scale, terms in enumerate(_terms(scales_of(*a.shape[:2]))):
        height, width = light[0].shape[2:] if scale else a.shape[:2]
        rows = max(_STRIP_PIXELS // width // 2 * 2, 2)
        sums: list[Tensor] = []
        halves: list[tuple[Tensor, ...]] = []
        for top in range(0, height, rows):
            place = np.arange(top - _REACH, min(top + rows, height) + _REACH)
            place = np.where(place < 0, -1 - place, np.where(place < height, place, 2 * height - 1 - place))
            if scale:
                strips = [plane[:, :, torch.from_numpy(place)] for plane in light]
            else:
                strips = [_linear(torch.from_numpy(p[place]).permute(2, 0, 1)[None] / 255) for p in pictures]
            if terms:
                part = _sums(strips[0], strips[1], terms)
                sums = [one + other for one, other in zip(sums, part, strict=True)] if sums else part
            halves.append(tuple(_halve(strip[:, :, _REACH:-_REACH]) for strip in strips))
        light = [torch.cat(strips, 2) for strips in zip(*halves, strict=True)]
        if terms:
            total += _weighed(sums, terms, height * width).item()
    return score_of(total)


def score_of(raw: float) -> float:
    """Convert a raw sum to a score: 100 is the same, 90 visually lossless, 70 high, 50 medium, 30 low."""
    scaled = raw * 0.9562382616834844
    curve = 2.326765642916932 * scaled - 0.020884521182843837 * scaled**2 + 6.248496625763138e-05 * scaled**3
    return 100.0 - 10.0 * max(curve, 0.0) ** 0.6276336467831387


def _sums(light: Tensor, light_hat: Tensor, terms: _Terms) -> list[Tensor]:
    """Sum the map of each term, or its fourth power, over the pixels: `(B,)` for each.

    Args:
        light, light_hat: `(B, 3, H + 10, W)`: the rows, with the five that a blur needs above and below.
    """
    x, x_hat = _xyb(light, list(terms)), _xyb(light_hat, list(terms))
    error = x - x_hat
    mean, mean_error = _blur(torch.cat((x, error), 1)).tensor_split(2, 1)
    squares, error_squares = _blur(torch.cat((x * x + x_hat * x_hat, error * error), 1)).tensor_split(2, 1)
    mean_hat, bias = mean - mean_error, mean_error.square()
    unlike = (error_squares - bias) / (squares - mean.square() - mean_hat.square() + _C2)
    structure = (unlike + bias - unlike * bias).clamp_min(0.0)  # 1 - (1 - bias) (1 - unlike), no digits lost
    inside = slice(_REACH, -_REACH)
    edge, edge_hat = (x[:, :, inside] - mean).abs(), (x_hat[:, :, inside] - mean_hat).abs()
    change = (edge_hat - edge) / (1.0 + edge)
    maps = (structure, change.clamp_min(0.0), (-change).clamp_min(0.0))
    sums = []
    for channel, wanted in enumerate(terms.values()):
        for _, norm, kind in wanted:
            values = maps[kind][:, channel]
            sums.append((values.square().square() if norm else values).sum((1, 2)))
    return sums


def _weighed(sums: Sequence[Tensor], terms: _Terms, pixels: int) -> Tensor:
    """Compute what a scale adds to the raw sum."""
    flat = itertools.chain.from_iterable(terms.values())
    parts = [
        weight * ((value / pixels + _LEAST) ** 0.25 if norm else value / pixels)
        for value, (weight, norm, _) in zip(sums, flat, strict=True)
    ]
    return torch.stack(parts).sum(0)


def _linear(x: Tensor) -> Tensor:
    """Convert sRGB to linear light."""
    x = x.contiguous()  # planes of channels-last pictures would be slow
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _halve(x: Tensor) -> Tensor:
    """Average squares of 2x2 pixels; those at the right and lower edge may have fewer."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def _xyb(light: Tensor, channels: list[int]) -> Tensor:
    """Convert linear light `(B, 3, H, W)` to the wanted channels of positive XYB, `(B, C, H, W)`."""
    red, green, blue = light.unbind(1)
    root = _BIAS ** (1 / 3)
    long, medium, short = ((r * red + g * green + b * blue + _BIAS) ** (1 / 3) - root for r, g, b in _TO_LMS)
    luma = 0.5 * (long + medium)
    planes = (7.0 * (long - medium) + 0.42, luma + 0.01, short - luma + 0.55)
    return torch.stack([planes[channel] for channel in channels], 1)


def _mirrored(x: Tensor) -> Tensor:
    """Add rows above and below that mirror the picture."""
    return torch.cat((x[:, :, :_REACH].flip(2), x, x[:, :, -_REACH:].flip(2)), 2)


def _blur(x: Tensor) -> Tensor:
    """Blur by a Gaussian of 11 taps, which uses up five rows above and below; left and right are zeros."""
    channels = x.shape[1]
    offsets = torch.arange(-_REACH, _REACH + 1, device=x.device)
    taps = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = (taps / taps.sum()).expand(channels, 1, -1)
    x = F.conv2d(x, taps[..., None], groups=channels)
    return F.conv2d(x, taps[:, :, None], padding=(0, _REACH), groups=channels)
