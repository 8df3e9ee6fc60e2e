"""Write pictures: planes and metadata to files of the formats that people open."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from neuralcodec.errors import NeuralCodecError, UsageError, line
from neuralcodec.picture.exif import XMP, into_tiff, resolution, says_only_orientation, without_orientation
from neuralcodec.picture.formats import FORMATS, Format, format_for
from neuralcodec.picture.picture import Picture, to_pil, upright

_NAMES = {"icc": "ICC profile", "exif": "EXIF", "xmp": "XMP"}


def save(
    picture: Picture,
    target: str | os.PathLike[str] | BinaryIO,
    format: str,
    *,
    quality: int | None = None,
    strip: bool = False,
) -> tuple[str, ...]:
    """Write a picture; by default WebP lossless, JPEG and AVIF at quality 95 without chroma subsampling.

    Metadata never stand in the way of the picture: what the format cannot hold is left out. Where that is
    the orientation, the pixels are turned the way it says.

    Args:
        picture: to write, with all its metadata where the format has a place for it.
        target: a path, which is overwritten, or an open binary file. Nothing is written when encoding fails.
        format: a name from `format_for`, in any case; an extension does too.
        quality: 1 to 100, of JPEG, AVIF and a lossy WebP.
        strip: leave the metadata out.

    Returns:
        What of the picture could not be kept, a line for each.

    Raises:
        UsageError: the format is unknown, cannot hold the picture's alpha, or has no quality.
        NeuralCodecError: the format cannot hold the picture, or the file cannot be written.
    """
    rules = rules_for(format, quality)
    name = rules.name
    if picture.alpha is not None and not rules.alpha:
        raise UsageError(f"{name} cannot hold transparency: use PNG, WebP, TIFF or AVIF")
    height, width = picture.pixels.shape[:2]
    if max(height, width) > rules.largest_side:
        raise UsageError(f"{name} holds up to {rules.largest_side} pixels a side, this is {width}x{height}")
    if strip:
        picture = replace(upright(picture), icc=None, xmp=None)
    if picture.exif and not _fits("exif", picture, name) and says_only_orientation(picture.exif):
        picture = upright(picture)  # the orientation is all that there is to keep
    data, named = _with_what_fits(picture, rules)
    notes = (f"{name} cannot hold all metadata, left out: {', '.join(named)}",) if named else ()
    if not isinstance(target, str | os.PathLike):
        target.write(data)
        return notes
    try:
        Path(target).write_bytes(data)
    except (OSError, ValueError) as error:
        raise NeuralCodecError(f"cannot write {target}: {line(error)}") from None
    return notes


def _with_what_fits(picture: Picture, rules: Format) -> tuple[bytes, list[str]]:
    """Encode with as much of the metadata as the file can hold; return it and the names of the rest."""
    there = [key for key in _NAMES if getattr(picture, key)]
    kept = [key for key in there if _fits(key, picture, rules.name)]
    lost = [key for key in there if key not in kept]
    # The writer may refuse some after all: leave out none, then each one alone, and at last all of them.
    attempts = [[], *([key] for key in kept), *([kept] if len(kept) > 1 else [])]
    for more in attempts:
        try:
            data, note = _encoded(_without(picture, [*lost, *more]), rules)
            return data, [_NAMES[key] for key in [*lost, *more]] + ([] if note is None else [note])
        except NeuralCodecError:
            if more == attempts[-1]:
                raise
    raise AssertionError("the last attempt returns or raises")


def rules_for(format: str, quality: int | None = None) -> Format:
    """Look up the row of the table for a name or an extension, with the options of the quality.

    Raises:
        UsageError: no format of that name is written, or it has no such quality.
    """
    written = {rules.name: rules for rules in FORMATS if rules.options is not None}
    name = format.upper()
    rules = written[name if name in written else format_for("x." + format.lower().removeprefix("."))]
    if quality is None:
        return rules
    if rules.lossy is None:
        raise UsageError(f"{rules.name} is without loss and has no quality: JPEG, AVIF and WebP have one")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"the quality of {rules.name} is a whole number from 1 to 100, not {quality!r}")
    return rules._replace(options={**rules.lossy, "quality": quality})


def _fits(key: str, picture: Picture, format: str) -> bool:
    """Tell whether the format has a place for this part of the metadata."""
    size = len(getattr(picture, key))
    if format in ("PPM", "BMP"):
        return False
    if format == "JPEG":
        return size <= {"exif": 65533 - 2 - 6, "xmp": 65533 - 2 - 29, "icc": 255 * (65533 - 2 - 14)}[key]
    if format == "AVIF" and key == "exif":
        return _is_legible(picture.exif or b"")
    # In these two, Pillow writes grey pixels as colours.
    return not (key == "icc" and (picture.icc or b"")[16:20] == b"GRAY" and format in ("WEBP", "AVIF"))


def _is_legible(exif: bytes) -> bool:
    """Tell whether Pillow can read the block, as it does whenever it opens an AVIF."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            block = Image.Exif()
            block.load(exif)
            return bool(block.tobytes())
    except Exception:  # it raises nearly everything
        return False


class _Named(io.BytesIO):
    """Bytes with the name of a file, by which Pillow loads the writer of one format, not those of five."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def _without(picture: Picture, lost: list[str]) -> Picture:
    """Drop some of the metadata; turn the picture upright if the EXIF block is among them."""
    if "exif" in lost:
        picture = upright(picture)
    kept: dict[str, Any] = dict.fromkeys(lost)
    return replace(picture, **kept)


def _encoded(picture: Picture, rules: Format) -> tuple[bytes, str | None]:
    """Encode a picture; return the bytes of the file and the metadata that it lacks, or None."""
    name = rules.name
    if name == "AVIF" and picture.exif:
        # Pillow would rewrite the block for the orientation, and lose what it does not know.
        picture = replace(upright(picture), exif=without_orientation(picture.exif))
    image = to_pil(picture)
    options: dict[str, Any] = dict(rules.options or {})
    options.update((str(key), value) for key, value in image.info.items())
    if picture.exif and (dpi := resolution(picture.exif)) and name in ("PNG", "JPEG", "BMP"):
        options["dpi"] = dpi
    if picture.exif and name != "JPEG":
        options["exif"] = picture.exif
    if picture.xmp and name == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", picture.xmp)
    if name == "TIFF":
        options["exif"] = Image.Exif()
        if picture.xmp:
            options["exif"][XMP] = picture.xmp
    buffer = _Named(f"picture{rules.extensions[0]}")
    try:
        image.save(buffer, **options)
    except Exception as error:  # Pillow's writers raise OSError, ValueError, KeyError, SyntaxError, ...
        raise NeuralCodecError(f"cannot write the picture as {name}: {line(error)}") from None
    if name == "TIFF" and picture.exif:
        return into_tiff(buffer.getvalue(), picture.exif)
    return buffer.getvalue(), None
