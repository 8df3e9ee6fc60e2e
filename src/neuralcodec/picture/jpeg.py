"""JPEG: separate the pixels from all else, and read what that says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from neuralcodec.picture.exif import EXIF_PREFIX, byte_order
from neuralcodec.picture.facts import GAIN_MAP, LARGEST, Facts, look_behind, photoshop_has_iptc, u16

SIGNATURE = b"\xff\xd8\xff"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_FURTHER_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_SOS, _EOI, _COM, _APP14 = 0xDA, 0xD9, 0xFE, 0xEE
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILL = bytes(range(250, 0, -1)) * 40  # coded data that say something else than zeros do
END = b"\xff\xd9"


def inspect(data: bytes) -> tuple[bytes, Facts]:
    """Reduce a JPEG to its pixels; return it and the facts from the other segments."""
    facts, kept = Facts(ended=False), [data[:2]]
    icc: dict[int, bytes] = {}
    to_come: dict[int, list[int]] = {}  # of each component, how many low bits of its 64 coefficients
    for marker, start, end in _segments(data):
        if marker == _EOI:
            facts.ended = True
            kept.append(END)
            if any(mark in (facts.xmp or b"") for mark in (b"hdrgm:", b"GainMap")):
                facts.lose(GAIN_MAP)
            look_behind(data[end:], facts)
            break
        body = data[start + 4 : end if marker != _SOS else start + 2 + u16(data, start + 2)]
        if marker == _SOS:
            _count_scan(body, to_come)
        elif marker in _FRAMES and len(body) >= 6:
            to_come = {number: [99] * 64 for number in body[6 : 6 + 3 * body[5] : 3]}
        if not _is_metadata(marker, body, facts, icc):
            kept.append(data[start:end])
    if not facts.ended:
        kept[-1] = kept[-1].removesuffix(b"\xff")  # half of the end marker
        # Where scans are missing as well, completing it is of no use.
        facts.ended = not to_come or any(any(bits) for bits in to_come.values())
    if icc:
        facts.icc = _joined(icc, facts)
    return b"".join(kept), facts


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the end of the picture; a scan includes its data."""
    at = 2
    while at + 2 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF):  # junk or fill
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return
        elif marker == _EOI:
            yield marker, at, at + 2
            return
        elif 0xD0 <= marker <= 0xD8 or marker == 0x01:  # these have no body
            at += 2
        elif at + 4 > len(data):
            return
        else:
            end = at + 2 + u16(data, at + 2)
            if marker == _SOS:
                found = _AFTER_SCAN.search(data, end)
                end = found.start() if found else len(data)
            yield marker, at, end
            at = end


def with_end(data: bytes) -> tuple[bytes, bytes]:
    """Complete a JPEG without an end in two ways; both decode to the same pixels if none is missing."""
    return data + END, data + _FILL + END


def _count_scan(head: bytes, components: dict[int, list[int]]) -> None:
    """Note, for each coefficient of a scan's components, how many low bits are still to come after it."""
    if head and len(head) >= 4 + 2 * head[0]:
        first, last, bits = head[1 + 2 * head[0] : 4 + 2 * head[0]]
        for number in head[1 : 1 + 2 * head[0] : 2]:
            for coefficient in range(first, min(last, 63) + 1):
                components.setdefault(number, [99] * 64)[coefficient] = bits & 15


def _is_metadata(marker: int, body: bytes, facts: Facts, icc: dict[int, bytes]) -> bool:
    """Tell whether the segment is metadata, and note what it says in `facts` and `icc`."""
    if marker == 0xE0:
        if body[:5] == b"JFIF\0" and len(body) >= 12 and body[7] in (1, 2):
            scale = 2.54 if body[7] == 2 else 1.0
            facts.dpi = (scale * u16(body, 8), scale * u16(body, 10))
        return body[:5] != b"JFIF\0"
    if marker == 0xE1 and body.startswith((EXIF_PREFIX, b"Exif\0\xff")):
        if (
            facts.exif is None or byte_order(body[6:]) is None
        ):  # else it is a second block, not more of the first
            facts.exif = ((facts.exif or b"") + body[6:])[: LARGEST + 1]
    elif marker == 0xE1 and body.startswith(_XMP):
        facts.xmp = facts.xmp or body[len(_XMP) :]
    elif marker == 0xE1 and body.startswith(_FURTHER_XMP):
        facts.lose("extended XMP")
    elif marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
        icc.setdefault(body[12], body[13:])
    elif marker == 0xEB and b"c2pa" in body:
        facts.lose("content credentials (C2PA)")
    elif marker == 0xED and photoshop_has_iptc(body):
        facts.lose("IPTC")
    elif marker == _COM and body.strip(b"\0"):
        facts.lose("a comment")
    return marker == _COM or (0xE1 <= marker <= 0xEF and marker != _APP14)


def _joined(parts: dict[int, bytes], facts: Facts) -> bytes | None:
    """Join the numbered parts of a profile, each of which begins with their count; None if one is missing."""
    if sorted(parts) == list(range(1, parts[min(parts)][0] + 1)):
        return b"".join(parts[number][1:] for number in sorted(parts))
    facts.lose("the ICC profile, of which parts are missing")
    return None
