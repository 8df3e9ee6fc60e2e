"""The picture as the codec sees it, and its conversion to arrays and Pillow images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from neuralcodec.arrays import Damage, Plane
from neuralcodec.picture.exif import EXIF_PREFIX, orientation


@dataclass
class Picture:
    """A picture as the codec sees it.

    Args:
        pixels: uint8 `(H, W, 3)`, or `(H, W, 1)` for grey.
        alpha: uint8 `(H, W)`, not premultiplied.
        icc: a profile for such pixels: its colour space is RGB, or GRAY for grey.
        exif: the EXIF block, from its `II` or `MM` on, without the `Exif` prefix that JPEG gives it.
        xmp: the XMP packet.
        damage: the parts that differ from what was encoded, where the file was damaged.
        notes: what of the source could not be kept, a line for each; they become warnings for the user.
    """

    pixels: Plane
    alpha: Plane | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    damage: Damage | None = None
    notes: tuple[str, ...] = ()


def to_array(picture: Picture) -> Plane:
    """Return pixels `(H, W)` of a grey picture, `(H, W, 3)` of a colour one; alpha is the last of 2 or 4."""
    if picture.alpha is not None:
        return np.dstack([picture.pixels, picture.alpha])
    return picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels


def to_pil(picture: Picture) -> Image.Image:
    """Make a Pillow image of mode L, LA, RGB or RGBA, with `icc_profile`, `exif` and `xmp` in its `info`."""
    image = Image.fromarray(to_array(picture))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = EXIF_PREFIX + picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    return image


def upright(picture: Picture) -> Picture:
    """Turn the picture the way its EXIF block says, as a viewer shows it, and drop that block."""
    turn = orientation(picture.exif or b"")
    alpha = None if picture.alpha is None else _turned(picture.alpha, turn)
    return replace(picture, pixels=_turned(picture.pixels, turn), alpha=alpha, exif=None)


def _turned(plane: Plane, turn: int) -> Plane:
    """Turn `(H, W, ...)` as EXIF's orientation `turn`, 1 to 8, says."""
    if turn >= 5:  # these exchange rows and columns
        plane = plane.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        plane = plane[::-1]
    if turn in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


def same_channels(one: Picture, two: Picture) -> tuple[Plane, Plane]:
    """Return the pixels of both `(H, W, C)`; grey becomes three channels where the other has colours."""
    channels = max(one.pixels.shape[2], two.pixels.shape[2])
    first, second = (np.repeat(p.pixels, channels // p.pixels.shape[2], axis=2) for p in (one, two))
    return first, second
