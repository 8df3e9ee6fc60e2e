"""TIFF with samples in separate planes, most of which Pillow reads wrongly: lay the planes together.

Each plane is read as the grey picture that it is, of whatever compression. What goes on to Pillow is the file
itself with interleaved samples of 8 bits and a first directory that names these, both behind its end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from neuralcodec.picture.exif import LONG, SHORT, Entry, byte_order, first_directory, numbers

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _ROWS, _COUNTS, _PLANAR = (273, 324), 277, 278, (279, 325), 284
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
#: What says how a plane is coded: fill order, predictor, sides of tiles, tables of JPEG.
_CODING = (266, 317, 322, 323, 347)


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a file whose planes `interleaved` can lay together, else None."""
    said = _said(data)
    samples, bits = (said.get(_SAMPLES) or (0,))[0], set(said.get(_BITS, ()))
    plain = said.get(_PLANAR) == (2,) and set(said.get(_SAMPLE_FORMAT, (1,))) == {1}
    # Three planes of 8 bits are what Pillow reads rightly.
    known = 2 <= samples <= 4 and (bits == {16} or (bits == {8} and samples == 2))
    grey = said.get(_PHOTOMETRIC) == (1 if samples == 2 else 2,)
    sides = said.get(_WIDTH, ()) + said.get(_HEIGHT, ())
    return (sides[0], sides[1]) if plain and known and grey and len(sides) == 2 else None


def interleaved(data: bytes, opened: Callable[[bytes], Image.Image]) -> tuple[bytes, int]:
    """Lay the planes of a file together; return the new file and the bits of the old one's samples.

    Args:
        opened: opens the bytes of a file.

    Raises:
        ValueError: the strips are not those of so many planes. Whatever `opened` and Pillow raise.
    """
    said, first = _said(data), first_directory(data)
    samples, [bits, *_] = said[_SAMPLES][0], said[_BITS]
    planes = []
    for number in range(samples):
        tags = {
            _WIDTH: said[_WIDTH],
            _HEIGHT: said[_HEIGHT],
            _BITS: (bits,),
            _PHOTOMETRIC: (1,),
            _SAMPLES: (1,),
        }
        tags |= {tag: said[tag] for tag in (_COMPRESSION, _ROWS) if tag in said}
        for tag in (*_OFFSETS, *_COUNTS):
            if parts := said.get(tag):
                if len(parts) % samples:
                    raise ValueError("its planes have different numbers of strips")
                share = len(parts) // samples
                tags[tag] = parts[number * share : (number + 1) * share]
        coding = [entry for entry in first.entries if entry.tag in _CODING]
        plane = np.asarray(opened(_with_directory(data, tags, coding, 0)))
        if plane.shape != (said[_HEIGHT][0], said[_WIDTH][0]):
            raise ValueError("its planes are not of its size")
        planes.append(plane if bits == 8 else ((plane.astype(np.uint32) * 255 + 32767) // 65535))
    pixels = np.stack(planes, 2).astype(np.uint8).tobytes()
    data += bytes(len(data) & 1)
    tags = {_BITS: (8,) * samples, _COMPRESSION: (1,), _SAMPLES: (samples,), _PLANAR: (1,)}
    tags |= {_OFFSETS[0]: (len(data),), _COUNTS[0]: (len(pixels),), _ROWS: said[_HEIGHT]}
    replaced = {*tags, *_OFFSETS, *_COUNTS, *_CODING}
    kept = [entry for entry in first.entries if entry.tag not in replaced]
    return _with_directory(data + pixels, tags, kept, first.following), bits


def _said(data: bytes) -> dict[int, tuple[int, ...]]:
    return {entry.tag: numbers(data, entry) for entry in first_directory(data).entries}


def _with_directory(
    data: bytes, tags: Mapping[int, tuple[int, ...]], kept: list[Entry], following: int
) -> bytes:
    """Put a first directory of whole numbers and of entries as they were behind a file."""
    order = byte_order(data) or "<"
    made = [
        Entry(tag, LONG, len(values), struct.pack(f"{order}{len(values)}I", *values))
        if tag in (*_OFFSETS, *_COUNTS, _WIDTH, _HEIGHT, _ROWS)
        else Entry(tag, SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))
        for tag, values in tags.items()
    ]
    data += bytes(len(data) & 1)
    entries = sorted((*made, *kept))
    behind = len(data) + 2 + 12 * len(entries) + 4
    head, tail = struct.pack(order + "H", len(entries)), b""
    for tag, kind, count, value in entries:
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place, tail = struct.pack(order + "I", behind + len(tail)), tail + value + bytes(len(value) & 1)
        head += struct.pack(order + "HHI", tag, kind, count) + place
    return (
        data[:4]
        + struct.pack(order + "I", len(data))
        + data[8:]
        + head
        + struct.pack(order + "I", following)
        + tail
    )
