"""Masks: which pixels of a picture are to be filled."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Box
from neuralcodec.errors import UsageError
from neuralcodec.picture.picture import Picture, upright

Mask: TypeAlias = "npt.NDArray[np.bool_]"


def mask_of(picture: Picture, size: tuple[int, int]) -> Mask:
    """Turn a picture, white where pixels are lost, into the mask of one of `size` (height, width).

    Grey counts from the middle on; what is transparent counts as black.

    Raises:
        UsageError: the sizes differ, or the mask marks nothing, or everything.
    """
    picture = upright(picture)
    height, width = picture.pixels.shape[:2]
    if (height, width) != size:
        raise UsageError(f"the mask has {width}x{height} pixels, the picture {size[1]}x{size[0]}")
    white = picture.pixels.max(2) >= 128
    return checked_mask(white if picture.alpha is None else white & (picture.alpha >= 128))


def region_mask(region: Box, size: tuple[int, int]) -> Mask:
    """Make the mask of a box, for a picture of `size` (height, width).

    Raises:
        UsageError: the box is empty, not within the picture, or all of it.
    """
    if region.height < 1 or region.width < 1 or region.within(Box.whole(*size)) != region:
        raise UsageError(f"the region is not within the {size[1]}x{size[0]} pixels of the picture")
    mask = np.zeros(size, bool)
    mask[region.slices] = True
    return checked_mask(mask)


def checked_mask(mask: Mask) -> Mask:
    """Return a mask that marks some pixels, but not all.

    Raises:
        UsageError: it marks nothing, or everything.
    """
    if not mask.any():
        raise UsageError("the mask marks no pixel: white is what is to be filled")
    if mask.all():
        raise UsageError("the mask marks all of the picture: nothing is left to fill it from")
    return mask
