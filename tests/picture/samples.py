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


def exif_of(tags: dict[int, object], *, order: str = "<", **directories: dict[int, object]) -> bytes:
    """A block that Pillow writes, without the prefix; `exif`, `gps` and `interop` are its sub-directories."""
    block = Image.Exif()
    block.endian = order
    for tag, value in tags.items():
        block[tag] = value
    for name, tag in (("exif", 0x8769), ("gps", 0x8825), ("interop", 0xA005)):
        if name in directories:
            block.get_ifd(tag).update(directories[name])
    return block.tobytes()[6:]


SCENE = {0x010E: "a rocket", 0x010F: "Maker", 0x0132: "2024:01:02 03:04:05", 0x013B: "Someone"}
PHOTO = {0x829A: 0.01, 0x9003: "2024:01:02 03:04:05", 0x927C: b"maker note\0\1\2", 0x9101: b"\1\2\3\0"}
PLACE = {1: "N", 2: (47.0, 22.0, 30.0), 0x1D: "2024:01:02"}
#: Sizes, photometric interpretation, layout, strips and so on of another file, and an orientation of 0.
OTHER_FILE = {
    0x0100: 4000,
    0x0101: 3000,
    0x0102: (16, 16, 16),
    0x0103: 7,
    0x0106: 6,
    0x0111: 8,
    0x0112: 0,
    0x0115: 4,
    0x0116: 1,
    0x0117: 9999999,
    0x011C: 2,
    0x0144: 12,
    0x0153: (3, 3, 3),
}
EXIFS = {
    "plain": exif_of(SCENE),
    "plain, big-endian": exif_of({**SCENE, 0x0112: 6}, order=">"),
    "sub-directories": exif_of(SCENE, exif=PHOTO, gps=PLACE),
    "sub-directories, big-endian": exif_of({**SCENE, 0x0112: 3}, order=">", exif=PHOTO, gps=PLACE),
    "of another file": exif_of({**SCENE, **OTHER_FILE}, exif=PHOTO),
    "orientation 9": exif_of({**SCENE, 0x0112: 9}),
    "no block": b"camera left this here" * 3,
    "cut short": exif_of(SCENE, exif=PHOTO)[:70],
    "points outside": b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0x010F, 2, 900, 2**31) * 2 + bytes(4),
    "points to itself": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIII", 0x8769, 4, 1, 8, 8),
    "no directory": b"MM\0*\xff\xff\xff\xf0",
    "orientation is a text": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI4sI", 0x0112, 2, 4, b"six\0", 0),
    "70 kB": exif_of(SCENE, exif={**PHOTO, 0x927C: bytes(70_000)}),
}


def chunk(kind: bytes, data: bytes, *, damaged: bool = False) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damaged)


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def tiff_file(pixels: bytes, width: int, height: int, bits: int, photometric: int, **more: object) -> bytes:
    """A TIFF of one strip; `samples` to a pixel, `order` of bytes, and `tags` as type and values."""
    samples, order = int(more.get("samples", 1)), str(more.get("order", "<"))  # type: ignore[call-overload]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * samples), 259: (3, [1])}
    tags |= {262: (3, [photometric]), 277: (3, [samples]), 278: (4, [height]), 279: (4, [len(pixels)])}
    tags |= {273: (4, [0]), **more.get("tags", {})}  # type: ignore[dict-item]
    behind, entries, values = 8 + 2 + 12 * len(tags) + 4, b"", b""
    data = {
        tag: b"".join(struct.pack(order + " BsHI"[kind], value) for value in listed)
        for tag, (kind, listed) in tags.items()
    }
    longer = sum(len(value) for value in data.values() if len(value) > 4)
    data[273] = struct.pack(order + "I", behind + longer)
    for tag, (kind, listed) in sorted(tags.items()):
        place = data[tag].ljust(4, b"\0")
        if len(place) > 4:
            place, values = struct.pack(order + "I", behind + len(values)), values + data[tag]
        entries += struct.pack(order + "HHI", tag, kind, len(listed)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + bytes(4) + values + pixels
