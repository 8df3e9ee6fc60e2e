"""What a file holds beside its pixels, read by our own code: no fault in it costs the picture."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from neuralcodec.format.container import DEFAULT_LIMITS
from neuralcodec.picture.icc import Colour

GAIN_MAP = "its HDR part (a gain map)"
LARGEST = DEFAULT_LIMITS.max_metadata  # bytes of each kind of metadata that an .nc file may have


@dataclass
class Facts:
    """What a file holds beside its pixels.

    Args:
        icc, exif, xmp: metadata, as in `Picture`.
        dpi: dots per inch, horizontally and vertically.
        bits: of each sample.
        frames: the number of pictures in the file; one of them is read.
        colour: the meaning of the samples, where the file states it otherwise than by an ICC profile.
        turned: whether the reader itself turns the pixels, so that EXIF's orientation is done.
        inverted: whether 0 is white in the samples that the reader gives.
        ended: False where the end of the file is missing, though its pixels may be whole.
        lost: names of what cannot be kept.
        notes: sentences about what was not as it should be.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    bits: int = 8
    frames: int = 1
    colour: Colour | None = None
    turned: bool = False
    inverted: bool = False
    ended: bool = True
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lose(self, name: str) -> None:
        """Name something that cannot be kept, once."""
        if name not in self.lost:
            self.lost.append(name)


def inflate(data: bytes) -> bytes | None:
    """Decompress a zlib stream; None if it is damaged or has more bytes than metadata may."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, LARGEST + 1)
    except zlib.error:
        return None
    return plain if stream.eof and len(plain) <= LARGEST else None


def look_behind(tail: bytes, facts: Facts) -> None:
    """Name what is appended to a picture: a video, a gain map, further pictures, anything large."""
    further = b"\xff\xd8\xff" in tail
    if any(mark in tail for mark in (b"hdrgm:", b"HDRGainMap", b"urn:iso:std:iso:ts:21496")):
        facts.lose(GAIN_MAP)
    elif further and GAIN_MAP not in facts.lost:
        facts.lose("a further picture behind it")
    if tail.find(b"ftyp") >= 4:
        facts.lose("a video behind it")
    elif not further and len(tail.strip(b"\0\xff\r\n ")) > 1024:
        facts.lose(f"{len(tail):,} bytes behind it")


def photoshop_has_iptc(block: bytes) -> bool:
    """Tell whether the image resources of Photoshop hold an IPTC record."""
    return b"8BIM\x04\x04" in block


def u16(data: bytes, at: int) -> int:
    """Read a big-endian number of two bytes."""
    return int(struct.unpack_from(">H", data, at)[0])


def u32(data: bytes, at: int) -> int:
    """Read a big-endian number of four bytes."""
    return int(struct.unpack_from(">I", data, at)[0])
