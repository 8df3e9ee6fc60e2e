"""Read pictures: files, Pillow images and numpy arrays to 8-bit planes and metadata.

What cannot be kept raises an error or becomes one of the picture's notes. Pixels are never rotated: the
orientation stays in the EXIF block, which travels byte for byte.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError, line
from neuralcodec.files import bytes_of
from neuralcodec.format.container import MIN_SIDE, Limits
from neuralcodec.picture import boxes, jpeg, planar, png, tiff
from neuralcodec.picture.exif import (
    EXIF_PREFIX,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    byte_order,
    first_directory,
    into_tiff,
    resolution,
    with_resolution,
    without_orientation,
)
from neuralcodec.picture.facts import GAIN_MAP, LARGEST, Facts
from neuralcodec.picture.icc import Colour, colour_of_codes, described, matching_icc
from neuralcodec.picture.opening import missing_plugin, open_image
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.pixels import planes, raw_mode_of, split

Source: TypeAlias = "Image.Image | str | os.PathLike[str] | bytes | BinaryIO | NDArray[Any]"

MAX_PIXELS = 2**28
_PPM = re.compile(rb"P[2356](?:(?:\s|#[^\n]*\n)+(\d+)){3}")
# The words of readers for a file that is whole, but of a kind that they do not know.
_UNSUPPORTED = re.compile(
    r"unknown (pixel mode|data organi)|cannot handle|[nN]ot (yet )?supported|[uU]nsupported|^PSD: \("
)


def load(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture of any format of the table, recognised by its content.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image (its current frame), or a
            uint8 array `(H, W)`, `(H, W, 1)`, `(H, W, 3)`, or with alpha `(H, W, 2)`, `(H, W, 4)`.
        max_pixels: refuse more than these, before any memory is taken for them.

    Raises:
        UsageError: the source is missing, empty, or of a kind that has to be converted first.
        DamagedFileError: the file is damaged, not a picture, or has more than `max_pixels`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        if _is_closed(source):
            raise UsageError("the picture is closed: encode it inside of its `with` block")
        return _from_image(source, "the picture", max_pixels)
    if isinstance(source, str | os.PathLike):
        try:
            if Path(source).stat().st_size > Limits(max_pixels).max_bytes:
                raise DamagedFileError(f"{source} has more bytes than a picture of {max_pixels} pixels")
            data = Path(source).read_bytes()
        except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
            raise UsageError(f"cannot read {source}: {line(error)}") from None
        return _from_bytes(data, str(source), max_pixels)
    if hasattr(source, "seek"):
        with suppress(OSError, ValueError):  # a pipe has no start to go back to
            source.seek(0)
    data = bytes_of(source, Limits(max_pixels).max_bytes)
    return _from_bytes(data, "the picture", max_pixels)


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
    return Picture(*split(array.copy()))


def _from_bytes(data: bytes, name: str, max_pixels: int) -> Picture:
    if tiff.is_raw(data):
        raise UsageError(f"cannot read {name}: {tiff.RAW}")
    pixels, facts = _inspected(data, name, max_pixels)
    if facts.ended:
        try:
            image = _opened(pixels, name)
        except DamagedFileError:
            # Pillow reads the EXIF block of an AVIF while it opens it.
            pixels = boxes.without_exif(data) if data[4:8] == b"ftyp" else data
            if pixels == data:
                raise
            image = _opened(pixels, name)
            facts.lose("EXIF, which is malformed")
        return _from_image(image, name, max_pixels, facts, data)
    # A JPEG without its end is whole if it makes no difference what is put there.
    picture, other = (
        _from_image(_opened(whole, name), name, max_pixels, facts, data) for whole in jpeg.with_end(pixels)
    )
    if not np.array_equal(picture.pixels, other.pixels):
        raise DamagedFileError(f"cannot read {name}: the file is cut short")
    picture.notes = (*picture.notes, "its end marker is missing, all its pixels are there")
    return picture


def _inspected(data: bytes, name: str, max_pixels: int) -> tuple[bytes, Facts]:
    """Return the bytes that Pillow is to read, and what the file holds beside its pixels."""
    if data.startswith(png.SIGNATURE):
        return png.inspect(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.inspect(data)
    if data.startswith(boxes.JXL_SIGNATURES):
        size, facts = boxes.inspect_jxl(data)
        if size is not None:  # check now: the reader decodes the whole file as it opens it
            _check_size(*size, name, max_pixels)
        return data, facts
    facts = Facts()
    if data[4:8] == b"ftyp":
        facts = boxes.inspect_heif(data)
    elif byte_order(data):
        if (size := planar.size_of(data)) is None:
            return tiff.inspect(data)
        _check_size(*size, name, max_pixels)
        try:
            data, facts.bits = planar.interleaved(data, lambda plane: _opened(plane, name))
        except (MemoryError, NeuralCodecError):
            raise
        except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
            raise _refusal(error, name, data) from None
    elif data.startswith(boxes.JP2_SIGNATURES):
        facts = boxes.inspect_jpeg2000(data)
    elif found := _PPM.match(data[:1000]):
        facts.bits = max(8, int(found[1][:9]).bit_length())
    return data, facts


def _opened(data: bytes, name: str) -> ImageFile:
    try:
        image = open_image(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise _refusal(error, name, data) from None
    if image is None:
        hint = missing_plugin(data[:16]) or "no picture of a known format, or damaged at its start"
        raise DamagedFileError(f"cannot read {name}: {hint}")
    return image


def _refusal(error: Exception, name: str, data: bytes = b"") -> NeuralCodecError:
    """Make the error to raise for an error of a reader."""
    if not _UNSUPPORTED.search(message := line(error)):
        return DamagedFileError(f"cannot read {name}: {message}")
    if byte_order(data):
        message = f"TIFF with {tiff.layout(data)}"
    return UsageError(f"cannot read {name}: this kind of picture is not supported: {message}")


def _is_closed(image: Image.Image) -> bool:
    """Tell whether the image was closed, or its file was before the pixels had been read."""
    try:
        _ = image.im
    except ValueError:
        return True
    except (AssertionError, AttributeError):  # they are not there yet
        pass
    file = getattr(image, "fp", None)
    return bool(getattr(image, "tile", None)) and (file is None or file.closed)


def _from_image(
    image: Image.Image, name: str, max_pixels: int, facts: Facts | None = None, data: bytes = b""
) -> Picture:
    """Make a picture of a Pillow image; `facts` and `data` are of the file that it was opened from."""
    facts = facts or Facts()
    _check_size(*image.size, name, max_pixels)
    try:
        if isinstance(image, TiffImageFile):
            tiff.check(image, facts)
        raw_mode = raw_mode_of(image)  # gone after loading
        facts.frames = max(facts.frames, getattr(image, "n_frames", 1))
        image.load()
        _complete(facts, image, data)  # some formats keep metadata behind the pixels
        pixels, alpha = planes(image, raw_mode, facts)
    except MemoryError:
        raise
    except NeuralCodecError as error:
        raise type(error)(f"cannot read {name}: {error}") from None
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise _refusal(error, name, data) from None
    if facts.frames > 1:
        which = "the first" if not isinstance(image, ImageFile) or image.tell() == 0 else "the current one"
        facts.notes.append(f"it has {facts.frames} frames, only {which} is kept")
    if facts.bits > 8:
        facts.notes.append(f"{facts.bits}-bit pixels were reduced to 8 bits")
    grey = pixels.shape[2] == 1
    if image.mode == "CMYK":
        facts.icc = None
    icc = matching_icc(facts.icc, grey, facts.notes)
    if facts.colour is not None and not facts.icc:
        icc = described(facts.colour, grey, facts.notes)
    _keep_resolution(facts)
    picture = Picture(pixels, alpha, icc, facts.exif or None, facts.xmp or None)
    for kind in ("icc", "exif", "xmp"):
        if len(getattr(picture, kind) or b"") > LARGEST:
            setattr(picture, kind, None)
            facts.lose(f"{kind.upper()} of more than {LARGEST:,} bytes")
    if facts.lost:
        facts.notes.append(f"left out: {', '.join(facts.lost)}")
    picture.notes = tuple(facts.notes)
    return picture


def _complete(facts: Facts, image: Image.Image, data: bytes) -> None:
    """Add to `facts` what Pillow says of a file."""
    info = image.info
    xmp = info.get("xmp")
    facts.icc = facts.icc or info.get("icc_profile")
    facts.xmp = facts.xmp or (
        xmp.encode() if isinstance(xmp, str) else xmp if isinstance(xmp, bytes) else None
    )
    facts.exif = facts.exif or _exif(image, data)
    if facts.turned and not getattr(image, "jpeg", False):
        facts.exif = without_orientation(facts.exif or b"")
    facts.dpi = facts.dpi or info.get("dpi")
    facts.bits = max(facts.bits, info.get("bit_depth", 8))
    if isinstance(codes := info.get("nclx_profile"), dict):
        facts.colour = colour_of_codes(codes["color_primaries"], codes["transfer_characteristics"])
    if ("gamma" in info or "chromaticity" in info) and "srgb" not in info:  # of an image that is open as PNG
        primaries = info.get("chromaticity", Colour().primaries)
        facts.colour = Colour(primaries, 1 / info["gamma"] if info.get("gamma") else "sRGB")
    comment = info.get("comment")
    if comment and not (isinstance(comment, bytes) and comment.startswith(b"Created by OpenJPEG")):
        facts.lose("a comment")
    if 0x0404 in info.get("photoshop", {}):
        facts.lose("IPTC")
    if info.get("depth_images"):
        facts.lose("its depth map")
    if any("hdrgainmap" in str(kind).lower() for kind in info.get("aux", {})):
        facts.lose(GAIN_MAP)


def _exif(image: Image.Image, data: bytes) -> bytes | None:
    """Return the EXIF block as the file has it; for a TIFF, gather it from the file's own tags."""
    exif = image.info.get("exif")
    if image.format == "TIFF" and not exif:
        exif = _tags(image, data)
    if "Raw profile type exif" in image.info and not exif:
        exif = image.getexif().tobytes()
    return exif.removeprefix(EXIF_PREFIX) if isinstance(exif, bytes) else None


def _tags(image: Image.Image, data: bytes) -> bytes | None:
    """Make an EXIF block of what a TIFF says of the scene; Pillow has applied the orientation already."""
    if byte_order(data):
        block = without_orientation(into_tiff(b"II*\0" + bytes(4), data)[0])
    else:  # the file is a BigTIFF, or not at hand
        tags, kept = image.getexif(), Image.Exif()
        for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):
            if tag in tags:
                kept[tag] = tags[tag]
        for tag in (0x8769, 0x8825):
            if below := tags.get_ifd(tag):
                kept[tag] = below
        block = kept.tobytes().removeprefix(EXIF_PREFIX) if len(kept) else b""
    of_size = {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT}
    return block if {entry.tag for entry in first_directory(block).entries} - of_size else None


def _keep_resolution(facts: Facts) -> None:
    """Keep the dots per inch in EXIF, unless they are the 72 or 96 that programs write by default.

    For a TIFF that does not state them, Pillow gives 1.
    """
    if not isinstance(facts.dpi, tuple) or len(facts.dpi) != 2:
        return
    x, y = map(float, facts.dpi)
    if not (1 < x < 1e6 and 1 < y < 1e6) or (abs(x - y) < 0.5 and min(abs(x - 72), abs(x - 96)) < 0.5):
        return
    if not facts.exif:
        facts.exif = with_resolution(x, y)
    elif not np.allclose(resolution(facts.exif) or (0, 0), (x, y), rtol=0.01):
        facts.lose(f"its resolution of {x:.0f} dpi")
