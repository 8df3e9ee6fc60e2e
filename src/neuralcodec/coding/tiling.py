"""Cut a picture: tiles for the entropy coder, windows with a halo for the transforms.

The two are unrelated on purpose. A tile's latent is coded by itself, so tiles are the unit of damage, of
parallel work and of regions. The transforms see across tiles. They run over windows as large as memory
allows, each read with a halo as wide as their receptive field. The result of the halo is cut off again, so
there are no seams.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from neuralcodec.arrays import Box

#: Latent positions that a window reads at most, halo included. A layer's activations are 3 KB for each, and
#: those of larger windows leave the last cache.
WINDOW = 8500
#: Rows of latent positions of a band, at most.
BAND = 128


class Window(NamedTuple):
    """The box to read, the box of the plane that it gives, and the place of that in the result."""

    read: Box
    keep: Box
    inner: Box


def boxes(area: Box, size: int) -> Iterator[Box]:
    """Cut an area into squares of `size`, smaller at the right and bottom edge, in raster order."""
    for top in range(area.top, area.bottom, size):
        for left in range(area.left, area.right, size):
            yield Box(top, min(top + size, area.bottom), left, min(left + size, area.right))


def bands(area: Box, height: int) -> Iterator[Box]:
    """Cut an area from the top down into boxes of its width and of `height`, the last one lower."""
    for top in range(area.top, area.bottom, height):
        yield area._replace(top=top, bottom=min(top + height, area.bottom))


def band_height(area: Box, unit: int, halo: int, most: int = WINDOW) -> int:
    """Choose the rows of a band, a multiple of `unit`, so that windows read the least more than once."""

    def positions_read(rows: int) -> int:
        count = -(-area.height // rows)
        across = _across(area.width, min(rows + 2 * halo, area.height), most, halo)
        return (area.height + 2 * halo * (count - 1)) * (area.width + 2 * halo * (across - 1))

    return min(range(unit, max(unit, BAND) + 1, unit), key=positions_read)


def windows(plane: Box, area: Box, halo: int, most: int = WINDOW) -> Iterator[Window]:
    """Cut an area of a plane of latent positions into windows side by side.

    They are as high as the area, which should be a band, and about equally wide.

    Args:
        halo: positions on each side that a window reads beyond what it keeps.
        most: positions that a window reads at most, unless a single column has more.
    """
    count = _across(area.width, area.grown(halo).within(plane).height, most, halo)
    edges = [area.left + area.width * number // count for number in range(count + 1)]
    for left, right in pairwise(edges):
        keep = area._replace(left=left, right=right)
        read = keep.grown(halo).within(plane)
        yield Window(read, keep, keep.moved(-read.top, -read.left))


def _across(width: int, rows: int, most: int, halo: int) -> int:
    """Count the windows of so many rows, halo included, that a width needs."""
    columns = max(most // rows - 2 * halo, 1)  # that a window in the middle keeps
    return 1 if width * rows <= most else -(-width // columns)


def latent_size(pixels: int, stride: int) -> int:
    """Count the latent positions that cover so many pixels."""
    return -(-pixels // stride)
