"""PNG: separate the pixels from all else, and read what that says."""

from __future__ import annotations

import re
import zlib

from neuralcodec.picture.exif import EXIF_PREFIX
from neuralcodec.picture.facts import LARGEST, Facts, inflate, look_behind, u32
from neuralcodec.picture.icc import Colour, colour_of_codes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"tRNS",)  # the ancillary chunks that the pixels depend on
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEY, _PROFILE_KEY = b"XML:com.adobe.xmp", b"Raw profile type "
_WANTED = (
    _XMP_KEY,
    *(_PROFILE_KEY + name for name in (b"exif", b"APP1", b"xmp", b"iptc", b"8bim", b"icc", b"icm")),
)
_MOST_TEXTS = 1000  # keys; naming more is of no use
_RAW_PROFILE = re.compile(
    rb"\s*(\S+)\s+(\d+)\s+([0-9a-fA-F\s]*)"
)  # as ImageMagick writes them, in hexadecimal


def inspect(data: bytes) -> tuple[bytes, Facts]:
    """Reduce a PNG to the pixels of its first frame; return it and the facts from the other chunks."""
    facts, kept, at = Facts(), [SIGNATURE], len(SIGNATURE)
    found: dict[bytes, bytes] = {}
    texts: dict[bytes, bytes | None] = {}
    while at + 12 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 12 + u32(data, at)
        critical = not kind[0] & 0x20
        if end > len(data) or critical or kind in _PIXELS:
            kept.append(data[at:end])
            if kind == b"IHDR" and end - at >= 21:
                facts.bits = max(8, data[at + 16])
            if kind == b"IEND":
                look_behind(data[end:], facts)
                break
        elif zlib.crc32(data[at + 4 : end - 4]) != u32(data, end - 4):
            facts.notes.append(f"a chunk {kind.decode('latin-1')!r} with a wrong checksum was left out")
        elif kind in _TEXTS:
            key, _, text = data[at + 8 : end - 4].partition(b"\0")
            if key not in texts and len(texts) < _MOST_TEXTS:
                texts[key] = _text(kind, text) if key.startswith(_WANTED) else b""
        else:
            found.setdefault(kind, data[at + 8 : end - 4])
        at = end
    else:
        kept.append(data[at:])
    _metadata(found, texts, facts)
    facts.colour = _colour(found, facts)
    if len(physical := found.get(b"pHYs", b"")) == 9 and physical[8] == 1:  # pixels per metre
        facts.dpi = (u32(physical, 0) * 0.0254, u32(physical, 4) * 0.0254)
    if len(animation := found.get(b"acTL", b"")) == 8:
        facts.frames = max(1, u32(animation, 0))
    return b"".join(kept), facts


def _text(kind: bytes, text: bytes) -> bytes | None:
    """Read the text of a chunk without its key; None where it is damaged or too long."""
    if kind == b"zTXt":
        return inflate(text[1:])
    if kind == b"iTXt":
        packed, (*_, text) = text[:1] == b"\1", text[2:].split(b"\0", 2)
        return inflate(text) if packed else text
    return text


def _metadata(found: dict[bytes, bytes], texts: dict[bytes, bytes | None], facts: Facts) -> None:
    profiles = {}
    for key in [key for key in texts if key.startswith(_PROFILE_KEY)]:
        if (text := texts.pop(key)) and (profile := _RAW_PROFILE.match(text[:LARGEST])):
            digits = re.sub(rb"\s", b"", profile[3])
            profiles[key[17:]] = bytes.fromhex(digits[: len(digits) & ~1].decode())
        else:
            facts.lose(f"a damaged {key[17:40].decode('latin-1')!r} profile")
    exif = found.get(b"eXIf") or profiles.pop(b"exif", None) or profiles.get(b"APP1")
    if exif and not exif.startswith(b"http"):
        facts.exif = exif.removeprefix(EXIF_PREFIX)
    facts.xmp = texts.get(_XMP_KEY) or profiles.pop(b"xmp", None)
    if texts.pop(_XMP_KEY, b"") is None:
        facts.lose("XMP, which is damaged or too long")
    if b"iptc" in profiles or b"8bim" in profiles:
        facts.lose("IPTC")
    if packed := found.get(b"iCCP"):
        facts.icc = inflate(packed.partition(b"\0")[2][1:])
        if facts.icc is None:
            facts.lose("the ICC profile, which is damaged or too long")
    elif profile_icc := profiles.get(b"icc", profiles.get(b"icm")):
        facts.icc = profile_icc
    if texts:
        names = [key[:40].decode("latin-1").encode("ascii", "backslashreplace").decode() for key in texts]
        names = ["".join(c if c.isprintable() else "?" for c in name) for name in names]
        facts.lose(f"PNG text ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})")


def _colour(found: dict[bytes, bytes], facts: Facts) -> Colour | None:
    """Find what the samples mean: cICP counts first, then an ICC profile, then sRGB, then the rest."""
    if len(codes := found.get(b"cICP", b"")) == 4:
        if codes[3] == 0:
            return Colour(transfer="of narrow range")
        colour = colour_of_codes(codes[0], codes[1])
        if not isinstance(colour.transfer, str) or colour.transfer == "sRGB":
            facts.icc = None
        return colour
    if facts.icc or b"sRGB" in found:
        return None
    colour = Colour()
    if len(gamma := found.get(b"gAMA", b"")) == 4 and u32(gamma, 0):
        colour = colour._replace(transfer=100_000 / u32(gamma, 0))
    if len(places := found.get(b"cHRM", b"")) == 32:
        colour = colour._replace(primaries=tuple(u32(places, i) / 100_000 for i in range(0, 32, 4)))
    return colour
