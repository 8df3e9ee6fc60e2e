"""Pictures of one shape, drawn from an index: the set-up of dSprites (Matthey et al. 2017), nothing stored.

A picture is determined by its factors: shape, scale, rotation, and the place of the shape's centre. The
metrics of disentanglement measure which latent answers to which factor.
"""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

SIDE = 64
SHAPES = ("square", "ellipse", "heart")
SCALES = np.linspace(0.5, 1.0, 6)
ROTATIONS = np.linspace(0.0, 2 * np.pi, 40)  # the last is the first again, as in dSprites
PLACES = 32
_RADIUS = 12  # pixels from the centre to the end of the largest shape
_BOX = 2 * _RADIUS + 1
_MARGIN = 4  # black on all sides: 4 + 31 + 25 + 4 pixels


class Sprites:
    """All pictures of the set-up: 737,280 binary ones, or as many in each of several colours.

    Args:
        colours: 1 gives white shapes, `(B, 1, 64, 64)`; more gives that many hues, `(B, 3, 64, 64)`.
    """

    def __init__(self, colours: int = 1) -> None:
        self.name, self.channels = ("shapes", 1) if colours == 1 else ("coloured", 3)
        self.factors: tuple[str, ...] = ("shape", "scale", "rotation", "x", "y")
        self.sizes: tuple[int, ...] = (len(SHAPES), len(SCALES), len(ROTATIONS), PLACES, PLACES)
        if colours > 1:
            self.factors, self.sizes = ("colour", *self.factors), (colours, *self.sizes)

    def __len__(self) -> int:
        return int(np.prod(self.sizes))

    def factors_of(self, indices: Indices) -> Indices:
        """Return the factors that made the pictures: `(B, factors)`, each from 0 to its size - 1."""
        return np.stack(np.unravel_index(indices, self.sizes), axis=-1)

    def indices_of(self, factors: Indices) -> Indices:
        """Invert `factors_of`."""
        return np.ravel_multi_index(tuple(factors.T), self.sizes)

    def gathered(self, indices: Indices, spread: float) -> Indices:
        """Return the indices of the shapes when they are moved to the middle, at a spread of 1 not at all."""
        factors = self.factors_of(indices)
        middle = PLACES // 2
        factors[:, -2:] = middle + np.round(spread * (factors[:, -2:] - middle)).astype(np.int64)
        return self.indices_of(factors)

    def pictures(self, indices: Indices) -> Array:
        """Draw pictures `(B, channels, 64, 64)` in `[0, 1]`.

        Raises:
            IndexError, ValueError: an index is not of this set.
        """
        *colour, shape, scale, rotation, x, y = self.factors_of(indices).T
        masks = _masks()[shape, scale, rotation]
        pictures = np.zeros((len(indices), SIDE, SIDE), np.float32)
        # One after the other: ten times as fast as one assignment with arrays of indices.
        places = zip((y + _MARGIN).tolist(), (x + _MARGIN).tolist(), strict=True)
        for picture, mask, (top, left) in zip(pictures, masks, places, strict=True):
            picture[top : top + _BOX, left : left + _BOX] = mask
        if not colour:
            return pictures[:, None]
        hues = [colorsys.hsv_to_rgb(hue / self.sizes[0], 0.8, 1.0) for hue in range(self.sizes[0])]
        return pictures[:, None] * np.array(hues, np.float32)[colour[0]][:, :, None, None]


@cache
def _masks() -> Bytes:
    """Draw every shape in every scale and rotation, `(3, 6, 40, 25, 25)`, centred in its box."""
    offset = np.arange(-_RADIUS, _RADIUS + 1, dtype=np.float64)
    cos, sin = np.cos(ROTATIONS)[:, None, None], np.sin(ROTATIONS)[:, None, None]
    x = (cos * offset + sin * offset[:, None]) / (_RADIUS * SCALES[:, None, None, None])
    y = (cos * offset[:, None] - sin * offset) / (_RADIUS * SCALES[:, None, None, None])
    side = np.sqrt(0.5)
    square = np.maximum(np.abs(x), np.abs(y)) <= side
    ellipse = x**2 + (y / 0.6) ** 2 <= 1
    # The heart (u^2 + v^2 - 1)^3 <= u^2 v^3, upright: rows count downwards, and its point is the lowest.
    u, v = 1.24 * x, 0.12 - 1.24 * y
    heart = (u**2 + v**2 - 1) ** 3 <= u**2 * v**3
    return np.stack([square, ellipse, heart]).astype(np.uint8)
