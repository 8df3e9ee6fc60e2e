"""Convert the pixels of a Pillow image of any mode to 8-bit planes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuralcodec.arrays import Plane
from neuralcodec.errors import UsageError
from neuralcodec.picture.facts import Facts

_BAND = 2**20  # pixels that are converted at a time

# What each mode becomes; any other becomes RGB.
_TARGET_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


def planes(image: Image.Image, raw_mode: str, facts: Facts) -> tuple[Plane, Plane | None]:
    """Convert a loaded image to pixels `(H, W, 1 or 3)` and alpha `(H, W)`; note in `facts` what is lost.

    Raises:
        UsageError: the samples have no agreed range.
    """
    if image.mode == "F":
        raise UsageError(
            "floating-point pixels have no agreed range: convert the picture to 8 or 16 bits first"
        )
    key = image.info.get("transparency")  # one colour that is transparent, in the depth of the file
    if image.mode.startswith("I"):
        return _from_deep(image, raw_mode, facts, key)
    if ";16" in raw_mode:
        facts.bits = 16
    target = _TARGET_MODES.get(image.mode, "RGB")
    if image.mode == "P" and image.has_transparency_data:
        target = "RGBA"
    if raw_mode == "LA;16B":
        target = "LA"  # Pillow opens it as RGBA
    if image.mode == "CMYK":
        image = _cmyk_to_rgb(image, facts)
    pixels, alpha = split(_array(image, target))
    if alpha is None and image.mode != "P":
        # Pillow could apply the key too, but compares it unscaled when the file has 2, 4 or 16 bits.
        if isinstance(key, int):
            key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
        elif raw_mode == "RGB;16B" and isinstance(key, tuple):
            key = tuple(value >> 8 for value in key)
        alpha = _keyed_alpha(pixels, key)
    return pixels, alpha


def _from_deep(image: Image.Image, raw_mode: str, facts: Facts, key: object) -> tuple[Plane, Plane | None]:
    """Convert a grey image with more than 8 bits."""
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise UsageError("32-bit pixels beyond 0..65535: convert the picture to 8 or 16 bits first")
    facts.bits = max(facts.bits, 16) if facts.bits == 8 else facts.bits
    largest = 4095 if raw_mode == "I;12" else 65535  # other depths come stretched to 16 bits
    pixels = ((deep.astype(np.uint32) * 255 + largest // 2) // largest).astype(np.uint8)[..., None]
    if facts.inverted:
        pixels = 255 - pixels
    return pixels, _keyed_alpha(deep[..., None], key)


def _array(image: Image.Image, mode: str) -> Plane:
    """Convert to `(H, W, 1 to 4)` in mode L, LA, RGB or RGBA.

    The work goes by bands of rows: at once, Pillow would hold two more copies.
    """
    array = np.empty((image.height, image.width, len(mode)), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        part = array[top : top + rows]
        band = image.crop((0, top, image.width, top + len(part))).convert(mode)
        part[:] = np.asarray(band).reshape(part.shape)
    return array


def raw_mode_of(image: Image.Image) -> str:
    """Name how the file stores its pixels, such as `RGB;16B`; empty for an image already in memory."""
    for tile in getattr(image, "tile", []):
        return str(tile[3][0] if isinstance(tile[3], tuple) else tile[3])
    return ""


def _keyed_alpha(pixels: NDArray[Any], key: object) -> Plane | None:
    """Make alpha `(H, W)`: 0 where `pixels` `(H, W, C)` have the transparent colour, 255 elsewhere."""
    if not isinstance(key, int | tuple):
        return None
    return np.where((pixels == np.asarray(key)).all(axis=-1), np.uint8(0), np.uint8(255))


def _cmyk_to_rgb(image: Image.Image, facts: Facts) -> Image.Image:
    if profile := facts.icc:
        from PIL import ImageCms  # only here, since decoding loads this module as well

        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            facts.notes.append("CMYK was converted to sRGB through its ICC profile")
            return converted
    facts.notes.append("CMYK was converted to RGB without an ICC profile, colours are approximate")
    return image.convert("RGB")


def split(array: Plane) -> tuple[Plane, Plane | None]:
    """Split `(H, W)` or `(H, W, 1 to 4)` into views of the colours and the alpha, the last of 2 or 4."""
    array = array.reshape(*array.shape[:2], -1)
    colours = 1 if array.shape[2] < 3 else 3
    return array[..., :colours], array[..., colours] if array.shape[2] > colours else None
