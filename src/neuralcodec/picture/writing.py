"""Write pictures: planes and metadata to files of the formats that people open."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.picture.formats import FORMATS, format_for
from neuralcodec.picture.picture import Picture, to_pil
from neuralcodec.picture.reading import line

_TIFF_XMP = 0x02BC


def save(picture: Picture, target: str | os.PathLike[str] | BinaryIO, format: str) -> tuple[str, ...]:
    """Write a picture; WebP lossless, JPEG and AVIF at quality 95 without chroma subsampling.

    Args:
        picture: to write, with all its metadata where the format has a place for it.
        target: a path, which is overwritten, or an open binary file. Nothing is written when encoding fails.
        format: a name from `format_for`, in any case; an extension does too.

    Returns:
        What of the picture could not be kept, a line for each.

    Raises:
        UsageError: unknown format, or one without transparency for a picture with alpha.
        NeuralCodecError: the format cannot hold the picture, or the file cannot be written.
    """
    name = format.upper()
    if not any(name == rules.name and rules.options is not None for rules in FORMATS):
        name = format_for("x." + format.lower())
    rules = next(rules for rules in FORMATS if rules.name == name)
    if picture.alpha is not None and not rules.alpha:
        raise UsageError(f"{name} cannot hold transparency: use PNG, WebP, TIFF or AVIF")

    notes: list[str] = []
    image, options = to_pil(picture), dict(rules.options or {})
    if rules.metadata:
        options.update((str(key), value) for key, value in image.info.items())
    elif image.info:
        notes.append(f"{name} cannot hold metadata, dropped: {', '.join(map(str, image.info))}")
    buffer = io.BytesIO()
    try:
        if picture.exif and name != "JPEG":
            options["exif"] = picture.exif
        if picture.xmp and name == "PNG":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", picture.xmp)
        if name == "TIFF":
            options["exif"] = _tiff_tags(picture)
        image.save(buffer, name, **options)
    except Exception as error:  # Pillow's writers raise OSError, ValueError, KeyError, SyntaxError, ...
        raise NeuralCodecError(f"cannot write the picture as {name}: {line(error)}") from None
    if not isinstance(target, str | os.PathLike):
        target.write(buffer.getbuffer())
        return tuple(notes)
    try:
        Path(target).write_bytes(buffer.getbuffer())
    except (OSError, ValueError) as error:
        raise NeuralCodecError(f"cannot write {target}: {line(error)}") from None
    return tuple(notes)


def _tiff_tags(picture: Picture) -> Image.Exif:
    tags = Image.Exif()
    if picture.exif:
        tags.load(picture.exif)
    if picture.xmp:
        tags[_TIFF_XMP] = picture.xmp
    return tags
