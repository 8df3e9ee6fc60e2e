"""Read pictures: files, Pillow images and numpy arrays to 8-bit planes and metadata.

What Pillow reads but we cannot keep raises an error or becomes one of the picture's notes. Pixels are never
rotated: the orientation stays in the EXIF block, which travels byte for byte.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile

from neuralcodec.arrays import Plane
from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.format.container import MIN_SIDE
from neuralcodec.picture.exif import EXIF_PREFIX
from neuralcodec.picture.icc import matching_icc
from neuralcodec.picture.opening import missing_plugin, open_image
from neuralcodec.picture.picture import Picture

Source: TypeAlias = "Image.Image | str | os.PathLike[str] | bytes | BinaryIO | NDArray[Any]"

MAX_PIXELS = 2**28


def load(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture of any format Pillow knows, recognised by its content.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image (its current frame), or a
            uint8 array `(H, W)`, `(H, W, 1)`, `(H, W, 3)`, or with alpha `(H, W, 2)`, `(H, W, 4)`.
        max_pixels: refuse more than these, before any memory is taken for them.

    Raises:
        UsageError: the source is missing, empty, or has to be converted first.
        DamagedFileError: the file is damaged, no picture, or has more than `max_pixels`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_image(source, "the picture", max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_stream(io.BytesIO(source), "the picture", max_pixels)
    if isinstance(source, str | os.PathLike):
        try:
            with Path(source).open("rb") as stream:
                return _from_stream(stream, str(source), max_pixels)
        except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
            raise UsageError(f"cannot read {source}: {line(error)}") from None
    if hasattr(source, "read"):
        return _from_stream(io.BytesIO(source.read()), "the picture", max_pixels)
    raise UsageError(f"cannot read a picture from {type(source).__name__}")


def line(error: Exception) -> str:
    """The message of an error, on one line."""
    text = error.strerror if isinstance(error, OSError) else None
    return " ".join((text or str(error) or type(error).__name__).split())


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise UsageError(f"{name} is empty: {width}x{height} pixels")
    if max(width, MIN_SIDE) * max(height, MIN_SIDE) > max_pixels:  # as a decoder will count it
        raise DamagedFileError(f"{name} is too large: {width}x{height} pixels, the limit is {max_pixels}")


def _from_array(array: NDArray[Any], max_pixels: int) -> Picture:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2] <= 4)):
        raise UsageError(
            f"arrays must be uint8 (H, W) or (H, W, 1 to 4), not {array.dtype} {array.shape}; scale to 0..255"
        )
    _check_size(array.shape[1], array.shape[0], "the array", max_pixels)
    return Picture(*_split(array.copy()))


def _split(array: Plane) -> tuple[Plane, Plane | None]:
    """Views on the colours and the alpha, which is the last of 2 or 4, of `(H, W)` or `(H, W, 1 to 4)`."""
    array = array.reshape(*array.shape[:2], -1)
    colours = 1 if array.shape[2] < 3 else 3
    return array[..., :colours], array[..., colours] if array.shape[2] > colours else None


def _from_stream(stream: BinaryIO, name: str, max_pixels: int) -> Picture:
    try:
        image = open_image(stream)
    except MemoryError:
        raise
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise DamagedFileError(f"cannot read {name}: {line(error)}") from None
    if image is None:
        stream.seek(0)
        hint = missing_plugin(stream.read(16)) or "no picture of a known format, or damaged at its start"
        raise DamagedFileError(f"cannot read {name}: {hint}")
    return _from_image(image, name, max_pixels)


def _from_image(image: Image.Image, name: str, max_pixels: int) -> Picture:
    _check_size(*image.size, name, max_pixels)
    notes: list[str] = []
    try:
        raw_mode = _raw_mode(image)  # gone after loading
        image.load()
        frames = getattr(image, "n_frames", 1)
        pixels, alpha = _planes(image, raw_mode, notes)
        # Some formats keep metadata behind the pixels, so it is complete only now.
        exif, xmp = _exif(image), image.info.get("xmp")
    except (NeuralCodecError, MemoryError):
        raise
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise DamagedFileError(f"cannot read {name}: {line(error)}") from None
    if frames > 1:
        which = "the first" if isinstance(image, ImageFile) and image.tell() == 0 else "the current one"
        notes.append(f"it has {frames} frames, only {which} is kept")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
    return Picture(
        pixels,
        alpha,
        icc=matching_icc(icc, pixels.shape[2] == 1, notes),
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        notes=tuple(notes),
    )


_BAND = 2**20  # pixels that are converted at a time

# The modes that need no thought; any other becomes RGB.
_TARGET_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


def _planes(image: Image.Image, raw_mode: str, notes: list[str]) -> tuple[Plane, Plane | None]:
    """Pixels and alpha of a loaded image."""
    if image.mode == "F":
        raise UsageError(
            "floating-point pixels have no agreed range: convert the picture to 8 or 16 bits first"
        )
    key = image.info.get("transparency")  # one colour that is transparent, in the depth of the file
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise UsageError("32-bit pixels beyond 0..65535: convert the picture to 8 or 16 bits first")
        notes.append("16-bit pixels were reduced to 8 bits")
        pixels = ((deep.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)[..., None]
        return pixels, _keyed_alpha(deep[..., None], key)
    if ";16" in raw_mode:
        notes.append("16-bit pixels were reduced to 8 bits")

    target = _TARGET_MODES.get(image.mode, "RGB")
    if image.mode == "P" and image.has_transparency_data:
        target = "RGBA"
    if raw_mode == "LA;16B":
        target = "LA"  # Pillow opens it as RGBA
    if image.mode == "CMYK":
        image = _cmyk_to_rgb(image, notes)
    pixels, alpha = _split(_array(image, target))
    if alpha is None and image.mode != "P":
        # Pillow could apply the key too, but compares it unscaled when the file has 2, 4 or 16 bits.
        if isinstance(key, int):
            key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
        elif raw_mode == "RGB;16B" and isinstance(key, tuple):
            key = tuple(value >> 8 for value in key)
        alpha = _keyed_alpha(pixels, key)
    return pixels, alpha


def _array(image: Image.Image, mode: str) -> Plane:
    """`(H, W, 1 to 4)` in mode L, LA, RGB or RGBA. In bands: at once, Pillow would hold two more copies."""
    array = np.empty((image.height, image.width, len(mode)), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        part = array[top : top + rows]
        band = image.crop((0, top, image.width, top + len(part))).convert(mode)
        part[:] = np.asarray(band).reshape(part.shape)
    return array


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, such as `RGB;16B`; empty for an image that is in memory already."""
    for tile in getattr(image, "tile", []):
        return str(tile[3][0] if isinstance(tile[3], tuple) else tile[3])
    return ""


def _keyed_alpha(pixels: NDArray[Any], key: object) -> Plane | None:
    """`(H, W)`: 0 where `pixels` `(H, W, C)` have the transparent colour, 255 elsewhere."""
    if not isinstance(key, int | tuple):
        return None
    return np.where((pixels == np.asarray(key)).all(axis=-1), np.uint8(0), np.uint8(255))


def _cmyk_to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if profile := image.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            notes.append("CMYK was converted to sRGB through its ICC profile")
            return converted
    notes.append("CMYK was converted to RGB without an ICC profile, colours are approximate")
    return image.convert("RGB")


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF block as the file has it; that of a TIFF, whose own tags it is, is gathered from them."""
    exif: bytes = image.info.get("exif") or b""
    if not exif and image.format == "TIFF":
        tags, kept = image.getexif(), Image.Exif()
        for tag in _TIFF_TEXTS:
            if tag in tags:
                kept[tag] = tags[tag]
        for tag in _TIFF_DIRECTORIES:
            if directory := tags.get_ifd(tag):
                kept[tag] = directory
        exif = kept.tobytes() if len(kept) else b""
    return exif.removeprefix(EXIF_PREFIX) or None


# Description, make, model, software, date, artist, copyright; EXIF and GPS. The others describe the pixels
# of that very file; Pillow has already applied and removed the orientation.
_TIFF_TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_TIFF_DIRECTORIES = (0x8769, 0x8825)
