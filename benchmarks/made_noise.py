"""The noise of the benchmarks: the same in every run, whatever training does.

The variance in linear light is `a·x + b` (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and
fitting for single-image raw-data"). Red and blue, which are amplified more than green, have more of it.
`neuralcodec.training.noise` makes the same on a device, and more kinds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from neuralcodec.arrays import Floats, Pixels


def plain_noise(rng: np.random.Generator, pixels: Pixels, deviation: float) -> Pixels:
    """Add Gaussian noise of a standard deviation in 8-bit levels to `(H, W, 3)`."""
    return _rounded(pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(deviation))


def camera_noise(rng: np.random.Generator, pixels: Pixels, deviation: float) -> Pixels:
    """Add Poisson-Gaussian noise in linear light, of about this standard deviation, to `(H, W, 3)`."""
    values: Floats = pixels.astype(np.float32) * np.float32(1 / 255)
    light = _linear(values)
    amplified = np.array([rng.uniform(1, 2), 1, rng.uniform(1, 2)], np.float32)
    floor = np.float32(rng.uniform(0.005, 0.1))
    width = np.sqrt(amplified * (light + floor))
    noise = rng.standard_normal(pixels.shape, np.float32)
    # The tone curve widens noise where it is steep; its slope gives the strength for the wanted deviation.
    slope = np.float32(1) / np.maximum(_slope_of_linear(values), np.float32(0.08))
    strength = deviation / 255 / np.sqrt(np.square(width * slope).mean())
    return _rounded(_toned(light + noise * width * np.float32(strength)) * 255)


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
