"""Fill holes of a picture from the pixels around them: smoothly at first, then by a network if there is one.

Only the neighbourhood of holes is looked at. Holes near each other are filled together; the network runs over
windows of them. It works on the latent of the codec, whose synthesis makes pixels of what it found.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralcodec import parallel, weights
from neuralcodec.arrays import Box, Pixels, Progress, quiet
from neuralcodec.coding.families import family_of
from neuralcodec.errors import UsageError
from neuralcodec.options import DEFAULT_MODEL
from neuralcodec.picture.fill import fill_smoothly
from neuralcodec.picture.mask import Mask, checked_mask, mask_of, region_mask
from neuralcodec.picture.picture import Picture, upright
from neuralcodec.picture.reading import Source, load
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.companions import find_companion

if TYPE_CHECKING:
    from neuralcodec.models.conv.mending import InpaintingModel

KIND = "inpaint"
#: Side in pixels of the squares by which holes are near each other, and how far around them is looked.
_CELL, _MARGIN = 64, 128
#: Side of what the network fills at a time.
_WINDOW = 896
#: The largest box of holes near each other, in pixels: filling it takes some 100 bytes for each.
_MOST = 1 << 25


def without(
    picture: Picture, *, mask: Source | None = None, region: Box | None = None, **options: Any
) -> Picture:
    """Fill what a mask or a region names, in the picture as a viewer shows it.

    Args:
        mask: a picture of the same size, white where pixels are lost.
        options: those of `inpaint`.

    Raises:
        UsageError: not one of mask and region is given, or it does not fit; and as in `inpaint`.
    """
    picture = upright(picture)
    size = picture.pixels.shape[0], picture.pixels.shape[1]
    if mask is not None and region is None:
        return inpaint(picture, mask_of(load(mask), size), **options)
    if region is not None and mask is None:
        return inpaint(picture, region_mask(region, size), **options)
    raise UsageError("what is to be filled is either a mask or a region: give one of them")


@parallel.computing()
def inpaint(
    picture: Picture,
    mask: Mask,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | None = None,
    progress: Progress | None = None,
) -> Picture:
    """Fill the pixels of a picture that a mask `(H, W)` marks; all others, and the alpha, stay as they are.

    Args:
        model: weights, whose encoder to inpaint is used; those of a family that has none use the default
            ones'. Without such an encoder the smooth fill is the result.
        device, progress: as in `encode_file`.

    Raises:
        UsageError: the mask marks nothing or everything, or one hole is too large.
    """
    mask, report = checked_mask(mask), progress or quiet
    file = _encoder(model)
    network: InpaintingModel | None = None if file is None else family_of(file.codec).load(file, device)
    pixels = picture.pixels.copy()
    found = list(_holes(mask))
    for number, (box, hole) in enumerate(found):
        near = box.grown(_MARGIN).within(Box.whole(*mask.shape))
        if near.height * near.width > _MOST:
            raise UsageError(f"holes near each other span {box.width}x{box.height} pixels: that is too much")
        lost = mask[near.slices]
        filled = fill_smoothly(pixels[near.slices], lost).round().clip(0, 255).astype(np.uint8)
        inside = np.zeros_like(lost)
        inside[box.moved(-near.top, -near.left).slices] = hole
        mended = filled if network is None else _mended(network, filled, lost, inside)
        pixels[near.slices][inside] = mended[inside]
        report((number + 1) / len(found))
    return replace(picture, pixels=pixels)


def _encoder(model: str | os.PathLike[str]) -> WeightsFile | None:
    file = weights.by_name(model)
    if KIND not in family_of(file.codec).companions:
        file = weights.by_name(DEFAULT_MODEL)
    return find_companion(file, KIND)


def _holes(mask: Mask) -> Iterator[tuple[Box, Mask]]:
    """Yield groups of holes far from each other: the box of each, and the mask of its holes in it."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % _CELL), (0, -width % _CELL)))
    rows, columns = (side // _CELL for side in padded.shape)
    cells = padded.reshape(rows, _CELL, columns, _CELL).any((1, 3))
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(cells), strict=True)}
    while left:
        group = [left.pop()]
        waiting = deque(group)
        while waiting:
            row, column = waiting.popleft()
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= around
            group += around
            waiting += around
        own = np.zeros_like(cells)
        own[tuple(np.transpose(group))] = True
        area = Box(
            min(row for row, _ in group),
            max(row for row, _ in group) + 1,
            min(column for _, column in group),
            max(column for _, column in group) + 1,
        )
        box = area.scaled(_CELL).within(Box.whole(height, width))
        of_group = own[area.slices].repeat(_CELL, 0).repeat(_CELL, 1)[: box.height, : box.width]
        yield box, mask[box.slices] & of_group


def _mended(network: InpaintingModel, filled: Pixels, lost: Mask, inside: Mask) -> Pixels:
    """Let the network fill the pixels `inside` of smoothly filled ones, of which `lost` are lost."""
    result = filled.copy()
    plane = Box.whole(*lost.shape)
    for top in range(0, plane.height, _WINDOW):
        for left in range(0, plane.width, _WINDOW):
            cell = Box(top, top + _WINDOW, left, left + _WINDOW).within(plane)
            rows, columns = np.nonzero(inside[cell.slices])
            if not len(rows):
                continue
            keep = Box(
                top + int(rows.min()),
                top + int(rows.max()) + 1,
                left + int(columns.min()),
                left + int(columns.max()) + 1,
            )
            read = keep.grown(_MARGIN).within(plane)
            beyond = ((0, -read.height % 64), (0, -read.width % 64))
            colours = np.broadcast_to(filled[read.slices], (*read.shape, 3))
            seen = np.pad(colours, (*beyond, (0, 0)), mode="edge")
            hole = np.pad(lost[read.slices], beyond).astype(np.float32)[..., None]
            found = network.inpaint(seen, hole)[keep.moved(-read.top, -read.left).slices]
            if filled.shape[2] == 1:
                found = found.mean(2, keepdims=True)
            result[keep.slices] = found.round().clip(0, 255).astype(np.uint8)
    return result
