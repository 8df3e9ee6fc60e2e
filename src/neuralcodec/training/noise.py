"""Noise as cameras make it, for training: of light and of electronics, before the tone curve.

The variance in linear light is `a·x + b` (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and
fitting for single-image raw-data"). Red and blue, which are amplified more than green, have more of it. Then
demosaicing and JPEG make neighbours alike.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from neuralcodec.arrays import Floats, Pixels

#: The share of crops with plain noise of the pixels; of the others, those whose noise is spread, and JPEGs.
_PLAIN, _SPREAD, _JPEG = 0.4, 0.5, 0.3


def with_noise(rng: np.random.Generator, pixels: Pixels, deviation: float) -> Pixels:
    """Add noise of some kind, of about this standard deviation in 8-bit levels, to `(H, W, 3)`."""
    if rng.random() < _PLAIN:
        return plain_noise(rng, pixels, deviation)
    noisy = camera_noise(rng, pixels, deviation, spread=rng.random() < _SPREAD)
    if rng.random() < _JPEG:
        file = io.BytesIO()
        Image.fromarray(noisy).save(file, "JPEG", quality=int(rng.integers(75, 98)))
        noisy = np.asarray(Image.open(file))
    return noisy


def plain_noise(rng: np.random.Generator, pixels: Pixels, deviation: float) -> Pixels:
    """Add Gaussian noise to `(H, W, 3)`."""
    return _rounded(pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(deviation))


def camera_noise(
    rng: np.random.Generator, pixels: Pixels, deviation: float, *, spread: bool = False
) -> Pixels:
    """Add Poisson-Gaussian noise in linear light to `(H, W, 3)`.

    Args:
        spread: average it with its neighbours, as demosaicing does.
    """
    values: Floats = pixels.astype(np.float32) * np.float32(1 / 255)
    light = _linear(values)
    amplified = np.array([rng.uniform(1, 2), 1, rng.uniform(1, 2)], np.float32)
    floor = np.float32(rng.uniform(0.005, 0.1))
    width = np.sqrt(amplified * (light + floor))
    noise = rng.standard_normal(pixels.shape, np.float32)
    if spread:
        noise = _averaged(noise, float(rng.uniform(0.3, 1.0)))
    # The tone curve widens noise where it is steep; its slope gives the strength for the wanted deviation.
    slope = np.float32(1) / np.maximum(_slope_of_linear(values), np.float32(0.08))
    strength = deviation / 255 / np.sqrt(np.square(width * slope).mean())
    return _rounded(_toned(light + noise * width * np.float32(strength)) * 255)


def _averaged(noise: Floats, share: float) -> Floats:
    """Mix `(H, W, 3)` with the means of 3x3 neighbours, and make it as strong as before."""
    x = np.pad(noise, ((1, 1), (1, 1), (0, 0)), mode="wrap")
    down = x[2:] + 2 * x[1:-1] + x[:-2]
    mean = (down[:, 2:] + 2 * down[:, 1:-1] + down[:, :-2]) / 16
    mixed = share * mean + (1 - share) * noise
    return np.asarray(mixed / mixed.std(), np.float32)


def _linear(x: Floats) -> Floats:
    """Convert sRGB in [0, 1] to light."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _slope_of_linear(x: Floats) -> Floats:
    """Compute the derivative of `_linear`."""
    return np.where(x <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((x + 0.055) / 1.055) ** 1.4).astype(np.float32)


def _toned(light: Floats) -> Floats:
    """Convert light, clipped to [0, 1], to sRGB."""
    x = light.clip(0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


def _rounded(x: Floats) -> Pixels:
    return x.round().clip(0, 255).astype(np.uint8)
