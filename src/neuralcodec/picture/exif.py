"""EXIF blocks, byte by byte: read them, malformed ones too, and move their directories into a TIFF."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

EXIF_PREFIX = b"Exif\0\0"  # JPEG puts it before EXIF, other formats do not; Pillow mostly does

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
XMP, ICC, SUB_IFDS = 0x02BC, 0x8773, 0x014A
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of a value
_WORDS = {3: 2, 8: 2, 4: 4, 9: 4, 5: 4, 10: 4, 11: 4, 13: 4, 12: 8}  # bytes that a byte order reverses
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}

# Most tags of a first directory describe the pixels of its own file: sizes, strips, tiles, tables.
_ABOUT_THE_SCENE = {269, 270, 271, 272, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, 285, RESOLUTION_UNIT}
_ABOUT_THE_SCENE |= {305, 306, 315, 316}
_STORAGE = set(range(254, 348)) - _ABOUT_THE_SCENE | set(range(512, 533)) | set(range(32995, 32999))
_STORAGE |= {XMP, ICC, 34377, 37724, 33421, 33422, *range(50706, 51200)}
# The kinds that readers of a TIFF expect of these tags.
_KINDS = {270: ASCII, 271: ASCII, 272: ASCII, 305: ASCII, 306: ASCII, 315: ASCII, ORIENTATION: SHORT}
_KINDS |= {X_RESOLUTION: RATIONAL, Y_RESOLUTION: RATIONAL, RESOLUTION_UNIT: SHORT}


class Entry(NamedTuple):
    """A tag with its values, as their bytes in the order of the block."""

    tag: int
    kind: int
    values: int
    data: bytes


class Directory(NamedTuple):
    """The entries of a directory, whether all of them were legible, and where the next directory is."""

    entries: list[Entry]
    whole: bool
    following: int


def byte_order(block: bytes) -> str | None:
    """Return `<` or `>`, as `struct` has it; None for what is not a TIFF structure."""
    return _ORDERS.get(bytes(block[:4])) if len(block) >= 8 else None


def first_directory(block: bytes) -> Directory:
    """Read the directory that the header of the block names; an empty one if there is none."""
    order = byte_order(block)
    return (
        Directory([], False, 0)
        if order is None
        else directory(block, *struct.unpack_from(order + "I", block, 4))
    )


def directory(block: bytes, start: int) -> Directory:
    """Read the directory at `start`; skip what points out of the block, or exceeds its size in total."""
    order = byte_order(block) or "<"
    if not 8 <= start <= len(block) - 2:
        return Directory([], False, 0)
    (number,) = struct.unpack_from(order + "H", block, start)
    legible = min(number, (len(block) - start - 2) // 12)
    entries, seen, left, whole = [], set(), len(block), legible == number
    for at in range(start + 2, start + 2 + 12 * legible, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", block, at)
        size = _SIZES.get(kind, 0) * count
        place = at + 8 if size <= 4 else struct.unpack_from(order + "I", block, at + 8)[0]
        left -= size
        if not size > 0 or place + size > len(block) or tag in seen or left < 0:
            whole = False
            continue
        seen.add(tag)
        entries.append(Entry(tag, kind, count, bytes(block[place : place + size])))
    end = start + 2 + 12 * number
    following = struct.unpack_from(order + "I", block, end)[0] if end + 4 <= len(block) else 0
    return Directory(entries, whole, following)


def numbers(block: bytes, entry: Entry) -> tuple[int, ...]:
    """Read the values of an entry of whole numbers, or the numerators and denominators; else none."""
    code = {1: "B", SHORT: "H", LONG: "I", RATIONAL: "I", 13: "I"}.get(entry.kind)
    if code is None:
        return ()
    count = len(entry.data) // struct.calcsize(code)
    return struct.unpack(f"{byte_order(block) or '<'}{count}{code}", entry.data)


def orientation(exif: bytes) -> int:
    """Read how to turn the pixels to show them, 1 to 8; 1, as they are, where the block does not say."""
    for entry in first_directory(exif).entries:
        if entry.tag == ORIENTATION:
            values = numbers(exif, entry)
            return values[0] if len(values) == 1 and 1 <= values[0] <= 8 else 1
    return 1


def says_only_orientation(exif: bytes) -> bool:
    """Tell whether a block has nothing but the orientation."""
    first = first_directory(exif)
    told = all(entry.tag == ORIENTATION and numbers(exif, entry) for entry in first.entries)
    return first.whole and not first.following and told


def without_orientation(exif: bytes) -> bytes:
    """Take out the orientation; the block keeps its length, and what lies elsewhere in it its place."""
    order = byte_order(exif)
    if order is None:
        return exif
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if not 8 <= start <= len(exif) - 2:
        return exif
    (number,) = struct.unpack_from(order + "H", exif, start)
    end = start + 2 + 12 * number + 4  # behind the place of the next directory
    for at in range(start + 2, min(end - 4, len(exif) - 11), 12):
        if struct.unpack_from(order + "H", exif, at)[0] == ORIENTATION:
            fewer = struct.pack(order + "H", number - 1)
            return exif[:start] + fewer + exif[start + 2 : at] + exif[at + 12 : end] + bytes(12) + exif[end:]
    return exif


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Read the dots per inch, horizontally and vertically; None where the block does not say."""
    found = {entry.tag: numbers(exif, entry) for entry in first_directory(exif).entries}
    (unit, *_) = found.get(RESOLUTION_UNIT) or (2,)
    x, y = (found.get(tag, ()) for tag in (X_RESOLUTION, Y_RESOLUTION))
    if len(x) != 2 or len(y) != 2 or not all((*x, *y)) or unit not in (2, 3):
        return None
    scale = 2.54 if unit == 3 else 1.0
    return scale * x[0] / x[1], scale * y[0] / y[1]


def with_resolution(x: float, y: float) -> bytes:
    """Make a block that says the dots per inch and nothing else."""
    thousand = [round(1000 * value) for value in (x, y)]
    rationals = [
        Entry(tag, RATIONAL, 1, struct.pack("<II", value, 1000))
        for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), thousand, strict=True)
    ]
    entries = [*rationals, Entry(RESOLUTION_UNIT, SHORT, 1, struct.pack("<H", 2))]
    return b"II*\0\x08\0\0\0" + packed(entries, 8)


def packed(entries: Iterable[Entry], at: int) -> bytes:
    """Pack a little-endian directory that lies at `at`, with the values of its entries behind it."""
    ordered = sorted(entries)
    head, tail = struct.pack("<H", len(ordered)), b""
    behind = at + 2 + 12 * len(ordered) + 4
    for tag, kind, count, data in ordered:
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", behind + len(tail))
        head += struct.pack("<HHI", tag, kind, count) + place
        tail += data + bytes(len(data) & 1) if len(data) > 4 else b""
    return head + bytes(4) + tail


def into_tiff(tiff: bytes, exif: bytes) -> tuple[bytes, str | None]:
    """Give a little-endian TIFF the directories of an EXIF block.

    Tags that describe the pixels of another file are left out.

    Returns:
        The file, and the name of what it could not take of the block, or None.
    """
    order = byte_order(exif)
    if order is None:
        return tiff, "EXIF, which is malformed"
    first = first_directory(exif)
    own = first_directory(tiff).entries
    entries = {entry.tag: entry for entry in first.entries if _belongs(exif, entry)}
    entries = {tag: _little(entry, order) for tag, entry in entries.items() if tag not in (_EXIF, _GPS)}
    data, whole = bytearray(tiff), first.whole

    def append(directory: Iterable[Entry]) -> bytes:
        data.extend(bytes(len(data) & 1))
        place = struct.pack("<I", len(data))
        data.extend(packed(directory, len(data)))
        return place

    for tag in (_EXIF, _GPS):
        if below := _below(exif, first, tag):
            whole &= below.whole
            copied = [_little(entry, order) for entry in below.entries if entry.tag != _INTEROP]
            if further := _below(exif, below, _INTEROP):
                interop = append(_little(entry, order) for entry in further.entries)
                copied.append(Entry(_INTEROP, LONG, 1, interop))
            entries[tag] = Entry(tag, LONG, 1, append(copied))
    data[4:8] = append({**entries, **{entry.tag: entry for entry in own}}.values())
    lost = [] if whole else ["the illegible part of EXIF"]
    lost += ["the small preview in EXIF"] if directory(exif, first.following).entries else []
    return bytes(data), " and ".join(lost) or None


def _belongs(exif: bytes, entry: Entry) -> bool:
    if entry.tag == ORIENTATION and orientation(exif) == 1:
        return False
    return entry.tag not in _STORAGE and _KINDS.get(entry.tag, entry.kind) == entry.kind


def _below(block: bytes, above: Directory, tag: int) -> Directory | None:
    """Read the directory that an entry of `above` names; None if there is none."""
    for entry in above.entries:
        if entry.tag == tag and len(places := numbers(block, entry)) == 1:
            return directory(block, places[0])
    return None


def _little(entry: Entry, order: str) -> Entry:
    """Put the values of an entry in little-endian order."""
    size = _WORDS.get(entry.kind, 1)
    if order == "<" or size == 1:
        return entry
    turned = b"".join(entry.data[i : i + size][::-1] for i in range(0, len(entry.data), size))
    return entry._replace(data=turned)
