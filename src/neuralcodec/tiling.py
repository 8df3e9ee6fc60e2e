"""How a picture is cut: tiles for the entropy coder, windows with a halo for the transforms.

The two are unrelated on purpose. A tile's latent is coded by itself, so tiles are the unit of damage, of
parallel work and of regions. The transforms see across tiles: they run over windows as large as memory
allows, each read with a halo as wide as their receptive field, of which the result is cut off again, so a
seam has nowhere to come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: Pixels to a side that share one position of the latent.
LATENT_STRIDE = 16
#: Latent positions on each side that a transform's result depends on; `tests/test_tiling.py` measures it.
HALO = 5
#: Latent positions to a side of a window. 1024 pixels: larger ones leave the caches and pay for fresh memory.
WINDOW = 64


class Box(NamedTuple):
    """Rows `top..bottom` and columns `left..right`, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def scaled(self, factor: int) -> Box:
        return Box(*(edge * factor for edge in self))

    def moved(self, top: int, left: int) -> Box:
        return Box(self.top + top, self.bottom + top, self.left + left, self.right + left)

    def grown(self, margin: int, height: int, width: int) -> Box:
        """Larger by `margin` on every side, within a plane of this size."""
        return Box(
            max(self.top - margin, 0),
            min(self.bottom + margin, height),
            max(self.left - margin, 0),
            min(self.right + margin, width),
        )


class Window(NamedTuple):
    """What to read, what of the plane it gives, and where in the result that lies."""

    read: Box
    keep: Box
    inner: Box


def boxes(height: int, width: int, size: int) -> Iterator[Box]:
    """Cut a plane into squares of `size`, smaller at the right and bottom edge, in raster order."""
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield Box(top, min(top + size, height), left, min(left + size, width))


def windows(height: int, width: int, *, size: int = WINDOW, halo: int = HALO) -> Iterator[Window]:
    """Windows over a plane of latent positions."""
    for keep in boxes(height, width, size):
        read = keep.grown(halo, height, width)
        yield Window(read, keep, keep.moved(-read.top, -read.left))


def latent_size(pixels: int) -> int:
    """Latent positions that cover so many pixels."""
    return -(-pixels // LATENT_STRIDE)
