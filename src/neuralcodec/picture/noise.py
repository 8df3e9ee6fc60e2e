"""Estimate how noisy a picture is."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from neuralcodec.arrays import Floats, Pixels

#: Side of the patches that are looked at, and about the most of them.
_SIDE, _MOST_PATCHES = 7, 40_000
#: Below so many patches of a channel nothing is said.
_LEAST_PATCHES = 4 * _SIDE * _SIDE
#: The most that the gradients of a patch of noise of variance 1 have, all but one in a million times: that
#: quantile of the gamma distribution of Liu et al., for patches of 7x7.
_MOST_GRADIENT = 81.82
#: The share of black or white pixels up to which a patch tells of noise, which is clipped there.
_CLIPPED = 0.1
_ROUNDS = 3


def noise_of(pixels: Pixels) -> float:
    """Estimate the standard deviation of the noise in pixels `(H, W, C)`, in their levels.

    Noise shows where there is nothing else: in the patches whose gradients are no larger than those of the
    noise. There it is the least eigenvalue of their covariance, which fine texture is not in (Liu, Tanaka and
    Okutomi 2013, "Single-image noise level estimation for blind denoising"). Noise that spreads over
    neighbours, as demosaicing and JPEG leave it, is estimated too low.

    Returns:
        The root mean square of the channels' estimates; 0 for what is too small or too black or white.
    """
    height, width, channels = pixels.shape
    if min(height, width) < _SIDE:
        return 0.0
    step = max(2, math.ceil(math.sqrt(height * width / _MOST_PATCHES)))
    variances = []
    for channel in range(channels):
        windows = sliding_window_view(pixels[..., channel], (_SIDE, _SIDE))[::step, ::step]
        patches = windows.reshape(-1, _SIDE, _SIDE)
        flat = patches.reshape(len(patches), -1)
        clipped = ((flat == 0) | (flat == 255)).mean(1)
        told = (clipped <= _CLIPPED) & (flat.max(1) > flat.min(1))
        if told.sum() >= _LEAST_PATCHES:
            variances.append(_variance(patches[told].astype(np.float32)))
    return float(np.sqrt(np.mean(variances))) if variances else 0.0


def _variance(patches: Floats) -> float:
    """Estimate the variance of the noise in patches `(N, 7, 7)`."""
    across = np.square(patches[:, :, 2:] - patches[:, :, :-2]).sum((1, 2))
    down = np.square(patches[:, 2:] - patches[:, :-2]).sum((1, 2))
    gradients = (across + down) / 4
    variance = _least(patches)
    for _ in range(_ROUNDS):
        weak = patches[gradients < _MOST_GRADIENT * variance]
        if len(weak) < _LEAST_PATCHES:
            break
        variance = _least(weak)
    return variance


def _least(patches: Floats) -> float:
    """Find the least eigenvalue of the covariance of patches, without what it lacks as so few show it.

    Of N vectors of d numbers of noise alone, it is `(1 - sqrt(d / N))²` of the variance (Marchenko and Pastur
    1967).
    """
    vectors = patches.reshape(len(patches), -1)
    least = max(float(np.linalg.eigvalsh(np.cov(vectors.T))[0]), 0.0)
    return least / (1 - math.sqrt(vectors.shape[1] / len(vectors))) ** 2
