"""HEIF, AVIF, JPEG 2000 and JPEG XL: size, depth and colour, read before any decoder."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from neuralcodec.picture.facts import GAIN_MAP, Facts, u16, u32
from neuralcodec.picture.icc import colour_of_codes

JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
JP2_SIGNATURES = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")
_EXIF_ITEM = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)
_MOST = 10_000  # boxes of a file: a photograph has a few hundred


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start of the content and the end of each box between two places."""
    end = len(data) if end is None else end
    for _ in range(_MOST):
        if start + 8 > end:
            return
        size, head = u32(data, start), 8
        if size == 1 and start + 16 <= end:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        stop = end if size == 0 else start + size
        if size != 0 and size < head:
            return
        yield data[start + 4 : start + 8], start + head, min(stop, end)
        start = stop


def inspect_heif(data: bytes) -> Facts:
    """Find depth and colour of the primary picture of a HEIF or AVIF file; name what cannot be kept."""
    facts = Facts()
    try:
        for name, start, end in boxes(data):
            if name == b"meta":
                _meta(data, start + 4, end, facts)
            elif name == b"mpvd":
                facts.lose("a video behind it")
    except (struct.error, IndexError):  # the decoder will say what is wrong
        pass
    return facts


def without_exif(data: bytes) -> bytes:
    """Rename the type of the EXIF item to one that no reader looks at."""
    return _EXIF_ITEM.sub(rb"\1skip", data)


def _meta(data: bytes, start: int, end: int, facts: Facts) -> None:
    parts = {name: (at, stop) for name, at, stop in boxes(data, start, end)}
    if b"iinf" in parts:
        at, stop = parts[b"iinf"]
        for name, item, item_end in boxes(data, at + (6 if data[at] == 0 else 8), stop):
            if name == b"infe" and b"tmap" in data[item : min(item_end, item + 16)]:
                facts.lose(GAIN_MAP)
    if b"pitm" not in parts or b"iprp" not in parts:
        return
    at, _ = parts[b"pitm"]
    primary = u16(data, at + 4) if data[at] == 0 else u32(data, at + 4)
    inner = {name: (at, stop) for name, at, stop in boxes(data, *parts[b"iprp"])}
    if b"ipco" not in inner or b"ipma" not in inner:
        return
    properties = list(boxes(data, *inner[b"ipco"]))
    for number in _properties_of(data, *inner[b"ipma"], primary):
        if 1 <= number <= len(properties):
            name, at, stop = properties[number - 1]
            if name == b"pixi" and stop > at + 5:
                facts.bits = max(data[at + 5 : stop])
            elif name == b"colr" and data[at : at + 4] == b"nclx":
                facts.colour = colour_of_codes(u16(data, at + 4), u16(data, at + 6))
            elif name == b"av1C":
                facts.bits = max(facts.bits, 8 + 2 * (data[at + 2] >> 6 & 1) + 2 * (data[at + 2] >> 5 & 1))
            elif name == b"hvcC":
                facts.bits = max(facts.bits, 8 + (data[at + 17] & 7))


def _properties_of(data: bytes, at: int, end: int, item: int) -> list[int]:
    """List the properties of an item, numbered from 1."""
    version, wide = data[at], data[at + 3] & 1
    count, at = u32(data, at + 4), at + 8
    for _ in range(min(count, _MOST)):
        number, at = (u16(data, at), at + 2) if version == 0 else (u32(data, at), at + 4)
        size, at = data[at], at + 1
        if at >= end:
            break
        if number == item:
            codes = [u16(data, at + 2 * i) & 0x7FFF if wide else data[at + i] & 0x7F for i in range(size)]
            return codes
        at += size * (2 if wide else 1)
    return []


def inspect_jpeg2000(data: bytes) -> Facts:
    """Read the depth of a JPEG 2000 codestream from its SIZ segment."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 43:
        return Facts()
    return Facts(bits=max(8, (data[at + 42] & 0x7F) + 1))


class _Bits:
    """A reader of the bits of bytes, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        if count > self.left:
            raise IndexError("the header ends early")
        bits, self.value, self.left = self.value & ((1 << count) - 1), self.value >> count, self.left - count
        return bits


def inspect_jxl(data: bytes) -> tuple[tuple[int, int] | None, Facts]:
    """Read width and height, None if illegible, and the depth of a JPEG XL file (ISO/IEC 18181-1)."""
    stream = data
    if not data.startswith(b"\xff\x0a"):
        parts = [(name, start) for name, start, _ in boxes(data)]
        starts = [
            start + (4 if name == b"jxlp" else 0) for name, start in parts if name in (b"jxlc", b"jxlp")
        ]
        stream = data[starts[0] :] if starts else b""
    bits, facts = _Bits(stream[2:64]), Facts()
    try:
        size = _jxl_size(bits)
        if bits.take(1):  # all of the metadata have their defaults
            return size, facts
        further = bits.take(1)
        facts.turned = bool(further and bits.take(3))
        # Where the size of a preview comes first, the depth is not looked for.
        if not (further and bits.take(3)) and not bits.take(1):
            code = bits.take(2)
            facts.bits = (8, 10, 12)[code] if code < 3 else 1 + bits.take(6)
        return size, facts
    except IndexError:
        return None, facts


def _jxl_size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

    height, ratio = side(), bits.take(3)
    if ratio == 0:
        return side(), height
    upper, lower = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * upper // lower, height
