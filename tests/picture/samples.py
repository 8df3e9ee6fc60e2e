"""Pictures and files that the tests of this folder make."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from neuralcodec.picture.picture import Picture

RNG = np.random.default_rng(0)
RGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_ICC = RGB_ICC[:16] + b"GRAY" + RGB_ICC[20:]
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/">é</x:xmpmeta>'.encode()
H, W = 20, 30


def exif() -> bytes:
    """An EXIF block with orientation 6, and bytes at its end that no library would write."""
    block = Image.Exif()
    block[0x0112], block[0x010F] = 6, "Maker"
    return block.tobytes()[6:] + b"\0left by a camera\0"


EXIF = exif()
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def file_of(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, depth: int, colour: int, row: bytes, **chunks: bytes) -> bytes:
    """A PNG of one row, for the kinds that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0))
    extra = b"".join(chunk(kind.encode(), data) for kind, data in chunks.items())
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


def same(a: Picture, b: Picture) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None and b.alpha is not None:
        np.testing.assert_array_equal(a.alpha, b.alpha)
    assert (a.icc, a.exif, a.xmp) == (b.icc, b.exif, b.xmp)


def noted(picture: Picture, *words: str) -> Picture:
    """The picture, whose notes are so many as the words, each with its word in it."""
    assert len(picture.notes) == len(words), picture.notes
    for word in words:
        assert any(word in note for note in picture.notes), (word, picture.notes)
    return picture
