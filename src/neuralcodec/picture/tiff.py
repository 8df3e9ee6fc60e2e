"""TIFF: refuse files that Pillow reads wrongly, and find what their samples mean."""

from __future__ import annotations

import struct

from PIL.TiffImagePlugin import TiffImageFile

from neuralcodec.errors import UsageError
from neuralcodec.picture.exif import SHORT, byte_order, directory, first_directory, numbers
from neuralcodec.picture.facts import Facts

RAW = "a camera's raw file: develop it first, to a TIFF or JPEG"
#: The signatures of raw files that are not TIFF, and their offsets.
RAW_SIGNATURES = (
    (b"FUJIFILMCCD-RAW", 0),
    (b"IIRO", 0),
    (b"IIRS", 0),
    (b"MMOR", 0),
    (b"IIU\0", 0),
    (b"FOVb", 0),
    (b"\0MRM", 0),
    (b"HEAPCCDR", 6),
    (b"ftypcrx", 4),
    (b"CR\x02", 8),
)
_SUBFILE, _BITS, _PHOTOMETRIC, _SAMPLES, _LARGEST, _PLANAR = 254, 258, 262, 277, 281, 284
_SUB_IFDS, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _DNG_VERSION = 330, 338, 339, 50706
_SENSOR = (32803, 34892)  # photometric interpretations of raw files
_SIGNED, _FLOAT = 2, 3


def is_raw(data: bytes) -> bool:
    """Tell whether the bytes are a raw file, of which Pillow could read only the previews."""
    if any(data.startswith(mark, at) for mark, at in RAW_SIGNATURES):
        return True
    first = {entry.tag: numbers(data, entry) for entry in first_directory(data).entries}
    below = first.get(_SUB_IFDS, ())[:8]
    inner = [entry for place in below for entry in directory(data, place).entries]
    sensor = any(entry.tag == _PHOTOMETRIC and set(numbers(data, entry)) & set(_SENSOR) for entry in inner)
    reduced = bool(below) and any(value & 1 for value in first.get(_SUBFILE, ()))
    return sensor or reduced or _DNG_VERSION in first or bool(set(first.get(_PHOTOMETRIC, ())) & set(_SENSOR))


def layout(data: bytes) -> str:
    """Describe the layout of the pixels in words, as far as the first directory says it."""
    first = {entry.tag: numbers(data, entry) for entry in first_directory(data).entries}
    bits, formats = first.get(_BITS, (1,)), first.get(_SAMPLE_FORMAT, (1,))
    kind = "floating-point " if _FLOAT in formats else "signed " if _SIGNED in formats else ""
    samples = (first.get(_SAMPLES) or (len(bits),))[0]
    return (
        f"{samples} {kind}sample{'s' if samples > 1 else ''} of {'/'.join(map(str, sorted(set(bits))))} bits"
    )


def inspect(data: bytes) -> tuple[bytes, Facts]:
    """Declare 0 black where a file of more than 8 bits has 0 as white, most of which Pillow refuses."""
    order, first = byte_order(data) or "<", first_directory(data).entries
    values = {entry.tag: numbers(data, entry) for entry in first}
    if values.get(_PHOTOMETRIC) != (0,) or max(values.get(_BITS) or (1,)) <= 8:
        return data, Facts()
    (start,) = struct.unpack_from(order + "I", data, 4)
    end = start + 2 + 12 * len(first)
    white, black = (struct.pack(order + "HHIHH", _PHOTOMETRIC, SHORT, 1, value, 0) for value in (0, 1))
    return data[:start] + data[start:end].replace(white, black) + data[end:], Facts(inverted=True)


def check(image: TiffImageFile, facts: Facts) -> None:
    """Refuse what Pillow would read wrongly; note what else the tags say.

    Raises:
        UsageError: it is a raw file, or has a layout that Pillow reads wrongly.
    """
    tags = image.tag_v2
    bits = _tuple(tags.get(_BITS, 1))
    if _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _SENSOR:
        raise UsageError(RAW)
    if tags.get(_PLANAR) == 2 and max(bits) > 8:
        raise UsageError(
            f"{max(bits)}-bit pixels in separate planes are not supported: save them interleaved"
        )
    if _SIGNED in _tuple(tags.get(_SAMPLE_FORMAT, 1)):
        raise UsageError("signed pixels have no agreed range: convert the picture to 8 or 16 bits first")
    if image.mode == "I" and max(bits) == 32:
        raise UsageError("32-bit pixels have no agreed range: convert the picture to 8 or 16 bits first")
    facts.bits = max(facts.bits, *bits)
    facts.inverted |= image.mode.startswith("I") and tags.get(_PHOTOMETRIC) == 0  # Pillow leaves it so
    if 0 in _tuple(tags.get(_EXTRA_SAMPLES, ())):
        facts.lose("a further channel")
    largest = _tuple(tags.get(_LARGEST, ()))
    if facts.bits > 8 and largest and 0 < max(largest) < 2 ** (facts.bits - 1):
        facts.notes.append(
            f"its largest value is said to be {max(largest)} of {2**facts.bits - 1}: it looks dark"
        )


def _tuple(value: object) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) if isinstance(value, int) else ()
