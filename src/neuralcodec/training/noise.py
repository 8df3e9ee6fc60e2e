"""Noise as cameras make it, for training, on the device: of light and of electronics, before the tone curve.

The variance in linear light is `a·x + b` (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and
fitting for single-image raw-data"). Red and blue, which are amplified more than green, have more of it. Then
demosaicing, the camera's own denoising and JPEG make neighbours alike.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

#: Shares of a batch: with plain noise of the pixels; and of the others, with noise that is spread, and JPEGs.
_PLAIN, _SPREAD, _JPEG = 0.45, 0.6, 0.3
#: The qualities of JPEGs.
_QUALITIES = 75.0, 97.0

#: The quantization tables of Annex K of the JPEG standard (ITU-T T.81), of luma and of chroma.
_LUMA = """
    16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
_CHROMA = [17, 18, 24, 47, 18, 21, 26, 66, 24, 26, 56, 99, 47, 66, 99, 99]
#: From RGB to luma and chroma, each in levels around 0 (JFIF).
_TO_YCC = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]


def generator_at(device: torch.device, *place: int) -> torch.Generator:
    """Make a generator on a device whose numbers depend on a place alone, such as seed, rank and step."""
    seed = int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(seed)


@torch.no_grad()
def with_noise(generator: torch.Generator, x: Tensor, deviation: Tensor) -> Tensor:
    """Add noise to pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 16: plain, or as cameras have it.

    Its kind goes by the place in the batch, so that no shape depends on chance.

    Args:
        deviation: about the standard deviation `(B,)` of the noise, in 8-bit levels.
    """
    with torch.autocast(x.device.type, enabled=False):
        plain = round(_PLAIN * len(x))
        jpegs = round(_JPEG * (len(x) - plain))
        noisy = [plain_noise(generator, x[:plain], deviation[:plain])]
        if plain < len(x):
            by_camera = camera_noise(generator, x[plain:], deviation[plain:])
            # Of both halves, with spread noise and without, some become JPEGs.
            start = (len(by_camera) - jpegs) // 2
            noisy += [by_camera[:start], jpeg(generator, by_camera[start : start + jpegs])]
            noisy += [by_camera[start + jpegs :]]
        return torch.cat(noisy).contiguous(memory_format=torch.channels_last)


def plain_noise(generator: torch.Generator, x: Tensor, deviation: Tensor) -> Tensor:
    """Add Gaussian noise; arguments are those of `with_noise`."""
    return _rounded(x + _normal(generator, x.shape) * _each(deviation / 255))


def camera_noise(generator: torch.Generator, x: Tensor, deviation: Tensor) -> Tensor:
    """Add Poisson-Gaussian noise in linear light; arguments are those of `with_noise`.

    That of the last pictures of a batch is like that of its neighbours, as demosaicing makes it.
    """
    count = len(x)
    light = _linear(x)
    amplified = torch.ones(count, 3, 1, 1, device=x.device)
    amplified[:, ::2] = _uniform(generator, (count, 2, 1, 1), 1, 2)
    width = (amplified * (light + _uniform(generator, (count, 1, 1, 1), 0.005, 0.1))).sqrt()
    noise, spread = _normal(generator, x.shape), round(_SPREAD * count)
    noise = torch.cat((noise[: count - spread], _spread(generator, noise[count - spread :])))
    # The tone curve widens noise where it is steep; its slope gives the strength for the wanted deviation.
    slope = _slope_of_linear(x).clamp_min(0.08).reciprocal()
    strength = _each(deviation / 255) / (width * slope).square().mean((1, 2, 3), keepdim=True).sqrt()
    return _rounded(_toned(light + noise * width * strength))


def _spread(generator: torch.Generator, noise: Tensor) -> Tensor:
    """Mix `(B, 3, H, W)` with means of neighbours and with coarser noise, and make it as strong as before."""
    count, _, height, width = noise.shape
    rows = F.pad(noise, (1, 1, 1, 1), mode="circular")
    rows = rows[:, :, 2:] + 2 * rows[:, :, 1:-1] + rows[:, :, :-2]
    mean = (rows[..., 2:] + 2 * rows[..., 1:-1] + rows[..., :-2]) / 16
    share = _uniform(generator, (count, 1, 1, 1), 0.3, 1.0)
    mixed = share * mean + (1 - share) * noise
    # A camera's own denoising is hardest on colour: it leaves grain that is alike in all channels ...
    mixed = mixed + 3 * _uniform(generator, (count, 1, 1, 1), -1.0, 1.0).clamp_min(0) * mixed.mean(
        1, keepdim=True
    )
    # ... and coarser blotches, mostly of colour.
    coarse = _normal(generator, (count, 3, height // 2, width // 2))
    coarse = coarse - 0.7 * coarse.mean(1, keepdim=True)
    coarse = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    mixed = mixed + 0.8 * _uniform(generator, (count, 1, 1, 1), -1.0, 1.0).clamp_min(0) * coarse
    return mixed / mixed.square().mean((1, 2, 3), keepdim=True).sqrt()


def jpeg(generator: torch.Generator, x: Tensor) -> Tensor:
    """Compress pixels `(B, 3, H, W)`, H and W multiples of 16, as JPEG does; half of them with 4:2:0."""
    if not len(x):
        return x
    to_ycc, to_rgb = _colours(x.device)
    ycc = torch.einsum("oc,bchw->bohw", to_ycc, x * 255)
    luma, chroma = (ycc[:, :1] - 128).round(), ycc[:, 1:].round()
    quality = _uniform(generator, (len(x), 1, 1, 1, 1, 1), *_QUALITIES).round()
    luma = _quantized(luma, _table(_LUMA, x.device), quality)
    fine = _quantized(chroma, _table(None, x.device), quality)
    half = _quantized(F.avg_pool2d(chroma, 2).round(), _table(None, x.device), quality)
    coarse = F.interpolate(half, scale_factor=2.0, mode="bilinear", align_corners=False)
    chroma = torch.where(_uniform(generator, (len(x), 1, 1, 1), 0, 1) < 0.5, coarse, fine)
    return _rounded(torch.einsum("oc,bchw->bohw", to_rgb, torch.cat((luma + 128, chroma), 1)) / 255)


def _quantized(x: Tensor, table: Tensor, quality: Tensor) -> Tensor:
    """Round the cosine transforms of 8x8 blocks of `(B, C, H, W)` to multiples of a table's steps."""
    count, channels, height, width = x.shape
    cosines = _cosines(x.device)
    blocks = x.reshape(count, channels, height // 8, 8, width // 8, 8)
    blocks = torch.einsum("ui,vj,bchiwj->bchuwv", cosines, cosines, blocks)
    steps = ((table[:, None, :] * (200 - 2 * quality) + 50) / 100).floor().clamp(1, 255)
    blocks = (blocks / steps).round() * steps
    return torch.einsum("ui,vj,bchuwv->bchiwj", cosines, cosines, blocks).round().reshape(x.shape)


@functools.cache
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """Make the matrix from RGB to luma and chroma, and the one back."""
    matrix = torch.tensor(_TO_YCC)
    return matrix.to(device), torch.linalg.inv(matrix).to(device)


@functools.cache
def _table(text: str | None, device: torch.device) -> Tensor:
    """Make a quantization table `(8, 8)`; that of chroma, without a text."""
    if text is not None:
        return torch.tensor([float(word) for word in text.split()], device=device).reshape(8, 8)
    table = torch.full((8, 8), 99.0)
    table[:4, :4] = torch.tensor(_CHROMA, dtype=torch.float32).reshape(4, 4)
    return table.to(device)


@functools.cache
def _cosines(device: torch.device) -> Tensor:
    """Make the orthonormal cosine transform `(8, 8)` of eight values."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    matrix = torch.cos(math.pi / 8 * rows * (columns + 0.5)) / 2
    matrix[0] *= math.sqrt(0.5)
    return matrix.to(device)


def _linear(x: Tensor) -> Tensor:
    """Convert sRGB in [0, 1] to light."""
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _slope_of_linear(x: Tensor) -> Tensor:
    """Compute the derivative of `_linear`."""
    return torch.where(x <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((x + 0.055) / 1.055) ** 1.4)


def _toned(light: Tensor) -> Tensor:
    """Convert light, clipped to [0, 1], to sRGB."""
    x = light.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def _rounded(x: Tensor) -> Tensor:
    return (x * 255).round().clamp(0, 255) / 255


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _normal(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(generator: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
