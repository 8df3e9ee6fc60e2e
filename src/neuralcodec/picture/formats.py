"""The picture formats: which are read and written, with their extensions and packages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from neuralcodec.errors import UsageError


class Plugin(NamedTuple):
    """A package that teaches Pillow another format."""

    package: str
    extra: str  # of ours, that installs it
    register: str | None  # to call; None where importing the package is enough
    offset: int  # of the signature in a file
    signatures: tuple[bytes, ...]


class Format(NamedTuple):
    """A format that Pillow reads, and perhaps writes, under this name.

    Args:
        options: for Pillow's writer; None for a format that is only read.
        lossy: options that go with a quality.
        largest_side: the largest width or height that its files, or common readers, allow.
    """

    name: str
    extensions: tuple[str, ...]
    options: dict[str, Any] | None = None
    lossy: dict[str, Any] | None = None
    alpha: bool = False
    largest_side: int = 2**31 - 1
    plugin: Plugin | None = None


_HEIC = (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")
_FULL_COLOUR = {"subsampling": "4:4:4"}
_LOSSY = {"quality": 95, **_FULL_COLOUR}

#: Readers are tried in this order. Readers of Pillow that are not here are never tried: some start another
#: program (EPS), the others are of formats that hold no photographs.
FORMATS = (
    # Runs alone (zlib's Z_RLE): behind the filters of PNG little else repeats in what was decoded.
    Format("PNG", (".png", ".apng"), {"compress_level": 1, "compress_type": 3}, alpha=True),
    Format("JPEG", (".jpg", ".jpeg", ".jfif", ".jpe", ".mpo"), _LOSSY, _FULL_COLOUR, largest_side=65500),
    # `exact` keeps the colours of transparent pixels.
    Format("WEBP", (".webp",), {"lossless": True, "exact": True}, {}, alpha=True, largest_side=16383),
    Format("TIFF", (".tif", ".tiff"), {"compression": "tiff_adobe_deflate"}, alpha=True),
    Format("AVIF", (".avif",), _LOSSY, _FULL_COLOUR, alpha=True, largest_side=32768),
    Format("PPM", (".ppm", ".pgm", ".pnm", ".pbm"), {}),
    Format("BMP", (".bmp", ".dib"), {}),
    Format("GIF", (".gif",)),
    Format("JPEG2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc")),
    Format(
        "HEIF",
        (".heic", ".heif", ".hif"),
        plugin=Plugin("pillow_heif", "heif", "register_heif_opener", 4, _HEIC),
    ),
    Format(
        "JXL",
        (".jxl",),
        plugin=Plugin("pillow_jxl", "jxl", None, 0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ),
    Format("PSD", (".psd",)),
    Format("QOI", (".qoi",)),
    Format("SGI", (".sgi", ".rgb")),
    Format("PCX", (".pcx",)),
    Format("TGA", (".tga",)),  # the last one: it has no signature
)
#: The extensions of all pictures that are read.
SUFFIXES = frozenset(extension for format in FORMATS for extension in format.extensions)


def format_for(path: str | os.PathLike[str]) -> str:
    """Name the format to write by the extension of `path`: PNG, JPEG, WEBP, TIFF, AVIF, PPM or BMP.

    Raises:
        UsageError: the extension stands for none of these.
    """
    extension = Path(path).suffix.lower()
    written = [format for format in FORMATS if format.options is not None]
    for format in written:
        if extension in format.extensions:
            return format.name
    known = " ".join(extension for format in written for extension in format.extensions)
    raise UsageError(f"no format to write has the extension {extension!r}; use one of {known}")
