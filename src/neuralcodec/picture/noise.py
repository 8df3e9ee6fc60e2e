"""Estimate how noisy a picture is."""

from __future__ import annotations

import math

import numpy as np

from neuralcodec.arrays import Floats, Pixels

#: Median of the magnitudes of a normal variable, over its standard deviation.
_MEDIAN = 0.6745
#: Rows that are looked at together, and the most that are looked at of a tall picture.
_ROWS, _MOST_PIXELS = 256, 1 << 22


def noise_of(pixels: Pixels) -> float:
    """Estimate the standard deviation of the noise in pixels `(H, W, C)`, in their levels.

    The difference of two Laplacians has nearly nothing of edges and slopes in it (Immerkaer 1996, "Fast noise
    variance estimation"), and the median of its magnitudes nearly nothing of texture (Donoho 1995). Noise
    that spreads over neighbours, as demosaicing and JPEG leave it, is estimated too low.

    Returns:
        The root mean square of the channels' estimates; 0 for pictures of less than 3 pixels to a side.
    """
    height, width, channels = pixels.shape
    if min(height, width) < 3:
        return 0.0
    # Bands, evenly spread: a large picture has more than enough of them.
    bands = list(range(0, height - 2, _ROWS))
    step = math.ceil(len(bands) * _ROWS * width / _MOST_PIXELS)
    parts = [np.abs(_difference(pixels[top : top + _ROWS + 2].astype(np.float32))) for top in bands[::step]]
    parts = [part.reshape(-1, channels) for part in parts]
    deviations = np.median(np.concatenate(parts), axis=0) / (6 * _MEDIAN)
    return float(np.sqrt(np.square(deviations).mean()))


def _difference(x: Floats) -> Floats:
    """Apply the mask 1 −2 1, −2 4 −2, 1 −2 1, of norm 6: `(h, w, C)` to `(h − 2, w − 2, C)`."""
    x = x[2:] + x[:-2] - 2 * x[1:-1]
    difference: Floats = x[:, 2:] + x[:, :-2] - 2 * x[:, 1:-1]
    return difference
